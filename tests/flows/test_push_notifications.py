"""Push notifications through a real kernel: signed, in order, at least once, also across kill -9."""

import asyncio
import base64
import contextlib
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from a2a.client import Client
from a2a.types import a2a_pb2 as pb
from a2a.utils import errors as sdk
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from tests.disguises import DISGUISES
from tests.flows.kernel import Agent, Kernel
from tests.flows.service import free_port
from tests.flows.test_a2a_sdk_client import client_at
from tests.memroos.push.receiver import Got, Receiver, Reply, receiving

from memroos_kit.ids import new_id

ROOT = Path(__file__).parents[2]
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
A2A = {"A2A-Version": "1.0", "traceparent": TRACE}
SETTINGS = {
    "outbound_allow": "127.0.0.1,hook.example",
    "push_backoff_s": "0.02",
    "push_attempts": "4",
    "outbound_timeout_s": "1",
    "grpc": "false",
}


@pytest.fixture(scope="module")
def kernel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kernel]:
    """A kernel that may send to loopback."""
    with Kernel(tmp_path_factory.mktemp("push"), settings=SETTINGS) as running:
        yield running


@pytest.fixture(scope="module")
def worker(kernel: Kernel) -> Agent:
    """An agent that does the work."""
    return kernel.create_agent("worker", skills=("count",))


@pytest.fixture(scope="module")
def caller(kernel: Kernel) -> Agent:
    """An agent that has it done."""
    return kernel.create_agent("caller")


def rest(kernel: Kernel, key: str, method: str, path: str, body: Any = None) -> httpx.Response:
    return kernel.call(method, path, body, key=key, headers=A2A)


def send(kernel: Kernel, caller: Agent, worker: Agent, **configuration: Any) -> httpx.Response:
    body = {
        "message": {"messageId": new_id("msg"), "role": "ROLE_USER", "parts": [{"text": "Count to three."}]},
        "configuration": {"returnImmediately": True, **configuration},
    }
    return rest(kernel, caller.key, "POST", f"/a2a/agents/{worker.name}/message:send", body)


def start(kernel: Kernel, caller: Agent, worker: Agent, config: dict[str, Any]) -> str:
    """Send a message whose caller is notified; return the task's id."""
    answer = send(kernel, caller, worker, taskPushNotificationConfig=config)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["task"]["id"])


def work(worker: Agent, *, steps: int = 2) -> None:
    """Do what waits: some progress, an artifact in two pieces, done."""
    claim = worker.claim()
    assert claim is not None
    for number in range(steps):
        assert worker.report(claim, "progress", parts=[{"text": f"step {number}"}]).is_success
    for number in range(2):
        artifact = {"artifact_id": "a", "parts": [{"text": str(number)}]}
        last = number == 1
        assert worker.report(claim, "artifact", artifact=artifact, append=last, last_chunk=last).is_success
    assert worker.report(claim, "complete", parts=[{"text": "three"}]).is_success


def config_of(kernel: Kernel, task: str, **params: str) -> Any:
    items = kernel.done("GET", "/api/push-notifications", params={"task": task, **params})["items"]
    assert len(items) == 1
    return items[0]


def in_state(kernel: Kernel, task: str, state: str) -> Callable[[], bool]:
    return lambda: config_of(kernel, task)["state"] == state


def is_signed(kernel: Kernel, got: Got) -> bool:
    """Verify a notification as its receiver does, with nothing but the published keys."""
    keys = httpx.get(f"{kernel.url}/.well-known/jwks.json").json()["keys"]
    key = next(key for key in keys if key["kid"] == got.headers["webhook-key-id"])
    public = Ed25519PublicKey.from_public_bytes(base64.urlsafe_b64decode(key["x"] + "="))
    form, _, signature = got.headers["webhook-signature"].partition(",")
    content = f"{got.id}.{got.headers['webhook-timestamp']}.".encode() + got.body
    public.verify(base64.b64decode(signature), content)
    return form == "v1a" and abs(int(got.headers["webhook-timestamp"]) - time.time()) < 60


WHOLE_STORY = ["task", *["statusUpdate"] * 3, *["artifactUpdate"] * 2, "statusUpdate"]


def kinds(receiver: Receiver) -> list[str]:
    return [next(iter(got.json)) for got in receiver.got]


def test_a_caller_hears_of_its_task_from_the_beginning_to_the_end(kernel: Kernel, caller: Agent, worker: Agent) -> None:
    with receiving() as receiver:
        authentication = {"scheme": "Bearer", "credentials": "open-sesame"}
        task = start(kernel, caller, worker, {"url": receiver.url, "token": "t-1", "authentication": authentication})
        work(worker)
        receiver.wait(in_state(kernel, task, "done"))

        assert kinds(receiver) == WHOLE_STORY
        assert receiver.got[0].json["task"]["id"] == task
        assert receiver.got[0].json["task"]["status"]["state"] == "TASK_STATE_SUBMITTED"
        assert receiver.got[-1].json["statusUpdate"]["status"]["state"] == "TASK_STATE_COMPLETED"
        assert receiver.generations == sorted(set(receiver.generations))
        for got in receiver.got:
            assert is_signed(kernel, got)
            assert got.headers["content-type"] == "application/a2a+json"
            assert got.headers["authorization"] == "Bearer open-sesame"
            assert got.headers["x-a2a-notification-token"] == "t-1"
            assert got.headers["traceparent"].split("-")[1] == TRACE.split("-")[1]
            assert got.headers["traceparent"] != TRACE
    assert "open-sesame" not in kernel.log()
    assert b"open-sesame" not in kernel.database.read_bytes()


def test_after_kill_9_in_the_middle_of_sending_everything_arrives_in_order(tmp_path: Path) -> None:
    killed = threading.Event()

    def hold_the_fourth(got: Got) -> Reply:
        if got.generation == 4:
            killed.wait(20)
        return Reply()

    settings = SETTINGS | {"outbound_timeout_s": "30"}
    with Kernel(tmp_path, settings=settings) as kernel, receiving(hold_the_fourth) as receiver:
        caller, worker = kernel.create_agent("caller"), kernel.create_agent("worker")
        task = start(kernel, caller, worker, {"url": receiver.url})
        work(worker, steps=5)
        receiver.wait(lambda: 4 in receiver.generations)
        kernel.kill()  # the receiver has it, the kernel does not know
        killed.set()

        kernel.start()
        receiver.wait(in_state(kernel, task, "done"))

        assert receiver.generations.count(4) == 2
        assert list(dict.fromkeys(receiver.generations)) == sorted(set(receiver.generations))
        assert sorted(set(receiver.generations)) == [2, *range(3, 3 + 9)]


def test_a_receiver_that_was_away_during_a_restart_misses_nothing(tmp_path: Path) -> None:
    with Kernel(tmp_path, settings=SETTINGS | {"push_backoff_s": "1"}) as kernel, receiving() as receiver:
        caller, worker = kernel.create_agent("caller"), kernel.create_agent("worker")
        receiver.answers = lambda _: Reply(503)
        task = start(kernel, caller, worker, {"url": receiver.url})
        work(worker)
        receiver.wait(lambda: receiver.got)
        kernel.restart()
        receiver.answers = lambda _: Reply()

        receiver.wait(in_state(kernel, task, "done"))

        assert list(dict.fromkeys(receiver.generations)) == [2, 3, 4, 5, 6, 7, 8]


def test_a_dead_receiver_is_given_up_and_gets_what_it_missed_once_it_is_back(
    kernel: Kernel, caller: Agent, worker: Agent
) -> None:
    with receiving(lambda _: Reply(500)) as receiver:
        task = start(kernel, caller, worker, {"url": receiver.url})
        work(worker)
        receiver.wait(in_state(kernel, task, "stopped"))
        config = config_of(kernel, task, push_state="stopped")
        tries = kernel.done("GET", f"/api/push-notifications/{config['id']}/tries", key=caller.key)["items"]

        assert (config["failures"], config["last_status"], config["delivered_generation"]) == (4, 500, 0)
        assert [(one["generation"], one["status"], one["error"]) for one in tries] == [
            (2, 500, "the receiver answered 500")
        ] * 4
        assert "push.stopped" in [event["type"] for event in kernel.done("GET", "/api/events/log?limit=100")["items"]]

        receiver.answers = lambda _: Reply()
        receiver.got.clear()
        kernel.done("POST", f"/api/push-notifications/{config['id']}/replay", {}, key=caller.key)
        receiver.wait(in_state(kernel, task, "done"))
        assert kinds(receiver) == WHOLE_STORY

        before = [got.id for got in receiver.got]
        kernel.done("POST", f"/api/push-notifications/{config['id']}/replay", {"after_generation": 5}, key=caller.key)
        receiver.wait(in_state(kernel, task, "done"))
        assert receiver.generations[len(before) :] == [6, 7, 8]
        assert {got.id for got in receiver.got[len(before) :]} <= set(before)


@pytest.mark.parametrize("binding", ["JSONRPC", "HTTP+JSON"])
def test_the_sdk_s_client_looks_after_its_configurations(
    kernel: Kernel, caller: Agent, worker: Agent, binding: str
) -> None:
    async def story() -> None:
        async with client_at(kernel, caller.key, binding, f"/a2a/agents/{worker.name}") as client:
            task = await begun(client)
            make = client.create_task_push_notification_config
            wanted = pb.TaskPushNotificationConfig(
                task_id=task, url="https://hook.example/1", id="mine", token="s3cret"
            )
            wanted.authentication.scheme, wanted.authentication.credentials = "Bearer", "s3cret"

            made = await make(wanted)
            other = await make(pb.TaskPushNotificationConfig(task_id=task, url="https://hook.example/2"))
            again = await make(pb.TaskPushNotificationConfig(task_id=task, url="https://hook.example/3", id="mine"))
            page = pb.ListTaskPushNotificationConfigsRequest(task_id=task, page_size=1)
            first = await client.list_task_push_notification_configs(page)
            page.page_token = first.next_page_token
            second = await client.list_task_push_notification_configs(page)
            got = await client.get_task_push_notification_config(
                pb.GetTaskPushNotificationConfigRequest(task_id=task, id="mine")
            )

            assert (made.id, made.task_id, made.url) == ("mine", task, "https://hook.example/1")
            assert "s3cret" not in str(made)
            assert {one.id for one in (*first.configs, *second.configs)} == {"mine", other.id}
            assert (again.url, got.url, second.next_page_token) == (
                "https://hook.example/3",
                "https://hook.example/3",
                "",
            )
            for _ in range(2):
                await client.delete_task_push_notification_config(
                    pb.DeleteTaskPushNotificationConfigRequest(task_id=task, id="mine")
                )
            with pytest.raises(sdk.TaskNotFoundError):
                await client.get_task_push_notification_config(
                    pb.GetTaskPushNotificationConfigRequest(task_id=task, id="mine")
                )

    asyncio.run(story())


@pytest.mark.parametrize("binding", ["JSONRPC", "HTTP+JSON"])
def test_configurations_of_a_foreign_task_answer_like_those_of_none(
    kernel: Kernel, caller: Agent, worker: Agent, binding: str
) -> None:
    stranger = kernel.create_agent(f"stranger-{binding[:4].lower()}")

    async def story() -> None:
        async with client_at(kernel, caller.key, binding, f"/a2a/agents/{worker.name}") as client:
            task = await begun(client)
        async with client_at(kernel, stranger.key, binding) as client:
            for task_id in (task, "task_00000000000000000000000000"):
                about: Any = {"task_id": task_id, "id": "x"}
                for asked in (
                    client.create_task_push_notification_config(
                        pb.TaskPushNotificationConfig(**about, url="https://hook.example")
                    ),
                    client.get_task_push_notification_config(pb.GetTaskPushNotificationConfigRequest(**about)),
                    client.list_task_push_notification_configs(
                        pb.ListTaskPushNotificationConfigsRequest(task_id=task_id)
                    ),
                    client.delete_task_push_notification_config(pb.DeleteTaskPushNotificationConfigRequest(**about)),
                ):
                    with pytest.raises(sdk.TaskNotFoundError, match=f"There is no task {task_id}"):
                        await asked

    asyncio.run(story())


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("http://169.254.169.254/latest", "credentials"),
        ("http://10.0.0.1/", "private"),
        ("http://127.0.0.1@evil.example/", "before the host"),
        ("ftp://hook.example/", "only http and https"),
        ("https://elsewhere.example/", "not in the allow-list"),
        ("", "url"),
    ],
)
def test_an_address_that_is_not_allowed_is_refused_at_once_and_nothing_is_sent(
    kernel: Kernel, caller: Agent, worker: Agent, url: str, words: str
) -> None:
    before = kernel.done("GET", "/api/tasks", key=caller.key)["items"]

    refused = send(kernel, caller, worker, taskPushNotificationConfig={"url": url})

    assert (refused.status_code, refused.json()["error"]["status"]) == (400, "INVALID_ARGUMENT")
    assert words in refused.text
    assert kernel.done("GET", "/api/tasks", key=caller.key)["items"] == before  # both or neither


def test_no_door_takes_a_disguised_address(new_kernel: Callable[..., Kernel]) -> None:
    """With a message and for a task, in each binding; where everything public is allowed, none of these is."""
    kernel = new_kernel(outbound_allow="*", requests_per_minute="100000", request_burst="10000").start()
    caller, worker = kernel.create_agent("caller"), kernel.create_agent("worker", skills=("count",))
    task = send(kernel, caller, worker).json()["task"]["id"]
    before = kernel.done("GET", "/api/tasks", key=caller.key)["items"]

    async def story() -> None:
        for binding in ("JSONRPC", "HTTP+JSON"):
            async with client_at(kernel, caller.key, binding, f"/a2a/agents/{worker.name}") as client:
                for url in DISGUISES:
                    config = pb.TaskPushNotificationConfig(task_id=task, url=url)
                    with pytest.raises(sdk.InvalidParamsError):
                        await client.create_task_push_notification_config(config)
                    with pytest.raises(sdk.InvalidParamsError):
                        await begun(client, task_push_notification_config=pb.TaskPushNotificationConfig(url=url))

    asyncio.run(story())

    assert kernel.done("GET", "/api/push-notifications", key=caller.key)["items"] == []
    assert kernel.done("GET", "/api/tasks", key=caller.key)["items"] == before


def test_a_task_that_has_ended_takes_a_configuration_that_is_done(kernel: Kernel, caller: Agent) -> None:
    task = kernel.done("POST", "/api/tasks", {"agent": "echo", "parts": [{"text": "x"}]}, key=caller.key)["id"]
    while kernel.done("GET", f"/api/tasks/{task}")["state"] != "completed":
        time.sleep(0.02)

    path = f"/a2a/tasks/{task}/pushNotificationConfigs"
    made = rest(kernel, caller.key, "POST", path, {"url": "https://hook.example/"})

    assert made.status_code == 200
    assert config_of(kernel, task)["state"] == "done"


@pytest.mark.parametrize("binding", ["JSONRPC", "HTTP+JSON"])
def test_an_agent_whose_card_has_no_notifications_has_none(kernel: Kernel, caller: Agent, binding: str) -> None:
    name = f"quiet-{binding[:4].lower()}"
    kernel.create_agent(name, capabilities={"push_notifications": False})

    async def story() -> None:
        async with client_at(kernel, caller.key, binding, f"/a2a/agents/{name}") as client:
            task = await begun(client)
            config = pb.TaskPushNotificationConfig(task_id=task, url="https://hook.example")
            with pytest.raises(sdk.PushNotificationNotSupportedError):
                await client.create_task_push_notification_config(config)
            with pytest.raises(sdk.PushNotificationNotSupportedError):
                await client.list_task_push_notification_configs(
                    pb.ListTaskPushNotificationConfigsRequest(task_id=task)
                )
            with pytest.raises(sdk.PushNotificationNotSupportedError):
                await begun(client, task_push_notification_config=config)

    asyncio.run(story())


def until_listening(port: int) -> None:
    """Return when something answers there."""
    until = time.monotonic() + 20
    while time.monotonic() < until:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.02)
    raise AssertionError("nobody listens")


async def begun(client: Client, **configuration: Any) -> str:
    """Start a task that nobody works on; return its id."""
    request = pb.SendMessageRequest(
        message=pb.Message(message_id=new_id("msg"), role=pb.ROLE_USER, parts=[pb.Part(text="x")]),
        configuration=pb.SendMessageConfiguration(return_immediately=True, **configuration),
    )
    async for item in client.send_message(request):
        return str(item.task.id)
    raise AssertionError("no answer")


def test_the_example_s_receiver_prints_what_happens_and_refuses_strangers(kernel: Kernel, caller: Agent) -> None:
    worker = kernel.create_agent("another-worker")
    port = free_port()
    program = ["docs/examples/webhook_receiver.py", str(port)]
    with subprocess.Popen(
        [sys.executable, *program],
        cwd=ROOT,
        env={**os.environ, "MEMROOS_URL": kernel.url},
        stdout=subprocess.PIPE,
        text=True,
    ) as receiver:
        try:
            assert receiver.stdout is not None
            until_listening(port)
            task = start(kernel, caller, worker, {"url": f"http://127.0.0.1:{port}/"})
            work(worker, steps=0)
            told = [receiver.stdout.readline().strip() for _ in range(5)]
            kernel.done("POST", "/api/card-keys/rotate", {})
            later = start(kernel, caller, worker, {"url": f"http://127.0.0.1:{port}/"})
            told.append(receiver.stdout.readline().strip())
            stranger = httpx.post(f"http://127.0.0.1:{port}/", content=b"{}", timeout=5)
        finally:
            receiver.terminate()

    assert told == [
        f"{task} TASK_STATE_SUBMITTED",
        f"{task} TASK_STATE_WORKING",
        f"{task} artifact a",
        f"{task} artifact a",
        f"{task} TASK_STATE_COMPLETED",
        f"{later} TASK_STATE_SUBMITTED",
    ]
    assert stranger.status_code == 401
