"""Short words for what items say, and random ones."""

from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import strategies as st

from memroos_contracts.memory_items import Triple
from memroos_memory.graph import GraphEntry

JANUARY = datetime(2026, 1, 1, tzinfo=UTC)
FEBRUARY = datetime(2026, 2, 1, tzinfo=UTC)
MARCH = datetime(2026, 3, 1, tzinfo=UTC)


def mentions(seq: int, *entities: str) -> GraphEntry:
    """An item that mentions entities."""
    return GraphEntry(item_seq=seq, item_id=f"mem_{seq}", entities=entities)


def proves(seq: int, subject: str, relation: str, object_: str, **interval: Any) -> GraphEntry:
    """An item that proves a relation, in an interval where one is given."""
    return GraphEntry(item_seq=seq, item_id=f"itm_{seq}", triple=Triple(subject, relation, object_), **interval)


_names = st.sampled_from(("Ann", "ann ", "Bob", "Berlin", "Spree", "Dog", "the dog", ""))
_instants = st.none() | st.integers(-1, 3).map(lambda month: JANUARY + timedelta(days=30 * month))
_triples = st.none() | st.builds(Triple, _names, st.sampled_from(("lives_in", "knows")), _names)
entries = st.lists(
    st.builds(
        GraphEntry,
        item_seq=st.integers(1, 6),
        item_id=st.just("mem_x"),
        entities=st.lists(_names, max_size=2).map(tuple),
        triple=_triples,
        valid_from=_instants,
        valid_to=_instants,
    ),
    max_size=4,
)
_scopes = st.integers(1, 2)
changes: st.SearchStrategy[list[tuple[str, tuple[Any, ...]]]] = st.lists(
    st.tuples(st.just("put"), st.tuples(_scopes, entries))
    | st.tuples(st.just("remove"), st.tuples(_scopes, st.lists(st.integers(1, 6), max_size=3)))
    | st.tuples(st.just("reset"), st.just(())),
    max_size=6,
)
questions = st.fixed_dictionaries(
    {
        "scopes": st.lists(_scopes, max_size=2),
        "entities": st.lists(_names, max_size=2),
        "at": _instants,
        "limit": st.sampled_from((0, 1, 2, 100)),
    }
)
