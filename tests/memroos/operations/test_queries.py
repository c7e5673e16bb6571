"""Counts over what the real verbs of the slices have done."""

from datetime import timedelta

import pytest
from sqlalchemy import text
from tests.actors import AGENT, OPERATOR, STRANGER, agent_actor
from tests.conftest import START, Policy
from tests.memroos.memory.service_twin import ServiceTwin

from memroos import audit, broker, bus, memory, operations, registry
from memroos_contracts.broker import Message, MessageRole, Part, TaskState
from memroos_contracts.errors import Denied
from memroos_contracts.governance import Action
from memroos_contracts.identity import Actor, AgentId
from memroos_contracts.operations import OperationsView
from memroos_contracts.registry import AgentKind, AgentState, Heartbeat, Liveness, NewAgent
from memroos_kit.clock import ManualClock, to_micros
from memroos_kit.db import Database, Hot, Tx


@pytest.fixture
def process(db: Database) -> operations.Process:
    return operations.Process(db, "0.1.0", START)


def overview(db: Database, process: operations.Process, actor: Actor = OPERATOR) -> OperationsView:
    return db.read_now(actor, operations.get_overview, process)


def register(db: Database, name: str, kind: AgentKind = AgentKind.REST) -> Actor:
    new = NewAgent(name=name, kind=kind, state=AgentState.ACTIVE)
    return agent_actor(db.write_now(OPERATOR, registry.create_agent, new).id)


def send_task(db: Database, agent: Actor) -> None:
    message = Message(message_id=f"msg-{agent.id}", role=MessageRole.USER, parts=[Part(text="hello")])
    db.write_now(OPERATOR, broker.send_message, broker.Send(message=message, agent=agent.id))


def test_an_empty_kernel_counts_nothing_and_names_every_state(db: Database, process: operations.Process) -> None:
    view = overview(db, process)

    assert view.agents.by_state == dict.fromkeys(AgentState, 0)
    assert view.tasks == dict.fromkeys(TaskState, 0)
    assert (view.inbox.queued, view.inbox.leased, view.inbox.dead) == (0, 0, 0)
    assert (view.approvals.pending, view.approvals.oldest_at) == (0, None)
    assert (view.ledger.events, view.ledger.sealed, view.ledger.head_age_s) == (0, 0, None)
    assert (view.events.oldest, view.events.newest) == (1, 0)


def test_agents_are_counted_by_state_and_the_active_ones_by_liveness(
    db: Database, process: operations.Process, clock: ManualClock
) -> None:
    there, away = register(db, "there"), register(db, "away")
    register(db, "new")
    register(db, "inside", AgentKind.LOCAL)
    gone = register(db, "gone")
    db.write_now(away, registry.record_heartbeat, Heartbeat(interval_s=10))
    db.write_now(gone, registry.record_heartbeat, Heartbeat(interval_s=10))
    db.write_now(OPERATOR, registry.retire_agent, gone.id, reason="")
    clock.advance(seconds=30)
    db.write_now(there, registry.record_heartbeat, Heartbeat(interval_s=10))

    agents = overview(db, process).agents

    assert agents.by_state[AgentState.ACTIVE] == 4
    assert agents.by_state[AgentState.RETIRED] == 1
    assert agents.by_liveness == {Liveness.LIVE: 2, Liveness.SILENT: 1, Liveness.UNKNOWN: 1}


def test_liveness_is_what_the_registry_says(db: Database, process: operations.Process, clock: ManualClock) -> None:
    """At each second around the limit the count and the agent's own view agree."""
    agent = register(db, "scout")
    db.write_now(agent, registry.record_heartbeat, Heartbeat(interval_s=1))

    for _ in range(5):
        clock.advance(seconds=1)
        said = db.read_now(OPERATOR, registry.get_agent, "scout").liveness
        assert overview(db, process).agents.by_liveness[said] == 1


def test_tasks_and_messages_are_counted(db: Database, process: operations.Process) -> None:
    first, second = register(db, "first"), register(db, "second")
    send_task(db, first)
    send_task(db, second)
    db.write_now(second, broker.claim_task, lease_s=60)
    db.write_now(first, bus.send, to=AgentId(second.id), kind="note", body={})

    view = overview(db, process)

    assert view.tasks[TaskState.SUBMITTED] + view.tasks[TaskState.WORKING] == 2
    assert (view.inbox.queued, view.inbox.leased, view.inbox.dead) == (2, 1, 0)


_APPROVE_LATER = Hot(
    text(
        "INSERT INTO approval (id, workspace_id, state, action, resumes, asset, purpose, requester, agent_id, digest, "
        "arguments, reason, policies, decision_id, created_at, expires_at, note) VALUES (:id, 'default', 'pending', "
        "'file.write', 'tool.use', 'file:x', '', 'agent:a', 'a', :id, '{}', '', '[]', 'dec_1', :at, :at, '')"
    )
)


def ask(tx: Tx, approval_id: str) -> None:
    tx.execute(_APPROVE_LATER, id=approval_id, at=to_micros(tx.now))


def test_approvals_that_wait_are_counted_with_the_oldest(
    db: Database, process: operations.Process, clock: ManualClock
) -> None:
    for approval_id in ("apr_1", "apr_2"):
        db.write_now(OPERATOR, ask, approval_id)
        clock.advance(seconds=5)

    approvals = overview(db, process).approvals

    assert (approvals.pending, approvals.oldest_at) == (2, START)


def test_the_ledger_says_how_much_of_it_is_sealed(
    db: Database, process: operations.Process, clock: ManualClock
) -> None:
    register(db, "scout")
    db.write_now(OPERATOR, audit.seal)
    sealed = overview(db, process).ledger
    register(db, "second")

    ledger = overview(db, process).ledger

    assert sealed.events == sealed.sealed > 0
    assert ledger.sealed == sealed.sealed < ledger.events
    assert ledger.head_at is not None
    assert ledger.head_age_s is not None
    assert ledger.head_age_s >= 0


def test_the_event_log_says_what_is_kept(db: Database, process: operations.Process) -> None:
    register(db, "scout")

    log = overview(db, process).events

    assert log.oldest == 1
    assert log.newest >= 1


def test_the_process_is_described(db: Database, process: operations.Process, clock: ManualClock) -> None:
    register(db, "scout")
    clock.advance(seconds=90)

    described = overview(db, process).process

    assert described is not None
    assert (described.version, described.started_at) == ("0.1.0", START)
    assert described.uptime_s == timedelta(seconds=90).total_seconds()
    assert described.database_bytes > db.path.stat().st_size
    assert described.writer_queue == 0
    assert described.commits > 0


def test_another_workspace_sees_neither_ours_nor_the_house(db: Database, process: operations.Process) -> None:
    send_task(db, register(db, "scout"))

    theirs = overview(db, process, STRANGER)

    assert theirs.agents.by_state[AgentState.ACTIVE] == 0
    assert sum(theirs.tasks.values()) == 0
    assert theirs.inbox.queued == 0
    assert theirs.process is None


def test_policy_is_asked(db: Database, process: operations.Process, policy: Policy) -> None:
    policy.deny(Action.OPERATIONS_READ)

    with pytest.raises(Denied):
        overview(db, process, AGENT)


def test_what_waits_for_the_memory_service_is_counted_for_the_workspace_alone(db: Database) -> None:
    handover = memory.HandOver(db, ServiceTwin().store(), memory.Bell())
    process = operations.Process(db, "0.1.0", START, handover)
    for actor, texts in ((AGENT, ("one", "two")), (STRANGER, ("three",))):
        for said in texts:
            event = db.write_now(actor, memory.remember, stream=actor.principal, kind="memory", text=said)
    db.write_now(STRANGER, memory.remove_event, event.id)

    found = [overview(db, process, actor).memory for actor in (OPERATOR, STRANGER)]

    assert [(one.configured, one.connected) for one in found] == [(True, False)] * 2
    assert [(one.pending, one.removals) for one in found] == [(2, 0), (1, 1)]


def test_without_a_memory_service_nothing_waits(db: Database, process: operations.Process) -> None:
    db.write_now(AGENT, memory.remember, stream=AGENT.principal, kind="memory", text="one")
    found = overview(db, process).memory
    assert (found.configured, found.pending) == (False, 0)
