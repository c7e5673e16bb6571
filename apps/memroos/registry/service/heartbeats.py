"""Verbs about signs of life."""

import msgspec
from sqlalchemy import bindparam, delete, select, update
from sqlalchemy.dialects.sqlite import insert

from memroos import audit, events
from memroos.registry import queries, rules
from memroos.registry.errors import AgentKeyNeeded, AgentRetired
from memroos.registry.models import Agent
from memroos.registry.models import Heartbeat as HeartbeatRow
from memroos.registry.rules import RegistryEvent
from memroos_contracts.errors import NotFound
from memroos_contracts.governance import Action
from memroos_contracts.identity import AgentId
from memroos_contracts.registry import AgentKind, AgentState, Heartbeat, HeartbeatView, Liveness
from memroos_kit.clock import to_micros
from memroos_kit.db import Hot, Tx

SILENT_AT_ONCE = 200
"""Agents in one step: a few milliseconds of the writer's time."""

_KNOWN = Hot(
    select(Agent.kind, Agent.state, HeartbeatRow.announced)
    .outerjoin(HeartbeatRow, HeartbeatRow.agent_id == Agent.id)
    .where(Agent.id == bindparam("agent"), Agent.workspace_id == bindparam("workspace"))
)
_beat = insert(HeartbeatRow)
_UPSERT = Hot(
    _beat.on_conflict_do_update(
        index_elements=["agent_id"],
        set_={c.name: _beat.excluded[c.name] for c in HeartbeatRow.__table__.columns if c.name != "agent_id"},
    )
)
_FORGET = Hot(delete(HeartbeatRow).where(HeartbeatRow.agent_id == bindparam("agent")))
_SILENT = Hot(
    select(HeartbeatRow.agent_id)
    .where(
        HeartbeatRow.announced == bindparam("live"),
        HeartbeatRow.silent_at <= bindparam("now"),
        HeartbeatRow.workspace_id == bindparam("workspace"),
    )
    .order_by(HeartbeatRow.silent_at)
    .limit(bindparam("most"))
)
_ANNOUNCED = Hot(
    update(HeartbeatRow).where(HeartbeatRow.agent_id == bindparam("agent")).values(announced=bindparam("liveness"))
)


def record_heartbeat(tx: Tx, beat: Heartbeat) -> HeartbeatView:
    """Take down that the calling agent is there.

    Policy is asked for every heartbeat, but decision and outcome reach the ledger only when the agent comes back, or is
    denied: a thousand agents would otherwise write six million rows a day that say "as before", and hide what changed.
    A repeat is another heartbeat.

    Raises:
        AgentKeyNeeded: the actor is not an agent.
        NotFound: the agent is not in this workspace.
        Denied: policy does not let it.
        AgentRetired: it was retired while its heartbeat was on the way.
    """
    agent = tx.actor.agent
    if agent is None:
        raise AgentKeyNeeded
    known = tx.execute(_KNOWN, agent=agent, workspace=tx.actor.workspace).fetchone()
    if known is None:
        raise NotFound(kind_of_object="agent", id=agent)
    kind, state, announced = AgentKind(known[0]), AgentState(known[1]), known[2]
    asset, changes = queries.agent_asset(agent), announced != Liveness.LIVE
    if changes or not tx.permits(Action.AGENT_HEARTBEAT, asset):
        tx.authorize(Action.AGENT_HEARTBEAT, asset)  # recorded, and so is a denial
    if state is AgentState.RETIRED:
        raise AgentRetired(agent=agent)

    silent_at = rules.silent_at(tx.now, beat.interval_s)
    tx.execute(
        _UPSERT,
        agent_id=agent,
        workspace_id=tx.actor.workspace,
        last_seen_at=to_micros(tx.now),
        interval_s=beat.interval_s,
        silent_at=to_micros(silent_at),
        announced=Liveness.LIVE.value,
        status=beat.status,
        load=beat.load,
        version=beat.version,
        working_on=msgspec.json.encode(beat.working_on).decode(),
    )
    if changes:
        _announce(tx, agent, RegistryEvent.AGENT_LIVE)
    liveness = rules.decide_liveness(kind, tx.now, beat.interval_s, tx.now)
    return HeartbeatView(agent, state, liveness, tx.now, silent_at)


def announce_silent_agents(tx: Tx) -> int:
    """Say of agents of the actor's workspace that they have fallen silent, once each; return how many.

    The step of a worker: 0 means none are left. May be repeated; an agent is named again only after it was back.
    """
    rows = tx.execute(
        _SILENT, live=Liveness.LIVE.value, now=to_micros(tx.now), workspace=tx.actor.workspace, most=SILENT_AT_ONCE
    ).fetchall()
    for (agent,) in rows:
        tx.execute(_ANNOUNCED, agent=agent, liveness=Liveness.SILENT.value)
        _announce(tx, AgentId(agent), RegistryEvent.AGENT_SILENT)
    return len(rows)


def forget(tx: Tx, agent: str) -> None:
    """Forget an agent's signs of life, so that it does not fall silent after it was retired."""
    tx.execute(_FORGET, agent=agent)


def _announce(tx: Tx, agent: AgentId, event: RegistryEvent) -> None:
    audit.record(tx, event, queries.agent_asset(agent))
    events.publish(tx, event, subject=agent, data={"agent": agent}, agent=agent)
