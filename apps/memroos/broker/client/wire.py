"""Streams of A2A 1.0 over HTTP, read without a detour: from the bytes of an event to the broker's words.

What is written as nearly every agent writes it is read here, in a tenth of the time that ProtoJSON by reflection takes.
Whatever is written in another way, or is wrong, is left to the SDK's own reading, whose verdict counts. So both ways
say the same of everything.
"""

import datetime as dt
import json
import math
import re
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import Any, NoReturn
from uuid import uuid4

import httpx
import msgspec
from a2a.client.client import ClientCallContext
from a2a.client.transports.http_helpers import handle_http_exceptions
from a2a.client.transports.jsonrpc import JsonRpcTransport
from a2a.client.transports.rest import RestTransport
from a2a.types import a2a_pb2
from a2a.utils.proto_utils import parse_lenient
from google.protobuf.json_format import MessageToDict
from msgspec import UNSET, UnsetType

from memroos.broker import rules
from memroos.broker.client import convert
from memroos_contracts.broker import Artifact, Message, MessageRole, Part, TaskState

DEEPEST = 16
"""How deep free-form data is read here; the SDK's reading knows its own bound."""
LARGEST = 2**53
"""Up to here a whole number is the same as JSON's number."""

_HEADERS = {"accept": "text/event-stream", "cache-control": "no-store", "content-type": "application/json"}
_STATES = {f"TASK_STATE_{state.name}": state for state in TaskState}
_ROLES = {"ROLE_USER": MessageRole.USER, "ROLE_AGENT": MessageRole.AGENT}
_INSTANT = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(?:\.\d{1,9})?Z", re.ASCII)

Asked = a2a_pb2.SendMessageRequest | a2a_pb2.SubscribeToTaskRequest


class JsonRpcWire(JsonRpcTransport):
    """JSON-RPC."""

    async def items(self, request: Asked, context: ClientCallContext) -> AsyncGenerator[rules.Item]:
        """Ask for a stream and yield what comes through it."""
        call = {
            "jsonrpc": "2.0",
            "id": str(uuid4()),
            "method": "SendStreamingMessage" if isinstance(request, a2a_pb2.SendMessageRequest) else "SubscribeToTask",
            "params": MessageToDict(request),
        }
        asking = self.httpx_client.build_request(
            "POST",
            self.url,
            content=msgspec.json.encode(call),
            headers={**(context.service_parameters or {}), **_HEADERS},
        )
        with handle_http_exceptions():
            async with aclosing(_events(self.httpx_client, asking)) as events:
                async for data, name in events:
                    if name == b"error":
                        self._handle_sse_error(data.decode("utf-8", "replace"))
                    item = read_reply(data)
                    yield self._read(data) if item is None else item

    def _read(self, data: bytes) -> rules.Item:
        reply = self._check_jsonrpc_response(json.loads(data.decode("utf-8", "replace")))
        return convert.item_from(parse_lenient(reply["result"], a2a_pb2.StreamResponse()))


class RestWire(RestTransport):
    """HTTP+JSON."""

    async def items(self, request: Asked, context: ClientCallContext) -> AsyncGenerator[rules.Item]:
        """Ask for a stream and yield what comes through it."""
        if isinstance(request, a2a_pb2.SendMessageRequest):
            place, body = "/message:stream", msgspec.json.encode(MessageToDict(request))
        else:
            place, body = f"/tasks/{request.id}:subscribe", None
        asking = self.httpx_client.build_request(
            "POST",
            self.url + self._get_path(place, request.tenant),
            content=body,
            headers={**(context.service_parameters or {}), **_HEADERS},
        )
        with handle_http_exceptions(self._refuse):
            async with aclosing(_events(self.httpx_client, asking)) as events:
                async for data, name in events:
                    if name == b"error":
                        self._handle_sse_error(data.decode("utf-8", "replace"))
                    item = read_event(data)
                    yield self._read(data) if item is None else item

    def _refuse(self, error: httpx.HTTPStatusError) -> NoReturn:
        self._handle_http_error(error)

    def _read(self, data: bytes) -> rules.Item:
        event = json.loads(data.decode("utf-8", "replace"))
        return convert.item_from(parse_lenient(event, a2a_pb2.StreamResponse()))


async def _events(http: httpx.AsyncClient, request: httpx.Request) -> AsyncGenerator[tuple[bytes, bytes]]:
    """Yield each event's data and name (WHATWG HTML, 9.2.6), or the whole body where it is no stream."""
    response = await http.send(request, stream=True)
    try:
        if not response.is_success:
            await response.aread()
            response.raise_for_status()
        if "text/event-stream" not in response.headers.get("content-type", ""):
            yield await response.aread(), b""
            return
        async for event in _split(response.aiter_raw()):  # whole lines: what bounds events hands on no others
            yield event
    finally:
        await response.aclose()


async def _split(chunks: AsyncIterator[bytes]) -> AsyncGenerator[tuple[bytes, bytes]]:
    data: list[bytes] = []
    name = b""
    async for lines in chunks:
        for line in lines.splitlines():
            if not line:
                if whole := b"\n".join(data):
                    yield whole, name
                data, name = [], b""
                continue
            field, _, value = line.partition(b":")
            if field == b"data":
                data.append(value.removeprefix(b" "))
            elif field == b"event":
                name = value.removeprefix(b" ")


# ------------------------------------------------------------------------------------------ as nearly everybody writes


class _Lean(msgspec.Struct, forbid_unknown_fields=True, rename="camel"):
    pass


class _Part(_Lean):
    text: str | UnsetType = UNSET
    url: str | UnsetType = UNSET
    data: Any = UNSET
    metadata: dict[str, Any] | UnsetType = UNSET
    filename: str = ""
    media_type: str = ""


class _Message(_Lean):
    message_id: str
    role: str
    context_id: str = ""
    task_id: str = ""
    parts: list[_Part] = []
    metadata: dict[str, Any] | UnsetType = UNSET
    extensions: list[str] = []
    reference_task_ids: list[str] = []


class _Artifact(_Lean):
    artifact_id: str
    parts: list[_Part] = []
    name: str = ""
    description: str = ""
    metadata: dict[str, Any] | UnsetType = UNSET
    extensions: list[str] = []


class _State(_Lean):
    state: str
    message: _Message | UnsetType = UNSET
    timestamp: str | UnsetType = UNSET


class _Task(_Lean):
    id: str
    status: _State
    context_id: str = ""
    artifacts: list[_Artifact] = []
    history: list[_Message] = []
    metadata: dict[str, Any] | UnsetType = UNSET


class _Status(_Lean):
    status: _State
    task_id: str = ""
    context_id: str = ""
    metadata: dict[str, Any] | UnsetType = UNSET


class _Piece(_Lean):
    artifact: _Artifact
    task_id: str = ""
    context_id: str = ""
    append: bool = False
    last_chunk: bool = False
    metadata: dict[str, Any] | UnsetType = UNSET


class _Event(_Lean):
    task: _Task | UnsetType = UNSET
    message: _Message | UnsetType = UNSET
    status_update: _Status | UnsetType = UNSET
    artifact_update: _Piece | UnsetType = UNSET


class _Reply(_Lean):
    result: _Event
    jsonrpc: str = ""
    id: str | int | None = None


class _Unusual(Exception):
    """Nothing wrong, perhaps, but not written as it usually is."""


_decode_event = msgspec.json.Decoder(_Event).decode
_decode_reply = msgspec.json.Decoder(_Reply).decode


def read_reply(data: bytes) -> rules.Item | None:
    """Return what an event of a JSON-RPC stream says; None where the SDK has to read it."""
    try:
        return _item(_decode_reply(data).result)
    except (msgspec.MsgspecError, ValueError, KeyError, OverflowError, RecursionError, _Unusual):
        return None


def read_event(data: bytes) -> rules.Item | None:
    """Return what an event of an HTTP+JSON stream says; None where the SDK has to read it."""
    try:
        return _item(_decode_event(data))
    except (msgspec.MsgspecError, ValueError, KeyError, OverflowError, RecursionError, _Unusual):
        return None


def _item(event: _Event) -> rules.Item:
    said = [one for one in (event.task, event.message, event.status_update, event.artifact_update) if one is not UNSET]
    match said:
        case [_Status() as update]:
            return rules.Status(
                update.task_id, update.context_id, _state(update.status), _said(update.status), _dict(update.metadata)
            )
        case [_Piece() as piece]:
            return rules.Piece(
                piece.task_id,
                piece.context_id,
                _artifact(piece.artifact),
                piece.append,
                piece.last_chunk,
                _dict(piece.metadata),
            )
        case [_Task() as task]:
            return rules.Snapshot(
                task.id,
                task.context_id,
                _state(task.status),
                _said(task.status),
                tuple(map(_message, task.history)),
                tuple(map(_artifact, task.artifacts)),
                _dict(task.metadata),
            )
        case [_Message() as message]:
            return rules.Reply(_message(message))
    raise _Unusual


def _state(status: _State) -> TaskState:
    if status.timestamp is not UNSET:
        if not _INSTANT.fullmatch(status.timestamp):
            raise _Unusual
        dt.datetime.fromisoformat(status.timestamp[:19])
    return _STATES[status.state]


def _said(status: _State) -> Message | None:
    return None if status.message is UNSET else _message(status.message)


def _message(message: _Message) -> Message:
    return Message(
        message_id=message.message_id,
        role=_ROLES[message.role],
        parts=[_part(part) for part in message.parts],
        context_id=message.context_id,
        task_id=message.task_id,
        metadata=_dict(message.metadata),
        extensions=message.extensions,
        reference_task_ids=message.reference_task_ids,
    )


def _artifact(artifact: _Artifact) -> Artifact:
    return Artifact(
        artifact_id=artifact.artifact_id,
        parts=[_part(part) for part in artifact.parts],
        name=artifact.name,
        description=artifact.description,
        metadata=_dict(artifact.metadata),
        extensions=artifact.extensions,
    )


def _part(part: _Part) -> Part:
    metadata = _dict(part.metadata)
    given = (part.text is not UNSET) + (part.url is not UNSET) + (part.data is not UNSET)
    if given != 1:
        raise _Unusual
    if part.text is not UNSET:
        return Part(text=part.text, media_type=part.media_type, filename=part.filename, metadata=metadata)
    if part.url is not UNSET:
        return Part(url=part.url, media_type=part.media_type, filename=part.filename, metadata=metadata)
    if part.data is None:
        raise _Unusual
    data = _plain(part.data, DEEPEST)
    return Part(data=data, media_type=part.media_type, filename=part.filename, metadata=metadata)


def _dict(data: dict[str, Any] | UnsetType) -> dict[str, Any] | None:
    if data is UNSET or not data:
        return None
    found: dict[str, Any] = _plain(data, DEEPEST)
    return found


def _plain(data: Any, deeper: int) -> Any:
    """Return data as protocol buffers keep it: every number is a double."""
    if not deeper:
        raise _Unusual
    match data:
        case dict():
            return {key: _plain(value, deeper - 1) for key, value in data.items()}
        case list():
            return [_plain(value, deeper - 1) for value in data]
        case bool():
            return data
        case int() if not -LARGEST <= data <= LARGEST:
            raise _Unusual
        case float() if math.isfinite(data) and data.is_integer():
            return int(data)
    return data
