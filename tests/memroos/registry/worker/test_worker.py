import asyncio
from collections.abc import Callable
from typing import Any, cast

import pytest
from tests.actors import OPERATOR, STRANGER, agent_actor

from memroos import registry
from memroos.registry import Keyring, worker
from memroos_contracts.errors import StorageFull
from memroos_contracts.identity import Role
from memroos_contracts.registry import AgentKind, AgentState, Heartbeat, NewAgent, NewKey, NewKeyView
from memroos_kit.clock import ManualClock
from memroos_kit.db import Database
from memroos_kit.stopping import Stopping

Rows = Callable[[], list[tuple[Any, ...]]]


def test_a_step_speaks_for_every_workspace_and_a_quiet_one_writes_nothing(
    db: Database, clock: ManualClock, published: Rows
) -> None:
    for operator in (OPERATOR, STRANGER):
        made = db.write_now(operator, registry.create_agent, NewAgent("scout", AgentKind.REST, state=AgentState.ACTIVE))
        db.write_now(agent_actor(made.id, operator.workspace), registry.record_heartbeat, Heartbeat())
        db.write_now(operator, registry.create_key, NewKey(role=Role.VIEWER, expires_in_s=60))
    before = len(published())

    assert asyncio.run(worker.step(db)) == 0
    quiet = db.batches
    clock.advance(seconds=90)
    assert asyncio.run(worker.step(db)) == 4
    done = db.batches
    assert asyncio.run(worker.step(db)) == 0

    assert quiet == 6
    assert done > quiet
    assert db.batches == done
    assert sorted(row[0] for row in published()[before:]) == ["agent.silent"] * 2 + ["key.revoked"] * 2


def test_what_is_known_of_keys_is_written_when_the_loop_ends(
    db: Database, keyring: Keyring, clock: ManualClock, scouts_key: NewKeyView
) -> None:
    async def story() -> None:
        stop = Stopping()
        stop.set()
        await worker.run(db, keyring, stop)

    keyring.authenticate(scouts_key.secret, clock.now())
    asyncio.run(story())

    assert db.read_now(OPERATOR, registry.list_keys).items[0].last_used_at == clock.now()
    assert keyring.take_uses() == {}


class FullDisk:
    """A database that cannot read just now."""

    def __init__(self) -> None:
        self.asked = 0

    async def read(self, *_: object) -> list[str]:
        self.asked += 1
        raise StorageFull


def test_the_loop_outlives_a_full_disk_and_ends_at_once_when_told_to(
    keyring: Keyring, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "TICK_S", 600.0)
    disk = FullDisk()

    async def story() -> None:
        stop = Stopping()
        async with asyncio.timeout(60), asyncio.TaskGroup() as group:  # sooner than its next tick
            group.create_task(worker.run(cast("Database", disk), keyring, stop))
            await asyncio.sleep(0.05)
            stop.set()

    asyncio.run(story())

    assert disk.asked == 2
