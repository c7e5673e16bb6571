import json
from typing import Any

import pytest
from a2a.types import a2a_pb2
from a2a.utils.proto_utils import parse_lenient
from hypothesis import given
from hypothesis import strategies as st

from memroos.broker import rules
from memroos.broker.client import convert, wire
from memroos.broker.client.errors import remote_errors
from memroos_contracts.broker import TaskState


def by_the_sdk(data: bytes) -> rules.Item | str:
    """Return what the SDK's own reading makes of an event, or the kind of its error."""
    try:
        with remote_errors():
            event = json.loads(data.decode("utf-8", "replace"))
            return convert.item_from(parse_lenient(event, a2a_pb2.StreamResponse()))
    except Exception as error:  # noqa: BLE001 - whatever it is, it is compared
        return type(error).__name__


def assert_the_same(event: object, *, ascii_only: bool = True) -> None:
    """What is read here has to be what the SDK reads; nothing is said of what is left to it."""
    data = json.dumps(event, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass")
    found = wire.read_event(data)
    assert found is None or found == by_the_sdk(data)
    reply = b'{"jsonrpc":"2.0","id":"1","result":' + data + b"}"
    assert wire.read_reply(reply) == found


scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
free = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
)
texts = st.text(max_size=5)
SOMETIMES_WRONG = st.sampled_from([None, 1, "1", True, [], {}, 1.5, [None], {"a": None}, "\ud800"])
INSTANTS = st.sampled_from(["2026-11-21T10:00:00Z", "2026-11-21T10:00:00.123456789Z", "2026-11-21T10:00:00.1Z"])
STRANGE_INSTANTS = st.sampled_from(
    [
        "2026-11-31T10:00:00Z",
        "2026-11-21T25:00:00Z",
        "2026-11-21T10:00:00",
        "2026-11-21T10:00:00+01:00",
        "2026-11-21t10:00:00z",
        "2026-11-21T10:00:60Z",
        "0000-11-21T10:00:00Z",
        "2026-11-21T10:00:00.Z",
        "2026-11-21T10:00:00.1234567891Z",
        "2026-11-21T10:00:00Z\n",
        "yesterday",
    ]
)
ENUMS = {"state": a2a_pb2.TaskState.keys(), "role": a2a_pb2.Role.keys()}
STRANGE_ENUMS = st.sampled_from(["working", 2, 99, "TASK_STATE_NEW", "agent", 1, 7])
CONTENT = ("text", "raw", "url", "data")


def seldom(strange: st.SearchStrategy[Any], usual: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.integers(0, 60).flatmap(lambda dice: strange if dice == 60 else usual)


def values(field: Any) -> st.SearchStrategy[Any]:
    """Return what agents may write for a field."""
    kind = field.message_type.full_name if field.message_type is not None else ""
    value: st.SearchStrategy[Any]
    if field.name in ENUMS:
        value = seldom(STRANGE_ENUMS, st.sampled_from(ENUMS[field.name]))
    elif kind == "google.protobuf.Struct":
        value = st.dictionaries(texts, free, max_size=3)
    elif kind == "google.protobuf.Value":
        value = free
    elif kind == "google.protobuf.Timestamp":
        value = seldom(STRANGE_INSTANTS, INSTANTS)
    elif kind:
        value = st.deferred(lambda: messages(field.message_type))
    elif field.type == field.TYPE_BOOL:
        value = st.booleans()
    else:
        value = texts
    return seldom(SOMETIMES_WRONG, st.lists(value, max_size=2) if field.is_repeated else value)


def messages(of: Any) -> st.SearchStrategy[Any]:
    """Return what agents may write for a message of the protocol: mostly right, sometimes not."""
    fields = {field.json_name: values(field) for field in of.fields}
    strange = st.fixed_dictionaries({}, optional={"unknown": free, "task_id": texts, "media_type": texts})
    wholes = [st.fixed_dictionaries(fields)]
    if of.name in {"Part", "StreamResponse"}:
        content = [name for name in fields if name in CONTENT or of.name == "StreamResponse"]
        rest = {name: value for name, value in fields.items() if name not in content}
        wholes = [st.fixed_dictionaries({name: fields[name]}, optional=rest) for name in content]
    whole = seldom(st.fixed_dictionaries({}, optional=fields), st.one_of(wholes))
    return st.tuples(whole, seldom(strange, st.just({}))).map(lambda both: {**both[0], **both[1]})


@given(messages(a2a_pb2.StreamResponse.DESCRIPTOR), st.booleans())
def test_what_is_read_here_is_what_the_sdk_reads(event: dict[str, Any], ascii_only: bool) -> None:
    assert_the_same(event, ascii_only=ascii_only)


KINDS = {field.json_name: messages(field.message_type) for field in a2a_pb2.StreamResponse.DESCRIPTOR.fields}


@pytest.mark.parametrize("kind", list(KINDS))
@given(data=st.data())
def test_every_kind_of_event_is_read_as_the_sdk_reads_it(kind: str, data: st.DataObject) -> None:
    assert_the_same({kind: data.draw(KINDS[kind])})


PART = {"text": "a", "mediaType": "text/plain", "filename": "a.txt", "metadata": {"a": 1}}
MESSAGE = {
    "messageId": "m",
    "role": "ROLE_AGENT",
    "parts": [PART, {"url": "http://a.example/"}, {"data": {"a": [1, 2.0, 1.5, "x", None, True]}}],
    "contextId": "c",
    "taskId": "t",
    "metadata": {"b": {"c": [1e20]}},
    "extensions": ["http://x.example/"],
    "referenceTaskIds": ["r"],
}
ARTIFACT = {"artifactId": "a", "name": "n", "description": "d", "parts": [PART], "metadata": {}, "extensions": []}
STATUS = {"state": "TASK_STATE_WORKING", "message": MESSAGE, "timestamp": "2026-11-21T10:00:00.123Z"}
USUAL: list[dict[str, Any]] = [
    {"task": {"id": "t", "contextId": "c", "status": STATUS, "artifacts": [ARTIFACT], "history": [MESSAGE]}},
    {"task": {"id": "t", "status": {"state": "TASK_STATE_SUBMITTED"}, "metadata": {"a": "b"}}},
    {"message": MESSAGE},
    {"statusUpdate": {"taskId": "t", "contextId": "c", "status": STATUS, "metadata": {"x": 1.0}}},
    {"artifactUpdate": {"taskId": "t", "contextId": "c", "artifact": ARTIFACT, "append": True, "lastChunk": True}},
]


@pytest.mark.parametrize("event", USUAL)
def test_what_agents_usually_write_is_read_here(event: dict[str, Any]) -> None:
    data = json.dumps(event).encode()

    found = wire.read_event(data)

    assert found is not None
    assert found == by_the_sdk(data)
    assert wire.read_reply(b'{"jsonrpc": "2.0", "id": 7, "result": ' + data + b"}") == found


@pytest.mark.parametrize(
    "data",
    [
        b'{"error": {"code": -32001, "message": "Task not found"}}',
        b'{"result": {"statusUpdate": {"status": {"state": "TASK_STATE_WORKING"}}}, "error": null}',
        b"[]",
        b"",
        b"{",
        b'{"result": {}}',
        b'{"result": {"message": {"messageId": "m", "role": "ROLE_AGENT", "parts": [{"raw": "AA=="}]}}}',
        b'{"result": {"message": {"message_id": "m", "role": "ROLE_AGENT"}}}',
        b'{"result": {"message": {"messageId": "\xff", "role": "ROLE_AGENT"}}}',
        b'{"result": {"message": {"messageId": "m", "role": "ROLE_AGENT", "metadata": {"a": 9007199254740993}}}}',
        b'{"result": {"message": {"messageId": "m", "role": "ROLE_AGENT", "metadata": {"a": 1e400}}}}',
        b'{"result": {"message": {"messageId": "m", "role": "ROLE_AGENT", "metadata": {"a": '
        + b"[" * 200
        + b"]" * 200
        + b"}}}}",
    ],
)
def test_what_is_unusual_is_left_to_the_sdk(data: bytes) -> None:
    assert wire.read_reply(data) is None


def test_every_state_and_field_of_the_protocol_is_known() -> None:
    for state in TaskState:
        event = {"statusUpdate": {"taskId": "t", "status": {"state": f"TASK_STATE_{state.name}"}}}
        found = wire.read_event(json.dumps(event).encode())
        assert isinstance(found, rules.Status)
        assert found.state is state
