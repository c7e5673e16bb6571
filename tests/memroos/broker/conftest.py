"""A kernel database with the real gate, agents that send and work, and short words for what they do."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.actors import KERNEL, OPERATOR, agent_actor

from memroos import audit, broker, events, registry
from memroos.governance import Gate, Policy
from memroos_contracts.broker import ClaimView, Message, MessageRole, Part, TaskEvent, TaskView, WorkReport
from memroos_contracts.governance import Action, Label, Sensitivity
from memroos_contracts.identity import Actor, TaskId
from memroos_contracts.registry import AgentKind, AgentSkill, AgentState, NewAgent
from memroos_kit.clock import ManualClock
from memroos_kit.db import Database
from memroos_kit.ids import new_id

RESTRICTED = Label(Sensitivity.RESTRICTED)
"""An agent that sends something restricted is held for a person by the shipped policies."""


@pytest.fixture(scope="session")
def shipped() -> Policy:
    """The shipped policy set, parsed once."""
    return Policy.load()


@pytest.fixture
def gate(shipped: Policy) -> Gate:
    """The gate of this test's database; a held task goes on as it does in the kernel."""
    return Gate(shipped, resumers={Action.TASK_SEND: broker.answer_hold}, approval_ttl=timedelta(hours=1))


@pytest.fixture
def recent() -> broker.Tails:
    """The recent ends of this database's task logs."""
    return broker.Tails()


@pytest.fixture
def db(
    db_path: Path,
    clock: ManualClock,
    gate: Gate,
    ledger: audit.Ledger,
    recent: broker.Tails,
    notifier: events.Notifier,
) -> Iterator[Database]:
    """A kernel database governed by the shipped policies."""
    database = Database(
        db_path,
        authorizer=gate,
        journals=[ledger, recent, events.Log(notifier)],
        failures=audit.FailureRecorder(),
        clock=clock,
    )
    yield database
    database.close()


class House:
    """A database, and what its callers and agents do with it."""

    def __init__(self, db: Database) -> None:
        self.db = db

    def register(
        self,
        name: str,
        kind: AgentKind = AgentKind.REST,
        *,
        skills: tuple[str, ...] = (),
        max_concurrency: int = 1,
        as_: Actor = OPERATOR,
    ) -> Actor:
        """Register an active agent and return it as an actor."""
        new = NewAgent(
            name=name,
            kind=kind,
            state=AgentState.ACTIVE,
            max_concurrency=max_concurrency,
            skills=tuple(AgentSkill(id=skill, name=skill, tags=(f"about-{skill}",)) for skill in skills),
        )
        return agent_actor(self.db.write_now(as_, registry.create_agent, new).id, as_.workspace)

    def send(self, caller: Actor, text: str = "How far is the moon?", **words: Any) -> TaskView:
        """Send a message; `message` words go into it, the others are about the sending."""
        return self.db.write_now(caller, broker.send_message, sending(text, **words))

    def claim(self, worker: Actor, *, lease_s: int = 60) -> ClaimView:
        """Claim a task that is known to wait."""
        claim = self.db.write_now(worker, broker.claim_task, lease_s=lease_s)
        assert claim is not None
        return claim

    def claim_or_none(self, worker: Actor) -> ClaimView | None:
        """Claim a task if one waits."""
        return self.db.write_now(worker, broker.claim_task, lease_s=60)

    def see(self, task: TaskView | TaskId, actor: Actor = KERNEL) -> TaskView:
        """Look at a task."""
        return self.db.read_now(actor, broker.get_task, task.id if isinstance(task, TaskView) else task)

    def log(self, task: TaskView) -> list[TaskEvent]:
        """Return a task's log."""
        return self.db.read_now(KERNEL, broker.list_events, task.id)

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        """Look into the tables."""
        return self.db.read_now(KERNEL, lambda tx: [tuple(row) for row in tx.session.connection().exec_driver_sql(sql)])

    def audited(self, prefix: str = "task.") -> list[str]:
        """Return the events in the ledger, oldest first."""
        rows = self.query("SELECT action FROM audit_event WHERE kind = 'outcome' ORDER BY seq")
        return [action for (action,) in rows if action.startswith(prefix)]


@pytest.fixture
def house(db: Database) -> House:
    """What everybody does in this test's database."""
    return House(db)


@pytest.fixture
def caller(house: House) -> Actor:
    """An agent that sends tasks."""
    return house.register("caller")


@pytest.fixture
def worker(house: House) -> Actor:
    """An agent that does them."""
    return house.register("worker", skills=("count",))


def sending(text: str = "How far is the moon?", **words: Any) -> broker.Send:
    """Return a message to be sent, to the worker unless it says otherwise."""
    about = {name: words.pop(name) for name in tuple(words) if name in broker.Send.__struct_fields__}
    if not {"agent", "skill", "tags"} & about.keys() and not words.get("task_id"):
        about["agent"] = "worker"
    message = {
        "message_id": new_id("msg"),
        "role": MessageRole.USER,
        "parts": [Part(text=text)],
    } | words
    return broker.Send(message=Message(**message), **about)


def report(claim: ClaimView, *texts: str) -> WorkReport:
    """Return a report under a claim."""
    return WorkReport(fencing_token=claim.fencing_token, parts=[Part(text=text) for text in texts])


def text_of(event: TaskEvent) -> str:
    """Return what an event's message says."""
    return broker.text_of(event.message.parts) if event.message is not None else ""
