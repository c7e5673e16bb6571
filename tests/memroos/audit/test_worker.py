"""Nothing stays unsigned for long."""

import asyncio
from pathlib import Path

import pytest
from tests.actors import OPERATOR
from tests.memroos.audit.conftest import create, rows

from memroos import audit
from memroos.audit import worker
from memroos_contracts.errors import Overloaded
from memroos_kit.db import Database
from memroos_kit.stopping import Stopping


def heads(path: Path) -> list[int]:
    return [size for (size,) in rows(path, "SELECT size FROM audit_head ORDER BY size")]


async def until_heads(path: Path, wanted: list[int]) -> None:
    while heads(path) != wanted:  # noqa: ASYNC110 - what is waited for is in a file
        await asyncio.sleep(0.005)


def test_a_step_signs_what_is_new(db: Database, db_path: Path, ledger: audit.Ledger) -> None:
    db.write_now(OPERATOR, create)

    assert asyncio.run(worker.step(db, ledger)) is True

    assert heads(db_path) == [2]
    assert asyncio.run(worker.step(db, ledger)) is False


def test_the_first_step_signs_what_an_earlier_process_left(
    db: Database, db_path: Path, ledger: audit.Ledger, signer: audit.Signer
) -> None:
    db.write_now(OPERATOR, create)
    db.close()
    again = audit.Ledger(signer)
    reopened = Database(db_path, authorizer=db._authorizer, journals=[again])

    assert asyncio.run(worker.step(reopened, again)) is True

    assert heads(db_path) == [2]
    reopened.close()


def test_the_loop_signs_until_the_end_and_then_once_more(db: Database, db_path: Path, ledger: audit.Ledger) -> None:
    async def story() -> None:
        stopping = Stopping()
        async with asyncio.TaskGroup() as group:
            group.create_task(worker.run(db, ledger, stopping, every_s=0.01))
            await db.write(OPERATOR, create)
            await until_heads(db_path, [2])
            await db.write(OPERATOR, create)
            stopping.set()

    asyncio.run(asyncio.wait_for(story(), 10))

    assert heads(db_path) == [2, 4]


def test_a_full_queue_is_tried_again(
    db: Database, db_path: Path, ledger: audit.Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    db.write_now(OPERATOR, create)
    attempts: list[int] = []
    real = worker.step

    async def step(db: Database, ledger: audit.Ledger) -> bool:
        attempts.append(1)
        if len(attempts) == 1:
            raise Overloaded(retry_after_s=1)
        return await real(db, ledger)

    monkeypatch.setattr(worker, "step", step)

    async def story() -> None:
        stopping = Stopping()
        async with asyncio.TaskGroup() as group:
            group.create_task(worker.run(db, ledger, stopping, every_s=0.01))
            await until_heads(db_path, [2])
            stopping.set()

    asyncio.run(asyncio.wait_for(story(), 10))

    assert heads(db_path) == [2]
