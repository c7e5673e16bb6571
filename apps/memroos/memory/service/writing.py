"""Verbs that keep events. Events are only ever added."""

from datetime import datetime
from enum import StrEnum
from typing import Any

import msgspec
from sqlalchemy import bindparam, func, insert, select, text
from sqlalchemy.dialects.sqlite import insert as upsert

from memroos import audit
from memroos.memory import bell
from memroos.memory.errors import NotYourStream
from memroos.memory.models import MemoryEvent, MemoryScope
from memroos.memory.rules import readers
from memroos_contracts import labels
from memroos_contracts.errors import InvalidRequest, TooLarge
from memroos_contracts.governance import INTERNAL, Action, Asset, Label
from memroos_contracts.memory import (
    KeptMemories,
    MemoryEventView,
    MemoryKind,
    NewMemories,
    NewMemory,
)
from memroos_kit.clock import to_micros
from memroos_kit.db import Hot, Tx
from memroos_kit.text import words

TEXT_BYTES_MAX = 65_536
"""Longest text of one event; longer things are artifacts, kept by who made them."""

DATA_BYTES_MAX = 65_536


class Event(StrEnum):
    """What happens to memories, in the ledger."""

    WRITTEN = "memory.written"
    READ = "memory.read"
    RECALLED = "memory.recalled"
    TRACES_READ = "memory.traces_read"
    REMOVED = "memory.removed"
    UPDATED = "memory.updated"
    SUPERSEDED = "memory.superseded"
    ROLLED_BACK = "memory.rolled_back"
    REPLAYED = "memory.replayed"
    REINDEXED = "memory.reindexed"
    EVALUATED = "memory.evaluated"
    POLICY_SET = "memory.policy_set"
    POLICY_DELETED = "memory.policy_deleted"


_E = MemoryEvent
_INSERT = Hot(insert(_E), columns=[column.name for column in _E.__table__.columns if column.name != "seq"])
_LAST_IN_STREAM = Hot(
    select(func.max(_E.stream_seq)).where(_E.workspace_id == bindparam("workspace"), _E.stream == bindparam("stream"))
)
_INDEX = Hot(text("INSERT INTO memory_index (rowid, readers, words) VALUES (:seq, :readers, :words)"))
_UNINDEX = Hot(
    text("INSERT INTO memory_index (memory_index, rowid, readers, words) VALUES ('delete', :seq, :readers, :words)")
)
_first = upsert(MemoryScope).values(
    token=bindparam("token"), documents=bindparam("documents"), words=bindparam("count")
)
_COUNT = Hot(
    _first.on_conflict_do_update(
        index_elements=["token"],
        set_={
            "documents": MemoryScope.documents + _first.excluded.documents,
            "words": MemoryScope.words + _first.excluded.words,
        },
    )
)


# -- writing -----------------------------------------------------------------------------------------------------------


def append_event(  # noqa: PLR0913 - the words of one event
    tx: Tx,
    *,
    stream: str,
    kind: MemoryKind | str,
    text: str,
    author: str = "",
    owner: str = "",
    agent_id: str = "",
    user_id: str = "",
    run_id: str = "",
    task_id: str = "",
    context_id: str = "",
    speaker: str = "",
    occurred_at: datetime | None = None,
    data: dict[str, Any] | None = None,
    source: dict[str, Any] | None = None,
    label: Label = INTERNAL,
) -> MemoryEventView:
    """Keep an event as a part of another verb, which has decided and records; it is found as soon as that commits.

    A text beyond 64 KiB is cut, and `source` says so.

    Args:
        author: the principal it comes from; the actor where left out.
        owner: the principal for whom it was done.
        agent_id: the agent it was addressed to.
    """
    digest = audit.digest(text)
    if len(text) > TEXT_BYTES_MAX // 4 and len(encoded := text.encode()) > TEXT_BYTES_MAX:
        text = encoded[:TEXT_BYTES_MAX].decode(errors="ignore")
        source = {**(source or {}), "cut_from_bytes": len(encoded)}
    event = MemoryEventView(
        id=tx.new_id("mem"),
        workspace_id=tx.actor.workspace,
        stream=stream,
        stream_seq=0,
        kind=MemoryKind(kind),
        author=author or tx.actor.principal,
        owner=owner,
        agent_id=agent_id,
        user_id=user_id,
        run_id=run_id,
        task_id=task_id,
        context_id=context_id,
        speaker=speaker,
        occurred_at=occurred_at,
        text=text,
        data=data,
        source=source,
        label=label,
        digest=digest,
        created_at=tx.now,
    )
    return _add(tx, event)


def remember(  # noqa: PLR0913 - the words of one event
    tx: Tx,
    *,
    stream: str,
    kind: MemoryKind | str,
    text: str,
    source: dict[str, Any] | None = None,
    label: Label = INTERNAL,
    user_id: str = "",
    run_id: str = "",
    task_id: str = "",
    context_id: str = "",
    speaker: str = "",
    occurred_at: datetime | None = None,
    data: dict[str, Any] | None = None,
) -> MemoryEventView:
    """Keep something in the actor's own stream; it can be recalled at once.

    Args:
        stream: the actor's principal, or a part of it such as `agent:agt_01J.../notes`.

    Raises:
        Denied: policy does not let this actor write memories.
        InvalidRequest: there is no text.
        NotYourStream: the stream belongs to somebody else.
        TooLarge: text or data is larger than 64 KiB.
    """
    actor = tx.actor
    agent = actor.agent or ""
    asset = Asset(kind="memory", id=stream, owner=actor.principal, agent=agent, label=label)
    tx.authorize(Action.MEMORY_WRITE, asset)
    if stream != actor.principal and not stream.startswith(f"{actor.principal}/"):
        raise NotYourStream(stream=stream)
    _check_size(text, data, source)
    event = append_event(
        tx,
        stream=stream,
        kind=kind,
        text=text,
        owner=actor.principal,
        agent_id=agent,
        user_id=user_id,
        run_id=run_id,
        task_id=task_id,
        context_id=context_id,
        speaker=speaker,
        occurred_at=occurred_at,
        data=data,
        source=source,
        label=label,
    )
    audit.record(tx, Event.WRITTEN.value, asset, memory=event.id, kind=event.kind.value, digest=event.digest)
    return event


def write_memory(tx: Tx, new: NewMemory) -> MemoryEventView:
    """Keep a memory or a receipt for the actor, in its own stream or a part of that.

    Raises:
        what `remember` raises, and InvalidRequest for a receipt without an action, or a kind that only the kernel
            writes.
    """
    data = new.data
    if new.kind is MemoryKind.RECEIPT:
        if not new.action:
            raise InvalidRequest("A receipt names the action.", fields={"action": "needed for a receipt"})
        data = {"action": new.action, "outcome": new.outcome, **({"details": data} if data else {})}
    elif new.kind is not MemoryKind.MEMORY or new.action or new.outcome:
        fields = {"kind": "memory, or receipt with an action"}
        raise InvalidRequest("Write a memory, or a receipt of an action.", fields=fields)
    return remember(
        tx,
        stream=f"{tx.actor.principal}/{new.stream}" if new.stream else tx.actor.principal,
        kind=new.kind,
        text=new.text,
        source=new.source,
        label=new.label,
        user_id=new.user_id,
        run_id=new.run_id,
        task_id=new.task_id,
        context_id=new.context_id,
        speaker=new.speaker,
        occurred_at=new.occurred_at,
        data=data,
    )


def write_memories(tx: Tx, new: NewMemories) -> KeptMemories:
    """Keep several memories in this order; one that is refused keeps all from being kept.

    Raises:
        what `write_memory` raises; the detail says which one.
    """
    kept = []
    for number, one in enumerate(new.memories):
        try:
            kept.append(write_memory(tx, one))
        except (InvalidRequest, TooLarge) as error:
            error.facts["memory"] = number
            raise
    return KeptMemories(kept)


def _check_size(text: str, *objects: dict[str, Any] | None) -> None:
    if not text.strip():
        raise InvalidRequest("A memory needs a text.", fields={"text": "is empty"})
    if len(text.encode()) > TEXT_BYTES_MAX or any(len(msgspec.json.encode(part)) > DATA_BYTES_MAX for part in objects):
        raise TooLarge(limit_bytes=TEXT_BYTES_MAX)


def _add(tx: Tx, event: MemoryEventView) -> MemoryEventView:
    assert event.text is not None
    (last,) = tx.execute(_LAST_IN_STREAM, workspace=event.workspace_id, stream=event.stream).fetchone()
    event = msgspec.structs.replace(event, stream_seq=(last or 0) + 1)
    columns = msgspec.structs.asdict(event)
    columns |= {
        "kind": event.kind.value,
        "data": _json(event.data),
        "source": _json(event.source),
        "label": msgspec.json.encode(event.label, order="sorted").decode(),
        "private": int(labels.is_private(event.label)),
        "created_at": to_micros(event.created_at),
        "occurred_at": None if event.occurred_at is None else to_micros(event.occurred_at),
    }
    seq = tx.execute(_INSERT, **columns).lastrowid
    assert seq is not None
    put_in_index(tx, seq, event)
    bell.ring(tx)
    return event


def put_in_index(tx: Tx, seq: int, event: MemoryEventView) -> None:
    """Let an event be found by its words, and count it for those who may see it."""
    found = words.words_of(event.text or "")
    tokens = [readers.token(event.workspace_id, reader) for reader in readers.readers_of(event)]
    tx.execute(_INDEX, seq=seq, readers=" ".join(tokens), words=" ".join(found))
    for token in tokens:
        tx.execute(_COUNT, token=token, documents=1, count=len(found))


def take_from_index(tx: Tx, seq: int, event: MemoryEventView) -> None:
    """Let an event be found no more, nor counted: the reverse of `put_in_index`."""
    found = words.words_of(event.text or "")
    tokens = [readers.token(event.workspace_id, reader) for reader in readers.readers_of(event)]
    # FTS5 without content removes an entry only if it is told exactly what was put in.
    tx.execute(_UNINDEX, seq=seq, readers=" ".join(tokens), words=" ".join(found))
    for token in tokens:
        tx.execute(_COUNT, token=token, documents=-1, count=-len(found))


def _json(value: dict[str, Any] | None) -> str | None:
    return None if value is None else msgspec.json.encode(value).decode()
