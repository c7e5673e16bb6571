"""Verbs that give memories out: what goes out with content is decided and recorded first."""

from collections.abc import Iterable

import msgspec

from memroos import audit
from memroos.memory import queries
from memroos.memory.rules import readers
from memroos.memory.service.writing import Event
from memroos_contracts.governance import Action, Asset, Effect, Label
from memroos_contracts.labels import join
from memroos_contracts.memory import MemoryEventView, RecallItem, RecallRequest, RecallResult
from memroos_contracts.pages import Page
from memroos_kit import cursors
from memroos_kit.db import Tx

PAGE = 50


def recall(tx: Tx, request: RecallRequest) -> RecallResult:
    """Find what answers a question among what the actor may see, and record that it was given out.

    Doors `find` first, in a reader, and then `disclose`, so that a long search holds up no writer.

    Raises:
        Denied: policy does not let this actor recall this.
    """
    return disclose(tx, request, queries.find(tx, request))


def disclose(tx: Tx, request: RecallRequest, found: RecallResult) -> RecallResult:
    """Decide whether what was found may go out, and record it.

    Raises:
        Denied: policy does not let this actor have it.
    """
    asset = _asset(tx, "*", (item.item.label for item in found.items))
    decision = tx.authorize(Action.MEMORY_RECALL, asset)
    audit.record(
        tx,
        Event.RECALLED.value,
        asset,
        query=audit.digest(request.query),
        memories=[item.item.id for item in found.items],
        redacted=decision.effect is Effect.REDACT,
    )
    if decision.effect is not Effect.REDACT:
        return found
    items = [
        RecallItem(
            item=msgspec.structs.replace(item.item, text=None, triple=None, data=None, source=None),
            score=item.score,
            snippet="",
            sources=item.sources,
        )
        for item in found.items
    ]
    return msgspec.structs.replace(found, items=items)


def read_event(tx: Tx, event_id: str) -> MemoryEventView:
    """Return one event, and record that it was read.

    Raises:
        Denied: policy does not let this actor read it.
        NotFound: no event has this id, or it belongs to others.
    """
    event = queries.load(tx, event_id)
    return _give_out(tx, event.id, [event])[0]


def list_events(tx: Tx, stream: str, *, limit: int = PAGE, cursor: str | None = None) -> Page[MemoryEventView]:
    """List a stream's events that the actor may see, oldest first, and record that they were read.

    Raises:
        Denied: policy does not let this actor read them.
        InvalidCursor: the cursor is of another listing.
    """
    kind = cursors.listing("memory", stream=stream)
    after = 0 if cursor is None else cursors.decode(kind, cursor, int)[0]
    found = queries.list_stream(tx, stream, after=after, most=limit + 1)
    more = cursors.encode(kind, found[limit - 1].stream_seq) if len(found) > limit else None
    return Page(_give_out(tx, stream, found[:limit]), more)


def list_own(tx: Tx, *, limit: int = PAGE, cursor: str | None = None) -> Page[MemoryEventView]:
    """List what the actor has written, newest first, and record that it was read.

    Raises:
        Denied: policy does not let this actor read it.
        InvalidCursor: the cursor is of another listing.
    """
    kind = cursors.listing("own-memory", author=tx.actor.principal)
    before = 2**62 if cursor is None else cursors.decode(kind, cursor, int)[0]
    found = queries.list_of_author(tx, before=before, most=limit + 1)
    more = cursors.encode(kind, found[limit - 1][0]) if len(found) > limit else None
    return Page(_give_out(tx, tx.actor.principal, [event for _, event in found[:limit]]), more)


def _give_out(tx: Tx, name: str, events: list[MemoryEventView]) -> list[MemoryEventView]:
    """Decide whether content may go out, and record it; an empty answer is decided, but not recorded."""
    asset = _asset(tx, name, (event.label for event in events))
    decision = tx.authorize(Action.MEMORY_READ, asset)
    if not events:
        return events
    redacted = decision.effect is Effect.REDACT
    audit.record(tx, Event.READ.value, asset, memories=[event.id for event in events], redacted=redacted)
    return [_without_content(event) for event in events] if redacted else events


def _asset(tx: Tx, name: str, labels: Iterable[Label]) -> Asset:
    """Return what is read as policy sees it: the reader's own, or the workspace's; with the labels of all of it."""
    label = join(labels)
    if readers.reader_of(tx.actor) == readers.EVERYTHING:
        return Asset(kind="memory", id=name, label=label)
    return Asset(kind="memory", id=name, owner=tx.actor.principal, agent=tx.actor.agent or "", label=label)


def _without_content(event: MemoryEventView) -> MemoryEventView:
    return msgspec.structs.replace(event, text=None, data=None, source=None)
