"""Bounds for what one answer of an agent may cost: a stream may be endless, its events may not."""

from collections.abc import AsyncIterator, Awaitable, Callable

import httpx

from memroos_kit.outbound import ReplyRefused

# Two characters that JSON may hold as they are, and that readers of event streams take for the end of a line.
_SEPARATORS = ((b"\xe2\x80\xa8", b"\\u2028"), (b"\xe2\x80\xa9", b"\\u2029"), (b"\xc2\x85", b"\\u0085"))


def bound_events(longest: int) -> Callable[[httpx.Response], Awaitable[None]]:
    """Return a hook that bounds the bytes of each event of a stream, and of every other answer as a whole."""

    async def bound(response: httpx.Response) -> None:
        assert isinstance(response.stream, httpx.AsyncByteStream)
        host = response.request.url.host
        lines = "text/event-stream" in response.headers.get("content-type", "")
        kind = _Lines if lines else _Whole
        response.stream = kind(response.stream, host, longest)

    return bound


class _Whole(httpx.AsyncByteStream):
    """A body as a whole, up to its limit."""

    def __init__(self, inner: httpx.AsyncByteStream, host: str, longest: int) -> None:
        self._inner = inner
        self._host = host
        self._longest = longest

    async def __aiter__(self) -> AsyncIterator[bytes]:
        size = 0
        async for chunk in self._inner:
            size += len(chunk)
            if size > self._longest:
                raise self._too_large()
            yield chunk

    async def aclose(self) -> None:
        await self._inner.aclose()

    def _too_large(self) -> ReplyRefused:
        return ReplyRefused(f"An event of {self._host} was not taken: too-large.", host=self._host, reason="too-large")


class _Lines(_Whole):
    """An event stream, handed on in whole lines; an event ends with an empty one."""

    async def __aiter__(self) -> AsyncIterator[bytes]:
        rest = b""
        event = 0
        async for chunk in self._inner:
            whole, newline, rest = (rest + chunk).rpartition(b"\n")
            if newline:
                for line in whole.split(b"\n"):
                    event = event + len(line) if line.strip() else 0
                    if event > self._longest:
                        raise self._too_large()
                for raw, escaped in _SEPARATORS:
                    whole = whole.replace(raw, escaped)
                yield whole + newline
            if event + len(rest) > self._longest:
                raise self._too_large()
        if rest:
            yield rest
