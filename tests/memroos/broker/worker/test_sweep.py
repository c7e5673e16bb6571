"""What time and the end of an agent do to its tasks."""

import asyncio

import pytest
from tests.actors import OPERATOR, STRANGER
from tests.memroos.broker.conftest import House, text_of

from memroos import broker, registry
from memroos_contracts.broker import TaskState
from memroos_contracts.identity import Actor
from memroos_contracts.registry import AgentKind


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
