"""One POST, and where it may go."""

import asyncio

import pytest
from tests.disguises import DISGUISES
from tests.memroos.push.receiver import receiving

from memroos.push.client import Webhooks
from memroos.push.rules import Answer
from memroos_kit.clock import SystemClock
from memroos_kit.outbound import Address, Guard, Target


class Watched(Guard):
    """Lets everything public pass, and knows what was about to be connected to."""

    def __init__(self, *allow: str) -> None:
        super().__init__(allow=allow)
        self.connecting: list[str] = []

    async def pin(self, target: Target) -> tuple[Address, ...]:
        self.connecting.append(target.host)
        return await super().pin(target)


def post(guard: Guard, url: str) -> Answer:
    async def story() -> Answer:
        async with Webhooks.opened(guard, lambda _: ("kid", b"signature"), SystemClock(), most=1) as webhooks:
            return await webhooks.post(url, "push_1", b"{}", {"Authorization": "Bearer hunter2"})

    return asyncio.run(asyncio.wait_for(story(), 10))


@pytest.mark.parametrize("url", DISGUISES)
def test_nothing_leaves_for_a_disguised_address_that_is_stored(url: str) -> None:
    """Such as one that was taken by other rules, before an update or another allow-list."""
    guard = Watched("*")

    answer = post(guard, url)

    assert (answer.status, guard.connecting) == (None, [])
    assert "is refused: " in answer.error
    assert "hunter2" not in answer.error


def test_what_is_listed_gets_it() -> None:
    with receiving() as receiver:
        assert post(Watched("127.0.0.1"), receiver.url) == Answer(204)
        assert receiver.got[0].headers["authorization"] == "Bearer hunter2"
