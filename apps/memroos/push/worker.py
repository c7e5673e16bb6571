"""Delivers notifications: the task's log is the queue, and each configuration knows how far it has come.

One event at a time for each configuration, in order; many configurations at once. An event counts as delivered once
that is written down, so after a crash it may be sent again, under the same id, and never left out.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from urllib.parse import urlsplit
from weakref import WeakValueDictionary

import structlog

from memroos import broker, events, registry
from memroos.push import queries, rules, service
from memroos.push.client import Sign, Webhooks
from memroos.push.queries import Row
from memroos.push.rules import Answer, Notice
from memroos.push.service import Plan, Terms
from memroos_contracts.broker import Message, TaskDetail, TaskEvent, TaskView
from memroos_contracts.errors import MemroosError
from memroos_contracts.identity import Role, TaskId, WorkspaceId, service_actor
from memroos_contracts.push import PushId, PushState
from memroos_contracts.registry import AgentState
from memroos_kit import tracing
from memroos_kit.clock import from_micros
from memroos_kit.db import Database
from memroos_kit.stopping import Stopping

AT_ONCE = 128
AT_ONCE_PER_OWNER = 32
AT_ONCE_PER_HOST = 8
"""How many notifications are on their way: slow receivers, and owners of many, delay themselves first."""

AGAIN_S = 5.0
"""Pause after trouble of our own, such as a full disk."""

LOG_CHUNK = 1_000
WHOLE_LOG = 1_000_000
"""More events than a task may have."""
LOAD_CHUNK = 100
"""Configurations taken up at once after a start: each is looked at on the loop, which others need too."""

Encode = Callable[[TaskView, TaskDetail | TaskEvent | Message, str], bytes]
"""Writes what is sent in an A2A version; the protocol belongs to the door."""

_KERNEL = "kernel"
_log = structlog.get_logger(__name__)


class PushDeliveries:
    """Sends what happens to tasks to whoever asked for it.

    Woken by committed events; nothing is polled. What was left undone is found again after a start.

    Args:
        sign: signs what is sent.
        encode: writes it.
    """

    def __init__(  # noqa: PLR0913 - what it reads, where it sends, and how
        self,
        db: Database,
        tasks: broker.Tasks,
        notifier: events.Notifier,
        terms: Terms,
        plan: Plan,
        *,
        sign: Sign,
        encode: Encode,
    ) -> None:
        self._db = db
        self._tasks = tasks
        self._notifier = notifier
        self._terms = terms
        self._plan = plan
        self._sign = sign
        self._encode = encode
        self._of_task: dict[str, set[PushId]] = {}
        self._task_of: dict[PushId, str] = {}
        self._running: dict[PushId, asyncio.Task[None]] = {}
        self._again: set[PushId] = set()
        self._timers: dict[PushId, asyncio.TimerHandle] = {}
        self._slots = asyncio.Semaphore(AT_ONCE)
        self._narrow: WeakValueDictionary[str, asyncio.Semaphore] = WeakValueDictionary()
        self._group: asyncio.TaskGroup | None = None
        self._webhooks: Webhooks | None = None

    async def run(self, stop: Stopping) -> None:
        """Deliver until told to stop; what is on its way then is sent again after the next start."""
        opened = Webhooks.opened(self._terms.guard, self._sign, self._db.clock, most=AT_ONCE)
        async with opened as self._webhooks, asyncio.TaskGroup() as group:
            self._group = group
            self._notifier.tap(self._heard)
            await self._load(stop)
            await stop.wait()
            self._group = None  # nothing is started any more
            for timer in self._timers.values():
                timer.cancel()
            for running in self._running.values():
                running.cancel()

    async def _load(self, stop: Stopping) -> None:
        """Take up whatever may have something to send."""
        after = ""
        while not stop.is_set():
            try:
                found = await self._db.read(service_actor(_KERNEL), queries.list_active, after=after, most=LOAD_CHUNK)
            except Exception:  # noqa: BLE001 - a disk that fails now is asked again; nobody's events are forgotten
                _log.exception("push configurations not read")
                await stop.first(stop.wait(), timeout_s=AGAIN_S)
                continue
            for push_id in found:
                self._start(push_id)
            if len(found) < LOAD_CHUNK:
                return
            after = found[-1]

    def _heard(self, event: str, subject: str) -> None:
        if event.startswith("task."):
            for push_id in tuple(self._of_task.get(subject, ())):
                if push_id not in self._timers:  # an event does not cut a pause short
                    self._start(push_id)
        elif event in {"push.created", "push.replaced", "push.replayed"}:
            self._start(PushId(subject))
        elif event in {"push.deleted", "push.stopped", "push.done"}:
            self._forget(PushId(subject))

    def _start(self, push_id: PushId) -> None:
        """Let what is due be sent, at once where nothing is on its way yet."""
        timer = self._timers.pop(push_id, None)
        if timer is not None:
            timer.cancel()
        if push_id in self._running:
            self._again.add(push_id)
        elif self._group is not None:
            self._running[push_id] = self._group.create_task(self._serve(push_id))

    def _later(self, push_id: PushId, wait_s: float) -> None:
        loop = asyncio.get_running_loop()
        self._timers[push_id] = loop.call_later(max(wait_s, 0.001), self._start, push_id)

    def _forget(self, push_id: PushId) -> None:
        task_id = self._task_of.pop(push_id, None)
        if task_id is not None:
            others = self._of_task[task_id]
            others.discard(push_id)
            if not others:
                del self._of_task[task_id]
        timer = self._timers.pop(push_id, None)
        if timer is not None:
            timer.cancel()

    async def _serve(self, push_id: PushId) -> None:
        """Send what is due for one configuration, until nothing is."""
        wait_s: float | None = None
        try:
            while True:
                self._again.discard(push_id)
                # From here to the end of a look that finds nothing, nothing is awaited: no event falls in between.
                row = self._db.read_inline(service_actor(_KERNEL), queries.find_anywhere, push_id)
                if row is None or row.state != PushState.ACTIVE.value:
                    self._forget(push_id)
                    return
                self._task_of[push_id] = row.task_id
                self._of_task.setdefault(row.task_id, set()).add(push_id)
                wait_s = self._pause_of(row)
                if wait_s is not None or (not await self._advance(row) and push_id not in self._again):
                    return
        except (Exception, asyncio.CancelledError):  # the disk is full, say: what is due stays due
            if _is_ending():
                raise
            _log.exception("push notification postponed", push=push_id)
            wait_s = AGAIN_S
        finally:
            del self._running[push_id]
            if wait_s is not None and self._group is not None:
                self._later(push_id, wait_s)

    def _pause_of(self, row: Row) -> float | None:
        """Return how long a receiver that failed is left alone, None where it is not."""
        if row.next_try_at is None:
            return None
        left = (from_micros(row.next_try_at) - self._db.clock.now()).total_seconds()
        return left if left > 0 else None

    async def _advance(self, row: Row) -> bool:
        """Send what is due in order, up to the first failure; return whether anything was."""
        actor = service_actor(_KERNEL, WorkspaceId(row.workspace_id))
        whole = row.version == rules.V0_3
        delivered = row.delivered_generation
        task = self._tasks.get(actor, TaskId(row.task_id))
        after = 0 if rules.needs_whole_log(delivered, whole=whole) else delivered
        log = self._tasks.events(actor, task.id, after=after, most=WHOLE_LOG if after == 0 else LOG_CHUNK)
        notices = rules.find_notices(delivered, task, log, whole=whole)
        while not notices and len(log) == LOG_CHUNK:  # nothing but what was said
            log = self._tasks.events(actor, task.id, after=log[-1].generation, most=LOG_CHUNK)
            notices = rules.find_notices(delivered, task, log, whole=whole)
        if not notices:
            if broker.is_final(task.state):
                await self._db.write(actor, service.finish_config, PushId(row.id), row.epoch)
            return False
        for notice in notices:
            async with self._room(row):
                if not self._holds(row):  # deleted, replaced or replayed while it waited for room
                    break
                answer = await self._send(row, notice)
            after_try = await self._db.write(
                actor,
                service.report_try,
                PushId(row.id),
                row.epoch,
                notice.generation,
                answer,
                self._plan,
                dice=random.random(),  # noqa: S311 - jitter
            )
            if answer.error or after_try is None or after_try.epoch != row.epoch:
                break  # what follows is decided by what the table says now
            row = after_try
        return True

    def _holds(self, row: Row) -> bool:
        """Whether a configuration is still what it was when it was read."""
        now = self._db.read_inline(service_actor(_KERNEL), queries.find_anywhere, PushId(row.id))
        return now is not None and (now.epoch, now.state) == (row.epoch, row.state)

    async def _send(self, row: Row, notice: Notice) -> Answer:
        assert self._webhooks is not None
        objection = self._objection(row)
        if objection:
            return Answer(error=objection)
        try:
            headers = service.open_secrets(self._terms.sealer, row)
        except MemroosError as error:
            return Answer(error=error.detail)
        if notice.task.traceparent:
            headers["traceparent"] = tracing.child(notice.task.traceparent)
        body = self._encode(notice.task, self._content(notice), row.version)
        return await self._webhooks.post(row.url, rules.notification_id(row.id, notice.generation), body, headers)

    def _objection(self, row: Row) -> str:
        """Return why nothing leaves for this owner now: an agent that is shut out hears no more than with its key."""
        kind, _, owner = row.owner.partition(":")
        if kind != Role.AGENT.value:
            return ""
        agent = self._db.read_inline(service_actor(_KERNEL, WorkspaceId(row.workspace_id)), registry.get_agent, owner)
        return "" if agent.state is AgentState.ACTIVE else f"whoever asked for it is {agent.state.value}"

    def _content(self, notice: Notice) -> TaskDetail | TaskEvent | Message:
        task = notice.task
        if notice.event is not None:
            return notice.event
        if task.message_only and task.status_message is not None:
            return task.status_message
        return self._tasks.detail(service_actor(_KERNEL, task.workspace_id), task)

    @asynccontextmanager
    async def _room(self, row: Row) -> AsyncIterator[None]:
        """Wait until there is room for this receiver, this owner, and at all."""
        async with AsyncExitStack() as stack:
            host = urlsplit(row.url).netloc
            for key, most in ((f"{host} {row.owner}", AT_ONCE_PER_HOST), (row.owner, AT_ONCE_PER_OWNER)):
                room = self._narrow.get(key)
                if room is None:
                    room = self._narrow[key] = asyncio.Semaphore(most)
                await stack.enter_async_context(room)
            await stack.enter_async_context(self._slots)
            yield


def _is_ending() -> bool:
    """Whether this task was told to end; a request that was cancelled on its way is trouble like any other."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
