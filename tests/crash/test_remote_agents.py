"""kill -9 of the broker, of a remote agent and of both under streaming load.

Every task ends as its agent says it ended; whoever follows one across the crashes gets each chunk once; none is stuck.
"""

import asyncio
import os
import random
import secrets
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from a2a.types import a2a_pb2 as pb
from tests.crash.durable_agent import CHUNKS
from tests.flows.kernel import Kernel
from tests.flows.service import free_port

from memroos_kit.db import sqlite3

SHORT, LONG, LONG_LEAST = 10, 200, 50
LONGEST_S = 0.35 * float(os.environ.get("MEMROOS_TEST_BUDGET_S", "2400"))
"""This drill's share of the time that all long tests have together."""
SETTLE_S = 60.0
FOLLOWERS = 12
FINAL = {"completed", "failed", "canceled", "rejected"}
LIVELY = {
    "log_level": "warning",
    "outbound_allow": "127.0.0.1",
    "remote_poll_s": "0.5",
    "requests_per_minute": "100000000",
    "request_burst": "1000000",
}


@pytest.mark.timeout(240)
def test_ten_kills_of_broker_and_agent_lose_and_double_nothing(tmp_path: Path) -> None:
    done = drill(tmp_path, cycles=SHORT, most_s=120)

    assert done == SHORT, f"only {done} of {SHORT} cycles within the time"


@pytest.mark.long
@pytest.mark.timeout(LONGEST_S + SETTLE_S + 60)
def test_two_hundred_kills_of_broker_and_agent_lose_and_double_nothing(tmp_path: Path) -> None:
    done = drill(tmp_path, cycles=LONG, most_s=LONGEST_S)

    assert done >= LONG_LEAST, f"only {done} of {LONG} cycles within the time; {LONG_LEAST} are the least"


class DurableAgent:
    """The agent's process and its file."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self.file = folder / "agent.db"
        self._log = folder / "agent.log"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, and wait until it answers."""
        program = Path(__file__).parent / "durable_agent.py"
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, str(program), "--port", str(self.port), "--file", str(self.file)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        until = time.monotonic() + 30
        while time.monotonic() < until:
            try:
                httpx.get(f"http://127.0.0.1:{self.port}/.well-known/agent-card.json", timeout=2, trust_env=False)
            except httpx.TransportError:
                time.sleep(0.05)
            else:
                return
        raise AssertionError(f"the agent did not start: {self._log.read_text('utf-8')[-2000:]}")

    def kill(self) -> None:
        """End it as a crash does."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(10)

    def tasks(self) -> dict[str, pb.Task]:
        """Return what it keeps, by id."""
        connection = sqlite3.connect(self.file)
        try:
            rows = connection.execute("SELECT body FROM task").fetchall()
        finally:
            connection.close()
        return {task.id: task for task in (pb.Task.FromString(body) for (body,) in rows)}


class Follower:
    """Sends one task after the other and follows each to its end, across every crash."""

    def __init__(self, kernel: Kernel, number: int, found: list[str]) -> None:
        self.done = 0
        self._kernel = kernel
        self._number = number
        self._found = found
        self._sent = 0

    async def run(self, over: asyncio.Event) -> None:
        """Go on until it is over; what was begun is followed to its end."""
        async with self._kernel.async_client(timeout=5) as http:
            while not over.is_set():
                self._sent += 1
                task_id = await self._send(http, f"drill-{self._number}-{self._sent}")
                self._judge(task_id, await self._follow(http, task_id))
                self.done += 1

    async def _send(self, http: httpx.AsyncClient, message_id: str) -> str:
        body = {"agent": "durable", "message_id": message_id, "parts": [{"text": "Count."}]}
        while True:
            try:
                answer = await http.post("/api/tasks", json=body)
                if answer.is_success:
                    return str(answer.json()["id"])
            except httpx.TransportError:
                pass
            await asyncio.sleep(0.05)

    async def _follow(self, http: httpx.AsyncClient, task_id: str) -> list[dict[str, Any]]:
        seen: list[dict[str, Any]] = []
        while not (seen and seen[-1].get("state") in FINAL):
            try:
                after = str(seen[-1]["generation"]) if seen else "0"
                async with http.stream("GET", f"/api/tasks/{task_id}/events", params={"after": after}) as stream:
                    async for line in stream.aiter_lines():
                        if line.startswith("data: "):
                            seen.append(msgspec.json.decode(line[6:]))  # noqa: PERF401 - what came before a break counts
            except httpx.TransportError:
                pass
            await asyncio.sleep(0.02)
        return seen

    def _judge(self, task_id: str, seen: list[dict[str, Any]]) -> None:
        generations = [event["generation"] for event in seen]
        if generations != list(range(1, len(seen) + 1)):
            self._found.append(f"{task_id}: generations {generations}")
        pieces = [event for event in seen if event["kind"] == "artifact"]
        texts = [part["text"] for event in pieces for part in event["artifact"]["parts"]]
        if texts != [f"{number} " for number in range(CHUNKS)] or sum(not e.get("append") for e in pieces) != 1:
            self._found.append(f"{task_id}: chunks {texts}")
        said = Counter(
            event["message"]["message_id"] for event in seen if event["kind"] == "status" and "message" in event
        )
        if any(times > 1 for times in said.values()):
            self._found.append(f"{task_id}: said twice {said}")


def drill(folder: Path, *, cycles: int, most_s: float) -> int:
    """Kill and restart under load, then hold every task against its agent's word; return how many kills there were."""
    seed = secrets.randbits(32)
    agent = DurableAgent(folder)
    kernel = Kernel(folder / "kernel", settings=LIVELY)
    found: list[str] = []
    agent.start()
    try:
        with kernel:
            card = f"http://127.0.0.1:{agent.port}/.well-known/agent-card.json"
            kernel.done("POST", "/api/remote-agents", {"card_url": card, "name": "durable", "max_concurrency": 100})
            followers = [Follower(kernel, number, found) for number in range(FOLLOWERS)]
            until = time.monotonic() + most_s
            done = asyncio.run(_drill(kernel, agent, followers, cycles=cycles, until=until, seed=seed))
            found += _differences(kernel, agent)
    finally:
        agent.kill()
    print(f"\n{done} of {cycles} kills (seed {seed}): {sum(one.done for one in followers)} tasks followed to their end")
    assert not found, f"seed {seed}, after {done} kills: {found[:10]}"
    return done


async def _drill(
    kernel: Kernel, agent: DurableAgent, followers: list[Follower], *, cycles: int, until: float, seed: int
) -> int:
    chance = random.Random(seed)
    over, done = asyncio.Event(), 0
    async with asyncio.TaskGroup() as group:
        following = [group.create_task(one.run(over)) for one in followers]
        while done < cycles and time.monotonic() < until:
            await asyncio.sleep(chance.uniform(0.1, 0.8))
            whom = chance.choice(["broker", "agent", "both"])
            victims: list[Kernel | DurableAgent] = [kernel] * (whom != "agent") + [agent] * (whom != "broker")
            for victim in victims:
                victim.kill()
            await asyncio.gather(*(asyncio.to_thread(victim.start) for victim in victims))
            done += 1
        over.set()
        _, stuck = await asyncio.wait(following, timeout=SETTLE_S)
        for one in stuck:
            one.cancel()
    assert not stuck, f"{len(stuck)} tasks did not end within {SETTLE_S} s"
    return done


def _differences(kernel: Kernel, agent: DurableAgent) -> list[str]:
    """Return where the kernel's tasks are not what their agent says they are."""
    theirs = agent.tasks()
    connection = sqlite3.connect(kernel.database)
    query = "SELECT t.id, t.state, r.remote_id, r.state FROM task t LEFT JOIN remote_task r ON r.task_id = t.id"
    rows = connection.execute(query).fetchall()
    connection.close()
    found = []
    for task_id, state, remote_id, end in rows:
        there = theirs.get(remote_id)
        said = pb.TaskState.Name(there.status.state).removeprefix("TASK_STATE_").lower() if there else "unknown"
        if state != said or end != "closed":
            found.append(f"{task_id} is {state}, its agent says {said}; its other end is {end}")
    return found
