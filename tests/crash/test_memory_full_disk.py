"""A disk that fills under the memory service: nothing is kept half, what is said waits in the kernel."""

import time
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.crash.test_full_disk import fill, small_disk
from tests.flows.kernel import Kernel
from tests.flows.memory import SERVICE_KEY, Memory, viewer

__all__ = ["small_disk"]

BEFORE = 20
MOST_WRITES = 2_000
REFUSALS = 10
DRAINED_WITHIN_S = 60.0
LIVELY = {"log_level": "error", "requests_per_minute": "100000000", "request_burst": "1000000"}


@pytest.mark.long
@pytest.mark.timeout(240)
def test_what_is_said_while_the_memory_services_disk_is_full_is_remembered_once_there_is_room(
    small_disk: Path, tmp_path: Path
) -> None:
    memory = Memory(small_disk / "memory", settings={"log_level": "warning"})
    kernel = Kernel(tmp_path / "kernel", settings={**LIVELY, "memory_url": memory.url, "memory_key": SERVICE_KEY})
    with memory, kernel, kernel.client() as client:
        said = [_say(client, number) for number in range(BEFORE)]
        _wait_idle(kernel)
        item = said[0]
        ballast = fill(small_disk)
        said += _say_until_full(client, memory, item, BEFORE)

        _refuses_and_reads(kernel, memory, item)
        said += [_say(client, number) for number in range(len(said), len(said) + REFUSALS)]
        pid = memory.pid

        ballast.unlink()
        began = time.monotonic()
        _wait_idle(kernel)
        took = time.monotonic() - began

        print(f"\n{len(said)} said, drained in {took:.1f} s")
        assert memory.running, memory.log()[-3000:]
        assert memory.pid == pid
        assert took <= DRAINED_WITHIN_S
        assert sorted(_remembered(memory)) == sorted(said)
        _is_whole(kernel, memory, item)


def _say(client: httpx.Client, number: int) -> str:
    """Have the kernel keep something, which it does whatever becomes of the memory service."""
    text = f"Machine number {number} stands in hall {number}. " + f"It was looked after by worker{number}. " * 800
    answer = client.post("/api/agent-memory", json={"text": text})
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


def _say_until_full(client: httpx.Client, memory: Memory, item: str, first: int) -> list[str]:
    said: list[str] = []
    while len(said) < MOST_WRITES:
        said.append(_say(client, first + len(said)))
        answer = _change(memory, item, "")
        if not answer.is_success:
            assert answer.status_code == 507, answer.text
            return said
    pytest.fail("the disk never filled")


def _change(memory: Memory, item: str, reason: str) -> httpx.Response:
    change = {"text": "Machine number 0 stands in the yard.", "reason": reason} if reason else {"confidence": 1.0}
    return memory.call("/v1/items/update", {"viewer": viewer(), "item_id": item, "change": change, "operation": ""})


def _refuses_and_reads(kernel: Kernel, memory: Memory, item: str) -> None:
    for number in range(REFUSALS):
        answer = _change(memory, item, f"refused {number}")
        assert answer.status_code == 507, answer.text
        assert answer.json()["type"] == "/problems/storage-full"
        assert memory.done("/v1/items/get", {"viewer": viewer(), "item_id": item})["version"] == 1
    found = kernel.done("POST", "/api/recall", {"query": "Where does machine number 7 stand?"})
    assert found["items"], found
    assert memory.running, memory.log()[-3000:]


def _wait_idle(kernel: Kernel) -> None:
    until = time.monotonic() + 90
    while not (said := kernel.done("POST", "/api/memory/jobs/wait", {"wait_s": 10.0}))["idle"]:
        assert time.monotonic() < until, said


def _remembered(memory: Memory) -> list[str]:
    found: list[str] = []
    cursor: Any = None
    while True:
        query = {"kinds": ["event"], "limit": 100, "cursor": cursor}
        page = memory.done("/v1/items/list", {"viewer": viewer(), "query": query})
        found += [item["id"] for item in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            return found


def _is_whole(kernel: Kernel, memory: Memory, item: str) -> None:
    """Nothing refused was kept, no work was given up, and each index holds everything."""
    unchanged = memory.done("/v1/items/get", {"viewer": viewer(), "item_id": item})
    assert unchanged["text"].startswith("Machine number 0 stands in hall 0.")
    stats = kernel.done("GET", "/api/memory/stats")
    assert stats["jobs"] == {"waiting": 0, "running": 0, "dead": 0}, stats
    assert {one["index"]: one["ready"] for one in stats["indexes"]} == dict.fromkeys(
        ("lexical", "vector", "graph"), True
    )
    assert len({one["items"] for one in stats["indexes"]}) == 1, stats["indexes"]
