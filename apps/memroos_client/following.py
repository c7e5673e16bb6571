"""Where a reader of a stream stands: what both clients share. Pure: nothing here sends or waits."""

from typing import Any, Generic, TypeVar

import httpx

from memroos_client import wire
from memroos_client.call import Stream
from memroos_client.errors import ClientError, Unreachable
from memroos_client.retry import Retries, is_passing
from memroos_client.sse import Decoder

T = TypeVar("T")


class Following(Generic[T]):
    """A stream that is read over one connection after the other, without a gap."""

    def __init__(self, stream: Stream[T], url: str, retries: Retries) -> None:
        self.over = False
        self._stream = stream
        self._url = url
        self._retries = retries
        self._position = stream.last_event_id
        self._attempt = 0
        self._decoder = Decoder()

    def request(self) -> dict[str, Any]:
        """Return the arguments of the next connection, which goes on where the last one broke."""
        self._decoder = Decoder(self._position)
        return wire.stream_request(self._stream, self._position)

    def opened(self, response: httpx.Response) -> None:
        """Look at how the kernel answered.

        Raises:
            ProblemError: it refuses.
            UnexpectedAnswer: somebody else answers.
        """
        wire.check(response)
        self.over = response.status_code == 204  # the way to say: do not come back

    def take(self, piece: bytes) -> list[T]:
        """Return what a piece of the stream completes."""
        items: list[T] = []
        for event in self._decoder.feed(piece):
            self._position, self._attempt = event.id, 0
            if event.data:
                items.append(self._stream.read(event))
                self.over = self._stream.ends(items[-1])
            if self.over:
                break
        return items

    def pause_s(self, error: ClientError | None) -> float:
        """Return the seconds to wait before the next connection.

        Args:
            error: why the last one ended; None when the kernel just closed it.

        Raises:
            ClientError: it makes no sense to try again.
        """
        error = error or Unreachable(self._url, "the stream ends again and again")
        pause = self._retries.pause_s(self._attempt, error) if is_passing(error) else None
        if pause is None:
            raise error
        self._attempt += 1
        return pause
