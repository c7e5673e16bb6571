"""Verbs about agents: register, change, let work, shut out."""

from collections.abc import Sequence
from typing import Any

import msgspec
from sqlalchemy import delete

from memroos import audit, events
from memroos.registry import keyring, queries, rules
from memroos.registry.errors import AgentCannotMove, AgentChanged, AgentNameTaken, AgentRetired
from memroos.registry.models import Agent, AgentSkillTag
from memroos.registry.rules import RegistryEvent
from memroos.registry.service import heartbeats, keys
from memroos_contracts.errors import InvalidRequest
from memroos_contracts.governance import Action
from memroos_contracts.identity import AgentId
from memroos_contracts.registry import AgentChange, AgentKind, AgentSkill, AgentState, AgentView, NewAgent
from memroos_kit.db import Tx

_MOVES = {
    AgentState.ACTIVE: (Action.AGENT_ACTIVATE, RegistryEvent.AGENT_ACTIVATED),
    AgentState.QUARANTINED: (Action.AGENT_QUARANTINE, RegistryEvent.AGENT_QUARANTINED),
    AgentState.RETIRED: (Action.AGENT_RETIRE, RegistryEvent.AGENT_RETIRED),
}


def create_agent(tx: Tx, new: NewAgent) -> AgentView:
    """Register an agent, as a draft or, where the actor may activate agents too, at once active.

    Raises:
        Denied: policy does not let this actor register agents, or activate this one.
        InvalidRequest: the parts do not fit together.
        AgentNameTaken: the workspace has, or had, an agent of this name.
    """
    return register(tx, new, rules.problems_of_new(new))


def register(tx: Tx, new: NewAgent, problems: dict[str, str]) -> AgentView:
    """Register an agent as `create_agent` says, where what is wrong with it is known already, by field."""
    agent_id = AgentId(tx.new_id("agt"))
    tx.authorize(Action.AGENT_CREATE, queries.agent_asset(agent_id))
    if problems:
        raise InvalidRequest(fields=problems)
    if queries.find_agent(tx, new.name) is not None:
        raise AgentNameTaken(name=new.name)

    agent = _add(tx, agent_id, new)
    announce(tx, agent, RegistryEvent.AGENT_CREATED, name=new.name, kind=new.kind)
    if new.state is AgentState.ACTIVE:
        return _move(tx, agent, AgentState.ACTIVE, reason="")
    return queries.get_agent(tx, agent_id)


def ensure_local_agent(tx: Tx, new: NewAgent) -> AgentView:
    """Register an agent that runs inside the kernel, active, and bring its skills up to date; for the start.

    Nobody outside reaches this, so policy is not asked. May be repeated. An agent that an operator has quarantined or
    retired stays so.

    Raises:
        InvalidRequest: it is not of kind local, or its parts do not fit together.
        AgentNameTaken: an agent of another kind has this name.
    """
    problems = rules.problems_of_new(new) | ({} if new.kind is AgentKind.LOCAL else {"kind": "only local agents"})
    if problems:
        raise InvalidRequest(fields=problems)
    known = queries.find_agent(tx, new.name)
    if known is None:
        agent = _add(tx, AgentId(tx.new_id("agt")), new)
        agent.state = AgentState.ACTIVE
        announce(tx, agent, RegistryEvent.AGENT_CREATED, name=new.name, kind=new.kind)
        announce(tx, agent, RegistryEvent.AGENT_ACTIVATED, reason="")
    elif known.kind is not AgentKind.LOCAL:
        raise AgentNameTaken(name=new.name)
    elif known.skills != new.skills:
        agent = queries.load_agent(tx, known.id)
        write_skills(tx, agent, new.skills)
        touch(tx, agent)
        announce(tx, agent, RegistryEvent.AGENT_UPDATED, fields=["skills"])
    return _view(tx, new.name)


def update_agent(tx: Tx, agent: str, change: AgentChange, *, version: int | None = None) -> AgentView:
    """Change what is stated of an agent; what is left out stays.

    Args:
        agent: its id or name.
        version: the version the change was made for; None means whichever it has now.

    Raises:
        NotFound: there is no such agent.
        Denied: policy does not let this actor change it.
        AgentRetired: it takes no more changes.
        AgentChanged: somebody else was faster.
        InvalidRequest: the parts do not fit together.
    """
    row = queries.load_agent(tx, agent)
    tx.authorize(Action.AGENT_UPDATE, queries.agent_asset(row.id))
    if row.state is AgentState.RETIRED:
        raise AgentRetired(agent=row.id)
    if version is not None and version != row.version:
        raise AgentChanged(agent=row.id, version=row.version)
    wanted: dict[str, Any] = {
        name: value for name, value in msgspec.structs.asdict(change).items() if value is not msgspec.UNSET
    }
    given = set(wanted)
    skills = wanted.pop("skills", None)
    stated = _skills(row) if skills is None else skills
    problems = rules.problems_of_profile(row.kind, stated, wanted.get("endpoint_url", row.endpoint_url))
    if queries.find_remote_row(tx, row.id) is not None:
        problems = {name: "its own card says so" for name in ("skills", "endpoint_url") if name in given}
    if problems:
        raise InvalidRequest(fields=problems)

    for name, value in wanted.items():
        setattr(row, name, value)
    if skills is not None:
        write_skills(tx, row, skills)
    touch(tx, row)
    announce(
        tx, row, RegistryEvent.AGENT_UPDATED, fields=sorted([*wanted, *(["skills"] if skills is not None else [])])
    )
    return _view(tx, row.id)


def activate_agent(tx: Tx, agent: str, *, reason: str = "") -> AgentView:
    """Let an agent take part: a draft for the first time, a quarantined one again. A repeat changes nothing.

    Raises:
        NotFound: there is no such agent.
        Denied: policy does not let this actor activate it.
        AgentCannotMove: it is retired.
    """
    return _move(tx, queries.load_agent(tx, agent), AgentState.ACTIVE, reason=reason)


def quarantine_agent(tx: Tx, agent: str, *, reason: str) -> AgentView:
    """Shut an agent out at once: its keys are refused and its streams end, until it is activated again.

    A repeat changes nothing.

    Raises:
        NotFound: there is no such agent.
        Denied: policy does not let this actor quarantine it.
        AgentCannotMove: it is retired.
    """
    return _move(tx, queries.load_agent(tx, agent), AgentState.QUARANTINED, reason=reason)


def retire_agent(tx: Tx, agent: str, *, reason: str = "") -> AgentView:
    """Shut an agent out for good: its keys are revoked; its name stays taken. A repeat changes nothing.

    Raises:
        NotFound: there is no such agent.
        Denied: policy does not let this actor retire it.
    """
    return _move(tx, queries.load_agent(tx, agent), AgentState.RETIRED, reason=reason)


def _move(tx: Tx, agent: Agent, wanted: AgentState, *, reason: str) -> AgentView:
    """Bring an agent to a state; where it is there already, say so in the ledger and change nothing."""
    action, event = _MOVES[wanted]
    tx.authorize(action, queries.agent_asset(agent.id), purpose=reason)
    if agent.state is wanted:
        audit.record(tx, event, queries.agent_asset(agent.id), changed=False)
        return _view(tx, agent.id)
    if not rules.can_move(agent.state, wanted):
        raise AgentCannotMove(agent=agent.id, state=agent.state, wanted=wanted)

    before, agent.state, agent.state_reason = agent.state, wanted, reason
    touch(tx, agent)
    keyring.announce(tx, keyring.AgentMoved(AgentId(agent.id), wanted))
    announce(tx, agent, event, reason=reason, before=before)
    if wanted is AgentState.QUARANTINED:
        keys.suspend_keys(tx, agent.id)
    elif wanted is AgentState.RETIRED:
        keys.revoke_keys(tx, agent.id, reason="the agent is retired")
        heartbeats.forget(tx, agent.id)
        _forget_credential(tx, agent.id)
    return _view(tx, agent.id)


def _add(tx: Tx, agent_id: AgentId, new: NewAgent) -> Agent:
    agent = Agent(
        id=agent_id,
        workspace_id=tx.actor.workspace,
        name=new.name,
        title=new.title,
        description=new.description,
        kind=new.kind,
        state=AgentState.DRAFT,
        state_reason="",
        version=1,
        skills=[],
        endpoint_url=new.endpoint_url,
        max_concurrency=new.max_concurrency,
        labels=dict(new.labels),
        capabilities=msgspec.to_builtins(new.capabilities),
        created_at=tx.now,
        updated_at=tx.now,
        created_by=tx.actor.principal,
    )
    tx.session.add(agent)
    tx.session.flush()  # its index rows refer to it
    write_skills(tx, agent, new.skills)
    return agent


def _forget_credential(tx: Tx, agent_id: str) -> None:
    """Forget what was shown to a remote agent: there is no contact with it any more."""
    row = queries.find_remote_row(tx, agent_id)
    if row is not None:
        row.credential = None


def write_skills(tx: Tx, agent: Agent, skills: Sequence[AgentSkill]) -> None:
    """Write the skills and the index over them."""
    agent.skills = msgspec.to_builtins(skills)
    tx.session.execute(delete(AgentSkillTag).where(AgentSkillTag.agent_id == agent.id))
    tx.session.add_all(
        AgentSkillTag(agent_id=agent.id, skill_id=skill.id, tag=tag, workspace_id=agent.workspace_id)
        for skill in skills
        for tag in {"", *skill.tags}
    )


def _skills(agent: Agent) -> tuple[AgentSkill, ...]:
    return msgspec.convert(agent.skills, tuple[AgentSkill, ...])


def touch(tx: Tx, agent: Agent) -> None:
    """Count a change."""
    agent.version += 1
    agent.updated_at = tx.now


def _view(tx: Tx, agent: str) -> AgentView:
    tx.session.flush()  # the view is read by a hot statement, which does not see what the session holds back
    return queries.get_agent(tx, agent)


def announce(tx: Tx, agent: Agent, event: RegistryEvent, **facts: Any) -> None:
    """Tell the ledger and the event log, in the same transaction as the change."""
    audit.record(tx, event, queries.agent_asset(agent.id), **facts)
    data = {"agent": agent.id, "name": agent.name, "state": agent.state, "version": agent.version, **facts}
    events.publish(tx, event, subject=agent.id, data=data, agent=agent.id)
