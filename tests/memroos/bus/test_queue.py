"""The queue against a simple model: whatever happens, nothing is lost, doubled or out of order."""

import tempfile
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from tests.actors import KERNEL, OPERATOR
from tests.conftest import Policy, create_tables
from tests.memroos.bus.conftest import register

from memroos import audit, bus, events
from memroos_contracts.bus import InboxState
from memroos_contracts.identity import Actor, AgentId, InboxMessageId
from memroos_kit.clock import ManualClock
from memroos_kit.db import Database, Journal

CONTEXTS = ["a", "a", "b", ""]
LEASE_S = 60


class Item(msgspec.Struct):
    """A message in the model."""

    id: InboxMessageId
    context: str
    priority: int
    most: int
    left: int
    state: str = "queued"
    token: int = 0
    lease_until: float = 0
    not_before: float = 0
    expires_at: float | None = None

    @property
    def is_open(self) -> bool:
        return self.state in ("queued", "leased")


class Queue(RuleBasedStateMachine):
    """Does to the real queue and to a list what callers, consumers and time may do."""

    template: Path

    @initialize()
    def start(self) -> None:
        self.folder = tempfile.TemporaryDirectory()
        path = Path(self.folder.name) / "conversations.db"
        path.write_bytes(self.template.read_bytes())
        self.clock = ManualClock()
        journals: list[Journal] = [audit.Ledger(audit.Signer("memroos/test", bytes(32))), events.Log(events.Notifier())]
        self.db = Database(path, authorizer=Policy(), journals=journals, clock=self.clock)
        self.sender, self.receiver = register(self.db, "sender"), register(self.db, "receiver")
        self.items: list[Item] = []
        self.heads: dict[str, Item] = {}
        self.at = 0.0

    def teardown(self) -> None:
        if hasattr(self, "db"):
            self.db.close()
            self.folder.cleanup()

    def do(self, verb: Callable[..., Any], *args: Any, actor: Actor | None = None, **words: Any) -> Any:
        return self.db.write_now(actor or self.receiver, verb, *args, **words)

    # -- the model -----------------------------------------------------------------------------------------------

    def recover(self) -> None:
        for item in self.items:
            if item.state == "leased" and item.lease_until <= self.at:
                self.give_back(item)
            elif item.state == "queued" and item.expires_at is not None and item.expires_at <= self.at:
                item.state = "expired"

    def give_back(self, item: Item, not_before: float = 0) -> None:
        item.not_before = not_before
        if item.left == 0:
            item.state = "dead"
        elif item.expires_at is not None and item.expires_at <= self.at:
            item.state = "expired"
        else:
            item.state = "queued"

    def offered(self) -> list[Item]:
        """What may be handed out: of each context its head, by priority, then by age."""
        self.choose_heads()
        heads = set(map(id, self.heads.values()))
        ready = [
            item
            for item in self.items
            if item.state == "queued" and item.not_before <= self.at and (not item.context or id(item) in heads)
        ]
        return sorted(ready, key=lambda item: (-item.priority, self.items.index(item)))

    def choose_heads(self) -> None:
        """Let the eldest that waits follow where a context's head has gone; who is head stays it while it is open."""
        for item in self.items:
            head = self.heads.get(item.context)
            if item.context and item.is_open and (head is None or not head.is_open):
                self.heads[item.context] = item

    def held(self) -> list[Item]:
        return [item for item in self.items if item.state == "leased"]

    # -- what may happen -----------------------------------------------------------------------------------------

    @rule(
        context=st.sampled_from(CONTEXTS),
        priority=st.integers(0, 2),
        attempts=st.integers(1, 3),
        ttl_s=st.sampled_from([None, None, None, 10, 100]),
        delay_s=st.sampled_from([0, 0, 0, 30]),
    )
    def send(self, context: str, priority: int, attempts: int, ttl_s: int | None, delay_s: int) -> None:
        sent = self.do(
            bus.send,
            actor=self.sender,
            to=self.receiver.agent,
            kind="note",
            body={"n": len(self.items)},
            context_id=context,
            priority=priority,
            max_attempts=attempts,
            ttl_s=ttl_s,
            not_before=self.clock.now() + timedelta(seconds=delay_s),
        )
        self.items.append(
            Item(
                sent.id,
                context,
                priority,
                attempts,
                attempts,
                not_before=self.at + delay_s,
                expires_at=None if ttl_s is None else self.at + ttl_s,
            )
        )

    @rule(most=st.integers(1, 4))
    def receive(self, most: int) -> None:
        self.recover()
        got = self.do(bus.receive, AgentId(self.receiver.id), max_messages=most, lease_s=LEASE_S)
        expected = self.offered()[:most]
        assert [delivery.message.id for delivery in got] == [item.id for item in expected]
        for item, delivery in zip(expected, got, strict=True):
            assert delivery.fencing_token > item.token
            assert delivery.body == {"n": self.items.index(item)}
            item.state, item.token, item.lease_until = "leased", delivery.fencing_token, self.at + LEASE_S
            item.left -= 1

    @precondition(lambda self: self.held())
    @rule(data=st.data(), how=st.sampled_from(["ack", "nack", "release", "extend"]), off=st.sampled_from([0, 0, 0, 1]))
    def settle(self, data: st.DataObject, how: str, off: int) -> None:
        item = data.draw(st.sampled_from(self.held()))
        words: dict[str, Any] = {"nack": {"delay_s": 10}, "extend": {"lease_s": LEASE_S}}.get(how, {})
        if off or item.lease_until <= self.at:
            with pytest.raises(bus.StaleLease):
                self.do(getattr(bus, how), item.id, item.token + off, **words)
            return
        self.do(getattr(bus, how), item.id, item.token, **words)
        if how == "ack":
            item.state = "acked"
        elif how == "nack":
            self.give_back(item, self.at + 10)
        elif how == "release":
            item.left += 1
            self.give_back(item)
        else:
            item.lease_until = self.at + LEASE_S

    @precondition(lambda self: any(item.state == "dead" for item in self.items))
    @rule(data=st.data())
    def requeue(self, data: st.DataObject) -> None:
        item = data.draw(st.sampled_from([item for item in self.items if item.state == "dead"]))
        self.recover()
        self.do(bus.recover_expired, actor=KERNEL)
        self.choose_heads()
        self.do(bus.requeue, item.id, actor=OPERATOR)
        item.state, item.left, item.not_before, item.expires_at = "queued", item.most, 0, None
        self.choose_heads()

    @rule(seconds=st.sampled_from([1, 10, 60, 100]))
    def wait(self, seconds: int) -> None:
        self.clock.advance(seconds=seconds)
        self.at += seconds

    @rule()
    def work(self) -> None:
        self.recover()
        self.do(bus.recover_expired, actor=KERNEL)

    # -- what always holds ---------------------------------------------------------------------------------------

    @invariant()
    def counts_are_right(self) -> None:
        if not hasattr(self, "db"):
            return
        rows = self.db.read_now(
            OPERATOR,
            lambda tx: (
                tx.session.connection()
                .exec_driver_sql("SELECT state, count(*) FROM inbox_message GROUP BY state")
                .fetchall()
            ),
        )
        actual = {str(state): count for state, count in rows}
        depth = {stats.agent_id: stats for stats in self.db.read_now(OPERATOR, bus.inbox_stats)}
        mine = depth.get(AgentId(self.receiver.id))
        counted = (mine.queued, mine.leased, mine.dead) if mine else (0, 0, 0)
        assert counted == tuple(actual.get(state.value, 0) for state in COUNTED)

    @invariant()
    def states_agree(self) -> None:
        if not hasattr(self, "db"):
            return
        page = self.db.read_now(OPERATOR, bus.list_messages, AgentId(self.receiver.id), limit=1000)
        real = {message.id: message.state.value for message in page.items}
        for item in self.items:
            overdue = item.state in ("leased", "queued")  # the real queue may not have noticed the time yet
            assert real[item.id] == item.state or (overdue and real[item.id] in ("queued", "leased"))


COUNTED = (InboxState.QUEUED, InboxState.LEASED, InboxState.DEAD)


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("queue") / "conversations.db"
    create_tables(path)
    return path


def check(template: Path, *, examples: int) -> None:
    machine = type("Machine", (Queue,), {"template": template})
    run_state_machine_as_test(machine, settings=settings(max_examples=examples, stateful_step_count=50, deadline=None))


def test_the_queue_behaves_like_its_model(template: Path) -> None:
    check(template, examples=60)


@pytest.mark.long
@pytest.mark.timeout(900)
def test_the_queue_behaves_like_its_model_for_long(template: Path) -> None:
    check(template, examples=1_000)
