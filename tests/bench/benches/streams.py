"""Live event streams: every event to everyone, none lost."""

import subprocess
import sys
import time

import msgspec
from tests.bench import load, processes
from tests.bench.benches.plan import UNLIMITED, Plan, bearer, kernel
from tests.bench.listeners import Heard
from tests.bench.listeners import Plan as Listening
from tests.bench.report import Ratio, Result
from tests.flows.kernel import Kernel

STREAMS = (200, 1_000, 2_000)
DELIVERIES = 60_000
"""Each step sends as many events as give about so many deliveries."""
RATE = 20_000
"""Deliveries a second that are offered: events a second times streams."""
TYPE = "inbox.sent"


def bench(plan: Plan) -> Result:
    """Measure how many deliveries a second reach open streams, and what a stream costs."""
    result = Result(
        name="streams",
        title="server-sent events to many open streams, each event to each of them",
        columns=["streams", "events", "deliveries", "lost", "deliveries/s", "p50 ms", "p99 ms", "KB each"],
    )
    with kernel(plan.folder / "kernel", streams_per_key=UNLIMITED[:6], stream_queue="4096") as of:
        sender = of.create_agent("sender")
        receivers = [of.create_agent(f"receiver-{number}") for number in range(10)]
        requests = [
            load.Request(
                path="/api/agent-context",
                headers=bearer(sender.key),
                body=msgspec.json.encode({"to": to.id, "kind": "note", "body": {"n": load.NUMBER}}).decode(),
            )
            for to in receivers
        ]
        for streams in STREAMS:
            _measure(result, of, requests, streams)
    return result


def _measure(result: Result, of: Kernel, requests: list[load.Request], streams: int) -> None:
    events = DELIVERIES // streams
    wanted = Listening(port=of.port, key=of.operator_key, streams=streams, expected=events, type=TYPE)
    before = processes.rss_bytes(of.pid)
    with subprocess.Popen(
        [sys.executable, "-m", "tests.bench.listeners"], cwd=load.ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as listeners:
        assert listeners.stdin is not None
        assert listeners.stdout is not None
        listeners.stdin.write(msgspec.json.encode(wanted) + b"\n")
        listeners.stdin.flush()
        assert listeners.stdout.readline() == b"open\n"
        grown = processes.rss_bytes(of.pid) - before
        _publish(of, requests, events, RATE / streams)
        heard = msgspec.json.decode(listeners.stdout.readline(), type=Heard)
    lost = streams * events - heard.deliveries
    per_s = heard.deliveries / max(heard.seconds, 1e-9)
    each_kb = grown / streams / 1024
    result.rows.append([streams, events, heard.deliveries, lost, per_s, heard.p50_ms, heard.p99_ms, round(each_kb, 1)])
    result.details[f"{streams} streams"] = msgspec.to_builtins(heard)
    if lost or heard.broken or heard.fewest != events or heard.most != events:
        result.errors.append(f"{streams} streams: lost {lost}, {heard}")
    if streams == STREAMS[-1]:
        result.ratios += [
            Ratio(name="streams that lost nothing", value=streams, at_least=2_000),
            Ratio(name="deliveries per second of those offered", value=per_s / RATE, at_least=0.9),
            Ratio(name="KB for each stream", value=each_kb, at_most=25),
        ]


def _publish(of: Kernel, requests: list[load.Request], events: int, per_s: float) -> None:
    """Send messages at an even pace; each is one event."""
    with of.client("") as client:
        began = time.perf_counter()
        for number in range(events):
            time.sleep(max(0.0, began + number / per_s - time.perf_counter()))
            request = requests[number % len(requests)]
            body = request.body.replace(load.NUMBER, str(number))
            answer = client.post(request.path, content=body, headers=request.headers)
            assert answer.status_code == 201, answer.text
