"""One task at its remote agent: its messages go there, what the agent says comes back, until either has ended it.

At least once towards the agent, exactly once into the log: after a break the agent's own snapshot says what is missing.
"""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing

import msgspec
import structlog

from memroos.broker import client, queries, rules, service
from memroos.broker.queries import Outgoing, RemoteEnd
from memroos.broker.worker.line import Line, Office
from memroos.broker.worker.mirror import Mirror, TaskOver
from memroos.broker.worker.waiting import wait_any
from memroos_contracts.broker import Message, TaskState, TaskView
from memroos_contracts.errors import ErrorKind, MemroosError
from memroos_contracts.identity import DeliveryId, TaskId, WorkspaceId, service_actor

_log = structlog.get_logger(__name__)

GRACE_S = 0.5
"""How long a stream may stay open after the last that is expected of it, so that its connection can be used again."""

CANCEL_TRIES = 40
"""After how many failures an agent is no longer told to stop: hours after it went away."""

ASKING_POLLS = 12
"""How much less often a task is asked for while it waits for its caller."""

UNCHANGED_POLLS = 3
"""After how many looks without a change a waiting task counts as waiting again."""

RECOLLECTION = "memroos.recollection"
"""Where an agent finds what it is reminded of, in the metadata of a task's first message."""

INVALID = "INVALID_AGENT_RESPONSE"
_PASSING = frozenset({ErrorKind.LIMITED, ErrorKind.UNAVAILABLE, ErrorKind.STORAGE_FULL})
"""Errors of our own side after which the same may succeed."""
_GONE = frozenset({"TASK_NOT_FOUND"})


class Errand:
    """One task's other end.

    Args:
        line: to its agent.
        doubt: whether messages found at the start may have been sent before it.
        free: called when the task no longer counts as running.
    """

    def __init__(
        self,
        office: Office,
        line: Line,
        workspace: WorkspaceId,
        task_id: TaskId,
        *,
        doubt: bool,
        free: Callable[[], None],
    ) -> None:
        self.task_id = task_id
        self.fresh = False
        """Whether nothing of it has been sent yet, nor can have been."""
        self.streaming = False
        self.granted: set[DeliveryId] = set()
        """What was let out so far; what is still there at the end was not sent."""
        self._office = office
        self._line = line
        self._actor = service_actor("kernel", workspace)
        self._granted: deque[Outgoing] = deque()
        self._doubtful: set[DeliveryId] = set()
        self._doubt = doubt
        self._free = free
        self._wake = asyncio.Event()
        self._scope: asyncio.Timeout | None = None
        self._failures = 0
        self._unchanged = 0
        self._quiet_since: float | None = None
        self._born = asyncio.get_running_loop().time()
        self._can_subscribe = True
        self._settled = False
        self._ended_there = False

    def grant(self, item: Outgoing, *, doubt: bool = False) -> None:
        """Let a message go out."""
        if doubt:
            self._doubtful.add(item.id)
        self.granted.add(item.id)
        self._granted.append(item)
        self._wake.set()

    def ended(self) -> None:
        """The task has ended here, whatever its agent still does."""
        self._wake.set()
        if self._scope is not None:
            self._scope.reschedule(asyncio.get_running_loop().time())

    async def run(self) -> None:
        """Work until nothing is left to do for this task."""
        while await self._step():
            pass

    async def _step(self) -> bool:
        """Do the next thing; returns whether there may be another."""
        self._wake.clear()
        task = self._office.tasks.get(self._actor, self.task_id)
        is_open = rules.is_open(task.state)
        if not is_open and self._ended_there:
            return False
        fresh, self.fresh = self.fresh and is_open, False
        end = None if fresh else self._office.db.read_inline(self._actor, queries.find_remote_end, self.task_id)
        if not is_open:
            if end is not None and end.state == "canceling":
                return await self._cancel(task, end)
            return False
        if not self._granted and (end is None or not end.remote_id):
            return False  # a message may be held, or was taken back
        await self._try(task, end)
        return True

    async def _try(self, task: TaskView, end: RemoteEnd | None) -> None:
        try:
            await self._go_on(task, end)
        except TaskOver:
            pass
        except client.RemoteUnreachable as error:
            await self._pause(error)
        except client.InvalidAnswer as error:
            await self._fail(f"{self._line.name} answered with what A2A does not allow: {error}.", INVALID)
        except MemroosError as error:
            if error.kind not in _PASSING:
                await self._fail(f"{self._line.name} cannot be reached: {error.detail}", error.slug())
            else:
                _log.warning("remote task waits", task=task.id, problem=error.slug())
                self._failures += 1
                await self._nap(self._line.backoff_s(self._failures))

    async def _go_on(self, task: TaskView, end: RemoteEnd | None) -> None:
        if (blocked_s := self._line.blocked_s()) and not await self._gave_up():
            await self._nap(blocked_s + self._jitter())
        elif self._granted:
            await self._send(self._granted[0], task, end)
        elif end is not None:
            await self._follow(task, end)

    # -- messages to the agent ---------------------------------------------------------------------------------------

    async def _send(self, item: Outgoing, task: TaskView, end: RemoteEnd | None) -> None:
        mirror = self._mirror(task, item)
        try:
            message = self._outgoing(item, task, end)
            if (item.id in self._doubtful or self._doubt) and await self._arrived(item, task, message):
                self._done(item)
                return
            self._settled = False
            self._doubtful.add(item.id)  # from here on a failure leaves open whether it arrived
            await self._send_now(item, task, message, mirror)
            self._done(item)
        except client.RemoteRefused as error:
            await self._refused(item, task, end, error)
            self._done(item)
        except client.RemoteUnreachable as error:
            if not error.arrived:
                self._doubtful.discard(item.id)
            if mirror.taken:
                self._done(item)  # the stream broke, but the agent has taken it
            raise
        except (client.InvalidAnswer, TaskOver):
            self._done(item)
            raise

    async def _send_now(self, item: Outgoing, task: TaskView, message: Message, mirror: Mirror) -> None:
        if not message.task_id:
            message = await self._reminded(task, message)
        with self._line.calling(task, self._extensions(item, task)) as call:
            await self._send_over(self._line.connect(), call, message, mirror)

    async def _reminded(self, task: TaskView, message: Message) -> Message:
        """Return the first message of a task with what its agent is reminded of, where somebody says so."""
        text = await self._office.remind(task, message) if self._office.remind is not None else ""
        if not text:
            return message
        return msgspec.structs.replace(message, metadata={**(message.metadata or {}), RECOLLECTION: text})

    async def _send_over(self, line: client.RemoteClient, call: client.Call, message: Message, mirror: Mirror) -> None:
        if streams := self._line.streams():
            try:
                await self._pump(line.stream(message, call), mirror)
            except client.RemoteRefused as error:
                # An agent without a card may not stream; nothing has happened yet.
                if message.task_id or mirror.taken or error.reason not in {"UNSUPPORTED_OPERATION", "METHOD_NOT_FOUND"}:
                    raise
            else:
                if not mirror.taken and not self._wake.is_set():
                    raise client.RemoteUnreachable("The stream ended without a word.")
                self._settled = True
                return
        answer = await line.send(message, call)
        if streams:
            self._line.cannot_stream()  # it takes the message, only not that way; else it would have refused again
        await self._heard()
        if isinstance(answer, rules.Reply):
            await mirror.answer(answer)
            return
        await mirror.take(answer)
        await mirror.flush()

    def _outgoing(self, item: Outgoing, task: TaskView, end: RemoteEnd | None) -> Message:
        """Return a message as the agent gets it: with its own ids where it has any."""
        event = self._office.tasks.events(self._actor, task.id, after=item.generation - 1, most=1)[0]
        assert event.message is not None
        context = end.remote_context_id if end is not None else ""
        references = [self._reference(task, one) for one in event.message.reference_task_ids]
        return msgspec.structs.replace(
            event.message,
            task_id=end.remote_id if end is not None else "",
            context_id=context or item.remote_context_id or task.context_id,
            reference_task_ids=references,
        )

    def _extensions(self, item: Outgoing, task: TaskView) -> tuple[str, ...]:
        """Return the extensions of the protocol under which a message was sent, and those that it names itself."""
        event = self._office.tasks.events(self._actor, task.id, after=item.generation - 1, most=1)[0]
        asked: list[str] = (event.metadata or {}).get(service.EXTENSIONS, [])
        named = event.message.extensions if event.message is not None else []
        return tuple(dict.fromkeys([*asked, *named]))

    def _reference(self, task: TaskView, task_id: str) -> str:
        """Return what the agent calls a task that the caller refers to."""
        other = self._office.db.read_inline(self._actor, queries.find_remote_end, TaskId(task_id))
        mine = other is not None and other.workspace_id == task.workspace_id and other.agent_id == task.agent_id
        return other.remote_id if mine and other is not None and other.remote_id else task_id

    async def _arrived(self, item: Outgoing, task: TaskView, message: Message) -> bool:
        """Whether a message that may have been sent before has arrived; then what became of it is written down."""
        line, call = self._line.connect(), self._line.call(task)
        try:
            if message.task_id:
                seen: rules.Snapshot | None = await line.get(message.task_id, call)
            else:
                seen = await line.find(message.context_id, message.message_id, call)
        except client.RemoteRefused as error:
            if message.task_id and error.reason in _GONE:
                raise
            return False  # it does not list its tasks: at least once
        await self._heard()
        if seen is None or not any(one.message_id == message.message_id for one in seen.history):
            return False
        mirror = self._mirror(task, item)
        await mirror.take(seen)
        await mirror.flush()
        return True

    async def _refused(
        self, item: Outgoing, task: TaskView, end: RemoteEnd | None, error: client.RemoteRefused
    ) -> None:
        """The agent said no to a message."""
        await self._heard()
        task = self._office.tasks.get(self._actor, task.id)
        if end is None or not end.remote_id:
            if not task.accepted_generation:
                await self._write(service.refuse, task.id, error.reason, error.message)
            return
        if error.reason in _GONE:
            await self._forgotten()
            return
        seen = await self._line.connect().get(end.remote_id, self._line.call(task))
        mirror = self._mirror(task, item)
        await mirror.take(seen)
        await mirror.flush()
        if rules.is_open(seen.state):
            state = seen.state if rules.waits_for_caller(seen.state) else TaskState.WORKING
            await self._write(service.return_message, task.id, item.id, state, error.reason, error.message)

    async def beside(self, item: Outgoing) -> None:
        """Send a message to a task whose stream is open: what becomes of it comes through that stream."""
        task = self._office.tasks.get(self._actor, self.task_id)
        end = self._office.db.read_inline(self._actor, queries.find_remote_end, self.task_id)
        if end is None or not end.remote_id or not rules.is_open(task.state):
            self.grant(item)
            return
        message = self._outgoing(item, task, end)
        try:
            with self._line.calling(task, self._extensions(item, task)) as call:
                answer = await self._line.connect().send(message, call)
        except client.RemoteRefused as error:
            await self._write(service.return_message, task.id, item.id, task.state, error.reason, error.message)
        except client.RemoteError:
            self.grant(item, doubt=True)  # it is tried again when the stream has ended
        else:
            if isinstance(answer, rules.Reply):
                await self._write(service.answer, task.id, answer.message, item.id)
            else:
                await self._write(service.drop_remote, item.id)

    # -- what the agent says -----------------------------------------------------------------------------------------

    async def _follow(self, task: TaskView, end: RemoteEnd) -> None:
        """Learn how the task stands out there, by a stream where there is one, else by asking."""
        line, call = self._line.connect(), self._line.call(task)
        if task.state is TaskState.INPUT_REQUIRED:
            self._let_others()
            await self._nap(self._office.terms.poll_s * ASKING_POLLS)
            if self._wake.is_set():
                return
        elif self._line.streams() and self._can_subscribe and await self._subscribed(task, end):
            return
        try:
            seen = await line.get(end.remote_id, call)
        except client.RemoteRefused as error:
            if error.reason in _GONE:
                await self._forgotten()
                return
            raise client.RemoteUnreachable(error.message) from error
        await self._heard()
        mirror = self._mirror(task, resumed=end.remote_id)
        mirror.settled = self._settled or self._unchanged >= UNCHANGED_POLLS
        changed = await mirror.take(seen)
        await mirror.flush()
        self._unchanged = 0 if changed else self._unchanged + 1
        if rules.is_open(seen.state):
            longest = self._office.terms.poll_s
            await self._nap(min(longest, longest / 50 * 2 ** min(self._unchanged, 6)) * (0.8 + 0.4 * self._jitter()))

    async def _subscribed(self, task: TaskView, end: RemoteEnd) -> bool:
        """Follow a stream; returns whether it told all there is to know for now."""
        mirror = self._mirror(task, resumed=end.remote_id)
        try:
            await self._pump(self._line.connect().subscribe(end.remote_id, self._line.call(task)), mirror)
        except client.RemoteRefused as error:
            # A task that is over cannot be subscribed to either; what it is now, the next question tells.
            self._can_subscribe = error.reason != "METHOD_NOT_FOUND"
        return mirror.over or mirror.state is TaskState.INPUT_REQUIRED or self._wake.is_set()

    async def _pump(self, stream: AsyncGenerator[rules.Item], mirror: Mirror) -> None:
        """Write down what comes through a stream until it ends, the task does, or nothing more is expected of it."""
        try:
            async with aclosing(stream) as items, asyncio.timeout(None) as scope:
                await self._read(items, mirror, scope)
        except TimeoutError:
            pass  # nothing more was expected, or the task has ended here
        finally:
            self.streaming, self._scope = False, None
            await mirror.flush()
            self._ended_there = mirror.state is not None and rules.is_final(mirror.state)

    async def _read(self, items: AsyncGenerator[rules.Item], mirror: Mirror, scope: asyncio.Timeout) -> None:
        async for item in items:
            if self._scope is None:
                await self._heard()
                if isinstance(item, rules.Reply):
                    await self._only_reply(items, item, mirror)
                    return
                self._scope, self.streaming = scope, True
            elif isinstance(item, rules.Reply):
                raise client.InvalidAnswer("a message in the stream of a task")
            if mirror.over:
                _log.info("remote agent's event dropped", task=self.task_id, reason="the task had ended")
                continue
            before = mirror.state
            await mirror.take(item)
            if mirror.state is not before and mirror.state is not None:
                self._moved(mirror.state, scope)

    def _moved(self, state: TaskState, scope: asyncio.Timeout) -> None:
        """The agent moved its task: decide how long its stream is listened to, and whether it takes a place."""
        expected = not rules.is_final(state) and state is not TaskState.INPUT_REQUIRED
        if not self._wake.is_set():
            scope.reschedule(None if expected else asyncio.get_running_loop().time() + GRACE_S)
        if state is TaskState.AUTH_REQUIRED:
            self._let_others()
        elif state is TaskState.WORKING:
            self._line.running.add(self.task_id)

    async def _only_reply(self, items: AsyncGenerator[rules.Item], reply: rules.Reply, mirror: Mirror) -> None:
        """A message is all there is: a task beside it is not allowed (A2A 1.0, 3.1.2)."""
        try:
            async with asyncio.timeout(GRACE_S):
                async for _ in items:
                    raise client.InvalidAnswer("a message and a task in one stream")
        except TimeoutError:
            pass
        await mirror.answer(reply)

    def _mirror(self, task: TaskView, item: Outgoing | None = None, *, resumed: str = "") -> Mirror:
        delivery = item.id if item is not None else None
        mirror = Mirror(self._office, self._line, self._actor, task, delivery_id=delivery, resumed=resumed)
        mirror.settled = self._settled and not item
        return mirror

    # -- ends --------------------------------------------------------------------------------------------------------

    async def _cancel(self, task: TaskView, end: RemoteEnd) -> bool:
        """Tell the agent to stop; returns whether it has to be told again."""
        try:
            line, call = self._line.connect(), self._line.call(task)
            remote_id = end.remote_id or await self._look_for(task)
            if remote_id:
                await line.cancel(remote_id, call)
        except client.RemoteRefused:
            pass  # it is over or unknown there, or cannot be canceled: there is nothing more to tell
        except (client.RemoteError, MemroosError) as error:
            gone = isinstance(error, MemroosError) and error.kind is ErrorKind.NOT_FOUND
            if end.failures < CANCEL_TRIES and not gone:
                await self._line.failed(error)
                delay = self._line.backoff_s(end.failures)
                await self._write(service.postpone_cancel, task.id, self._office.db.clock.now())
                await self._nap(delay)
                return not self._office.stopping.is_set()
        await self._write(service.close_remote, task.id)
        return False

    async def _look_for(self, task: TaskView) -> str:
        """Return what the agent calls a task that was ended while its first message was on its way."""
        if not (self._doubt or self._doubtful):
            return ""
        message = self._office.tasks.events(self._actor, task.id, after=0, most=1)[0].message
        assert message is not None
        seen = await self._line.connect().find(task.context_id, message.message_id, self._line.call(task))
        return seen.id if seen is not None else ""

    async def _forgotten(self) -> None:
        await self._fail(f"{self._line.name} no longer knows this task.", "TASK_NOT_FOUND", tell_agent=False)

    async def _fail(self, words: str, reason: str = "", *, tell_agent: bool = True) -> None:
        self._granted.clear()
        await self._write(service.fail_remote, self.task_id, words, reason, tell_agent=tell_agent)

    async def _pause(self, error: client.RemoteUnreachable) -> None:
        """Wait after a failure, longer each time."""
        await self._line.failed(error)
        if await self._gave_up():
            return
        _log.info("remote agent not reached", task=self.task_id, agent=self._line.name, error=str(error)[:300])
        self._failures += 1
        await self._nap(self._line.backoff_s(self._failures))

    async def _gave_up(self) -> bool:
        """An agent that stays away for too long has failed its task."""
        now = asyncio.get_running_loop().time()
        if self._quiet_since is None:
            self._quiet_since = max(self._line.down_since or now, self._born)
        if now - self._quiet_since < self._office.terms.silence_s:
            return False
        quiet = f"{self._office.terms.silence_s:g} seconds"
        await self._fail(f"{self._line.name} could not be reached for {quiet}.", "AGENT_UNREACHABLE")
        return True

    async def _heard(self) -> None:
        self._failures = 0
        self._quiet_since = None
        await self._line.went_well()

    async def _nap(self, delay_s: float) -> None:
        """Wait; a message to be sent, the task's end, or news of the agent end it early."""
        if self._quiet_since is not None:
            left = self._quiet_since + self._office.terms.silence_s - asyncio.get_running_loop().time()
            delay_s = min(delay_s, max(0.05, left))
        if not self._wake.is_set():
            await wait_any(self._wake, self._line.news(), self._office.stopping, timeout_s=delay_s)

    def _jitter(self) -> float:
        return (hash((self.task_id, self._unchanged)) % 1000) / 1000

    def _let_others(self) -> None:
        """The task waits for somebody: another one may run."""
        self._line.running.discard(self.task_id)
        self._free()

    def _done(self, item: Outgoing) -> None:
        self._doubt = False
        self._doubtful.discard(item.id)
        if self._granted and self._granted[0] is item:
            self._granted.popleft()

    async def _write(self, verb: Callable[..., object], *args: object, **kwargs: object) -> None:
        await self._office.db.write(self._actor, verb, *args, **kwargs)
