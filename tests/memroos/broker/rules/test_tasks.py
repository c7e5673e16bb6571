"""Pure decisions about tasks, against everything hypothesis can think of."""

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from memroos.broker import rules
from memroos.broker.rules import Candidate
from memroos_contracts.broker import (
    FINAL,
    Artifact,
    EventKind,
    Message,
    MessageRole,
    Part,
    TaskEvent,
    TaskState,
)

AT = datetime(2026, 1, 1, tzinfo=UTC)
STATES = st.sampled_from(TaskState)
CANDIDATES = st.lists(
    st.builds(
        Candidate,
        agent_id=st.uuids().map(str),
        name=st.sampled_from("abcdefgh"),
        permitted=st.booleans(),
        live=st.booleans(),
        in_flight=st.integers(0, 5),
    ),
    max_size=6,
    unique_by=lambda candidate: candidate.name,
)


def message(text: str, **words: Any) -> Message:
    return Message(**{"message_id": text, "role": MessageRole.USER, "parts": [Part(text=text)]} | words)


def said(text: str) -> TaskEvent:
    return TaskEvent(1, EventKind.MESSAGE, AT, message=message(text))


def moved(state: TaskState, text: str = "") -> TaskEvent:
    return TaskEvent(1, EventKind.STATUS, AT, state=state, message=message(text) if text else None)


def produced(artifact_id: str, text: str, *, append: bool = False) -> TaskEvent:
    artifact = Artifact(artifact_id=artifact_id, parts=[Part(text=text)])
    return TaskEvent(1, EventKind.ARTIFACT, AT, artifact=artifact, append=append)


# -- states ------------------------------------------------------------------------------------------------------------


@given(st.lists(STATES, min_size=1, max_size=20))
def test_no_walk_leaves_a_final_state(wishes: list[TaskState]) -> None:
    here = TaskState.SUBMITTED
    for wish in wishes:
        if rules.can_move(here, wish):
            assert here not in FINAL
            here = wish


@given(STATES)
def test_a_state_is_either_open_or_final_and_every_final_state_ends_a_wait(state: TaskState) -> None:
    assert rules.is_open(state) is not rules.is_final(state)
    assert rules.waits_for_caller(state) or not rules.is_final(state)


# -- routing -----------------------------------------------------------------------------------------------------------


@given(CANDIDATES)
def test_whoever_is_chosen_is_permitted_and_nobody_permitted_is_better(candidates: list[Candidate]) -> None:
    chosen = rules.choose(candidates)

    permitted = [candidate for candidate in candidates if candidate.permitted]
    assert (chosen is None) == (not permitted)
    for other in permitted:
        assert chosen is not None
        assert (not chosen.live, chosen.in_flight, chosen.name) <= (not other.live, other.in_flight, other.name)


@given(CANDIDATES)
def test_everybody_whom_policy_shuts_out_is_named_in_the_objections(candidates: list[Candidate]) -> None:
    assert rules.objections(candidates).keys() == {c.name for c in candidates if not c.permitted}


def test_the_reason_says_what_was_asked_and_who_was_there() -> None:
    chosen = Candidate("agt_1", "worker", permitted=True, live=False, in_flight=2)

    reason = rules.route_reason(chosen, [chosen], "count", ["fast"])

    assert reason == "skill count and tag fast: worker of 1 candidate (silent, 2 in flight)"


# -- digests -----------------------------------------------------------------------------------------------------------


def test_the_digest_is_over_what_was_written_and_to_whom_and_not_over_ids_that_are_filled_in() -> None:
    digest = rules.digest_message(message("hello"), "worker")

    assert rules.digest_message(message("hello", context_id="ctx_1", task_id="task_1"), "worker") == digest
    assert rules.digest_message(message("hello!"), "worker") != digest
    assert rules.digest_message(message("hello"), "planner") != digest
    assert rules.digest_message(message("hello", metadata={"a": 1}), "worker") != digest


def test_the_order_of_metadata_does_not_count() -> None:
    one, other = message("x", metadata={"a": 1, "b": 2}), message("x", metadata={"b": 2, "a": 1})

    assert rules.digest_message(one) == rules.digest_message(other)


# -- what is refused ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("part", "fault"),
    [
        (Part(), "exactly one"),
        (Part(text="a", url="b"), "exactly one"),
        (Part(text="a", data=None), "exactly one"),
        (Part(raw="not base 64!"), "base 64"),
        (Part(raw="YQ"), "base 64"),
        (Part(data=10**400), "too large"),
        (Part(data={"a": [10**309]}), "too large"),
        (Part(text="a", metadata={"n": -(10**309)}), "too large"),
    ],
)
def test_a_part_that_cannot_leave_through_every_door_is_refused(part: Part, fault: str) -> None:
    assert fault in rules.find_content_faults([Part(text="fine"), part], None)["parts[1]"]


@pytest.mark.parametrize(
    "part",
    [Part(text=""), Part(raw="YQ=="), Part(raw=""), Part(url="https://x.example"), Part(data=None), Part(data=[{}])],
)
def test_every_kind_of_content_is_taken(part: Part) -> None:
    assert rules.find_content_faults([part], {"why": ["because"]}) == {}


@pytest.mark.parametrize("depth", [rules.DEEPEST, rules.DEEPEST + 1])
def test_json_is_taken_down_to_a_depth(depth: int) -> None:
    nested: Any = 1
    for _ in range(depth):
        nested = [nested]

    assert bool(rules.find_content_faults([Part(data=nested)], None)) is (depth > rules.DEEPEST)


def test_a_message_needs_a_part_and_short_ids() -> None:
    faults = rules.find_message_faults(message("x" * 201, parts=[], context_id="c" * 201, task_id="t" * 201))

    assert faults.keys() == {"message_id", "context_id", "task_id", "parts"}
    assert rules.find_message_faults(message("x" * 200, context_id="c" * 200)) == {}


def test_an_artifact_needs_an_id_and_a_part() -> None:
    assert rules.find_artifact_faults(Artifact("", [])).keys() == {"artifact.artifact_id", "artifact.parts"}
    assert rules.find_artifact_faults(Artifact("a" * 201, [Part()])).keys() == {
        "artifact.artifact_id",
        "artifact.parts[0]",
    }
    assert rules.find_artifact_faults(Artifact("a", [Part(text="")])) == {}


# -- folding -----------------------------------------------------------------------------------------------------------


def test_the_history_has_every_message_once_and_the_present_status_not_yet() -> None:
    log = [
        said("question"),
        moved(TaskState.SUBMITTED),
        moved(TaskState.WORKING, "on it"),
        moved(TaskState.INPUT_REQUIRED, "which one?"),
        said("that one"),
        moved(TaskState.SUBMITTED),
        moved(TaskState.COMPLETED, "done"),
    ]

    assert [m.message_id for m in rules.fold_history(log)] == ["question", "on it", "which one?", "that one"]


@given(
    st.lists(st.one_of(st.builds(said, st.text("ab", max_size=3)), st.builds(moved, STATES, st.text("cd", max_size=3))))
)
def test_no_message_gets_lost_or_doubled_in_the_history(log: list[TaskEvent]) -> None:
    messages = [event.message for event in log if event.message is not None]
    last = log[-1].message if log and log[-1].kind is EventKind.STATUS else None

    assert rules.fold_history(log) == (messages[:-1] if last is not None else messages)


@given(st.lists(st.builds(produced, st.sampled_from("ab"), st.text("xyz", max_size=2), append=st.booleans())))
def test_chunks_extend_and_whole_artifacts_replace(log: list[TaskEvent]) -> None:
    model: dict[str, str] = {}
    for event in log:
        assert event.artifact is not None
        text = event.artifact.parts[0].text or ""
        name = event.artifact.artifact_id
        model[name] = model.get(name, "") + text if event.append else text

    folded = {a.artifact_id: "".join(part.text or "" for part in a.parts) for a in rules.fold_artifacts(log)}

    assert folded == model


@given(st.lists(st.integers()), st.one_of(st.none(), st.integers(0, 10)))
def test_the_newest_messages_come_in_order(history: Any, length: int | None) -> None:
    found = rules.newest(history, length)

    if length == 0:
        assert found is None
    else:
        assert found == (history if length is None else history[max(0, len(history) - length) :])


def test_text_for_people_holds_texts_data_and_addresses() -> None:
    parts = [Part(text="a"), Part(data={"b": 1}), Part(url="https://c.example"), Part(raw="ZA==")]

    assert rules.text_of(parts) == 'a\n{"b":1}\nhttps://c.example'


@given(st.builds(produced, st.text(max_size=3), st.text(max_size=3)))
def test_an_event_survives_its_stored_form(event: TaskEvent) -> None:
    assert msgspec.json.decode(msgspec.json.encode(event), type=TaskEvent) == event


HOPS = st.lists(st.from_regex(r"(HTTP/)?1\.1 [a-z0-9.-]{1,20}( \([a-z ]*\))?", fullmatch=True))


@given(hops=HOPS, place=st.integers(0, 10), form=st.sampled_from(["{}", "1.1 {}", "HTTP/2 {} (a remark)"]))
def test_a_broker_finds_itself_in_any_hop_and_nobody_else(hops: list[str], place: int, form: str) -> None:
    us = "memroos-0123456789abcdef"
    there = [*hops[:place], form.format(us), *hops[place:]]

    assert rules.came_through(there, us)
    assert not rules.came_through(hops, us)
    assert not rules.came_through(there, us[:-1])
    assert not rules.came_through(there, "")


@given(state=st.sampled_from(TaskState))
def test_work_is_in_flight_while_it_is_the_agents_turn(state: TaskState) -> None:
    assert rules.is_in_flight(state) == (not rules.waits_for_caller(state))
