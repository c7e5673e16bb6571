"""What one stream or one look at a remote agent adds to a task's log: checked, bounded, written in batches."""

import asyncio

import msgspec

from memroos.broker import client, queries, rules, service
from memroos.broker.worker.line import Line, Office
from memroos_contracts.broker import TaskEvent, TaskState, TaskView
from memroos_contracts.identity import Actor, DeliveryId

CHANGES_AT_ONCE = 64
"""How many changes may wait to be written; an agent that is faster waits for the writer."""


class TaskOver(Exception):
    """The task has ended here; what its agent says does not count any more."""


class Mirror:
    """Follows one task of an agent into our log, in order.

    Args:
        delivery_id: the message that the agent answers; None when it is only followed.
        resumed: the agent's id of the task when it is followed again; what comes first may be known then.
    """

    def __init__(
        self,
        office: Office,
        line: Line,
        actor: Actor,
        task: TaskView,
        *,
        delivery_id: DeliveryId | None = None,
        resumed: str = "",
    ) -> None:
        self.state: TaskState | None = None
        self.over = False
        self.settled = False
        self.taken = False
        self._office = office
        self._line = line
        self._actor = actor
        self._task = task
        self._delivery_id = delivery_id
        self._remote_id = resumed
        self._may_repeat = bool(resumed)
        self._waiting: list[rules.Change] = []
        self._taking: service.Taken | None = None
        self._writing: asyncio.Future[None] | None = None
        self._artifacts: set[str] | None = None
        self._size = 0
        self._events = task.generation

    async def take(self, item: rules.Item) -> bool:
        """Write down one thing that the agent said, at the latest with the next `flush`; returns whether it was new.

        Raises:
            InvalidAnswer: A2A does not allow it, here or at all.
            TaskOver: the task has ended meanwhile.
        """
        if self.over or isinstance(item, rules.Reply):
            return False
        fault = rules.find_item_fault(item, self._remote_id)
        if fault:
            raise client.InvalidAnswer(fault)
        changes = await self._changes(item)
        self._bound(changes)
        self._name(item, changes)
        for change in changes:
            if self.over:
                break
            self._waiting.append(change)
            if isinstance(change, rules.Status):
                self.state = change.state
                self.over = rules.is_final(change.state)
        await self._pass_on()
        return bool(changes)

    async def answer(self, reply: rules.Reply) -> None:
        """Write down the one message that is the agent's whole answer.

        Raises:
            InvalidAnswer: A2A does not allow it.
        """
        if fault := rules.find_item_fault(reply, ""):
            raise client.InvalidAnswer(fault)
        assert self._delivery_id is not None
        self.over = self.taken = True
        await self._office.db.write(self._actor, service.answer, self._task.id, reply.message, self._delivery_id)

    async def flush(self) -> None:
        """Return when everything is written.

        Raises:
            TaskOver: the task has ended meanwhile.
        """
        while self._writing is not None or self._waiting or self._taking is not None:
            if self._writing is None:
                self._start()
            await self._written()

    async def _changes(self, item: rules.Item) -> list[rules.Change]:
        if isinstance(item, rules.Snapshot):
            await self.flush()
            changes = rules.reconcile(self._log(), item, settled=self.settled)
            self._artifacts = None
            return changes
        assert isinstance(item, rules.Change)
        if self._may_repeat and await self._is_repeated(item):
            return []
        if isinstance(item, rules.Piece):
            if self._artifacts is None:
                await self.flush()
                self._artifacts = {event.artifact.artifact_id for event in self._log() if event.artifact is not None}
            if item.append and item.artifact.artifact_id not in self._artifacts:
                raise client.InvalidAnswer(f"a piece of artifact {item.artifact.artifact_id!r}, which does not exist")
            self._artifacts.add(item.artifact.artifact_id)
        return [item]

    async def _is_repeated(self, change: rules.Change) -> bool:
        """Whether a change came with the snapshot before it; some servers say the last ones twice."""
        await self.flush()
        log = self._log()
        if not rules.may_be_old(log, change):
            self._may_repeat = False  # what follows something new is new
            return False
        if isinstance(change, rules.Status):
            return True
        later = await self._line.connect().get(self._remote_id, self._line.call(self._task))
        self._may_repeat = rules.is_old(log, change, later)
        return self._may_repeat

    def _name(self, item: rules.Snapshot | rules.Change, changes: list[rules.Change]) -> None:
        """Note how the agent calls the task with the first that it says of it."""
        if self.taken:
            return
        self.taken = True
        remote_id = item.id if isinstance(item, rules.Snapshot) else item.task_id
        if self._delivery_id is not None or remote_id != self._remote_id:
            metadata = item.metadata if isinstance(item, rules.Snapshot) else None
            self._taking = service.Taken(remote_id, item.context_id, self._delivery_id, len(changes), metadata)
        self._remote_id = remote_id

    def _bound(self, changes: list[rules.Change]) -> None:
        terms = self._office.terms
        self._events += len(changes)
        self._size += sum(len(msgspec.json.encode(change)) for change in changes)
        if self._events > terms.most_events:
            raise client.InvalidAnswer(f"more than {terms.most_events} events in one task")
        if self._size > terms.most_bytes:
            raise client.InvalidAnswer(f"more than {terms.most_bytes} bytes in one task")

    def _log(self) -> list[TaskEvent]:
        return self._office.tasks.events(self._actor, self._task.id, after=0, most=queries.ALL_EVENTS)

    async def _pass_on(self) -> None:
        """Let the writer have what waits; what comes while it writes goes with the next batch."""
        if self._writing is not None and (self._writing.done() or len(self._waiting) >= CHANGES_AT_ONCE):
            await self._written()
        if self._writing is None and (self._waiting or self._taking is not None):
            self._start()

    def _start(self) -> None:
        # It starts when the loop next waits, so an agent that answers at once is written in one piece.
        self._writing = asyncio.ensure_future(self._write())

    async def _write(self) -> None:
        while self._waiting or self._taking is not None:
            batch, taken = self._waiting[:], self._taking
            self._waiting.clear()
            self._taking = None
            try:
                task = await self._office.db.write(self._actor, service.mirror, self._task.id, batch, taken=taken)
            except service.IdTaken as error:
                raise client.InvalidAnswer("the id of another task") from error
            if not rules.is_open(task.state) and not self.over:
                self.over = True
                raise TaskOver

    async def _written(self) -> None:
        if self._writing is not None:
            await asyncio.wait([self._writing])  # what is on its way to the writer cannot be called back
            writing, self._writing = self._writing, None
            writing.result()
