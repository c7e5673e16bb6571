"""Messages, artifacts and events survive the way to the wire and back."""

import base64
from datetime import UTC, datetime
from typing import Any

import pytest
from a2a.types import a2a_pb2 as pb
from google.protobuf.json_format import MessageToDict, ParseDict
from google.protobuf.struct_pb2 import Struct, Value
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import given
from hypothesis import strategies as st

from memroos.broker import rules
from memroos.web.a2a import convert
from memroos_contracts.broker import (
    Artifact,
    EventKind,
    Message,
    MessageRole,
    Part,
    TaskDetail,
    TaskEvent,
    TaskState,
    TaskView,
)
from memroos_contracts.errors import InvalidRequest
from memroos_contracts.governance import INTERNAL
from memroos_contracts.identity import DEFAULT_WORKSPACE, AgentId, ContextId, TaskId

# What every door takes: no lone surrogates, and numbers as doubles hold them.
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
NUMBERS = st.one_of(st.integers(-(2**53), 2**53), st.floats(allow_nan=False, allow_infinity=False, width=64))
JSON: Any = st.recursive(
    st.one_of(st.none(), st.booleans(), NUMBERS, TEXT),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(TEXT, inner, max_size=3)),
    max_leaves=8,
)
METADATA = st.one_of(st.none(), st.dictionaries(TEXT, JSON, min_size=1, max_size=3))
COMMON = {"media_type": TEXT, "filename": TEXT, "metadata": METADATA}
PARTS = st.one_of(
    st.builds(Part, text=TEXT, **COMMON),
    st.builds(Part, raw=st.binary(max_size=40).map(lambda raw: base64.b64encode(raw).decode()), **COMMON),
    st.builds(Part, url=TEXT, **COMMON),
    st.builds(Part, data=JSON, **COMMON),
)
MESSAGES = st.builds(
    Message,
    message_id=TEXT.filter(bool),
    role=st.just(MessageRole.USER),
    parts=st.lists(PARTS, min_size=1, max_size=4),
    context_id=TEXT,
    task_id=TEXT,
    metadata=METADATA,
    extensions=st.lists(TEXT, max_size=2),
    reference_task_ids=st.lists(TEXT, max_size=2),
)
ARTIFACTS = st.builds(
    Artifact,
    artifact_id=TEXT,
    parts=st.lists(PARTS, min_size=1, max_size=3),
    name=TEXT,
    description=TEXT,
    metadata=METADATA,
    extensions=st.lists(TEXT, max_size=2),
)
AT = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)


@given(MESSAGES)
def test_a_message_comes_back_as_it_was(message: Message) -> None:
    assert convert.message_from(convert.message_to(message)) == message


@given(MESSAGES)
def test_it_comes_back_through_json_and_bytes_too(message: Message) -> None:
    proto = convert.message_to(message)

    as_json = ParseDict(MessageToDict(proto), pb.Message())
    as_bytes = pb.Message.FromString(proto.SerializeToString())

    assert convert.message_from(as_json) == convert.message_from(as_bytes) == message


@given(PARTS)
def test_what_the_rules_take_leaves_through_this_door(part: Part) -> None:
    assert rules.find_content_faults([part], part.metadata) == {}
    assert convert._part_to(part).WhichOneof("content") is not None


@given(ARTIFACTS, st.booleans(), st.booleans())
def test_an_artifact_event_says_everything(artifact: Artifact, append: bool, last: bool) -> None:
    event = TaskEvent(7, EventKind.ARTIFACT, AT, artifact=artifact, append=append, last_chunk=last)

    item = convert.event_to("task_1", "ctx_1", event)

    assert isinstance(item, pb.TaskArtifactUpdateEvent)
    assert (item.task_id, item.context_id, item.append, item.last_chunk) == ("task_1", "ctx_1", append, last)
    assert [convert.part_from(part) for part in item.artifact.parts] == artifact.parts
    assert (item.artifact.artifact_id, item.artifact.name) == (artifact.artifact_id, artifact.name)


@pytest.mark.parametrize("state", TaskState)
def test_every_state_has_its_number_both_ways(state: TaskState) -> None:
    item = convert.event_to("task_1", "ctx_1", TaskEvent(1, EventKind.STATUS, AT, state=state))

    assert isinstance(item, pb.TaskStatusUpdateEvent)
    assert convert.state_from(item.status.state) is state
    assert pb.TaskState.Name(item.status.state) == f"TASK_STATE_{state.name}"
    assert convert.instant_from(item.status.timestamp) == AT


def test_an_unspecified_state_restricts_nothing() -> None:
    assert convert.state_from(pb.TASK_STATE_UNSPECIFIED) is None


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
def test_numbers_that_json_does_not_have_are_refused(number: float) -> None:
    inside = Struct(fields={"n": Value(number_value=number)})
    said: dict[str, Any] = {"message_id": "m", "role": pb.ROLE_USER}

    for message in (
        pb.Message(**said, parts=[pb.Part(data=Value(struct_value=inside))]),
        pb.Message(**said, parts=[pb.Part(text="x", metadata=inside)]),
        pb.Message(**said, parts=[pb.Part(text="x")], metadata=inside),
    ):
        with pytest.raises(InvalidRequest):
            convert.message_from(message)


@pytest.mark.parametrize("stamp", [Timestamp(seconds=10**15), Timestamp(seconds=-(10**15)), Timestamp(nanos=-5)])
def test_a_timestamp_beyond_the_calendar_is_refused(stamp: Timestamp) -> None:
    with pytest.raises(InvalidRequest):
        convert.instant_from(stamp)


def test_a_state_that_is_none_is_refused() -> None:
    with pytest.raises(InvalidRequest) as refused:
        convert.state_from(4711)

    assert refused.value.facts["fields"] == {"status": "is no task state"}


def test_a_message_of_the_history_is_no_item_of_a_stream() -> None:
    said = TaskEvent(1, EventKind.MESSAGE, AT, message=Message("m", MessageRole.USER, [Part(text="x")]))

    assert convert.event_to("task_1", "ctx_1", said) is None


@pytest.mark.parametrize(("history", "artifacts"), [(None, None), ([], []), (["said"], ["made"])])
def test_a_task_has_as_much_content_as_its_detail(history: Any, artifacts: Any) -> None:
    view = TaskView(
        id=TaskId("task_1"),
        workspace_id=DEFAULT_WORKSPACE,
        context_id=ContextId("ctx_1"),
        owner="agent:agt_1",
        agent_id=AgentId("agt_2"),
        agent="worker",
        state=TaskState.WORKING,
        generation=3,
        skill="",
        purpose="",
        route_reason="because",
        label=INTERNAL,
        approval_id=None,
        created_at=AT,
        status_at=AT,
        deadline_at=None,
        status_message=Message("s", MessageRole.AGENT, [Part(text="on it")]),
    )
    messages = None if history is None else [Message(text, MessageRole.USER, [Part(text=text)]) for text in history]
    made = None if artifacts is None else [Artifact(text, [Part(text=text)]) for text in artifacts]

    task = convert.task_to(TaskDetail(task=view, history=messages, artifacts=made))

    assert (task.id, task.context_id, task.status.state) == ("task_1", "ctx_1", pb.TASK_STATE_WORKING)
    assert [m.message_id for m in task.history] == (history or [])
    assert [a.artifact_id for a in task.artifacts] == (artifacts or [])
    assert task.status.message.parts[0].text == "on it"
    assert MessageToDict(task.metadata) == {"memroos": {"agent": "worker", "route": "because", "generation": 3}}


@pytest.mark.parametrize(
    ("message", "fields"),
    [
        (pb.Message(), {"message.messageId", "message.parts", "message.role"}),
        (pb.Message(message_id="m", role=pb.ROLE_AGENT, parts=[pb.Part(text="x")]), {"message.role"}),
        (pb.Message(message_id="m", role=pb.ROLE_USER, parts=[pb.Part()]), {"message.parts"}),
    ],
)
def test_a_message_that_is_not_complete_is_refused_by_field(message: pb.Message, fields: set[str]) -> None:
    with pytest.raises(InvalidRequest) as refused:
        convert.message_from(message)

    found = refused.value.facts["fields"]
    assert isinstance(found, dict)
    assert set(found) == fields
