"""The client for programs that await."""

import asyncio
from collections.abc import AsyncIterator
from types import TracebackType
from typing import Self, TypeVar

import httpx

from memroos_client import wire
from memroos_client.call import Call, Listing, Stream, with_cursor
from memroos_client.errors import ClientError
from memroos_client.following import Following
from memroos_client.retry import Retries

T = TypeVar("T")


class AsyncClient:
    """Runs calls against one kernel; an asynchronous context manager.

    Args:
        url: the kernel's address, such as `http://127.0.0.1:7700`.
        key: goes behind `Authorization: Bearer`.
        timeout_s: how long one attempt may take, beyond what the call lets the kernel wait.
        retries: how safe requests and streams are repeated.
        transport: what carries the requests; httpx's own when left out.

    Raises:
        ValueError: `url` is no http or https address.
    """

    def __init__(
        self,
        url: str,
        key: str = "",
        *,
        timeout_s: float = 30.0,
        retries: Retries | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self.url = wire.base_url(url)
        self._timeout_s = timeout_s
        self._retries = retries or Retries()
        self._http = httpx.AsyncClient(transport=transport, **wire.options(url, key, timeout_s))

    async def run(self, call: Call[T]) -> T:
        """Send a call and return its answer; what is safe to repeat is repeated while the trouble may pass.

        Raises:
            ProblemError: the kernel refuses.
            Unreachable: no answer came.
            UnexpectedAnswer: the answer is none to this call.
        """
        attempt = 0
        while True:
            try:
                return wire.answer(call, await self._send(call))
            except ClientError as error:
                pause = self._retries.pause_before(call, attempt, error)
                if pause is None:
                    raise
            attempt += 1
            await asyncio.sleep(pause)

    async def pages(self, call: Call[Listing[T]]) -> AsyncIterator[T]:
        """Yield all entries of a listing, fetching part after part."""
        while True:
            page = await self.run(call)
            for item in page.items:
                yield item
            if page.next_cursor is None:
                return
            call = with_cursor(call, page.next_cursor)

    async def stream(self, stream: Stream[T]) -> AsyncIterator[T]:
        """Yield what a stream brings until it says that it is over; resume it wherever it breaks.

        Raises:
            ProblemError: the kernel refuses.
            Unreachable: it broke, and again and again.
        """
        following = Following(stream, self.url, self._retries)
        while not following.over:
            trouble: ClientError | None = None
            try:
                async for item in self._read(following):
                    yield item
            except ClientError as error:
                trouble = error
            if not following.over:
                await asyncio.sleep(following.pause_s(trouble))

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    async def _send(self, call: Call[object]) -> httpx.Response:
        try:
            return await self._http.request(**wire.request(call, self._timeout_s))
        except httpx.TransportError as error:
            raise wire.unreachable(self.url, error) from error

    async def _read(self, following: Following[T]) -> AsyncIterator[T]:
        """Yield what one connection brings."""
        try:
            async with self._http.stream(**following.request()) as response:
                if not response.is_success:
                    await response.aread()
                following.opened(response)
                async for piece in response.aiter_bytes():
                    for item in following.take(piece):
                        yield item
                    if following.over:
                        return
        except httpx.TransportError as error:
            raise wire.unreachable(self.url, error) from error
