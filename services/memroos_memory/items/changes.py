"""Changing items by hand: another version of one, or another item that holds instead."""

from typing import Any

from msgspec.structs import replace

from memroos_contracts import labels
from memroos_contracts.errors import InvalidRequest
from memroos_contracts.governance import Label
from memroos_contracts.memory_errors import ItemChanged, ItemGone
from memroos_contracts.memory_items import Change, ItemChange, ItemStatus, ItemView, Successor, Viewer
from memroos_kit.clock import to_micros
from memroos_kit.db import Read, Tx
from memroos_memory.items.log import By, add, by, change, digest_of, is_done, rest_on, together
from memroos_memory.items.queries import find_in_scope, load, load_even_deleted, resting_on, row_of, seq_of
from memroos_memory.items.removal import retract_learned
from memroos_memory.items.scopes import scope_view
from memroos_memory.items.states import Row, State, names, state_of, view


def update(tx: Tx, viewer: Viewer, item_id: str, new: ItemChange, operation: str = "") -> ItemView:
    """Write another version of an item; the one before stays in its history. The same operation may be repeated.

    What was derived from an event gets no less strict a label than it. What was learned from the words that an event
    no longer says rests on it no more.

    Raises:
        NotFound: there is none, or the viewer may not see it.
        ItemGone: it was deleted.
        ItemChanged: it is at another version than the caller expected.
        InvalidRequest: it would hold until before it begins to, become private where others can see its log, or become
            less strict than the events it rests on.
    """
    row = load(tx, viewer, item_id)
    if is_done(tx, row, operation):
        return view(row)
    if new.if_version is not None and new.if_version != row.version:
        raise ItemChanged(id=item_id, version=row.version)
    before = state_of(row)
    after = _changed(before, new)
    if after.valid_from is not None and after.valid_to is not None and after.valid_to < after.valid_from:
        raise InvalidRequest(fields={"valid_to": "lies before valid_from"})
    if labels.is_private(after.label) and not scope_view(tx, row.scope_seq).private:
        raise InvalidRequest(fields={"label": "is private; delete the memory and keep it anew with this label"})
    if after.label != before.label and labels.join([after.label, *_labels_beneath(tx, row)]) != after.label:
        raise InvalidRequest(fields={"label": "is less strict than what it rests on"})
    if after != before:
        row = _update(tx, row, new, by(viewer, new.reason, operation))
    return view(row)


def supersede(tx: Tx, viewer: Viewer, item_id: str, successor: Successor, operation: str = "") -> ItemView:
    """Let another item, or a new text, hold instead of an item, and return it. The same operation may be repeated.

    The old item holds until the new one does and stays findable as what was before. A new text rests on the same
    events; what takes the place of an event stands in its place in the conversation.

    Raises:
        NotFound: one of them is not there, or the viewer may not see it.
        ItemGone: one of them was deleted.
        ItemChanged: it is superseded already.
        InvalidRequest: not exactly one successor is named, or it cannot take this item's place.
    """
    row = load(tx, viewer, item_id)
    if (successor.text is None) == (successor.item_id is None):
        raise InvalidRequest(fields={"text": "name either a text or an item"})
    if row.superseded_by and (is_done(tx, row, operation) or row.superseded_by == successor.item_id):
        return view(load(tx, viewer, row.superseded_by))
    if row.status == ItemStatus.SUPERSEDED:
        raise ItemChanged(f"It is superseded by {row.superseded_by}; supersede that.", id=item_id, version=row.version)
    who = together(tx, by(viewer, successor.reason, operation))
    if successor.text is not None:
        since = _since(row, successor, to_micros(tx.now))
        new = _add_successor(tx, row, successor.text, since, who)
    else:
        new, since = _take_successor(tx, viewer, row, successor, who)
    until = since if row.valid_to is None or row.valid_to > since else row.valid_to
    old = replace(state_of(row), status=ItemStatus.SUPERSEDED, superseded_by=new.id, valid_to=until)
    change(tx, row, old, Change.SUPERSEDE, who)
    return view(new)


def _update(tx: Tx, row: Row, new: ItemChange, who: By) -> Row:
    """Write the other version, after what follows from it for what rests on the item."""
    before = state_of(row)
    after = _changed(before, new)
    if after.label != before.label:
        who = together(tx, who)
        _make_stricter(tx, resting_on(tx, row), after.label, who)
    if row.is_event and after.digest != before.digest:
        who = together(tx, who)
        retract_learned(tx, row, who)
        row = row_of(tx, row.seq)  # something learned from it may have superseded it, and does no more
    return change(tx, row, _changed(state_of(row), new), Change.UPDATE, who)


def _changed(state: State, new: ItemChange) -> State:
    changes: dict[str, Any] = {}
    if new.text is not None:
        changes |= {"text": new.text, "digest": digest_of(new.text)}
    for name in ("label", "confidence", "data"):
        if getattr(new, name) is not None:
            changes[name] = getattr(new, name)
    for name in ("valid_from", "valid_to"):
        if getattr(new, name) is not None:
            changes[name] = to_micros(getattr(new, name))
    return replace(state, **changes)


def _labels_beneath(tx: Tx, row: Row) -> list[Label]:
    """Return the labels of the events that an item rests on; an event rests on nothing."""
    beneath = (find_in_scope(tx, row.scope_seq, source) for source in names(row.sources) if source != row.id)
    return [state_of(one).label for one in beneath if one is not None]


def _make_stricter(tx: Tx, derived: list[Row], label: Label, who: By) -> None:
    for row in derived:
        state = state_of(row)
        joined = labels.join([state.label, label])
        if joined != state.label:
            change(tx, row, replace(state, label=joined), Change.UPDATE, who)


def _since(old: Row, successor: Successor, otherwise: int) -> int:
    """Return when the old item ends: as it was said, else then, but not before it began."""
    begin = old.valid_from
    if successor.valid_from is None:
        return otherwise if begin is None else max(begin, otherwise)
    since = to_micros(successor.valid_from)
    if begin is not None and since < begin:
        raise InvalidRequest(fields={"valid_from": "lies before what it is to supersede began to hold"})
    return since


def _add_successor(tx: Tx, old: Row, content: str, since: int, who: By) -> Row:
    fixed = derived_from(old)
    fixed["id"] = tx.new_id("itm")
    fixed["kind"] = old.kind
    fixed["event_kind"] = old.event_kind
    sources = (old.id,) if old.is_event else names(old.sources)
    seq = add(
        tx,
        fixed,
        State(
            text=content,
            digest=digest_of(content),
            sources=sources,
            label=state_of(old).label,
            valid_from=since,
            supersedes=old.id,
        ),
        who,
    )
    rest_on(tx, seq, [one for one in (seq_of(tx, source) for source in sources) if one is not None])
    return row_of(tx, seq)


def _take_successor(tx: Tx, viewer: Viewer, old: Row, successor: Successor, who: By) -> tuple[Row, int]:
    assert successor.item_id is not None
    new = load_even_deleted(tx, viewer, successor.item_id)
    if new.is_deleted:
        raise ItemGone(id=new.id)
    if new.scope_seq != old.scope_seq:
        raise InvalidRequest(fields={"item_id": "belongs to others than what it is to supersede"})
    if _leads_to(tx, new, old.id):
        raise InvalidRequest(fields={"item_id": "is what it is to supersede, or was superseded by it"})
    state = state_of(new)
    begin = new.valid_from
    if begin is None or (old.valid_from is not None and begin < old.valid_from):
        begin = to_micros(tx.now)
    since = _since(old, successor, begin)
    if state.valid_to is not None and state.valid_to < since:
        raise InvalidRequest(fields={"valid_from": "lies after the successor has ceased to hold"})
    state = replace(state, supersedes=old.id, valid_from=since)
    return change(tx, new, state, Change.SUPERSEDE, who), since


def _leads_to(tx: Read, row: Row, item_id: str) -> bool:
    """Whether an item, or what superseded it, or what superseded that, is this one."""
    seen = set()
    one: Row | None = row
    while one is not None and one.id not in seen:
        if one.id == item_id:
            return True
        seen.add(one.id)
        one = find_in_scope(tx, one.scope_seq, one.superseded_by) if one.superseded_by else None
    return False


def derived_from(origin: Row) -> dict[str, Any]:
    """Return the columns that never change, for an item that is derived from another; but its id and kind."""
    words = ("scope_seq", "stream", "stream_seq", "speaker", "author", "owner", "agent_id", "user_id", "run_id")
    fixed: dict[str, Any] = {name: getattr(origin, name) for name in (*words, "task_id", "context_id", "occurred_at")}
    return {**fixed, "event_kind": "", "source": None, "echo": 0}
