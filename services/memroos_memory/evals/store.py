"""Evaluations of recall, as they are kept."""

import msgspec
from sqlalchemy import bindparam, insert, select

from memroos_contracts.memory_items import Viewer
from memroos_contracts.pages import Page
from memroos_contracts.recall_evals import NewRecallEval, RecallEvalView
from memroos_kit import cursors
from memroos_kit.clock import from_micros, to_micros
from memroos_kit.db import Hot, Read, Tx
from memroos_memory.models import RecallEval

_E = RecallEval
_HIGHEST = "~"  # sorts behind every id
_ADD = Hot(insert(_E))
_NEWEST_FIRST = Hot(
    select(_E.id, _E.result, _E.embedder, _E.program, _E.at, _E.by)
    .where(_E.workspace_id == bindparam("workspace"), _E.id < bindparam("before"))
    .order_by(_E.id.desc())
    .limit(bindparam("most"))
)


def keep(tx: Tx, viewer: Viewer, result: NewRecallEval, *, embedder: str, version: str) -> RecallEvalView:
    """Keep the outcome of an evaluation for the viewer's workspace.

    Args:
        embedder: what made the vectors meanwhile.
        version: of the program.
    """
    view = RecallEvalView(tx.new_id("evl"), result, embedder, version, tx.now, viewer.principal)
    tx.execute(
        _ADD,
        id=view.id,
        workspace_id=viewer.workspace_id,
        result=msgspec.json.encode(result).decode(),
        embedder=embedder,
        program=version,
        by=view.by,
        at=to_micros(view.at),
    )
    return view


def list_evals(tx: Read, viewer: Viewer, *, limit: int, cursor: str | None = None) -> Page[RecallEvalView]:
    """Return the evaluations of the viewer's workspace, the newest first.

    Raises:
        InvalidCursor: the cursor is of another listing.
    """
    kind = cursors.listing("recall_evals", workspace=viewer.workspace_id)
    before = cursors.decode(kind, cursor, str)[0] if cursor else _HIGHEST
    rows = tx.execute(_NEWEST_FIRST, workspace=viewer.workspace_id, before=before, most=limit + 1).fetchall()
    items = [
        RecallEvalView(id_, msgspec.json.decode(result, type=NewRecallEval), embedder, program, from_micros(at), by)
        for id_, result, embedder, program, at, by in rows[:limit]
    ]
    return Page(items, cursors.encode(kind, items[-1].id) if len(rows) > limit else None)
