"""Agents that keep no rule harm their own tasks, which say so; never the kernel, nor anybody else's."""

import time
from collections.abc import Iterator
from typing import Any

import pytest
from tests.flows.hostile import FAILING, HostileAgent
from tests.flows.kernel import Kernel

FINAL = {"completed", "failed", "canceled", "rejected"}


@pytest.fixture(scope="module")
def agent() -> Iterator[HostileAgent]:
    """The agent, listening."""
    with HostileAgent() as running:
        yield running


@pytest.fixture(scope="module")
def kernel(tmp_path_factory: pytest.TempPathFactory, agent: HostileAgent) -> Iterator[Kernel]:
    """A kernel that knows the agent, with little patience."""
    settings = {
        "outbound_allow": "127.0.0.1",
        "remote_poll_s": "0.1",
        "remote_silence_s": "3",
        "remote_events_max": "2000",
    }
    with Kernel(tmp_path_factory.mktemp("kernel"), settings=settings) as running:
        endpoint = f"http://127.0.0.1:{agent.port}/"
        new = {"name": "hostile", "kind": "a2a", "state": "active", "endpoint_url": endpoint, "max_concurrency": 100}
        running.done("POST", "/api/agents", new)
        yield running


def send(kernel: Kernel, word: str, agent: str = "hostile") -> str:
    return str(kernel.done("POST", "/api/tasks", {"agent": agent, "parts": [{"text": word}]})["id"])


def ended(kernel: Kernel, task_id: str, timeout_s: float = 30) -> Any:
    """Return a task once it has ended."""
    until = time.monotonic() + timeout_s
    while (task := kernel.done("GET", f"/api/tasks/{task_id}"))["state"] not in FINAL:
        assert time.monotonic() < until, task
        time.sleep(0.05)
    return task


def content(kernel: Kernel, task_id: str) -> Any:
    return kernel.done("GET", f"/api/tasks/{task_id}/content")


@pytest.mark.parametrize("word", sorted(FAILING))
def test_what_a2a_does_not_allow_fails_the_task_and_is_told(kernel: Kernel, word: str) -> None:
    task = ended(kernel, send(kernel, word))

    assert task["state"] == "failed"
    assert "what A2A does not allow" in content(kernel, task["id"])["task"]["status_message"]["parts"][0]["text"]
    unharmed(kernel)


def unharmed(kernel: Kernel) -> None:
    """Assert that the kernel is well, and that other tasks are done at once."""
    assert kernel.call("GET", "/readyz").status_code == 200
    began = time.monotonic()
    assert ended(kernel, send(kernel, "fine"))["state"] == "completed"
    assert ended(kernel, send(kernel, "hello", "echo"))["state"] == "completed"
    assert time.monotonic() - began < 5


def test_what_comes_after_the_end_is_dropped(kernel: Kernel) -> None:
    task = ended(kernel, send(kernel, "late"))
    time.sleep(0.5)

    after = content(kernel, task["id"])
    assert after["task"]["state"] == "completed"
    assert after["artifacts"] == []
    assert after["task"]["generation"] == task["generation"]


def test_clocks_that_lie_are_not_believed(kernel: Kernel) -> None:
    task = ended(kernel, send(kernel, "fine"))

    assert task["status_at"] >= task["created_at"]
    assert not task["status_at"].startswith("1970")


def test_an_agent_that_never_answers_can_be_left(kernel: Kernel) -> None:
    task_id = send(kernel, "hanging")
    unharmed(kernel)

    assert kernel.done("POST", f"/api/tasks/{task_id}/cancel", {})["state"] == "canceled"


def test_a_server_that_speaks_no_http_is_one_that_cannot_be_reached(kernel: Kernel) -> None:
    task = ended(kernel, send(kernel, "nonsense"))

    assert task["state"] == "failed"
    assert "could not be reached" in content(kernel, task["id"])["task"]["status_message"]["parts"][0]["text"]


def test_nobody_is_sent_elsewhere(kernel: Kernel) -> None:
    task = ended(kernel, send(kernel, "elsewhere"))

    assert task["state"] == "rejected"


def test_a_line_separator_in_a_text_ends_no_line(kernel: Kernel) -> None:
    task = ended(kernel, send(kernel, "separators"))

    text = content(kernel, task["id"])["task"]["status_message"]["parts"][0]["text"]
    assert (task["state"], text) == ("completed", "one\u2028two\u0085three")


def test_an_agent_cannot_speak_for_a_task_it_was_not_given(kernel: Kernel, agent: HostileAgent) -> None:
    task = ended(kernel, send(kernel, "other-task"))

    assert task["state"] == "failed"
    assert "another task" in content(kernel, task["id"])["task"]["status_message"]["parts"][0]["text"]
    assert "CancelTask" in agent.calls
