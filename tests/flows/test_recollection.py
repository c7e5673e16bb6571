"""An agent is reminded when its task begins: in its claim, or in the message that a remote agent gets."""

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from a2a.types import a2a_pb2 as pb
from google.protobuf.json_format import MessageToDict
from tests.conformance.processes import AgentProcess
from tests.flows.kernel import Kernel
from tests.flows.test_remote_delivery import client_of

FACT = "The harbour crane was repaired in Rotterdam by Jansen."
ASKED = "Please report about the harbour crane"


@pytest.fixture
def kernel(tmp_path: Path) -> Iterator[Kernel]:
    with Kernel(tmp_path / "kernel", settings={"outbound_allow": "127.0.0.1", "remote_poll_s": "0.2"}) as kernel:
        yield kernel


def put(kernel: Kernel, **policy: Any) -> None:
    kernel.done("PUT", "/api/memory/recollection-policies", {"rule": {"enabled": True}} | policy)


def send(kernel: Kernel, agent: str, text: str, **fields: Any) -> str:
    return str(kernel.done("POST", "/api/tasks", {"agent": agent, "parts": [{"text": text}], **fields})["id"])


def test_a_claim_brings_what_the_agent_remembers_and_the_trace_says_that_it_helped(kernel: Kernel) -> None:
    agent = kernel.create_agent("writer")
    kernel.done("POST", "/api/agent-memory", {"text": FACT}, key=agent.key)
    send(kernel, agent.id, ASKED)
    assert agent.claim()["recollection"] == ""

    put(kernel, agent_id=agent.id)
    task = send(kernel, agent.id, ASKED)
    claim = agent.claim()
    assert claim["task"]["id"] == task
    assert FACT in claim["recollection"]

    agent.report(claim, "complete", parts=[{"text": "Jansen repaired it in Rotterdam."}])
    until = time.monotonic() + 10
    while not any(hit["used"] for hit in trace_of(kernel, task)["hits"]):
        assert time.monotonic() < until, kernel.log()[-2000:]


def test_a_remote_agent_finds_it_in_the_metadata_of_the_first_message(kernel: Kernel, tmp_path: Path) -> None:
    far = AgentProcess(tmp_path / "far", bindings="jsonrpc").start()
    try:
        made = kernel.done("POST", "/api/remote-agents", {"card_url": far.card_url, "name": "far"})
        agent = made["agent"]["id"]
        finished(kernel, send(kernel, agent, FACT))
        put(kernel, agent_id=agent)
        finished(kernel, send(kernel, agent, ASKED))
        said = asyncio.run(messages(far))
    finally:
        far.kill()
    reminded = [one["metadata"]["memroos.recollection"] for one in said if "memroos.recollection" in str(one)]
    assert len(said) >= 2
    assert len(reminded) == 1
    assert FACT in reminded[0]


def trace_of(kernel: Kernel, task: str) -> Any:
    (trace,) = kernel.done("GET", f"/api/memory/traces?task_id={task}")["items"]
    return trace


def finished(kernel: Kernel, task: str) -> None:
    for _ in range(200):
        if kernel.done("GET", f"/api/tasks/{task}?wait_s=1")["state"] == "completed":
            return
    raise AssertionError(kernel.log()[-2000:])


async def messages(far: AgentProcess) -> list[dict[str, Any]]:
    """Return what the agent was told, as it shows it itself."""
    async with httpx.AsyncClient(base_url=far.url, trust_env=False) as http:
        client = await client_of("", http)
        tasks = await client.list_tasks(pb.ListTasksRequest(history_length=10))
        found = [MessageToDict(message) for task in tasks.tasks for message in task.history]
    return [message for message in found if message["role"] == "ROLE_USER"]
