"""The client for programs that wait."""

import time
from collections.abc import Iterator
from types import TracebackType
from typing import Self, TypeVar

import httpx

from memroos_client import wire
from memroos_client.call import Call, Listing, Stream, with_cursor
from memroos_client.errors import ClientError
from memroos_client.following import Following
from memroos_client.retry import Retries

T = TypeVar("T")


class Client:
    """Runs calls against one kernel; a context manager.

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
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self.url = wire.base_url(url)
        self._timeout_s = timeout_s
        self._retries = retries or Retries()
        self._http = httpx.Client(transport=transport, **wire.options(url, key, timeout_s))

    def run(self, call: Call[T]) -> T:
        """Send a call and return its answer; what is safe to repeat is repeated while the trouble may pass.

        Raises:
            ProblemError: the kernel refuses.
            Unreachable: no answer came.
            UnexpectedAnswer: the answer is none to this call.
        """
        attempt = 0
        while True:
            try:
                return wire.answer(call, self._send(call))
            except ClientError as error:
                pause = self._retries.pause_before(call, attempt, error)
                if pause is None:
                    raise
            attempt += 1
            time.sleep(pause)

    def pages(self, call: Call[Listing[T]]) -> Iterator[T]:
        """Yield all entries of a listing, fetching part after part."""
        while True:
            page = self.run(call)
            yield from page.items
            if page.next_cursor is None:
                return
            call = with_cursor(call, page.next_cursor)

    def stream(self, stream: Stream[T]) -> Iterator[T]:
        """Yield what a stream brings until it says that it is over; resume it wherever it breaks.

        Raises:
            ProblemError: the kernel refuses.
            Unreachable: it broke, and again and again.
        """
        following = Following(stream, self.url, self._retries)
        while not following.over:
            trouble: ClientError | None = None
            try:
                yield from self._read(following)
            except ClientError as error:
                trouble = error
            if not following.over:
                time.sleep(following.pause_s(trouble))

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _send(self, call: Call[object]) -> httpx.Response:
        try:
            return self._http.request(**wire.request(call, self._timeout_s))
        except httpx.TransportError as error:
            raise wire.unreachable(self.url, error) from error

    def _read(self, following: Following[T]) -> Iterator[T]:
        """Yield what one connection brings."""
        try:
            with self._http.stream(**following.request()) as response:
                if not response.is_success:
                    response.read()
                following.opened(response)
                for piece in response.iter_bytes():
                    yield from following.take(piece)
                    if following.over:
                        return
        except httpx.TransportError as error:
            raise wire.unreachable(self.url, error) from error
