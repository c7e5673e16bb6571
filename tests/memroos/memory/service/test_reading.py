"""Verbs of memory: what is kept, who finds it, and what is recorded of it."""

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.actors import AGENT, KERNEL, OPERATOR, OTHER_AGENT, STRANGE_AGENT, STRANGER
from tests.conftest import Policy
from tests.cursors import assert_says_nothing_of_others
from tests.memroos.memory import conftest
from tests.memroos.memory.conftest import Remember

from memroos import memory
from memroos.memory.service import TEXT_BYTES_MAX
from memroos_contracts.errors import Denied, InvalidCursor, InvalidRequest, NotFound, TooLarge
from memroos_contracts.governance import Action, Effect, Label, Sensitivity
from memroos_contracts.identity import Actor
from memroos_contracts.memory import Arm, MemoryEventView, MemoryKind, NewMemory, RecallRequest, RecallResult
from memroos_kit.clock import ManualClock
from memroos_kit.db import Database, Tx

RESTRICTED = Label(Sensitivity.RESTRICTED)


def recall(db: Database, query: str, actor: Actor = AGENT, **filters: Any) -> RecallResult:
    return db.write_now(actor, conftest.recall, RecallRequest(query=query, **filters))


def texts(found: RecallResult) -> list[str | None]:
    return [item.item.text for item in found.items]


def said_in_a_task(db: Database, text: str, **others: Any) -> MemoryEventView:
    """A message from AGENT to OTHER_AGENT, as the broker keeps it."""
    given: dict[str, Any] = {
        "stream": "context:ctx_1",
        "kind": "message",
        "text": text,
        "owner": AGENT.principal,
        "agent_id": OTHER_AGENT.id,
        "task_id": "task_1",
        "context_id": "ctx_1",
    }
    return db.write_now(AGENT, memory.append_event, **given | others)


def audited(db: Database, sql: str) -> list[Any]:
    return db.read_now(KERNEL, lambda tx: list(tx.session.connection().exec_driver_sql(sql).scalars()))


# -- keeping -----------------------------------------------------------------------------------------------------------


def test_what_is_kept_is_found_at_once_by_another_form_of_its_words(db: Database, remember: Remember) -> None:
    kept = remember("The cranes in the harbour were repaired.")
    found = recall(db, "Who repairs a crane?")
    (item,) = found.items
    assert (item.item.id, item.item.text) == (kept.id, kept.text)
    assert (item.item.stream, item.item.stream_seq) == (kept.stream, 1)
    assert item.sources == (kept.id,)
    assert set(item.lexical) == {"crane", "repair"}
    assert item.score == pytest.approx(sum(item.lexical.values()))
    assert "harbour" in item.snippet
    assert found.arms == (Arm.EPISODIC,)
    assert Arm.VECTOR in found.missing


def test_a_stream_counts_its_events_without_gaps(db: Database, remember: Remember) -> None:
    first, second = remember("one"), remember("two")
    elsewhere = remember("three", stream=f"{AGENT.principal}/notes")
    assert [first.stream_seq, second.stream_seq, elsewhere.stream_seq] == [1, 2, 1]


@pytest.mark.parametrize("stream", [OTHER_AGENT.principal, f"{AGENT.principal}x", "context:ctx_1", ""])
def test_nobody_writes_into_the_stream_of_another(db: Database, remember: Remember, stream: str) -> None:
    with pytest.raises(memory.NotYourStream):
        remember("mine", stream=stream)


@pytest.mark.parametrize("text", ["", "  \n"])
def test_a_memory_needs_a_text(remember: Remember, text: str) -> None:
    with pytest.raises(InvalidRequest):
        remember(text)


@pytest.mark.parametrize("part", [{"text": "ü" * TEXT_BYTES_MAX}, {"text": "t", "data": {"d": "x" * TEXT_BYTES_MAX}}])
def test_what_is_too_large_is_refused(remember: Remember, part: dict[str, Any]) -> None:
    with pytest.raises(TooLarge):
        remember(**part)


def test_a_long_message_is_kept_as_far_as_it_fits_and_says_so(db: Database) -> None:
    event = said_in_a_task(db, "ü" * TEXT_BYTES_MAX)
    assert event.text is not None
    assert len(event.text.encode()) == TEXT_BYTES_MAX
    assert event.source == {"cut_from_bytes": 2 * TEXT_BYTES_MAX}


def test_a_denied_memory_is_not_kept(db: Database, remember: Remember, policy: Policy) -> None:
    policy.deny(Action.MEMORY_WRITE)
    with pytest.raises(Denied):
        remember("secret plans")
    assert recall(db, "plans").items == []


def test_a_receipt_says_what_was_done_and_how_it_ended(db: Database) -> None:
    new = NewMemory(
        text="wrote the report", kind=MemoryKind.RECEIPT, action="file.write", outcome="ok", data={"bytes": 3}
    )
    event = db.write_now(AGENT, memory.write_memory, new)
    assert event.data == {"action": "file.write", "outcome": "ok", "details": {"bytes": 3}}
    assert texts(recall(db, "report", kinds=(MemoryKind.RECEIPT,))) == ["wrote the report"]


@pytest.mark.parametrize(
    "new",
    [
        NewMemory(text="t", kind=MemoryKind.RECEIPT),
        NewMemory(text="t", kind=MemoryKind.MESSAGE),
        NewMemory(text="t", action="file.write"),
    ],
)
def test_only_memories_and_receipts_of_something_are_written_by_callers(db: Database, new: NewMemory) -> None:
    with pytest.raises(InvalidRequest):
        db.write_now(AGENT, memory.write_memory, new)


def test_a_part_of_the_own_stream_has_a_name(db: Database) -> None:
    event = db.write_now(AGENT, memory.write_memory, NewMemory(text="t", stream="notes"))
    assert event.stream == f"{AGENT.principal}/notes"


def test_events_are_never_changed_nor_deleted(db: Database, remember: Remember) -> None:
    remember("as it was")

    def run(tx: Tx, sql: str) -> None:
        tx.session.connection().exec_driver_sql(sql)

    for sql in ("UPDATE memory_event SET text = 'otherwise'", "DELETE FROM memory_event"):
        with pytest.raises(Exception, match="append-only"):
            db.write_now(KERNEL, run, sql)


# -- who finds what ----------------------------------------------------------------------------------------------------


def test_a_message_is_found_by_both_who_take_part_and_by_the_operator_alone(db: Database) -> None:
    said_in_a_task(db, "the harbour report")
    third = Actor(role=AGENT.role, id="agt_03THIRD", agent=AGENT.agent and type(AGENT.agent)("agt_03THIRD"))
    counts = [len(recall(db, "harbour", actor).items) for actor in (AGENT, OTHER_AGENT, OPERATOR, third, STRANGER)]
    assert counts == [1, 1, 1, 0, 0]


def test_what_is_restricted_stays_with_those_it_belongs_to(db: Database, remember: Remember, policy: Policy) -> None:
    own = remember("the harbour code", label=RESTRICTED)
    assert len(recall(db, "harbour").items) == 1
    assert policy.asked[-1][1].label == RESTRICTED
    for other in (OTHER_AGENT, OPERATOR):
        assert recall(db, "harbour", other).items == []
        assert recall(db, "harbour", other).documents == 0
        assert db.write_now(other, memory.list_events, own.stream).items == []
    for other in (OTHER_AGENT, OPERATOR):
        with pytest.raises(NotFound):
            db.write_now(other, memory.read_event, own.id)
    assert db.write_now(AGENT, memory.read_event, own.id).text == "the harbour code"
    assert policy.asked[-1][1].label == RESTRICTED


def test_who_runs_the_workspace_reads_what_is_restricted_where_it_is_their_own(
    db: Database, remember: Remember
) -> None:
    own = remember("the harbour code", actor=OPERATOR, label=RESTRICTED)
    assert db.write_now(OPERATOR, memory.read_event, own.id).text == "the harbour code"
    with pytest.raises(NotFound):
        db.write_now(AGENT, memory.read_event, own.id)


def test_what_is_restricted_can_be_deleted_unseen_by_who_runs_the_workspace(db: Database, remember: Remember) -> None:
    own = remember("the harbour code", label=RESTRICTED)
    with pytest.raises(NotFound):
        db.write_now(OTHER_AGENT, memory.remove_event, own.id)
    db.write_now(OPERATOR, memory.remove_event, own.id)
    with pytest.raises(NotFound):
        db.write_now(AGENT, memory.read_event, own.id)


def test_the_words_of_others_do_not_weigh_in_a_ranking(db: Database, remember: Remember) -> None:
    for text in ("crane harbour", "crane crane ship", "ship", "a long story about a ship and its harbour and more"):
        remember(text)
    before = recall(db, "crane harbour ship")
    for number in range(50):
        remember(f"crane crane crane {number}", actor=OTHER_AGENT)
        remember(f"harbour {number}", actor=STRANGE_AGENT)
    assert recall(db, "crane harbour ship") == before


def test_filters_narrow_and_never_widen(db: Database, remember: Remember, clock: ManualClock) -> None:
    early = remember("harbour one", user_id="usr_1", run_id="run_1")
    clock.advance(hours=1)
    said_in_a_task(db, "harbour two")
    remember("harbour three", actor=OTHER_AGENT)
    later = early.created_at + timedelta(minutes=1)

    for filters, expected in (
        ({"user_id": "usr_1"}, ["harbour one"]),
        ({"run_id": "run_1"}, ["harbour one"]),
        ({"task_id": "task_1"}, ["harbour two"]),
        ({"context_id": "ctx_1"}, ["harbour two"]),
        ({"stream": "context:ctx_1"}, ["harbour two"]),
        ({"agent_id": OTHER_AGENT.id}, ["harbour two"]),
        ({"kinds": (MemoryKind.MESSAGE,)}, ["harbour two"]),
        ({"kinds": (MemoryKind.ARTIFACT,)}, []),
        ({"until": later}, ["harbour one"]),
        ({"since": later}, ["harbour two"]),
        ({"author": OTHER_AGENT.principal}, []),
        ({"stream": OTHER_AGENT.principal}, []),
    ):
        assert texts(recall(db, "harbour", **filters)) == expected, filters


def test_the_best_comes_first_and_no_more_than_asked_for(db: Database, remember: Remember) -> None:
    remember("a ship")
    remember("the harbour crane, the harbour")
    remember("harbour and many other words that say nothing about it at all")
    assert texts(recall(db, "harbour crane", limit=1)) == ["the harbour crane, the harbour"]


def test_a_question_about_something_else_finds_nothing(db: Database, remember: Remember) -> None:
    remember("the harbour crane")
    assert recall(db, "quantum chromodynamics").items == []
    assert recall(db, "?!").items == []


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.text(min_size=1, max_size=80) | st.text('"*^():-+{}\\ ANDORNEAT', min_size=1))
def test_any_text_is_a_question(db: Database, query: str) -> None:
    recall(db, query)


# -- reading -----------------------------------------------------------------------------------------------------------


def test_what_goes_out_is_recorded_without_its_content(db: Database, remember: Remember) -> None:
    kept = remember("a private sentence")
    recall(db, "private sentence")
    db.write_now(AGENT, memory.read_event, kept.id)
    db.write_now(AGENT, memory.list_events, kept.stream)
    db.write_now(AGENT, memory.list_own)

    actions = audited(db, "SELECT action FROM audit_event WHERE kind = 'outcome' ORDER BY seq")
    assert actions == ["memory.written", "memory.recalled", "memory.read", "memory.read", "memory.read"]
    bodies = "".join(audited(db, "SELECT body FROM audit_event"))
    assert kept.id in bodies
    assert "private" not in bodies


def test_a_denied_reader_gets_nothing(db: Database, remember: Remember, policy: Policy) -> None:
    kept = remember("the harbour")
    policy.deny(Action.MEMORY_RECALL, Action.MEMORY_READ)
    for verb, argument in (
        (conftest.recall, RecallRequest(query="harbour")),
        (memory.read_event, kept.id),
        (memory.list_events, kept.stream),
    ):
        with pytest.raises(Denied):
            db.write_now(AGENT, verb, argument)  # type: ignore[arg-type]
    with pytest.raises(Denied):
        db.write_now(AGENT, memory.list_own)


def test_a_redacted_memory_has_no_content(db: Database, remember: Remember, policy: Policy) -> None:
    kept = remember("the harbour", data={"d": 1}, source={"s": 1})
    policy.effects = dict.fromkeys((Action.MEMORY_RECALL, Action.MEMORY_READ), Effect.REDACT)
    (item,) = recall(db, "harbour").items
    read = db.write_now(AGENT, memory.read_event, kept.id)
    for event in (item.item, read):
        assert (event.id, event.text, event.data, event.source) == (kept.id, None, None, None)
    assert (item.snippet, item.lexical) == ("", {})


def test_the_labels_of_what_is_found_come_together_in_the_decision(
    db: Database, remember: Remember, policy: Policy
) -> None:
    remember("harbour one", label=Label(Sensitivity.CONFIDENTIAL, frozenset({"pii"})))
    remember("harbour two", label=Label(Sensitivity.PUBLIC, frozenset({"untrusted"})))
    recall(db, "harbour")
    assert policy.asked[-1][1].label == Label(Sensitivity.CONFIDENTIAL, frozenset({"pii", "untrusted"}))


def test_an_event_of_others_does_not_exist(db: Database, remember: Remember) -> None:
    kept = remember("mine")
    for other in (OTHER_AGENT, STRANGER, STRANGE_AGENT):
        with pytest.raises(NotFound):
            db.write_now(other, memory.read_event, kept.id)
    with pytest.raises(NotFound):
        db.write_now(AGENT, memory.read_event, "mem_nothing")


def test_a_stream_is_listed_in_order_and_goes_on_at_its_cursor(db: Database, remember: Remember) -> None:
    for number in range(5):
        said_in_a_task(db, f"number {number}")
    first = db.write_now(OTHER_AGENT, memory.list_events, "context:ctx_1", limit=3)
    second = db.write_now(OTHER_AGENT, memory.list_events, "context:ctx_1", limit=3, cursor=first.next_cursor)
    assert [event.text for event in [*first.items, *second.items]] == [f"number {n}" for n in range(5)]
    assert second.next_cursor is None
    with pytest.raises(InvalidCursor):
        db.write_now(OTHER_AGENT, memory.list_events, "another", cursor=first.next_cursor)


def test_a_stream_shows_each_reader_its_own(db: Database) -> None:
    said_in_a_task(db, "to the worker")
    said_in_a_task(db, "to another", agent_id="agt_03THIRD")
    for reader, count in ((AGENT, 2), (OTHER_AGENT, 1), (OPERATOR, 2), (STRANGER, 0)):
        assert len(db.write_now(reader, memory.list_events, "context:ctx_1").items) == count


def test_an_agent_lists_what_it_wrote_newest_first(db: Database, remember: Remember) -> None:
    for number in range(3):
        remember(f"number {number}")
    remember("of another", actor=OTHER_AGENT)
    first = db.write_now(AGENT, memory.list_own, limit=2)
    second = db.write_now(AGENT, memory.list_own, limit=2, cursor=first.next_cursor)
    assert_says_nothing_of_others(first.next_cursor)
    assert [event.text for event in [*first.items, *second.items]] == ["number 2", "number 1", "number 0"]
    with pytest.raises(InvalidCursor):
        db.write_now(OTHER_AGENT, memory.list_own, cursor=first.next_cursor)
