"""Many event streams in a process of its own: opens them, says so, and counts what arrives until nothing more comes.

Reads a `Plan` as JSON from the first line of its input; prints `open` when every stream has had its first bytes, and
what it counted as JSON at the end.
"""

import asyncio
import json
import sys
import time
from collections import Counter
from datetime import datetime

import msgspec
import uvloop
from tests.bench.load import quantile

AT_ONCE = 50
SAMPLED = 20
"""Streams whose events are looked into, for their latency."""
QUIET_S = 3.0

_AT = b'"at":"'


class Plan(msgspec.Struct, frozen=True):
    """Which streams to open."""

    port: int
    key: str
    streams: int
    expected: int
    """How many events each is to get."""
    type: str
    """Of the events that count, in the kernel's event stream."""
    paths: list[str] = []
    """Streams of A2A instead, in turn."""
    mark: str = ""
    """What each event that counts on them holds."""
    patience_s: float = 60.0


class Heard(msgspec.Struct, frozen=True):
    """What the streams got."""

    deliveries: int
    fewest: int
    """By the stream that got the fewest."""
    most: int
    broken: int
    doubled: int
    """How many more than expected came, over all streams."""
    seconds: float
    """From the first delivery to the last."""
    p50_ms: float
    p99_ms: float
    """From the unit of work's instant to the delivery, in the sampled streams."""


class _Stream(asyncio.Protocol):
    def __init__(self, house: "_House", number: int) -> None:
        self.count = 0
        self.first = 0.0
        self.last = 0.0
        self.open = asyncio.get_running_loop().create_future()
        self._house = house
        self._number = number
        self._sampled = number < SAMPLED
        self._tail = b""
        self._head = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        transport.write(self._house.requests[self._number % len(self._house.requests)])  # type: ignore[attr-defined]

    def data_received(self, data: bytes) -> None:
        now = time.time()
        # A mark may be cut in two by the network: what could be its beginning is looked at again with the rest.
        whole = self._tail + data
        found = whole.count(self._house.mark)
        self._tail = whole[-(len(self._house.mark) - 1) :]
        if found:
            self.first = self.first or now
            self.last = now
            self.count += found
            self._house.heard(found)
            if self._sampled:
                self._house.sample(data, now)
        if not self.open.done():
            self._see_beginning(data)

    def _see_beginning(self, data: bytes) -> None:
        """The stream is open with its head; one of A2A with its first event, which is the task as it is."""
        self._head += data
        if b"\r\n\r\n" not in self._head:
            return
        good = b" 200 " in self._head[:20]
        if good and self._house.plan.paths and b"data:" not in self._head:
            return
        if not good:
            self._house.broken += 1
        self.open.set_result(None)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._house.over:
            self._house.broken += 1
        if not self.open.done():
            self.open.set_result(None)


class _House:
    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        headers = f"host: 127.0.0.1:{plan.port}\r\nauthorization: Bearer {plan.key}\r\na2a-version: 1.0\r\n\r\n"
        paths = plan.paths or ["/api/events"]
        self.requests = [f"GET {path} HTTP/1.1\r\n{headers}".encode() for path in paths]
        self.mark = plan.mark.encode() or f"\nevent: {plan.type}\n".encode()
        self.broken = 0
        self.over = False
        self.total = 0
        self.latest = time.monotonic()
        self.latencies: list[float] = []
        self.complete = asyncio.Event()

    def heard(self, found: int) -> None:
        self.total += found
        self.latest = time.monotonic()
        if self.total >= self.plan.streams * self.plan.expected:
            self.complete.set()

    def sample(self, data: bytes, now: float) -> None:
        for piece in data.split(_AT)[1:]:
            instant = piece.partition(b'"')[0].decode()
            if instant.endswith("Z"):
                self.latencies.append(now - _seconds(instant))

    async def wait(self) -> None:
        until = time.monotonic() + self.plan.patience_s
        while not self.complete.is_set() and time.monotonic() < until:
            try:
                await asyncio.wait_for(self.complete.wait(), 0.2)
            except TimeoutError:
                if self.total and time.monotonic() - self.latest > QUIET_S:
                    return


def _seconds(instant: str) -> float:
    moment: float = msgspec.convert(instant, type=datetime).timestamp()
    return moment


async def _listen(plan: Plan) -> Heard:
    loop = asyncio.get_running_loop()
    house = _House(plan)
    streams: list[_Stream] = []
    for begin in range(0, plan.streams, AT_ONCE):
        some = range(begin, min(begin + AT_ONCE, plan.streams))
        made = await asyncio.gather(
            *(loop.create_connection(lambda n=n: _Stream(house, n), "127.0.0.1", plan.port) for n in some)  # type: ignore[misc]
        )
        streams += [stream for _, stream in made]
        await asyncio.gather(*(stream.open for stream in streams[begin:]))
    print("open", flush=True)
    await house.wait()
    await asyncio.sleep(0.5)  # what must not come
    house.over = True
    counts = Counter(stream.count for stream in streams)
    ordered = sorted(house.latencies)
    first = min((s.first for s in streams if s.first), default=0.0)
    return Heard(
        deliveries=house.total,
        fewest=min(counts),
        most=max(counts),
        broken=house.broken,
        doubled=sum((count - plan.expected) * times for count, times in counts.items() if count > plan.expected),
        seconds=round(max((s.last for s in streams), default=0.0) - first, 3),
        p50_ms=round(quantile(ordered, 0.5) * 1000, 2),
        p99_ms=round(quantile(ordered, 0.99) * 1000, 2),
    )


if __name__ == "__main__":
    wanted = msgspec.json.decode(sys.stdin.readline(), type=Plan)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        print(json.dumps(msgspec.to_builtins(runner.run(_listen(wanted)))), flush=True)
