"""What is remembered, read and changed through the kernel."""

from typing import Any

import httpx
import pytest
from tests.actors import AGENT, KERNEL, OPERATOR, OTHER_AGENT, STRANGER
from tests.conftest import START, Policy
from tests.memroos.memory.conftest import Remember, recall
from tests.memroos.memory.router.conftest import House
from tests.memroos.memory.service_twin import learned

from memroos import memory
from memroos.memory import queries
from memroos_contracts.errors import Denied, InvalidCursor, InvalidRequest, MemroosError, NotFound
from memroos_contracts.governance import Action, Effect
from memroos_contracts.identity import Actor
from memroos_contracts.memory import RecallRequest
from memroos_contracts.memory_errors import ItemChanged, MemoryServiceUnavailable
from memroos_contracts.memory_items import ItemChange, ItemQuery, RollbackRequest, ScopeView, Successor
from memroos_kit.db import Database
from memroos_kit.db.once import Idempotency

DOWN = httpx.ConnectError("nobody listens")


def ledger(db: Database) -> list[tuple[str, str]]:
    sql = "SELECT action, outcome FROM audit_event WHERE kind = 'outcome' ORDER BY seq"
    return db.read_now(KERNEL, lambda tx: [tuple(row) for row in tx.session.connection().exec_driver_sql(sql)])


def scope(scope_id: str, *readers: str) -> ScopeView:
    return ScopeView(scope_id, readers, False, "", 1, 9, START)


@pytest.fixture
def fact(house: House, remember: Remember) -> str:
    """Something that was learned from what an agent wrote."""
    event = remember("I live in Bern.")
    house.twin.items["itm_1"] = learned("itm_1", event.id, author=AGENT.principal)
    return "itm_1"


def call(house: House, method: str, actor: Actor, *arguments: Any, **options: Any) -> Any:
    return house.run(lambda routers: getattr(routers.items, method)(actor, *arguments, **options))


def test_items_are_read_on_record(house: House, fact: str) -> None:
    assert call(house, "get_item", AGENT, fact).id == fact
    assert [item.id for item in call(house, "list_items", AGENT, ItemQuery()).items] == [fact, house.twin.order[0]]
    assert [one.item.id for one in call(house, "list_history", AGENT, fact).items] == [fact]
    assert [action for action, _ in ledger(house.db)] == ["memory.written"] + 3 * ["memory.read"]


@pytest.mark.parametrize("actor", [OTHER_AGENT, STRANGER])
def test_items_of_others_do_not_exist(house: House, fact: str, actor: Actor) -> None:
    for method, arguments in (
        ("get_item", (fact,)),
        ("list_history", (fact,)),
        ("update", (fact, ItemChange(text="t"))),
        ("supersede", (fact, Successor(text="t"))),
        ("delete", (fact,)),
    ):
        with pytest.raises(NotFound) as caught:
            call(house, method, actor, *arguments)
        assert caught.value.facts == {"kind_of_object": "memory", "id": fact}


def test_who_is_denied_reads_and_changes_nothing(house: House, fact: str, policy: Policy) -> None:
    policy.deny(Action.MEMORY_READ, Action.MEMORY_CHANGE, Action.MEMORY_DELETE)
    for method, arguments in (
        ("get_item", (fact,)),
        ("list_items", (ItemQuery(),)),
        ("update", (fact, ItemChange(text="t"))),
        ("delete", (fact,)),
    ):
        with pytest.raises(Denied):
            call(house, method, AGENT, *arguments)
    assert "items/update" not in house.twin.paths()


def test_a_redacted_item_has_no_content(house: House, fact: str, policy: Policy) -> None:
    policy.effects[Action.MEMORY_READ] = Effect.REDACT
    found = call(house, "get_item", AGENT, fact)
    assert (found.id, found.text, found.triple, found.data, found.digest) == (fact, None, None, None, "")


@pytest.mark.parametrize("effect", [Effect.REDACT, Effect.DENY])
def test_who_may_change_an_item_but_not_read_it_is_told_nothing_of_what_it_says(
    house: House, fact: str, policy: Policy, effect: Effect
) -> None:
    policy.effects[Action.MEMORY_READ] = effect
    for verb, change in (("update", ItemChange(confidence=0.5)), ("supersede", Successor(text="I live in Basel."))):
        changed = call(house, verb, AGENT, fact, change)
        assert (changed.text, changed.triple, changed.data) == (None, None, None)


def test_a_change_is_intended_then_asked_for_then_settled(house: House, fact: str) -> None:
    changed = call(house, "update", AGENT, fact, ItemChange(text="I live in Basel.", reason="moved"))
    assert changed.text == "I live in Basel."
    assert ledger(house.db)[1:] == [
        ("memory.change_intended", "ok"),
        ("memory.updated", "ok"),
        ("memory.read", "ok"),
    ]
    operation = house.twin.asked[-1][1]["operation"]
    states = house.db.read_now(
        KERNEL, lambda tx: tx.session.connection().exec_driver_sql("SELECT id, state FROM memory_effect").fetchall()
    )
    assert [tuple(row) for row in states] == [(operation, "ok")]
    bodies = house.db.read_now(
        KERNEL,
        lambda tx: str(tx.session.connection().exec_driver_sql("SELECT body FROM audit_event").scalars().all()),
    )
    assert "Basel" not in bodies


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (httpx.ReadError("cut"), "unknown"),
        (httpx.ConnectError("no"), "failed"),
        (httpx.Response(409, json={"type": "/problems/item-changed", "id": "itm_1", "version": 4}), "failed"),
    ],
)
def test_a_change_that_was_not_made_or_not_confirmed_says_so_in_the_ledger(
    house: House, fact: str, answer: Any, outcome: str
) -> None:
    house.twin.answers["items/update"] = answer
    expected = {"unknown": memory.MemoryOutcomeUnknown, "failed": (MemoryServiceUnavailable, ItemChanged)}[outcome]
    with pytest.raises(expected):  # type: ignore[call-overload]
        call(house, "update", AGENT, fact, ItemChange(text="t"))
    assert ledger(house.db)[-1] == ("memory.updated", outcome)


def test_a_successor_is_made_once_however_often_it_is_asked_for(house: House, fact: str) -> None:
    again = Idempotency(key="k", operation="supersedeMemoryItem", digest="0" * 64)
    first = call(house, "supersede", AGENT, fact, Successor(text="I live in Basel."), again)
    second = call(house, "supersede", AGENT, fact, Successor(text="I live in Basel."), again)
    assert first == second
    assert house.twin.paths().count("items/supersede") == 1


@pytest.mark.parametrize("successor", [Successor(), Successor(text="t", item_id="itm_2"), Successor(text="  ")])
def test_a_successor_is_a_text_or_an_item(house: House, fact: str, successor: Successor) -> None:
    with pytest.raises(InvalidRequest):
        call(house, "supersede", AGENT, fact, successor)


def test_a_successor_that_the_caller_may_not_see_does_not_exist(house: House, fact: str) -> None:
    house.twin.items["itm_9"] = learned("itm_9", "mem_9", author=OTHER_AGENT.principal)
    with pytest.raises(NotFound):
        call(house, "supersede", AGENT, fact, Successor(item_id="itm_9"))


def test_a_deleted_item_is_gone_at_once_and_leaves_the_service_with_the_next_batch(house: House, fact: str) -> None:
    call(house, "delete", AGENT, fact, "wrong")
    assert fact in house.twin.items

    async def gone(routers: Any) -> None:
        for work in (routers.items.get_item(AGENT, fact), routers.items.list_history(AGENT, fact)):
            with pytest.raises(NotFound):
                await work
        assert fact not in str(await routers.recalls.recall(AGENT, RecallRequest(query="Bern")))
        assert fact not in str((await routers.items.list_items(AGENT, ItemQuery())).items)

    house.run(gone, hand_over=False)
    house.run(gone)
    assert fact not in house.twin.items


def test_an_event_is_deleted_also_while_the_service_is_away(house: House, remember: Remember) -> None:
    event = remember("the crane")
    house.twin.away = DOWN
    call(house, "delete", AGENT, event.id)
    with pytest.raises(NotFound):
        house.db.write_now(AGENT, memory.read_event, event.id)
    assert house.db.write_now(AGENT, recall, RecallRequest(query="crane")).items == []


def test_an_item_cannot_be_deleted_while_nobody_can_say_whose_it_is(house: House, fact: str) -> None:
    house.twin.away = DOWN
    with pytest.raises(MemoryServiceUnavailable):
        call(house, "delete", AGENT, fact)
    house.twin.away = None
    assert call(house, "get_item", AGENT, fact).id == fact


def test_a_history_goes_on_at_its_cursor(house: House, fact: str) -> None:
    for n in range(4):
        call(house, "update", AGENT, fact, ItemChange(text=f"text {n}"))
    first = call(house, "list_history", AGENT, fact, limit=3)
    second = call(house, "list_history", AGENT, fact, limit=3, cursor=first.next_cursor)
    assert [one.item.version for one in [*first.items, *second.items]] == [1, 2, 3, 4, 5]
    with pytest.raises(InvalidCursor):
        call(house, "list_history", AGENT, "itm_other", cursor=first.next_cursor)


# -- rollback ----------------------------------------------------------------------------------------------------------


def test_a_rollback_hides_what_it_took_back_and_shows_what_it_brought_back(house: House, remember: Remember) -> None:
    back, gone = remember("the first crane"), remember("the second crane")
    house.twin.scopes = [scope("scp_1", AGENT.principal)]
    house.db.write_now(AGENT, memory.remove_event, back.id)
    kept = queries.item_of(back)

    async def roll_back(routers: Any) -> Any:
        del house.twin.items[gone.id]
        house.twin.items[back.id] = kept
        house.twin.changed = [back.id, gone.id]
        return await routers.items.roll_back(AGENT, "scp_1", RollbackRequest(to_seq=3))

    report = house.run(roll_back)
    assert report.after_seq == 12
    found = house.db.write_now(AGENT, recall, RecallRequest(query="crane"))
    assert [hit.item.id for hit in found.items] == [back.id]
    assert found.documents == 1
    assert house.db.write_now(AGENT, memory.read_event, back.id).text == "the first crane"
    with pytest.raises(NotFound):
        house.db.write_now(AGENT, memory.read_event, gone.id)
    assert ledger(house.db)[-3][0] == "memory.rolled_back"


def test_a_dry_run_changes_and_records_nothing(house: House, remember: Remember) -> None:
    event = remember("the crane")
    house.twin.scopes = [scope("scp_1", AGENT.principal)]
    house.twin.changed = [event.id]
    report = call(house, "roll_back", AGENT, "scp_1", RollbackRequest(to_seq=0, dry_run=True))
    assert report.changed == [event.id]
    assert [action for action, _ in ledger(house.db)] == ["memory.written"]


def test_a_scope_of_others_does_not_exist(house: House) -> None:
    house.twin.scopes = [scope("scp_1", OTHER_AGENT.principal)]
    for actor in (AGENT,):
        with pytest.raises(NotFound):
            call(house, "roll_back", actor, "scp_1", RollbackRequest(to_seq=0))


@pytest.mark.parametrize(("actor", "owner"), [(AGENT, ""), (OPERATOR, "")])
def test_a_scope_that_others_see_too_is_nobodys_own(house: House, policy: Policy, actor: Actor, owner: str) -> None:
    house.twin.scopes = [scope("scp_1", AGENT.principal, OTHER_AGENT.principal)]
    call(house, "roll_back", actor, "scp_1", RollbackRequest(to_seq=0))
    assert [asset.owner for action, asset in policy.asked if action is Action.MEMORY_ROLLBACK] == [owner]


def test_an_event_that_is_still_on_its_way_is_not_called_unknown(
    house: House, remember: Remember, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("memroos.memory.router.items.HAND_OVER_S", 0.05)
    event = remember("written just now")

    with pytest.raises(MemoryServiceUnavailable, match="not taken over yet"):
        house.run(lambda routers: routers.items.get_item(AGENT, event.id), hand_over=False)


def test_without_a_service_nothing_is_pretended(house: House) -> None:
    alone = memory.Items(memory.Service(house.db, None, None))

    async def work(_: Any) -> None:
        for call in (
            alone.get_item(AGENT, "itm_1"),
            alone.list_scopes(AGENT),
            alone.list_items(AGENT, ItemQuery()),
            alone.roll_back(AGENT, "scp_1", RollbackRequest(to_seq=0)),
        ):
            with pytest.raises(MemroosError) as caught:
                await call
            assert type(caught.value) is MemoryServiceUnavailable

    house.run(work)
