"""How the kernel stands, in numbers. Everything is counted along an index or read from a running total."""

from collections.abc import Iterable
from datetime import datetime
from enum import StrEnum
from typing import TypeVar

import msgspec
from sqlalchemy import text

from memroos import memory
from memroos_contracts.broker import TaskState
from memroos_contracts.governance import Action, Asset
from memroos_contracts.identity import DEFAULT_WORKSPACE
from memroos_contracts.operations import (
    AgentCounts,
    ApprovalCounts,
    EventLogStanding,
    InboxCounts,
    LedgerStanding,
    MemoryStanding,
    OperationsView,
    ProcessStanding,
)
from memroos_contracts.registry import AgentState, Liveness
from memroos_kit.clock import from_micros, to_micros
from memroos_kit.db import Database, Hot, Read

E = TypeVar("E", bound=StrEnum)

OVERVIEW = Asset(kind="operations", id="overview")

_AGENTS = Hot(text("SELECT state, count(*) FROM agent WHERE workspace_id = :workspace GROUP BY state"))
_LIVENESS = Hot(
    text(
        "SELECT CASE WHEN agent.kind = 'local' THEN 'live' WHEN heartbeat.silent_at IS NULL THEN 'unknown' "
        "WHEN heartbeat.silent_at > :now THEN 'live' ELSE 'silent' END, count(*) "
        "FROM agent LEFT JOIN heartbeat ON heartbeat.agent_id = agent.id "
        "WHERE agent.workspace_id = :workspace AND agent.state = 'active' GROUP BY 1"
    )
)
_TASKS = Hot(text("SELECT state, sum(tasks) FROM task_count WHERE workspace_id = :workspace GROUP BY state"))
_INBOX = Hot(
    text(
        "SELECT coalesce(sum(queued), 0), coalesce(sum(leased), 0), coalesce(sum(dead), 0) "
        "FROM inbox_depth WHERE workspace_id = :workspace"
    )
)
_APPROVALS = Hot(
    text("SELECT count(*), min(created_at) FROM approval WHERE workspace_id = :workspace AND state = 'pending'")
)
_LEDGER = Hot(text("SELECT coalesce(max(seq), 0) FROM audit_event"))
_HEAD = Hot(text("SELECT size, at FROM audit_head ORDER BY size DESC LIMIT 1"))
_OLDEST_EVENT = Hot(text('SELECT min("offset") FROM event'))
_NEWEST_EVENT = Hot(text("SELECT seq FROM sqlite_sequence WHERE name = 'event'"))


class Process(msgspec.Struct, frozen=True):
    """The running kernel, as far as it is not in its database."""

    db: Database
    version: str
    started_at: datetime
    handover: memory.HandOver | None = None
    """None where no memory service is configured."""


def get_overview(tx: Read, process: Process) -> OperationsView:
    """Say how the kernel stands, for the actor's workspace.

    Raises:
        Denied: policy does not let this actor see it.
    """
    tx.authorize(Action.OPERATIONS_READ, OVERVIEW)
    here = {"workspace": tx.actor.workspace}
    queued, leased, dead = tx.execute(_INBOX, **here).fetchone()
    pending, oldest_at = tx.execute(_APPROVALS, **here).fetchone()
    return OperationsView(
        at=tx.now,
        workspace_id=tx.actor.workspace,
        agents=AgentCounts(
            by_state=_counts(AgentState, tx.execute(_AGENTS, **here).fetchall()),
            by_liveness=_counts(Liveness, tx.execute(_LIVENESS, **here, now=to_micros(tx.now)).fetchall()),
        ),
        tasks=_counts(TaskState, tx.execute(_TASKS, **here).fetchall()),
        inbox=InboxCounts(queued, leased, dead),
        approvals=ApprovalCounts(pending, None if oldest_at is None else from_micros(oldest_at)),
        ledger=_ledger(tx),
        events=_event_log(tx),
        process=_process(process, tx.now) if tx.actor.workspace == DEFAULT_WORKSPACE else None,
        memory=_memory(tx, process),
    )


def _counts(words: type[E], rows: Iterable[tuple[str, int]]) -> dict[E, int]:
    """Return a count for every word, zero included, so that readers need not know which there are."""
    found = dict(rows)
    return {word: found.get(word.value, 0) for word in words}


def _ledger(tx: Read) -> LedgerStanding:
    (events,) = tx.execute(_LEDGER).fetchone()
    head = tx.execute(_HEAD).fetchone()
    if head is None:
        return LedgerStanding(events=events, sealed=0, head_at=None, head_age_s=None)
    signed_at = from_micros(head[1])
    # A head is signed by the machine's clock, after the snapshot's instant was taken.
    return LedgerStanding(events, head[0], signed_at, max(0.0, (tx.now - signed_at).total_seconds()))


def _event_log(tx: Read) -> EventLogStanding:
    newest = tx.execute(_NEWEST_EVENT).fetchone()
    (oldest,) = tx.execute(_OLDEST_EVENT).fetchone()
    last: int = newest[0] if newest else 0
    return EventLogStanding(oldest=last + 1 if oldest is None else oldest, newest=last)


def _memory(tx: Read, process: Process) -> MemoryStanding:
    if process.handover is None:
        return MemoryStanding(configured=False, connected=False, pending=0, refused=0, removals=0)
    standing = process.handover.standing
    counts = memory.count_backlog(tx)
    return MemoryStanding(
        configured=True,
        connected=standing.connected,
        pending=counts.pending,
        refused=counts.refused,
        removals=counts.removals,
        away_since=standing.since,
        error=standing.error,
    )


def _process(process: Process, now: datetime) -> ProcessStanding:
    db = process.db
    files = (db.path, db.path.with_name(f"{db.path.name}-wal"))
    return ProcessStanding(
        version=process.version,
        started_at=process.started_at,
        uptime_s=(now - process.started_at).total_seconds(),
        database_bytes=sum(file.stat().st_size for file in files if file.exists()),
        writer_queue=db.waiting,
        commits=db.batches,
        changes=db.operations,
    )
