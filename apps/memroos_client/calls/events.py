"""The event log: what happened, live and from the log."""

from collections.abc import Sequence

import msgspec

from memroos_client.call import Call, Stream, path, query
from memroos_client.sse import ServerSentEvent
from memroos_contracts.events import EventLogPage, EventView


class Reset(msgspec.Struct, frozen=True):
    """Events between the reader's place and `oldest` are no longer kept: read the present state, then go on."""

    oldest: int


def follow(*, types: Sequence[str] = (), subject: str = "", after: int | None = None) -> Stream[EventView | Reset]:
    """Follow the log without end.

    Args:
        types: only these; `task` stands for all that begin with `task.`.
        subject: only events about this, such as a task's id.
        after: begin behind this offset; left out, with what happens from now on.
    """
    return Stream(
        path=path("events"),
        query=query(type=list(types), subject=subject),
        last_event_id="" if after is None else str(after),
        read=_read,
    )


def _read(event: ServerSentEvent) -> EventView | Reset:
    if event.event == "reset":
        return msgspec.json.decode(event.data, type=Reset)
    return msgspec.json.decode(event.data, type=EventView)


def log(
    *,
    types: Sequence[str] = (),
    subject: str = "",
    after: int | None = None,
    limit: int | None = None,
    cursor: str | None = None,
) -> Call[EventLogPage]:
    """Read the log, oldest first."""
    wanted = query(type=list(types), subject=subject, after=after, limit=limit, cursor=cursor)
    return Call(method="GET", path=path("events", "log"), query=wanted, returns=EventLogPage)
