"""The one filter language of memory: what a caller writes to narrow what it sees.

A filter is a tree of JSON objects, each with its operator under `op`:

    {"op": "and", "of": [
        {"op": "eq", "field": "speaker", "value": "Ann"},
        {"op": "between", "field": "occurred_at", "low": "2026-01-01T00:00:00Z", "high": "2026-02-01T00:00:00Z"},
        {"op": "not", "of": {"op": "in", "field": "kind", "values": ["summary", "skill"]}}]}

A field is one of `Field`, or `data.` and a name for what the author put into the item's data. Identity and scope have
no field: who may see what is decided elsewhere, and no filter can widen it.
"""

from enum import StrEnum
from typing import Annotated

import msgspec
from msgspec import Meta

FILTER_NODES_MAX = 64
"""Operators in one filter."""

FILTER_DEPTH_MAX = 8

Scalar = str | int | float | bool
FieldName = Annotated[str, Meta(min_length=1, max_length=80, pattern=r"^[a-z_]+(\.[A-Za-z0-9_-]{1,64})?$")]
Scalars = Annotated[tuple[Scalar, ...], Meta(min_length=1, max_length=100)]


class FieldType(StrEnum):
    """What a field holds, and so what it can be compared with."""

    TEXT = "text"
    NUMBER = "number"
    INSTANT = "instant"
    FLAG = "flag"
    ANY = "any"  # data of the author's own: text, number or flag, as it was written


FIELDS: dict[str, FieldType] = {
    "id": FieldType.TEXT,
    "kind": FieldType.TEXT,  # ItemKind
    "event_kind": FieldType.TEXT,  # MemoryKind
    "text": FieldType.TEXT,
    "speaker": FieldType.TEXT,
    "author": FieldType.TEXT,
    "stream": FieldType.TEXT,
    "run_id": FieldType.TEXT,
    "task_id": FieldType.TEXT,
    "context_id": FieldType.TEXT,
    "status": FieldType.TEXT,  # ItemStatus
    "sensitivity": FieldType.TEXT,
    "tag": FieldType.TEXT,  # any of the label's tags
    "subject": FieldType.TEXT,
    "relation": FieldType.TEXT,
    "object": FieldType.TEXT,
    "confidence": FieldType.NUMBER,
    "seen_count": FieldType.NUMBER,
    "stream_seq": FieldType.NUMBER,
    "occurred_at": FieldType.INSTANT,
    "recorded_at": FieldType.INSTANT,
    "valid_from": FieldType.INSTANT,
    "valid_to": FieldType.INSTANT,
    "contested": FieldType.FLAG,
    "echo": FieldType.FLAG,
}
"""What can be filtered by, beside `data.<name>`."""

IDENTITY_FIELDS = frozenset((
    "workspace_id", "workspace", "organization", "organization_id", "tenant", "scope_id", "scope", "owner", "agent_id",
    "user_id", "actor_id", "reader", "readers",
))  # fmt: skip
"""Names that say whose a memory is. A filter with one of them is refused; `agent_id` and `user_id` narrow a question
beside the filter."""


class _Op(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="op"):
    """One operator."""


class And(_Op, frozen=True, tag="and"):
    """All of them; an empty list would let everything through, and is refused."""

    of: Annotated[tuple["Filter", ...], Meta(min_length=1, max_length=32)]


class Or(_Op, frozen=True, tag="or"):
    """At least one of them."""

    of: Annotated[tuple["Filter", ...], Meta(min_length=1, max_length=32)]


class Not(_Op, frozen=True, tag="not"):
    """Whatever it does not match, also where the field has no value."""

    of: "Filter"


class Eq(_Op, frozen=True, tag="eq"):
    """Equal; a field without a value equals nothing."""

    field: FieldName
    value: Scalar


class Ne(_Op, frozen=True, tag="ne"):
    """Has a value, and another one."""

    field: FieldName
    value: Scalar


class Gt(_Op, frozen=True, tag="gt"):
    """Greater; numbers and instants only, like the other comparisons."""

    field: FieldName
    value: Scalar


class Gte(_Op, frozen=True, tag="gte"):
    """Greater or equal."""

    field: FieldName
    value: Scalar


class Lt(_Op, frozen=True, tag="lt"):
    """Less."""

    field: FieldName
    value: Scalar


class Lte(_Op, frozen=True, tag="lte"):
    """Less or equal."""

    field: FieldName
    value: Scalar


class In(_Op, frozen=True, tag="in"):
    """Equal to one of them."""

    field: FieldName
    values: Scalars


class NotIn(_Op, frozen=True, tag="not_in"):
    """Has a value, and none of them."""

    field: FieldName
    values: Scalars


class Between(_Op, frozen=True, tag="between"):
    """From low to high, both included."""

    field: FieldName
    low: Scalar
    high: Scalar


class Contains(_Op, frozen=True, tag="contains"):
    """Text in which this text stands, whatever the case of its letters (ASCII)."""

    field: FieldName
    value: Annotated[str, Meta(min_length=1, max_length=500)]


class Exists(_Op, frozen=True, tag="exists"):
    """Has a value that is not empty; with `value: false`, has none."""

    field: FieldName
    value: bool = True


Filter = And | Or | Not | Eq | Ne | Gt | Gte | Lt | Lte | In | NotIn | Between | Contains | Exists
