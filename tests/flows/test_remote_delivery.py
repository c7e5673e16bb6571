"""A remote A2A agent behind the kernel: what its callers see is what they would see at the agent itself."""

import asyncio
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest
from a2a.client import ClientConfig, ClientFactory
from a2a.client.card_resolver import parse_agent_card
from a2a.client.client import Client
from a2a.types import a2a_pb2 as pb
from tests.conformance.processes import AgentProcess
from tests.flows.kernel import Kernel

from memroos_kit.db import sqlite3
from memroos_kit.ids import new_id

KINDS = {
    "jsonrpc": {"bindings": "jsonrpc"},
    "rest": {"bindings": "rest"},
    "grpc": {"bindings": "grpc"},
    "jsonrpc-0.3": {"bindings": "jsonrpc", "version": "0.3"},
    "grpc-0.3": {"bindings": "grpc", "version": "0.3"},
    "without-streams": {"bindings": "jsonrpc", "capabilities": "none"},
}
ALL = tuple(KINDS)
STREAMING = tuple(kind for kind in KINDS if kind != "without-streams")


class Far:
    """A kernel, and agents behind it by the way in which they are reached."""

    def __init__(self, folder: Path) -> None:
        self.agents: dict[str, AgentProcess] = {}
        self.kernel = Kernel(folder / "kernel", settings={"outbound_allow": "127.0.0.1", "remote_poll_s": "0.2"})
        self._folder = folder

    def get(self, kind: str) -> AgentProcess:
        """Return a running agent of this kind, which the kernel knows by that name."""
        if kind not in self.agents:
            self.agents[kind] = AgentProcess(self._folder / kind, **KINDS[kind]).start()
            name = kind.replace(".", "-")
            self.kernel.done("POST", "/api/remote-agents", {"card_url": self.agents[kind].card_url, "name": name})
        return self.agents[kind]

    def play(self, kind: str, story: Callable[[Client], Any]) -> Any:
        """Run a story with an official client of the agent's endpoint at the kernel."""
        self.get(kind)

        async def run() -> Any:
            async with self.kernel.async_client() as http:
                return await story(await client_of(f"/a2a/agents/{kind.replace('.', '-')}", http))

        return asyncio.run(run())

    def end(self, task_id: str) -> tuple[str, str]:
        """Return how far the other end of a task is, and what its agent calls it."""
        connection = sqlite3.connect(f"file:{self.kernel.database}?mode=ro", uri=True)
        try:
            query = "SELECT state, remote_id FROM remote_task WHERE task_id = ?"
            row: tuple[str, str] = connection.execute(query, (task_id,)).fetchone() or ("", "")
        finally:
            connection.close()
        return row

    def ask(self, kind: str, remote_id: str) -> pb.Task:
        """Return a task as its agent shows it to somebody who asks it directly."""

        async def run() -> pb.Task:
            async with httpx.AsyncClient(base_url=self.agents[kind].url, trust_env=False) as http:
                return await (await client_of("", http)).get_task(pb.GetTaskRequest(id=remote_id))

        return asyncio.run(run())


@pytest.fixture(scope="module")
def far(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Far]:
    """A kernel, and agents that are started when a test needs them."""
    house = Far(tmp_path_factory.mktemp("far"))
    with house.kernel:
        yield house
    for agent in house.agents.values():
        agent.kill()


async def client_of(path: str, http: httpx.AsyncClient) -> Client:
    """Return the SDK's client of a card."""
    card = (await http.get(f"{path}/.well-known/agent-card.json")).json()
    config = ClientConfig(
        httpx_client=http,
        grpc_channel_factory=grpc.aio.insecure_channel,
        supported_protocol_bindings=["JSONRPC", "HTTP+JSON", "GRPC"],
    )
    return ClientFactory(config).create(parse_agent_card(card))


def message(text: str, **fields: Any) -> pb.Message:
    return pb.Message(message_id=new_id("msg"), role=pb.ROLE_USER, parts=[pb.Part(text=text)], **fields)


async def stream(client: Client, said: pb.Message) -> list[pb.StreamResponse]:
    return [item async for item in client.send_message(pb.SendMessageRequest(message=said))]


async def send(client: Client, said: pb.Message) -> pb.SendMessageResponse:
    request = pb.SendMessageRequest(message=said)
    answer: pb.SendMessageResponse = await client._transport.send_message(request)  # type: ignore[attr-defined]
    return answer


def words(items: list[pb.StreamResponse]) -> list[str]:
    """Return a stream in short: what came, and which state it told."""
    short = []
    for item in items:
        match item.WhichOneof("payload"):
            case "task":
                short.append(f"task {state(item.task)}")
            case "status_update":
                short.append(state(item.status_update))
            case "artifact_update":
                short.append("".join(part.text for part in item.artifact_update.artifact.parts))
            case kind:
                short.append(str(kind))
    return short


def state(holder: Any) -> str:
    return pb.TaskState.Name(holder.status.state).removeprefix("TASK_STATE_")


# -- what comes back ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", STREAMING)
def test_a_stream_through_the_kernel_shows_what_the_agent_streams(far: Far, kind: str) -> None:
    items = far.play(kind, lambda client: stream(client, message("tck-stream-chunked")))

    chunks = [f"chunk {number}. " for number in range(4)]
    assert words(items) == ["task SUBMITTED", "WORKING", *chunks, "COMPLETED"]
    assert [item.artifact_update.append for item in items[2:6]] == [False, True, True, True]


@pytest.mark.parametrize("kind", ALL)
def test_a_blocking_send_returns_the_finished_task(far: Far, kind: str) -> None:
    task = far.play(kind, lambda client: send(client, message("tck-artifact-text"))).task

    assert state(task) == "COMPLETED"
    assert [artifact.parts[0].text for artifact in task.artifacts] == ["Words."]


@pytest.mark.parametrize("kind", ALL)
def test_a_question_travels_back_and_the_answer_reaches_the_same_task(far: Far, kind: str) -> None:
    async def story(client: Client) -> tuple[pb.Task, pb.Task]:
        asked = (await send(client, message("tck-input-required"))).task
        return asked, (await send(client, message("This one.", task_id=asked.id))).task

    asked, done = far.play(kind, story)

    assert state(asked) == "INPUT_REQUIRED"
    assert asked.status.message.parts[0].text == "Which one?"
    assert (done.id, state(done)) == (asked.id, "COMPLETED")


@pytest.mark.parametrize("kind", ["jsonrpc", "grpc", "without-streams"])
def test_an_agent_goes_on_by_itself_once_it_is_let_in(far: Far, kind: str) -> None:
    async def story(client: Client) -> tuple[pb.Task, pb.Task]:
        waits = (await send(client, message("tck-auth-continues"))).task
        until = time.monotonic() + 20
        while state(task := await client.get_task(pb.GetTaskRequest(id=waits.id))) != "COMPLETED":
            assert time.monotonic() < until
            await asyncio.sleep(0.1)
        return waits, task

    waits, done = far.play(kind, story)

    assert state(waits) == "AUTH_REQUIRED"
    assert done.artifacts


@pytest.mark.parametrize("kind", ALL)
def test_a_message_instead_of_a_task_comes_back_as_just_that(far: Far, kind: str) -> None:
    answer = far.play(kind, lambda client: send(client, message("tck-message-response")))

    assert answer.WhichOneof("payload") == "message"
    assert answer.message.parts[0].text == "Said, and no task was made."


@pytest.mark.parametrize("kind", ALL)
def test_a_failure_of_the_agent_is_its_own_words(far: Far, kind: str) -> None:
    task = far.play(kind, lambda client: send(client, message("tck-task-failure"))).task

    assert (state(task), task.status.message.parts[0].text) == ("FAILED", "It did not work.")


@pytest.mark.parametrize("kind", ALL)
def test_a_cancel_reaches_the_agent(far: Far, kind: str) -> None:
    async def story(client: Client) -> pb.Task:
        request = pb.SendMessageRequest(message=message("tck-cancel"))
        request.configuration.return_immediately = True
        sent: pb.SendMessageResponse = await client._transport.send_message(request)  # type: ignore[attr-defined]
        while state(await client.get_task(pb.GetTaskRequest(id=sent.task.id))) != "WORKING":  # noqa: ASYNC110 - as callers do it
            await asyncio.sleep(0.02)
        return await client.cancel_task(pb.CancelTaskRequest(id=sent.task.id))

    task = far.play(kind, story)

    assert state(task) == "CANCELED"
    until = time.monotonic() + 10
    while (end := far.end(task.id))[0] != "closed":
        assert time.monotonic() < until
        time.sleep(0.05)
    assert state(far.ask(kind, end[1])) == "CANCELED"
