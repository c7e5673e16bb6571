"""A disk that fills under a running kernel: refusals are true, reads go on, and writing does once there is room."""

import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.crash.audit_of import faults, open_database
from tests.crash.told import Deed, Ledger
from tests.flows.kernel import Agent, Kernel

SIZE = "48m"
ROOM_BYTES = 3_000_000
"""What is left once the ballast lies on the disk: some hundred writes."""
MOST_WRITES = 20_000
REFUSALS = 20
BACK_WITHIN_S = 1.0


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own; without the right to mount one the test says so, and in CI it fails."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={SIZE},mode=0700", "tmpfs", str(folder)]
    why = "only root may mount a file system"
    if os.geteuid() == 0:
        done = subprocess.run(mount, capture_output=True, text=True, check=False)
        why = done.stderr.strip()
        if done.returncode == 0:
            yield folder
            subprocess.run(["umount", "-l", str(folder)], check=False)
            return
    if os.environ.get("CI"):
        pytest.fail(f"not proved: {why}")
    pytest.skip(f"no small file system can be mounted here: {why}")


def test_a_full_disk_refuses_truly_keeps_reading_and_recovers_within_a_second(small_disk: Path) -> None:
    settings = {"log_level": "error", "requests_per_minute": "100000000"}
    ledger = Ledger()
    with Kernel(small_disk / "kernel", settings=settings) as kernel:
        sender, receiver = kernel.create_agent("sender"), kernel.create_agent("receiver")
        with kernel.client(sender.key) as client:
            task = _send_task(client, ledger, 0)
            assert task.status_code == 201
            ballast = fill(small_disk)
            _write_until_full(client, receiver, ledger)
            _refuses_and_reads(client, kernel, receiver, task.json()["id"])

            ballast.unlink()
            took = _seconds_until_writing(client, receiver, ledger)

            assert took <= BACK_WITHIN_S
            assert _send_task(client, ledger, 1).status_code == 201
            time.sleep(0.5)  # the echo agent's answer
    assert not faults(kernel.database, ledger, settled=False)
    assert _names(kernel.database) == set(ledger.of("message")), "something refused was kept"


def fill(disk: Path) -> Path:
    """Lay ballast on the disk until there is little room left."""
    ballast = disk / "ballast"
    free = os.statvfs(disk)
    with ballast.open("wb") as file:
        file.write(bytes(free.f_bavail * free.f_frsize - ROOM_BYTES))
    return ballast


def _write_until_full(client: httpx.Client, receiver: Agent, ledger: Ledger) -> None:
    for number in range(MOST_WRITES):
        answer = _send(client, receiver, ledger, f"fill-{number}")
        if answer.status_code != 201:
            assert answer.status_code == 507, answer.text
            return
    pytest.fail("the disk never filled")


def _refuses_and_reads(client: httpx.Client, kernel: Kernel, receiver: Agent, task: str) -> None:
    ledger = Ledger()
    for number in range(REFUSALS):
        answer = _send(client, receiver, ledger, f"refused-{number}")
        assert answer.status_code == 507, answer.text
        assert answer.json()["type"] == "/problems/storage-full"
        assert answer.headers["content-type"] == "application/problem+json"
        assert client.get(f"/api/tasks/{task}").json()["id"] == task
        assert client.get("/api/tasks").status_code == 200
    assert kernel.call("GET", "/healthz").status_code == 200
    assert kernel.call("GET", "/api/agents").status_code == 200
    assert not ledger.told


def _seconds_until_writing(client: httpx.Client, receiver: Agent, ledger: Ledger) -> float:
    began = time.monotonic()
    for number in range(100):
        if _send(client, receiver, ledger, f"after-{number}").status_code == 201:
            return time.monotonic() - began
        time.sleep(0.02)
    return time.monotonic() - began


def _send(client: httpx.Client, receiver: Agent, ledger: Ledger, name: str) -> httpx.Response:
    body: dict[str, Any] = {"to": receiver.id, "kind": "note", "body": {"deed": name, "text": "x" * 2_000}}
    answer = client.post("/api/agent-context", json=body, headers={"idempotency-key": name})
    if answer.status_code == 201:
        ledger.acknowledge(Deed("message", name), answer.json()["id"])
    return answer


def _send_task(client: httpx.Client, ledger: Ledger, number: int) -> httpx.Response:
    name = f"task-{number}"
    body = {"agent": "echo", "message_id": name, "parts": [{"text": "say this"}]}
    answer = client.post("/api/tasks", json=body)
    if answer.status_code == 201:
        ledger.acknowledge(Deed("task", name), answer.json()["id"])
    return answer


def _names(path: Path) -> set[str]:
    connection = open_database(path)
    try:
        return {
            row[0]
            for row in connection.execute("SELECT json_extract(body, '$.deed') FROM inbox_message WHERE kind = 'note'")
        }
    finally:
        connection.close()
