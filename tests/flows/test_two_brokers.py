"""Client, broker, broker, agent: what the client sees is what it would see at the agent.

Two kernels as they run for real, and the behaviour agent behind the second one. Each story is told twice, at the agent
itself and at the first kernel, and the two tellings are compared.
"""

import difflib
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
from tests.card_server import CardServer
from tests.conformance.doors import Address, Door, JsonRpc, Outcome
from tests.conformance.processes import AgentProcess
from tests.conformance.receiver import Receiver
from tests.conformance.specials import state_in
from tests.conformance.traces import Names
from tests.flows.kernel import Agent, Kernel

CARD_PATH = "/.well-known/agent-card.json"
AGENT_KEY = "what-the-agent-wants-to-see"
SETTINGS = {"outbound_allow": "127.0.0.1", "remote_poll_s": "0.2"}
ROUTES = {"jsonrpc": "JSONRPC", "rest": "HTTP+JSON", "grpc": "GRPC"}
FINAL = {f"TASK_STATE_{name}" for name in ("COMPLETED", "FAILED", "CANCELED", "REJECTED")}


@dataclass(frozen=True)
class Way:
    """Everything between the client and the agent."""

    agent: AgentProcess
    far: Kernel
    near: Kernel
    caller: Agent
    far_key: str
    receiver: Receiver

    def direct(self) -> Address:
        """Return where the agent itself is called."""
        return Address(self.agent.url, key=AGENT_KEY)

    def brokered(self, route: str) -> Address:
        """Return where it is called through both kernels; `route` is the binding between them."""
        return Address(f"{self.near.url}/a2a/agents/over-{route}", key=self.caller.key)


@pytest.fixture(scope="module")
def way(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Way]:
    """The agent, the kernel that knows it, the kernel that knows that kernel."""
    folder = tmp_path_factory.mktemp("two-brokers")
    with (
        AgentProcess(folder, key=AGENT_KEY, long_s=2.0, pause_s=0.05) as agent,
        Receiver() as receiver,
        CardServer() as shelf,
        Kernel(folder / "far", settings=SETTINGS) as far,
        Kernel(folder / "near", settings=SETTINGS) as near,
    ):
        credential = {"value": AGENT_KEY}
        far.done("POST", "/api/remote-agents", {"card_url": agent.card_url, "name": "it", "credential": credential})
        broker = far.create_agent("the-near-broker")
        at_far = f"{far.url}/a2a/agents/it"
        card = httpx.get(at_far + CARD_PATH, headers=far.headers(broker.key), trust_env=False).json()
        for route, binding in ROUTES.items():
            shelf.files[f"/{route}{CARD_PATH}"] = only(card, binding)
            card_url = f"{at_far}{CARD_PATH}" if route == "jsonrpc" else f"{shelf.url}/{route}{CARD_PATH}"
            about = {"card_url": card_url, "name": f"over-{route}", "credential": {"value": broker.key}}
            seen = near.done("POST", "/api/remote-agents", about)
            assert seen["protocol_binding"] == binding
        yield Way(agent, far, near, near.create_agent("caller"), broker.key, receiver)


def only(card: dict[str, Any], binding: str) -> dict[str, Any]:
    """Return a card with one binding of 1.0, unsigned as it is no longer what was signed."""
    left_out = ("signatures", "url", "preferredTransport", "additionalInterfaces", "protocolVersion")
    interfaces = [
        one
        for one in card["supportedInterfaces"]
        if one["protocolBinding"] == binding and one["protocolVersion"] == "1.0"
    ]
    assert interfaces, f"{binding} is not offered: {card}"
    return {name: one for name, one in card.items() if name not in left_out} | {"supportedInterfaces": interfaces}


# -- telling a story ---------------------------------------------------------------------------------------------------


@dataclass
class Teller:
    """One telling: a door, and everything that came through it in comparable form."""

    door: Door
    story: str
    names: Names = field(default_factory=Names)
    told: list[Any] = field(default_factory=list)
    sent: int = 0

    def send(self, text: str, *, stream: bool = False, to: Any = None, **configuration: Any) -> Any:
        """Send a message; `to` is the task that it continues. Return the task, or None for a message."""
        self.sent += 1
        message: dict[str, Any] = {
            "messageId": f"{self.story}-{self.sent}",
            "role": "ROLE_USER",
            "parts": [{"text": text}],
        }
        if to is not None:
            message |= {"taskId": to["id"], "contextId": to["contextId"]}  # the SDK's server infers it wrongly
        operation = "send_streaming_message" if stream else "send_message"
        outcome = self.door.call(operation, {"message": message, "configuration": configuration})
        self.tell(outcome)
        first = outcome.events[0] if outcome.events else outcome.body or {}
        return first.get("task")

    def ask(self, operation: str, **params: Any) -> Any:
        """Do another operation."""
        outcome = self.door.call(operation, params)
        self.tell(outcome)
        return outcome.body

    def tell(self, outcome: Outcome) -> None:
        """Take down what came."""
        refused = outcome.error["name"] if outcome.error else None
        self.told.append({"refused": refused, "body": self.names.told(outcome.body), "events": self.events(outcome)})

    def events(self, outcome: Outcome) -> Any:
        """Return the events of a stream in comparable form."""
        return self.names.told(outcome.events)

    def get_when_final(self, task: Any) -> Any:
        """Wait until a task has ended, and tell what it looks like then."""
        until = time.monotonic() + 15
        while self.door.call("get_task", {"id": task["id"]}).body["status"]["state"] not in FINAL:
            assert time.monotonic() < until, "it does not end"
            time.sleep(0.05)
        return self.ask("get_task", id=task["id"])


Story = Callable[[Teller], object]


def both(way: Way, story: Story, name: str, route: str = "jsonrpc") -> tuple[list[Any], list[Any]]:
    """Tell a story at the agent and through both kernels, and return both tellings."""
    tellings = []
    for address in (way.direct(), way.brokered(route)):
        teller = Teller(JsonRpc(address), f"{name}-{route}")
        story(teller)
        teller.door.close()
        tellings.append(teller.told)
    return tellings[0], tellings[1]


def same(brokered: list[Any], direct: list[Any]) -> None:
    """Fail with the lines that differ."""
    was, now = (json.dumps(one, indent=1, sort_keys=True).splitlines() for one in (direct, brokered))
    differing = "\n".join(difflib.unified_diff(was, now, "direct", "brokered", lineterm="", n=6))
    assert brokered == direct, f"\n{differing}"


ANSWERS = [
    "tck-complete-task",
    "tck-message-response",
    "tck-task-failure",
    "tck-reject-task",
    "tck-input-required",
    "tck-auth-required",
    "tck-artifact-text",
    "tck-artifact-data",
    "tck-artifact-file",
    "tck-artifact-file-url",
    "tck-stream-chunked",
]


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("word", ANSWERS)
def test_a_blocking_send_brings_what_the_agent_answers(way: Way, word: str, route: str) -> None:
    def story(teller: Teller) -> None:
        task = teller.send(f"{word} please")
        if task is not None:
            teller.ask("get_task", id=task["id"])

    direct, brokered = both(way, story, f"blocking-{word}", route)
    same(brokered, direct)


STREAMED = ["tck-stream-basic", "tck-stream-chunked", "tck-long-running", "tck-message-response", "tck-task-failure"]


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("word", [*STREAMED, "tck-reject-task", "tck-artifact-data"])
def test_a_stream_brings_every_event_as_the_agent_sent_it(way: Way, word: str, route: str) -> None:
    def story(teller: Teller) -> None:
        task = teller.send(f"{word} please", stream=True)
        if task is not None:
            teller.ask("get_task", id=task["id"])

    direct, brokered = both(way, story, f"stream-{word}", route)
    same(brokered, direct)


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("word", ["tck-input-required", "tck-auth-required"])
def test_an_answer_reaches_the_task_that_asked(way: Way, word: str, route: str) -> None:
    def story(teller: Teller) -> None:
        task = teller.send(f"{word} please")
        teller.send("here you are", to=task)
        teller.ask("get_task", id=task["id"])

    direct, brokered = both(way, story, f"answer-{word}", route)
    same(brokered, direct)
    assert brokered[-1]["body"]["status"]["state"] == "TASK_STATE_COMPLETED"


@pytest.mark.parametrize("route", ROUTES)
def test_a_conversation_goes_on_for_as_many_turns_as_it_takes(way: Way, route: str) -> None:
    def story(teller: Teller) -> None:
        task = teller.send("tck-multi-turn first")
        for text in ("second", "third", "done"):
            teller.send(text, to=task)
        teller.ask("get_task", id=task["id"])
        teller.ask("get_task", id=task["id"], historyLength=2)
        teller.send("too late", to=task)

    direct, brokered = both(way, story, "conversation", route)
    same(brokered, direct)
    assert brokered[-1]["refused"] == "UnsupportedOperationError"


def test_the_turns_of_a_conversation_can_be_streamed(way: Way) -> None:
    def story(teller: Teller) -> None:
        task = teller.send("tck-multi-turn first")
        teller.send("done", to=task, stream=True)

    direct, brokered = both(way, story, "streamed-turn")
    first = brokered[-1]["events"].pop(0)
    assert "task" in first  # 3.1.2: a stream begins with the task; the SDK's server leaves it out of later turns
    same(brokered, direct)


@pytest.mark.parametrize("route", ROUTES)
def test_a_subscriber_sees_the_task_and_everything_after(way: Way, route: str) -> None:
    def story(teller: Teller) -> None:
        task = teller.send("tck-long-running please", returnImmediately=True)
        wait_for(teller.door, task["id"], "TASK_STATE_WORKING")
        teller.told.clear()
        teller.ask("subscribe_to_task", id=task["id"])
        teller.get_when_final(task)
        teller.ask("subscribe_to_task", id=task["id"])

    direct, brokered = both(way, story, "subscriber", route)
    same(brokered, direct)
    assert len(brokered[0]["events"]) > 5
    assert brokered[-1]["refused"] == "UnsupportedOperationError"


def test_a_task_that_waits_for_authorization_goes_on_by_itself(way: Way) -> None:
    def story(teller: Teller) -> None:
        task = teller.send("tck-auth-continues please", returnImmediately=True)
        teller.told.clear()
        teller.get_when_final(task)

    direct, brokered = both(way, story, "auth-continues")
    same(brokered, direct)


@pytest.mark.parametrize("route", ROUTES)
def test_a_cancel_reaches_the_agent(way: Way, route: str) -> None:
    def story(teller: Teller) -> None:
        task = teller.send("tck-cancel please", returnImmediately=True)
        wait_for(teller.door, task["id"], "TASK_STATE_WORKING")
        teller.told.clear()
        teller.ask("cancel_task", id=task["id"])
        teller.ask("get_task", id=task["id"])

    direct, brokered = both(way, story, "cancel", route)
    direct[0]["body"].pop("history")  # 3.2.4: how much is told unasked is the server's choice; GetTask tells it
    same(brokered, direct)
    assert brokered[0]["body"]["status"]["state"] == "TASK_STATE_CANCELED"


def test_whoever_watches_sees_the_cancel(way: Way) -> None:
    def story(teller: Teller) -> None:
        task = teller.send("tck-cancel please", returnImmediately=True)
        wait_for(teller.door, task["id"], "TASK_STATE_WORKING")
        teller.told.clear()
        other = JsonRpc(teller.door.address)
        later = threading.Timer(0.5, lambda: other.call("cancel_task", {"id": task["id"]}))
        later.start()
        teller.ask("subscribe_to_task", id=task["id"])
        later.join()
        other.close()

    direct, brokered = both(way, story, "watched-cancel")
    same(brokered, direct)


def test_the_agent_stops_when_the_client_cancels(way: Way) -> None:
    with closing(JsonRpc(way.brokered("jsonrpc"))) as door, closing(JsonRpc(way.direct())) as at_agent:
        task = Teller(door, "agent-stops").send("tck-cancel please", returnImmediately=True)
        wait_for(door, task["id"], "TASK_STATE_WORKING")

        assert door.call("cancel_task", {"id": task["id"]}).error is None

        until = time.monotonic() + 10
        while state_of(at_agent, "agent-stops-1") != "TASK_STATE_CANCELED":
            assert time.monotonic() < until, "the agent still works"
            time.sleep(0.05)
        again = door.call("cancel_task", {"id": task["id"]})
    assert again.body["status"]["state"] == "TASK_STATE_CANCELED"  # 3.3.1: cancelling is idempotent


@pytest.mark.parametrize("route", ROUTES)
def test_a_webhook_is_told_what_the_agent_would_have_told_it(way: Way, route: str) -> None:
    tellings = []
    for place, address in enumerate((way.direct(), way.brokered(route))):
        teller = Teller(JsonRpc(address), f"push-{route}")
        hook = f"/two-brokers/{route}/{place}"
        config = {
            "url": way.receiver.url + hook,
            "authentication": {"scheme": "Bearer", "credentials": "for the webhook"},
        }
        task = teller.send("tck-long-running please", returnImmediately=True, taskPushNotificationConfig=config)
        notices = way.receiver.wait(hook, lambda came: bool(came) and state_in(came[-1]) in FINAL)
        assert {notice.headers["authorization"] for notice in notices} == {"Bearer for the webhook"}
        teller.names.told({"taskId": task["id"], "contextId": task["contextId"]})
        tellings.append([teller.names.told(notice.body) for notice in notices])
        teller.door.close()

    direct, brokered = tellings
    same(brokered, direct)


def test_a_refusal_of_the_agent_is_the_callers_refusal(way: Way) -> None:
    def story(teller: Teller) -> None:
        message = {
            "messageId": f"{teller.story}-1",
            "role": "ROLE_USER",
            "parts": [{"text": "x", "mediaType": "application/x-unsupported"}],
        }
        teller.ask("send_message", message=message)

    direct, brokered = both(way, story, "refusal")
    assert (
        [one["refused"] for one in brokered] == [one["refused"] for one in direct] == ["ContentTypeNotSupportedError"]
    )


# -- the way itself ----------------------------------------------------------------------------------------------------


def test_one_trace_goes_through_both_brokers_to_the_agent(way: Way) -> None:
    trace, parent = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
    before = len(way.agent.seen())

    with httpx.Client(trust_env=False, timeout=30) as http:
        address = way.brokered("jsonrpc")
        headers = {**address.headers(), "traceparent": f"00-{trace}-{parent}-01"}
        message = {"messageId": "traced-1", "role": "ROLE_USER", "parts": [{"text": "tck-complete-task traced"}]}
        answer = http.post(f"{address.url}/message:send", headers=headers, json={"message": message})
        assert answer.json()["task"]["status"]["state"] == "TASK_STATE_COMPLETED"

    calls = [one["headers"] for one in way.agent.seen()[before:] if one["method"] == "POST"]
    assert calls
    for call in calls:
        version, its_trace, its_parent, flags = call["traceparent"].split("-")
        assert (version, its_trace, flags) == ("00", trace, "01")
        assert its_parent != parent
        assert len(call["via"].split(",")) == 2


def test_no_credential_reaches_a_hop_that_it_is_not_for(way: Way) -> None:
    before = len(way.agent.seen())
    for route in ROUTES:
        with closing(JsonRpc(way.brokered(route))) as door:
            Teller(door, f"leak-{route}").send("tck-complete-task please")

    secrets = [way.caller.key, way.far_key, way.far.operator_key, way.near.operator_key]
    reached = way.agent.seen()[before:]
    assert reached
    for call in reached:
        assert call["headers"].get("authorization", f"Bearer {AGENT_KEY}") == f"Bearer {AGENT_KEY}"
        assert not [secret for secret in secrets if any(secret in value for value in call["headers"].values())]


def test_a_loop_of_brokers_is_refused_and_leaves_nothing_running(way: Way) -> None:
    for_near, for_far = way.far.create_agent("loop-caller"), way.near.create_agent("loop-caller")
    credential = {"value": for_near.key}
    at_near = way.near.done(
        "POST",
        "/api/remote-agents",
        {"card_url": f"{way.far.url}/a2a/agents/it", "name": "loop", "credential": credential},
    )
    way.far.done(
        "POST",
        "/api/remote-agents",
        {"card_url": f"{way.near.url}/a2a/agents/loop", "name": "loop", "credential": {"value": for_far.key}},
    )
    changed = way.near.call(
        "PATCH",
        "/api/remote-agents/loop",
        {"card_url": f"{way.far.url}/a2a/agents/loop", "credential": credential},
        headers={"If-Match": f'"{at_near["agent"]["version"]}"'},
    )
    assert changed.is_success, changed.text

    message = {"messageId": "loop-1", "role": "ROLE_USER", "parts": [{"text": "round"}]}
    began = time.monotonic()
    with closing(JsonRpc(Address(f"{way.near.url}/a2a/agents/loop", key=way.caller.key))) as door:
        outcome = door.call("send_message", {"message": message})

    assert outcome.error is not None, json.dumps(outcome.body)
    assert outcome.error["name"] == "UnsupportedOperationError"
    assert time.monotonic() - began < 10
    for kernel in (way.near, way.far):
        tasks = kernel.done("GET", "/api/tasks?limit=100")["items"]
        assert [task["state"] for task in tasks if task["agent"] == "loop"] == ["rejected"]


def test_a_message_that_came_through_too_many_brokers_is_refused(way: Way) -> None:
    address = way.brokered("jsonrpc")
    via = ", ".join(f"1.1 memroos-{number:016x}" for number in range(9))
    message = {"messageId": "far-1", "role": "ROLE_USER", "parts": [{"text": "tck-complete-task please"}]}

    with httpx.Client(trust_env=False, timeout=30) as http:
        answer = http.post(
            f"{address.url}/message:send", headers={**address.headers(), "via": via}, json={"message": message}
        )

    assert answer.status_code == 400
    assert answer.json()["error"]["details"][0]["reason"] == "UNSUPPORTED_OPERATION"


def wait_for(door: Door, task: str, state: str) -> None:
    """Wait until a task is in a state."""
    until = time.monotonic() + 10
    while door.call("get_task", {"id": task}).body["status"]["state"] != state:
        assert time.monotonic() < until, f"never {state}"
        time.sleep(0.02)


def state_of(door: Door, message: str) -> str:
    """Return the state of the task that began with a message."""
    tasks = door.call("list_tasks", {"pageSize": 20}).body["tasks"]
    return next((str(one["status"]["state"]) for one in tasks if one["history"][0]["messageId"] == message), "")
