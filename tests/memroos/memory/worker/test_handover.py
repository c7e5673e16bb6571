"""The hand-over: everything, in order, at least once, whatever happens to either side."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import httpx
import pytest
from tests.actors import AGENT, KERNEL, OPERATOR, OTHER_AGENT, STRANGE_AGENT
from tests.memroos.memory.conftest import Remember
from tests.memroos.memory.service_twin import ServiceTwin, learned

from memroos import memory
from memroos.memory.queries import handover as queries
from memroos.memory.queries.handover import Place
from memroos.memory.queries.pending import count_pending
from memroos.memory.service import handover as verbs
from memroos.memory.service import removing
from memroos_contracts import memory as memory_contracts
from memroos_contracts.errors import MemroosError
from memroos_contracts.governance import Label, Sensitivity
from memroos_contracts.identity import Actor, Role
from memroos_contracts.memory_errors import MemoryServiceUnavailable
from memroos_kit.db import Database
from memroos_kit.stopping import Stopping

T = TypeVar("T")
DOWN = httpx.ConnectError("nobody listens")


@pytest.fixture
def twin() -> ServiceTwin:
    return ServiceTwin()


def run(db: Database, twin: ServiceTwin, work: Callable[[memory.HandOver], Awaitable[T]]) -> T:
    """Run something with a hand-over that is not running by itself."""

    async def with_handover() -> T:
        store = twin.store()
        try:
            return await work(memory.HandOver(db, store, memory.Bell(), dice=lambda: 0.5))
        finally:
            await store.close()

    return asyncio.run(with_handover())


async def drain(handover: memory.HandOver) -> int:
    steps = 0
    while await handover.step():
        steps += 1
    return steps


def place(db: Database) -> Place:
    return db.read_now(KERNEL, queries.get_place)


def refused(db: Database) -> int:
    return db.read_now(OPERATOR, memory.count_backlog).refused


def test_everything_comes_over_in_the_order_of_the_log(db: Database, twin: ServiceTwin, remember: Remember) -> None:
    actors = (AGENT, OTHER_AGENT, STRANGE_AGENT)
    kept = []
    for actor in actors:
        new = memory_contracts.NewMemories(tuple(memory_contracts.NewMemory(f"number {n}") for n in range(100)))
        kept += db.write_now(actor, memory.write_memories, new).items
        kept += db.write_now(actor, memory.write_memories, new).items
    steps = run(db, twin, drain)
    assert twin.order == [event.id for event in kept]
    assert steps == 3
    assert [twin.events[event.id].event for event in kept] == kept
    assert place(db) == Place(600, 0)


def test_an_event_brings_for_whom_it_counts(db: Database, twin: ServiceTwin, remember: Remember) -> None:
    open_one = remember("for all")
    secret = remember("for me", label=Label(Sensitivity.RESTRICTED))
    run(db, twin, drain)
    assert (twin.events[open_one.id].readers, twin.events[open_one.id].private) == ((AGENT.principal,), False)
    assert twin.events[secret.id].private is True
    assert [twin.events[one.id].position for one in (open_one, secret)] == [1, 2]


def test_long_texts_come_in_several_requests(db: Database, twin: ServiceTwin, remember: Remember) -> None:
    for n in range(40):
        remember(f"{n} " + "x" * 65_000)
    run(db, twin, drain)
    sizes = [len(body["events"]) for path, body in twin.asked if path == "events"]
    assert sum(sizes) == 40
    assert max(sizes) < 35


def test_nothing_moves_while_the_service_is_away_and_nothing_is_lost(
    db: Database, twin: ServiceTwin, remember: Remember
) -> None:
    kept = remember("written in the dark")
    twin.away = DOWN
    with pytest.raises(MemoryServiceUnavailable):
        run(db, twin, drain)
    assert place(db) == Place(0, 0)
    twin.away = None
    run(db, twin, drain)
    assert twin.order == [kept.id]


def test_an_answer_that_got_lost_brings_the_batch_again_under_the_same_ids(
    db: Database, twin: ServiceTwin, remember: Remember
) -> None:
    kept = remember("once or twice")
    take = twin.taken

    async def answer_gets_lost(events: Any) -> Any:
        await take(events)
        raise httpx.ReadError("cut")

    twin.taken = answer_gets_lost  # type: ignore[method-assign]
    with pytest.raises(MemoryServiceUnavailable):
        run(db, twin, drain)
    twin.taken = take  # type: ignore[method-assign]
    run(db, twin, drain)
    assert twin.order == [kept.id, kept.id]
    assert list(twin.events) == [kept.id]


def test_a_removal_comes_after_the_events_that_were_there(db: Database, twin: ServiceTwin, remember: Remember) -> None:
    first = remember("one")
    run(db, twin, drain)
    second = remember("two")
    db.write_now(AGENT, memory.remove_event, first.id, reason="wrong")
    third = remember("three")
    run(db, twin, drain)
    assert [path for path in twin.paths() if path in {"events", "removals"}] == [
        "events",
        "events",
        "removals",
        "events",
    ]
    assert twin.order == [first.id, second.id, third.id]
    (removal,) = twin.removed
    assert (removal.event_id, removal.actor, removal.reason, removal.position) == (
        first.id,
        AGENT.principal,
        "wrong",
        2,
    )


def test_what_was_removed_before_it_came_over_never_does(db: Database, twin: ServiceTwin, remember: Remember) -> None:
    gone, kept = remember("gone"), remember("kept")
    db.write_now(AGENT, memory.remove_event, gone.id)
    run(db, twin, drain)
    assert twin.order == [kept.id]
    assert "gone" not in str(twin.asked)
    assert place(db) == Place(2, 1)


def test_a_removal_that_was_taken_back_does_not_come_over(db: Database, twin: ServiceTwin, remember: Remember) -> None:
    event = remember("gone and back")
    db.write_now(AGENT, memory.remove_event, event.id)
    db.write_now(AGENT, removing.restore, [event.id])
    run(db, twin, drain)
    assert (twin.order, twin.removed) == ([event.id], [])


def test_a_derived_item_is_deleted_on_behalf_of_whoever_removed_it(
    db: Database, twin: ServiceTwin, remember: Remember
) -> None:
    event = remember("I live in Bern")
    item = twin.items["itm_1"] = learned("itm_1", event.id, author=AGENT.principal)
    db.write_now(AGENT, removing.remove_item, item, reason="moved")
    run(db, twin, drain)
    (body,) = [body for path, body in twin.asked if path == "items/delete"]
    assert body["viewer"] == {"workspace_id": "default", "reader": AGENT.principal, "principal": AGENT.principal}
    assert (body["item_id"], body["reason"]) == ("itm_1", "moved")
    assert body["operation"].startswith("rmv_")


def test_an_item_that_is_gone_already_holds_nothing_up(db: Database, twin: ServiceTwin, remember: Remember) -> None:
    db.write_now(AGENT, removing.remove_item, learned("itm_1", "mem_1", author=AGENT.principal))
    kept = remember("after it")
    run(db, twin, drain)
    assert twin.order == [kept.id]


def test_one_event_that_is_refused_is_put_aside_and_the_others_go_on(
    db: Database, twin: ServiceTwin, remember: Remember
) -> None:
    kept = [remember(f"number {n}") for n in range(10)]
    twin.refuses = lambda one: one.event.id == kept[6].id
    run(db, twin, drain)
    assert set(twin.events) == {event.id for event in kept} - {kept[6].id}
    assert place(db) == Place(10, 0)
    assert refused(db) == 1
    assert db.read_now(AGENT, lambda tx: queries.count_pending(tx, queries.get_place(tx), "default")) == 1


def test_an_event_that_breaks_the_service_holds_nobody_up_for_ever(
    db: Database, twin: ServiceTwin, remember: Remember
) -> None:
    kept = [remember(f"number {n}") for n in range(6)]
    broken = kept[2].id
    twin.breaks = lambda one: one.event.id == broken

    async def work(handover: memory.HandOver) -> int:
        tries = await tries_until(handover, lambda: len(twin.events) == 5)
        assert await drain(handover) == 0
        return tries

    assert run(db, twin, work) > 2  # it may have been something else, at first
    assert set(twin.events) == {event.id for event in kept} - {broken}
    assert refused(db) == 1


def test_a_service_that_breaks_on_everything_is_waited_for(db: Database, twin: ServiceTwin, remember: Remember) -> None:
    kept = [remember(f"number {n}") for n in range(12)]
    twin.breaks = lambda _: True

    async def work(handover: memory.HandOver) -> int:
        await tries_until(handover, lambda: False, most=30)
        aside = refused(db)
        twin.breaks = lambda _: False
        await drain(handover)
        return aside

    assert run(db, twin, work) <= 3  # the others wait
    assert set(twin.events) == {event.id for event in kept}


async def tries_until(handover: memory.HandOver, done: Callable[[], bool], *, most: int = 60) -> int:
    """Let the loop's work be done again and again, as after its pauses; return how often."""
    for number in range(most):
        if done():
            return number
        try:
            await handover.step()
        except MemroosError as error:
            handover._failed(error.detail)
    return most


def test_what_was_refused_and_is_taken_later_is_pending_no_more(
    db: Database, twin: ServiceTwin, remember: Remember
) -> None:
    remember("odd")
    twin.refuses = lambda _: True
    run(db, twin, drain)
    twin.refuses = lambda _: False
    run(db, twin, drain)  # the service is behind the cursor, so the log goes back
    assert refused(db) == 0


def test_what_was_put_aside_can_be_handed_over_again(db: Database, twin: ServiceTwin, remember: Remember) -> None:
    event = remember("odd")
    twin.refuses = lambda _: True
    run(db, twin, drain)

    async def replay(handover: memory.HandOver) -> list[int]:
        still = await handover.replay(AGENT.workspace)
        twin.refuses = lambda _: False
        return [still, await handover.replay(AGENT.workspace), await handover.replay(AGENT.workspace)]

    assert run(db, twin, replay) == [0, 1, 0]
    assert twin.order == [event.id]


def test_all_that_was_put_aside_is_tried_again_however_much_is_refused_once_more(
    db: Database, twin: ServiceTwin, remember: Remember
) -> None:
    kept = [remember(f"number {n}") for n in range(25)]
    twin.refuses = lambda _: True
    run(db, twin, drain)
    twin.refuses = lambda one: one.event.id != kept[-1].id
    assert run(db, twin, lambda handover: handover.replay(AGENT.workspace)) == 1
    assert set(twin.events) == {kept[-1].id}


def test_what_was_put_aside_and_removed_since_waits_no_more(
    db: Database, twin: ServiceTwin, remember: Remember
) -> None:
    event = remember("odd")
    remember("fine")
    twin.refuses = lambda one: one.event.id == event.id
    run(db, twin, drain)
    db.write_now(AGENT, memory.remove_event, event.id)
    run(db, twin, drain)
    counts = db.read_now(OPERATOR, memory.count_backlog)
    assert (counts.pending, counts.refused, counts.removals) == (0, 0, 0)


def test_a_service_that_keeps_memories_is_told_of_its_own_that_wait_only(db: Database, remember: Remember) -> None:
    crawler = Actor(role=Role.SERVICE, id="crawler")
    remember("its own", actor=crawler)
    remember("not its own, and addressed to no agent", actor=OPERATOR)
    assert [db.read_now(actor, count_pending) for actor in (crawler, OPERATOR)] == [1, 2]


def test_a_service_that_lost_its_database_gets_everything_again(
    db: Database, twin: ServiceTwin, remember: Remember
) -> None:
    kept = [remember(f"number {n}") for n in range(5)]
    db.write_now(AGENT, memory.remove_event, kept[0].id)
    run(db, twin, drain)
    emptied = ServiceTwin()
    run(db, emptied, drain)
    assert emptied.order == [event.id for event in kept[1:]]
    assert place(db) == Place(5, 1)


def test_a_service_that_knows_more_than_the_cursor_gets_what_it_knows_again(
    db: Database, twin: ServiceTwin, remember: Remember
) -> None:
    kept = [remember(f"number {n}") for n in range(3)]
    run(db, twin, drain)
    db.write_now(KERNEL, verbs.move, Place(1, 0))  # as after a crash before the cursor moved
    run(db, twin, drain)
    assert twin.order == [*(event.id for event in kept), kept[1].id, kept[2].id]


def test_a_key_that_is_not_taken_keeps_everything_here(db: Database, twin: ServiceTwin, remember: Remember) -> None:
    remember("mine")

    async def work() -> str:
        handover = memory.HandOver(db, twin.store(key="x" * 40), memory.Bell())
        with pytest.raises(MemroosError) as caught:
            await handover.step()
        return caught.value.detail

    assert "401" in asyncio.run(work())
    assert place(db) == Place(0, 0)


def test_the_loop_waits_for_the_service_and_says_so_and_is_woken_by_what_is_written(
    db_path: Any, db: Database, twin: ServiceTwin, remember: Remember
) -> None:
    bell = memory.Bell()
    db._journals = (*db._journals, bell)  # the fixture's database has no bell
    remember("before")
    twin.away = DOWN

    async def work() -> None:
        db.attach(asyncio.get_running_loop())
        stop = Stopping()
        handover = memory.HandOver(db, twin.store(), bell, dice=lambda: 0.0)
        async with asyncio.TaskGroup() as group:
            group.create_task(handover.run(stop))
            async with asyncio.timeout(5):
                while handover.standing.failures < 2:  # noqa: ASYNC110 - nothing tells of it
                    await asyncio.sleep(0.01)
            assert handover.standing.since == db.clock.now()
            assert "reached" in handover.standing.error
            assert not await handover.caught_up(0.01)
            twin.away = None
            assert await handover.caught_up(5)
            assert handover.standing == memory.HandOverStanding(True, 0, "", None)
            late = await db.write(AGENT, memory.remember, stream=AGENT.principal, kind="memory", text="after")
            async with asyncio.timeout(2):  # far below the time after which the log is looked at without the bell
                while late.id not in twin.events:  # noqa: ASYNC110 - nothing tells of it
                    await asyncio.sleep(0.005)
            stop.set()
        db.attach(None)

    asyncio.run(work())


def test_a_service_that_hangs_keeps_nobody_from_stopping(db: Database, twin: ServiceTwin, remember: Remember) -> None:
    remember("on its way")
    asked = asyncio.Event()

    async def hang(_: Any) -> Any:
        asked.set()
        await asyncio.Event().wait()

    twin.taken = hang  # type: ignore[method-assign,assignment]

    async def work() -> None:
        stop = Stopping()
        handover = memory.HandOver(db, twin.store(), memory.Bell())
        async with asyncio.timeout(5), asyncio.TaskGroup() as group:
            group.create_task(handover.run(stop))
            await asked.wait()
            stop.set()

    asyncio.run(work())
    assert place(db) == Place(0, 0)
