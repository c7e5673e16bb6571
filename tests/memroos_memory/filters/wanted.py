"""Random items and filters, and the table in which SQL looks for them."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import msgspec
from hypothesis import strategies as st
from sqlalchemy.dialects import sqlite
from sqlalchemy.schema import CreateTable

from memroos_contracts.governance import Label, Sensitivity
from memroos_contracts.memory import MemoryKind
from memroos_contracts.memory_filters import (
    FIELDS,
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
)
from memroos_contracts.memory_items import ItemKind, ItemStatus, ItemView
from memroos_kit.sqlite import sqlite3
from memroos_memory import filters, models
from memroos_memory.items.states import COLUMNS, Row, State, columns, view

HOSTILE = (
    "' OR 1=1 --", "'; DROP TABLE item; --", '"', "\\", "%", "_", "a%b", "a_b", "100%", ":filter_0", "?1", "NULL",
    "$.x", "[]", "{}", "true", "1", "1.0", "\x00", "a\x00b", "Ä", "ä", "İ", "ß",
)  # fmt: skip
"""Texts that mean something to SQL, JSON or LIKE, and must mean nothing here."""

WORDS = ("Ann", "ann", "ANN", "Anna", "Bob", "a", "A")
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)

texts = st.sampled_from(WORDS + HOSTILE) | st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=6)
instants = st.builds(
    lambda micros, hours: (NOON + timedelta(microseconds=micros)).astimezone(timezone(timedelta(hours=hours))),
    st.integers(-2, 2) | st.integers(-(10**16), 10**16),
    st.integers(-14, 14),
)
numbers = (
    st.sampled_from(
        (0, 1, -1, 0.0, -0.0, 1.0, 0.1 + 0.2, 0.3, 2**53, 2**53 + 1, float(2**53), 2**63 - 1, 1e300, 5e-324)
    )
    | st.integers(-(2**63) + 1, 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
)
flags = st.booleans()
_huge = st.sampled_from((2**63, -(2**63) - 1, 2**64, 10**30, 10**400, -(10**400)))
_data_names = ("x", "y", "a-b", "0", "text")
_data = st.dictionaries(
    st.sampled_from(_data_names),
    texts | st.just("") | numbers | _huge | flags | st.none() | st.lists(texts, max_size=2)
    | st.dictionaries(texts, numbers, max_size=1),
    max_size=3,
)  # fmt: skip
_words: dict[str, st.SearchStrategy[str]] = {
    "kind": st.sampled_from([kind.value for kind in ItemKind]),
    "event_kind": st.sampled_from([kind.value for kind in MemoryKind]),
    "status": st.sampled_from([status.value for status in ItemStatus]),
    "sensitivity": st.sampled_from([sensitivity.value for sensitivity in Sensitivity]),
}


def _micros(at: datetime) -> int:
    return (at - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


_empty_or_text = st.just("") | texts
_stored_instants = instants.map(_micros)
_triples: st.SearchStrategy[dict[str, str]] = st.just({}) | st.fixed_dictionaries(
    {"subject": texts, "relation": texts, "object": texts}
)
_states = st.builds(
    lambda triple, **other: State(**triple, **other),
    _triples,
    text=texts,
    digest=st.just("sha256:0"),
    data=st.none() | _data,
    label=st.builds(Label, st.sampled_from(Sensitivity), st.frozensets(texts, max_size=2)),
    confidence=st.floats(0, 1),
    valid_from=st.none() | _stored_instants,
    valid_to=st.none() | _stored_instants,
    status=st.sampled_from(ItemStatus),
    contested=flags,
    seen_count=st.integers(1, 3),
)
_fixed = st.fixed_dictionaries(
    {
        "kind": _words["kind"],
        "event_kind": st.just("") | _words["event_kind"],
        "stream": _empty_or_text,
        "stream_seq": st.integers(0, 3),
        "speaker": _empty_or_text,
        "author": _empty_or_text,
        "run_id": _empty_or_text,
        "task_id": _empty_or_text,
        "context_id": _empty_or_text,
        "occurred_at": _stored_instants,
        "recorded_at": _stored_instants,
        "echo": st.integers(0, 1),
    }
)
_ALWAYS: dict[str, Any] = {
    "scope_seq": 1, "owner": "", "agent_id": "", "user_id": "", "source": None, "created_at": 0,
    "version": 1, "log_seq": 1, "scope_id": "scp_1", "workspace_id": "default",
}  # fmt: skip
rows = st.lists(st.tuples(_fixed, _states), min_size=1, max_size=4).map(
    lambda found: [
        make_row(seq, **fixed, **msgspec.structs.asdict(state)) for seq, (fixed, state) in enumerate(found, start=1)
    ]
)
"""Items as the service stores them."""


def _value(field: str) -> st.SearchStrategy[Any]:
    if field in _words:
        return _words[field]
    match FIELDS.get(field, FieldType.ANY):
        case FieldType.TEXT:
            return texts
        case FieldType.NUMBER:
            return numbers
        case FieldType.INSTANT:
            return instants.map(datetime.isoformat)
        case FieldType.FLAG:
            return flags
        case FieldType.ANY:
            return texts | numbers | flags


def _leaf(field: str) -> st.SearchStrategy[Filter]:
    name = st.just(field)
    kind = FIELDS.get(field, FieldType.ANY)
    value = _value(field)
    several = st.lists(value, min_size=1, max_size=3).map(tuple)
    ways: list[st.SearchStrategy[Filter]] = [
        st.builds(Eq, name, value),
        st.builds(Ne, name, value),
        st.builds(In, name, several),
        st.builds(NotIn, name, several),
        st.builds(Exists, name, flags),
    ]
    if kind in (FieldType.TEXT, FieldType.ANY):
        ways.append(st.builds(Contains, name, texts))
    if kind in (FieldType.NUMBER, FieldType.INSTANT, FieldType.ANY):
        ordered = numbers if kind is FieldType.ANY else value
        ways += [st.builds(operator, name, ordered) for operator in (Gt, Gte, Lt, Lte)]
        ways.append(st.builds(Between, name, ordered, ordered))
    return st.one_of(ways)


leaves = st.sampled_from([*sorted(FIELDS), *(f"data.{name}" for name in (*_data_names, "absent"))]).flatmap(_leaf)
wanted: st.SearchStrategy[Filter] = st.recursive(
    leaves,
    lambda inner: (
        st.builds(Not, inner)
        | st.builds(And, st.lists(inner, min_size=1, max_size=3).map(tuple))
        | st.builds(Or, st.lists(inner, min_size=1, max_size=3).map(tuple))
    ),
    max_leaves=8,
).filter(lambda made: _depth(made) <= 8)
"""Filters that can be honoured."""


def _depth(made: Filter) -> int:
    if isinstance(made, And | Or):
        return 1 + max(map(_depth, made.of))
    return 1 + (_depth(made.of) if isinstance(made, Not) else 0)


class Table:
    """The table `item` of the service, in memory."""

    def __init__(self) -> None:
        self._connection = sqlite3.connect(":memory:", isolation_level=None)
        made = CreateTable(models.Base.metadata.tables["item"]).compile(dialect=sqlite.dialect())
        self._connection.execute(str(made))

    def hold(self, found: Sequence[Row]) -> None:
        """Hold these rows and nothing else."""
        self._connection.execute("DELETE FROM item")
        names = ", ".join((*COLUMNS, "words", "meta_words"))
        marks = ", ".join(f":{name}" for name in (*COLUMNS, "words", "meta_words"))
        self._connection.executemany(
            f"INSERT INTO item ({names}) VALUES ({marks})",
            [{**row._asdict(), "words": 0, "meta_words": 0} for row in found],
        )

    def find(self, one: Filter) -> list[int]:
        """Return the numbers of the rows that a filter lets through, as SQL has it."""
        compiled = filters.compile(one)
        found = self._connection.execute(
            f"SELECT seq FROM item WHERE {compiled.sql} ORDER BY seq", compiled.parameters
        ).fetchall()
        return [seq for (seq,) in found]

    def close(self) -> None:
        """Close it."""
        self._connection.close()


def views(found: Sequence[Row]) -> dict[int, ItemView]:
    """Return rows as views, as the service makes them."""
    return {row.seq: view(row) for row in found}


def make_row(seq: int = 1, **different: Any) -> Row:
    """Return a row about which nothing is special; state and columns by name."""
    of_state = {name: different.pop(name) for name in list(different) if name in State.__struct_fields__}
    fixed: dict[str, Any] = {
        "kind": "event", "event_kind": "message", "stream": "s", "stream_seq": 1, "speaker": "", "author": "agent:a",
        "run_id": "", "task_id": "", "context_id": "", "occurred_at": _micros(NOON), "recorded_at": _micros(NOON),
        "echo": 0,
    }  # fmt: skip
    state = State(**{"text": "Hello", "digest": "sha256:0", **of_state})
    return Row(seq=seq, id=f"mem_{seq}", **{**_ALWAYS, **fixed, **different}, **columns(state))
