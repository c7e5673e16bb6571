"""What was said later holds now, also when it began before what was said earlier was said."""

import asyncio

import pytest
from tests.memroos_memory.work.conftest import ORDER, Service, said

from memroos_contracts.memory_work import JobLabel
from memroos_memory import derive, work


@pytest.mark.parametrize(
    ("later", "place"), [("I moved to Berlin last week.", "Berlin"), ("I have lived in Oslo since 2019.", "Oslo")]
)
def test_what_is_said_later_is_the_current_value_although_it_began_sooner(
    service: Service, later: str, place: str
) -> None:
    service.take(said(1, "I live in Munich these days."), said(2, later))
    worker = service.worker({JobLabel.DERIVE: work.deriving(service.db, derive.learn)})

    async def until_nothing_is_due() -> None:
        while sum([await worker.step([label]) for label in ORDER]):
            pass

    asyncio.run(until_nothing_is_due())

    standing = {fact.triple.object: fact.status for fact in service.facts() if fact.triple}
    assert standing == {"Munich": "superseded", place: "active"}
