"""An agent asks, waits and reports over HTTP."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.actors import OPERATOR
from tests.memroos.web.rest.governed import Client, Governed, governed

from memroos import audit, events, governance
from memroos_contracts.identity import ApprovalId
from memroos_kit.clock import ManualClock

WRITE = {"action": "file.write", "tool": "files", "arguments": {"path": "a.md"}, "purpose": "publish"}
READ = {"action": "file.read", "tool": "files"}


@pytest.fixture
def kernel(db_path: Path, clock: ManualClock, ledger: audit.Ledger, notifier: events.Notifier) -> Iterator[Governed]:
    """The doors of governance."""
    with governed(db_path, clock, ledger, notifier) as parts:
        yield parts


async def ask(client: Client, body: Any = None, **headers: str) -> dict[str, Any]:
    """Ask as an agent."""
    answer = await client.post("agent", "/api/decisions", WRITE if body is None else body, **headers)
    assert answer.status_code == 200, answer.text
    decision: dict[str, Any] = answer.json()
    return decision


def test_asking_and_looking_give_the_same_view(kernel: Governed) -> None:
    async def story() -> None:
        async with kernel.client() as client:
            decision = await ask(client, READ)
            assert decision["effect"] == "allow"
            assert decision["policies"] == ["reading-tools-may-be-used"]
            seen = await client.get("agent", f"/api/decisions/{decision['id']}")
            assert (seen.status_code, seen.json()) == (200, decision)

    asyncio.run(story())


def test_a_denial_is_an_answer(kernel: Governed) -> None:
    async def story() -> None:
        async with kernel.client() as client:
            decision = await ask(client, WRITE | {"labels": {"tags": ["secret"]}})
            assert (decision["effect"], decision["approval_id"]) == ("deny", None)

    asyncio.run(story())


def test_who_waits_is_woken_by_the_answer(kernel: Governed) -> None:
    async def story() -> None:
        async with kernel.client() as client:
            decision = await ask(client)
            path = f"/api/decisions/{decision['id']}"
            async with asyncio.timeout(20), asyncio.TaskGroup() as tasks:
                waiting = tasks.create_task(client.get("agent", f"{path}?wait_s=30"))
                await kernel.listeners(1)
                await client.post("operator", f"/api/approvals/{decision['approval_id']}/approve", {"note": "yes"})
            answered = waiting.result().json()
            assert (answered["effect"], answered["approved_by"]) == ("allow", OPERATOR.principal)

    asyncio.run(story())


def test_a_wait_ends_without_an_answer_when_its_time_is_over(kernel: Governed) -> None:
    async def story() -> None:
        async with kernel.client() as client:
            decision = await ask(client)
            async with asyncio.timeout(20):
                seen = await client.get("agent", f"/api/decisions/{decision['id']}?wait_s=0.05")
            assert seen.json()["effect"] == "hold"

    asyncio.run(story())


def test_a_wait_ends_when_the_kernel_stops(kernel: Governed) -> None:
    async def story() -> None:
        async with kernel.client() as client:
            decision = await ask(client)
            async with asyncio.timeout(20), asyncio.TaskGroup() as tasks:
                waiting = tasks.create_task(client.get("agent", f"/api/decisions/{decision['id']}?wait_s=60"))
                await kernel.listeners(1)
                kernel.notifier.close()
            assert waiting.result().json()["effect"] == "hold"

    asyncio.run(story())


def test_a_hundred_waiters_are_all_woken(kernel: Governed) -> None:
    async def story() -> None:
        async with kernel.client() as client:
            decision = await ask(client)
            path = f"/api/decisions/{decision['id']}?wait_s=30"
            async with asyncio.timeout(30), asyncio.TaskGroup() as tasks:
                waiting = [tasks.create_task(client.get("agent", path)) for _ in range(100)]
                await kernel.listeners(100)
                approval_id = ApprovalId(decision["approval_id"])
                await kernel.db.write(OPERATOR, governance.reject, approval_id, gate=kernel.gate)
            assert {w.result().json()["effect"] for w in waiting} == {"deny"}

    asyncio.run(story())


def test_a_repeated_ask_with_one_key_is_one_decision(kernel: Governed) -> None:
    async def story() -> None:
        async with kernel.client() as client:
            first = await ask(client, READ, idempotency_key="k1")
            again = await ask(client, READ, idempotency_key="k1")
            other = await ask(client, READ, idempotency_key="k2")
            assert first == again
            assert other["id"] != first["id"]
            conflict = await client.post("agent", "/api/decisions", READ | {"purpose": "b"}, idempotency_key="k1")
            assert (conflict.status_code, conflict.json()["type"]) == (409, "/problems/idempotency-conflict")

    asyncio.run(story())


def test_an_outcome_is_reported_once(kernel: Governed) -> None:
    async def story() -> None:
        async with kernel.client() as client:
            decision = await ask(client, READ)
            path = f"/api/decisions/{decision['id']}/outcome"
            done = {"outcome": "done", "detail_digest": "0" * 64}
            first, again = [await client.post("agent", path, done) for _ in range(2)]
            assert (first.status_code, first.json()["outcome"]) == (200, "done")
            assert again.json() == first.json()
            other = await client.post("agent", path, {"outcome": "failed"})
            assert (other.status_code, other.json()["type"]) == (409, "/problems/outcome-already-reported")

    asyncio.run(story())


def test_no_outcome_comes_of_what_is_held(kernel: Governed) -> None:
    async def story() -> None:
        async with kernel.client() as client:
            decision = await ask(client)
            answer = await client.post("agent", f"/api/decisions/{decision['id']}/outcome", {"outcome": "done"})
            assert (answer.status_code, answer.json()["effect"]) == (409, "hold")

    asyncio.run(story())


@pytest.mark.parametrize(
    "body",
    [
        {"action": "file.write"},
        {"tool": "files"},
        WRITE | {"action": "file"},
        WRITE | {"action": "File.Write"},
        WRITE | {"action": "file.write\n"},
        WRITE | {"action": "task.send"},
        WRITE | {"action": "x." + "y" * 80},
        WRITE | {"arguments": "all"},
        WRITE | {"surprise": 1},
        WRITE | {"labels": {"sensitivity": "cosmic"}},
        WRITE | {"labels": {"surprise": []}},
        WRITE | {"labels": {"tags": ["t" * 100]}},
        WRITE | {"tool": ""},
        WRITE | {"purpose": "p" * 3_000},
        [],
    ],
)
def test_a_question_that_makes_no_sense_is_refused(kernel: Governed, body: Any) -> None:
    async def story() -> None:
        async with kernel.client() as client:
            answer = await client.post("agent", "/api/decisions", body)
            assert answer.status_code in (400, 422), answer.text
            assert answer.headers["content-type"] == "application/problem+json"

    asyncio.run(story())


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"outcome": "maybe"},
        {"outcome": "done", "detail_digest": "abc"},
        {"outcome": "done", "detail_digest": "\n"},
        {"outcome": "done", "surprise": 1},
    ],
)
def test_an_outcome_that_makes_no_sense_is_refused(kernel: Governed, body: Any) -> None:
    async def story() -> None:
        async with kernel.client() as client:
            decision = await ask(client, READ)
            answer = await client.post("agent", f"/api/decisions/{decision['id']}/outcome", body)
            assert answer.status_code in (400, 422)
            assert (await client.get("agent", f"/api/decisions/{decision['id']}")).json()["outcome"] is None

    asyncio.run(story())


@pytest.mark.parametrize(
    ("who", "ask_status", "see_status", "report_status"),
    [
        ("operator", 403, 200, 403),
        ("auditor", 403, 200, 403),
        ("viewer", 403, 403, 403),
        ("agent", 200, 200, 200),
        ("other agent", 200, 404, 404),
        ("kernel", 200, 404, 404),
        ("stranger", 403, 404, 403),
        ("strange agent", 200, 404, 404),
        ("nobody", 401, 401, 401),
    ],
)
def test_who_comes_through_which_door(
    kernel: Governed, who: str, ask_status: int, see_status: int, report_status: int
) -> None:
    async def story() -> None:
        async with kernel.client() as client:
            decision = await ask(client, READ)
            path = f"/api/decisions/{decision['id']}"
            assert (await client.post(who, "/api/decisions", READ)).status_code == ask_status
            assert (await client.get(who, path)).status_code == see_status
            assert (await client.post(who, f"{path}/outcome", {"outcome": "done"})).status_code == report_status

    asyncio.run(story())


def test_an_unknown_and_a_foreign_decision_look_the_same(kernel: Governed) -> None:
    async def story() -> None:
        async with kernel.client() as client:
            decision = await ask(client, READ)
            foreign = (await client.get("other agent", f"/api/decisions/{decision['id']}")).json()
            unknown = (await client.get("agent", "/api/decisions/dec_01UNKNOWN")).json()
            assert foreign.pop("id") == decision["id"]
            assert unknown.pop("id") == "dec_01UNKNOWN"
            assert foreign == unknown

    asyncio.run(story())
