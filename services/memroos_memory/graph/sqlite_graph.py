"""The graph in a SQLite file of its own: one thread writes, another reads."""

import asyncio
import contextlib
import functools
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar

import msgspec

from memroos_contracts.errors import MemroosError
from memroos_contracts.memory_errors import IndexUnavailable
from memroos_contracts.memory_work import Index, IndexState
from memroos_kit import log
from memroos_kit.db.engine import READER_PRAGMAS, WRITER_PRAGMAS, storage_error
from memroos_kit.sqlite import sqlite3
from memroos_memory.graph import tables
from memroos_memory.graph.port import HOPS_MAX, HUB, ROWS_MAX, GraphCount, GraphEntry, GraphHit, Neighbour
from memroos_memory.graph.ranking import Reached, Said, choose, micros_or_none, names_of, neighbour, rank, said

CHUNK = 500
"""Items per transaction; it takes some 50 ms."""

_BROKEN = frozenset({11, 26})  # corrupt, not a database: https://sqlite.org/rescode.html
_BESIDE = ("", "-wal", "-shm")
_log = log.get(__name__)

_P = ParamSpec("_P")
_T = TypeVar("_T")


class SqliteGraph:
    """Implements `Graph` with tables in a file.

    A file that is damaged, or not ours, is put aside under another name when it is opened or when the damage shows;
    an empty one takes its place, and the state says that it waits to be rebuilt.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._writer: Any = None
        self._reader: Any = None
        self._detail = ""
        self._closed = False
        self._reading = threading.Lock()  # held while the reader's connection is used or exchanged
        self._writes = ThreadPoolExecutor(1, thread_name_prefix="graph-write")
        self._reads = ThreadPoolExecutor(1, thread_name_prefix="graph-read")

    async def put(self, scope_seq: int, entries: Sequence[GraphEntry]) -> None:
        """Let the graph say what these items say, and nothing that they said before."""
        items = said(entries)
        for start in range(0, len(items), CHUNK):
            await self._write(_put, scope_seq, items[start : start + CHUNK])

    async def remove(self, scope_seq: int, item_seqs: Sequence[int]) -> None:
        """Take these items out, with the relations they prove and the entities nobody else mentions."""
        for start in range(0, len(item_seqs), CHUNK):
            await self._write(_remove, scope_seq, item_seqs[start : start + CHUNK])

    async def items_of(
        self,
        scopes: Sequence[int],
        entities: Sequence[str],
        *,
        hops: int = 1,
        limit: int = 100,
        at: datetime | None = None,
    ) -> list[GraphHit]:
        """Return the items that mention one of these entities, or one related to them, best first."""
        return await self._read(
            _items_of, scopes, names_of(entities), hops=min(max(hops, 0), HOPS_MAX), limit=limit, at=micros_or_none(at)
        )

    async def neighbours(
        self, scopes: Sequence[int], entities: Sequence[str], *, limit: int = 100, at: datetime | None = None
    ) -> list[Neighbour]:
        """Return the relations from and to these entities."""
        return await self._read(_neighbours, scopes, names_of(entities), limit=limit, at=micros_or_none(at))

    async def reset(self) -> None:
        """Empty it."""
        # A new file instead of an emptied one: it also helps where the folder was deleted under a running service.
        self._check_open()
        await self._in(self._writes, self._begin_anew)

    async def complete(self) -> None:
        """Take note that everything in the truth has been put."""
        await self._write(_mark_whole)
        self._detail = ""

    async def count(self) -> GraphCount:
        """Return how much is in it."""
        return await self._read(_count)

    async def state(self) -> IndexState:
        """Tell how it stands; never raises."""
        try:
            whole, items = await self._read(_standing)
        except Exception as error:  # noqa: BLE001 - whatever it is, it belongs into the answer
            return IndexState(Index.GRAPH, ready=False, items=0, detail=str(error))
        return IndexState(
            Index.GRAPH, ready=whole, items=items, detail="" if whole else self._detail or "It is being rebuilt."
        )

    async def close(self) -> None:
        """Close the file."""
        if self._closed:
            return
        self._closed = True
        await self._in(self._writes, self._close_writer)
        await self._in(self._reads, self._close_reader)
        self._writes.shutdown()
        self._reads.shutdown()

    # -- threads -------------------------------------------------------------------------------------------------

    async def _in(self, threads: ThreadPoolExecutor, work: Callable[[], _T]) -> _T:
        return await asyncio.get_running_loop().run_in_executor(threads, work)

    def _check_open(self) -> None:
        if self._closed:
            raise IndexUnavailable("The graph is closed.", index=Index.GRAPH.value)

    async def _write(self, work: Callable[Concatenate[Any, _P], _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
        def run() -> _T:
            with self._damage_shows():
                if self._writer is None:
                    self._open()
                with _transaction(self._writer, "BEGIN IMMEDIATE"):
                    return work(self._writer, *args, **kwargs)

        self._check_open()
        return await self._in(self._writes, run)

    async def _read(self, work: Callable[Concatenate[Any, _P], _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
        self._check_open()
        if self._reader is None:
            await self._in(self._writes, self._ensure_open)

        def run() -> _T:
            with self._reading:
                if self._reader is None:
                    self._reader = _connect(self._path, READER_PRAGMAS)
                with _transaction(self._reader, "BEGIN"):
                    return work(self._reader, *args, **kwargs)

        try:
            return await self._in(self._reads, run)
        except sqlite3.Error as error:
            await self._in(self._writes, functools.partial(self._put_aside_if_broken, error))
            raise _unavailable(error) from error

    # -- the file; all of this runs in the writer's thread -------------------------------------------------------

    def _ensure_open(self) -> None:
        if self._writer is None:
            with self._damage_shows():
                self._open()

    def _open(self) -> None:
        """Open the file; a damaged one is put aside first."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._writer = _open_sound(self._path)
        except sqlite3.DatabaseError as error:
            if storage_error(error) is not None and not _is_broken(error):
                raise
            self._put_aside(error)
            self._writer = _open_sound(self._path)

    def _begin_anew(self) -> None:
        with self._damage_shows(), self._reading:
            self._close_writer()
            self._close_reader_unlocked()
            for beside in _BESIDE:
                self._path.with_name(self._path.name + beside).unlink(missing_ok=True)
            self._open()

    @contextlib.contextmanager
    def _damage_shows(self) -> Iterator[None]:
        """Turn a failure of the file into the domain's word for it, after putting a broken file aside."""
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            self._put_aside_if_broken(error)
            raise _unavailable(error) from error

    def _put_aside_if_broken(self, error: BaseException) -> None:
        if _is_broken(error):
            with self._reading:
                self._put_aside(error)

    def _put_aside(self, error: BaseException) -> None:
        self._close_writer()
        self._close_reader_unlocked()
        aside = self._path.with_name(f"{self._path.name}.damaged-{time.time_ns()}")
        for beside in _BESIDE:
            with contextlib.suppress(FileNotFoundError):
                self._path.with_name(self._path.name + beside).rename(aside.with_name(aside.name + beside))
        self._detail = f"Its file was damaged and is now {aside.name}; it is being rebuilt."
        _log.warning("graph.damaged", put_aside=str(aside), error=str(error))

    def _close_writer(self) -> None:
        writer, self._writer = self._writer, None
        if writer is not None:
            with contextlib.suppress(sqlite3.Error):
                writer.close()

    def _close_reader(self) -> None:
        with self._reading:
            self._close_reader_unlocked()

    def _close_reader_unlocked(self) -> None:
        reader, self._reader = self._reader, None
        if reader is not None:
            with contextlib.suppress(sqlite3.Error):
                reader.close()


def _connect(path: Path, pragmas: Sequence[str]) -> Any:
    connection = sqlite3.connect(str(path), isolation_level=None, check_same_thread=False)
    try:
        for pragma in pragmas:
            connection.execute(pragma)
    except BaseException:
        connection.close()
        raise
    return connection


def _open_sound(path: Path) -> Any:
    """Open a file that is whole and ours, or make it.

    Raises:
        sqlite3.DatabaseError: it is damaged, or something else.
    """
    connection = _connect(path, WRITER_PRAGMAS)
    try:
        (objects,) = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
        if objects == 0:
            connection.executescript(f"BEGIN; PRAGMA application_id = {tables.APPLICATION_ID}; {tables.TABLES} COMMIT;")
            path.chmod(0o600)
        _check_sound(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def _check_sound(connection: Any) -> None:
    (ours,) = connection.execute("PRAGMA application_id").fetchone()
    (sound,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    if ours != tables.APPLICATION_ID or sound != "ok":
        raise sqlite3.DatabaseError(f"The file is damaged or of another form: {sound}")


@contextlib.contextmanager
def _transaction(connection: Any, begin: str) -> Iterator[None]:
    connection.execute(begin)
    try:
        yield
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


def _is_broken(error: BaseException) -> bool:
    return isinstance(error, sqlite3.DatabaseError) and getattr(error, "sqlite_errorcode", 0) & 0xFF in _BROKEN


def _unavailable(error: BaseException) -> MemroosError:
    if _is_broken(error):
        return IndexUnavailable(
            "The graph's file is damaged. It was put aside, and is to be rebuilt.", index=Index.GRAPH.value
        )
    if (known := storage_error(error)) is not None:
        return known
    _log.warning("graph.unusable", error=repr(error))
    reason = f"{type(error).__name__}; the log says more."
    return IndexUnavailable(f"The graph's file cannot be used: {reason}", index=Index.GRAPH.value)


# -- statements ------------------------------------------------------------------------------------------------------


def _put(connection: Any, scope_seq: int, items: Sequence[Said]) -> None:
    for item in items:
        _remove(connection, scope_seq, (item.item_seq,))
        key = {"scope_seq": scope_seq, "item_seq": item.item_seq}
        connection.execute(tables.ADD_ITEM, {**key, "item_id": item.item_id})
        for name in item.entities:
            connection.execute(tables.ADD_ENTITY, {"scope_seq": scope_seq, "name": name})
            connection.execute(tables.ADD_MENTION, {**key, "name": name})
        if item.triple is not None:
            triple = {"subject": item.triple.subject, "type": item.triple.relation, "object": item.triple.object}
            interval = {"valid_from": item.valid_from, "valid_to": item.valid_to}
            connection.execute(tables.ADD_RELATION, {**key, **triple, **interval})


def _remove(connection: Any, scope_seq: int, item_seqs: Sequence[int]) -> None:
    for item_seq in item_seqs:
        for statement in tables.FORGET:
            connection.execute(statement, {"scope_seq": scope_seq, "item_seq": item_seq})


def _mark_whole(connection: Any) -> None:
    connection.execute(tables.MARK_WHOLE)


def _items_of(
    connection: Any, scopes: Sequence[int], names: Sequence[str], *, hops: int, limit: int, at: int | None
) -> list[GraphHit]:
    rows = connection.execute(
        tables.REACH,
        {"scopes": _json(scopes), "names": _json(names), "hops": hops, "at": at, "hub": HUB, "rows": ROWS_MAX},
    ).fetchall()
    numbers = {(scope_seq, name): seq for _, _, scope_seq, name, seq in rows}
    chosen = choose(Reached(*row[:4]) for row in rows)
    items = {
        (one.scope_seq, one.name): [
            item_seq
            for (item_seq,) in connection.execute(tables.MENTIONING, {"entity": numbers[one.scope_seq, one.name]})
        ]
        for one in chosen
    }
    return rank(chosen, items, limit)


def _neighbours(
    connection: Any, scopes: Sequence[int], names: Sequence[str], *, limit: int, at: int | None
) -> list[Neighbour]:
    rows = connection.execute(
        tables.NEIGHBOURS, {"scopes": _json(scopes), "names": _json(names), "at": at, "limit": max(limit, 0)}
    )
    return [neighbour(what, msgspec.json.decode(items)) for *what, items in rows]


def _count(connection: Any) -> GraphCount:
    return GraphCount(*connection.execute(tables.COUNT).fetchone())


def _standing(connection: Any) -> tuple[bool, int]:
    (whole,) = connection.execute(tables.IS_WHOLE).fetchone()
    (items,) = connection.execute(tables.ITEMS).fetchone()
    return bool(whole), items


def _json(values: Sequence[int] | Sequence[str]) -> str:
    return msgspec.json.encode(sorted(set(values))).decode()
