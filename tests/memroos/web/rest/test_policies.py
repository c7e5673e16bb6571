"""The policies in effect over HTTP."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.memroos.web.rest.governed import Governed, governed

from memroos import audit, events
from memroos_kit.clock import ManualClock


@pytest.fixture
def kernel(db_path: Path, clock: ManualClock, ledger: audit.Ledger, notifier: events.Notifier) -> Iterator[Governed]:
    """The doors of governance."""
    with governed(db_path, clock, ledger, notifier) as parts:
        yield parts


def test_the_policies_are_shown_with_their_hash_text_and_origin(kernel: Governed) -> None:
    async def story() -> None:
        async with kernel.client() as client:
            seen = (await client.get("operator", "/api/policies")).json()
            assert seen["hash"] == kernel.gate.policy.hash
            held = next(p for p in seen["policies"] if p["id"] == "outside-effects-wait-for-a-person")
            assert (held["effect"], held["origin"]) == ("permit with hold", "shipped")
            assert 'context.action == "file.write"' in held["text"]

    asyncio.run(story())


@pytest.mark.parametrize(
    ("who", "status"), [("operator", 200), ("auditor", 200), ("viewer", 403), ("agent", 403), ("nobody", 401)]
)
def test_who_may_read_them(kernel: Governed, who: str, status: int) -> None:
    async def story() -> None:
        async with kernel.client() as client:
            assert (await client.get(who, "/api/policies")).status_code == status

    asyncio.run(story())
