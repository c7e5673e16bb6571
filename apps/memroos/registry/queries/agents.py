"""Reads about workspaces, agents, peers and keys.

Reads for the slices above (`get_agent`, `find_agents`) leave the decision to the verb that calls them; reads for the
doors (`read_agent`, `list_...`) ask policy themselves. What is not in the actor's workspace does not exist.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, Select, bindparam, or_, select

from memroos.registry import rules
from memroos.registry.models import Agent, AgentSkillTag, ApiKey, Heartbeat, RemoteAgent, Workspace
from memroos_contracts.errors import NotFound
from memroos_contracts.governance import Action, Asset
from memroos_contracts.identity import AgentId, KeyId, Role, WorkspaceId
from memroos_contracts.pages import Page
from memroos_contracts.registry import (
    AgentFilter,
    AgentKind,
    AgentSkill,
    AgentState,
    AgentView,
    Capabilities,
    Health,
    KeyView,
    Liveness,
    PeerView,
    WhoAmIView,
    WorkspaceView,
)
from memroos_kit import cursors
from memroos_kit.clock import from_micros, to_micros
from memroos_kit.db import Hot, Read

_ANY = "*"
_DEFAULT_PAGE = 50

_decode_skills = msgspec.json.Decoder(tuple[AgentSkill, ...]).decode
_decode_capabilities = msgspec.json.Decoder(Capabilities).decode
_decode_labels = msgspec.json.Decoder(dict[str, str]).decode

_AGENT = (
    select(
        Agent.id,
        Agent.workspace_id,
        Agent.name,
        Agent.title,
        Agent.description,
        Agent.kind,
        Agent.state,
        Agent.state_reason,
        Agent.version,
        Agent.skills,
        Agent.endpoint_url,
        Agent.max_concurrency,
        Agent.labels,
        Agent.capabilities,
        Agent.created_at,
        Agent.updated_at,
        Agent.created_by,
        Heartbeat.last_seen_at,
        Heartbeat.interval_s,
        Heartbeat.status,
        Heartbeat.load,
        RemoteAgent.health,
        RemoteAgent.seen_at,
    )
    .outerjoin(Heartbeat, Heartbeat.agent_id == Agent.id)
    .outerjoin(RemoteAgent, RemoteAgent.agent_id == Agent.id)
)

_here = Agent.workspace_id == bindparam("workspace")
_active = _AGENT.where(_here, Agent.state == bindparam("state")).order_by(Agent.id)
_tagged = select(AgentSkillTag.agent_id).where(AgentSkillTag.workspace_id == bindparam("workspace"))

_BY_ID = Hot(_AGENT.where(_here, Agent.id == bindparam("agent")))
_BY_NAME = Hot(_AGENT.where(_here, Agent.name == bindparam("agent")))
_ACTIVE = Hot(_active)
_ACTIVE_BY_SKILL = Hot(_active.where(Agent.id.in_(_tagged.where(AgentSkillTag.skill_id == bindparam("skill")))))
_ACTIVE_BY_TAG = Hot(_active.where(Agent.id.in_(_tagged.where(AgentSkillTag.tag == bindparam("tag")))))
_DUE = Hot(
    select(Heartbeat.workspace_id)
    .where(Heartbeat.announced == bindparam("live"), Heartbeat.silent_at <= bindparam("now"))
    .union(select(ApiKey.workspace_id).where(ApiKey.revoked_at.is_(None), ApiKey.expires_at <= bindparam("now")))
)


# -- workspaces ------------------------------------------------------------------------------------------------------


def list_workspaces(tx: Read, *, limit: int = _DEFAULT_PAGE, cursor: str | None = None) -> Page[WorkspaceView]:
    """List the workspaces this actor may know of: all from the default one, elsewhere only its own.

    Raises:
        Denied: policy does not let this actor look.
        InvalidCursor: the cursor is of another listing.
    """
    tx.authorize(Action.WORKSPACE_READ, Asset(kind="workspace", id=_ANY))
    query = select(Workspace).order_by(Workspace.id).limit(limit + 1)
    if not rules.can_see_workspaces(tx.actor.workspace):
        query = query.where(Workspace.id == tx.actor.workspace)
    if cursor is not None:
        query = query.where(Workspace.id > cursors.decode("workspaces", cursor, str)[0])
    rows = tx.session.scalars(query).all()
    more = cursors.encode("workspaces", rows[limit - 1].id) if len(rows) > limit else None
    return Page([workspace_view(row) for row in rows[:limit]], more)


def workspace_view(row: Workspace) -> WorkspaceView:
    """Return what others see of a workspace."""
    return WorkspaceView(WorkspaceId(row.id), row.name, row.title, row.created_at)


# -- agents ----------------------------------------------------------------------------------------------------------


def get_agent(tx: Read, agent: str) -> AgentView:
    """Return an agent of the actor's workspace by id or name; a point lookup that may run inline.

    Raises:
        NotFound: there is none, or it is in another workspace.
    """
    found = find_agent(tx, agent)
    if found is None:
        raise NotFound(kind_of_object="agent", id=agent)
    return found


def find_agent(tx: Read, agent: str) -> AgentView | None:
    """Return an agent of the actor's workspace by id or name, or None."""
    statement = _BY_ID if agent.startswith("agt_") else _BY_NAME  # a name has no underscore
    row = tx.execute(statement, workspace=tx.actor.workspace, agent=agent).fetchone()
    return None if row is None else _view(row, tx.now)


def find_agents(tx: Read, *, skill: str | None = None, tags: Sequence[str] = ()) -> list[AgentView]:
    """Return the active agents that could do something, oldest first, with their liveness and load.

    Args:
        skill: the id of a skill they must have.
        tags: all of these have to stand on one skill, and on the one asked for.
    """
    where = {"workspace": tx.actor.workspace, "state": AgentState.ACTIVE.value}
    if skill is not None:
        cursor = tx.execute(_ACTIVE_BY_SKILL, skill=skill, **where)
    elif tags:
        cursor = tx.execute(_ACTIVE_BY_TAG, tag=tags[0], **where)
    else:
        cursor = tx.execute(_ACTIVE, **where)
    agents = [_view(row, tx.now) for row in cursor.fetchall()]
    return [agent for agent in agents if rules.offers(agent.skills, skill, tags)]


def read_agent(tx: Read, agent: str) -> AgentView:
    """Return an agent to whoever may read it; an agent reads itself only, and others as peers.

    Raises:
        NotFound: there is none that this actor may know of.
        Denied: policy does not let this actor look.
    """
    found = get_agent(tx, agent)
    if tx.actor.role is Role.AGENT and found.id != tx.actor.agent:
        raise NotFound(kind_of_object="agent", id=agent)
    tx.authorize(Action.AGENT_READ, agent_asset(found.id))
    return found


def list_agents(
    tx: Read, which: AgentFilter | None = None, *, limit: int = _DEFAULT_PAGE, cursor: str | None = None
) -> Page[AgentView]:
    """List the agents of the actor's workspace, newest first.

    Raises:
        Denied: policy does not let this actor look.
        InvalidCursor: the cursor is of another listing.
    """
    tx.authorize(Action.AGENT_READ, agent_asset(_ANY))
    which = which or AgentFilter()
    listing = cursors.listing("agents", **msgspec.structs.asdict(which))
    query = _filtered(which, tx.actor.workspace).order_by(Agent.id.desc()).limit(limit + 1)
    if cursor is not None:
        query = query.where(Agent.id < cursors.decode(listing, cursor, str)[0])
    agents = _agents(tx, query)
    return Page(agents[:limit], cursors.encode(listing, agents[limit - 1].id) if len(agents) > limit else None)


def list_peers(tx: Read, *, limit: int = _DEFAULT_PAGE, cursor: str | None = None) -> Page[PeerView]:
    """List the other active agents of the workspace by name: what they can do and whether they are there.

    Raises:
        Denied: policy does not let this actor look.
        InvalidCursor: the cursor is of another listing.
    """
    tx.authorize(Action.PEER_READ, Asset(kind="peer", id=_ANY))
    query = _filtered(AgentFilter(state=AgentState.ACTIVE), tx.actor.workspace)
    query = query.where(Agent.id != (tx.actor.agent or "")).order_by(Agent.name).limit(limit + 1)
    if cursor is not None:
        query = query.where(Agent.name > cursors.decode("peers", cursor, str)[0])
    agents = _agents(tx, query)
    peers = [PeerView(a.id, a.name, a.title, a.skills, a.liveness) for a in agents[:limit]]
    return Page(peers, cursors.encode("peers", peers[-1].name) if len(agents) > limit else None)


def agent_asset(agent: str) -> Asset:
    """Return the reference under which policy and the ledger know an agent."""
    return Asset(kind="agent", id=agent, agent="" if agent == _ANY else agent)


def load_agent(tx: Read, agent: str) -> Agent:
    """Return an agent's row by id or name, for change.

    Raises:
        NotFound: there is none, or it is in another workspace.
    """
    query = select(Agent).where(Agent.workspace_id == tx.actor.workspace)
    row = tx.session.scalar(query.where(Agent.id == agent if agent.startswith("agt_") else Agent.name == agent))
    if row is None:
        raise NotFound(kind_of_object="agent", id=agent)
    return row


def _filtered(which: AgentFilter, workspace: WorkspaceId) -> Select[Any]:
    query = _AGENT.where(Agent.workspace_id == workspace)
    if which.state is not None:
        query = query.where(Agent.state == which.state)
    if which.kind is not None:
        query = query.where(Agent.kind == which.kind)
    skilled = select(AgentSkillTag.agent_id).where(AgentSkillTag.workspace_id == workspace)
    if which.skill is not None:
        query = query.where(Agent.id.in_(skilled.where(AgentSkillTag.skill_id == which.skill)))
    if which.tag:
        query = query.where(Agent.id.in_(skilled.where(AgentSkillTag.tag == which.tag)))
    return query


def _agents(tx: Read, query: Select[Any]) -> list[AgentView]:
    return [_view(row, tx.now) for row in tx.execute(Hot(query)).fetchall()]


def _view(row: Any, now: datetime) -> AgentView:
    """Return the view of a driver's row, in the order of `_AGENT`."""
    (id_, workspace, name, title, description, kind, state, reason, version, skills, url, most, labels,
     capabilities, created, updated, by, seen, interval_s, status, load, health, found_well) = row  # fmt: skip
    kind = AgentKind(kind)
    if health is not None:  # its card is looked at; what it says of itself does not count
        seen = found_well
    seen_at = None if seen is None else from_micros(seen)
    if health is not None:
        liveness = rules.liveness_of(Health(health))
    else:
        liveness = rules.decide_liveness(kind, seen_at, interval_s or 0, now)
    return AgentView(
        id=id_,
        workspace_id=workspace,
        name=name,
        title=title,
        description=description,
        kind=kind,
        state=AgentState(state),
        state_reason=reason,
        version=version,
        skills=_decode_skills(skills),
        endpoint_url=url,
        max_concurrency=most,
        labels=_decode_labels(labels),
        liveness=liveness,
        last_seen_at=seen_at,
        status=status or "",
        load=load or 0.0,
        created_at=from_micros(created),
        updated_at=from_micros(updated),
        created_by=by,
        capabilities=_decode_capabilities(capabilities),
    )


# -- keys ------------------------------------------------------------------------------------------------------------


def list_keys(
    tx: Read, *, agent: str | None = None, limit: int = _DEFAULT_PAGE, cursor: str | None = None
) -> Page[KeyView]:
    """List the keys of the actor's workspace, newest first; an agent sees only the one it uses.

    Args:
        agent: id or name of an agent, for the keys of that one.

    Raises:
        NotFound: there is no such agent.
        Denied: policy does not let this actor look.
        InvalidCursor: the cursor is of another listing.
    """
    owner = get_agent(tx, agent).id if agent is not None else None
    tx.authorize(Action.KEY_READ, Asset(kind="key", id=_ANY, agent=owner or ""))
    listing = cursors.listing("keys", agent=owner)
    query = _reachable_keys(tx).order_by(ApiKey.id.desc()).limit(limit + 1)
    if owner is not None:
        query = query.where(ApiKey.agent_id == owner)
    if cursor is not None:
        query = query.where(ApiKey.id < cursors.decode(listing, cursor, str)[0])
    rows = tx.session.scalars(query).all()
    more = cursors.encode(listing, rows[limit - 1].id) if len(rows) > limit else None
    return Page([key_view(row, tx.now) for row in rows[:limit]], more)


def load_key(tx: Read, key_id: KeyId) -> ApiKey:
    """Return a key's row. For an agent there is no key but the one it uses: another one may reach further.

    Raises:
        NotFound: there is none that this actor may know of.
    """
    row = tx.session.scalar(_reachable_keys(tx).where(ApiKey.id == key_id))
    if row is None:
        raise NotFound(kind_of_object="key", id=key_id)
    return row


def has_operator_key(tx: Read, workspace: WorkspaceId, *, beside: KeyId) -> bool:
    """Say whether another key than this one operates a workspace, and will go on doing so."""
    others = select(ApiKey.id).where(
        ApiKey.workspace_id == workspace,
        ApiKey.role == Role.OPERATOR,
        ApiKey.id != beside,
        ApiKey.scopes == [],  # one with scopes may not be able to make another key
        ApiKey.replaced_by.is_(None),
        *_opens(tx.now),
    )
    return tx.session.scalar(others.limit(1)) is not None


def list_usable_keys(tx: Read) -> Sequence[ApiKey]:
    """Return the rows of all keys of all workspaces that are neither expired nor revoked; for the keyring."""
    return tx.session.scalars(select(ApiKey).where(*_opens(tx.now))).all()


def list_shut_out_agents(tx: Read) -> Sequence[str]:
    """Return the ids of all agents whose keys are refused; for the keyring."""
    shut_out = [state for state in AgentState if not rules.is_admitted(state)]
    return tx.session.scalars(select(Agent.id).where(Agent.state.in_(shut_out))).all()


def key_asset(key: ApiKey) -> Asset:
    """Return the reference under which policy and the ledger know a key."""
    agent = None if key.agent_id is None else AgentId(key.agent_id)
    owner = rules.actor_id(key.role, KeyId(key.id), key.name, agent)
    return Asset(kind="key", id=key.id, owner=f"{key.role}:{owner}", agent=key.agent_id or "")


def key_view(row: ApiKey, now: datetime) -> KeyView:
    """Return what others see of a key."""
    return KeyView(
        id=KeyId(row.id),
        workspace_id=WorkspaceId(row.workspace_id),
        name=row.name,
        role=row.role,
        agent_id=None if row.agent_id is None else AgentId(row.agent_id),
        scopes=tuple(row.scopes),
        last4=row.last4,
        state=rules.decide_key_state(row.expires_at, row.revoked_at, now),
        created_at=row.created_at,
        created_by=row.created_by,
        expires_at=row.expires_at,
        revoked_at=row.revoked_at,
        revoke_reason=row.revoke_reason,
        replaced_by=None if row.replaced_by is None else KeyId(row.replaced_by),
        last_used_at=row.last_used_at,
    )


def _reachable_keys(tx: Read) -> Select[ApiKey]:
    query = select(ApiKey).where(ApiKey.workspace_id == tx.actor.workspace)
    return query if tx.actor.role is not Role.AGENT else query.where(ApiKey.id == (tx.actor.key or ""))


def _opens(now: datetime) -> tuple[ColumnElement[bool], ...]:
    return ApiKey.revoked_at.is_(None), or_(ApiKey.expires_at.is_(None), ApiKey.expires_at > now)


# -- the caller, and what is due -------------------------------------------------------------------------------------


def whoami(tx: Read) -> WhoAmIView:
    """Return who the actor is taken for. It learns about itself only, so policy is not asked."""
    actor = tx.actor
    return WhoAmIView(
        role=actor.role,
        id=actor.id,
        principal=actor.principal,
        workspace=actor.workspace,
        key=actor.key,
        scopes=tuple(sorted(actor.scopes)),
        on_behalf_of=actor.on_behalf_of,
        agent=None if actor.agent is None else find_agent(tx, actor.agent),
    )


def list_due(tx: Read) -> list[WorkspaceId]:
    """Return the workspaces in which an agent has fallen silent or a key has expired, but nobody has said so yet."""
    rows = tx.execute(_DUE, live=Liveness.LIVE.value, now=to_micros(tx.now)).fetchall()
    return [WorkspaceId(row[0]) for row in rows]
