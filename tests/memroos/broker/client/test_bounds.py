"""What one answer of an agent may cost."""

import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest

from memroos.broker.client.bounds import bound_events
from memroos_kit.outbound import ReplyRefused


class Pieces(httpx.AsyncByteStream):
    def __init__(self, *pieces: bytes) -> None:
        self.pieces = pieces

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self.pieces:
            yield piece


def read(*pieces: bytes, kind: str = "text/event-stream", longest: int = 20) -> bytes:
    """Return what comes through the bounds."""

    async def run() -> bytes:
        request = httpx.Request("GET", "http://far.example/")
        response = httpx.Response(200, headers={"content-type": kind}, stream=Pieces(*pieces), request=request)
        await bound_events(longest)(response)
        return b"".join([piece async for piece in response.aiter_raw()])

    return asyncio.run(run())


def test_an_endless_stream_of_small_events_passes() -> None:
    events = [b"data: 1234567890\n\n"] * 100

    assert read(*events) == b"".join(events)


@pytest.mark.parametrize(
    "pieces",
    [
        [b"data: 123456789012345678901\n\n"],
        [b"data: 1234567890\n", b"data: 1234567890\n"],
        [b"data: "] + [b"x"] * 100,
        [b"data: 1\n\n", b": " + b"x" * 100],
    ],
)
def test_an_event_that_is_too_large_is_refused(pieces: list[bytes]) -> None:
    with pytest.raises(ReplyRefused) as caught:
        read(*pieces)

    assert caught.value.facts == {"host": "far.example", "reason": "too-large"}


def test_any_other_answer_is_bounded_as_a_whole() -> None:
    assert read(b"12345", b"67890", kind="application/json", longest=10) == b"1234567890"
    with pytest.raises(ReplyRefused):
        read(b"12345", b"678901", kind="application/json", longest=10)


def test_line_separators_in_a_text_are_escaped_even_when_they_come_in_pieces() -> None:
    text = 'data: "a\u2028b\u2029c\u0085"\n\n'.encode()

    whole = read(*(text[at : at + 1] for at in range(len(text))), longest=100)

    assert whole == b'data: "a\\u2028b\\u2029c\\u0085"\n\n'


def test_what_follows_the_last_line_is_not_lost() -> None:
    assert read(b"data: 1\n\ndata: 2") == b"data: 1\n\ndata: 2"
