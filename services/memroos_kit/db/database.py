"""The one writer thread with group commit, and the readers beside it.

Callers that wait at the same time share one COMMIT. Each operation runs in a SAVEPOINT of its own; the commit is on
the disk before any caller is answered; there is no timer: a batch is what queued while the last one was committing.
"""

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar

import structlog
from sqlalchemy import Connection, Engine

from memroos_contracts.errors import Denied, MemroosError, Overloaded, Stopping, StorageFailed
from memroos_contracts.governance import Authorizer
from memroos_contracts.identity import Actor
from memroos_kit.clock import Clock, SystemClock
from memroos_kit.db import engine as engines
from memroos_kit.db.ports import FailureRecorder, Journal
from memroos_kit.db.tx import Read, Tx
from memroos_kit.ids import IdSource

P = ParamSpec("P")
T = TypeVar("T")

SLOW_VERB_S = 0.020
"""A verb that takes longer holds up everybody; the watchdog logs it."""

SLOW_LOG_EVERY_S = 60.0

_log = structlog.get_logger(__name__)


class Operation:
    """One verb on its way through the writer."""

    __slots__ = ("actor", "args", "error", "future", "kwargs", "result", "settled", "verb")

    def __init__(self, actor: Actor, verb: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self.actor = actor
        self.verb = verb
        self.args = args
        self.kwargs = kwargs
        self.result: Any = None
        self.error: BaseException | None = None
        self.future: asyncio.Future[Any] | None = None
        self.settled: threading.Event | None = None


class _TransactionGone(Exception):
    """The database cancelled the whole transaction; nothing of the batch is left."""


class Database:
    """A SQLite database with one writer thread and a few readers.

    Args:
        path: the database file; its schema is in place.
        authorizer: decides for every unit of work; given by wiring.
        journals: written at the end of each batch, in this order.
        failures: records denied and failed operations.
        queue_size: how many operations may wait; more are refused with `Overloaded`.
        batch_max: how many operations share a commit at most.
        readers: how many threads read.
    """

    def __init__(  # noqa: PLR0913 - a composition root's constructor
        self,
        path: Path,
        *,
        authorizer: Authorizer,
        journals: Sequence[Journal] = (),
        failures: FailureRecorder | None = None,
        clock: Clock | None = None,
        queue_size: int = 4096,
        batch_max: int = 256,
        readers: int = 2,
    ) -> None:
        self.path = path
        self.clock = clock or SystemClock()
        self.batches = 0
        self.operations = 0
        self._authorizer = authorizer
        self._journals = tuple(journals)
        self._failures = failures
        self._ids = IdSource()
        self._queue: deque[Operation] = deque()
        self._queue_size = queue_size
        self._batch_max = batch_max
        self._wake = threading.Condition()
        self._closing = False
        self._slow_logged: dict[str, float] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._writer_engine = engines.open_writer(path)
        self._connection = self._writer_engine.connect()
        self._cursor: Any = self._connection.connection.cursor()
        self._readers = _Readers(path, readers)
        self._inline: tuple[Connection, Any] | None = None
        self._inline_engine: Engine | None = None
        self._thread = threading.Thread(target=self._work, name="memroos-writer", daemon=True)
        self._thread.start()

    # -- writing -------------------------------------------------------------------------------------------------

    async def write(self, actor: Actor, verb: Callable[Concatenate[Tx, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a verb in the writer and return its answer once it is durable.

        A caller that goes away does not take its operation back.

        Raises:
            Overloaded: too many operations wait; nothing happened.
            Stopping: the database is closing; nothing happened.
            StorageFull: no room; nothing of the batch was kept.
        """
        operation = Operation(actor, verb, args, kwargs)
        operation.future = asyncio.get_running_loop().create_future()
        self._submit(operation)
        return await operation.future  # type: ignore[no-any-return]  # what the verb returned

    def write_now(self, actor: Actor, verb: Callable[Concatenate[Tx, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a verb in the writer and block until it is durable; for tests and commands, never on the event loop."""
        operation = Operation(actor, verb, args, kwargs)
        operation.settled = threading.Event()
        self._submit(operation)
        operation.settled.wait()
        if operation.error is not None:
            raise operation.error
        return operation.result  # type: ignore[no-any-return]  # what the verb returned

    def attach(self, loop: asyncio.AbstractEventLoop | None) -> None:
        """Name the event loop on which `after_commit` callbacks run; without one they run in the writer thread."""
        self._loop = loop

    @property
    def waiting(self) -> int:
        """How many operations wait for the writer."""
        return len(self._queue)

    def _submit(self, operation: Operation) -> None:
        with self._wake:
            if self._closing:
                raise Stopping(retry_after_s=5)
            if len(self._queue) >= self._queue_size:
                raise Overloaded(retry_after_s=1)
            self._queue.append(operation)
            if len(self._queue) == 1:
                self._wake.notify()

    def _work(self) -> None:
        while True:
            with self._wake:
                while not self._queue:
                    if self._closing:
                        return
                    self._wake.wait()
                batch = [self._queue.popleft() for _ in range(min(len(self._queue), self._batch_max))]
            callbacks: list[tuple[Callable[..., None], tuple[Any, ...]]] = []
            rest: Sequence[Operation] = batch
            while rest:
                rest = self._run_batch(rest, callbacks)
            self._settle(batch, callbacks)

    def _run_batch(
        self, batch: Sequence[Operation], callbacks: list[tuple[Callable[..., None], tuple[Any, ...]]]
    ) -> Sequence[Operation]:
        """Run operations in one transaction; return those that did not get their turn."""
        kept: list[Tx] = []
        done = 0
        pending: list[tuple[Journal, Any]] = []
        try:
            transaction = self._connection.begin()
            for operation in batch:
                done += 1
                kept.extend(self._run_operation(operation))
            for journal in self._journals:
                entries = [entry for tx in kept for entry in tx.journal(journal.name)]
                if entries:
                    pending.append((journal, journal.write(self._cursor, entries)))
            transaction.commit()
        except Exception as error:  # noqa: BLE001 - the writer loop: whatever broke, every caller gets a true answer
            self._abandon(batch[:done], error)
            return batch[done:]
        for journal, state in pending:
            try:
                journal.publish(state)
            except Exception:  # noqa: BLE001 - it is on the disk: whoever fails to follow, the callers are answered
                _log.exception("journal could not follow", journal=journal.name)
        callbacks.extend(callback for tx in kept for callback in tx._callbacks)  # noqa: SLF001 - the pair is one unit
        self.batches += 1
        self.operations += len(batch)
        return ()

    def _run_operation(self, operation: Operation) -> list[Tx]:
        """Run one verb in its savepoint; return the units of work whose announcements belong to the batch."""
        started = time.perf_counter()
        tx = self._tx(operation.actor)
        try:
            with engines.savepoint(self._cursor):
                try:
                    operation.result = operation.verb(tx, *operation.args, **operation.kwargs)
                    tx.finish(keep=True)
                except BaseException:
                    if self._in_transaction:
                        tx.finish(keep=False)
                    raise
        except Exception as error:
            if not self._in_transaction:
                raise _TransactionGone from error
            storage = engines.storage_error(error)
            if storage is not None:
                _log.error("verb failed in storage", verb=_name(operation.verb), exc_info=error)
            operation.error = storage or error
            return self._record_failure(tx, operation)
        finally:
            taken = time.perf_counter() - started
            if taken > SLOW_VERB_S:
                self._report_slow(_name(operation.verb), taken)
        return [tx]

    def _report_slow(self, verb: str, taken_s: float) -> None:
        """Log a verb that held the writer for long, at most once a minute; waiting for other threads counts too."""
        now = time.monotonic()
        if now - self._slow_logged.get(verb, -SLOW_LOG_EVERY_S) >= SLOW_LOG_EVERY_S:
            self._slow_logged[verb] = now
            _log.warning("slow verb", verb=verb, taken_ms=round(taken_s * 1000))

    def _record_failure(self, failed: Tx, operation: Operation) -> list[Tx]:
        assert operation.error is not None
        if self._failures is None:
            return []
        record = self._tx(operation.actor)
        record.now = failed.now
        record.decisions = failed.decisions
        self._failures.record_failure(record, _name(operation.verb), operation.error)
        return [record]

    def _abandon(self, batch: Sequence[Operation], error: Exception) -> None:
        """Give up a batch: nothing of it is in the database, and every caller hears so."""
        cause = error.__cause__ if isinstance(error, _TransactionGone) else error
        assert cause is not None
        transaction = self._connection.get_transaction()
        if transaction is not None:
            transaction.rollback()
        if self._in_transaction:
            self._cursor.execute("ROLLBACK")
        # Whatever broke, the caller has to hear that nothing was kept; the log has the cause.
        answer = engines.storage_error(cause) or (cause if isinstance(cause, MemroosError) else StorageFailed())
        _log.error("batch abandoned", operations=len(batch), exc_info=cause)
        for operation in batch:
            operation.result = None
            operation.error = answer

    def _settle(self, batch: Sequence[Operation], callbacks: list[tuple[Callable[..., None], tuple[Any, ...]]]) -> None:
        """Answer the callers, after what they changed has become visible."""
        awaited = [operation for operation in batch if operation.future is not None]
        loop = self._loop or (awaited[0].future.get_loop() if awaited and awaited[0].future else None)
        try:
            if loop is None:
                _answer([], callbacks)
            else:
                loop.call_soon_threadsafe(_answer, awaited, callbacks)
        except RuntimeError:  # the loop is closed, and nobody waits there any more
            _answer([], callbacks)
        for operation in batch:
            if operation.settled is not None:
                operation.settled.set()

    def _tx(self, actor: Actor) -> Tx:
        return Tx(self._connection, self._cursor, actor, self.clock.now(), self._authorizer, self._ids)

    @property
    def _in_transaction(self) -> bool:
        return bool(self._cursor.connection.in_transaction)

    # -- reading -------------------------------------------------------------------------------------------------

    async def read(
        self, actor: Actor, query: Callable[Concatenate[Read, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Run a query in a reader thread on a snapshot that cannot write.

        What policy refuses is asked again in the writer, where the refusal is put on record.
        """
        call = self._readers.run
        try:
            return await asyncio.get_running_loop().run_in_executor(
                self._readers.pool, lambda: call(self._reading(actor), query, args, kwargs)
            )
        except Denied:
            return await self.write(actor, _asked_again(query), *args, **kwargs)

    def read_now(self, actor: Actor, query: Callable[Concatenate[Read, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a query in a reader thread and block; for tests and commands, never on the event loop."""
        call = self._readers.run
        try:
            return self._readers.pool.submit(call, self._reading(actor), query, args, kwargs).result()  # type: ignore[no-any-return]
        except Denied:
            return self.write_now(actor, _asked_again(query), *args, **kwargs)

    def read_inline(
        self, actor: Actor, query: Callable[Concatenate[Read, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Run a point lookup on this thread: a few microseconds against a thread's five hundred.

        Only for hot statements that find by key; each statement sees a snapshot of its own.
        """
        if self._inline is None:
            self._inline_engine = engines.open_reader(self.path)
            connection = self._inline_engine.connect()
            self._inline = (connection, connection.connection.cursor())
        connection, cursor = self._inline
        tx = self._reading(actor)(connection, cursor)
        try:
            return query(tx, *args, **kwargs)
        except Denied:
            self._submit(Operation(actor, _asked_again(query), args, kwargs))  # for the record; nobody waits for it
            raise
        finally:
            tx.finish(keep=False)

    def _reading(self, actor: Actor) -> Callable[[Connection, Any], Read]:
        return lambda connection, cursor: Read(connection, cursor, actor, self.clock.now(), self._authorizer)

    # -- the end -------------------------------------------------------------------------------------------------

    def close(self) -> None:
        """Finish what was accepted, then close; later writes are refused. May be repeated."""
        with self._wake:
            if self._closing:
                return
            self._closing = True
            self._wake.notify()
        self._thread.join()
        self._readers.close()
        if self._inline is not None and self._inline_engine is not None:
            self._inline[0].close()
            self._inline_engine.dispose()
        self._cursor.close()
        self._connection.close()
        self._writer_engine.dispose()


class _Readers:
    """A few threads, each with a connection of its own."""

    def __init__(self, path: Path, threads: int) -> None:
        self._path = path
        self._local = threading.local()
        self._open: list[tuple[Connection, Engine]] = []
        self.pool = ThreadPoolExecutor(threads, thread_name_prefix="memroos-reader")

    def run(
        self,
        open_read: Callable[[Connection, Any], Read],
        query: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> Any:
        connection, cursor = self._connection()
        with connection.begin() as snapshot:
            tx = open_read(connection, cursor)
            try:
                return query(tx, *args, **kwargs)
            finally:
                tx.finish(keep=False)
                snapshot.rollback()

    def _connection(self) -> tuple[Connection, Any]:
        if not hasattr(self._local, "pair"):
            engine = engines.open_reader(self._path)
            connection = engine.connect()
            self._open.append((connection, engine))
            self._local.pair = (connection, connection.connection.cursor())
        return self._local.pair  # type: ignore[no-any-return]  # a thread's own attribute

    def close(self) -> None:
        self.pool.shutdown(wait=True)
        for connection, engine in self._open:
            connection.close()
            engine.dispose()


def _answer(operations: Sequence[Operation], callbacks: Sequence[tuple[Callable[..., None], tuple[Any, ...]]]) -> None:
    for callback, args in callbacks:
        try:
            callback(*args)
        except Exception:  # noqa: BLE001 - a wake-up that fails must not leave the callers of a durable batch unanswered
            _log.exception("after-commit callback failed", callback=_name(callback))
    for operation in operations:
        future = operation.future
        if future is None or future.done():
            continue
        if operation.error is not None:
            future.set_exception(operation.error)
        else:
            future.set_result(operation.result)


def _asked_again(query: Callable[Concatenate[Read, P], T]) -> Callable[Concatenate[Tx, P], T]:
    """Return a query that policy has refused as a verb, so that the refusal is recorded.

    It can wait for a human no more than before. Where policy has changed its mind meanwhile, this is the answer.
    """

    def verb(tx: Tx, /, *args: P.args, **kwargs: P.kwargs) -> T:
        tx.can_wait = False
        return query(tx, *args, **kwargs)

    verb.__qualname__ = _name(query)
    return verb


def _name(function: Callable[..., Any]) -> str:
    return getattr(function, "__qualname__", repr(function))
