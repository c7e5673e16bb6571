"""The vector index on a store of mem0's: one that answers and, while it is made anew, one beside it.

A file says which one answers, and it is replaced after the other one is whole: whoever is killed in between finds the
one before. What is damaged, or was made for another embedder, is put aside and made anew from the stored vectors.
"""

import asyncio
import contextlib
import secrets
import shutil
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple, TypeVar

import msgspec

from memroos_contracts.errors import MemroosError, StorageFull
from memroos_contracts.memory_errors import IndexUnavailable, WrongDimension
from memroos_contracts.memory_work import Index, IndexState
from memroos_kit import log
from memroos_memory.embedders.ports import Vectors
from memroos_memory.vectors.ports import Point, check_scopes
from memroos_memory.vectors.stores import SCOPE, Store

T = TypeVar("T")

CURRENT = "current.json"
THREADS = 2

_log = log.get(__name__)


class _Current(msgspec.Struct, frozen=True):
    """Which store answers, and whose vectors it holds."""

    name: str
    identity: str
    dimension: int
    whole: bool
    """Whether it was filled to the end."""
    beside: str = ""
    """The one that is being filled; remove it where nobody does so any more."""
    beside_dimension: int = 0


class _Open(NamedTuple):
    name: str
    identity: str
    dimension: int
    store: Store


class StoreIndex:
    """A `VectorIndex` on a store.

    Args:
        folder: where the file with the name of the current store is, and embedded stores.
        opener: opens the store of a name and a dimension, and makes it where there is none.
        identity: whose vectors it is to hold.
        dimension: their length.
        expected: how many vectors there are; where the index has another number of them, it has to be made anew.
        local: whether stores are folders in `folder`; whatever fails to open there is damaged. Elsewhere it is away.
    """

    def __init__(
        self,
        folder: Path,
        opener: Callable[[str, int], Store],
        *,
        identity: str,
        dimension: int,
        expected: int = 0,
        local: bool = True,
    ) -> None:
        self._folder = folder
        self._opener = opener
        self._wanted = (identity, dimension)
        self._expected = expected
        self._local = local
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="memroos-index")
        self._changing = threading.RLock()
        self._closed = False
        self._current: _Open | None = None
        self._next: _Open | None = None
        self._whole = False
        self._away = False
        self._items = 0
        self._detail = ""
        with contextlib.suppress(IndexUnavailable):  # it is away, which the log and `state` say
            self._reopen()

    @property
    def identity(self) -> str:
        """Return whose vectors it holds: an embedder's identity."""
        return self._current.identity if self._current is not None else self._wanted[0]

    # -- changes -------------------------------------------------------------------------------------------------------

    async def upsert(self, points: Sequence[Point], *, identity: str | None = None) -> None:
        """Put points in, or in anew; safe to repeat.

        Args:
            points: what to put in.
            identity: who made their vectors; where given, and another embedder's are in the index by now, it refuses.

        Raises:
            IndexUnavailable: the index does not answer, or holds another embedder's vectors.
            WrongDimension: a vector has another length than those in the index.
        """
        await self._call(self._upsert, points, identity)

    def _upsert(self, points: Sequence[Point], identity: str | None) -> None:
        with self._changing:
            current = self._serving()
            if identity is not None and identity != current.identity:
                raise IndexUnavailable("The index holds another embedder's vectors by now.", index=Index.VECTOR.value)
            _put(current, points)
            if self._next is not None and self._next.identity == current.identity:
                _put(self._next, points)

    async def remove(self, item_seqs: Sequence[int]) -> None:
        """Take points out; those that are not there are none."""
        await self._call(self._remove, list(item_seqs))

    def _remove(self, item_seqs: list[int]) -> None:
        if not item_seqs:
            return
        with self._changing:
            current = self._serving()
            current.store.delete_many(item_seqs)
            if self._next is not None:
                self._next.store.delete_many(item_seqs)

    async def begin(self, identity: str, dimension: int) -> None:
        """Begin an index beside the one that answers; from now on changes go into both, where they fit."""
        await self._call(self._begin, identity, dimension)

    def _begin(self, identity: str, dimension: int) -> None:
        with self._changing:
            self._drop_next()
            name = _new_name()
            if self._current is not None:
                self._write(_Current(*self._current[:3], whole=self._whole, beside=name, beside_dimension=dimension))
            self._next = _Open(name, identity, dimension, self._opener(name, dimension))

    async def fill(self, points: Sequence[Point], gone: Sequence[int] = ()) -> None:
        """Put points into the index that was begun, and take those that are gone out of it."""
        await self._call(self._fill, points, list(gone))

    def _fill(self, points: Sequence[Point], gone: list[int]) -> None:
        with self._changing:
            if self._next is None:
                raise IndexUnavailable("No index was begun.", index=Index.VECTOR.value)
            if gone:
                self._next.store.delete_many(gone)
            _put(self._next, points)

    async def switch(self) -> None:
        """Let the index that was begun answer instead, and remove the other."""
        await self._call(self._switch)

    def _switch(self) -> None:
        with self._changing:
            if self._next is None:
                raise IndexUnavailable("No index was begun.", index=Index.VECTOR.value)
            self._items = self._next.store.count()
            self._write(_Current(*self._next[:3], whole=True))
            before, self._current, self._next = self._current, self._next, None
            self._wanted = (self._current.identity, self._current.dimension)
            self._whole, self._detail = True, ""
            if before is not None:
                _drop(before)

    # -- questions -----------------------------------------------------------------------------------------------------

    async def search(self, vector: Vectors, scopes: Sequence[int], limit: int) -> list[tuple[int, float]]:
        """Return item numbers and cosines, nearest first; candidates, to be scored by the stored vectors.

        Raises:
            IndexUnavailable: the index does not answer.
            WrongDimension: the vector has another length than those in the index.
            TypeError: scopes are not plain numbers.
        """
        visible = check_scopes(scopes)
        if not visible or limit < 1:
            return []  # never a search without a filter, which would find everybody's
        return await self._call(self._search, vector, visible, limit)

    def _search(self, vector: Vectors, scopes: list[int], limit: int) -> list[tuple[int, float]]:
        current = self._serving()
        _check_length(vector, current.dimension)
        query, filters = vector.tolist(), {SCOPE: {"in": scopes}}
        try:
            hits = current.store.search("", query, top_k=limit, filters=filters)
        except Exception:
            if self._current is None or self._current is current:
                raise
            return self._search(vector, scopes, limit)  # it was replaced, and closed, in this moment
        return sorted(((int(hit.id), float(hit.score)) for hit in hits), key=lambda hit: (-hit[1], hit[0]))

    async def count(self) -> int:
        """Return how many points are in it."""
        self._items = await self._call(self._count)
        return self._items

    def _count(self) -> int:
        return self._serving().store.count()

    async def holds(self, points: Sequence[Point]) -> bool:
        """Check that points are found by their own vectors; where one is not, the index has to be made anew."""
        for point in points:
            hits = await self.search(point.vector, [point.scope_seq], 8)
            found = {seq for seq, score in hits if score > 0.98}
            if point.item_seq not in found and len(found) < 8:  # as many with the same words may stand before it
                self._whole, self._detail = False, "It does not hold what it should."
                return False
        return True

    def state(self) -> IndexState:
        """Return how it stands, with the number of points when they were last counted; never waits."""
        detail = "It does not answer." if self._away else self._detail
        if self._next is not None:
            detail = f"{detail} It is being made anew.".strip()
        ready = self._current is not None and self._whole and not self._away
        return IndexState(index=Index.VECTOR, ready=ready, items=self._items, detail=detail)

    def close(self) -> None:
        """Finish what was begun, and close it. May be repeated."""
        if self._closed:
            return
        self._closed = True
        self._pool.shutdown(wait=True)
        with self._changing:
            self._drop_next()
            if self._current is not None:
                with contextlib.suppress(Exception):  # what was written is in the engine's own log
                    self._current.store.close()
                self._current = None

    # -- opening -------------------------------------------------------------------------------------------------------

    def _serving(self) -> _Open:
        if self._current is None:
            self._reopen()
        assert self._current is not None
        return self._current

    def _reopen(self) -> None:
        """Open the store that answers, or a new one where there is none that could.

        Raises:
            IndexUnavailable: it is away; the next call tries again.
        """
        with self._changing:
            if self._current is not None:
                return
            known = self._known()
            try:
                if known is not None:
                    store = self._opener(known.name, known.dimension)
                    self._current = _Open(known.name, known.identity, known.dimension, store)
                    self._check(known)
                    return
                self._open_new()
            except Exception as error:
                damaged = "WouldBlock" not in str(error) and not isinstance(error, StorageFull)
                if known is not None and self._local and damaged:
                    self._put_aside(str(error))
                    self._open_new()
                    return
                self._away = True
                _log.warning("vectors.away", error=repr(error))
                raise IndexUnavailable(
                    f"The vector index does not answer: {_reason(error)}", index=Index.VECTOR.value
                ) from error

    def _check(self, known: _Current) -> None:
        assert self._current is not None
        self._items = self._current.store.count()
        self._whole = known.whole and self._items == self._expected
        if not self._whole:
            self._detail = f"It has {self._items} of {self._expected} vectors."

    def _known(self) -> _Current | None:
        """Return what is there and of use; put aside or remove what is not."""
        try:
            known = msgspec.json.decode((self._folder / CURRENT).read_bytes(), type=_Current)
        except FileNotFoundError:
            if self._folder.is_dir() and any(self._folder.iterdir()):
                self._put_aside("nothing says which index it is")
            return None
        except (msgspec.MsgspecError, OSError) as error:
            self._put_aside(str(error))
            return None
        self._remove_others(known)
        if (known.identity, known.dimension) != self._wanted:
            if self._local:
                self._put_aside(f"it was made for {known.identity}")
            else:
                self._remove_from_server(known.name, known.dimension)
            return None
        return known

    def _open_new(self) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        name = _new_name()
        self._current = _Open(name, *self._wanted, self._opener(name, self._wanted[1]))
        self._items = 0
        self._whole = self._expected == 0
        if not self._whole:
            self._detail = self._detail or f"It has 0 of {self._expected} vectors."
        self._write(_Current(*self._current[:3], whole=self._whole))

    def _put_aside(self, reason: str) -> None:
        number = 1
        while (aside := self._folder.with_name(f"{self._folder.name}.damaged-{number}")).exists():
            number += 1
        self._folder.rename(aside)
        self._detail = f"It could not be used and was put aside as {aside.name}."
        _log.error("vectors.put_aside", folder=str(aside), reason=reason)

    def _remove_others(self, known: _Current) -> None:
        """Remove what nobody fills any more."""
        if self._local:
            for entry in self._folder.iterdir():
                if entry.is_dir() and entry.name != known.name:
                    shutil.rmtree(entry, ignore_errors=True)
        elif known.beside:
            self._remove_from_server(known.beside, known.beside_dimension)

    def _remove_from_server(self, name: str, dimension: int) -> None:
        with contextlib.suppress(Exception):  # it is away, or was never made
            self._opener(name, dimension).delete_col()

    def _drop_next(self) -> None:
        if self._next is not None:
            _drop(self._next)
            self._next = None

    def _write(self, current: _Current) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        new = self._folder / f"{CURRENT}.new"
        new.write_bytes(msgspec.json.encode(current))
        new.replace(self._folder / CURRENT)

    async def _call(self, work: Callable[..., T], *args: object) -> T:
        """Run something that blocks in a thread, and translate what goes wrong there."""
        if self._closed:
            raise IndexUnavailable("The index is closed.", index=Index.VECTOR.value)
        try:
            answer = await asyncio.get_running_loop().run_in_executor(self._pool, lambda: work(*args))
        except (MemroosError, AssertionError, TypeError):
            raise
        except Exception as error:
            _log.error("vectors.failed", exc_info=error)
            if self._local:
                self._whole, self._detail = False, "It failed."
            else:
                self._away = True
            raise IndexUnavailable(f"The vector index failed: {_reason(error)}", index=Index.VECTOR.value) from error
        self._away = False
        return answer


def _reason(error: Exception) -> str:
    """Return what anybody may read of a failure; a server's own words may repeat what not everybody may."""
    return error.detail if isinstance(error, MemroosError) else f"{type(error).__name__}; the log says more."


def _new_name() -> str:
    return f"memroos_{secrets.token_hex(4)}"


def _put(into: _Open, points: Sequence[Point]) -> None:
    if not points:
        return
    for point in points:
        _check_length(point.vector, into.dimension)
    into.store.insert(
        [point.vector.tolist() for point in points],
        [{SCOPE: point.scope_seq} for point in points],
        [point.item_seq for point in points],
    )


def _check_length(vector: Vectors, dimension: int) -> None:
    if vector.shape != (dimension,):
        raise WrongDimension(got=int(vector.size), wanted=dimension)


def _drop(opened: _Open) -> None:
    try:
        opened.store.delete_col()
    except Exception as error:  # noqa: BLE001 - it is derived, and the next start removes it
        _log.warning("vectors.not_removed", name=opened.name, error=str(error))
