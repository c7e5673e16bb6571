"""Verbs that give memories out: what goes out with content is decided and recorded first."""

from collections.abc import Sequence

import msgspec

from memroos import audit
from memroos.memory import queries
from memroos.memory.rules import answers
from memroos.memory.service import removing, traces
from memroos.memory.service.traces import Handout
from memroos.memory.service.writing import Event
from memroos_contracts import prompts
from memroos_contracts.errors import NotFound
from memroos_contracts.governance import Action, Effect, Label
from memroos_contracts.labels import join
from memroos_contracts.memory import (
    ContextRequest,
    ContextResult,
    MemoryEventView,
    RecallItem,
    RecallRequest,
    RecallResult,
)
from memroos_contracts.memory_items import ItemView, VersionView
from memroos_contracts.pages import Page
from memroos_kit import cursors
from memroos_kit.db import Tx

PAGE = 50


def disclose(tx: Tx, request: RecallRequest, found: RecallResult, *, took_s: float = 0.0) -> RecallResult:
    """Decide whether what was found may go out, and record that it does; what was removed meanwhile does not.

    Raises:
        Denied: policy does not let this actor have it.
    """
    hidden = removing.find_hidden(tx, answers.ids_of(found.items))
    items = answers.visible_hits(found.items, hidden)
    items, label = _decide(tx, request, items)
    handout = Handout(
        cause="recall",
        query=request.query,
        task_id=request.task_id or "",
        arms=found.arms,
        missing=found.missing,
        hits=items,
        tokens=sum(map(traces.size_of, items)),
        abstained="" if items else "nothing bears on the question",
        took_s=took_s,
    )
    traces.keep_trace(tx, handout, label)
    return msgspec.structs.replace(found, items=items)


def disclose_context(tx: Tx, request: ContextRequest, found: ContextResult, *, took_s: float = 0.0) -> ContextResult:
    """Decide whether a text may go out, and record that it does.

    Raises:
        Denied: policy does not let this actor have it.
    """
    hidden = removing.find_hidden(tx, answers.ids_of(found.items))
    items = answers.visible_hits(found.items, hidden)
    if hidden:  # the text was written before, and may speak of what was removed
        text, items = prompts.write(items, budget=request.token_budget, form=request.format)
        found = msgspec.structs.replace(found, text=text, tokens=prompts.tokens_of(text))
    shown, label = _decide(tx, request.recall, items, purpose=request.purpose)
    if shown and shown[0].item.text is None:
        found = msgspec.structs.replace(found, text="", tokens=0)
    handout = Handout(
        cause="context",
        query=request.recall.query,
        task_id=request.recall.task_id or "",
        purpose=request.purpose,
        arms=found.arms,
        missing=found.missing,
        hits=shown,
        tokens=found.tokens,
        abstained="" if shown else _why_empty(found),
        took_s=took_s,
    )
    traces.keep_trace(tx, handout, label)
    return msgspec.structs.replace(found, items=shown)


def _why_empty(found: ContextResult) -> str:
    if found.left_out:
        return f"what bears on the question does not fit into {found.token_budget} tokens"
    return "nothing bears on the question"


def _decide(
    tx: Tx, request: RecallRequest, items: list[RecallItem], *, purpose: str = ""
) -> tuple[list[RecallItem], Label]:
    label = join(answers.labels_of(items))
    asset = removing.asset_of(tx, "*", label)
    decision = tx.authorize(Action.MEMORY_RECALL, asset, purpose=purpose)
    redacted = decision.effect is Effect.REDACT
    audit.record(
        tx,
        Event.RECALLED.value,
        asset,
        query=audit.digest(request.query),
        memories=[item.item.id for item in items],
        redacted=redacted,
    )
    return ([answers.without_content(item) for item in items] if redacted else items), label


def disclose_items(tx: Tx, name: str, items: Sequence[ItemView]) -> list[ItemView]:
    """Decide whether items may go out, and record that they do; without those that were removed.

    Raises:
        Denied: policy does not let this actor have them.
    """
    hidden = removing.find_hidden(tx, {id_ for item in items for id_ in answers.ids_of_item(item)})
    seen = answers.visible_items(items, hidden)
    redacted = _decide_reading(tx, name, [item.id for item in seen], [item.label for item in seen])
    return [answers.bare(item) for item in seen] if redacted else seen


def disclose_item(tx: Tx, item: ItemView) -> ItemView:
    """Decide whether an item may go out, and record that it does.

    Raises:
        Denied: policy does not let this actor have it.
        NotFound: it was removed.
    """
    removing.demand_visible(tx, item.id)
    found = disclose_items(tx, item.id, [item])
    if not found:
        raise NotFound(kind_of_object="memory", id=item.id)
    return found[0]


def disclose_history(tx: Tx, item_id: str, versions: Sequence[VersionView]) -> list[VersionView]:
    """Decide whether an item's versions may go out, and record that they do.

    Raises:
        Denied: policy does not let this actor have them.
        NotFound: it was removed.
    """
    removing.demand_visible(tx, item_id)
    items = disclose_items(tx, item_id, [version.item for version in versions])
    if versions and not items:
        raise NotFound(kind_of_object="memory", id=item_id)
    by_version = {item.version: item for item in items}
    return [
        msgspec.structs.replace(version, item=by_version[version.item.version])
        for version in versions
        if version.item.version in by_version
    ]


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
    # By id: an event's place in the log of all would tell how much others write.
    before = None if cursor is None else cursors.decode(kind, cursor, str)[0]
    found = queries.list_of_author(tx, before=before, most=limit + 1)
    more = cursors.encode(kind, found[limit - 1].id) if len(found) > limit else None
    return Page(_give_out(tx, tx.actor.principal, found[:limit]), more)


def _give_out(tx: Tx, name: str, events: list[MemoryEventView]) -> list[MemoryEventView]:
    """Decide whether content may go out, and record it; an empty answer is decided, but not recorded."""
    redacted = _decide_reading(tx, name, [event.id for event in events], [event.label for event in events])
    if not redacted:
        return events
    return [msgspec.structs.replace(event, text=None, data=None, source=None, digest="") for event in events]


def _decide_reading(tx: Tx, name: str, ids: list[str], labels: list[Label]) -> bool:
    """Decide and record; answer whether content is to be left out."""
    asset = removing.asset_of(tx, name, join(labels))
    decision = tx.authorize(Action.MEMORY_READ, asset)
    redacted = decision.effect is Effect.REDACT
    if ids:
        audit.record(tx, Event.READ.value, asset, memories=ids, redacted=redacted)
    return redacted
