"""Reads for the kernel's loops."""

from tests.actors import KERNEL, OPERATOR
from tests.memroos.broker.conftest import House

from memroos import broker, registry
from memroos.broker import queries
from memroos_contracts.identity import Actor, AgentId
from memroos_contracts.registry import AgentKind


def test_waiting_work_is_read_page_by_page_in_order(house: House, caller: Actor) -> None:
    house.register("local", AgentKind.LOCAL)
    tasks = [house.send(caller, agent="local").id for _ in range(5)]
    seen, last = [], None

    while page := house.db.read_now(KERNEL, queries.list_waiting, after=last, most=2):
        seen += [item.task_id for item in page]
        last = page[-1]

    assert seen == tasks


def test_only_retired_agents_leave_something_behind(house: House, caller: Actor, worker: Actor) -> None:
    task, done = house.send(caller), house.send(caller, "another")
    house.db.write_now(KERNEL, broker.cancel_task, done.id)
    agent = AgentId(str(worker.agent))

    assert house.db.read_now(KERNEL, queries.list_loaded_agents) == [(KERNEL.workspace, agent)]
    assert house.db.read_now(KERNEL, queries.list_left_behind, agent, most=10) == []
    house.db.write_now(OPERATOR, registry.retire_agent, "worker")
    assert house.db.read_now(KERNEL, queries.list_left_behind, agent, most=10) == [task.id]
    assert house.db.read_now(KERNEL, queries.list_left_behind, AgentId("agt_unknown"), most=10) == []
