"""The service's work, seen and steered through the kernel."""

import asyncio
from typing import Any

import httpx
import pytest
from tests.actors import AGENT, KERNEL, OPERATOR
from tests.conftest import Policy
from tests.memroos.memory.conftest import Remember
from tests.memroos.memory.router.conftest import House

from memroos_contracts.errors import Denied, NotFound
from memroos_contracts.governance import Action
from memroos_contracts.memory_errors import MemoryServiceUnavailable
from memroos_contracts.memory_items import ItemKind
from memroos_contracts.memory_work import JobState, ReindexRequest, WaitRequest
from memroos_kit.stopping import Stopping

DOWN = httpx.ConnectError("nobody listens")


def call(house: House, method: str, *arguments: Any, hand_over: bool = True, **options: Any) -> Any:
    return house.run(lambda routers: getattr(routers.upkeep, method)(*arguments, **options), hand_over=hand_over)


def test_jobs_are_seen_and_a_foreign_one_is_not_there(house: House) -> None:
    page = call(house, "list_jobs", OPERATOR, state=JobState.DEAD, limit=10, cursor=None)
    assert [job.id for job in page.items] == ["job_1"]
    assert call(house, "get_job", OPERATOR, "job_1").state is JobState.DEAD
    with pytest.raises(NotFound):
        call(house, "get_job", OPERATOR, "job_2")


def test_waiting_covers_what_was_not_handed_over_yet(house: House, remember: Remember) -> None:
    remember("crane")

    async def wait(routers: Any) -> Any:
        return await routers.upkeep.wait(AGENT, WaitRequest(wait_s=0.05))

    report = house.run(wait, hand_over=False)
    assert (report.idle, report.pending) == (False, 1)
    report = house.run(wait)
    assert (report.idle, report.pending) == (True, 0)


def test_waiting_outlasts_a_short_absence_of_the_service(house: House, remember: Remember) -> None:
    remember("crane")
    house.twin.away = DOWN

    async def wait(routers: Any) -> Any:
        stop = Stopping()
        async with asyncio.TaskGroup() as group:
            group.create_task(routers.handover.run(stop))
            await asyncio.sleep(0.05)
            asyncio.get_running_loop().call_later(0.1, setattr, house.twin, "away", None)
            report = await routers.upkeep.wait(AGENT, WaitRequest(wait_s=5))
            stop.set()
        return report

    assert (house.run(wait).idle, len(house.twin.order)) == (True, 1)


def test_waiting_for_a_service_that_is_away_says_so(house: House, remember: Remember) -> None:
    remember("crane")
    house.twin.away = DOWN
    with pytest.raises(MemoryServiceUnavailable):
        call(house, "wait", AGENT, WaitRequest(wait_s=0.01))


def test_replaying_hands_over_again_what_was_refused(house: House, remember: Remember) -> None:
    remember("odd")
    house.twin.refuses = lambda _: True

    async def replay(routers: Any) -> list[int]:
        house.twin.refuses = lambda _: False
        reports = [await routers.upkeep.replay(OPERATOR, job) for job in ("job_1", None, None)]
        return [report.replayed for report in reports]

    assert house.run(replay) == [2, 3, 2]
    assert len(house.twin.order) == 1


def test_a_reindex_is_on_record(house: House) -> None:
    assert call(house, "reindex", OPERATOR, ReindexRequest()).id == "job_1"
    sql = "SELECT action FROM audit_event WHERE kind = 'outcome' ORDER BY seq"
    actions = house.db.read_now(KERNEL, lambda tx: list(tx.session.connection().exec_driver_sql(sql).scalars()))
    assert actions == ["memory.change_intended", "memory.reindexed"]


def test_counts_are_told_also_while_the_service_is_away(house: House, remember: Remember) -> None:
    remember("crane")
    assert call(house, "stats", AGENT).ready is True
    house.twin.away = DOWN
    remember("ship")
    found = call(house, "stats", AGENT)
    assert (found.ready, found.items, found.by_kind, found.pending) == (False, 2, {ItemKind.EVENT: 2}, 1)
    assert "reached" in found.detail


@pytest.mark.parametrize(
    ("action", "method", "arguments"),
    [
        (Action.MEMORY_LIST, "stats", ()),
        (Action.MEMORY_LIST, "wait", (WaitRequest(),)),
        (Action.MEMORY_OPERATE, "reindex", (ReindexRequest(),)),
        (Action.MEMORY_OPERATE, "replay", (None,)),
    ],
)
def test_who_is_denied_changes_nothing(
    house: House, policy: Policy, action: Action, method: str, arguments: tuple[Any, ...]
) -> None:
    policy.deny(action)
    with pytest.raises(Denied):
        call(house, method, AGENT, *arguments)
    assert house.twin.paths() == ["intake"]
