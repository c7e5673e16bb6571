"""The log keeps its length by itself."""

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest
from tests.memroos.audit.conftest import rows
from tests.memroos.events.conftest import Publish

from memroos.events import worker
from memroos_contracts.errors import StorageFull
from memroos_kit.clock import ManualClock
from memroos_kit.db import Database
from memroos_kit.stopping import Stopping

WEEK = timedelta(days=7)


def count(path: Path) -> int:
    return int(rows(path, "SELECT count(*) FROM event")[0][0])


def test_a_step_deletes_all_that_is_old_a_chunk_at_a_time(
    db: Database, db_path: Path, publish: Publish, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "CHUNK", 2)
    for _ in range(5):
        publish()
    clock.advance(days=8)
    publish()

    assert asyncio.run(worker.step(db, WEEK)) == 5

    assert count(db_path) == 1
    assert asyncio.run(worker.step(db, WEEK)) == 0


def test_the_loop_survives_a_full_disk_and_ends_when_told(
    db: Database, db_path: Path, publish: Publish, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish()
    clock.advance(days=8)
    attempts: list[int] = []
    real = worker.step

    async def step(db: Database, retention: timedelta) -> int:
        attempts.append(1)
        if len(attempts) == 1:
            raise StorageFull
        return await real(db, retention)

    monkeypatch.setattr(worker, "step", step)

    async def story() -> None:
        stopping = Stopping()
        async with asyncio.TaskGroup() as group:
            group.create_task(worker.run(db, stopping, retention=WEEK, every_s=0.01))
            while count(db_path):  # noqa: ASYNC110 - what is waited for is in a file
                await asyncio.sleep(0.005)
            stopping.set()

    asyncio.run(asyncio.wait_for(story(), 10))

    assert len(attempts) >= 2
