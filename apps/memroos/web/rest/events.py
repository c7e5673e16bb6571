"""The event log over REST: as a stream that can be resumed, and page by page."""

from collections.abc import AsyncIterator
from typing import Annotated

from litestar import Controller, get
from litestar.di import NamedDependency
from litestar.params import FromQuery, HeaderParameter, QueryParameter
from litestar.response import Stream

from memroos import events
from memroos.settings import Settings
from memroos.web.streams import Streams
from memroos_contracts.errors import InvalidRequest
from memroos_contracts.events import EventLogPage
from memroos_contracts.identity import Actor
from memroos_kit.db import Database
from memroos_kit.stopping import Stopping

PAGE_MAX = 100
TYPES_MAX = 20
KEEP_ALIVE_S = 15.0
CHUNK = 500
"""How many events of the backlog are read at once."""

Db = NamedDependency[Database]
Caller = NamedDependency[Actor]
Notifier = NamedDependency[events.Notifier]
TypeWishes = Annotated[list[str] | None, QueryParameter(name="type")]
LastEventId = Annotated[str | None, HeaderParameter(name="Last-Event-ID")]


class EventController(Controller):
    """What happens, for whoever wants to react to it."""

    path = "/api/events"
    tags = ("events",)

    @get("/", operation_id="streamEvents")
    async def stream_events(
        self,
        db: Db,
        actor: Caller,
        notifier: Notifier,
        open_streams: NamedDependency[Streams],
        settings: NamedDependency[Settings],
        types: TypeWishes = None,
        subject: FromQuery[str] = "",
        after: FromQuery[int | None] = None,
        last_event_id: LastEventId = None,
    ) -> Stream:
        """Follow the log as server-sent events.

        Each message's id is its offset, so `Last-Event-ID` (or `after`) goes on where you were; without either it
        begins now. `type=task` takes every `task.*`; repeat it for more. A message `reset` says that events behind
        your id are gone: read the present state; the stream goes on from the oldest that is kept.
        """
        wanted = events.Filter.of(actor, types=_types(types), subject=subject)
        start = _start(last_event_id, after)
        frames = _frames(db, notifier, open_streams, actor, wanted, start, keep_alive_s=settings.keepalive_s)
        opening = await anext(frames)  # here, so that what forbids the stream is still an answer with a status
        return Stream(_rest(opening, frames), media_type="text/event-stream", headers={"cache-control": "no-store"})

    @get("/log", operation_id="listEvents")
    async def list_events(
        self,
        db: Db,
        actor: Caller,
        types: TypeWishes = None,
        subject: FromQuery[str] = "",
        after: FromQuery[int] = 0,
        limit: FromQuery[int] = 50,
        cursor: FromQuery[str | None] = None,
    ) -> EventLogPage:
        """List events, oldest first."""
        if not 1 <= limit <= PAGE_MAX:
            raise InvalidRequest(f"limit: between 1 and {PAGE_MAX}.", fields={"limit": f"between 1 and {PAGE_MAX}"})
        return await db.read(
            actor,
            events.list_events,
            types=_types(types),
            subject=subject,
            after=after,
            limit=limit,
            cursor=cursor,
        )


async def _frames(
    db: Database,
    notifier: events.Notifier,
    open_streams: Streams,
    actor: Actor,
    wanted: events.Filter,
    after: int | None,
    *,
    keep_alive_s: float,
) -> AsyncIterator[bytes]:
    with open_streams.open(actor) as ended:
        async for piece in follow(db, notifier, actor, wanted, after=after, ended=ended, keep_alive_s=keep_alive_s):
            yield piece


async def _rest(opening: bytes, frames: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield opening
    async for piece in frames:
        yield piece


async def follow(
    db: Database,
    notifier: events.Notifier,
    actor: Actor,
    wanted: events.Filter,
    *,
    after: int | None,
    ended: Stopping,
    keep_alive_s: float = KEEP_ALIVE_S,
) -> AsyncIterator[bytes]:
    """Yield the log after an offset, then live, as server-sent events; nothing twice, nothing left out.

    The first piece comes at once, also when nothing has happened.

    Args:
        wanted: of `events.Filter.of(actor)`.
        after: the offset behind which to begin; None for now.
        ended: set from outside when the stream has to end.
        keep_alive_s: quiet seconds after which a message without data is sent.
    """
    at, caught_up = after, False
    # First without being registered, so that a long backlog cannot overflow the feed.
    while not caught_up and not ended.is_set():
        stretch = await db.read(actor, events.read_stretch, wanted, after=at, limit=CHUNK)
        yield _frames_of(stretch)
        at, caught_up = stretch.after, not stretch.more
    assert at is not None or ended.is_set()
    with notifier.feed(wanted) as feed, ended.calling(feed.close):
        # Now again: what was committed before the registration is in the log, what comes later in the feed, and what
        # is in both is passed over by its offset.
        more = True
        while more and not feed.closed:
            stretch = await db.read(actor, events.read_stretch, wanted, after=at, limit=CHUNK)
            at, more = stretch.after, stretch.more
            if stretch.rows or stretch.expired:
                yield _frames_of(stretch)
        while (piece := await feed.next(keep_alive_s, after=at or 0)) is not None:
            last, frames = piece
            # Everything up to the notifier's position was offered to this feed, so a quiet reader moves on too.
            at = max(at or 0, last or notifier.position)
            yield frames or events.position_frame(at)


def _frames_of(stretch: events.Stretch) -> bytes:
    reset = events.reset_frame(stretch.oldest) if stretch.expired else b""
    frames = b"".join(events.frame(row) for row in stretch.rows)
    return reset + frames or events.position_frame(stretch.after)


def _start(last_event_id: str | None, after: int | None) -> int | None:
    """Return the offset to go on from; what a reader saw last counts more than where it once began."""
    if not last_event_id:
        return after
    if not (last_event_id.isascii() and last_event_id.isdecimal() and len(last_event_id) < 19):
        raise InvalidRequest("Last-Event-ID: an id of this stream.", fields={"Last-Event-ID": "an id of this stream"})
    return int(last_event_id)


def _types(types: list[str] | None) -> tuple[str, ...]:
    wanted = tuple(sorted({type_ for type_ in types or () if type_}))
    if len(wanted) > TYPES_MAX:
        raise InvalidRequest(f"type: at most {TYPES_MAX}.", fields={"type": f"at most {TYPES_MAX}"})
    return wanted
