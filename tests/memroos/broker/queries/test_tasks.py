"""Listings: complete, in order, stable while tasks change, and never more than the actor may see."""

from typing import Any

import pytest
from tests.actors import KERNEL, OPERATOR, STRANGER
from tests.memroos.broker.conftest import House, report

from memroos import broker
from memroos.broker import queries
from memroos.broker.queries.tasks import ARTIFACTS_AT_ONCE
from memroos_contracts.broker import Artifact, ArtifactReport, Part, TaskState
from memroos_contracts.errors import InvalidCursor
from memroos_contracts.identity import Actor, AgentId
from memroos_kit.clock import ManualClock
from memroos_kit.db import Database


def pages(db: Database, actor: Actor, limit: int, **wanted: Any) -> list[list[str]]:
    found: list[list[str]] = []
    cursor = None
    while True:
        page = db.read_now(actor, broker.list_tasks, broker.TaskFilter(**wanted), limit=limit, cursor=cursor)
        found.append([task.id for task in page.items])
        cursor = page.next_cursor
        if cursor is None:
            return found


@pytest.mark.parametrize("limit", [1, 2, 3, 6, 7, 100])
def test_a_listing_is_complete_in_pages_of_any_size(
    house: House, caller: Actor, worker: Actor, clock: ManualClock, limit: int
) -> None:
    sent = []
    for n in range(6):
        sent.append(house.send(caller).id)
        clock.advance(seconds=n % 2)  # some at the same instant

    found = pages(house.db, caller, limit)

    assert [task for page in found for task in page] == sent[::-1]
    assert all(len(page) == limit for page in found[:-1])


def test_what_does_not_change_is_listed_once_while_others_change(
    house: House, caller: Actor, worker: Actor, clock: ManualClock
) -> None:
    sent = [house.send(caller) for _ in range(10)]
    clock.advance(seconds=1)
    first = house.db.read_now(caller, broker.list_tasks, broker.TaskFilter(), limit=3)

    house.db.write_now(caller, broker.cancel_task, sent[8].id)  # listed already
    house.db.write_now(caller, broker.cancel_task, sent[2].id)  # not listed yet: it is new at the front now
    added = house.send(caller)
    rest = house.db.read_now(caller, broker.list_tasks, broker.TaskFilter(), limit=100, cursor=first.next_cursor)

    seen = [task.id for task in (*first.items, *rest.items)]
    assert sorted(seen) == sorted({task.id for task in sent} - {sent[2].id})
    assert {sent[2].id, added.id} <= set(pages(house.db, caller, 3)[0])


def test_filters_narrow(house: House, caller: Actor, worker: Actor, clock: ManualClock) -> None:
    other = house.register("other")
    a = house.send(caller, context_id="c1")
    b = house.send(caller, agent="other")
    house.db.write_now(caller, broker.cancel_task, b.id)
    clock.advance(seconds=10)
    since = clock.now()
    c = house.send(OPERATOR)

    def found(**wanted: Any) -> set[str]:
        (page,) = pages(house.db, OPERATOR, 100, **wanted)
        assert house.db.read_now(OPERATOR, broker.count_tasks, broker.TaskFilter(**wanted)) == len(page)
        return set(page)

    assert found() == {a.id, b.id, c.id}
    assert found(owner=caller.principal) == {a.id, b.id}
    assert found(agent_id=other.agent) == {b.id}
    assert found(context_id="c1") == {a.id}
    assert found(state=TaskState.CANCELED) == {b.id}
    assert found(changed_since=since) == {c.id}
    assert found(owner=caller.principal, state=TaskState.SUBMITTED, agent_id=worker.agent) == {a.id}


def test_nobody_sees_or_counts_what_is_not_theirs(house: House, caller: Actor, worker: Actor) -> None:
    mine = house.send(caller)
    house.send(OPERATOR)
    bystander = house.register("bystander")

    def seen(actor: Actor, **wanted: Any) -> tuple[list[str], int]:
        (page,) = pages(house.db, actor, 100, **wanted)
        return page, house.db.read_now(actor, broker.count_tasks, broker.TaskFilter(**wanted))

    assert seen(caller) == ([mine.id], 1)
    assert seen(bystander) == ([], 0)
    assert seen(bystander, owner=caller.principal) == ([], 0)
    assert seen(bystander, agent_id=worker.agent) == ([], 0)
    assert seen(STRANGER) == ([], 0)
    assert len(seen(worker, agent_id=worker.agent)[0]) == 2
    assert seen(worker, agent_id=worker.agent, owner=caller.principal) == ([mine.id], 1)


def test_a_cursor_is_good_for_its_listing_only(house: House, caller: Actor, worker: Actor) -> None:
    for _ in range(3):
        house.send(caller)
    cursor = house.db.read_now(caller, broker.list_tasks, broker.TaskFilter(), limit=1).next_cursor

    for wrong in ("nonsense", cursor):
        with pytest.raises(InvalidCursor):
            house.db.read_now(caller, broker.list_tasks, broker.TaskFilter(context_id="x"), limit=1, cursor=wrong)


def test_the_detail_of_a_view_does_not_hold_what_came_later(house: House, caller: Actor, worker: Actor) -> None:
    early = house.send(caller)
    house.send(caller, "more", task_id=early.id)

    found = house.db.read_now(caller, broker.detail, early)

    assert found.history is not None
    assert len(found.history) == 1


def test_a_log_is_read_on_from_a_generation(house: House, caller: Actor, worker: Actor) -> None:
    task = house.send(caller)
    house.send(caller, "more", task_id=task.id)

    def generations(after: int, most: int) -> list[int]:
        return [e.generation for e in house.db.read_now(KERNEL, broker.list_events, task.id, after=after, most=most)]

    assert (generations(0, 9), generations(1, 1), generations(3, 9)) == ([1, 2, 3], [2], [])


def test_an_artifact_is_found_however_far_back_it_is(house: House, caller: Actor, worker: Actor) -> None:
    task = house.send(caller)
    claim = house.claim(worker)
    for n in range(ARTIFACTS_AT_ONCE * 2 + 1):
        artifact = Artifact(f"a{n}", [Part(text="x")])
        house.db.write_now(
            worker, broker.add_artifact, task.id, ArtifactReport(fencing_token=claim.fencing_token, artifact=artifact)
        )

    def has(artifact_id: str) -> bool:
        return house.db.read_now(KERNEL, queries.has_artifact, task.id, artifact_id)

    assert all(has(f"a{n}") for n in range(ARTIFACTS_AT_ONCE * 2 + 1))
    assert not has("b")


def test_what_is_overdue_or_dead_is_found_in_every_workspace(
    house: House, caller: Actor, worker: Actor, clock: ManualClock
) -> None:
    house.register("worker", as_=STRANGER)
    here, there = house.send(caller), house.send(STRANGER)
    done = house.send(caller)
    house.db.write_now(worker, broker.fail_task, here.id, report(house.claim(worker), "no"))
    clock.advance(days=7)

    found = house.db.read_now(KERNEL, queries.list_overdue, most=10)

    assert set(found) == {(there.workspace_id, there.id), (done.workspace_id, done.id)}


def test_a_task_can_be_seen_as_it_was_at_each_generation(
    house: House, caller: Actor, worker: Actor, clock: ManualClock
) -> None:
    task = house.send(caller)
    seen = [task]
    claim = house.claim(worker)
    seen.append(house.see(task))
    for verb in (broker.report_progress, broker.ask_caller):
        clock.advance(seconds=1)
        seen.append(house.db.write_now(worker, verb, task.id, report(claim, "words")))
    log = house.log(task)

    assert [queries.as_of(seen[-1], log, then.generation) for then in seen] == seen


def test_what_an_agent_has_to_do_is_known_without_counting(house: House, caller: Actor, worker: Actor) -> None:
    def load() -> tuple[int, int]:
        return house.db.read_now(KERNEL, queries.load_of, AgentId(str(worker.agent)))

    assert load() == (0, 0)
    first, _ = house.send(caller), house.send(OPERATOR)
    assert load() == (2, 2)
    claim = house.claim(worker)
    house.db.write_now(worker, broker.ask_caller, claim.task.id, report(claim, "Which one?"))
    assert load() == (2, 1)
    house.db.write_now(OPERATOR, broker.cancel_task, first.id)
    assert load() == (1, 1)
    assert house.db.read_now(OPERATOR, queries.count_open, caller.principal) == 0
    assert house.db.read_now(OPERATOR, queries.count_open, OPERATOR.principal) == 1
