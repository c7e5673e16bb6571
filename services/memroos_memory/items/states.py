"""What of an item can change, as the log keeps it, and the views made of it."""

from functools import lru_cache
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import select

from memroos_contracts.governance import INTERNAL, Label
from memroos_contracts.identity import WorkspaceId
from memroos_contracts.memory_items import ItemKind, ItemStatus, ItemView, Triple
from memroos_kit.clock import from_micros
from memroos_memory.models import Item, Scope


class State(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What an item's version says; instants are microseconds."""

    text: str
    digest: str
    subject: str | None = None
    relation: str | None = None
    object: str | None = None
    sources: tuple[str, ...] = ()
    data: dict[str, Any] | None = None
    label: Label = INTERNAL
    confidence: float = 1.0
    valid_from: int | None = None
    valid_to: int | None = None
    status: ItemStatus = ItemStatus.ACTIVE
    supersedes: str = ""
    superseded_by: str = ""
    contested: bool = False
    contradicts: tuple[str, ...] = ()
    seen_count: int = 1

    @property
    def is_deleted(self) -> bool:
        """Whether no read path may find it."""
        return self.status is ItemStatus.DELETED


class Row(NamedTuple):
    """An item's row, and whose it is; instants are microseconds, objects and lists JSON."""

    seq: int
    id: str
    scope_seq: int
    kind: str
    event_kind: str
    stream: str
    stream_seq: int
    speaker: str
    author: str
    owner: str
    agent_id: str
    user_id: str
    run_id: str
    task_id: str
    context_id: str
    source: str | None
    occurred_at: int
    created_at: int
    echo: int
    version: int
    log_seq: int
    recorded_at: int
    text: str
    digest: str
    subject: str | None
    relation: str | None
    object: str | None
    sources: str
    data: str | None
    label: str
    confidence: float
    valid_from: int | None
    valid_to: int | None
    status: str
    supersedes: str
    superseded_by: str
    contested: int
    contradicts: str
    seen_count: int
    scope_id: str
    workspace_id: str

    @property
    def is_deleted(self) -> bool:
        """Whether no read path may find it."""
        return self.status == ItemStatus.DELETED

    @property
    def is_event(self) -> bool:
        """Whether it is as it was said, and not derived."""
        return self.kind == ItemKind.EVENT


COLUMNS = Row._fields[:-2]
"""Those of the table `item`."""

rows = select(*(getattr(Item, name) for name in COLUMNS), Scope.id, Scope.workspace_id).join_from(
    Item, Scope, Scope.seq == Item.scope_seq
)
"""The statement that gives `Row`s; each query adds which."""

_json = msgspec.json.Encoder(order="deterministic")
_states = msgspec.json.Decoder(State)
_labels = msgspec.json.Decoder(Label)
_names = msgspec.json.Decoder(tuple[str, ...])
_objects = msgspec.json.Decoder(dict[str, Any] | None)


def encode(value: object) -> str:
    """Return JSON; equal values give equal texts."""
    return _json.encode(value).decode()


def decode(state: str) -> State:
    """Return the state that the log holds."""
    return _states.decode(state)


def columns(state: State) -> dict[str, Any]:
    """Return a state as the columns of `item` hold it."""
    return {
        "text": state.text,
        "digest": state.digest,
        "subject": state.subject,
        "relation": state.relation,
        "object": state.object,
        "sources": encode(state.sources) if state.sources else "[]",
        "data": encode(state.data) if state.data is not None else None,
        "label": encode(state.label),
        "confidence": state.confidence,
        "valid_from": state.valid_from,
        "valid_to": state.valid_to,
        "status": state.status.value,
        "supersedes": state.supersedes,
        "superseded_by": state.superseded_by,
        "contested": int(state.contested),
        "contradicts": encode(state.contradicts) if state.contradicts else "[]",
        "seen_count": state.seen_count,
    }


def state_of(row: Row) -> State:
    """Return what a row's newest version says."""
    return State(
        text=row.text,
        digest=row.digest,
        subject=row.subject,
        relation=row.relation,
        object=row.object,
        sources=names(row.sources),
        data=_objects.decode(row.data) if row.data is not None else None,
        label=_label(row.label),
        confidence=row.confidence,
        valid_from=row.valid_from,
        valid_to=row.valid_to,
        status=ItemStatus(row.status),
        supersedes=row.supersedes,
        superseded_by=row.superseded_by,
        contested=bool(row.contested),
        contradicts=names(row.contradicts),
        seen_count=row.seen_count,
    )


def names(text: str) -> tuple[str, ...]:
    """Return a JSON list of texts."""
    return _names.decode(text) if text != "[]" else ()


def view(row: Row) -> ItemView:
    """Return an item as others see it."""
    triple = None
    if row.subject is not None:
        triple = Triple(row.subject, row.relation or "", row.object or "")
    return ItemView(
        id=row.id,
        workspace_id=WorkspaceId(row.workspace_id),
        scope_id=row.scope_id,
        kind=ItemKind(row.kind),
        event_kind=row.event_kind,
        text=row.text,
        triple=triple,
        sources=names(row.sources),
        stream=row.stream,
        stream_seq=row.stream_seq,
        speaker=row.speaker,
        author=row.author,
        owner=row.owner,
        agent_id=row.agent_id,
        user_id=row.user_id,
        run_id=row.run_id,
        task_id=row.task_id,
        context_id=row.context_id,
        data=_objects.decode(row.data) if row.data is not None else None,
        source=_objects.decode(row.source) if row.source is not None else None,
        label=_label(row.label),
        confidence=row.confidence,
        occurred_at=from_micros(row.occurred_at),
        valid_from=from_micros(row.valid_from) if row.valid_from is not None else None,
        valid_to=from_micros(row.valid_to) if row.valid_to is not None else None,
        recorded_at=from_micros(row.recorded_at),
        status=ItemStatus(row.status),
        supersedes=row.supersedes,
        superseded_by=row.superseded_by,
        contested=bool(row.contested),
        contradicts=names(row.contradicts),
        seen_count=row.seen_count,
        echo=bool(row.echo),
        digest=row.digest,
        version=row.version,
        log_seq=row.log_seq,
    )


@lru_cache(maxsize=256)
def _label(text: str) -> Label:
    label = _labels.decode(text)
    return INTERNAL if label == INTERNAL else label  # the one object that the log leaves out
