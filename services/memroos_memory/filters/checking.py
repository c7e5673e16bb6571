"""Whether a filter can be honoured; one that cannot is refused as a whole, with what to do about it."""

import math
import re
from collections.abc import Iterator
from enum import StrEnum
from functools import lru_cache

import msgspec

from memroos_contracts.governance import Sensitivity
from memroos_contracts.memory import MemoryKind
from memroos_contracts.memory_errors import FilterRefused
from memroos_contracts.memory_filters import (
    FIELDS,
    FILTER_DEPTH_MAX,
    FILTER_NODES_MAX,
    IDENTITY_FIELDS,
    And,
    Between,
    Contains,
    Eq,
    Exists,
    FieldType,
    Filter,
    Gt,
    Gte,
    In,
    Lt,
    Lte,
    Ne,
    Not,
    NotIn,
    Or,
    Scalar,
)
from memroos_contracts.memory_items import Instant, ItemKind, ItemStatus
from memroos_kit.clock import count_micros

DATA = "data."
MULTIPLE = "tag"
"""The one field with several values."""

TRIPLE = frozenset(("subject", "relation", "object"))
"""Fields that only some items have."""

Leaf = Eq | Ne | Gt | Gte | Lt | Lte | In | NotIn | Between | Contains | Exists
Ordered = Gt | Gte | Lt | Lte | Between

_DATA_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
_INTEGER_MAX = 2**63 - 1
_WORDS: dict[str, type[StrEnum]] = {
    "kind": ItemKind,
    "event_kind": MemoryKind,
    "status": ItemStatus,
    "sensitivity": Sensitivity,
}
_COMPARED_WITH = {
    FieldType.TEXT: "text",
    FieldType.NUMBER: "numbers",
    FieldType.INSTANT: "instants, written like 2026-01-31T12:00:00Z",
    FieldType.FLAG: "true or false",
    FieldType.ANY: "text, numbers, true or false",
}


def check(wanted: Filter) -> None:
    """Refuse a filter that cannot be honoured.

    Raises:
        FilterRefused: it names whose memories it wants or a field that does not exist, compares a field with what does
            not fit its type, or is larger than allowed.
    """
    for nodes, (node, depth) in enumerate(_walk(wanted), start=1):
        if depth > FILTER_DEPTH_MAX:
            raise _refused(_operator(node), f"It is nested deeper than {FILTER_DEPTH_MAX} operators.")
        if nodes > FILTER_NODES_MAX:
            raise _refused("", f"It has more than {FILTER_NODES_MAX} operators; ask in parts.")
        if isinstance(node, And | Or):
            if not node.of:
                raise _refused(_operator(node), "It has an empty list; leave the operator out.")
        elif not isinstance(node, Not):
            _check_leaf(node)


def type_of(field: str) -> FieldType:
    """Return what a field holds.

    Raises:
        FilterRefused: there is no such field, or it says whose a memory is.
    """
    known = FIELDS.get(field)
    if known is not None:
        return known
    if field.partition(".")[0] in IDENTITY_FIELDS:
        raise _refused(
            field,
            f"{field!r} says whose a memory is, and a filter has no say in that; "
            "name an agent or a user beside the filter, not in it.",
        )
    if field.startswith(DATA) and _DATA_NAME.fullmatch(field, len(DATA)):
        return FieldType.ANY
    raise _refused(field, f"There is no field {field!r}; use data.<name> or one of {', '.join(sorted(FIELDS))}.")


@lru_cache(maxsize=1_024)
def micros(text: str) -> int:
    """Return a filter's instant as it is stored.

    Raises:
        msgspec.ValidationError: it is no instant with an offset.
    """
    return count_micros(msgspec.convert(text, Instant, strict=True))


def _walk(wanted: Filter) -> Iterator[tuple[Filter, int]]:
    """Yield every operator with its depth, without recursion: a hostile filter is refused before it is followed."""
    waiting: list[tuple[Filter, int]] = [(wanted, 1)]
    while waiting:
        node, depth = waiting.pop()
        yield node, depth
        if isinstance(node, And | Or):
            waiting.extend((child, depth + 1) for child in node.of)
        elif isinstance(node, Not):
            waiting.append((node.of, depth + 1))


def _check_leaf(leaf: Leaf) -> None:
    kind = type_of(leaf.field)
    match leaf:
        case Exists():
            return
        case Contains():
            _check_contains(leaf, kind)
        case Gt() | Gte() | Lt() | Lte() | Between():
            _check_ordered(leaf, kind)
        case Eq() | Ne():
            _check_value(leaf.field, kind, leaf.value)
        case In() | NotIn():
            _check_list(leaf, kind)


def _check_contains(leaf: Contains, kind: FieldType) -> None:
    if kind not in (FieldType.TEXT, FieldType.ANY):
        raise _refused(leaf.field, f"{leaf.field!r} is not text; 'contains' looks into text only.")
    _check_text(leaf.field, leaf.value)


def _check_ordered(leaf: Ordered, kind: FieldType) -> None:
    field = leaf.field
    if kind in (FieldType.TEXT, FieldType.FLAG):
        raise _refused(field, f"{field!r} is neither a number nor an instant; it has no less and no greater.")
    for value in (leaf.low, leaf.high) if isinstance(leaf, Between) else (leaf.value,):
        if kind is FieldType.ANY and isinstance(value, str | bool):
            raise _refused(field, f"{field!r} can be less or greater than a number only; use eq, in or contains.")
        _check_value(field, kind, value)


def _check_list(leaf: In | NotIn, kind: FieldType) -> None:
    if not leaf.values:
        raise _refused(leaf.field, f"{leaf.field!r} is compared with an empty list; name at least one value.")
    for value in leaf.values:
        _check_value(leaf.field, kind, value)


def _check_value(field: str, kind: FieldType, value: Scalar) -> None:
    if not _fits(kind, value):
        raise _refused(field, f"{field!r} can be compared with {_COMPARED_WITH[kind]} only, not with {value!r:.80}.")
    if isinstance(value, str):
        _check_text(field, value)
    elif isinstance(value, float) and not math.isfinite(value):
        raise _refused(field, f"{field!r} is compared with {value}, which is not a number; leave it out.")
    elif isinstance(value, int) and not -_INTEGER_MAX <= value <= _INTEGER_MAX:
        raise _refused(field, f"{field!r} is compared with an integer of more than 64 bits; write it as 1.0e20.")
    if kind is FieldType.INSTANT:
        _check_instant(field, str(value))
    words = _WORDS.get(field)
    if words is not None and value not in set(words):
        raise _refused(field, f"{field!r} is never {value!r:.80}; it is one of {', '.join(words)}.")


def _fits(kind: FieldType, value: Scalar) -> bool:
    match kind:
        case FieldType.TEXT | FieldType.INSTANT:
            return isinstance(value, str)
        case FieldType.NUMBER:
            return isinstance(value, int | float) and not isinstance(value, bool)
        case FieldType.FLAG:
            return isinstance(value, bool)
        case FieldType.ANY:
            return True


def _check_text(field: str, value: str) -> None:
    if not value:
        raise _refused(field, f"{field!r} is compared with empty text; ask with 'exists' whether it has a value.")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise _refused(field, f"{field!r} is compared with text that is not valid Unicode.") from error


def _check_instant(field: str, value: str) -> None:
    try:
        micros(value)
    except msgspec.ValidationError as error:
        raise _refused(
            field, f"{value!r:.80} is no instant; write date, time and offset, like 2026-01-31T12:00:00Z."
        ) from error


def _operator(node: Filter) -> str:
    return str(node.__struct_config__.tag)


def _refused(field: str, reason: str) -> FilterRefused:
    return FilterRefused(f"The filter cannot be honoured. {reason}", field=field, reason=reason)
