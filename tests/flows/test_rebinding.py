"""A drill against DNS rebinding: a resolver that lies, and a canary that would notice."""

import asyncio
import random
from collections.abc import Sequence

import httpx
import pytest
from tests.memroos_kit.test_outbound import Server

from memroos.registry import client
from memroos_contracts.errors import MemroosError
from memroos_kit.outbound import AddressRefused, Guard

TRIES = 1_000
GOOD = "127.0.0.2"
"""Stands for a public machine: it is listed; the canary's address is not."""
CANARY = "127.0.0.1"
LIES = (
    [CANARY], [GOOD, CANARY], [CANARY, GOOD], ["::1"], ["::ffff:127.0.0.1"], ["0.0.0.0"], ["::"], ["64:ff9b::7f00:1"],
    ["2002:7f00:1::"], [GOOD, "::1"], ["127.0.0.1", "127.0.0.1"], ["fe80::1%lo"], ["::127.0.0.1"],
)  # fmt: skip


class Liar:
    """A resolver that tells the truth or lies, as chance has it, and never says the same twice for sure."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self.lies = 0

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        if self._random.random() < 0.5:
            return [GOOD]
        self.lies += 1
        return self._random.choice(LIES)


async def careless(url: str, resolver: Liar) -> None:
    """Ask as a careless program does: look once to check, and look again to connect."""
    parts = httpx.URL(url)
    checked = await resolver(parts.host, parts.port or 80)
    if checked == [GOOD]:
        (address, *_) = await resolver(parts.host, parts.port or 80)
        if address in (GOOD, CANARY):
            async with httpx.AsyncClient(trust_env=False) as http:
                await http.get(str(parts.copy_with(host=address)))


@pytest.mark.long
def test_not_one_of_a_thousand_rebinding_tries_reaches_the_canary() -> None:
    async def story() -> None:
        canary, good, liar = Server(), Server(), Liar(7)
        async with good.running(GOOD):
            canary.port = good.port
            async with canary.running(CANARY):
                url = f"http://rebind.test:{good.port}/card.json"
                guard = Guard(allow=["rebind.test", GOOD], resolver=liar)
                refused = 0
                async with guard.client() as http:
                    for _ in range(TRIES):
                        try:
                            await http.get(url)
                        except AddressRefused:
                            refused += 1
                lies = liar.lies
                for _ in range(TRIES):
                    with pytest.raises(MemroosError):  # the good machine serves no card, the others must not be asked
                        await client.find_card(guard, url)
                assert (canary.connections, canary.requests) == (0, [])
                assert refused == lies > TRIES / 3
                assert len(good.requests) == 2 * TRIES - liar.lies

                for _ in range(50):
                    await careless(url, liar)
                assert canary.connections > 0, "the canary notices nothing"

    asyncio.run(asyncio.wait_for(story(), 300))
