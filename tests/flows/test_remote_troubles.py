"""Remote agents that go away, forget, refuse, or are given more than they can do: every task ends clearly."""

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.conformance.processes import AgentProcess
from tests.flows.kernel import Kernel

from memroos_kit.db import sqlite3

FINAL = {"completed", "failed", "canceled", "rejected"}


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[AgentProcess]:
    """An agent that a test may end; it remembers nothing when it comes back."""
    with AgentProcess(tmp_path / "agent", bindings="jsonrpc", long_s=1.0) as running:
        yield running


@pytest.fixture
def kernel_with(new_kernel: Callable[..., Kernel], agent: AgentProcess) -> Callable[..., Kernel]:
    """Return a function that starts a kernel that knows the agent as `far`."""

    def start(silence_s: float = 60, **fields: Any) -> Kernel:
        settings = {"outbound_allow": "127.0.0.1", "remote_poll_s": "0.2", "remote_silence_s": str(silence_s)}
        kernel = new_kernel(**settings).start()
        kernel.done("POST", "/api/remote-agents", {"card_url": agent.card_url, "name": "far", **fields})
        return kernel

    return start


def send(kernel: Kernel, text: str, **fields: Any) -> str:
    return str(kernel.done("POST", "/api/tasks", {"agent": "far", "parts": [{"text": text}], **fields})["id"])


def until(kernel: Kernel, task_id: str, *states: str, timeout_s: float = 30) -> Any:
    """Return a task once it is in one of these states."""
    deadline = time.monotonic() + timeout_s
    while (task := kernel.done("GET", f"/api/tasks/{task_id}"))["state"] not in states:
        assert time.monotonic() < deadline, task
        time.sleep(0.02)
    return task


def told(kernel: Kernel, task_id: str) -> str:
    """Return what the task's last word is."""
    task = kernel.done("GET", f"/api/tasks/{task_id}/content")["task"]
    return str(task["status_message"]["parts"][0]["text"])


def state_of(kernel: Kernel, task_id: str) -> str:
    return str(kernel.done("GET", f"/api/tasks/{task_id}")["state"])


def test_an_agent_that_has_forgotten_a_task_has_failed_it(
    kernel_with: Callable[..., Kernel], agent: AgentProcess
) -> None:
    kernel = kernel_with()
    task_id = send(kernel, "tck-cancel")
    until(kernel, task_id, "working")

    agent.restart()

    until(kernel, task_id, "failed")
    assert told(kernel, task_id) == "far no longer knows this task."


def test_an_agent_that_stays_away_has_failed_its_task(kernel_with: Callable[..., Kernel], agent: AgentProcess) -> None:
    kernel = kernel_with(silence_s=2)
    task_id = send(kernel, "tck-cancel")
    until(kernel, task_id, "working")

    agent.kill()

    until(kernel, task_id, "failed")
    assert told(kernel, task_id) == "far could not be reached for 2 seconds."


def test_a_message_waits_for_an_agent_that_is_away(kernel_with: Callable[..., Kernel], agent: AgentProcess) -> None:
    kernel = kernel_with()
    agent.kill()
    task_id = send(kernel, "tck-complete-task")
    time.sleep(0.5)
    assert state_of(kernel, task_id) == "submitted"

    agent.start()

    until(kernel, task_id, "completed")


def test_an_agent_that_never_came_has_failed_its_task_too(
    kernel_with: Callable[..., Kernel], agent: AgentProcess
) -> None:
    kernel = kernel_with(silence_s=2)
    agent.kill()

    task_id = send(kernel, "tck-complete-task")

    until(kernel, task_id, "failed")
    assert "could not be reached" in told(kernel, task_id)


def test_an_agent_gets_no_more_at_a_time_than_it_can_do(kernel_with: Callable[..., Kernel]) -> None:
    kernel = kernel_with(max_concurrency=1)
    first = send(kernel, "tck-long-running")
    others = [send(kernel, "tck-complete-task") for _ in range(3)]
    until(kernel, first, "working")

    assert {state_of(kernel, other) for other in others} == {"submitted"}
    done = [until(kernel, task_id, "completed")["status_at"] for task_id in (first, *others)]
    assert done == sorted(done)


def test_a_task_that_waits_for_its_caller_leaves_its_place_to_others(kernel_with: Callable[..., Kernel]) -> None:
    kernel = kernel_with(max_concurrency=1)
    asking = send(kernel, "tck-input-required")
    until(kernel, asking, "input_required")

    until(kernel, send(kernel, "tck-complete-task"), "completed")

    send(kernel, "This one.", task_id=asking)
    until(kernel, asking, "completed")


def test_a_refusal_is_told_with_the_agents_reason(kernel_with: Callable[..., Kernel]) -> None:
    kernel = kernel_with()
    part = {"text": "tck-complete-task", "media_type": "x/unsupported"}
    task_id = str(kernel.done("POST", "/api/tasks", {"agent": "far", "parts": [part]})["id"])

    until(kernel, task_id, "rejected")

    assert "This agent takes text, JSON and PDF." in told(kernel, task_id)
    (last,) = [event for event in events(kernel, task_id) if event.get("state") == "rejected"]
    assert last["metadata"]["memroos"]["error"] == "CONTENT_TYPE_NOT_SUPPORTED"


def events(kernel: Kernel, task_id: str) -> list[Any]:

    text = kernel.call("GET", f"/api/tasks/{task_id}/events").text
    return [json.loads(line[6:]) for line in text.splitlines() if line.startswith("data: ")]


def test_a_cancel_survives_a_crash(kernel_with: Callable[..., Kernel], agent: AgentProcess) -> None:
    kernel = kernel_with()
    task_id = send(kernel, "tck-cancel")
    until(kernel, task_id, "working")
    kernel.done("POST", f"/api/tasks/{task_id}/cancel", {})
    kernel.kill()
    kernel.start()

    assert state_of(kernel, task_id) == "canceled"
    deadline = time.monotonic() + 20
    while other_end(kernel, task_id) != "closed":
        assert time.monotonic() < deadline
        time.sleep(0.05)


def other_end(kernel: Kernel, task_id: str) -> str:

    connection = sqlite3.connect(f"file:{kernel.database}?mode=ro", uri=True)
    try:
        return str(connection.execute("SELECT state FROM remote_task WHERE task_id = ?", (task_id,)).fetchone()[0])
    finally:
        connection.close()


def test_a_kernel_that_was_killed_goes_on_with_what_is_open(kernel_with: Callable[..., Kernel]) -> None:
    kernel = kernel_with()
    running, asking = send(kernel, "tck-long-running"), send(kernel, "tck-input-required")
    until(kernel, running, "working")
    until(kernel, asking, "input_required")

    kernel.kill()
    kernel.start()

    until(kernel, running, "completed")
    send(kernel, "This one.", task_id=asking)
    until(kernel, asking, "completed")


def test_calls_say_where_they_come_from_and_carry_the_agents_credential(
    new_kernel: Callable[..., Kernel], tmp_path: Path
) -> None:
    with AgentProcess(tmp_path / "locked", bindings="jsonrpc", key="let-me-in") as agent:
        kernel = new_kernel(outbound_allow="127.0.0.1").start()
        credential = {"value": "let-me-in"}
        new = {"card_url": agent.card_url, "name": "far", "credential": credential}
        kernel.done("POST", "/api/remote-agents", new)

        until(kernel, send(kernel, "tck-complete-task"), "completed")

        headers = next(call["headers"] for call in agent.seen() if call["method"] == "POST")
    assert headers["authorization"] == "Bearer let-me-in"
    assert headers["a2a-version"] == "1.0"
    assert headers["via"].startswith("1.1 memroos-")
    assert len(headers["traceparent"].split("-")) == 4
