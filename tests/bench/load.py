"""A load generator: HTTP/1.1 over kept connections, in a process of its own, bounded in count and time.

Each connection sends its next request when the last one is answered (a closed loop), so the offered load is the number
of connections. Works on the loopback interface only.
"""

import asyncio
import contextlib
import itertools
import json
import math
import os
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import msgspec

ROOT = Path(__file__).resolve().parents[2]
NUMBER = "@NUMBER@"
"""In a request's body: replaced by 24 hexadecimal digits that no other request has."""
MOST_SAMPLES = 3
LATE_S = 60.0

CHUNKED = -2
_LAST_CHUNK = b"0\r\n\r\n"
_PLACE = NUMBER.encode()


class Request(msgspec.Struct, frozen=True):
    """One kind of request."""

    path: str
    method: str = "POST"
    headers: dict[str, str] = {}
    body: str = ""


class Load(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be sent, and how an answer must look."""

    port: int
    connections: int
    requests: list[Request]
    """Sent in turn."""
    seconds: float = 3.0
    warm_up_s: float = 0.5
    most: int = 1_000_000
    """No more requests than this, the warm-up's included."""
    status: int = 200
    contains: str = ""
    """What the body of every good answer holds."""


class Outcome(msgspec.Struct, frozen=True):
    """What came of a load."""

    requests: int
    """Good answers after the warm-up."""
    answered: int
    """All answers, the warm-up's and those after the end included."""
    errors: int
    """Wrong answers and broken connections, the warm-up's included."""
    seconds: float
    per_s: float
    p50_ms: float
    p99_ms: float
    worst_ms: float
    statuses: dict[str, int]
    samples: list[str]
    """The first wrong answers."""


def run(load: Load) -> Outcome:
    """Let another process generate a load, and return what came of it."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.bench.load"],
        input=msgspec.json.encode(load),
        stdout=subprocess.PIPE,
        cwd=ROOT,
        timeout=load.warm_up_s + load.seconds + LATE_S,
        check=True,
    )
    return msgspec.json.decode(done.stdout, type=Outcome)


def quantile(ordered: list[float], share: float) -> float:
    """Return the nearest-rank quantile of sorted values, 0 when there are none."""
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)] if ordered else 0.0


class _Run:
    """The state that the connections share."""

    def __init__(self, load: Load) -> None:
        self.load = load
        self.latencies: list[float] = []
        self.errors = 0
        self.statuses: Counter[int] = Counter()
        self.samples: list[str] = []
        self.sent = 0
        self.answers = 0
        self.measuring = False
        self.over = False
        self.all_sent = asyncio.Event()
        self.contains = load.contains.encode()
        self._turn = itertools.cycle([_pieces(request, load.port) for request in load.requests])
        self._name = os.urandom(4).hex().encode()

    def next_request(self) -> bytes:
        before, after = next(self._turn)
        self.sent += 1
        if after is None:
            return before
        return b"%b%b%016x%b" % (before, self._name, self.sent, after)

    def answered(self, status: int, body: bytes, seconds: float) -> None:
        self.answers += 1
        good = status == self.load.status and self.contains in body
        if not good:
            self.wrong(f"{status} {body[:300].decode(errors='replace')}")
        if self.measuring:
            self.statuses[status] += 1
            if good:
                self.latencies.append(seconds)

    def wrong(self, what: str) -> None:
        self.errors += 1
        if len(self.samples) < MOST_SAMPLES:
            self.samples.append(what)


def _pieces(request: Request, port: int) -> tuple[bytes, bytes | None]:
    body = request.body.encode()
    length = len(body) + body.count(_PLACE) * (24 - len(_PLACE))
    headers = {"host": f"127.0.0.1:{port}", "content-length": str(length), **request.headers}
    if body:
        headers.setdefault("content-type", "application/json")
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    whole = f"{request.method} {request.path} HTTP/1.1\r\n{lines}\r\n".encode() + body
    before, place, after = whole.partition(_PLACE)
    return before, after if place else None


class _Connection(asyncio.Protocol):
    """One kept connection."""

    def __init__(self, run: _Run) -> None:
        self._run = run
        self._received = b""
        self._expected = -1
        self._status = 0
        self._began = 0.0
        self._idle = True
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport) or hasattr(transport, "write")
        self._transport = transport  # type: ignore[assignment]  # uvloop's own class
        self._send()

    def _send(self) -> None:
        assert self._transport is not None
        if self._run.over or self._run.sent >= self._run.load.most:
            self._idle = True
            self._run.all_sent.set()
            self._transport.close()
            return
        self._idle = False
        request = self._run.next_request()
        self._began = time.perf_counter()
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        self._received = self._received + data if self._received else data
        if self._expected == CHUNKED:
            if not self._received.endswith(_LAST_CHUNK):
                return
            self._expected = len(self._received)
        if self._expected < 0 and not self._read_head():
            return
        if len(self._received) < self._expected:
            return
        body, self._received, self._expected = self._received, b"", -1
        self._run.answered(self._status, body, time.perf_counter() - self._began)
        self._send()

    def _read_head(self) -> bool:
        head, end, rest = self._received.partition(b"\r\n\r\n")
        if not end:
            return False
        self._status = int(head[9:12])
        _, found, length = head.lower().partition(b"\r\ncontent-length:")
        if not found and b"\r\ntransfer-encoding: chunked" in head.lower():
            self._received = rest
            self._expected = len(rest) if rest.endswith(_LAST_CHUNK) else CHUNKED
            return self._expected >= 0
        if not found:
            self._run.wrong("an answer without a length")
            assert self._transport is not None
            self._transport.close()
            return False
        self._expected = int(length.partition(b"\r\n")[0])
        self._received = rest
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._idle and not self._run.over:
            self._run.wrong(f"the connection broke: {exc}")


async def _generate(load: Load) -> Outcome:
    loop = asyncio.get_running_loop()
    run = _Run(load)
    connections = [
        await loop.create_connection(lambda: _Connection(run), "127.0.0.1", load.port) for _ in range(load.connections)
    ]
    await asyncio.sleep(load.warm_up_s)
    run.measuring = True
    began = time.perf_counter()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(load.seconds):
            await run.all_sent.wait()
    run.measuring = False
    seconds = time.perf_counter() - began
    run.over = True
    await asyncio.sleep(0.1)  # what is in flight may still be answered
    for transport, _ in connections:
        transport.abort()

    ordered = sorted(run.latencies)
    return Outcome(
        requests=len(ordered),
        answered=run.answers,
        errors=run.errors,
        seconds=round(seconds, 3),
        per_s=round(len(ordered) / seconds, 1),
        p50_ms=round(quantile(ordered, 0.50) * 1000, 3),
        p99_ms=round(quantile(ordered, 0.99) * 1000, 3),
        worst_ms=round((ordered[-1] if ordered else 0.0) * 1000, 3),
        statuses={str(status): count for status, count in run.statuses.items()},
        samples=run.samples,
    )


if __name__ == "__main__":
    import uvloop

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        answer = runner.run(_generate(msgspec.json.decode(sys.stdin.buffer.read(), type=Load)))
    print(json.dumps(msgspec.to_builtins(answer)))
