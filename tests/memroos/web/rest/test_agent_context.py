"""The context bus over REST."""

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from tests.actors import OPERATOR, STRANGER, VIEWER, agent_actor
from tests.memroos.web.rest.serving import Client, calling, serving

from memroos import bus, events, registry
from memroos.web.long_poll import LongPolls
from memroos.web.rest.agent_context import AgentContextController, LeaseController
from memroos.web.streams import Streams
from memroos_contracts.identity import Actor, AgentId
from memroos_contracts.registry import AgentKind, AgentState, NewAgent
from memroos_kit.clock import ManualClock
from memroos_kit.db import Database
from memroos_kit.limits import StreamSlots
from memroos_kit.stopping import Stopping

BASE = "/api/agent-context"


class Bus:
    """A client with two agents: one sends, one receives."""

    def __init__(self, client: Client, sender: Actor, receiver: Actor) -> None:
        self.client = client
        self.sender = sender
        self.receiver = receiver

    def send(self, actor: Actor | None = None, /, *, key: str = "", **words: Any) -> Any:
        body = {"to": self.receiver.id, "kind": "note", "body": {"n": 1}} | words
        headers = calling(actor or self.sender, **({"idempotency_key": key} if key else {}))
        return self.client.post(BASE, json=body, headers=headers)

    def post(self, path: str, body: dict[str, Any] | None = None, actor: Actor | None = None) -> Any:
        return self.client.post(f"{BASE}{path}", json=body or {}, headers=calling(actor or self.receiver))

    def get(self, path: str = "", actor: Actor | None = None) -> Any:
        return self.client.get(f"{BASE}{path}", headers=calling(actor or self.receiver))

    def receive(self, wait_s: float = 0, **wish: Any) -> list[dict[str, Any]]:
        answer = self.post(f"/receive?wait_s={wait_s}", wish)
        assert answer.status_code == 200, answer.text
        items: list[dict[str, Any]] = answer.json()["items"]
        return items


@pytest.fixture
def stopping() -> Stopping:
    return Stopping()


@pytest.fixture
def bus_(db: Database, notifier: events.Notifier, stopping: Stopping) -> Iterator[Bus]:
    new = [NewAgent(name, AgentKind.REST, state=AgentState.ACTIVE) for name in ("sender", "receiver")]
    sender, receiver = (agent_actor(db.write_now(OPERATOR, registry.create_agent, agent).id) for agent in new)
    polls = LongPolls(db, notifier, Streams(StreamSlots(per_key=2), stopping), wait_max_s=30)
    with serving(db, AgentContextController, LeaseController, long_polls=polls) as client:
        notifier.attach(client.blocking_portal.call(asyncio.get_running_loop))
        yield Bus(client, sender, receiver)
        notifier.attach(None)


def later(do: Callable[[], Any], after_s: float = 0.2) -> threading.Thread:
    def run() -> None:
        time.sleep(after_s)
        do()

    thread = threading.Thread(target=run)
    thread.start()
    return thread


def test_a_message_goes_from_agent_to_agent_and_is_acked(bus_: Bus) -> None:
    sent = bus_.send(context_id="ctx", label={"sensitivity": "confidential"})
    assert sent.status_code == 201, sent.text
    (delivery,) = bus_.receive(lease_s=30)

    acked = bus_.post(f"/{sent.json()['id']}/ack", {"fencing_token": delivery["fencing_token"]})

    assert delivery["message"]["id"] == sent.json()["id"]
    assert delivery["message"]["label"]["sensitivity"] == "confidential"
    assert delivery["body"] == {"n": 1}
    assert (acked.status_code, acked.json()["state"]) == (200, "acked")


def test_the_idempotency_key_of_a_send_is_honoured(bus_: Bus) -> None:
    first, second = bus_.send(key="k-1"), bus_.send(key="k-1")
    other = bus_.send(key="k-1", body={"n": 2})
    assert first.json()["id"] == second.json()["id"]
    assert (other.status_code, other.json()["type"]) == (409, "/problems/idempotency-conflict")


def test_a_lease_is_extended_released_and_lost(bus_: Bus, clock: ManualClock) -> None:
    sent = bus_.send().json()["id"]
    token = {"fencing_token": bus_.receive()[0]["fencing_token"]}
    assert bus_.post(f"/{sent}/extend", token | {"lease_s": 100}).status_code == 200
    assert bus_.post(f"/{sent}/release", token).json()["attempts"] == 0

    token = {"fencing_token": bus_.receive(lease_s=10)[0]["fencing_token"]}
    clock.advance(seconds=10)
    lost = bus_.post(f"/{sent}/ack", token)
    assert (lost.status_code, lost.json()["type"]) == (409, "/problems/stale-lease")


def test_a_dead_letter_is_seen_and_put_back(bus_: Bus) -> None:
    sent = bus_.send().json()["id"]
    for _ in range(5):
        (delivery,) = bus_.receive()
        bus_.post(f"/{sent}/nack", {"fencing_token": delivery["fencing_token"], "delay_s": 0, "reason": "no"})
    (dead,) = bus_.get("/dead").json()["items"]
    assert (dead["id"], dead["reason"]) == (sent, "no")

    assert bus_.post(f"/{sent}/requeue", actor=OPERATOR).json()["state"] == "queued"
    assert bus_.post(f"/{sent}/requeue", actor=OPERATOR).status_code == 409
    assert bus_.get("/dead", OPERATOR).json()["items"] == []


def test_a_reply_goes_back_to_the_author(bus_: Bus) -> None:
    sent = bus_.send(correlation_id="c-1").json()["id"]
    answer = bus_.post(f"/{sent}/reply", {"body": {"answer": 42}})
    assert answer.status_code == 201
    assert answer.json()["agent_id"] == bus_.sender.id
    assert (answer.json()["reply_to"], answer.json()["correlation_id"]) == (sent, "c-1")


def test_content_is_read_by_those_it_belongs_to_and_lists_have_none(bus_: Bus) -> None:
    sent = bus_.send().json()["id"]
    assert bus_.get(f"/{sent}", bus_.sender).json()["body"] == {"n": 1}
    assert bus_.get(f"/{sent}", STRANGER).status_code == 404
    (listed,) = bus_.get().json()["items"]
    assert "body" not in listed
    assert len(bus_.get(f"?agent={bus_.receiver.id}", OPERATOR).json()["items"]) == 1
    assert bus_.get(f"?agent={bus_.receiver.id}", bus_.sender).status_code == 404
    assert bus_.get("", OPERATOR).status_code == 422


@pytest.mark.parametrize(
    "wrong",
    [
        {"unknown": 1},
        {"priority": 10},
        {"ttl_s": 0},
        {"delay_s": -1},
        {"kind": ""},
        {"body": "text"},
        {"label": {"sensitivity": "cosmic"}},
        {"context_id": "x" * 201},
    ],
)
def test_bad_input_sends_nothing(bus_: Bus, wrong: dict[str, Any]) -> None:
    assert bus_.send(**wrong).status_code == 422
    assert bus_.receive() == []


@pytest.mark.parametrize("wish", [{"max_messages": 0}, {"lease_s": 0}, {"lease_s": 3601}, {"other": 1}])
def test_bad_wishes_are_refused(bus_: Bus, wish: dict[str, Any]) -> None:
    assert bus_.post("/receive", wish).status_code == 422


@pytest.mark.parametrize("actor", [VIEWER, OPERATOR])
def test_only_agents_receive(bus_: Bus, actor: Actor) -> None:
    assert bus_.post("/receive", actor=actor).status_code == 403


# -- waiting -----------------------------------------------------------------------------------------------------------


def test_who_waits_gets_a_message_as_soon_as_it_is_sent(bus_: Bus, db: Database) -> None:
    words: dict[str, Any] = {"to": AgentId(bus_.receiver.id), "kind": "note", "body": {}}
    sender = later(lambda: db.write_now(bus_.sender, bus.send, **words))
    started = time.monotonic()
    assert len(bus_.receive(wait_s=20)) == 1
    assert time.monotonic() - started < 10
    sender.join()


def test_who_waits_gets_the_next_of_a_context_when_the_first_is_acked(bus_: Bus, db: Database) -> None:
    bus_.send(context_id="ctx")
    second = bus_.send(context_id="ctx").json()["id"]
    (held,) = bus_.receive()
    acker = later(lambda: db.write_now(bus_.receiver, bus.ack, held["message"]["id"], held["fencing_token"]))
    started = time.monotonic()
    assert bus_.receive(wait_s=20)[0]["message"]["id"] == second
    assert time.monotonic() - started < 10
    acker.join()


def test_who_waits_gets_a_message_whose_lease_ends_meanwhile(bus_: Bus, clock: ManualClock) -> None:
    bus_.send()
    bus_.receive(lease_s=1)
    ticking = later(lambda: clock.advance(seconds=1), after_s=0.5)
    started = time.monotonic()
    assert bus_.receive(wait_s=20)[0]["message"]["attempts"] == 2
    assert time.monotonic() - started < 10
    ticking.join()


def test_nothing_comes_and_the_wait_ends(bus_: Bus) -> None:
    started = time.monotonic()
    assert bus_.receive(wait_s=0.3) == []
    assert 0.3 <= time.monotonic() - started < 5


def test_a_wait_ends_when_the_kernel_stops(bus_: Bus, stopping: Stopping) -> None:
    # `set` is for the loop's thread; the client's portal runs it there.
    portal = bus_.client.blocking_portal
    stopper = later(lambda: portal.call(stopping.set))
    started = time.monotonic()
    assert bus_.receive(wait_s=20) == []
    assert time.monotonic() - started < 10
    stopper.join()
