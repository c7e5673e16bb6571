"""A kernel that is killed in the middle of everything: what it acknowledged is there, and all ends well."""

from collections.abc import Callable
from typing import Any

import httpx
import pytest
from tests.flows.kernel import Kernel

RESTRICTED = {"sensitivity": "restricted"}

NewKernel = Callable[..., Kernel]


def send(kernel: Kernel, key: str, agent: str, text: str = "x", **fields: Any) -> Any:
    return kernel.done("POST", "/api/tasks", {"agent": agent, "parts": [{"text": text}], **fields}, key=key)


def state(kernel: Kernel, task: Any) -> str:
    return str(kernel.done("GET", f"/api/tasks/{task['id']}")["state"])


def settled(kernel: Kernel, task: Any) -> str:
    """Return how a task ended, by following its log to the end."""
    with kernel.client() as client, client.stream("GET", f"/api/tasks/{task['id']}/events") as response:
        for _ in response.iter_lines():
            pass
    return state(kernel, task)


def test_held_leased_and_local_work_survives_a_kill(new_kernel: NewKernel) -> None:
    kernel = new_kernel().start()
    caller, worker = kernel.create_agent("caller"), kernel.create_agent("worker")
    held = send(kernel, caller.key, "worker", label=RESTRICTED)
    leased = send(kernel, caller.key, "worker", "leased")
    claim = worker.claim(lease_s=20)  # longer than a start takes on a busy machine
    local = [send(kernel, caller.key, "echo", f"local {n}") for n in range(20)]

    kernel.kill()
    kernel.start()

    # The lease holds across the kill: the agent that never noticed goes on where it was.
    assert claim["task"]["id"] == leased["id"]
    assert worker.report(claim, "progress", parts=[{"text": "still here"}]).is_success
    for task in local:
        assert settled(kernel, task) == "completed"
        content = kernel.done("GET", f"/api/tasks/{task['id']}/content", key=caller.key)
        assert len(content["artifacts"]) == 1
    # The hold waits for its answer as before.
    assert state(kernel, held) == "auth_required"
    kernel.done("POST", f"/api/approvals/{held['approval_id']}/approve", {})
    released = worker.claim(wait_s=10)
    assert released["task"]["id"] in {held["id"], leased["id"]}
    if released["task"]["id"] == leased["id"]:  # its lease ended meanwhile
        assert worker.report(claim, "complete").status_code == 409
        assert worker.report(released, "complete").is_success
        released = worker.claim(wait_s=10)
    else:
        assert worker.report(claim, "complete").is_success
    assert worker.report(released, "complete").is_success
    assert {state(kernel, held), state(kernel, leased)} == {"completed"}
    assert kernel.done("GET", "/api/operations")["tasks"]["completed"] == 22


def test_a_lease_of_an_agent_that_died_with_the_kernel_ends_by_itself(new_kernel: NewKernel) -> None:
    kernel = new_kernel().start()
    caller, worker = kernel.create_agent("caller"), kernel.create_agent("worker")
    task = send(kernel, caller.key, "worker")
    first = worker.claim(lease_s=1)

    kernel.kill()
    kernel.start()
    second = worker.claim(wait_s=10)

    assert (second["task"]["id"], second["attempt"]) == (task["id"], 2)
    assert worker.report(first, "complete").json()["type"] == "/problems/task-not-leased"
    assert worker.report(second, "complete").is_success


def test_a_blocking_caller_finds_its_task_again_by_sending_again(new_kernel: NewKernel) -> None:
    kernel = new_kernel().start()
    caller = kernel.create_agent("caller")
    kernel.create_agent("worker")
    body = {"agent": "worker", "message_id": "m-1", "parts": [{"text": "x"}]}
    first = kernel.done("POST", "/api/tasks", body, key=caller.key)

    kernel.kill()
    kernel.start()

    assert kernel.done("POST", "/api/tasks", body, key=caller.key) == first


def test_nothing_acknowledged_is_lost_however_often_it_is_killed(new_kernel: NewKernel) -> None:
    kernel = new_kernel().start()
    caller = kernel.create_agent("caller")
    acknowledged = []
    for round_ in range(3):
        with kernel.client(caller.key) as client:
            for n in range(15):
                body = {"agent": "echo", "parts": [{"text": f"{round_}-{n}"}]}
                response = client.post("/api/tasks", json=body)
                assert response.status_code == 201
                acknowledged.append(response.json())
        kernel.kill()
        kernel.start()

    assert [settled(kernel, task) for task in acknowledged] == ["completed"] * len(acknowledged)


def test_a_second_kernel_on_the_same_data_is_refused(new_kernel: NewKernel) -> None:
    first = new_kernel().start()
    second = Kernel(first.folder)  # the same data, another port
    second.start(wait=False)

    assert second.wait(20) != 0
    assert first.call("GET", "/readyz").is_success


@pytest.mark.parametrize("name", ["conversations.db", "kernel.lock"])
def test_a_restart_needs_no_cleaning_up(new_kernel: NewKernel, name: str) -> None:
    kernel = new_kernel().start()
    kernel.kill()
    assert (kernel.data_dir / name).exists()

    kernel.start()

    assert httpx.get(f"{kernel.url}/readyz", trust_env=False).json()["ready"] is True
