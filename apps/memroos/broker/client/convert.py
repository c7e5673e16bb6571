"""Between the SDK's protocol buffers and the broker's words, as an agent's client needs them."""

import base64
from typing import Any

import msgspec
from a2a.types import a2a_pb2
from google.protobuf.json_format import MessageToDict
from google.protobuf.struct_pb2 import Struct, Value

from memroos.broker import rules
from memroos.broker.client.errors import InvalidAnswer
from memroos_contracts.broker import Artifact, Message, MessageRole, Part, TaskState

_STATES: dict[int, TaskState] = {a2a_pb2.TaskState.Value(f"TASK_STATE_{state.name}"): state for state in TaskState}

Update = a2a_pb2.StreamResponse | a2a_pb2.SendMessageResponse


def item_from(answer: Update) -> rules.Item:
    """Return what an agent said, whichever of the four kinds it is.

    Raises:
        InvalidAnswer: it is none of them, or a state or part in it has no meaning.
    """
    match answer.WhichOneof("payload"):
        case "task":
            return snapshot_from(answer.task)
        case "message":
            return rules.Reply(message_from(answer.message))
    if isinstance(answer, a2a_pb2.StreamResponse):
        return _change_from(answer)
    raise InvalidAnswer("an answer that is neither task nor message")


def _change_from(answer: a2a_pb2.StreamResponse) -> rules.Change:
    match answer.WhichOneof("payload"):
        case "status_update":
            update = answer.status_update
            return rules.Status(
                task_id=update.task_id,
                context_id=update.context_id,
                state=_state(update.status.state),
                message=_said(update.status),
                metadata=_dict(update.metadata),
            )
        case "artifact_update":
            piece = answer.artifact_update
            return rules.Piece(
                task_id=piece.task_id,
                context_id=piece.context_id,
                artifact=_artifact(piece.artifact),
                append=piece.append,
                last_chunk=piece.last_chunk,
                metadata=_dict(piece.metadata),
            )
    raise InvalidAnswer("an event that is neither task, message, status nor artifact")


def snapshot_from(task: a2a_pb2.Task) -> rules.Snapshot:
    """Return a task as the agent shows it.

    Raises:
        InvalidAnswer: a state or part in it has no meaning.
    """
    return rules.Snapshot(
        id=task.id,
        context_id=task.context_id,
        state=_state(task.status.state),
        message=_said(task.status),
        history=tuple(message_from(message) for message in task.history),
        artifacts=tuple(_artifact(artifact) for artifact in task.artifacts),
        metadata=_dict(task.metadata),
    )


def message_from(proto: a2a_pb2.Message) -> Message:
    """Return a message of an agent, or of ours as the agent kept it.

    Raises:
        InvalidAnswer: a part is empty.
    """
    return Message(
        message_id=proto.message_id,
        role=MessageRole.USER if proto.role == a2a_pb2.ROLE_USER else MessageRole.AGENT,
        parts=[_part(part) for part in proto.parts],
        context_id=proto.context_id,
        task_id=proto.task_id,
        metadata=_dict(proto.metadata),
        extensions=list(proto.extensions),
        reference_task_ids=list(proto.reference_task_ids),
    )


def message_to(message: Message) -> a2a_pb2.Message:
    """Return a message for the wire."""
    return a2a_pb2.Message(
        message_id=message.message_id,
        context_id=message.context_id,
        task_id=message.task_id,
        role=a2a_pb2.ROLE_USER if message.role is MessageRole.USER else a2a_pb2.ROLE_AGENT,
        parts=[_part_to(part) for part in message.parts],
        metadata=_struct(message.metadata),
        extensions=message.extensions,
        reference_task_ids=message.reference_task_ids,
    )


def _state(number: int) -> TaskState:
    state = _STATES.get(number)
    if state is None:
        raise InvalidAnswer("a task without a known state")
    return state


def _said(status: a2a_pb2.TaskStatus) -> Message | None:
    return message_from(status.message) if status.HasField("message") else None


def _artifact(proto: a2a_pb2.Artifact) -> Artifact:
    return Artifact(
        artifact_id=proto.artifact_id,
        parts=[_part(part) for part in proto.parts],
        name=proto.name,
        description=proto.description,
        metadata=_dict(proto.metadata),
        extensions=list(proto.extensions),
    )


def _part(proto: a2a_pb2.Part) -> Part:
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
            return Part(data=MessageToDict(proto.data), **common)
    raise InvalidAnswer("a part without content")


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
    return MessageToDict(struct) if len(struct.fields) else None
