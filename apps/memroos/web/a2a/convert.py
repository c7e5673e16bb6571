"""Between the SDK's protocol buffers and the words of the broker, field by field.

Built by hand instead of through JSON: twice a request each way, this is the door's own cost.
"""

import base64
from datetime import UTC, datetime
from typing import Any

import msgspec
from a2a.types import a2a_pb2
from google.protobuf.json_format import MessageToDict
from google.protobuf.struct_pb2 import Struct, Value
from google.protobuf.timestamp_pb2 import Timestamp

from memroos_contracts.broker import Artifact, EventKind, Message, MessageRole, Part, TaskDetail, TaskEvent, TaskState
from memroos_contracts.errors import InvalidRequest

_STATES: dict[TaskState, Any] = {state: a2a_pb2.TaskState.Value(f"TASK_STATE_{state.name}") for state in TaskState}
_STATES_BACK: dict[int, TaskState] = {number: state for state, number in _STATES.items()}
_ROLES = {MessageRole.USER: a2a_pb2.ROLE_USER, MessageRole.AGENT: a2a_pb2.ROLE_AGENT}

StreamEvent = a2a_pb2.TaskStatusUpdateEvent | a2a_pb2.TaskArtifactUpdateEvent


def message_from(proto: a2a_pb2.Message) -> Message:
    """Return a caller's message.

    Raises:
        InvalidRequest: it has no id, no part, or is not from the user's side.
    """
    faults = {}
    if not proto.message_id:
        faults["message.messageId"] = "is missing"
    if not proto.parts:
        faults["message.parts"] = "needs at least one part"
    if proto.role != a2a_pb2.ROLE_USER:
        faults["message.role"] = "must be ROLE_USER"
    if faults:
        raise InvalidRequest("The message is not complete.", fields=faults)
    return Message(
        message_id=proto.message_id,
        role=MessageRole.USER,
        parts=[part_from(part) for part in proto.parts],
        context_id=proto.context_id,
        task_id=proto.task_id,
        metadata=_dict(proto.metadata),
        extensions=list(proto.extensions),
        reference_task_ids=list(proto.reference_task_ids),
    )


def part_from(proto: a2a_pb2.Part) -> Part:
    """Return a part.

    Raises:
        InvalidRequest: it has no content.
    """
    common: dict[str, Any] = {
        "media_type": proto.media_type,
        "filename": proto.filename,
        "metadata": _dict(proto.metadata),
    }
    match proto.WhichOneof("content"):
        case "text":
            return Part(text=proto.text, **common)
        case "raw":
            return Part(raw=base64.b64encode(proto.raw).decode(), **common)
        case "url":
            return Part(url=proto.url, **common)
        case "data":
            return Part(data=_plain(proto.data), **common)
    raise InvalidRequest("A part needs text, raw, url or data.", fields={"message.parts": "one is empty"})


def state_from(number: int) -> TaskState | None:
    """Return a state to filter by, None for unspecified.

    Raises:
        InvalidRequest: no state has this number.
    """
    if number and number not in _STATES_BACK:
        raise InvalidRequest("There is no such state.", fields={"status": "is no task state"})
    return _STATES_BACK.get(number)


def message_to(message: Message) -> a2a_pb2.Message:
    """Return a message for the wire."""
    return a2a_pb2.Message(
        message_id=message.message_id,
        context_id=message.context_id,
        task_id=message.task_id,
        role=_ROLES[message.role],
        parts=[_part_to(part) for part in message.parts],
        metadata=_struct(message.metadata),
        extensions=message.extensions,
        reference_task_ids=message.reference_task_ids,
    )


def task_to(detail: TaskDetail) -> a2a_pb2.Task:
    """Return a task with as much content as the detail holds."""
    task = detail.task
    return a2a_pb2.Task(
        id=task.id,
        context_id=task.context_id,
        status=_status_to(task.state, task.status_message, task.status_at),
        artifacts=[_artifact_to(artifact) for artifact in detail.artifacts or ()],
        history=[message_to(message) for message in detail.history or ()],
        metadata=_struct(
            {
                **(task.metadata or {}),
                "memroos": {"agent": task.agent, "route": task.route_reason, "generation": task.generation},
            }
        ),
    )


def event_to(task_id: str, context_id: str, event: TaskEvent) -> StreamEvent | None:
    """Return a log entry as a stream shows it; messages of the history are not shown."""
    if event.kind is EventKind.STATUS and event.state is not None:
        return a2a_pb2.TaskStatusUpdateEvent(
            task_id=task_id,
            context_id=context_id,
            status=_status_to(event.state, event.message, event.at),
            metadata=_struct(event.metadata),
        )
    if event.kind is EventKind.ARTIFACT and event.artifact is not None:
        return a2a_pb2.TaskArtifactUpdateEvent(
            task_id=task_id,
            context_id=context_id,
            artifact=_artifact_to(event.artifact),
            append=event.append,
            last_chunk=event.last_chunk,
            metadata=_struct(event.metadata),
        )
    return None


def instant_from(stamp: Timestamp) -> datetime:
    """Return an instant from the wire.

    Raises:
        InvalidRequest: it is beyond the calendar.
    """
    try:
        return stamp.ToDatetime(tzinfo=UTC)
    except (ValueError, OverflowError) as error:
        raise InvalidRequest("A timestamp is none.", fields={"statusTimestampAfter": "is no timestamp"}) from error


def timestamp_to(instant: datetime) -> Timestamp:
    """Return an instant for the wire."""
    stamp = Timestamp()
    stamp.FromDatetime(instant)
    return stamp


def _status_to(state: TaskState, message: Message | None, at: datetime) -> a2a_pb2.TaskStatus:
    return a2a_pb2.TaskStatus(
        state=_STATES[state],
        message=None if message is None else message_to(message),
        timestamp=timestamp_to(at),
    )


def _artifact_to(artifact: Artifact) -> a2a_pb2.Artifact:
    return a2a_pb2.Artifact(
        artifact_id=artifact.artifact_id,
        name=artifact.name,
        description=artifact.description,
        parts=[_part_to(part) for part in artifact.parts],
        metadata=_struct(artifact.metadata),
        extensions=artifact.extensions,
    )


def _part_to(part: Part) -> a2a_pb2.Part:
    proto = a2a_pb2.Part(media_type=part.media_type, filename=part.filename, metadata=_struct(part.metadata))
    if part.text is not None:
        proto.text = part.text
    elif part.raw is not None:
        proto.raw = base64.b64decode(part.raw)
    elif part.url is not None:
        proto.url = part.url
    elif part.data is not msgspec.UNSET:
        proto.data.CopyFrom(_value(part.data))
    return proto


def _value(data: Any) -> Value:
    holder = Struct()
    holder.update({"value": data})
    return holder.fields["value"]


def _struct(data: dict[str, Any] | None) -> Struct | None:
    if not data:
        return None
    struct = Struct()
    struct.update(data)
    return struct


def _dict(struct: Struct) -> dict[str, Any] | None:
    return _plain(struct) if len(struct.fields) else None


def _plain(value: Struct | Value) -> Any:
    try:
        return MessageToDict(value)
    except ValueError as error:  # infinite, or no number at all: JSON has no word for it
        raise InvalidRequest(
            "A number in the message is none that JSON has.", fields={"message": "has a number that is not finite"}
        ) from error
