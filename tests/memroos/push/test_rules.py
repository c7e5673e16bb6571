"""What is sent, when, and what an answer means."""

import time
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from memroos.push import rules
from memroos.push.rules import Answer, Notice
from memroos_contracts.broker import Artifact, EventKind, Message, MessageRole, Part, TaskEvent, TaskState, TaskView
from memroos_contracts.governance import INTERNAL
from memroos_contracts.identity import AgentId, ContextId, TaskId, WorkspaceId
from memroos_contracts.push import NewPushConfig, PushState

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
SAID = Message("m", MessageRole.AGENT, [Part(text="hello")])


def event(generation: int, kind: EventKind, state: TaskState | None = None) -> TaskEvent:
    return TaskEvent(
        generation,
        kind,
        NOW + timedelta(seconds=generation),
        state=state,
        message=SAID if kind is not EventKind.ARTIFACT else None,
        artifact=Artifact("a", [Part(text="x")]) if kind is EventKind.ARTIFACT else None,
    )


def story(*kinds: EventKind | TaskState) -> list[TaskEvent]:
    """Return a task's log: what the caller said, that it was submitted, and what came then."""
    states = [TaskState.SUBMITTED, *kinds]
    return [
        event(1, EventKind.MESSAGE),
        *(
            event(at, EventKind.STATUS, what) if isinstance(what, TaskState) else event(at, what)
            for at, what in enumerate(states, 2)
        ),
    ]


def task_of(log: list[TaskEvent], *, accepted: int = 2, message_only: bool = False) -> TaskView:
    last = [e for e in log if e.state is not None][-1]
    assert last.state is not None
    return TaskView(
        id=TaskId("task_1"),
        workspace_id=WorkspaceId("default"),
        context_id=ContextId("ctx_1"),
        owner="agent:agt_1",
        agent_id=AgentId("agt_2"),
        agent="worker",
        state=last.state,
        generation=len(log),
        skill="",
        purpose="",
        route_reason="",
        label=INTERNAL,
        approval_id=None,
        created_at=NOW,
        status_at=last.at,
        deadline_at=None,
        status_message=last.message,
        accepted_generation=accepted,
        message_only=message_only,
    )


def after(log: list[TaskEvent], delivered: int) -> list[TaskEvent]:
    return log[delivered:]


KINDS: list[EventKind | TaskState] = [
    EventKind.MESSAGE, EventKind.ARTIFACT, TaskState.WORKING, TaskState.INPUT_REQUIRED,
]  # fmt: skip
logs = st.lists(st.sampled_from(KINDS), max_size=12).map(lambda kinds: story(*kinds))


@given(logs, st.integers(0, 3), st.data())
def test_however_it_is_cut_into_pieces_everything_is_sent_once_and_in_order(
    log: list[TaskEvent], accepted: int, data: st.DataObject
) -> None:
    """The log grows while it is sent, and what was sent may be forgotten and sent again, never skipped."""
    whole = data.draw(st.booleans())
    delivered, sent = 0, []
    length = 2
    while True:
        known = log[:length]
        task = task_of(known, accepted=min(accepted, len(known)))
        seen = known if rules.needs_whole_log(delivered, whole=whole) else after(known, delivered)
        notices = rules.find_notices(delivered, task, seen, whole=whole)
        assert all(a.generation < b.generation for a, b in pairwise(notices))
        for notice in notices[: data.draw(st.integers(0, len(notices)))]:
            sent.append(notice)
            delivered = notice.generation
        if length == len(log) and not notices:
            break
        length = data.draw(st.integers(length, len(log)))
        if length == len(log) and sent and sent[-1].generation >= len(log):
            break

    generations = [notice.generation for notice in sent]
    assert generations == sorted(set(generations))
    if sent:
        shown = [e.generation for e in log if e.kind is not EventKind.MESSAGE and e.generation > generations[0]]
        assert generations[1:] == shown
        assert all((notice.event is None) == whole for notice in sent[1:])


def test_the_task_comes_first_as_it_was_when_its_agent_took_it() -> None:
    log = story(TaskState.WORKING, EventKind.ARTIFACT, TaskState.COMPLETED)

    first, *rest = rules.find_notices(0, task_of(log), log, whole=False)

    assert (first.generation, first.task.generation, first.task.state) == (2, 2, TaskState.SUBMITTED)
    assert first.event is None
    assert [notice.event for notice in rest] == log[2:]


def test_a_task_that_its_agent_has_not_taken_is_not_shown_unless_it_waits_for_its_caller() -> None:
    log = story()
    held = story(TaskState.AUTH_REQUIRED)

    assert rules.find_notices(0, task_of(log, accepted=0), log, whole=False) == []
    assert rules.find_notices(0, task_of(held, accepted=0), held, whole=False) == [Notice(3, task_of(held, accepted=0))]


def test_a_task_that_is_one_message_is_sent_as_one() -> None:
    log = story(TaskState.COMPLETED)
    task = task_of(log, message_only=True)

    assert rules.find_notices(0, task, log, whole=False) == [Notice(3, task)]
    assert rules.find_notices(3, task, [], whole=False) == []


def test_in_0_3_each_notification_is_the_task_as_it_was() -> None:
    log = story(TaskState.WORKING, EventKind.MESSAGE, TaskState.COMPLETED)

    notices = rules.find_notices(2, task_of(log), log, whole=True)

    assert [(notice.generation, notice.task.state, notice.event) for notice in notices] == [
        (3, TaskState.WORKING, None),
        (5, TaskState.COMPLETED, None),
    ]
    assert notices[0].task.status_at == log[2].at


def test_a_long_task_in_0_3_is_told_without_going_over_its_log_for_each_event() -> None:
    log = story(*[TaskState.WORKING] * 8_000, TaskState.COMPLETED)
    began = time.process_time()

    notices = rules.find_notices(2, task_of(log), log, whole=True)

    assert time.process_time() - began < 2, "each event costs more the longer the task is"
    assert (len(notices), notices[-1].task.state) == (8_001, TaskState.COMPLETED)


def test_what_came_after_the_look_at_the_task_is_left_for_the_next() -> None:
    log = story(TaskState.WORKING, TaskState.COMPLETED)

    assert [n.generation for n in rules.find_notices(2, task_of(log[:3]), log[2:], whole=False)] == [3]


@pytest.mark.parametrize(
    ("new", "field"),
    [
        (NewPushConfig("u", id="a b"), "id"),
        (NewPushConfig("u", id="ü"), "id"),
        (NewPushConfig("u", token="a\r\nX-Evil: 1"), "token"),
        (NewPushConfig("u", token=" a"), "token"),
        (NewPushConfig("u", scheme="Bearer x"), "scheme"),
        (NewPushConfig("u", credentials="x"), "scheme"),
        (NewPushConfig("u", scheme="Bearer", credentials="a\nb"), "credentials"),
    ],
)
def test_what_cannot_stand_in_a_header_is_named(new: NewPushConfig, field: str) -> None:
    assert list(rules.find_faults(new)) == [field]


def test_a_plain_configuration_has_no_fault() -> None:
    assert rules.find_faults(NewPushConfig("u", "id-1", "tok en", "Bearer", "abc/+=")) == {}


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
def test_what_is_taken_is_taken(status: int) -> None:
    verdict = rules.judge(rules.read_answer(status, "", NOW), 3, attempts=4, backoff_s=1, dice=0.5)

    assert (verdict.taken, verdict.state, verdict.failures, verdict.wait_s) == (True, PushState.ACTIVE, 0, 0)


@pytest.mark.parametrize("status", [100, 301, 302, 307, 400, 401, 404, 429, 500, 503])
def test_all_else_is_tried_again(status: int) -> None:
    verdict = rules.judge(rules.read_answer(status, "", NOW), 0, attempts=4, backoff_s=1, dice=0.5)

    assert (verdict.taken, verdict.state, verdict.failures, verdict.wait_s) == (False, PushState.ACTIVE, 1, 1.0)


def test_who_is_gone_is_not_asked_again() -> None:
    verdict = rules.judge(rules.read_answer(410, "", NOW), 0, attempts=100, backoff_s=1, dice=0)

    assert (verdict.taken, verdict.state, verdict.failures) == (False, PushState.STOPPED, 1)


@given(st.integers(0, 200), st.floats(0.01, 3600), st.floats(0, 1), st.integers(1, 1000))
def test_pauses_double_up_to_an_hour_and_end(failures: int, backoff_s: float, dice: float, attempts: int) -> None:
    verdict = rules.judge(Answer(error="no"), failures, attempts=attempts, backoff_s=backoff_s, dice=dice)

    if failures + 1 >= attempts:
        assert verdict.state is PushState.STOPPED
    else:
        middle = min(backoff_s * 2**failures, 3600)
        assert 0.75 * middle - 1e-9 <= verdict.wait_s <= 1.25 * middle + 1e-9


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("120", 120.0),
        ("0", 0.0),
        ("999999999999999999999", 86_400.0),
        ("Thu, 01 Jan 2026 12:00:30 GMT", 30.0),
        ("Thu, 01 Jan 2026 11:00:00 GMT", 0.0),
        ("Thu, 01 Jan 2099 11:00:00 GMT", 86_400.0),
        ("soon", None),
        ("", None),
        ("-5", None),
        ("Thu, 01 Jan 99999999999 11:00:00 GMT", None),
    ],
)
def test_when_the_receiver_wants_to_be_asked_again(text: str, seconds: float | None) -> None:
    assert rules.read_retry_after(text, NOW) == seconds


@given(st.text(max_size=40))
def test_no_retry_after_breaks_anything(text: str) -> None:
    found = rules.read_retry_after(text, NOW)

    assert found is None or 0 <= found <= 86_400


def test_a_receiver_that_asks_for_more_time_gets_it() -> None:
    answer = rules.read_answer(429, "90", NOW)

    assert rules.judge(answer, 0, attempts=5, backoff_s=1, dice=0.5).wait_s == 90
    assert rules.judge(answer, 0, attempts=5, backoff_s=600, dice=0.5).wait_s == 600


def test_each_try_of_an_event_has_the_same_id_and_no_dot_in_it() -> None:
    assert rules.notification_id("push_1", 7) == "push_1_7"
    assert rules.signed_content("push_1_7", 12, b"{}") == b"push_1_7.12.{}"


def test_a_task_at_its_own_generation_is_itself() -> None:
    log = story(TaskState.WORKING)
    task = task_of(log)

    assert rules.as_of(task, log, 3) is task
    assert rules.as_of(task, log, 1) == msgspec.structs.replace(task, generation=1)
