"""What a filter means, in plain Python: for views that are at hand, and to hold the SQL against."""

import operator
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any

from memroos_contracts.memory_filters import (
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
from memroos_contracts.memory_items import ItemView
from memroos_kit.clock import to_micros
from memroos_memory.filters.checking import DATA, MULTIPLE, TRIPLE, Leaf, micros, type_of
from memroos_memory.filters.sql import ASCII_LOWER

_COMPARE: dict[type, Callable[[Any, Any], bool]] = {
    Gt: operator.gt,
    Gte: operator.ge,
    Lt: operator.lt,
    Lte: operator.le,
}
_INTEGER_MIN, _INTEGER_MAX = -(2**63), 2**63 - 1


def matches(wanted: Filter, item: ItemView) -> bool:
    """Whether an item is what a filter wants; the filter has passed `check`."""
    match wanted:
        case And():
            return all(matches(child, item) for child in wanted.of)
        case Or():
            return any(matches(child, item) for child in wanted.of)
        case Not():
            return not matches(wanted.of, item)
        case _:
            return _leaf(wanted, item)


def _leaf(leaf: Leaf, item: ItemView) -> bool:
    values = [value for value in _values(leaf.field, item) if _has_value(value)]
    if isinstance(leaf, Exists):
        return bool(values) is leaf.value
    match leaf:
        case Eq():
            return any(_equal(leaf.field, leaf.value, value) for value in values)
        case Ne():
            return bool(values) and not any(_equal(leaf.field, leaf.value, value) for value in values)
        case In():
            return any(_equal(leaf.field, one, value) for one in leaf.values for value in values)
        case NotIn():
            return bool(values) and not any(_equal(leaf.field, one, value) for one in leaf.values for value in values)
        case Contains():
            part = leaf.value.translate(ASCII_LOWER)
            return any(isinstance(value, str) and part in value.translate(ASCII_LOWER) for value in values)
        case Between():
            low, high = _wanted(leaf.field, leaf.low), _wanted(leaf.field, leaf.high)
            return any(_is_number(value) and low <= value <= high for value in values)
        case _:
            compare, wanted = _COMPARE[type(leaf)], _wanted(leaf.field, leaf.value)
            return any(_is_number(value) and compare(value, wanted) for value in values)


def _values(field: str, item: ItemView) -> Iterable[Any]:
    """The values of a field: for tags each of them, for everything else one or none."""
    if field == MULTIPLE:
        return item.label.tags
    if field.startswith(DATA):
        value = (item.data or {}).get(field.removeprefix(DATA))
    elif field == "sensitivity":
        value = item.label.sensitivity.value
    elif field in TRIPLE:
        value = getattr(item.triple, field, None)
    else:
        value = getattr(item, field)
    if isinstance(value, datetime):
        value = to_micros(value)
    elif isinstance(value, int) and not _INTEGER_MIN <= value <= _INTEGER_MAX:
        value = _rounded(value)
    return (value,)


def _has_value(value: Any) -> bool:
    return value is not None and value not in ("", [], {})


def _equal(field: str, wanted: Scalar, value: Any) -> bool:
    """Numbers equal numbers, flags flags, text text."""
    if isinstance(wanted, bool) or isinstance(value, bool):
        return wanted is value
    if isinstance(value, list | dict):
        return False
    return bool(_wanted(field, wanted) == value)


def _wanted(field: str, value: Scalar) -> Any:
    return micros(str(value)) if type_of(field) is FieldType.INSTANT else value


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _rounded(value: int) -> float:
    """An integer beyond 64 bits as SQLite reads it: the nearest float."""
    try:
        return float(value)
    except OverflowError:
        return float("inf") if value > 0 else float("-inf")
