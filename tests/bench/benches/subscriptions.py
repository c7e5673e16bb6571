"""Many A2A subscriptions to live tasks: every event to everyone, none lost, and what a subscription costs."""

import subprocess
import sys
import time

import msgspec
from tests.bench import load, processes
from tests.bench.benches.plan import UNLIMITED, Plan, kernel
from tests.bench.listeners import Heard
from tests.bench.listeners import Plan as Listening
from tests.bench.report import Ratio, Result
from tests.flows.kernel import Agent, Kernel

SUBSCRIPTIONS = (1_000, 5_000)
TASKS = 10
"""Live tasks; the subscriptions are spread evenly over them."""
REPORTS = 12
"""How often each task says something; each is one event to each of its subscribers."""
RATE = 15_000
"""Deliveries a second that are offered."""


def bench(plan: Plan) -> Result:
    """Measure how many deliveries a second reach open subscriptions, and what one costs."""
    result = Result(
        name="subscriptions",
        title="SubscribeToTask over HTTP+JSON, many subscribers to each of a few live tasks",
        columns=["subscriptions", "events", "deliveries", "lost", "deliveries/s", "KB each"],
    )
    for streams in SUBSCRIPTIONS:
        folder = plan.folder / str(streams)
        with kernel(folder, streams_per_key=UNLIMITED[:6], stream_queue="4096") as of:
            _measure(result, of, [of.create_agent(f"worker-{number}") for number in range(TASKS)], streams)
    return result


def _measure(result: Result, of: Kernel, workers: list[Agent], streams: int) -> None:
    """Subscribe, let the tasks report, and count."""
    claims = [_open_task(of, worker) for worker in workers]
    paths = [f"/a2a/tasks/{claim['task']['id']}:subscribe" for claim in claims]
    wanted = Listening(
        port=of.port,
        key=of.operator_key,
        streams=streams,
        expected=REPORTS,
        type="",
        paths=paths,
        mark='"statusUpdate"',
    )
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
        _report(workers, claims, RATE / (streams / TASKS))
        heard = msgspec.json.decode(listeners.stdout.readline(), type=Heard)
    lost = streams * REPORTS - heard.deliveries
    per_s, each_kb = heard.deliveries / max(heard.seconds, 1e-9), grown / streams / 1024
    result.rows.append([streams, TASKS * REPORTS, heard.deliveries, lost, per_s, round(each_kb, 1)])
    result.details[f"{streams} subscriptions"] = msgspec.to_builtins(heard)
    if lost or heard.broken or heard.fewest != REPORTS or heard.most != REPORTS:
        result.errors.append(f"{streams} subscriptions: lost {lost}, {heard}")
    result.ratios += [
        Ratio(name=f"deliveries per second of those offered, {streams} subscriptions", value=per_s / RATE),
        Ratio(name=f"KB for each of {streams} subscriptions", value=each_kb),
    ]


def _open_task(of: Kernel, worker: Agent) -> dict[str, dict[str, str]]:
    of.done("POST", "/api/tasks", {"agent": worker.name, "parts": [{"text": "long work"}]})
    claim: dict[str, dict[str, str]] = worker.claim(lease_s=3_600)
    return claim


def _report(workers: list[Agent], claims: list[dict[str, dict[str, str]]], per_s: float) -> None:
    """Let the tasks say something in turn, at an even pace."""
    began = time.perf_counter()
    for number in range(REPORTS * len(claims)):
        time.sleep(max(0.0, began + number / per_s - time.perf_counter()))
        place = number % len(claims)
        answer = workers[place].report(claims[place], "progress", parts=[{"text": f"step {number}"}])
        assert answer.is_success, answer.text
