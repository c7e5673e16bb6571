"""Waiting for tasks and following them: what the A2A doors and REST share.

Nothing here polls: a listener wakes when a committed change names the task, then the log is read on from where it was
left.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager

from memroos import broker, events
from memroos_contracts.broker import TaskEvent, TaskState, TaskView
from memroos_contracts.errors import Unauthenticated
from memroos_contracts.identity import Actor, KeyId, TaskId
from memroos_kit.db import Database
from memroos_kit.ids import new_id
from memroos_kit.limits import StreamSlots
from memroos_kit.stopping import Stopping

CHUNK = 200
"""How many log entries are read at once."""


class Streams:
    """The open streams of this process, by key: counted, and ended when their key or the process is.

    Args:
        slots: how many streams a key may hold open.
        stopping: set when the process begins to end.
        admits: whether a key still opens the door; all do when left out.
    """

    def __init__(
        self, slots: StreamSlots, stopping: Stopping, *, admits: Callable[[KeyId], bool] = lambda _: True
    ) -> None:
        self._slots = slots
        self._stopping = stopping
        self._admits = admits
        self._open: dict[str, set[Stopping]] = {}

    @contextmanager
    def open(self, actor: Actor) -> Iterator[Stopping]:
        """Count a stream in, and yield what is set when it has to end.

        Raises:
            TooManyRequests: the key has as many open as it may.
            Unauthenticated: the key has become invalid since the request came.
        """
        self.demand_admitted(actor)
        holder = actor.key or actor.principal
        ended = Stopping()
        with self._slots.hold(holder), self._stopping.calling(ended.set):
            mine = self._open.setdefault(holder, set())
            mine.add(ended)
            try:
                yield ended
            finally:
                mine.discard(ended)
                if not mine:
                    self._open.pop(holder, None)

    def demand_admitted(self, actor: Actor) -> None:
        """Refuse who comes out of a wait with a key that was revoked or suspended meanwhile.

        Whoever opens a stream after its key's end was announced would never hear of it.

        Raises:
            Unauthenticated: the key is not valid any more.
        """
        if actor.key is not None and not self._admits(actor.key):
            raise Unauthenticated

    def end_key(self, key: str) -> None:
        """End all streams of a key that is no longer valid."""
        for ended in tuple(self._open.get(key, ())):
            ended.set()


async def send_and_wait(  # noqa: PLR0913 - where, who, what, how and how long
    db: Database,
    tasks: broker.Tasks,
    notifier: events.Notifier,
    actor: Actor,
    send: broker.Send,
    *,
    timeout_s: float,
    verb: Callable[..., TaskView] = broker.send_message,
) -> TaskView:
    """Send a message and return its task once it has ended or needs somebody, or as it is when the time is over.

    The listener is there before the task is, under the id that a new task will get, so nothing has to be read again
    to know that nothing was missed.

    Args:
        verb: how it is sent.
    """
    task_id = TaskId(new_id("task"))
    deadline = asyncio.get_running_loop().time() + timeout_s
    with notifier.listen(task_id) as listener:
        task = await db.write(actor, verb, send, task_id=task_id)
        if task.id != task_id or broker.waits_for_caller(task.state):
            return await settled(tasks, notifier, actor, task, timeout_s=timeout_s)
        while (left := deadline - asyncio.get_running_loop().time()) > 0 and not listener.closed:
            event = await listener.next(left)
            if event is not None and broker.waits_for_caller(TaskState(event.data["state"])):
                break
    return tasks.get(actor, task_id)


async def settled(
    tasks: broker.Tasks, notifier: events.Notifier, actor: Actor, task: TaskView, *, timeout_s: float
) -> TaskView:
    """Return the task once it has ended or needs somebody, or as it is when the time is over."""
    if broker.waits_for_caller(task.state):
        return task
    deadline = asyncio.get_running_loop().time() + timeout_s
    with notifier.listen(task.id) as listener:
        while True:
            task = tasks.get(actor, task.id)
            left = deadline - asyncio.get_running_loop().time()
            if broker.waits_for_caller(task.state) or left <= 0 or listener.closed:
                return task
            await listener.next(left)


async def accepted(
    tasks: broker.Tasks,
    notifier: events.Notifier,
    actor: Actor,
    task: TaskView,
    *,
    ended: Stopping,
    timeout_s: float,
) -> TaskView:
    """Return a task that was just sent as its agent took it, or as it is when the time is over or somebody is needed.

    So a stream through the kernel begins as one from the agent itself.

    Args:
        ended: set from outside when the stream has to end early.
    """
    if task.accepted_generation:
        return task
    deadline = asyncio.get_running_loop().time() + timeout_s
    with notifier.listen(task.id) as listener, ended.calling(listener.wake):
        while True:
            task = tasks.get(actor, task.id)
            if task.accepted_generation:
                return tasks.as_accepted(actor, task)
            left = deadline - asyncio.get_running_loop().time()
            if broker.waits_for_caller(task.state) or left <= 0 or _ends(ended, listener):
                return task
            await listener.next(left)


async def changed(
    tasks: broker.Tasks, notifier: events.Notifier, actor: Actor, task_id: TaskId, *, generation: int, timeout_s: float
) -> TaskView:
    """Return a task once it has another generation than this one, or as it is when the time is over.

    Raises:
        NotFound: no task has this id, or the actor may not see it.
    """
    deadline = asyncio.get_running_loop().time() + timeout_s
    with notifier.listen(task_id) as listener:
        while True:
            task = tasks.get(actor, task_id)
            left = deadline - asyncio.get_running_loop().time()
            if task.generation != generation or left <= 0 or listener.closed:
                return task
            await listener.next(left)


async def follow(  # noqa: PLR0913 - where, who, what and how long
    tasks: broker.Tasks,
    notifier: events.Notifier,
    actor: Actor,
    task_id: TaskId,
    *,
    after: int,
    ended: Stopping,
    until_input: bool = False,
    keep_alive_s: float | None = None,
) -> AsyncIterator[TaskEvent | None]:
    """Yield a task's log after a generation, then live, until it ends; nothing twice, nothing left out.

    Args:
        ended: set from outside when the stream has to end early.
        until_input: whether to end when the task needs the caller.
        keep_alive_s: yield None after this many quiet seconds; None for never.
    """
    with notifier.listen(task_id) as listener, ended.calling(listener.wake):
        while not ended.is_set():
            # In this order: a task seen as ended has its whole log, so nothing can come between the two looks.
            over = broker.is_final(tasks.get(actor, task_id).state)
            entries = tasks.events(actor, task_id, after=after, most=CHUNK)
            for entry in entries:
                yield entry
                after = entry.generation
            asks = until_input and bool(entries) and entries[-1].state is TaskState.INPUT_REQUIRED
            if listener.closed or asks or (over and len(entries) < CHUNK):
                return
            if len(entries) < CHUNK and await listener.next(keep_alive_s) is None and not _ends(ended, listener):
                yield None


def _ends(ended: Stopping, listener: events.Listener) -> bool:
    return ended.is_set() or listener.closed
