"""The end of a kernel with many open streams: in time, and nobody misses anything who comes back."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from tests.flows.kernel import Agent, Kernel

STREAMS = {"events": 80, "tasks": 70, "a2a": 50}
FIVE_SECONDS = 5.0


class Reader:
    """A client of one stream that remembers what it saw, and goes on from its last event id."""

    def __init__(self, method: str, path: str, **options: Any) -> None:
        self.method = method
        self.path = path
        self.options = options
        self.seen: list[tuple[int, Any]] = []
        self.last = ""
        self.open = asyncio.Event()

    def begin(self, client: httpx.AsyncClient) -> "asyncio.Future[Any]":
        """Begin to read, or go on; what is returned is done when the stream has ended."""
        self.open = asyncio.Event()
        return asyncio.ensure_future(self._read(client))

    async def _read(self, client: httpx.AsyncClient) -> None:
        """Read until the stream ends; one that is cut raises."""
        headers = {"Last-Event-ID": self.last} if self.last else {}
        async with client.stream(self.method, self.path, headers=headers, **self.options) as response:
            assert response.status_code == 200, await response.aread()
            self.open.set()
            entry: dict[str, str] = {}
            async for line in response.aiter_lines():
                if line:
                    name, _, value = line.partition(":")
                    entry[name] = value.strip()
                    continue
                if "id" in entry:
                    self.last = entry["id"]
                if "data" in entry:
                    self.seen.append((int(entry.get("id", 0)), json.loads(entry["data"])))
                entry = {}


@asynccontextmanager
async def many(kernel: Kernel, key: str) -> AsyncIterator[httpx.AsyncClient]:
    """Return a client that may have any number of connections."""
    async with kernel.async_client(key, timeout=30, limits=httpx.Limits(max_connections=None)) as client:
        client.headers["A2A-Version"] = "1.0"
        yield client


async def until(condition: Callable[[], object]) -> None:
    """Return when it is so."""
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - nothing tells of it
            await asyncio.sleep(0.02)


def run(story: Callable[[], Awaitable[None]]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(60):
            await story()

    asyncio.run(bounded())


@pytest.fixture
def kernel(new_kernel: Callable[..., Kernel]) -> Kernel:
    """A kernel with room for many streams of one key."""
    return new_kernel(streams_per_key="300").start()


@pytest.fixture
def worker(kernel: Kernel) -> Agent:
    """The agent whose tasks are followed."""
    return kernel.create_agent("worker")


def send(kernel: Kernel, n: int) -> Any:
    return kernel.done("POST", "/api/tasks", {"agent": "worker", "parts": [{"text": f"task {n}"}]})


class Crowd:
    """Many readers of every kind of stream, each with a connection of its own."""

    def __init__(self, tasks: list[str], offset: int) -> None:
        subscribe = {"jsonrpc": "2.0", "id": 1, "method": "SubscribeToTask"}
        about = [tasks[n % len(tasks)] for n in range(max(STREAMS.values()))]
        params = {"after": offset, "type": "task"}
        self.events = [Reader("GET", "/api/events", params=params) for _ in range(STREAMS["events"])]
        self.tasks = [Reader("GET", f"/api/tasks/{task}/events") for task in about[: STREAMS["tasks"]]]
        self.a2a = [
            Reader("POST", "/a2a", json={**subscribe, "params": {"id": task}}) for task in about[: STREAMS["a2a"]]
        ]
        self.reading: list[asyncio.Future[None]] = []

    @property
    def all(self) -> list[Reader]:
        """Everybody."""
        return [*self.events, *self.tasks, *self.a2a]

    async def open(self, client: httpx.AsyncClient) -> None:
        """Let everybody begin to read, or go on, and return when all streams are open."""
        self.reading = [reader.begin(client) for reader in self.all]
        await asyncio.gather(*(reader.open.wait() for reader in self.all))

    async def leave(self) -> None:
        """Let everybody go who still reads."""
        for one in self.reading:
            one.cancel()
        await asyncio.gather(*self.reading, return_exceptions=True)


def test_with_two_hundred_open_streams_it_ends_in_time_and_readers_go_on_without_a_gap(
    kernel: Kernel, worker: Agent
) -> None:
    tasks = [send(kernel, n)["id"] for n in range(5)]
    claims = [worker.claim() for _ in tasks]
    offset = log(kernel)[-1]["offset"]
    crowd = Crowd(tasks, offset)

    async def report(deed: str) -> None:
        for claim in claims:
            await asyncio.to_thread(worker.report, claim, deed, parts=[{"text": "a word"}])

    async def before() -> None:
        async with many(kernel, kernel.operator_key) as client:
            await crowd.open(client)
            assert len(crowd.reading) == 200
            await report("progress")
            took = await asyncio.to_thread(kernel.terminate)
            await asyncio.gather(*crowd.reading)  # each ended in order, none was cut
            assert (took < FIVE_SECONDS, kernel.returncode) == (True, 0)

    async def after() -> None:
        async with many(kernel, kernel.operator_key) as client:
            await crowd.open(client)
            await report("complete")
            await asyncio.gather(*crowd.reading[STREAMS["events"] :])  # streams of tasks end with their tasks
            await until(lambda: all(len(reader.seen) >= 15 for reader in crowd.events))
            await crowd.leave()

    run(before)
    kernel.start()
    for claim in claims:  # while nobody is there
        worker.report(claim, "progress", parts=[{"text": "two"}])
    run(after)

    expected = [event["offset"] for event in log(kernel) if event["offset"] > offset]
    assert {tuple(n for n, _ in reader.seen) for reader in crowd.events} == {tuple(expected)}
    assert {tuple(n for n, _ in reader.seen) for reader in crowd.tasks} == {(1, 2, 3, 4, 5, 6)}
    # No replay in the protocol: each connection begins with the task as it is, then every change.
    assert {tuple(state_of(data["result"]) for _, data in reader.seen) for reader in crowd.a2a} == {
        ("task WORKING", "WORKING", "task WORKING", "COMPLETED")
    }


def log(kernel: Kernel) -> list[Any]:
    """Return the event log about tasks."""
    found: list[Any] = []
    cursor = None
    while True:
        query = {"type": "task", "limit": 100} | ({"cursor": cursor} if cursor else {})
        page = kernel.done("GET", "/api/events/log", params=query)
        found += page["items"]
        cursor = page["next_cursor"]
        if not cursor:
            return found


def state_of(result: Any) -> str:
    """Return what a stream's item says about the state."""
    if "task" in result:
        return f"task {result['task']['status']['state'].removeprefix('TASK_STATE_')}"
    return str(result["statusUpdate"]["status"]["state"].removeprefix("TASK_STATE_"))


def test_waits_and_long_polls_end_with_the_kernel(kernel: Kernel, worker: Agent) -> None:
    caller = kernel.create_agent("caller")

    async def story() -> None:
        message = {"messageId": "m", "role": "ROLE_USER", "parts": [{"text": "x"}], "metadata": {}}
        blocking = {"jsonrpc": "2.0", "id": 1, "method": "SendMessage", "params": {"message": message}}
        async with many(kernel, caller.key) as client:
            waiting = [
                client.post("/api/tasks/claim", json={"wait_s": 30}),
                client.post("/api/agent-context/receive", json={}, params={"wait_s": 30}),
                client.post("/api/tasks", json={"agent": "worker", "parts": [{"text": "x"}]}, params={"wait_s": 30}),
                client.post("/a2a/agents/worker", json=blocking),
            ]
            answers = [asyncio.ensure_future(one) for one in waiting]
            await asyncio.sleep(0.5)
            assert not any(answer.done() for answer in answers)
            took = await asyncio.to_thread(kernel.terminate)
            statuses = [(await answer).status_code for answer in answers]
        assert took < FIVE_SECONDS
        assert statuses == [204, 200, 201, 200]
        assert kernel.returncode == 0

    run(story)


def test_a_revoked_key_ends_its_streams_and_waits_within_a_second(kernel: Kernel, worker: Agent) -> None:
    caller = kernel.create_agent("caller")
    sent = {"agent": "worker", "parts": [{"text": "x"}]}
    task = kernel.done("POST", "/api/tasks", sent, key=caller.key)
    key_id = kernel.done("GET", "/api/whoami", key=caller.key)["key"]

    async def story() -> None:
        subscribe = {"jsonrpc": "2.0", "id": 1, "method": "SubscribeToTask", "params": {"id": task["id"]}}
        async with many(kernel, caller.key) as client:
            streams = [
                Reader("GET", "/api/events"),
                Reader("GET", f"/api/tasks/{task['id']}/events"),
                Reader("POST", "/a2a", json=subscribe),
            ]
            reading: list[asyncio.Future[Any]] = [reader.begin(client) for reader in streams]
            reading.append(asyncio.ensure_future(client.post("/api/tasks/claim", json={"wait_s": 30})))
            await asyncio.gather(*(reader.open.wait() for reader in streams))
            await asyncio.sleep(0.2)
            assert not any(one.done() for one in reading)

            began = time.monotonic()
            await asyncio.to_thread(kernel.done, "DELETE", f"/api/keys/{key_id}")
            await asyncio.gather(*reading)

            assert time.monotonic() - began < 1
            assert (await client.get("/api/whoami")).status_code == 401

    run(story)


@pytest.mark.parametrize("deed", ["quarantine", "retire"])
def test_an_agent_that_is_shut_out_loses_its_streams(kernel: Kernel, worker: Agent, deed: str) -> None:
    async def story() -> None:
        async with many(kernel, worker.key) as client:
            reader = Reader("GET", "/api/events")
            reading = [
                reader.begin(client),
                asyncio.ensure_future(client.post("/api/tasks/claim", json={"wait_s": 30})),
            ]
            await reader.open.wait()
            await asyncio.sleep(0.2)
            body = {"reason": "odd"}
            await asyncio.to_thread(kernel.done, "POST", f"/api/agents/{worker.id}/{deed}", body)
            async with asyncio.timeout(1):
                await asyncio.gather(*reading)

    run(story)


def test_a_key_that_expires_ends_its_streams(kernel: Kernel, worker: Agent) -> None:
    made = kernel.done("POST", f"/api/agents/{worker.id}/keys", {"expires_in_s": 2})

    async def story() -> None:
        async with many(kernel, made["secret"]) as client:
            began = time.monotonic()
            await Reader("GET", "/api/events").begin(client)
            assert time.monotonic() - began < 4.5

    run(story)


def test_one_stream_too_many_is_refused_with_a_status(new_kernel: Callable[..., Kernel]) -> None:
    kernel = new_kernel(streams_per_key="2").start()
    kernel.create_agent("worker")
    task = send(kernel, 1)

    async def story() -> None:
        async with many(kernel, kernel.operator_key) as client:
            open_ = [Reader("GET", f"/api/tasks/{task['id']}/events") for _ in range(2)]
            reading = [reader.begin(client) for reader in open_]
            await asyncio.gather(*(reader.open.wait() for reader in open_))
            message = {"messageId": "m", "role": "ROLE_USER", "parts": [{"text": "x"}]}
            refused = [
                await client.get(f"/api/tasks/{task['id']}/events"),
                await client.get("/api/events"),
                await client.post(f"/a2a/tasks/{task['id']}:subscribe"),
                await client.post("/a2a/agents/worker/message:stream", json={"message": message}),
            ]
            assert [response.status_code for response in refused] == [429] * 4
            assert len((await client.get("/api/tasks")).json()["items"]) == 1  # nothing was sent either
            for one in reading:
                one.cancel()
            await asyncio.gather(*reading, return_exceptions=True)
            assert (await client.post(f"/a2a/tasks/{task['id']}:cancel")).status_code == 200
            await asyncio.sleep(0.5)
            assert (await client.get(f"/api/tasks/{task['id']}/events")).status_code == 200  # there is room again

    run(story)
