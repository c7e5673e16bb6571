"""HTTP/1.1 over kept connections, as a transport for httpx: a third of the cost of its own one.

The parser is llhttp (httptools), the one that serves our own doors. A connection that is closed, or that says what
nobody asked for, while it is idle is gone at once, so none has to be probed before it is used again.
Facts: RFC 9112 (messages, 6.3 for where a body ends, 9.3 for persistence), RFC 9110 (15.2: interim answers).
"""

import asyncio
import re
import ssl
from collections import deque
from collections.abc import AsyncIterator, Callable

import httptools
import httpx

LONGEST_HEAD = 100 * 1024
"""How many bytes an answer may have that are no body: its head, the marks between chunks, what comes after them."""
READ_AHEAD = 256 * 1024
"""How much of a body is kept for a reader who is slower than the network."""
IDLE_S = 4.0
"""How long an idle connection is used again; common servers close it after five seconds."""

_NAME = re.compile(rb"[-!#$%&'*+.^_`|~0-9A-Za-z]+")
_VALUE = re.compile(rb"[^\x00-\x08\x0a-\x1f\x7f]*")
_TARGET = re.compile(rb"[\x21-\x7e]+")
_BODILESS = (204, 304)
_LENGTHS = frozenset({b"content-length", b"transfer-encoding"})

Place = tuple[str, str, int, str]
"""Scheme, address, port, and the name that the certificate was checked for."""


class Http11Transport(httpx.AsyncBaseTransport):
    """Sends requests whose bodies are at hand, and hands answers on as they come.

    Args:
        tls: certificates to trust.
        connections: how many may be in use at a time; a request beyond them waits for one.
        idle: how many are kept for the next request.
    """

    def __init__(self, tls: ssl.SSLContext, *, connections: int, idle: int) -> None:
        self._tls = tls
        self._most_idle = idle
        self._room = asyncio.Semaphore(connections)
        self._idle: dict[Place, list[_Connection]] = {}
        self._open: set[_Connection] = set()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request and return the answer once its head is there."""
        timeouts = request.extensions.get("timeout", {})
        message = await _encode(request)
        await self._enter(request, timeouts.get("pool"))
        connection = None
        try:
            connection = self._reuse(_place(request)) or await self._connect(request, timeouts.get("connect"))
            await connection.ask(message, request, timeouts.get("read"))
        except BaseException:
            self._leave(connection)
            raise
        return httpx.Response(
            connection.status,
            headers=connection.headers,
            stream=_Body(self, connection),
            extensions={"http_version": b"HTTP/1.1"},
        )

    async def aclose(self) -> None:
        """Close all connections."""
        for connection in tuple(self._open):
            connection.drop()
        self._idle.clear()

    async def _enter(self, request: httpx.Request, timeout_s: float | None) -> None:
        if not self._room.locked():
            await self._room.acquire()
            return
        try:
            async with asyncio.timeout(timeout_s):
                await self._room.acquire()
        except TimeoutError as error:
            raise httpx.PoolTimeout("All connections are in use.", request=request) from error

    def _reuse(self, place: Place) -> "_Connection | None":
        """Return the connection that was used last, as it is the likeliest to be alive."""
        waiting = self._idle.get(place, [])
        oldest = asyncio.get_running_loop().time() - IDLE_S
        while waiting:
            connection = waiting.pop()
            if connection.idle_since >= oldest and not connection.closed:
                return connection
            connection.drop()
        self._idle.pop(place, None)
        return None

    async def _connect(self, request: httpx.Request, timeout_s: float | None) -> "_Connection":
        place = _place(request)
        scheme, host, port, name = place
        try:
            async with asyncio.timeout(timeout_s):
                _, connection = await asyncio.get_running_loop().create_connection(
                    lambda: _Connection(place, self._lost),
                    host,
                    port,
                    ssl=self._tls if scheme == "https" else None,
                    server_hostname=name if scheme == "https" else None,
                )
        except TimeoutError as error:
            raise httpx.ConnectTimeout("No connection in time.", request=request) from error
        except OSError as error:  # a certificate that is not accepted is one, too
            raise httpx.ConnectError(str(error), request=request) from error
        self._open.add(connection)
        return connection

    def _leave(self, connection: "_Connection | None") -> None:
        """A request is over: keep its connection where that can be used again."""
        self._room.release()
        if connection is None:
            return
        if not connection.finish():
            connection.drop()
            return
        connection.idle_since = asyncio.get_running_loop().time()
        self._idle.setdefault(connection.place, []).append(connection)
        if sum(map(len, self._idle.values())) > self._most_idle:
            place, oldest = min(self._idle.items(), key=lambda item: item[1][0].idle_since)
            oldest.pop(0).drop()
            if not oldest:
                del self._idle[place]

    def _lost(self, connection: "_Connection") -> None:
        self._open.discard(connection)
        waiting = self._idle.get(connection.place, [])
        if connection in waiting:
            waiting.remove(connection)
            if not waiting:
                del self._idle[connection.place]


class _Body(httpx.AsyncByteStream):
    """What comes after an answer's head."""

    def __init__(self, transport: Http11Transport, connection: "_Connection") -> None:
        self._transport = transport
        self._connection: _Connection | None = connection

    async def __aiter__(self) -> AsyncIterator[bytes]:
        connection = self._connection
        while connection is not None and (chunk := await connection.read()):
            yield chunk

    async def aclose(self) -> None:
        if self._connection is not None:
            connection, self._connection = self._connection, None
            self._transport._leave(connection)  # noqa: SLF001 - its own transport


class _Connection(asyncio.Protocol):
    """One connection; it answers one request at a time."""

    def __init__(self, place: Place, lost: "Callable[[_Connection], None]") -> None:
        self.place = place
        self.idle_since = 0.0
        self.closed = False
        self.status = 0
        self.headers: list[tuple[bytes, bytes]] = []
        self._lost = lost
        self._transport: asyncio.Transport | None = None
        self._parser: httptools.HttpResponseParser | None = None
        self._request: httpx.Request | None = None
        self._read_s: float | None = None
        self._chunks: deque[bytes] = deque()
        self._kept = 0
        self._around = 0
        self._paused = False
        self._waiter: asyncio.Future[None] | None = None
        self._error: Exception | None = None
        self._begin(None)

    def _begin(self, request: httpx.Request | None) -> None:
        self._request = request
        self._parser = httptools.HttpResponseParser(self) if request is not None else None
        self.headers = []
        self._chunks.clear()
        self._kept = self._around = 0
        self._has_head = self._is_whole = self._until_closed = self._keeps = False
        self._error = None

    # -- asking ------------------------------------------------------------------------------------------------------

    async def ask(self, message: bytes, request: httpx.Request, read_s: float | None) -> None:
        """Send a request and return when the head of its answer is there."""
        assert self._transport is not None
        self._begin(request)
        self._read_s = read_s
        self._transport.write(message)
        while not self._has_head:
            await self._wait()

    async def read(self) -> bytes:
        """Return what has come of the body, nothing at its end."""
        while not self._chunks:
            if self._is_whole:
                return b""
            await self._wait()
        chunk = self._chunks.popleft() if len(self._chunks) == 1 else b"".join(self._chunks)
        self._chunks.clear()
        self._kept = 0
        if self._paused and self._transport is not None:
            self._paused = False
            self._transport.resume_reading()
        return chunk

    def finish(self) -> bool:
        """Whether the answer was read to its end and another request may follow."""
        good = self._is_whole and self._keeps and not self._chunks and not self.closed and self._error is None
        self._begin(None)
        return good

    def drop(self) -> None:
        """Close, whatever was on its way."""
        self.closed = True
        if self._transport is not None:
            self._transport.abort()

    async def _wait(self) -> None:
        if self._error is not None:
            raise self._error
        self._waiter = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(self._read_s):
                await self._waiter
        except TimeoutError as error:
            raise httpx.ReadTimeout("No answer in time.", request=self._request) from error
        finally:
            self._waiter = None

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _fail(self, words: str, kind: type[httpx.TransportError] = httpx.RemoteProtocolError) -> None:
        if not self._is_whole and self._error is None:
            self._error = kind(words, request=self._request)
        self.drop()
        self._wake()

    # -- what the event loop says ------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]  # uvloop's are no subclass

    def data_received(self, data: bytes) -> None:
        if self._parser is None or self._is_whole:
            self.drop()  # nobody asked for this, so the next answer could not be told from it
            return
        kept = self._kept
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            self._fail(f"The answer cannot be read: {error}")
            return
        self._around = 0 if self._kept > kept else self._around + len(data)
        if self._around > LONGEST_HEAD:
            self._fail("The answer's head is too long.")
            return
        if self._kept > READ_AHEAD and not self._is_whole and self._transport is not None:
            self._paused = True
            self._transport.pause_reading()
        if self._has_head:
            self._wake()

    def eof_received(self) -> None:
        self.closed = True  # what is written from here on has no reader

    def connection_lost(self, exc: Exception | None) -> None:
        self.closed = True
        if self._parser is not None and not self._is_whole:
            if self._has_head and self._until_closed and exc is None:
                self._is_whole = True
            else:
                words = "It was cut off." if self._has_head else "The server closed the connection without an answer."
                self._fail(words, httpx.RemoteProtocolError if exc is None else httpx.ReadError)
        self._wake()
        self._lost(self)

    # -- what the parser says ----------------------------------------------------------------------------------------

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header, or one of those behind the last chunk, which are not wanted."""
        if not self._has_head:
            self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        """The head is there, perhaps of an interim answer."""
        assert self._parser is not None
        if self._is_whole:
            return
        status = self._parser.get_status_code()
        if status < 200:  # an interim answer
            self.headers = []
            return
        self.status = status
        self._has_head = True
        named = any(name.lower() in _LENGTHS for name, _ in self.headers)
        self._until_closed = not named and status not in _BODILESS

    def on_body(self, body: bytes) -> None:
        """A piece of the body."""
        if not self._is_whole:
            self._chunks.append(body)
            self._kept += len(body)

    def on_message_complete(self) -> None:
        """The answer is there as a whole."""
        assert self._parser is not None
        if self._is_whole:
            self._keeps = False  # a second answer to one request
        elif self._has_head:
            self._is_whole = True
            self._keeps = self._parser.should_keep_alive()

    def on_message_begin(self) -> None:
        """Another answer begins; after the last one that is one too many."""
        if self._is_whole:
            self._keeps = False


def _place(request: httpx.Request) -> Place:
    url = request.url
    secure = url.scheme == "https"
    name = request.extensions.get("sni_hostname", url.host) if secure else ""
    return url.scheme, url.host, url.port or (443 if secure else 80), name


async def _encode(request: httpx.Request) -> bytes:
    """Return a request as it goes over the wire, in one piece.

    Raises:
        httpx.LocalProtocolError: something in it would be read as something else.
    """
    method, target, headers = request.method.encode("ascii"), request.url.raw_path, request.headers.raw
    assert isinstance(request.stream, httpx.AsyncByteStream)
    body = b"".join([chunk async for chunk in request.stream])
    lengths = [value for name, value in headers if name.lower() == b"content-length"]
    sound = (
        _NAME.fullmatch(method)
        and _TARGET.fullmatch(target)
        and all(_NAME.fullmatch(name) and _VALUE.fullmatch(value) for name, value in headers)
    )
    if not sound:
        raise httpx.LocalProtocolError("A header or the target holds what may not be there.", request=request)
    if method in {b"HEAD", b"CONNECT"} or lengths not in ([], [b"%d" % len(body)]) or (body and not lengths):
        raise httpx.LocalProtocolError("Only whole bodies of a known length are sent.", request=request)
    head = [b"%b %b HTTP/1.1\r\n" % (method, target), *(b"%b: %b\r\n" % header for header in headers)]
    return b"".join((*head, b"\r\n", body))
