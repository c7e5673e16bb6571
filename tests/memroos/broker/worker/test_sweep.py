"""What time and the end of an agent do to its tasks."""

import asyncio
from typing import Any

import pytest
from tests.actors import KERNEL, OPERATOR, STRANGER
from tests.memroos.broker.conftest import House, text_of

from memroos import broker, registry
from memroos.broker import queries, service
from memroos_contracts.broker import TaskState
from memroos_contracts.identity import Actor
from memroos_contracts.registry import AgentKind
from memroos_kit.clock import ManualClock
from memroos_kit.stopping import Stopping


@pytest.mark.parametrize("operator", [OPERATOR, STRANGER], ids=["default", "another workspace"])
@pytest.mark.parametrize("kind", [AgentKind.REST, AgentKind.LOCAL])
def test_a_retired_agents_open_tasks_fail_in_every_workspace_and_no_others(
    house: House, kind: AgentKind, operator: Actor
) -> None:
    house.register("worker", kind, as_=operator)
    house.register("other", kind, as_=operator)
    left, kept = house.send(operator), house.send(operator, agent="other")

    assert asyncio.run(broker.sweep_step(house.db)) == 0
    house.db.write_now(operator, registry.retire_agent, "worker")

    assert [asyncio.run(broker.sweep_step(house.db)) for _ in range(2)] == [1, 0]
    assert house.see(left, operator).state is TaskState.FAILED
    assert house.see(kept, operator).state is TaskState.SUBMITTED
    last = house.db.read_now(operator, broker.list_events, left.id)[-1]
    assert text_of(last) == "worker was retired before it had finished this."


def test_a_sweep_ends_what_is_overdue_and_what_is_dead_in_every_workspace(
    house: House, caller: Actor, worker: Actor, clock: ManualClock
) -> None:
    house.register("worker", as_=STRANGER)
    dead = house.send(caller)
    for _ in range(5):
        house.claim(worker)
        clock.advance(seconds=61)
    assert house.claim_or_none(worker) is None
    overdue = [house.send(caller), house.send(STRANGER)]

    assert asyncio.run(broker.sweep_step(house.db)) == 1
    assert house.see(dead).state is TaskState.FAILED
    clock.advance(days=7)
    assert asyncio.run(broker.sweep_step(house.db)) == 2

    assert house.see(overdue[0]).state is TaskState.FAILED
    assert house.see(overdue[1], STRANGER).state is TaskState.FAILED
    assert asyncio.run(broker.sweep_step(house.db)) == 0


def test_a_task_that_cannot_be_ended_keeps_no_other_open(
    house: House, caller: Actor, worker: Actor, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    tasks = [house.send(caller) for _ in range(3)]
    clock.advance(days=8)
    real = service.fail_overdue

    def fails_once(tx: Any, task_id: Any) -> None:
        if task_id == tasks[0].id:
            raise ValueError("poison")
        real(tx, task_id)

    monkeypatch.setattr(service, "fail_overdue", fails_once)

    asyncio.run(broker.sweep_step(house.db))

    assert [house.see(task).state for task in tasks] == [TaskState.SUBMITTED, TaskState.FAILED, TaskState.FAILED]


def test_the_sweep_ends_when_it_is_told_to(house: House) -> None:
    async def story() -> None:
        stopping = Stopping()
        async with asyncio.timeout(2), asyncio.TaskGroup() as group:
            group.create_task(broker.sweep(house.db, stopping))
            await asyncio.sleep(0.05)
            stopping.set()

    asyncio.run(story())

    assert house.db.read_now(KERNEL, queries.list_waiting, most=1) == []
