"""Reads: events, and the search for them.

What leaves here has not been decided upon yet: `service` asks policy and records it before content goes out.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import Integer, String, bindparam, column, exists, func, literal_column, or_, select, table, text

from memroos.memory.models import MemoryEvent, MemoryHidden, MemoryScope
from memroos.memory.rules import readers
from memroos_contracts.errors import InvalidCursor, NotFound
from memroos_contracts.governance import Label
from memroos_contracts.identity import Actor, WorkspaceId
from memroos_contracts.memory import (
    Arm,
    MemoryEventView,
    MemoryKind,
    RecallItem,
    RecallQuery,
    RecallRequest,
    RecallResult,
)
from memroos_contracts.memory_items import ItemView
from memroos_kit.clock import from_micros, to_micros
from memroos_kit.db import Hot, Read
from memroos_kit.text import bm25, words

CANDIDATES_MAX = 200
"""Events that are scored for one question; the rarest of its words choose them, then the newest."""

FOUND_BY = (Arm.EPISODIC,)
MISSING = tuple(arm for arm in Arm if arm not in FOUND_BY)


class Row(NamedTuple):
    """An event's row; instants are microseconds, objects JSON."""

    seq: int
    id: str
    workspace_id: str
    stream: str
    stream_seq: int
    kind: str
    author: str
    owner: str
    agent_id: str
    user_id: str
    run_id: str
    task_id: str
    context_id: str
    speaker: str
    occurred_at: int | None
    text: str
    data: str | None
    source: str | None
    label: str
    digest: str
    created_at: int


class Measure(NamedTuple):
    """What words tell in one reader's scope."""

    token: str
    scope: bm25.ScopeStats
    frequencies: dict[str, int]

    def parts(self, text: str) -> dict[str, float]:
        """Return what each word of the question adds to a text's score."""
        return bm25.bm25(words.words_of(text), self.frequencies, self.scope)


_E = MemoryEvent
_index = table("memory_index", column("rowid"))
rows = select(*(getattr(_E, name) for name in Row._fields))
_here = _E.workspace_id == bindparam("workspace")
# Not the bare parameter: SQLite would plan the statement anew for each value of a LIMIT.
_MOST = bindparam("most", type_=Integer) + literal_column("0", Integer)


def _optional(name: str) -> Any:
    parameter = bindparam(name, type_=String)
    return or_(parameter.is_(None), getattr(_E, name) == parameter)


_when = func.coalesce(_E.occurred_at, _E.created_at)
counts_for = or_(
    bindparam("reader", type_=String).is_(None),
    _E.author == bindparam("reader"),
    _E.owner == bindparam("reader"),
    _E.agent_id == bindparam("agent"),
)
_public = or_(bindparam("reader", type_=String).is_not(None), _E.private == literal_column("0"))
is_there = ~exists().where(MemoryHidden.target_id == _E.id)
_BY_ID = Hot(rows.where(_E.id == bindparam("id"), _here, is_there))
_PLACE = Hot(select(_E.seq).where(_E.id == bindparam("id"), _here))
_STREAM = Hot(
    rows.where(
        _here, _E.stream == bindparam("stream"), _E.stream_seq > bindparam("after"), counts_for, _public, is_there
    )
    .order_by(_E.stream_seq)
    .limit(_MOST)
)
_OF_AUTHOR = Hot(
    rows.where(_here, _E.author == bindparam("author"), _E.seq < bindparam("before"), is_there)
    .order_by(_E.seq.desc())
    .limit(_MOST)
)
_SCOPE = Hot(select(MemoryScope.documents, MemoryScope.words).where(MemoryScope.token == bindparam("token")))
_HAVING = Hot(text("SELECT count(*) FROM memory_index WHERE memory_index MATCH :match"))
_CANDIDATES = Hot(
    rows.where(
        text("memory_index MATCH :match"),
        _index.c.rowid == _E.seq,
        _index.c.rowid > bindparam("after"),
        _here,
        or_(bindparam("kinds", type_=String).is_(None), func.instr(bindparam("kinds"), _E.kind) > 0),
        *map(_optional, ("stream", "author", "agent_id", "user_id", "run_id", "task_id", "context_id")),
        or_(bindparam("since").is_(None), _when >= bindparam("since")),
        or_(bindparam("until").is_(None), _when < bindparam("until")),
    )
    .order_by(_index.c.rowid.desc())
    .limit(_MOST)
)


def whose(reader: str) -> dict[str, str | None]:
    """Return what `counts_for` needs to narrow to a reader's events."""
    # None equals nothing: an empty id would be that of every event that was addressed to no agent.
    return {"reader": reader or None, "agent": readers.agent_of(reader) or None}


def _object(text: str | None) -> dict[str, Any] | None:
    return None if text is None else msgspec.json.decode(text, type=dict[str, Any])


def view(row: Row) -> MemoryEventView:
    """Return an event with its content."""
    return MemoryEventView(
        id=row.id,
        workspace_id=WorkspaceId(row.workspace_id),
        stream=row.stream,
        stream_seq=row.stream_seq,
        kind=MemoryKind(row.kind),
        author=row.author,
        owner=row.owner,
        agent_id=row.agent_id,
        user_id=row.user_id,
        run_id=row.run_id,
        task_id=row.task_id,
        context_id=row.context_id,
        speaker=row.speaker,
        occurred_at=None if row.occurred_at is None else from_micros(row.occurred_at),
        text=row.text,
        data=_object(row.data),
        source=_object(row.source),
        label=msgspec.json.decode(row.label, type=Label),
        digest=row.digest,
        created_at=from_micros(row.created_at),
    )


def load(
    tx: Read, event_id: str, *, among: Callable[[Actor, MemoryEventView], bool] = readers.can_read
) -> MemoryEventView:
    """Return an event that this actor may know of.

    Args:
        among: which are there for it at all.

    Raises:
        NotFound: no event has this id, or it belongs to others.
    """
    found = tx.execute(_BY_ID, id=event_id, workspace=tx.actor.workspace).fetchone()
    event = None if found is None else view(Row._make(found))
    if event is None or not among(tx.actor, event):
        raise NotFound(kind_of_object="memory", id=event_id)
    return event


def list_stream(tx: Read, stream: str, *, after: int, most: int) -> list[MemoryEventView]:
    """Return a stream's events that this actor may see, from a place on."""
    mine = whose(readers.reader_of(tx.actor))
    found = tx.execute(_STREAM, workspace=tx.actor.workspace, stream=stream, after=after, most=most, **mine).fetchall()
    return [view(Row._make(row)) for row in found]


def list_of_author(tx: Read, *, before: str | None, most: int) -> list[MemoryEventView]:
    """Return what this actor has written, newest first.

    Args:
        before: the event after which the listing goes on.

    Raises:
        InvalidCursor: there is no such event.
    """
    workspace = tx.actor.workspace
    place = None if before is None else tx.execute(_PLACE, id=before, workspace=workspace).fetchone()
    if before is not None and place is None:
        raise InvalidCursor
    found = tx.execute(
        _OF_AUTHOR, workspace=workspace, author=tx.actor.principal, before=place[0] if place else 2**62, most=most
    ).fetchall()
    return [view(Row._make(row)) for row in found]


def count_visible(tx: Read) -> int:
    """Return how many events the actor may see, as its scope counts them."""
    token = readers.token(tx.actor.workspace, readers.reader_of(tx.actor))
    found = tx.execute(_SCOPE, token=token).fetchone()
    return int(found[0]) if found else 0


def search(tx: Read, query: RecallQuery) -> RecallResult:
    """Find the events that answer a question best, among those of its reader and by their statistics alone.

    Safe for any text: a question is taken apart into words, and each is looked up as a quoted word.
    """
    measure = measure_of(tx, query)
    items = list_best(tx, query, measure)
    return RecallResult(items, FOUND_BY, MISSING, measure.scope.documents)


def measure_of(tx: Read, query: RecallQuery) -> Measure:
    """Return what the words of a question tell among what its reader may see."""
    token = readers.token(query.workspace_id, query.reader)
    found = tx.execute(_SCOPE, token=token).fetchone()
    scope = bm25.ScopeStats(*found) if found else bm25.ScopeStats(0, 0)
    counts = {word: _count(tx, token, word) for word in words.words_to_find(query.request.query)}
    return Measure(token, scope, {word: count for word, count in counts.items() if count})


def list_best(
    tx: Read, query: RecallQuery, measure: Measure, *, after: int = 0, among: Callable[[int], bool] | None = None
) -> list[RecallItem]:
    """Return the events that answer a question best, of those after a place in the log."""
    scored = []
    for row in _candidates(tx, query, measure, after).values():
        if among is not None and not among(row.seq):
            continue
        parts = measure.parts(row.text)
        scored.append((sum(parts.values()), row, parts))
    scored.sort(key=lambda item: (-item[0], -item[1].seq))
    return [recall_item(view(row), score, parts) for score, row, parts in scored[: query.request.limit]]


def recall_item(event: MemoryEventView, score: float, parts: dict[str, float]) -> RecallItem:
    """Return a hit of the episodic arm: an event, and what each word of the question adds."""
    assert event.text is not None
    return RecallItem(
        item=item_of(event),
        score=score,
        snippet=words.snippet(event.text, frozenset(parts)),
        sources=(event.id,),
        lexical=parts,
    )


def item_of(event: MemoryEventView) -> ItemView:
    """Return an event as the memory service would give it."""
    return ItemView(
        id=event.id,
        workspace_id=event.workspace_id,
        event_kind=event.kind.value,
        text=event.text,
        sources=(event.id,),
        stream=event.stream,
        stream_seq=event.stream_seq,
        speaker=event.speaker,
        author=event.author,
        owner=event.owner,
        agent_id=event.agent_id,
        user_id=event.user_id,
        run_id=event.run_id,
        task_id=event.task_id,
        context_id=event.context_id,
        data=event.data,
        source=event.source,
        label=event.label,
        occurred_at=event.occurred_at or event.created_at,
        recorded_at=event.created_at,
        digest=event.digest,
    )


def _match(token: str, word: str) -> str:
    # Both are letters and digits only, so no quote can end the string.
    return f'readers : "{token}" AND words : "{word}"'


def _count(tx: Read, token: str, word: str) -> int:
    return int(tx.execute(_HAVING, match=_match(token, word)).fetchone()[0])


def _candidates(tx: Read, query: RecallQuery, measure: Measure, after: int) -> dict[int, Row]:
    """Return the events worth scoring: those with the rarest words first, as these tell most."""
    token, frequencies = measure.token, measure.frequencies
    filters = _filters(query.request) | {"after": after}
    candidates: dict[int, Row] = {}
    for word in sorted(frequencies, key=lambda word: (frequencies[word], word)):
        if len(candidates) >= CANDIDATES_MAX:
            break
        where = {"match": _match(token, word), "workspace": query.workspace_id, "most": CANDIDATES_MAX, **filters}
        for found in tx.execute(_CANDIDATES, **where).fetchall():
            candidates.setdefault(found[0], Row._make(found))
    return candidates


def _filters(request: RecallRequest) -> dict[str, Any]:
    return {
        "kinds": ",".join(request.kinds) or None,
        "stream": request.stream,
        "author": request.author,
        "agent_id": request.agent_id,
        "user_id": request.user_id,
        "run_id": request.run_id,
        "task_id": request.task_id,
        "context_id": request.context_id,
        "since": _micros(request.since),
        "until": _micros(request.until),
    }


def _micros(instant: datetime | None) -> int | None:
    return None if instant is None else to_micros(instant)
