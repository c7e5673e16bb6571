"""What happens to inboxes while nobody asks."""

import asyncio
from datetime import timedelta
from typing import cast

from tests.actors import KERNEL, OPERATOR, STRANGER
from tests.memroos.bus.conftest import Send

from memroos import bus
from memroos.bus import worker as upkeep
from memroos_contracts.bus import InboxState
from memroos_contracts.errors import StorageFailed
from memroos_contracts.identity import Actor, AgentId
from memroos_kit.clock import ManualClock
from memroos_kit.db import Database
from memroos_kit.stopping import Stopping


def test_a_dead_receivers_message_is_given_back_without_anybody_asking(
    db: Database, send: Send, worker: Actor, clock: ManualClock
) -> None:
    sent = send()
    db.write_now(worker, bus.receive, AgentId(worker.id), max_messages=1, lease_s=3)
    assert asyncio.run(upkeep.recover(db)) == timedelta(seconds=3)

    clock.advance(seconds=3)
    asyncio.run(upkeep.recover(db))
    (stats,) = db.read_now(OPERATOR, bus.inbox_stats)
    assert (stats.queued, stats.leased, stats.oldest_ready_at) == (1, 0, sent.created_at)


def test_every_workspace_gets_its_own_back(db: Database, send: Send, worker: Actor, clock: ManualClock) -> None:
    send(ttl_s=1)
    move = "UPDATE inbox_message SET workspace_id = 'elsewhere'"
    db.write_now(KERNEL, lambda tx: tx.session.connection().exec_driver_sql(move).rowcount)
    clock.advance(seconds=1)
    asyncio.run(upkeep.recover(db))

    (message,) = db.read_now(STRANGER, bus.list_messages, AgentId(worker.id)).items
    assert message.state is InboxState.EXPIRED
    where = db.read_now(
        KERNEL,
        lambda tx: (
            tx.session.connection().exec_driver_sql("SELECT workspace_id FROM event ORDER BY offset DESC").scalar()
        ),
    )
    assert where == "elsewhere"


def test_the_worker_recovers_until_it_is_told_to_stop(
    db: Database, send: Send, worker: Actor, clock: ManualClock
) -> None:
    send()
    db.write_now(worker, bus.receive, AgentId(worker.id), max_messages=1, lease_s=1)
    clock.advance(seconds=1)

    async def run() -> None:
        stop = Stopping()
        async with asyncio.TaskGroup() as group:
            group.create_task(bus.recover_forever(db, stop))
            while (await db.read(OPERATOR, bus.inbox_stats))[0].leased:  # noqa: ASYNC110 - only the database tells
                await asyncio.sleep(0.01)
            stop.set()

    asyncio.run(asyncio.wait_for(run(), 10))


class Failing:
    """A database that cannot be read."""

    def __init__(self, clock: ManualClock) -> None:
        self.clock = clock
        self.asked = asyncio.Event()

    async def read(self, *_: object) -> None:
        self.asked.set()
        raise StorageFailed


def test_an_error_does_not_end_the_worker(clock: ManualClock) -> None:
    async def run() -> None:
        stop, db = Stopping(), Failing(clock)
        async with asyncio.TaskGroup() as group:
            task = group.create_task(bus.recover_forever(cast(Database, db), stop))
            await db.asked.wait()
            await asyncio.sleep(0)
            assert not task.done()
            stop.set()

    asyncio.run(asyncio.wait_for(run(), 10))
