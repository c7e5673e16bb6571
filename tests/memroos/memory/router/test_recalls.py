"""Questions: with the service, behind it, and without it."""

from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from tests.actors import AGENT, KERNEL, OPERATOR, OTHER_AGENT
from tests.conftest import Policy
from tests.memroos.memory.conftest import Remember
from tests.memroos.memory.router.conftest import House
from tests.memroos.memory.service_twin import learned

from memroos import memory
from memroos.memory.queries.traces import list_traces
from memroos_contracts.errors import Denied
from memroos_contracts.governance import Action, Label, Sensitivity
from memroos_contracts.identity import Actor
from memroos_contracts.memory import Arm, ContextRequest, ContextResult, RecallRequest, RecallResult
from memroos_contracts.memory_errors import FilterRefused, MemoryServiceUnavailable
from memroos_contracts.memory_filters import Eq
from memroos_contracts.memory_items import ItemKind
from memroos_contracts.recollection import MemoryTraceView
from memroos_kit import problems
from memroos_kit.db import Database

DOWN = httpx.ConnectError("nobody listens")


def recall(house: House, query: str, actor: Actor = AGENT, *, hand_over: bool = True, **filters: Any) -> RecallResult:
    request = RecallRequest(query=query, **filters)
    return house.run(lambda routers: routers.recalls.recall(actor, request), hand_over=hand_over)


def context(house: House, query: str, *, hand_over: bool = True, **more: Any) -> ContextResult:
    request = ContextRequest(RecallRequest(query=query), **more)
    return house.run(lambda routers: routers.recalls.context(AGENT, request), hand_over=hand_over)


def ids(found: RecallResult | ContextResult) -> list[str]:
    return [hit.item.id for hit in found.items]


def traces(db: Database) -> list[MemoryTraceView]:
    return db.read_now(OPERATOR, list_traces, limit=10).items


def outcomes(db: Database) -> list[str]:
    sql = "SELECT action FROM audit_event WHERE kind = 'outcome' ORDER BY seq"
    return db.read_now(KERNEL, lambda tx: list(tx.session.connection().exec_driver_sql(sql).scalars()))


def test_the_service_answers_on_behalf_of_the_caller_and_of_nobody_else(house: House, remember: Remember) -> None:
    kept = remember("the harbour crane")
    found = recall(house, "crane", agent_id=AGENT.id, author=AGENT.principal)
    assert ids(found) == [kept.id]
    assert (found.arms, found.missing, found.pending, found.detail) == ((Arm.LEXICAL, Arm.VECTOR), (), 0, "")
    (asked,) = [body for path, body in house.twin.asked if path == "recall"]
    assert (asked["workspace_id"], asked["reader"], asked["principal"]) == ("default", AGENT.principal, AGENT.principal)
    recall(house, "crane", OPERATOR)
    assert house.twin.asked[-1][1]["reader"] == ""
    assert house.twin.asked[-1][1]["principal"] == OPERATOR.principal


def test_what_was_written_just_now_is_found_before_the_service_has_it(house: House, remember: Remember) -> None:
    old = remember("a crane in the harbour and many other words that say nothing")
    recall(house, "crane")
    new = remember("the crane")
    other = remember("a crane of somebody else", actor=OTHER_AGENT)
    found = recall(house, "crane", hand_over=False, explain=True)
    assert ids(found) == [new.id, old.id]
    assert found.pending == 1  # what others have written is not counted
    assert Arm.EPISODIC in found.arms
    assert found.items[0].arms[Arm.EPISODIC].rank == 1
    assert other.id not in str(found)


def test_what_the_service_has_meanwhile_is_not_given_twice(house: House, remember: Remember) -> None:
    kept = remember("the crane")
    recall(house, "crane")
    house.db.write_now(KERNEL, memory_moves_back)
    found = recall(house, "crane", hand_over=False)
    assert ids(found) == [kept.id]


def memory_moves_back(tx: Any) -> None:
    tx.session.connection().exec_driver_sql("UPDATE memory_handover SET event_seq = 0")


def test_what_the_service_refused_is_still_found_by_its_words(house: House, remember: Remember) -> None:
    remember("first of all")
    odd = remember("an odd crane")
    remember("after it")
    house.twin.refuses = lambda one: one.event.id == odd.id
    found = recall(house, "crane")
    assert ids(found) == [odd.id]
    assert found.pending == 1


@pytest.mark.parametrize("away", [DOWN, httpx.ReadTimeout("slow"), httpx.ReadError("cut")])
def test_without_the_service_words_answer_and_the_answer_says_so(
    house: House, remember: Remember, away: Exception
) -> None:
    kept = remember("the harbour crane")
    house.twin.away = away
    found = recall(house, "crane")
    assert ids(found) == [kept.id]
    assert found.arms == (Arm.EPISODIC,)
    assert Arm.VECTOR in found.missing
    assert "by their words" in found.detail
    assert found.pending == 1


def test_a_service_that_hangs_is_not_asked_by_the_next_question(house: House, remember: Remember) -> None:
    remember("the crane")
    house.twin.answers["recall"] = httpx.ReadTimeout("slow")

    async def twice(routers: Any) -> list[RecallResult]:
        return [await routers.recalls.recall(AGENT, RecallRequest(query="crane")) for _ in range(2)]

    first, second = house.run(twice)
    assert ids(first) == ids(second)
    assert house.twin.paths().count("recall") == 1


@pytest.mark.parametrize(
    "part",
    [
        {"filter": Eq("speaker", "Ann")},
        {"as_of": datetime(2026, 1, 1, tzinfo=UTC)},
        {"known_at": datetime(2026, 1, 1, tzinfo=UTC)},
        {"item_kinds": (ItemKind.FACT,)},
    ],
)
def test_what_words_cannot_answer_is_refused_while_the_service_is_away(
    house: House, remember: Remember, part: dict[str, Any]
) -> None:
    remember("the crane")
    house.twin.away = DOWN
    with pytest.raises(MemoryServiceUnavailable):
        recall(house, "crane", **part)
    assert traces(house.db) == []


def test_a_filter_that_the_service_refuses_is_refused(house: House) -> None:
    said = problems.problem(FilterRefused("No.", field="user_id", reason="identity"))
    house.twin.answers["recall"] = httpx.Response(said.status, content=said.body(), headers=said.headers())
    with pytest.raises(FilterRefused):
        recall(house, "crane", filter=Eq("data.x", 1))


def test_what_was_removed_is_not_given_out_whatever_the_service_says(house: House, remember: Remember) -> None:
    gone, kept = remember("the old crane"), remember("the new crane")
    house.twin.items["itm_1"] = learned("itm_1", gone.id, author=AGENT.principal)
    house.twin.items["itm_2"] = learned("itm_2", gone.id, kept.id, author=AGENT.principal)
    recall(house, "crane")
    house.db.write_now(AGENT, memory.remove_event, gone.id)
    found = recall(house, "crane", hand_over=False)
    assert ids(found) == [kept.id, "itm_2"]
    assert found.items[1].sources == (kept.id,)
    assert gone.id not in str(traces(house.db)[0])


def test_a_context_that_speaks_of_what_was_removed_is_written_anew(house: House, remember: Remember) -> None:
    gone, kept = remember("the old crane"), remember("the new crane")
    assert context(house, "crane").text.startswith("service: ")
    house.db.write_now(AGENT, memory.remove_event, gone.id)
    found = context(house, "crane", hand_over=False)
    assert ids(found) == [kept.id]
    assert "old" not in found.text
    assert "new" in found.text


def test_a_context_holds_what_was_written_just_now(house: House, remember: Remember) -> None:
    remember("a crane")
    recall(house, "crane")
    remember("another crane just now")
    found = context(house, "crane", hand_over=False)
    assert "another crane just now" in found.text
    assert found.tokens <= found.token_budget


def test_a_context_comes_without_the_service_too(house: House, remember: Remember) -> None:
    remember("the crane")
    house.twin.away = DOWN
    found = context(house, "crane", purpose="to answer")
    assert "the crane" in found.text
    assert "by their words" in found.detail
    assert context(house, "chromodynamics").text == ""
    assert traces(house.db)[0].abstained == "nothing bears on the question"


def test_a_trace_says_when_a_context_was_too_small_for_what_was_found(house: House, remember: Remember) -> None:
    remember("the crane " + "and its long story " * 20)
    house.twin.away = DOWN
    assert context(house, "crane", token_budget=20).left_out == 1
    assert traces(house.db)[0].abstained == "what bears on the question does not fit into 20 tokens"


def test_an_answer_is_on_record_before_it_leaves(house: House, remember: Remember) -> None:
    kept = remember("the crane")
    recall(house, "Which crane?", task_id="")
    context(house, "crane", purpose="to answer")
    assert outcomes(house.db) == ["memory.written", "memory.recalled", "memory.recalled"]
    second, first = traces(house.db)
    assert (first.cause, second.cause, second.purpose) == ("recall", "context", "to answer")
    assert (first.actor, first.agent_id, first.query) == (AGENT.principal, AGENT.id, "Which crane?")
    assert [one.item_id for one in first.hits] == [kept.id]
    assert first.hits[0].tokens == 3
    assert first.arms == (Arm.LEXICAL, Arm.VECTOR)
    assert first.abstained == ""
    recall(house, "nothing of the kind")
    assert traces(house.db)[0].abstained == "nothing bears on the question"


def test_the_question_is_not_kept_where_the_answer_is_private(house: House, remember: Remember) -> None:
    remember("the secret crane", label=Label(Sensitivity.RESTRICTED))
    recall(house, "secret crane")
    (trace,) = traces(house.db)
    assert trace.query is None
    assert trace.query_digest.startswith("sha256:")


def test_who_is_denied_gets_nothing_and_leaves_no_trace(house: House, remember: Remember, policy: Policy) -> None:
    remember("the crane")
    policy.deny(Action.MEMORY_RECALL)
    with pytest.raises(Denied):
        recall(house, "crane")
    with pytest.raises(Denied):
        context(house, "crane")
    assert traces(house.db) == []
    assert outcomes(house.db)[-1] == "memory.recall"
