"""Operators see what waits and answer it over HTTP."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.actors import AGENT, OPERATOR
from tests.memroos.web.rest.governed import Client, Governed, governed

from memroos import audit, events
from memroos_kit.clock import ManualClock


@pytest.fixture
def kernel(db_path: Path, clock: ManualClock, ledger: audit.Ledger, notifier: events.Notifier) -> Iterator[Governed]:
    """The doors of governance."""
    with governed(db_path, clock, ledger, notifier) as parts:
        yield parts


async def hold(client: Client, n: int = 0) -> str:
    """Let an agent ask something that is held; return its approval."""
    body = {"action": "file.write", "tool": "files", "arguments": {"n": n}, "purpose": "publish"}
    approval: str = (await client.post("agent", "/api/decisions", body)).json()["approval_id"]
    return approval


def test_an_approval_shows_exactly_what_is_asked(kernel: Governed) -> None:
    async def story() -> None:
        async with kernel.client() as client:
            approval = (await client.get("operator", f"/api/approvals/{await hold(client, 7)}")).json()
            assert approval["arguments"] == {"n": 7}
            assert (approval["state"], approval["action"], approval["requester"]) == (
                "pending",
                "file.write",
                AGENT.principal,
            )
            assert (approval["purpose"], approval["reason"]) == (
                "publish",
                "It changes something outside of the system.",
            )

    asyncio.run(story())


@pytest.mark.parametrize(("answer", "state"), [("approve", "approved"), ("reject", "rejected")])
def test_an_answer_is_given_once_and_the_second_says_who(kernel: Governed, answer: str, state: str) -> None:
    async def story() -> None:
        async with kernel.client() as client:
            path = f"/api/approvals/{await hold(client)}"
            given = await client.post("operator", f"{path}/{answer}", {"note": "because"})
            assert (given.status_code, given.json()["state"], given.json()["note"]) == (200, state, "because")
            second = await client.post("operator", f"{path}/approve")
            assert (second.status_code, second.json()["type"]) == (409, "/problems/already-answered")
            assert (second.json()["state"], second.json()["answered_by"]) == (state, OPERATOR.principal)

    asyncio.run(story())


def test_an_answer_that_comes_too_late_is_gone(kernel: Governed, clock: ManualClock) -> None:
    async def story() -> None:
        async with kernel.client() as client:
            path = f"/api/approvals/{await hold(client)}"
            clock.advance(hours=25)
            late = await client.post("operator", f"{path}/approve")
            assert (late.status_code, late.json()["type"]) == (410, "/problems/approval-expired")

    asyncio.run(story())


def test_a_listing_is_paged_and_filtered(kernel: Governed) -> None:
    async def story() -> None:
        async with kernel.client() as client:
            ids = [await hold(client, n) for n in range(3)]
            await client.post("operator", f"/api/approvals/{ids[0]}/reject")
            first = (await client.get("operator", "/api/approvals?limit=2")).json()
            assert [a["id"] for a in first["items"]] == [ids[2], ids[1]]
            rest = (await client.get("operator", f"/api/approvals?limit=2&cursor={first['next_cursor']}")).json()
            assert ([a["id"] for a in rest["items"]], rest["next_cursor"]) == ([ids[0]], None)
            rejected = (await client.get("operator", "/api/approvals?approval_state=rejected")).json()
            assert [a["id"] for a in rejected["items"]] == [ids[0]]

    asyncio.run(story())


@pytest.mark.parametrize("query", ["limit=0", "limit=101", "limit=x", "approval_state=maybe", "cursor=abc"])
def test_a_listing_that_makes_no_sense_is_refused(kernel: Governed, query: str) -> None:
    async def story() -> None:
        async with kernel.client() as client:
            answer = await client.get("operator", f"/api/approvals?{query}")
            assert answer.status_code in (400, 422), answer.text

    asyncio.run(story())


@pytest.mark.parametrize("body", [{"note": 1}, {"surprise": "x"}, {"note": "n" * 3_000}, []])
def test_an_answer_that_makes_no_sense_is_refused_and_changes_nothing(kernel: Governed, body: Any) -> None:
    async def story() -> None:
        async with kernel.client() as client:
            path = f"/api/approvals/{await hold(client)}"
            assert (await client.post("operator", f"{path}/approve", body)).status_code in (400, 422)
            assert (await client.get("operator", path)).json()["state"] == "pending"

    asyncio.run(story())


@pytest.mark.parametrize(
    ("who", "listed", "see_status", "answer_status"),
    [
        ("operator", 1, 200, 200),
        ("auditor", 1, 200, 403),
        ("viewer", 1, 200, 403),
        ("agent", 1, 200, 403),
        ("other agent", 0, 404, 403),
        ("kernel", 0, 404, 403),
        ("stranger", 0, 404, 404),
        ("strange agent", 0, 404, 403),
    ],
)
def test_who_comes_through_which_door(
    kernel: Governed, who: str, listed: int, see_status: int, answer_status: int
) -> None:
    async def story() -> None:
        async with kernel.client() as client:
            path = f"/api/approvals/{await hold(client)}"
            assert len((await client.get(who, "/api/approvals")).json()["items"]) == listed
            assert (await client.get(who, path)).status_code == see_status
            assert (await client.post(who, f"{path}/approve")).status_code == answer_status

    asyncio.run(story())


def test_nobody_comes_in_without_a_key(kernel: Governed) -> None:
    async def story() -> None:
        async with kernel.client() as client:
            path = f"/api/approvals/{await hold(client)}"
            answers = [
                await client.get("nobody", "/api/approvals"),
                await client.get("nobody", path),
                await client.post("nobody", f"{path}/approve"),
                await client.post("nobody", f"{path}/reject"),
            ]
            assert [a.status_code for a in answers] == [401] * 4

    asyncio.run(story())


def test_a_viewer_gets_no_arguments(kernel: Governed) -> None:
    async def story() -> None:
        async with kernel.client() as client:
            seen = (await client.get("viewer", f"/api/approvals/{await hold(client)}")).json()
            assert (seen["redacted"], seen["arguments"]) == (True, {})

    asyncio.run(story())
