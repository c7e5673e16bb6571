"""The word that this process is about to end, for everything that waits.

An open stream keeps a server from exiting. So whoever waits for long (streams, long polls, workers) waits for this
too, and ends by itself.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

T = TypeVar("T")


class Stopping:
    """Set once, when the process begins to end; belongs to the event loop's thread."""

    def __init__(self) -> None:
        self._event = asyncio.Event()
        self._wakers: dict[object, Callable[[], object]] = {}

    def is_set(self) -> bool:
        """Return whether the process is ending."""
        return self._event.is_set()

    def set(self) -> None:
        """Begin to end: wake everybody who waits. May be repeated."""
        if self._event.is_set():
            return
        self._event.set()
        for wake in list(self._wakers.values()):
            wake()

    async def wait(self) -> None:
        """Return when the process begins to end."""
        await self._event.wait()

    @contextmanager
    def calling(self, wake: Callable[[], object]) -> Iterator[None]:
        """Call a function when the process begins to end while the block runs; at once if it already has."""
        token = object()
        self._wakers[token] = wake
        if self._event.is_set():
            wake()
        try:
            yield
        finally:
            del self._wakers[token]

    async def first(self, awaitable: Awaitable[T], *, timeout_s: float | None = None) -> T | None:
        """Wait for something at most until the process ends, or a time is over; then cancel it and return ``None``."""
        waiting = asyncio.ensure_future(awaitable)  # awaited right here, so it cannot die unseen
        timeout = asyncio.timeout(timeout_s)
        try:
            with self.calling(waiting.cancel):
                async with timeout:
                    return await waiting
        except TimeoutError:
            if not timeout.expired():
                raise
            return None
        except asyncio.CancelledError:
            if not self._event.is_set() or _cancelled_from_outside():
                raise
            return None

    async def watch(self, source: AsyncIterator[T]) -> AsyncIterator[T]:
        """Pass on what a source yields, and end when it ends or the process does."""
        done = object()

        async def step() -> T | object:
            return await anext(source, done)

        try:
            while not self._event.is_set():
                item = await self.first(step())
                if item is done or (item is None and self._event.is_set()):
                    return
                yield item  # type: ignore[misc]  # the sentinel is gone, so it is a T
        finally:
            if (close := getattr(source, "aclose", None)) is not None:
                await close()


def _cancelled_from_outside() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
