"""Reads of traces: what memory handed out."""

from typing import Any

import msgspec
from sqlalchemy import String, bindparam, or_, select

from memroos.memory.models import MemoryTrace
from memroos_contracts.governance import Action, Asset
from memroos_contracts.identity import WorkspaceId
from memroos_contracts.memory import Arm
from memroos_contracts.pages import Page
from memroos_contracts.recollection import MemoryTraceView, TraceHit
from memroos_kit import cursors
from memroos_kit.clock import from_micros
from memroos_kit.db import Hot, Read

_T = MemoryTrace
_COLUMNS = (
    "id",
    "cause",
    "actor",
    "agent_id",
    "task_id",
    "purpose",
    "policy_id",
    "query_digest",
    "query",
    "arms",
    "missing",
    "hits",
    "tokens",
    "abstained",
    "took_us",
    "at",
)
_row = select(*(getattr(_T, name) for name in _COLUMNS))
_here = _T.workspace_id == bindparam("workspace")
_agent = or_(bindparam("agent", type_=String).is_(None), _T.agent_id == bindparam("agent"))
_LIST = Hot(_row.where(_here, _T.id < bindparam("before"), _agent).order_by(_T.id.desc()).limit(bindparam("most")))
_OF_TASK = Hot(
    _row.where(_here, _T.task_id == bindparam("task"), _T.task_id != "", _T.id < bindparam("before"), _agent)
    .order_by(_T.id.desc())
    .limit(bindparam("most"))
)
_WORKSPACES = Hot(
    select(_T.workspace_id)
    .where(_T.task_id == bindparam("task"), _T.task_id != "", _T.cause == "recollection")
    .distinct()
)
_REMINDED = Hot(
    select(_T.task_id)
    .where(_T.task_id != "", _T.cause == "recollection", _T.at >= bindparam("since"))
    .distinct()
    .limit(10_000)
)
_END = "~"  # after every id


def list_traces(
    tx: Read, *, task_id: str | None = None, agent_id: str | None = None, limit: int, cursor: str | None = None
) -> Page[MemoryTraceView]:
    """List what memory handed out to whom in the actor's workspace, the newest first.

    Raises:
        Denied: policy does not let this actor see it.
        InvalidCursor: the cursor is of another listing.
    """
    tx.authorize(Action.MEMORY_TRACE, Asset(kind="memory", id="traces"))
    kind = cursors.listing("memory-traces", workspace=tx.actor.workspace, task=task_id, agent=agent_id)
    before = _END if cursor is None else cursors.decode(kind, cursor, str)[0]
    found = _find(tx, task_id=task_id, agent_id=agent_id, before=before, most=limit + 1)
    more = cursors.encode(kind, found[limit - 1].id) if len(found) > limit else None
    return Page(found[:limit], more)


def list_recollections(tx: Read, task_id: str) -> list[MemoryTraceView]:
    """Return the traces of a task in which something was handed out; for whoever looks whether it helped."""
    found = _find(tx, task_id=task_id, agent_id=None, before=_END, most=100)
    return [trace for trace in found if trace.hits and trace.cause == "recollection"]


def list_workspaces_of(tx: Read, task_id: str) -> list[WorkspaceId]:
    """Return where somebody was reminded of something for a task: one workspace, or none."""
    return [WorkspaceId(found) for (found,) in tx.execute(_WORKSPACES, task=task_id).fetchall()]


def list_reminded(tx: Read, since: int) -> list[str]:
    """Return the tasks, of all workspaces, for which somebody was reminded of something since an instant."""
    return [task_id for (task_id,) in tx.execute(_REMINDED, since=since).fetchall()]


def _find(tx: Read, *, task_id: str | None, agent_id: str | None, before: str, most: int) -> list[MemoryTraceView]:
    where: dict[str, Any] = {"workspace": tx.actor.workspace, "agent": agent_id, "before": before, "most": most}
    rows = (tx.execute(_LIST, **where) if task_id is None else tx.execute(_OF_TASK, task=task_id, **where)).fetchall()
    return [_view(dict(zip(_COLUMNS, row, strict=True))) for row in rows]


def _view(row: dict[str, Any]) -> MemoryTraceView:
    took_us = row.pop("took_us")
    return MemoryTraceView(
        **row
        | {
            "arms": tuple(msgspec.json.decode(row["arms"], type=list[Arm])),
            "missing": tuple(msgspec.json.decode(row["missing"], type=list[Arm])),
            "hits": msgspec.json.decode(row["hits"], type=list[TraceHit]),
            "took_ms": took_us / 1_000,
            "at": from_micros(row["at"]),
        }
    )
