"""Our implementation of the SDK's `RequestHandler`: it translates, and calls the broker's verbs."""

from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import contextmanager

from a2a.server.context import ServerCallContext
from a2a.server.events.event_queue import Event
from a2a.types import a2a_pb2
from a2a.utils import errors as sdk

from memroos import broker, events, push, registry
from memroos.web import access, catalog, spans, streams
from memroos.web.a2a import convert, discovery, extensions, upstream
from memroos.web.a2a.cards import Cards
from memroos.web.a2a.context import ACTOR, AGENT, CALL, Call
from memroos.web.a2a.errors import invalid, protocol_errors, to_protocol
from memroos.web.a2a.push import PushOperations
from memroos.web.streams import Streams
from memroos_contracts.broker import TaskDetail, TaskState, TaskView
from memroos_contracts.errors import InvalidRequest, MemroosError, NotFound
from memroos_contracts.identity import Actor, AgentId, Role, TaskId
from memroos_contracts.registry import AgentView
from memroos_kit import tracing
from memroos_kit.db import Database
from memroos_kit.stopping import Stopping

SKILL = "memroos.skill"
TAGS = "memroos.tags"
PURPOSE = "memroos.purpose"
"""Keys in a message's metadata by which a caller says what it wants and why."""

PAGE = 50
PAGE_MAX = 100

ACCEPT_S = 5.0
"""How long a stream waits for the agent to take its task, in seconds; then it begins with the task as it is."""


class BrokerHandler(PushOperations):
    """A2A over the broker, for the kernel's own endpoint and for each agent's.

    Args:
        blocking_s: how long a blocking send waits at the most, in seconds; then it answers with the task as it is.
        limits: what is taken at most.
        default_agent: who gets a message that names neither agent nor skill; empty for nobody.
    """

    def __init__(  # noqa: PLR0913 - what it answers from, and how long it waits
        self,
        db: Database,
        tasks: broker.Tasks,
        notifier: events.Notifier,
        streams: Streams,
        push_terms: push.Terms,
        cards: Cards,
        *,
        blocking_s: float,
        limits: broker.Limits,
        default_agent: str = "",
    ) -> None:
        self._db = db
        self._tasks = tasks
        self._notifier = notifier
        self._streams = streams
        self._push = push_terms
        self._cards = cards
        self._blocking_s = blocking_s
        self._limits = limits
        self._default_agent = default_agent

    async def on_message_send(
        self, params: a2a_pb2.SendMessageRequest, context: ServerCallContext
    ) -> a2a_pb2.Task | a2a_pb2.Message:
        """Start a task or go on with one; wait for its end unless told not to."""
        actor = _actor(context, "a2aSendMessage")
        with protocol_errors(), _tracing(context) as sending:
            send, length = self._send(actor, params, context), _history_length(params.configuration)
            verb = self._sending(actor, params, context)
            if params.configuration.return_immediately:
                task = await self._db.write(actor, verb, send)
            else:
                task = await streams.send_and_wait(
                    self._db, self._tasks, self._notifier, actor, send, timeout_s=self._blocking_s, verb=verb
                )
                self._streams.demand_admitted(actor)
            sending.became(task)
            upstream.demand_taken(self._tasks, actor, task)  # who asks again is refused again, also without waiting
            task = await self._read(actor, task)
            return upstream.only_message(task) or self._with_content(actor, task, length)

    async def on_message_send_stream(
        self, params: a2a_pb2.SendMessageRequest, context: ServerCallContext
    ) -> AsyncGenerator[Event]:
        """Start a task or go on with one, and show it until it ends or needs the caller."""
        actor = _actor(context, "a2aSendStreamingMessage")
        # There is a place for the stream, or nothing is sent.
        with protocol_errors(), self._streams.open(actor) as ended, _tracing(context) as sending:
            _demand_streaming(self._addressed(actor, context))
            send, length = self._send(actor, params, context), _history_length(params.configuration)
            verb = self._sending(actor, params, context)
            task = await self._read(actor, await self._db.write(actor, verb, send))
            task = await streams.accepted(self._tasks, self._notifier, actor, task, ended=ended, timeout_s=ACCEPT_S)
            self._streams.demand_admitted(actor)
            sending.became(task)
            upstream.demand_taken(self._tasks, actor, task)
            if (message := upstream.only_message(task)) is not None:
                yield message
                return
            async for item in self._stream(actor, task, ended, history_length=length, until_input=True):
                yield item
            if tracing.is_on():
                sending.became(self._tasks.get(actor, task.id))

    async def on_subscribe_to_task(
        self, params: a2a_pb2.SubscribeToTaskRequest, context: ServerCallContext
    ) -> AsyncGenerator[Event]:
        """Show a task as it is, then everything that happens to it."""
        actor = _actor(context, "a2aSubscribeToTask")
        with protocol_errors(), self._streams.open(actor) as ended:
            _demand_streaming(self._addressed(actor, context))
            agent = self._agent(actor, context)
            task = await self._db.write(actor, broker.read_task, TaskId(params.id), agent_id=agent)
            if broker.is_final(task.state):
                raise broker.TaskClosed(
                    f"Task {task.id} is {task.state}; there is nothing to follow.", task=task.id, state=task.state
                )
            async for item in self._stream(actor, task, ended):
                yield item

    async def on_get_task(self, params: a2a_pb2.GetTaskRequest, context: ServerCallContext) -> a2a_pb2.Task | None:
        """Return a task with its content."""
        actor = _actor(context, "a2aGetTask")
        with protocol_errors():
            agent = self._agent(actor, context)
            length = _history_length(params)
            await self._wait_for_change(actor, TaskId(params.id), agent, context.state[CALL])
            detail = await self._db.write(
                actor, broker.read_detail, TaskId(params.id), agent_id=agent, history_length=length
            )
            return convert.task_to(detail)

    async def on_list_tasks(
        self, params: a2a_pb2.ListTasksRequest, context: ServerCallContext
    ) -> a2a_pb2.ListTasksResponse:
        """Return the caller's tasks, the last changed first."""
        actor = _actor(context, "a2aListTasks")
        size = params.page_size if params.HasField("page_size") else PAGE
        if not 1 <= size <= PAGE_MAX:
            raise invalid("pageSize must be between 1 and 100.", pageSize="must be between 1 and 100")
        with protocol_errors():
            agent = self._agent(actor, context)
            wanted = broker.TaskFilter(
                owner="" if actor.role is Role.OPERATOR else actor.principal,
                agent_id=agent or "",
                context_id=params.context_id,
                state=convert.state_from(params.status),
                changed_since=convert.instant_from(params.status_timestamp_after)
                if params.HasField("status_timestamp_after")
                else None,
            )
            length = _history_length(params) or 0
            page = await self._page(actor, wanted, params, size=size, history_length=length)
        return a2a_pb2.ListTasksResponse(
            tasks=[convert.task_to(detail) for detail in page.items],
            next_page_token=page.next_cursor or "",
            page_size=size,
            total_size=page.total,
        )

    async def on_cancel_task(
        self, params: a2a_pb2.CancelTaskRequest, context: ServerCallContext
    ) -> a2a_pb2.Task | None:
        """End a task before its time; what was said and made in it is for `GetTask`, which puts that on record."""
        actor = _actor(context, "a2aCancelTask")
        with protocol_errors():
            agent = self._agent(actor, context)
            task = await self._db.write(
                actor,
                broker.cancel_task,
                TaskId(params.id),
                agent_id=agent,
                if_generation=context.state[CALL].if_generation,
            )
            return convert.task_to(TaskDetail(task=task, history=None, artifacts=None))

    async def on_get_extended_agent_card(
        self, params: a2a_pb2.GetExtendedAgentCardRequest, context: ServerCallContext
    ) -> a2a_pb2.AgentCard:
        """Return what a caller with a key may know: all agents' skills, or who made a remote agent."""
        actor = _actor(context, "a2aGetExtendedAgentCard")
        with protocol_errors():
            addressed = self._addressed(actor, context)
            if addressed is None:
                return self._cards.extended_kernel(await self._db.read(actor, catalog.visible_agents))
            if not addressed.capabilities.extended_agent_card:
                raise sdk.UnsupportedOperationError(message="This card has no extended form.")
            found = await self._db.read(actor, discovery.find_card, addressed.id)
            return self._cards.extended_agent(found.agent, found.own_card)

    async def _page(
        self,
        actor: Actor,
        wanted: broker.TaskFilter,
        params: a2a_pb2.ListTasksRequest,
        *,
        size: int,
        history_length: int,
    ) -> broker.DetailPage:
        """Return a page of tasks; content leaves only after it is on record."""
        cursor = params.page_token or None
        if history_length == 0 and not params.include_artifacts:
            return await self._db.read(actor, broker.list_states, wanted, limit=size, cursor=cursor)
        return await self._db.write(
            actor,
            broker.read_details,
            wanted,
            limit=size,
            cursor=cursor,
            history_length=history_length,
            artifacts=params.include_artifacts,
        )

    def _send(self, actor: Actor, params: a2a_pb2.SendMessageRequest, context: ServerCallContext) -> broker.Send:
        """Return what the caller wants sent, to the agent whose endpoint it called."""
        message = convert.message_from(params.message)
        wish = message.metadata or {}
        skill, tags = str(wish.get(SKILL, "")), _tags(wish.get(TAGS))
        name = _endpoint(actor, context)
        agent = name or ("" if skill or tags or message.task_id else self._default_agent)
        call: Call = context.state[CALL]
        return broker.Send(
            message=message,
            agent=agent,
            skill=skill,
            tags=tags,
            purpose=str(wish.get(PURPOSE, "")),
            via=call.via,
            traceparent=call.traceparent,
            if_generation=call.if_generation,
            extensions=self._settle_extensions(actor, context, agent, message.task_id),
            limits=self._limits,
        )

    def _settle_extensions(self, actor: Actor, context: ServerCallContext, name: str, task_id: str) -> tuple[str, ...]:
        """Return which extensions take effect; an agent that is found by skill is not known yet, and has none.

        Raises:
            ExtensionSupportRequiredError: the agent demands one that the caller does not ask for.
        """
        try:
            wanted = name or (task_id and self._tasks.get(actor, TaskId(task_id)).agent_id)
            remote = self._db.read_inline(actor, registry.get_remote, wanted) if wanted else None
        except NotFound:
            return ()  # no remote agent; whether there is one at all is said by the broker
        settled = extensions.settle(remote.card if remote else b"", context.requested_extensions)
        context.state[CALL].activated = list(settled)
        return settled

    async def _wait_for_change(self, actor: Actor, task_id: TaskId, agent: AgentId | None, call: Call) -> None:
        """Wait until a task is not as the caller last saw it, for as long as the caller would and the kernel does."""
        if call.unless_generation is None or not call.wait_s:
            return
        task = self._tasks.get(actor, task_id)
        if agent is not None and task.agent_id != agent:
            return  # it does not exist at this endpoint; whoever reads it next says so
        wait_s = min(call.wait_s, self._blocking_s)
        await streams.changed(
            self._tasks, self._notifier, actor, task_id, generation=call.unless_generation, timeout_s=wait_s
        )
        self._streams.demand_admitted(actor)

    async def _read(self, actor: Actor, task: TaskView) -> TaskView:
        """Put on record that the actor gets to see a task that is not its own."""
        return task if task.owner == actor.principal else await self._db.write(actor, broker.read_task, task.id)

    async def _stream(
        self,
        actor: Actor,
        task: TaskView,
        ended: Stopping,
        *,
        history_length: int | None = None,
        until_input: bool = False,
    ) -> AsyncIterator[Event]:
        """Yield the task, then its events in generation order; nothing twice, nothing left out."""
        yield self._with_content(actor, task, history_length)
        if broker.is_final(task.state) or (until_input and task.state is TaskState.INPUT_REQUIRED):
            return
        async for event in streams.follow(
            self._tasks, self._notifier, actor, task.id, after=task.generation, ended=ended, until_input=until_input
        ):
            item = None if event is None else convert.event_to(task.id, task.context_id, event)
            if item is not None:
                yield item

    def _with_content(self, actor: Actor, task: TaskView, history_length: int | None) -> a2a_pb2.Task:
        return convert.task_to(self._tasks.detail(actor, task, history_length=history_length))

    def _addressed(self, actor: Actor, context: ServerCallContext) -> AgentView | None:
        """Return the agent whose endpoint was called, None at the kernel's own.

        Raises:
            NotFound: there is no such agent, or the tenant is not the caller's.
        """
        name = _endpoint(actor, context)
        return self._db.read_inline(actor, registry.get_agent, name) if name else None

    def _agent(self, actor: Actor, context: ServerCallContext) -> AgentId | None:
        addressed = self._addressed(actor, context)
        return None if addressed is None else addressed.id


def _actor(context: ServerCallContext, operation: str) -> Actor:
    """Return the caller, if the access table lets its role use this operation."""
    actor: Actor = context.state[ACTOR]
    try:
        access.demand(operation, actor)
    except MemroosError as error:
        raise to_protocol(error) from error
    return actor


@contextmanager
def _tracing(context: ServerCallContext) -> Iterator[spans.Sending]:
    """Measure a message on its way; its task goes on with the context of this span."""
    call: Call = context.state[CALL]
    with spans.sending(call.traceparent) as sending:
        call.traceparent = sending.traceparent
        yield sending


def _endpoint(actor: Actor, context: ServerCallContext) -> str:
    """Return the agent whose endpoint was called: the one in the address, or that of the tenant; empty for none.

    A tenant is the caller's workspace, which means the endpoint that was called anyway, or an agent's name.

    Raises:
        NotFound: the tenant is another one than the address says.
    """
    name: str = context.state[AGENT]
    if context.tenant in {"", actor.workspace, name}:
        return name
    if name:
        raise NotFound("There is nothing here.", kind_of_object="tenant", id=context.tenant)
    return context.tenant


def _demand_streaming(agent: AgentView | None) -> None:
    if agent is not None and not agent.capabilities.streaming:
        raise sdk.UnsupportedOperationError(message=f"The endpoint of {agent.name} does not stream; its card says so.")


def _history_length(
    holder: a2a_pb2.SendMessageConfiguration | a2a_pb2.GetTaskRequest | a2a_pb2.ListTasksRequest,
) -> int | None:
    if not holder.HasField("history_length"):
        return None
    if holder.history_length < 0:
        raise to_protocol(
            InvalidRequest("historyLength must not be negative.", fields={"historyLength": "is negative"})
        )
    return holder.history_length


def _tags(value: object) -> tuple[str, ...]:
    if isinstance(value, str):
        return (value,)
    return tuple(str(tag) for tag in value) if isinstance(value, list) else ()
