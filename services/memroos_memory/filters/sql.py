"""A filter as one SQL expression over the table `item`, with every value a parameter.

Each part is 0 or 1, never NULL: with NULL, `NOT` would lose the items that have no value.
"""

from collections.abc import Sequence
from string import ascii_lowercase, ascii_uppercase
from typing import Any

import msgspec

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
from memroos_memory.filters.checking import DATA, MULTIPLE, TRIPLE, Leaf, Ordered, check, micros, type_of

ASCII_LOWER = str.maketrans(ascii_uppercase, ascii_lowercase)
"""What SQLite's `lower` does without an extension."""

_SIGN: dict[type, str] = {Gt: ">", Gte: ">=", Lt: "<", Lte: "<="}


class CompiledFilter(msgspec.Struct, frozen=True):
    """An expression for a WHERE clause, in parentheses, and its parameters by name."""

    sql: str
    parameters: dict[str, Any]


def compile(wanted: Filter) -> CompiledFilter:  # noqa: A001
    """Return a filter as SQL.

    It only ever compares columns of the one item it looks at; put it behind AND, after what says which items the
    caller may see.

    Raises:
        FilterRefused: it cannot be honoured.
    """
    check(wanted)
    words = _Words()
    return CompiledFilter(sql=words.of(wanted), parameters=words.parameters)


class _Words:
    """One compilation: the parameters so far, and how each operator is said."""

    def __init__(self) -> None:
        self.parameters: dict[str, Any] = {}

    def of(self, node: Filter) -> str:
        """Return an operator as SQL, in parentheses."""
        match node:
            case And():
                return f"({' AND '.join(self.of(child) for child in node.of)})"
            case Or():
                return f"({' OR '.join(self.of(child) for child in node.of)})"
            case Not():
                return f"(NOT {self.of(node.of)})"
            case _:
                return f"({self._leaf(node)})"

    def _leaf(self, leaf: Leaf) -> str:
        if leaf.field == MULTIPLE:
            return self._multiple(leaf)
        match type_of(leaf.field):
            case FieldType.TEXT:
                return self._text(leaf, _text_column(leaf.field))
            case FieldType.ANY:
                return self._any(leaf)
            case FieldType.INSTANT | FieldType.NUMBER | FieldType.FLAG:
                return self._present(leaf, f"item.{leaf.field}")

    def _text(self, leaf: Leaf, column: str) -> str:
        """A text that is never NULL; empty is no value."""
        match leaf:
            case Eq():
                return f"{column} = {self._bind(leaf.value)}"
            case Ne():
                return f"{column} <> '' AND {column} <> {self._bind(leaf.value)}"
            case In():
                return f"{column} IN ({self._bind_all(leaf.values)})"
            case NotIn():
                return f"{column} <> '' AND {column} NOT IN ({self._bind_all(leaf.values)})"
            case Contains():
                return f"instr(lower({column}), {self._bind(leaf.value.translate(ASCII_LOWER))}) > 0"
            case Exists():
                return f"{column} <> ''" if leaf.value else f"{column} = ''"
            case _:
                raise AssertionError(leaf)

    def _multiple(self, leaf: Leaf) -> str:
        tags = "FROM json_each(item.label, '$.tags') AS tag"
        match leaf:
            case Eq():
                return f"EXISTS (SELECT 1 {tags} WHERE tag.value = {self._bind(leaf.value)})"
            case In():
                return f"EXISTS (SELECT 1 {tags} WHERE tag.value IN ({self._bind_all(leaf.values)}))"
            case Ne():
                none = f"NOT EXISTS (SELECT 1 {tags} WHERE tag.value = {self._bind(leaf.value)})"
                return f"EXISTS (SELECT 1 {tags}) AND {none}"
            case NotIn():
                none = f"NOT EXISTS (SELECT 1 {tags} WHERE tag.value IN ({self._bind_all(leaf.values)}))"
                return f"EXISTS (SELECT 1 {tags}) AND {none}"
            case Contains():
                part = self._bind(leaf.value.translate(ASCII_LOWER))
                return f"EXISTS (SELECT 1 {tags} WHERE instr(lower(tag.value), {part}) > 0)"
            case Exists():
                return f"EXISTS (SELECT 1 {tags})" if leaf.value else f"NOT EXISTS (SELECT 1 {tags})"
            case _:
                raise AssertionError(leaf)

    def _present(self, leaf: Leaf, column: str) -> str:
        """A number, flag or instant, which may be NULL."""
        if isinstance(leaf, Exists):
            return f"{column} IS NOT NULL" if leaf.value else f"{column} IS NULL"
        instant = type_of(leaf.field) is FieldType.INSTANT
        return f"{column} IS NOT NULL AND {self._compared(leaf, column, instant=instant)}"

    def _compared(self, leaf: Leaf, column: str, *, instant: bool = False) -> str:
        def bind(value: Scalar) -> str:
            return self._bind(micros(str(value)) if instant else value)

        match leaf:
            case Eq():
                return f"{column} = {bind(leaf.value)}"
            case Ne():
                return f"{column} <> {bind(leaf.value)}"
            case In():
                return f"{column} IN ({', '.join(bind(value) for value in leaf.values)})"
            case NotIn():
                return f"{column} NOT IN ({', '.join(bind(value) for value in leaf.values)})"
            case Between():
                return f"{column} BETWEEN {bind(leaf.low)} AND {bind(leaf.high)}"
            case Gt() | Gte() | Lt() | Lte():
                return f"{column} {_SIGN[type(leaf)]} {bind(leaf.value)}"
            case _:
                raise AssertionError(leaf)

    def _any(self, leaf: Leaf) -> str:
        """Data of the author's own: what it is decides how it is compared."""
        path = self._bind(f'$."{leaf.field.removeprefix(DATA)}"')
        kind, value = (f"{name}(item.data, {path})" for name in ("json_type", "json_extract"))
        has = (
            f"CASE coalesce({kind}, 'null') WHEN 'null' THEN 0 WHEN 'text' THEN {value} <> '' "
            f"WHEN 'array' THEN {value} <> '[]' WHEN 'object' THEN {value} <> '{{}}' ELSE 1 END"
        )
        match leaf:
            case Exists():
                return has if leaf.value else f"NOT ({has})"
            case Contains():
                part = self._bind(leaf.value.translate(ASCII_LOWER))
                return f"{kind} IS 'text' AND instr(lower({value}), {part}) > 0"
            case Eq():
                return self._one_of((leaf.value,), kind, value)
            case In():
                return self._one_of(leaf.values, kind, value)
            case Ne():
                return f"({has}) AND NOT ({self._one_of((leaf.value,), kind, value)})"
            case NotIn():
                return f"({has}) AND NOT ({self._one_of(leaf.values, kind, value)})"
            case _:
                return self._number(leaf, kind, value)

    def _number(self, leaf: Ordered, kind: str, value: str) -> str:
        return f"CASE {kind} WHEN 'integer' THEN 1 WHEN 'real' THEN 1 ELSE 0 END AND {self._compared(leaf, value)}"

    def _one_of(self, wanted: Sequence[Scalar], kind: str, value: str) -> str:
        """Whether the data equals one of these; each only what is of its own type."""
        flags = sorted({f"{kind} IS '{str(one).lower()}'" for one in wanted if isinstance(one, bool)})
        numbers = [one for one in wanted if isinstance(one, int | float) and not isinstance(one, bool)]
        texts = [one for one in wanted if isinstance(one, str)]
        parts = list(flags)
        if numbers:
            parts.append(f"coalesce({kind}, '') IN ('integer', 'real') AND {value} IN ({self._bind_all(numbers)})")
        if texts:
            parts.append(f"{kind} IS 'text' AND {value} IN ({self._bind_all(texts)})")
        return " OR ".join(parts)

    def _bind_all(self, values: Sequence[Scalar]) -> str:
        return ", ".join(self._bind(value) for value in values)

    def _bind(self, value: Scalar) -> str:
        name = f"filter_{len(self.parameters)}"
        self.parameters[name] = int(value) if isinstance(value, bool) else value
        return f":{name}"


def _text_column(field: str) -> str:
    if field == "sensitivity":
        return "coalesce(json_extract(item.label, '$.sensitivity'), 'internal')"
    return f"coalesce(item.{field}, '')" if field in TRIPLE else f"item.{field}"
