"""What a snapshot adds to a log: whatever was missed, nothing twice; and what of a tail may have come before."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from memroos.broker import rules
from memroos.broker.rules import Change, Piece, Snapshot, Status
from memroos_contracts.broker import Artifact, EventKind, Message, MessageRole, Part, TaskEvent, TaskState

NOW = datetime(2026, 11, 21, tzinfo=UTC)
ASKED = Message(message_id="m0", role=MessageRole.USER, parts=[Part(text="Do it.")])
OPEN = [TaskState.WORKING, TaskState.INPUT_REQUIRED, TaskState.AUTH_REQUIRED]
ENDS = [TaskState.COMPLETED, TaskState.FAILED, TaskState.CANCELED, TaskState.REJECTED]


def said(number: int) -> Message:
    return Message(message_id=f"said-{number}", role=MessageRole.AGENT, parts=[Part(text=f"word {number}")])


def moved(state: TaskState, message: Message | None = None) -> Status:
    return Status("remote", "context", state, message)


def piece(*texts: str, name: str = "a", append: bool = False) -> Piece:
    return Piece("remote", "context", Artifact(artifact_id=name, parts=[Part(text=t) for t in texts]), append=append)


def logged(changes: Sequence[Change], *, after: Sequence[TaskEvent] = ()) -> list[TaskEvent]:
    """Return a log that begins with the caller's message and holds the changes."""
    log = list(after) or [
        TaskEvent(generation=1, kind=EventKind.MESSAGE, at=NOW, message=ASKED),
        TaskEvent(generation=2, kind=EventKind.STATUS, at=NOW, state=TaskState.SUBMITTED),
    ]
    for change in changes:
        about: dict[str, Any] = {"generation": len(log) + 1, "at": NOW}
        if isinstance(change, Status):
            log.append(TaskEvent(kind=EventKind.STATUS, state=change.state, message=change.message, **about))
        else:
            artifact: dict[str, Any] = {"artifact": change.artifact, "append": change.append}
            log.append(TaskEvent(kind=EventKind.ARTIFACT, **artifact, **about))
    return log


def shown(changes: Sequence[Change]) -> Snapshot:
    """Return the task as an agent shows it after some changes."""
    log = logged(changes)
    last = [event for event in log if event.kind is EventKind.STATUS][-1]
    assert last.state is not None
    return Snapshot(
        "remote",
        "context",
        last.state,
        last.message,
        tuple(rules.fold_history(log)),
        tuple(rules.fold_artifacts(log)),
    )


def folded(log: Sequence[TaskEvent]) -> tuple[object, ...]:
    last = [event for event in log if event.kind is EventKind.STATUS][-1]
    return last.state, last.message, rules.fold_history(log), rules.fold_artifacts(log)


@st.composite
def stories(draw: st.DrawFn) -> list[Change]:
    """Whatever an agent may do to a task, in order."""
    changes: list[Change] = []
    made: set[str] = set()
    for number in range(draw(st.integers(0, 12))):
        if draw(st.booleans()):
            changes.append(moved(draw(st.sampled_from(OPEN)), said(number) if draw(st.booleans()) else None))
            continue
        name = draw(st.sampled_from("ab"))
        append = name in made and draw(st.booleans())
        texts = draw(st.lists(st.sampled_from("xyz"), min_size=0, max_size=3))
        artifact = Artifact(
            artifact_id=name,
            parts=[Part(text=text) for text in texts],
            name="it",
            metadata={"n": float(draw(st.integers(0, 2)))} if draw(st.booleans()) else None,
        )
        changes.append(Piece("remote", "context", artifact, append=append))
        made.add(name)
    if draw(st.booleans()):
        changes.append(moved(draw(st.sampled_from(ENDS)), said(99) if draw(st.booleans()) else None))
    return changes


@given(stories(), st.data())
def test_a_cut_anywhere_leaves_no_trace_in_the_task(story: list[Change], data: st.DataObject) -> None:
    seen = data.draw(st.integers(0, len(story)), label="seen before the cut")
    back = data.draw(st.integers(seen, len(story)), label="where the snapshot is taken")

    log = logged(story[:seen])
    log = logged(rules.reconcile(log, shown(story[:back])), after=log)
    log = logged(story[back:], after=log)

    assert folded(log) == folded(logged(story))


@given(stories(), st.data())
def test_many_cuts_leave_no_trace_either(story: list[Change], data: st.DataObject) -> None:
    log = logged([])
    for back in sorted(data.draw(st.lists(st.integers(0, len(story)), max_size=6))):
        log = logged(rules.reconcile(log, shown(story[:back])), after=log)
    log = logged(rules.reconcile(log, shown(story)), after=log)

    assert folded(log) == folded(logged(story))


@given(stories())
def test_a_snapshot_of_what_is_known_adds_nothing(story: list[Change]) -> None:
    assert rules.reconcile(logged(story), shown(story)) == []


@given(stories(), st.data())
def test_the_same_snapshot_twice_adds_nothing_the_second_time(story: list[Change], data: st.DataObject) -> None:
    log = logged(story[: data.draw(st.integers(0, len(story)))])
    log = logged(rules.reconcile(log, shown(story)), after=log)

    assert rules.reconcile(log, shown(story)) == []


@given(st.integers(0, 9), st.integers(0, 9))
def test_a_follower_gets_every_chunk_once(known: int, there: int) -> None:
    story = [piece(str(n), append=n > 0) for n in range(max(known, there))]
    log = logged(story[:known])

    added = rules.reconcile(log, shown(story))

    texts = [
        part.text for change in (*story[:known], *added) if isinstance(change, Piece) for part in change.artifact.parts
    ]
    assert texts == [str(n) for n in range(max(known, there))]


def test_the_rest_of_an_artifact_is_added_to_it() -> None:
    log = logged([piece("a", "b")])

    (change,) = rules.reconcile(log, shown([piece("a", "b", "c")]))

    assert isinstance(change, Piece)
    assert (change.append, [part.text for part in change.artifact.parts]) == (True, ["c"])


def test_an_artifact_that_became_another_replaces_it() -> None:
    log = logged([piece("a", "b")])

    (change,) = rules.reconcile(log, shown([piece("z", "b", "c")]))

    assert isinstance(change, Piece)
    assert (change.append, len(change.artifact.parts)) == (False, 3)


def test_what_was_said_in_states_that_passed_unseen_is_told() -> None:
    story = [moved(TaskState.WORKING, said(1)), moved(TaskState.WORKING, said(2)), moved(TaskState.COMPLETED)]

    added = rules.reconcile(logged([]), shown(story))

    assert added == story


def test_a_question_that_was_answered_here_is_not_asked_again() -> None:
    asked = logged([moved(TaskState.INPUT_REQUIRED, said(1))])
    answer = msgspec.structs.replace(ASKED, message_id="m1")
    log = [
        *asked,
        TaskEvent(generation=4, kind=EventKind.MESSAGE, at=NOW, message=answer),
        TaskEvent(generation=5, kind=EventKind.STATUS, at=NOW, state=TaskState.SUBMITTED),
    ]
    asks = shown([moved(TaskState.INPUT_REQUIRED, said(1))])

    assert rules.reconcile(log, asks) == []
    assert rules.reconcile(log, asks, settled=True) == [moved(TaskState.INPUT_REQUIRED, said(1))]


def test_messages_that_share_an_id_are_told_apart_by_what_they_say() -> None:
    other = msgspec.structs.replace(said(1), parts=[Part(text="something else")])

    added = rules.reconcile(
        logged([moved(TaskState.WORKING, said(1))]),
        shown([moved(TaskState.WORKING, said(1)), moved(TaskState.WORKING, other)]),
    )

    assert added == [moved(TaskState.WORKING, other)]


# -- what comes once more ----------------------------------------------------------------------------------------------


@given(stories(), st.data())
def test_whatever_was_in_a_snapshot_may_be_old(story: list[Change], data: st.DataObject) -> None:
    """Statuses with words and chunks that a server repeats are never taken for new ones without a closer look."""
    if not story:
        return
    repeated = data.draw(st.sampled_from(story))
    if isinstance(repeated, Status) and repeated.message is None:
        return  # a state without words says nothing that could be doubled
    log = logged(rules.reconcile(logged([]), shown(story)), after=logged([]))
    replaced = isinstance(repeated, Piece) and any(
        isinstance(later, Piece) and later.artifact.artifact_id == repeated.artifact.artifact_id and not later.append
        for later in story[story.index(repeated) + 1 :]
    )

    assert replaced or rules.may_be_old(log, repeated)


def test_a_new_chunk_that_looks_like_an_old_one_is_told_by_a_later_snapshot() -> None:
    log = logged([piece("la"), piece("la", append=True)])
    again = piece("la", append=True)

    assert rules.may_be_old(log, again)
    assert not rules.is_old(log, again, shown([piece("la", "la", "la")]))
    assert rules.is_old(log, again, shown([piece("la", "la")]))
    assert rules.is_old(log, again, shown([piece("la", "la", "lu")]))


def test_a_first_chunk_that_comes_again_does_not_begin_anew() -> None:
    log = logged([piece("a"), piece("b", append=True)])

    assert rules.is_old(log, piece("a"), shown([piece("a", "b", "c")]))
    assert not rules.is_old(log, piece("a"), shown([piece("a", "z")]))


def test_something_unknown_is_new() -> None:
    log = logged([piece("a"), moved(TaskState.WORKING, said(1))])

    assert not rules.may_be_old(log, piece("b", append=True))
    assert not rules.may_be_old(log, piece("a", name="other"))
    assert not rules.may_be_old(log, moved(TaskState.WORKING, said(2)))
    assert not rules.may_be_old(log, moved(TaskState.COMPLETED))
    assert rules.may_be_old(log, moved(TaskState.WORKING, said(1)))


# -- what may not be ---------------------------------------------------------------------------------------------------

LONG = "x" * (rules.LONGEST_ID + 1)


@pytest.mark.parametrize(
    "item",
    [
        msgspec.structs.replace(moved(TaskState.WORKING), task_id="another"),
        msgspec.structs.replace(moved(TaskState.WORKING), task_id=""),
        msgspec.structs.replace(moved(TaskState.WORKING), task_id=LONG),
        msgspec.structs.replace(moved(TaskState.WORKING), context_id=LONG),
        msgspec.structs.replace(shown([]), id="another"),
        moved(TaskState.WORKING, msgspec.structs.replace(said(1), message_id=LONG)),
        moved(TaskState.WORKING, msgspec.structs.replace(said(1), parts=[Part()])),
        msgspec.structs.replace(moved(TaskState.WORKING), metadata={"n": float("inf")}),
        piece("a", name=""),
        piece("a", name=LONG),
        msgspec.structs.replace(piece("a"), artifact=Artifact(artifact_id="a", parts=[Part(text="a", url="b")])),
        msgspec.structs.replace(shown([]), history=(msgspec.structs.replace(said(1), message_id=LONG),)),
        rules.Reply(msgspec.structs.replace(said(1), parts=[Part(raw="not base 64!")])),
    ],
)
def test_what_a2a_does_not_allow_is_found(item: rules.Item) -> None:
    assert rules.find_item_fault(item, "remote")


def test_what_an_agent_may_say_has_no_fault() -> None:
    for item in (shown([piece("a")]), moved(TaskState.WORKING, said(1)), piece(), rules.Reply(said(1))):
        assert rules.find_item_fault(item, "remote") == ""
