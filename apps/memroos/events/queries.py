"""Reading the event log."""

from functools import lru_cache
from typing import Any

import msgspec
from sqlalchemy import BindParameter, bindparam, column, func, or_, select, table

from memroos.events.models import event
from memroos.events.rules import Filter, Row, prefix_of, view
from memroos_contracts.events import EventLogPage
from memroos_contracts.governance import Action, Asset
from memroos_kit import cursors
from memroos_kit.db import Hot, Read

LOG = Asset(kind="event_log", id="events")

_sequence = table("sqlite_sequence", column("name"), column("seq"))

LAST_OFFSET = Hot(select(_sequence.c.seq).where(_sequence.c.name == "event"))
"""The offset that was given last, also when retention has deleted its event."""

_OLDEST = Hot(select(func.min(event.c.offset)))


class Stretch(msgspec.Struct, frozen=True):
    """What a reader finds when it reads the log on from an offset."""

    rows: list[Row]
    after: int
    """Where to read on: everything up to here has been looked at."""
    more: bool
    """Whether there was more to look at."""
    oldest: int
    """The oldest offset that is still kept, or the next one that will be given."""
    newest: int
    """The offset that was given last; 0 before the first."""
    expired: bool
    """Whether events behind the offset asked for are gone, or it was never given: then the rows begin at the oldest."""


def read_stretch(tx: Read, wanted: Filter, *, after: int | None, limit: int) -> Stretch:
    """Return the events that a filter lets through, in order, as they are stored.

    Args:
        wanted: of `Filter.of(tx.actor)`, so that it shows no more than the actor may see.
        after: the offset behind which to begin; None for the end of the log.
        limit: how many at most.

    Raises:
        Denied: the actor may not read events.
    """
    tx.authorize(Action.EVENT_READ, LOG)
    last = tx.execute(LAST_OFFSET).fetchone()
    newest: int = last[0] if last else 0
    (oldest,) = tx.execute(_OLDEST).fetchone()
    oldest = newest + 1 if oldest is None else oldest
    if after is None:
        return Stretch([], newest, more=False, oldest=oldest, newest=newest, expired=False)
    # An offset beyond the newest comes from a log that was since replaced by an older copy.
    expired = not oldest - 1 <= after <= newest
    start = oldest - 1 if expired else after
    rows = tx.execute(_statement(_form(wanted)), after=start, limit=limit, **_parameters(wanted)).fetchall()
    more = len(rows) == limit
    return Stretch(rows, rows[-1][0] if more else newest, more, oldest, newest, expired)


def list_events(
    tx: Read,
    *,
    types: tuple[str, ...] = (),
    subject: str = "",
    after: int = 0,
    cursor: str | None = None,
    limit: int = 50,
) -> EventLogPage:
    """Return the events that the actor may see, oldest first.

    Args:
        types: only these; `task` stands for all that begin with `task.`.
        subject: only events about this.
        after: begin behind this offset.
        cursor: where the page before ended.
        limit: how many at most.

    Raises:
        Denied: the actor may not read events.
        InvalidCursor: the cursor belongs to another listing.
    """
    listing = cursors.listing("events", types=types, subject=subject)
    if cursor is not None:
        (after,) = cursors.decode(listing, cursor, int)
    stretch = read_stretch(tx, Filter.of(tx.actor, types=types, subject=subject), after=after, limit=limit)
    return EventLogPage(
        items=[view(row) for row in stretch.rows],
        next_cursor=cursors.encode(listing, stretch.after) if stretch.more else None,
        oldest=stretch.oldest,
        newest=stretch.newest,
    )


_Form = tuple[bool, bool, bool, int]
"""Which parts of a filter are set: owner, agent, subject, and how many types."""


def _form(wanted: Filter) -> _Form:
    return (wanted.owner is not None, wanted.agent is not None, bool(wanted.subject), len(wanted.types))


def _parameters(wanted: Filter) -> dict[str, Any]:
    given = {"workspace": wanted.workspace, "owner": wanted.owner, "agent": wanted.agent}
    parameters: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    if wanted.subject:
        parameters["subject"] = wanted.subject
    for number, wish in enumerate(wanted.types):
        parameters |= {f"type_{number}": wish, f"prefix_{number}": prefix_of(wish)}
    return parameters


@lru_cache(maxsize=128)
def _statement(form: _Form) -> Hot:
    """Return the statement for the parts that are set: the same choice as `Filter.matches`."""
    owner, agent, subject, types = form
    query = (
        select(event)
        .where(event.c.offset > bindparam("after"), event.c.workspace_id == bindparam("workspace"))
        .order_by(event.c.offset)
        .limit(bindparam("limit"))
    )
    if owner:
        own = [event.c.owner == bindparam("owner")]
        query = query.where(or_(*own, event.c.agent == bindparam("agent")) if agent else own[0])
    if subject:
        query = query.where(event.c.subject == bindparam("subject"))
    if types:
        query = query.where(or_(*[_is_of_type(number) for number in range(types)]))
    return Hot(query)


def _is_of_type(number: int) -> Any:
    prefix: BindParameter[str] = bindparam(f"prefix_{number}")
    return or_(event.c.type == bindparam(f"type_{number}"), func.substr(event.c.type, 1, func.length(prefix)) == prefix)
