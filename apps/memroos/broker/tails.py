"""The recent ends of task logs in memory, so that whoever waits for a task reads it without the database.

One of the database's journals: verbs announce what they wrote, and after the COMMIT, before anybody is woken or
answered, it is here. What is not here is read from the tables; both say the same, because only committed changes of
tasks whose whole log is known are kept.
"""

from typing import Any, NamedTuple

from memroos.broker import queries, rules
from memroos_contracts.broker import EventKind, TaskDetail, TaskEvent, TaskView, Work
from memroos_contracts.identity import Actor, TaskId
from memroos_kit.db import Cursor, Database, Tx

JOURNAL = "tails"


class Tail(NamedTuple):
    """A task as it stands, and its whole log."""

    task: TaskView
    events: tuple[TaskEvent, ...]


class _Change(NamedTuple):
    task: TaskView
    events: tuple[TaskEvent, ...]
    size_bytes: int


def announce(tx: Tx, task: TaskView, events: list[TaskEvent], size_bytes: int) -> None:
    """Let the tails follow once this unit of work is committed."""
    tx.journal(JOURNAL).append(_Change(task, tuple(events), size_bytes))


class Tails:
    """The tasks that changed last.

    The writer's thread changes it, the event loop reads: an entry is replaced as a whole, so a reader sees it before
    or after a change, never half.

    Args:
        tasks: how many are kept at the most.
        size_bytes: how much their logs may hold together.
        events: how long a log may be; a longer one is read from the tables, where a reader takes only what is new.
    """

    name = JOURNAL

    def __init__(self, *, tasks: int = 4096, size_bytes: int = 64 * 1024 * 1024, events: int = 64) -> None:
        self._tails: dict[TaskId, Tail] = {}
        self._sizes: dict[TaskId, int] = {}
        self._total = 0
        self._most = tasks
        self._most_bytes = size_bytes
        self._most_events = events

    def find(self, task_id: TaskId) -> Tail | None:
        """Return a task that is kept; the caller checks who may see it."""
        return self._tails.get(task_id)

    def write(self, cursor: Cursor, entries: list[Any]) -> list[_Change]:  # noqa: ARG002 - nothing to write: the tables hold it
        """Hand the batch's changes on to `publish`."""
        return entries

    def publish(self, pending: list[_Change]) -> None:
        """Follow a committed batch."""
        for change in pending:
            self._follow(change)
        while len(self._tails) > self._most or self._total > self._most_bytes:
            self._drop(next(iter(self._tails)))

    def _follow(self, change: _Change) -> None:
        task = change.task
        known = self._tails.get(task.id)
        events = (*known.events, *change.events) if known is not None else change.events
        if len(events) != task.generation or len(events) > self._most_events:
            self._drop(task.id)  # its beginning is not known here, or it is too long to keep
            return
        self._tails[task.id] = Tail(task, events)
        self._sizes[task.id] = self._sizes.get(task.id, 0) + change.size_bytes
        self._total += change.size_bytes

    def _drop(self, task_id: TaskId) -> None:
        self._tails.pop(task_id, None)
        self._total -= self._sizes.pop(task_id, 0)

    def __len__(self) -> int:
        return len(self._tails)


class Tasks:
    """Tasks as doors and workers read them: from the tails where they are kept, else from the tables.

    Point reads for the event loop's thread; the database's own inline reads cost it a wait for the writer's thread.
    """

    def __init__(self, db: Database, tails: Tails) -> None:
        self._db = db
        self._tails = tails

    def get(self, actor: Actor, task_id: TaskId) -> TaskView:
        """Return a task without its content.

        Raises:
            NotFound: no task has this id, or the actor may not see it.
        """
        tail = self._tails.find(task_id)
        if tail is not None and queries.can_see(actor, tail.task):
            return tail.task
        return self._db.read_inline(actor, queries.get_task, task_id)

    def peek(self, task_id: TaskId) -> TaskView | None:
        """Return a task that changed lately, without looking further; for the kernel's own loops."""
        tail = self._tails.find(task_id)
        return None if tail is None else tail.task

    def events(self, actor: Actor, task_id: TaskId, *, after: int, most: int) -> list[TaskEvent]:
        """Return a task's log after a generation, oldest first. The caller has looked the task up."""
        tail = self._tails.find(task_id)
        if tail is not None:
            return list(tail.events[after : after + most])  # generations count from 1 without gaps
        return self._db.read_inline(actor, queries.list_events, task_id, after=after, most=most)

    def as_accepted(self, actor: Actor, task: TaskView) -> TaskView:
        """Return a task as it was when its agent had taken it."""
        log = self.events(actor, task.id, after=0, most=queries.ALL_EVENTS)
        return queries.as_of(task, log, task.accepted_generation)

    def last_status(self, actor: Actor, task: TaskView) -> TaskEvent:
        """Return the entry of the log that brought a task to its state."""
        log = self.events(actor, task.id, after=0, most=task.generation)
        return next(event for event in reversed(log) if event.kind is EventKind.STATUS)

    def detail(
        self, actor: Actor, task: TaskView, *, history_length: int | None = None, artifacts: bool = True
    ) -> TaskDetail:
        """Return the content of a task as it was at the view's generation."""
        tail = self._tails.find(task.id)
        if tail is not None:
            return queries.detail_of(task, tail.events, history_length=history_length, artifacts=artifacts)
        return self._db.read_inline(actor, queries.detail, task, history_length=history_length, artifacts=artifacts)

    def find_work(self, actor: Actor, item: queries.WaitingDelivery) -> Work | None:
        """Return what a local agent has to do for a delivery, or None when its task has ended."""
        task = self.get(actor, item.task_id)
        if not rules.is_open(task.state):
            return None
        log = self.events(actor, task.id, after=0, most=queries.ALL_EVENTS)
        message = log[item.generation - 1].message
        assert message is not None
        return Work(task=task, message=message, history=rules.fold_history(log))
