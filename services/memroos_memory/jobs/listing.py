"""What can be seen of the line, by whom, and how a dead letter comes back to life.

A viewer sees the jobs of the scopes it may see. Work on a whole index is seen by those who run the workspace it was
asked from, its extent in percent only: the index holds what is not theirs.
"""

from collections.abc import Sequence
from typing import Any

import msgspec

from memroos_contracts.errors import NotFound
from memroos_contracts.memory_items import Viewer
from memroos_contracts.memory_work import JobCounts, JobLabel, JobState, JobView, ReplayReport
from memroos_contracts.pages import Page
from memroos_kit import cursors
from memroos_kit.clock import from_micros, to_micros
from memroos_kit.db import Read, Tx
from memroos_memory.jobs import statements as sql
from memroos_memory.jobs.bell import JOURNAL

PAGE_MAX = 100
_NEWEST = 2**62


def list_jobs(
    tx: Read, viewer: Viewer, *, state: JobState | None = None, cursor: str | None = None, limit: int = 50
) -> Page[JobView]:
    """List jobs, newest first.

    Raises:
        InvalidCursor: it is of another listing.
    """
    limit = max(1, min(limit, PAGE_MAX))
    kind = cursors.listing("jobs", workspace=viewer.workspace_id, reader=viewer.reader, state=state)
    before = _NEWEST if cursor is None else _place(tx, cursors.decode(kind, cursor, str)[0])
    asked: dict[str, Any] = {**_of(viewer), "before": before, "most": limit + 1}
    if state is None:
        rows = tx.execute(sql.LIST, **asked).fetchall()
    else:
        rows = tx.execute(sql.LIST_IN_STATE, **asked, state=state.value).fetchall()
    more = len(rows) > limit
    rows = rows[:limit]
    return Page([_view(row) for row in rows], cursors.encode(kind, rows[-1][1]) if more else None)


def _place(tx: Read, job_id: str) -> int:
    """Return a job's number, or where it was; no cursor holds it, as it would tell how much work others make."""
    row = tx.execute(sql.PLACE, id=job_id).fetchone()
    return _NEWEST if row is None else int(row[0])


def get_job(tx: Read, viewer: Viewer, job_id: str) -> JobView:
    """Return a job as it stands.

    Raises:
        NotFound: no job has this id, or the viewer may not see it.
    """
    row = tx.execute(sql.BY_ID, id=job_id, **_of(viewer)).fetchone()
    if row is None:
        raise NotFound(kind_of_object="job", id=job_id)
    return _view(row)


def counts(tx: Read, scope_seqs: Sequence[int] | None = None) -> JobCounts:
    """Count the jobs that are not done; of some scopes, or of all."""
    if scope_seqs is None:
        rows = tx.execute(sql.COUNTS).fetchall()
    else:
        rows = tx.execute(sql.COUNTS_OF_SCOPES, scopes=msgspec.json.encode(list(scope_seqs)).decode()).fetchall()
    return _counts(rows)


def counts_of(tx: Read, viewer: Viewer) -> JobCounts:
    """Count the jobs that are not done and that a viewer may see."""
    return _counts(tx.execute(sql.COUNTS_OF_VIEWER, **_of(viewer)).fetchall())


def replay(tx: Tx, viewer: Viewer, job_id: str | None = None) -> ReplayReport:
    """Put dead letters back into line, with all their attempts: one, or all that the viewer may see.

    Raises:
        NotFound: no job has this id, or the viewer may not see it.
    """
    asked = {**_of(viewer), "now": to_micros(tx.now)}
    if job_id is None:
        replayed = tx.execute(sql.REPLAY_ALL, **asked).rowcount
    else:
        get_job(tx, viewer, job_id)
        replayed = tx.execute(sql.REPLAY_ONE, **asked, id=job_id).rowcount
    if replayed:
        tx.journal(JOURNAL).append(None)
    return ReplayReport(replayed)


def _of(viewer: Viewer) -> dict[str, str]:
    return {"workspace": viewer.workspace_id, "reader": viewer.reader}


def _counts(rows: Sequence[Sequence[Any]]) -> JobCounts:
    found: dict[str, int] = {row[0]: row[1] for row in rows}
    return JobCounts(found.get("waiting", 0), found.get("running", 0), found.get("dead", 0))


def _view(row: Sequence[Any]) -> JobView:
    _, id_, label, state, scope_seq, scope_id, items, payload, done, attempts, error, not_before, created, updated = row
    if scope_seq == 0:
        total = (msgspec.json.decode(payload) if payload else {}).get("total", 0)
        done = 100 if state == JobState.DONE else min(99, done * 100 // total) if total else 0
        items = 100
    elif state == JobState.DONE:
        done = items
    waits = state == JobState.WAITING and not_before > created
    return JobView(
        id=id_,
        label=JobLabel(label),
        state=JobState(state),
        scope_id=scope_id,
        items=items,
        done=done,
        attempts=attempts,
        error=error,
        not_before=from_micros(not_before) if waits else None,
        created_at=from_micros(created),
        updated_at=from_micros(updated),
    )
