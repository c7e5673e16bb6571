"""Tasks over REST: for callers, and for agents that work at their inbox."""

import re
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Annotated

import msgspec
from litestar import Controller, Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, HeaderParameter, JSONBody, QueryParameter
from litestar.response import Stream

from memroos import broker, events, memory
from memroos.settings import Settings
from memroos.web import spans, streams
from memroos.web.long_poll import LongPoll
from memroos.web.streams import Streams
from memroos_contracts.broker import (
    ArtifactReport,
    CancelRequest,
    ClaimRequest,
    ClaimView,
    HeartbeatReport,
    Message,
    MessageRole,
    SendRequest,
    TaskDetail,
    TaskEvent,
    TaskState,
    TaskView,
    WorkReport,
)
from memroos_contracts.errors import InvalidRequest
from memroos_contracts.identity import Actor, TaskId
from memroos_contracts.pages import Page
from memroos_kit.db import Database
from memroos_kit.db.once import Idempotency, once
from memroos_kit.ids import new_id

PAGE_MAX = 100
GENERATION_MAX = 2**62

_ETAG = re.compile(r'"([0-9]{1,18})"')
_KEEP_ALIVE = b": keep-alive\n\n"

Db = NamedDependency[Database]
Caller = NamedDependency[Actor]
Notifier = NamedDependency[events.Notifier]
Tasks = NamedDependency[broker.Tasks]
After = Annotated[int, QueryParameter(ge=0, le=GENERATION_MAX)]
AfterGeneration = Annotated[int | None, QueryParameter(ge=0, le=GENERATION_MAX)]
IfMatch = Annotated[str, HeaderParameter(name="If-Match", description="The `ETag` you saw: only if it still is.")]
Via = Annotated[str, HeaderParameter(name="Via", description="The brokers it came through (RFC 9110, 7.6.3).")]


class TaskController(Controller):
    """Tasks, as those who send them see them."""

    path = "/api/tasks"
    tags = ("tasks",)

    @post("/", operation_id="sendTask", status_code=201)
    async def send_task(
        self,
        data: JSONBody[SendRequest],
        db: Db,
        tasks: Tasks,
        actor: Caller,
        notifier: Notifier,
        settings: NamedDependency[Settings],
        open_streams: NamedDependency[Streams],
        idempotency: NamedDependency[Idempotency | None],
        limits: NamedDependency[broker.Limits],
        wait_s: FromQuery[int] = 0,
        if_match: IfMatch = "*",
        via: Via = "",
        traceparent: Annotated[str, HeaderParameter(name="traceparent", description="W3C Trace Context.")] = "",
    ) -> TaskView:
        """Send a message to an agent, by name or by skill; wait for the end for up to `wait_s` seconds."""
        with spans.sending(traceparent) as sending:
            send = _send(data, Way(_generation(if_match), via, sending.traceparent, limits))
            task = await db.write(actor, once, idempotency, TaskView, broker.send_message, send)
            task = await streams.settled(tasks, notifier, actor, task, timeout_s=min(wait_s, settings.wait_max_s))
            sending.became(task)
        open_streams.demand_admitted(actor)
        return task

    @get("/", operation_id="listTasks")
    async def list_tasks(
        self,
        db: Db,
        actor: Caller,
        agent: FromQuery[str] = "",
        owner: FromQuery[str] = "",
        context_id: FromQuery[str] = "",
        task_state: FromQuery[TaskState | None] = None,
        changed_since: FromQuery[datetime | None] = None,
        limit: FromQuery[int] = 50,
        cursor: FromQuery[str | None] = None,
    ) -> Page[TaskView]:
        """List tasks without their content, the last changed first."""
        if not 1 <= limit <= PAGE_MAX:
            raise InvalidRequest(f"limit: between 1 and {PAGE_MAX}.", fields={"limit": f"between 1 and {PAGE_MAX}"})
        wanted = broker.TaskFilter(
            owner=owner, agent_id=agent, context_id=context_id, state=task_state, changed_since=changed_since
        )
        return await db.read(actor, broker.list_tasks, wanted, limit=limit, cursor=cursor)

    @get("/{task:str}", operation_id="getTask")
    async def get_task(
        self,
        task: FromPath[str],
        db: Db,
        tasks: Tasks,
        actor: Caller,
        notifier: Notifier,
        settings: NamedDependency[Settings],
        open_streams: NamedDependency[Streams],
        after_generation: AfterGeneration = None,
        wait_s: FromQuery[int] = 0,
    ) -> Response[TaskView]:
        """Say where a task stands, without its content; `ETag` is its generation.

        With `after_generation` and `wait_s` it waits so long for another generation than that one.
        """
        view = db.read_inline(actor, broker.see_task, TaskId(task))
        if view.generation == after_generation and wait_s > 0:
            timeout_s = min(wait_s, settings.wait_max_s)
            await streams.changed(tasks, notifier, actor, view.id, generation=view.generation, timeout_s=timeout_s)
            open_streams.demand_admitted(actor)
            view = db.read_inline(actor, broker.see_task, view.id)
        return Response(view, headers={"ETag": f'"{view.generation}"'})

    @get("/{task:str}/content", operation_id="getTaskContent")
    async def get_task_content(
        self, task: FromPath[str], db: Db, actor: Caller, history_length: FromQuery[int | None] = None
    ) -> TaskDetail:
        """Return a task's messages and artifacts; the ledger keeps who read them."""
        return await db.write(actor, broker.read_detail, TaskId(task), history_length=history_length)

    @get("/{task:str}/events", operation_id="followTask")
    async def follow_task(
        self,
        task: FromPath[str],
        db: Db,
        tasks: Tasks,
        actor: Caller,
        notifier: Notifier,
        open_streams: NamedDependency[Streams],
        settings: NamedDependency[Settings],
        after: After = 0,
        last_event_id: Annotated[str | None, HeaderParameter(name="Last-Event-ID")] = None,
    ) -> Stream:
        """Follow a task's log as server-sent events; `Last-Event-ID` (the generation) goes on where you were."""
        view = await db.write(actor, broker.read_task, TaskId(task))
        start = _start(last_event_id, after)
        frames = _frames(tasks, notifier, open_streams, actor, view, start, keep_alive_s=settings.keepalive_s)
        opening = await anext(frames)  # here, so that what forbids the stream is still an answer with a status
        return Stream(_rest(opening, frames), media_type="text/event-stream", headers={"cache-control": "no-store"})

    @post("/{task:str}/cancel", operation_id="cancelTask", status_code=200)
    async def cancel_task(
        self, task: FromPath[str], data: JSONBody[CancelRequest], db: Db, actor: Caller, if_match: IfMatch = "*"
    ) -> TaskView:
        """End a task before its time."""
        expected = _generation(if_match)
        return await db.write(actor, broker.cancel_task, TaskId(task), reason=data.reason, if_generation=expected)


class WorkController(Controller):
    """Tasks, as the agents that do them see them."""

    path = "/api/tasks"
    tags = ("work",)

    @post("/claim", operation_id="claimTask", status_code=200)
    async def claim_task(
        self,
        data: JSONBody[ClaimRequest],
        db: Db,
        actor: Caller,
        long_poll: NamedDependency[LongPoll],
        recollection: NamedDependency[memory.Recollection],
    ) -> Response[ClaimView | None]:
        """Take the next task under a lease, waiting for up to `wait_s` seconds; 204 when there was none."""
        claim = await long_poll.take(
            actor, data.wait_s, lambda: db.write(actor, broker.claim_task, lease_s=data.lease_s)
        )
        if claim is not None:
            claim = await _reminded(recollection, actor, claim)
        return Response(claim, status_code=200 if claim is not None else 204)

    @post("/{task:str}/heartbeat", operation_id="extendTaskLease", status_code=200)
    async def extend_lease(
        self, task: FromPath[str], data: JSONBody[HeartbeatReport], db: Db, actor: Caller
    ) -> TaskView:
        """Say that you still work on it; the lease ends later."""
        return await db.write(actor, broker.extend_lease, TaskId(task), data)

    @post("/{task:str}/progress", operation_id="reportTaskProgress", status_code=200)
    async def report_progress(self, task: FromPath[str], data: JSONBody[WorkReport], db: Db, actor: Caller) -> TaskView:
        """Tell the caller how it goes."""
        return await db.write(actor, broker.report_progress, TaskId(task), data)

    @post("/{task:str}/artifact", operation_id="addTaskArtifact", status_code=200)
    async def add_artifact(
        self, task: FromPath[str], data: JSONBody[ArtifactReport], db: Db, actor: Caller
    ) -> TaskView:
        """Hand over a piece of the result."""
        return await db.write(actor, broker.add_artifact, TaskId(task), data)

    @post("/{task:str}/complete", operation_id="completeTask", status_code=200)
    async def complete_task(self, task: FromPath[str], data: JSONBody[WorkReport], db: Db, actor: Caller) -> TaskView:
        """The work is done."""
        return await db.write(actor, broker.complete_task, TaskId(task), data)

    @post("/{task:str}/fail", operation_id="failTask", status_code=200)
    async def fail_task(self, task: FromPath[str], data: JSONBody[WorkReport], db: Db, actor: Caller) -> TaskView:
        """The work cannot be done."""
        return await db.write(actor, broker.fail_task, TaskId(task), data)

    @post("/{task:str}/ask", operation_id="askTaskCaller", status_code=200)
    async def ask_caller(self, task: FromPath[str], data: JSONBody[WorkReport], db: Db, actor: Caller) -> TaskView:
        """Ask the caller for something; the answer comes as a new claim."""
        return await db.write(actor, broker.ask_caller, TaskId(task), data)


async def _reminded(recollection: memory.Recollection, actor: Actor, claim: ClaimView) -> ClaimView:
    """Return a claim with what memory offers for its task, where a policy says so."""
    text = broker.text_of(claim.message.parts)
    task = claim.task
    offered = await recollection.remind(actor, task_id=task.id, purpose=task.purpose, text=text, label=task.label)
    return msgspec.structs.replace(claim, recollection=offered) if offered else claim


class Way(msgspec.Struct, frozen=True):
    """What a request says beside its body of how a message came, and what is taken."""

    if_generation: int | None
    via: str
    traceparent: str
    limits: broker.Limits


def _generation(if_match: str) -> int | None:
    """Return the generation that `If-Match` demands, None for any (RFC 9110, 13.1.1)."""
    if if_match.strip() == "*":
        return None
    match = _ETAG.fullmatch(if_match.strip())
    if match is None:
        raise InvalidRequest('If-Match: a task\'s ETag such as "3", or *.', fields={"If-Match": 'such as "3", or *'})
    return int(match[1])


def _send(data: SendRequest, way: Way) -> broker.Send:
    if not data.parts:
        raise InvalidRequest("parts: at least one is needed.", fields={"parts": "at least one is needed"})
    message = Message(
        message_id=data.message_id or new_id("msg"),
        role=MessageRole.USER,
        parts=data.parts,
        context_id=data.context_id,
        task_id=data.task_id,
        metadata=data.metadata,
        reference_task_ids=data.reference_task_ids,
    )
    return broker.Send(
        message=message,
        agent=data.agent,
        skill=data.skill,
        tags=tuple(data.tags),
        purpose=data.purpose,
        label=data.label,
        via=tuple(hop for hop in map(str.strip, way.via.split(",")) if hop),
        traceparent=way.traceparent,
        if_generation=way.if_generation,
        limits=way.limits,
    )


def _start(last_event_id: str | None, after: int) -> int:
    """Return the generation to go on from; what a reader saw last counts more than where it once began."""
    if not last_event_id:
        return after
    if not (last_event_id.isascii() and last_event_id.isdecimal() and int(last_event_id) <= GENERATION_MAX):
        raise InvalidRequest("Last-Event-ID: an id of this stream.", fields={"Last-Event-ID": "an id of this stream"})
    return int(last_event_id)


async def _frames(
    tasks: broker.Tasks,
    notifier: events.Notifier,
    open_streams: Streams,
    actor: Actor,
    task: TaskView,
    after: int,
    *,
    keep_alive_s: float,
) -> AsyncIterator[bytes]:
    with open_streams.open(actor) as ended:
        yield _KEEP_ALIVE
        follow = streams.follow(tasks, notifier, actor, task.id, after=after, ended=ended, keep_alive_s=keep_alive_s)
        async for entry in follow:
            yield _KEEP_ALIVE if entry is None else _frame(entry)


async def _rest(opening: bytes, frames: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield opening
    async for piece in frames:
        yield piece


def _frame(entry: TaskEvent) -> bytes:
    return b"id: %d\nevent: %b\ndata: %b\n\n" % (
        entry.generation,
        entry.kind.encode(),
        msgspec.json.encode(entry),
    )
