"""The line before an embedder: what many ask for at the same time is embedded together, in threads of its own.

A question never waits for a long list: it goes first, and lists are worked off in batches. The last questions are kept
with their vectors, because they are asked again.
"""

import asyncio
import threading
from collections import OrderedDict, deque
from collections.abc import Sequence
from concurrent.futures import Future

import numpy as np

from memroos_contracts.errors import MemroosError, Stopping
from memroos_contracts.memory_errors import EmbedderFailed, WrongDimension
from memroos_memory.embedders.mem0_setup import reason_of
from memroos_memory.embedders.ports import Encoder, Vectors

FEW = 4
"""Requests of up to so many texts go before longer ones."""

KEPT_QUESTIONS = 512
_LONGEST_KEPT = 2_000
_END_S = 2.0


class _Piece:
    """A part of a request that fits into a batch."""

    __slots__ = ("answer", "texts")

    def __init__(self, texts: Sequence[str]) -> None:
        self.texts = texts
        self.answer: Future[Vectors] = Future()


class QueuedEmbedder:
    """An embedder out of a blocking encoder.

    Args:
        encoder: makes the vectors; must bear to be called by several threads where there are several.
        threads: how many.
    """

    def __init__(self, encoder: Encoder, *, threads: int = 1) -> None:
        self.identity = encoder.identity
        self.dimension = encoder.dimension
        self._encoder = encoder
        self._wake = threading.Condition()
        self._short: deque[_Piece] = deque()
        self._long: deque[_Piece] = deque()
        self._closed = False
        self._kept: OrderedDict[str, Vectors] = OrderedDict()
        self._threads = [
            threading.Thread(target=self._work, name=f"memroos-embed-{at}", daemon=True) for at in range(threads)
        ]
        for thread in self._threads:
            thread.start()

    async def embed(self, texts: Sequence[str]) -> Vectors:
        """Return one row for each text, of length one.

        Raises:
            EmbedderFailed: there is no usable answer.
            WrongDimension: the answer has another length than `dimension`.
        """
        if not texts:
            return np.empty((0, self.dimension), np.float32)
        if len(texts) == 1 and (kept := self._kept.get(texts[0])) is not None:
            self._kept.move_to_end(texts[0])
            return kept.copy()
        size = self._encoder.batch
        order = sorted(range(len(texts)), key=lambda at: len(texts[at]))  # what is alike in length takes least padding
        pieces = [_Piece([texts[at] for at in order[start : start + size]]) for start in range(0, len(texts), size)]
        self._submit(pieces, self._short if len(texts) <= FEW else self._long)
        try:
            parts = await asyncio.gather(*(asyncio.wrap_future(piece.answer) for piece in pieces))
        finally:
            for piece in pieces:
                piece.answer.cancel()  # what nobody waits for any more is not begun
        rows = np.empty((len(texts), self.dimension), np.float32)
        rows[order] = np.concatenate(parts)
        if len(texts) == 1 and len(texts[0]) <= _LONGEST_KEPT:
            self._kept[texts[0]] = rows.copy()
            if len(self._kept) > KEPT_QUESTIONS:
                self._kept.popitem(last=False)
        return rows

    def close(self) -> None:
        """Refuse what is waiting, and end the threads; a silent endpoint is not waited for. May be repeated."""
        with self._wake:
            self._closed = True
            waiting = [*self._short, *self._long]
            self._short.clear()
            self._long.clear()
            self._wake.notify_all()
        for piece in waiting:
            if piece.answer.set_running_or_notify_cancel():
                piece.answer.set_exception(Stopping(retry_after_s=5))
        for thread in self._threads:
            thread.join(_END_S)

    def _submit(self, pieces: Sequence[_Piece], line: deque[_Piece]) -> None:
        with self._wake:
            if self._closed:
                raise Stopping(retry_after_s=5)
            line.extend(pieces)
            self._wake.notify(len(pieces))

    def _work(self) -> None:
        while True:
            with self._wake:
                while not (self._short or self._long):
                    if self._closed:
                        return
                    self._wake.wait()
                pieces = self._next_batch()
            pieces = [piece for piece in pieces if piece.answer.set_running_or_notify_cancel()]
            if pieces:
                self._answer(pieces)

    def _next_batch(self) -> list[_Piece]:
        """Take what fits into one batch: questions first, then the lists in their order; at least one piece."""
        batch: list[_Piece] = []
        room = self._encoder.batch
        for line in (self._short, self._long):
            while line and (not batch or len(line[0].texts) <= room):
                piece = line.popleft()
                batch.append(piece)
                room -= len(piece.texts)
            if line is self._short and batch:
                break  # short ones wait for nobody: a full batch takes a hundred times as long
        return batch

    def _answer(self, pieces: Sequence[_Piece]) -> None:
        try:
            rows = self._encode([text for piece in pieces for text in piece.texts])
        except Exception as error:  # noqa: BLE001 - the thread's loop: whatever broke, those who wait hear of it
            if len(pieces) > 1 and not isinstance(error, WrongDimension) and not _is_away(error):
                for piece in pieces:  # one text that cannot be embedded must not fail those it shares a batch with
                    self._answer([piece])
                return
            for piece in pieces:
                piece.answer.set_exception(_as_ours(error))
            return
        start = 0
        for piece in pieces:
            piece.answer.set_result(rows[start : start + len(piece.texts)])
            start += len(piece.texts)

    def _encode(self, texts: Sequence[str]) -> Vectors:
        rows = np.asarray(self._encoder.encode(texts), np.float32)
        if rows.ndim != 2 or rows.shape[0] != len(texts):
            raise EmbedderFailed(f"{len(texts)} texts were given and {len(rows)} vectors came.", reason="count")
        if rows.shape[1] != self.dimension:
            raise WrongDimension(
                f"The embedder's vectors have {rows.shape[1]} numbers and {self.dimension} are expected; "
                "set MEMROOS_EMBEDDER_DIMENSION.",
                got=int(rows.shape[1]),
                wanted=self.dimension,
            )
        with np.errstate(over="ignore"):
            lengths = np.linalg.norm(rows, axis=1, keepdims=True)
        if not np.isfinite(lengths).all() or not (lengths > 0).all():
            raise EmbedderFailed("A vector without a direction came.", reason="not a direction")
        return np.asarray(rows / lengths, np.float32)


def _is_away(error: Exception) -> bool:
    return isinstance(error, EmbedderFailed) and bool(error.facts.get("away"))


def _as_ours(error: Exception) -> MemroosError:
    if isinstance(error, MemroosError):
        return error
    reason = reason_of(error)
    ours = EmbedderFailed(f"The embedder failed: {reason}", reason=reason)
    ours.__cause__ = error
    return ours
