"""Traces: that memory was handed out, to whom, and what came of it."""

from collections.abc import Sequence
from datetime import datetime

import msgspec
from sqlalchemy import insert, text

from memroos import audit
from memroos.memory.models import MemoryTrace
from memroos.memory.queries.traces import list_traces
from memroos.memory.service.writing import Event
from memroos_contracts import labels, prompts
from memroos_contracts.governance import Asset, Label
from memroos_contracts.memory import Arm, RecallItem
from memroos_contracts.pages import Page
from memroos_contracts.recollection import MemoryTraceView, TraceHit
from memroos_kit.clock import to_micros
from memroos_kit.db import Hot, Tx

FORGET_AT_ONCE = 500
PAGE = 50

_ADD = Hot(insert(MemoryTrace))
_USED = Hot(text("UPDATE memory_trace SET hits = :hits WHERE id = :id"))
_FORGET = Hot(
    text(
        "DELETE FROM memory_trace WHERE id IN (SELECT id FROM memory_trace WHERE at < :before ORDER BY at LIMIT :most)"
    )
)


class Handout(msgspec.Struct, frozen=True, kw_only=True):
    """What a trace says beside who and when."""

    cause: str
    """`recall`, `context` or `recollection`."""
    query: str
    task_id: str = ""
    purpose: str = ""
    policy_id: str = ""
    arms: Sequence[Arm] = ()
    missing: Sequence[Arm] = ()
    hits: Sequence[RecallItem] = ()
    tokens: int = 0
    abstained: str = ""
    took_s: float = 0.0


def keep_trace(tx: Tx, handout: Handout, label: Label) -> None:
    """Keep that memory was handed out, in the same transaction as the ledger's entry.

    Args:
        label: of all that was handed out, and of what was asked with. The question is not kept where that is private:
            it speaks of the same.
    """
    tx.execute(
        _ADD,
        id=tx.new_id("mtr"),
        workspace_id=tx.actor.workspace,
        cause=handout.cause,
        actor=tx.actor.principal,
        agent_id=tx.actor.agent or "",
        task_id=handout.task_id,
        purpose=handout.purpose,
        policy_id=handout.policy_id,
        query_digest=audit.digest(handout.query),
        query=None if labels.is_private(label) else handout.query,
        arms=_list(handout.arms),
        missing=_list(handout.missing),
        hits=_list([TraceHit(hit.item.id, hit.score, size_of(hit)) for hit in handout.hits]),
        tokens=handout.tokens,
        abstained=handout.abstained,
        took_us=round(handout.took_s * 1_000_000),
        at=to_micros(tx.now),
    )


def size_of(hit: RecallItem) -> int:
    """Return about how many tokens of text a hit gives out."""
    return prompts.tokens_of(hit.item.text or "")


def read_traces(
    tx: Tx, *, task_id: str | None = None, agent_id: str | None = None, limit: int = PAGE, cursor: str | None = None
) -> Page[MemoryTraceView]:
    """List what memory handed out to whom, the newest first, and record who read it: questions are content.

    Raises:
        Denied: policy does not let this actor see it.
        InvalidCursor: the cursor is of another listing.
    """
    found = list_traces(tx, task_id=task_id, agent_id=agent_id, limit=limit, cursor=cursor)
    if found.items:
        traces = [trace.id for trace in found.items]
        audit.record(tx, Event.TRACES_READ.value, Asset(kind="memory", id="traces"), traces=traces)
    return found


def mark_used(tx: Tx, trace_id: str, hits: Sequence[TraceHit]) -> None:
    """Note which of the hits came back in what the agent said afterwards."""
    tx.execute(_USED, id=trace_id, hits=_list(hits))


def forget_traces(tx: Tx, before: datetime) -> int:
    """Forget a chunk of the traces from before an instant; returns how many, 0 when none are left."""
    return tx.execute(_FORGET, before=to_micros(before), most=FORGET_AT_ONCE).rowcount


def _list(values: Sequence[object]) -> str:
    return msgspec.json.encode(list(values)).decode()
