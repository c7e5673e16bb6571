"""What every request passes on its way in and out: limits, security headers, metrics and one line in the log.

An ASGI wrapper round the whole app, so that mounted apps and unknown addresses are covered too.
"""

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from memroos_contracts.errors import MalformedRequest, MemroosError, TooLarge
from memroos_kit import log, problems

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

BODY_TIMEOUT_S = 30.0
DRAIN_TIMEOUT_S = 1.0
CLIENT_GONE = "memroos.client_gone"

SECURITY_HEADERS: tuple[tuple[bytes, bytes], ...] = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"cache-control", b"no-store"),
)

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_log = log.get(__name__)


class HttpMetrics:
    """Requests by method, route and status; a route is its template, so that no caller can invent series."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._requests = Counter(
            "memroos_http_requests", "Requests answered.", ("method", "route", "status"), registry=registry
        )
        self._seconds = Histogram(
            "memroos_http_request_seconds",
            "Time from the request's head to the answer's end.",
            ("route",),
            buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5, 30),
            registry=registry,
        )
        self.in_progress = Gauge("memroos_http_in_progress", "Requests being answered, streams too.", registry=registry)
        self._series: dict[tuple[str, str, int], tuple[Counter, Histogram]] = {}

    def observe(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count one answered request."""
        key = (method if method in _METHODS else "other", route, status)
        series = self._series.get(key)
        if series is None:
            counter = self._requests.labels(key[0], route, str(status))
            series = self._series[key] = (counter, self._seconds.labels(route))
        series[0].inc()
        series[1].observe(seconds)


class Edge:
    """Wraps an ASGI app.

    Args:
        app: what answers.
        body_limit_bytes: largest request body; a larger one is answered with 413 before the app has parsed it.
        metrics: where requests are counted.
    """

    def __init__(self, app: App, *, body_limit_bytes: int, metrics: HttpMetrics) -> None:
        self._app = app
        self._body_limit = body_limit_bytes
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; whatever is not HTTP goes straight to the app."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        exchange = _Exchange(scope, receive, send, self._body_limit)
        started = time.perf_counter()
        self._metrics.in_progress.inc()
        try:
            await exchange.run(self._app)
        finally:
            self._metrics.in_progress.dec()
            self._record(scope, exchange.status or 0, time.perf_counter() - started)

    def _record(self, scope: Scope, status: int, seconds: float) -> None:
        self._metrics.observe(scope["method"], scope.get("path_template") or "unmatched", status, seconds)
        write = _log.info if status >= 500 else _log.debug
        write(
            "request", method=scope["method"], path=scope["path"], status=status, milliseconds=round(seconds * 1000, 1)
        )


class _Exchange:
    """One request and its answer."""

    __slots__ = ("_body_done", "_limit", "_read", "_receive", "_refusal", "_scope", "_send", "_until", "status")

    def __init__(self, scope: Scope, receive: Receive, send: Send, limit: int) -> None:
        self._scope = scope
        self._receive = receive
        self._send = send
        self._limit = limit
        self._read = 0
        self._until: float | None = None
        self._body_done = False
        self._refusal: MemroosError | None = None
        self.status: int | None = None

    async def run(self, app: App) -> None:
        """Let the app answer, unless the request has to be refused."""
        try:
            if _announced_bytes(self._scope) > self._limit:
                self._refusal = self._too_large()
            else:
                await app(self._scope, self.receive, self.send)
        except Exception as error:  # the last place before the server, which would answer in plain text
            if self.status is not None:
                raise  # half an answer is out: only a broken connection tells the caller
            if self._refusal is None and not self._scope.get(CLIENT_GONE):
                self._refusal = internal_failure(error, method=self._scope["method"], path=self._scope["path"])
        if self._refusal is not None and self.status is None:
            await self._refuse(self._refusal)

    async def receive(self) -> Message:
        """Pass the body on to the app, while it stays within its limits of size and time."""
        if self._body_done:
            return await self._receive()
        if self._until is None:
            self._until = asyncio.get_running_loop().time() + BODY_TIMEOUT_S
        try:
            async with asyncio.timeout_at(self._until):
                message = await self._receive()
        except TimeoutError as error:
            self._refusal = MalformedRequest(f"The body did not arrive within {BODY_TIMEOUT_S:.0f} seconds.")
            raise self._refusal from error
        if message["type"] != "http.request":
            self._scope[CLIENT_GONE] = True
            return message
        self._read += len(message.get("body", b""))
        self._body_done = not message.get("more_body", False)
        if self._read > self._limit:
            self._refusal = self._too_large()
            raise self._refusal
        return message

    async def send(self, message: Message) -> None:
        """Pass the answer on, with the headers that every answer carries."""
        if self._refusal is not None and self.status is None:
            return  # the app's own words about a refused body; ours follow
        if message["type"] == "http.response.start":
            self.status = message["status"]
            message = {**message, "headers": _completed(list(message.get("headers", ())))}
        await self._send(message)

    async def _refuse(self, error: MemroosError) -> None:
        """Answer with a problem and close: what is left of the body cannot be told from the next request."""
        if not self._body_done:
            await self._drain()
        self._refusal = None  # what is sent from here on is ours, not the app's
        await refuse(error, self.send, headers=() if self._body_done else ((b"connection", b"close"),))

    async def _drain(self) -> None:
        """Read on for a moment, because a client that is still sending may never read an answer."""
        if _header(self._scope, b"expect"):
            return  # it waits for our word before it sends
        left = 4 * self._limit
        try:
            async with asyncio.timeout(DRAIN_TIMEOUT_S):
                while left > 0:
                    message = await self._receive()
                    left -= len(message.get("body", b""))
                    if message["type"] != "http.request" or not message.get("more_body", False):
                        self._body_done = True
                        return
        except TimeoutError:
            return

    def _too_large(self) -> TooLarge:
        return TooLarge(f"The body may have {self._limit} bytes at most.", limit_bytes=self._limit)


async def refuse(error: MemroosError, send: Send, *, headers: Sequence[tuple[bytes, bytes]] = ()) -> None:
    """Answer with a problem.

    Args:
        headers: more of them, beside the problem's own.
    """
    problem = problems.problem(error)
    body = problem.body()
    own = {**problem.headers(), "content-length": str(len(body))}
    encoded = [(name.encode(), value.encode("latin-1")) for name, value in own.items()]
    await send({"type": "http.response.start", "status": problem.status, "headers": [*encoded, *headers]})
    await send({"type": "http.response.body", "body": body, "more_body": False})


def internal_failure(error: BaseException, *, method: str, path: str) -> problems.InternalFailure:
    """Log an unexpected error under a new id and return what the caller may know about it."""
    failure_id = f"err_{secrets.token_hex(8)}"
    _log.error("request.failed", id=failure_id, method=method, path=path, exc_info=error)
    return problems.InternalFailure(f"The operator finds the cause in the log under {failure_id}.", id=failure_id)


def _completed(headers: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """Add the security headers that the app did not set itself."""
    present = {name for name, _ in headers}
    headers.extend(header for header in SECURITY_HEADERS if header[0] not in present)
    return headers


def _announced_bytes(scope: Scope) -> int:
    length = _header(scope, b"content-length")
    return int(length) if length.isdigit() else 0


def _header(scope: Scope, name: bytes) -> bytes:
    for present, value in scope["headers"]:
        if present == name:
            found: bytes = value
            return found
    return b""
