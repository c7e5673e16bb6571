"""A small HTTP client for clients that see their server die: no retries of its own, and one word for no answer."""

import asyncio
from typing import Any

import msgspec

ANSWER_S = 20.0


class Unanswered(Exception):
    """No whole answer came: whether anything happened is not known."""


class Answer(msgspec.Struct, frozen=True):
    """What the kernel said."""

    status: int
    body: bytes

    def json(self) -> Any:
        """Return the body's value."""
        return msgspec.json.decode(self.body)

    def __str__(self) -> str:
        return f"{self.status} {self.body[:300].decode(errors='replace')}"


class Caller:
    """One kept connection with one key; it is opened anew after it broke."""

    def __init__(self, port: int, key: str) -> None:
        self.key = key
        self._port = port
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def call(self, method: str, path: str, body: Any = None, **headers: str) -> Answer:
        """Make one request.

        Raises:
            Unanswered: the connection could not be made, broke, or stayed silent.
        """
        content = b"" if body is None else msgspec.json.encode(body)
        lines = [
            f"{method} {path} HTTP/1.1",
            f"host: 127.0.0.1:{self._port}",
            f"authorization: Bearer {self.key}",
            "content-type: application/json",
            f"content-length: {len(content)}",
            *(f"{name.replace('_', '-')}: {value}" for name, value in headers.items()),
        ]
        try:
            async with asyncio.timeout(ANSWER_S):
                return await self._exchange("\r\n".join(lines).encode() + b"\r\n\r\n" + content)
        except (OSError, EOFError, TimeoutError, ValueError) as error:
            self.close()
            raise Unanswered(repr(error)) from error

    async def _exchange(self, request: bytes) -> Answer:
        if self._streams is None:
            self._streams = await asyncio.open_connection("127.0.0.1", self._port)
        reader, writer = self._streams
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        status, length, closes = int(head[9:12]), 0, False
        for line in head.lower().split(b"\r\n")[1:]:
            name, _, value = line.partition(b":")
            if name == b"content-length":
                length = int(value)
            closes = closes or (name == b"connection" and value.strip() == b"close")
        answer = Answer(status, await reader.readexactly(length))
        if closes:
            self.close()
        return answer

    def close(self) -> None:
        """Drop the connection."""
        if self._streams is not None:
            self._streams[1].transport.abort()
            self._streams = None
