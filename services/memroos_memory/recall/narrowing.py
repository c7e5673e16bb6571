"""Which items a request leaves over: its filters as one SQL statement, the same for every arm."""

import json
from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any

import numpy as np
from sqlalchemy import text

from memroos_contracts.memory import RecallRequest
from memroos_contracts.memory_items import ItemView
from memroos_kit.clock import to_micros
from memroos_kit.db import Hot, Read
from memroos_memory import filters, lexical
from memroos_memory.recall.ground import Bools, Ground

_NAMES = ("stream", "author", "agent_id", "run_id", "task_id", "context_id")
_WHERE = {
    # What was learned has no such kind of its own.
    "recall_kinds": "(item.kind <> 'event' OR item.event_kind IN (SELECT value FROM json_each(:recall_kinds)))",
    "recall_since": "item.occurred_at >= :recall_since",
    "recall_until": "item.occurred_at < :recall_until",
    "recall_known_at": "item.created_at <= :recall_known_at",
    "recall_as_of": (
        "(item.valid_from IS NULL OR item.valid_from <= :recall_as_of) "
        "AND (item.valid_to IS NULL OR item.valid_to > :recall_as_of)"
    ),
    **{f"recall_{name}": f"item.{name} = :recall_{name}" for name in _NAMES},
}


def narrow(tx: Read, request: RecallRequest, scopes: Sequence[int], ground: Ground) -> Bools | None:
    """Return which rows the request's filters leave over, None where there are no filters.

    With `known_at` the typed filter is left out: it goes by what was known then, which `fits` looks at.

    Raises:
        FilterRefused: the filter cannot be honoured.
    """
    conditions, values = _conditions(request)
    if not conditions:
        return None
    (found,) = tx.execute(
        _statement(" AND ".join(conditions)), recall_scopes=json.dumps(list(scopes)), **values
    ).fetchone()
    left = np.zeros(len(ground), np.bool_)
    if found:
        rows = lexical.rows_in(ground.tables, np.fromstring(found, np.int64, sep=","))
        left[rows[rows >= 0]] = True
    return left


def fits(request: RecallRequest, item: ItemView) -> bool:
    """Whether an item, as it was known then, is what the request asks for; for requests with `known_at`."""
    if request.as_of is not None and not holds(item, request.as_of):
        return False
    return request.filter is None or filters.matches(request.filter, item)


def holds(item: ItemView, at: datetime) -> bool:
    """Whether what an item says holds at a time."""
    return (item.valid_from is None or item.valid_from <= at) and (item.valid_to is None or item.valid_to > at)


def _conditions(request: RecallRequest) -> tuple[list[str], dict[str, Any]]:
    values: dict[str, Any] = {
        "recall_kinds": json.dumps(list(request.kinds)) if request.kinds else None,
        "recall_since": _micros(request.since),
        "recall_until": _micros(request.until),
        "recall_known_at": _micros(request.known_at),
        "recall_as_of": _micros(request.as_of) if request.known_at is None else None,
        **{f"recall_{name}": getattr(request, name) for name in _NAMES},
    }
    values = {name: value for name, value in values.items() if value is not None}
    conditions = [condition for name, condition in _WHERE.items() if name in values]
    if request.filter is not None:
        compiled = filters.compile(request.filter)  # also where it is looked at later: a wrong one is refused now
        if request.known_at is None:
            conditions.append(compiled.sql)
            values |= compiled.parameters
    return conditions, values


def _micros(at: datetime | None) -> int | None:
    return to_micros(at) if at is not None else None


@lru_cache(maxsize=256)
def _statement(conditions: str) -> Hot:
    """Return a statement; its shape depends on what was asked, its values never stand in it."""
    return Hot(
        text(
            "SELECT group_concat(item.seq) FROM item "  # noqa: S608 - own names
            f"WHERE item.scope_seq IN (SELECT value FROM json_each(:recall_scopes)) AND {conditions}"
        )
    )
