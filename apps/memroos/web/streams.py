"""Waiting for tasks and following them: what the A2A doors and REST share.

Nothing here polls: a listener wakes when a committed change names the task, then the log is read from where it was left.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager

from memroos import broker, events
from memroos_contracts.broker import TaskEvent, TaskState, TaskView
from memroos_contracts.errors import TooManyRequests
from memroos_contracts.identity import Actor, KeyId, TaskId
from memroos_kit.db import Database

CHUNK = 200
"""How many log entries are read at once."""


class Streams:
    """The open streams of this process, by key, so that a revoked key ends its streams.

    Args:
        per_key: how many streams one key may hold open.
    """

    def __init__(self, *, per_key: int) -> None:
        self._per_key = per_key
        self._open: dict[str, set[asyncio.Event]] = {}
        self._stopping = False

    @contextmanager
    def open(self, actor: Actor) -> Iterator[asyncio.Event]:
        """Count a stream in; the event is set when it has to end.

        Raises:
            TooManyRequests: the key has as many open as it may.
        """
        holder = actor.key or actor.principal
        mine = self._open.setdefault(holder, set())
        if len(mine) >= self._per_key:
            raise TooManyRequests(f"This key has {len(mine)} streams open, as many as it may.", retry_after_s=5)
        ended = asyncio.Event()
        if self._stopping:
            ended.set()
        mine.add(ended)
        try:
            yield ended
        finally:
            mine.discard(ended)
            if not mine:
                self._open.pop(holder, None)

    def end_key(self, key: KeyId) -> None:
        """End all streams of a key that is no longer valid."""
        for ended in self._open.get(key, ()):
            ended.set()

    def end_all(self) -> None:
        """End every stream, now and from now on; the process is stopping."""
        self._stopping = True
        for mine in self._open.values():
            for ended in mine:
                ended.set()

    def __len__(self) -> int:
        """How many are open."""
        return sum(len(mine) for mine in self._open.values())


async def settled(
    db: Database, notifier: events.Notifier, actor: Actor, task: TaskView, *, timeout_s: float
) -> TaskView:
    """Return the task once it has ended or needs somebody, or as it is when the time is over."""
    if broker.waits_for_caller(task.state):
        return task
    deadline = asyncio.get_running_loop().time() + timeout_s
    with notifier.listen(task.id) as listener:
        while True:
            task = db.read_inline(actor, broker.get_task, task.id)
            left = deadline - asyncio.get_running_loop().time()
            if broker.waits_for_caller(task.state) or left <= 0:
                return task
            await listener.next(left)


async def follow(  # noqa: PLR0913 - where, who, what and how long
    db: Database,
    notifier: events.Notifier,
    actor: Actor,
    task_id: TaskId,
    *,
    after: int,
    ended: asyncio.Event,
    until_input: bool = False,
) -> AsyncIterator[TaskEvent]:
    """Yield a task's log after a generation, then live, until it ends; nothing twice, nothing left out.

    Args:
        ended: set from outside when the stream has to end early.
        until_input: whether to end when the task needs the caller.
    """
    with notifier.listen(task_id, ended=ended) as listener:
        while not ended.is_set():
            entries = db.read_inline(actor, broker.list_events, task_id, after=after, most=CHUNK)
            for entry in entries:
                yield entry
                after = entry.generation
                if entry.state is not None and broker.is_final(entry.state):
                    return
            if until_input and entries and entries[-1].state is TaskState.INPUT_REQUIRED:
                return
            if len(entries) < CHUNK:
                await listener.next()
