"""Who sees which event."""

from datetime import UTC, datetime

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.actors import AGENT, AUDITOR, OPERATOR, OTHER_AGENT, STRANGER, VIEWER

from memroos.events.rules import Filter, Row, frame, position_frame, reset_frame, view
from memroos_contracts.events import EventView
from memroos_contracts.identity import Actor, service_actor


def row(type_: str = "task.created", *, subject: str = "task_1", owner: str = "", agent: str = "") -> Row:
    return (7, "evt_1", 1_767_268_800_000_000, "default", type_, subject, '{"n":1}', owner, agent)


@pytest.mark.parametrize("actor", [OPERATOR, AUDITOR, VIEWER])
def test_people_see_their_whole_workspace(actor: Actor) -> None:
    assert Filter.of(actor).matches(row(owner=AGENT.principal))


def test_nobody_sees_another_workspace() -> None:
    assert not Filter.of(STRANGER).matches(row())


@pytest.mark.parametrize(
    ("owner", "agent", "sees"),
    [
        (AGENT.principal, "", True),
        ("", AGENT.id, True),
        (AGENT.principal, OTHER_AGENT.id, True),
        (OTHER_AGENT.principal, AGENT.id, True),
        (OTHER_AGENT.principal, OTHER_AGENT.id, False),
        ("operator:key_1", "", False),
        ("", "", False),
    ],
)
def test_an_agent_sees_what_is_its_own_or_about_it(owner: str, agent: str, sees: bool) -> None:
    assert Filter.of(AGENT).matches(row(owner=owner, agent=agent)) is sees


def test_a_service_sees_what_is_its_own() -> None:
    mine = Filter.of(service_actor("memory"))

    assert mine.matches(row(owner="service:memory"))
    assert not mine.matches(row())
    assert not mine.matches(row(owner="service:voice"))


def test_a_wish_for_a_subject_never_widens_what_is_seen() -> None:
    assert Filter.of(AGENT, subject="task_1").matches(row(owner=AGENT.principal))
    assert not Filter.of(AGENT, subject="task_1").matches(row(owner=OTHER_AGENT.principal))
    assert not Filter.of(AGENT, subject="task_2").matches(row(owner=AGENT.principal))


@pytest.mark.parametrize(
    ("wishes", "takes"),
    [
        ((), True),
        (("task.created",), True),
        (("task",), True),
        (("task.",), True),
        (("agent", "task"), True),
        (("tas",), False),
        (("task.creat",), False),
        (("task.created.",), False),
        (("agent",), False),
        (("TASK",), False),
    ],
)
def test_types_are_taken_whole_or_by_what_stands_before_a_dot(wishes: tuple[str, ...], takes: bool) -> None:
    assert Filter.of(OPERATOR, types=wishes).matches(row("task.created")) is takes


def test_an_event_is_one_message_whose_id_is_its_offset() -> None:
    id_, event, data, *end = frame(row(owner="agent:agt_1")).split(b"\n")

    assert (id_, event, end) == (b"id: 7", b"event: task.created", [b"", b""])
    assert msgspec.json.decode(data.removeprefix(b"data: "), type=EventView) == view(row(owner="agent:agt_1"))


def test_a_view_has_everything() -> None:
    assert view(row()) == EventView(
        offset=7, id="evt_1", workspace_id="default", type="task.created", subject="task_1", data={"n": 1},  # type: ignore[arg-type]
        owner="", agent="", at=datetime(2026, 1, 1, 12, tzinfo=UTC),
    )  # fmt: skip


@given(st.text(max_size=30), st.text(max_size=30))
def test_no_text_can_begin_another_message(type_: str, subject: str) -> None:
    try:
        message = frame(row(type_, subject=subject))
    except UnicodeEncodeError:
        return
    text = message.decode()

    assert text.endswith("\n\n")
    assert len(text.splitlines()[:2]) == 2
    assert [line.partition(":")[0] for line in text.removesuffix("\n\n").split("\n")] == ["id", "event", "data"]
    assert "\r" not in text


def test_a_reset_names_the_oldest_and_resumes_before_it() -> None:
    assert reset_frame(5) == b'id: 4\nevent: reset\ndata: {"oldest":5}\n\n'


def test_a_position_has_no_data() -> None:
    assert position_frame(9) == b": keep-alive\nid: 9\n\n"
