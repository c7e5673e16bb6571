"""Keeping what was learned from events: said again it counts once more, something newer supersedes what it replaces.

Of a functional relation (where somebody lives) a subject has one value at a time. Its values are a chain in the order
in which they begin to hold; a new one takes its place in it, also when it is learned late. Only what stands next to
that place is looked at, so that a long chain costs no more than a short one.
"""

from typing import Any, NamedTuple

from msgspec.structs import replace
from sqlalchemy import bindparam, func, or_, select

from memroos_contracts import labels
from memroos_contracts.memory_items import Change, ItemKind, ItemStatus, ItemView, Triple
from memroos_kit.clock import to_micros
from memroos_kit.db import Hot, Read, Tx
from memroos_memory.items.changes import derived_from
from memroos_memory.items.learned import Learned
from memroos_memory.items.log import MEMORY, By, add, change, digest_of, rest_on, together
from memroos_memory.items.queries import find_in_scope, row_of
from memroos_memory.items.states import Row, State, names, rows, state_of, view
from memroos_memory.models import Item, ItemSource

_EARLIEST = -(2**63)

SOURCES_MAX = 64
"""Events that an item names: the first it rests on, and the newest."""

CONTRADICTIONS_MAX = 16
"""Items that one item contradicts."""

_NEAR = 32

_here = (
    Item.scope_seq == bindparam("scope"),
    Item.kind != bindparam("event", ItemKind.EVENT.value),
    Item.status != bindparam("deleted", ItemStatus.DELETED.value),
)
_SAME_TEXT = Hot(
    rows.where(*_here, Item.digest == bindparam("digest")).order_by(Item.status, Item.seq).limit(_NEAR)
)  # what is active first
_about = (*_here, Item.subject == bindparam("subject"), Item.relation == bindparam("relation"))
_SAME_TRIPLE = Hot(
    rows.where(*_about, func.lower(Item.object) == func.lower(bindparam("object")))
    .order_by(Item.status, Item.seq)
    .limit(_NEAR)
)
_HOLDING = Hot(
    rows.where(
        *_about,
        Item.valid_from <= bindparam("since"),
        or_(Item.valid_to.is_(None), Item.valid_to > bindparam("since")),
    )
    .order_by(Item.valid_from.desc(), Item.seq.desc())
    .limit(_NEAR)
)
_LAST = Hot(  # also where it holds no more: what somebody put in its place may
    rows.where(*_about, Item.valid_from <= bindparam("since"))
    .order_by(Item.valid_from.desc(), Item.seq.desc())
    .limit(1)
)
_AFTER = Hot(rows.where(*_about, Item.valid_from > bindparam("since")).order_by(Item.valid_from, Item.seq).limit(1))
_DERIVED = Hot(
    rows.join(ItemSource, ItemSource.item_seq == Item.seq)
    .where(ItemSource.event_seq == bindparam("event"))
    .order_by(Item.seq)
)
_IS_SOURCE = Hot(
    select(ItemSource.item_seq).where(
        ItemSource.event_seq == bindparam("event"), ItemSource.item_seq == bindparam("item")
    )
)


class _New(NamedTuple):
    """What was learned, and from where."""

    learned: Learned
    origin: Row
    evidence: list[Row]
    since: int

    @property
    def is_exclusive(self) -> bool:
        """Whether another value ends when it begins. What is over already ends nothing."""
        return self.learned.functional and self.learned.triple is not None and self.learned.valid_to is None

    @property
    def sources(self) -> set[str]:
        """The ids of the events."""
        return {row.id for row in self.evidence}


class _Place(NamedTuple):
    """Where a value stands among the others of its functional relation."""

    before: list[Row]
    """What holds until it."""
    peers: list[Row]
    """What begins to hold at the same time, and says otherwise."""
    after: Row | None
    """What holds later, instead of it."""


def add_learned(tx: Tx, scope_seq: int, learned: Learned, *, from_seq: int, actor: str = MEMORY) -> ItemView | None:
    """Keep something that was learned from an event, and return the item that says it.

    It may be repeated: learned again from the same events, nothing changes.

    Args:
        from_seq: the event; the item takes over who said it when, and the strictest label of all its events.

    Returns:
        None where there is nothing for it to rest on: the events were deleted meanwhile, or an item that said the
        same because of the same events was.
    """
    origin = row_of(tx, from_seq)
    evidence = _evidence(tx, scope_seq, origin, learned)
    if not evidence:
        return None
    since = to_micros(learned.valid_from) if learned.valid_from is not None else origin.occurred_at
    new = _New(learned, origin, evidence, since)
    derived = [row for row in _derived_from(tx, evidence) if _says(row, learned)]
    repeated = [row for row in derived if new.sources <= set(names(row.sources))]
    chain = _chain(tx, new) if new.is_exclusive else []
    if _is_only_said_before(new, _after(new, chain)):
        new = new._replace(since=origin.occurred_at)
        chain = _chain(tx, new)
    there = [row for row in repeated if not row.is_deleted] or _said_before(tx, new, chain)
    if there:
        return view(_see_again(tx, there[0], new, By(actor)))
    if repeated:
        return None
    return view(_add(tx, new, _place(new, chain), By(actor)))


# -- what is there -----------------------------------------------------------------------------------------------------


def _evidence(tx: Read, scope: int, origin: Row, learned: Learned) -> list[Row]:
    """Return the events it rests on, without those that were deleted or are not of this scope.

    What was derived stands for the events that it rests on itself.
    """
    found: dict[int, Row] = {}
    line = [origin.id, *learned.sources]
    for id_ in line:
        row = find_in_scope(tx, scope, id_)
        if row is None or row.is_deleted:
            continue
        if row.is_event:
            found[row.seq] = row
        else:
            line.extend(names(row.sources))  # they are events, so this comes to an end
    return list(found.values())


def _derived_from(tx: Read, evidence: list[Row]) -> list[Row]:
    """Return what was derived from these events, deleted items too."""
    return [Row(*one) for event in evidence for one in tx.execute(_DERIVED, event=event.seq).fetchall()]


def _says(row: Row, learned: Learned) -> bool:
    """Whether an item says this, in the same words or as the same triple."""
    triple = learned.triple
    if triple is not None and (row.subject, row.relation) == (triple.subject, triple.relation):
        return (row.object or "").casefold() == triple.object.casefold()
    return row.text == learned.text


def _same(tx: Read, new: _New) -> list[Row]:
    """Return what says the same and is not deleted, what is active first."""
    scope, learned = new.origin.scope_seq, new.learned
    found = tx.execute(_SAME_TEXT, scope=scope, digest=digest_of(learned.text)).fetchall()
    if learned.triple is not None:
        found += tx.execute(
            _SAME_TRIPLE, scope=scope, **_words(learned.triple), object=learned.triple.object
        ).fetchall()
    return sorted((Row(*one) for one in found), key=lambda row: (row.status, row.seq))


def _chain(tx: Read, new: _New) -> list[Row]:
    """Return the values of its relation that stand near it in time, and what somebody put in their place by hand."""
    assert new.learned.triple is not None
    about = {"scope": new.origin.scope_seq, "since": new.since, **_words(new.learned.triple)}
    near = (_HOLDING, _LAST, _AFTER)
    known = {one[1]: Row(*one) for statement in near for one in tx.execute(statement, **about).fetchall()}
    line = list(known.values())
    while line:
        successor_id = line.pop().superseded_by
        if not successor_id or successor_id in known:
            continue
        row = find_in_scope(tx, new.origin.scope_seq, successor_id)
        if row is not None and not row.is_deleted and len(known) < 3 * _NEAR:
            known[row.id] = row
            line.append(row)
    return sorted(known.values(), key=lambda row: (_begin(row), row.seq))


def _words(triple: Triple) -> dict[str, str]:
    return {"subject": triple.subject, "relation": triple.relation}


# -- where it belongs --------------------------------------------------------------------------------------------------


def _begin(row: Row) -> int:
    return row.valid_from if row.valid_from is not None else _EARLIEST


def _holds(row: Row, at: int) -> bool:
    return _begin(row) <= at and (row.valid_to is None or at < row.valid_to)


def _said_before(tx: Read, new: _New, chain: list[Row]) -> list[Row]:
    """Return the items that say it already for the same time, best first."""
    if not new.is_exclusive:
        same = _same(tx, new)
        return [row for row in same if _holds(row, new.since)] or [
            row for row in same if row.status == ItemStatus.ACTIVE
        ]
    same = [row for row in chain if _says(row, new.learned)]
    after = _after(new, chain)
    return [row for row in same if _holds(row, new.since)] or [row for row in same if row is after]


def _after(new: _New, chain: list[Row]) -> Row | None:
    return next((row for row in chain if _begin(row) > new.since), None)


def _is_only_said_before(new: _New, after: Row | None) -> bool:
    """Tell whether what holds later does so only because nobody said since when, and was said earlier.

    "I live in Munich", then "I moved to Berlin last week": Berlin holds now, from when it was said on.
    """
    if after is None or not new.is_exclusive:
        return False
    return after.valid_from == after.occurred_at and after.occurred_at < new.origin.occurred_at


def _place(new: _New, chain: list[Row]) -> _Place:
    if not new.is_exclusive:
        return _Place([], [], None)
    holding = [row for row in chain if _holds(row, new.since)]
    together_said = [row for row in holding if _begin(row) == new.since]
    earlier = [row for row in together_said if _turns_between(row, new) > 0]
    later = [row for row in together_said if _turns_between(row, new) < 0]
    return _Place(
        before=[row for row in holding if _begin(row) < new.since or row in earlier],
        peers=[row for row in together_said if row not in earlier and row not in later][-CONTRADICTIONS_MAX:],
        after=later[0] if later else _after(new, chain),
    )


def _turns_between(row: Row, new: _New) -> int:
    """Return by how many turns of one conversation a value was said earlier; 0 where no order follows from that.

    Several turns may have one time, because nobody knows it better: then the order in which they were said counts.
    """
    dated = row.valid_from != row.occurred_at or new.since != new.origin.occurred_at
    if dated or row.stream != new.origin.stream:
        return 0
    return new.origin.stream_seq - row.stream_seq


# -- writing it --------------------------------------------------------------------------------------------------------


def _add(tx: Tx, new: _New, place: _Place, who: By) -> Row:
    before, peers, after = place
    if before or peers or after is not None:
        who = together(tx, who)
    id_ = tx.new_id("itm")
    seq = add(
        tx,
        {**derived_from(new.origin), "id": id_, "kind": new.learned.kind.value},
        replace(
            _state(new),
            status=ItemStatus.ACTIVE if after is None else ItemStatus.SUPERSEDED,
            supersedes=before[-1].id if before else "",
            superseded_by="" if after is None else after.id,
            contested=bool(peers),
            contradicts=tuple(row.id for row in peers),
            **({} if after is None else {"valid_to": after.valid_from}),
        ),
        who,
    )
    rest_on(tx, seq, [row.seq for row in new.evidence])
    for row in before:
        until = {"valid_to": new.since, "status": ItemStatus.SUPERSEDED, "superseded_by": id_}
        change(tx, row, replace(state_of(row), **until), Change.SUPERSEDE, who)
    if after is not None and after.supersedes in {"", *(row.id for row in before)}:
        change(tx, after, replace(state_of(after), supersedes=id_), Change.UPDATE, who)
    for row in peers:
        state = state_of(row)
        contested = replace(state, contested=True, contradicts=(*state.contradicts, id_))
        change(tx, row, contested, Change.CONTEST, who)
    return row_of(tx, seq)


def _state(new: _New) -> State:
    learned, triple = new.learned, new.learned.triple
    return State(
        text=learned.text,
        digest=digest_of(learned.text),
        subject=triple.subject if triple else None,
        relation=triple.relation if triple else None,
        object=triple.object if triple else None,
        sources=_named([row.id for row in new.evidence]),
        label=labels.join([state_of(row).label for row in new.evidence]),
        confidence=learned.confidence,
        valid_from=new.since,
        valid_to=to_micros(learned.valid_to) if learned.valid_to is not None else None,
    )


def _see_again(tx: Tx, row: Row, new: _New, who: By) -> Row:
    state = state_of(row)
    fresh = [one for one in new.evidence if one.id not in state.sources and not _was_counted(tx, one, row)]
    if not fresh:
        return row
    rest_on(tx, row.seq, [one.seq for one in fresh])
    changes: dict[str, Any] = {
        "sources": _named([*state.sources, *(one.id for one in fresh)]),
        "seen_count": state.seen_count + 1,
        "confidence": max(state.confidence, new.learned.confidence),
        "label": labels.join([state.label, *(state_of(one).label for one in fresh)]),
        "valid_from": min(_begin(row), new.since) if row.valid_from is not None else None,
    }
    if state.valid_to is None and new.learned.valid_to is not None:
        changes["valid_to"] = to_micros(new.learned.valid_to)
    if new.is_exclusive and new.since < _begin(row) and row.supersedes:
        who = together(tx, who)
        _end_sooner(tx, row, new.since, who)
    return change(tx, row, replace(state, **changes), Change.SEEN, who)


def _was_counted(tx: Read, event: Row, row: Row) -> bool:
    """Whether an event was a source of an item that no longer names all of them."""
    if len(names(row.sources)) < SOURCES_MAX:
        return False
    return tx.execute(_IS_SOURCE, event=event.seq, item=row.seq).fetchone() is not None


def _named(sources: list[str]) -> tuple[str, ...]:
    return tuple(sources) if len(sources) <= SOURCES_MAX else (sources[0], *sources[1 - SOURCES_MAX :])


def _end_sooner(tx: Tx, row: Row, since: int, who: By) -> None:
    """Let what an item superseded end when that item begins, now that it is known to have begun sooner."""
    old = find_in_scope(tx, row.scope_seq, row.supersedes)
    if old is not None and not old.is_deleted and old.valid_to == row.valid_from:
        change(tx, old, replace(state_of(old), valid_to=since), Change.UPDATE, who)
