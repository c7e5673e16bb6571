"""A remote agent through the kernel against the same agent called directly: same client, same executor."""

from contextlib import ExitStack

import msgspec
from tests.bench import load, processes
from tests.bench.benches.governed_action import send_message
from tests.bench.benches.plan import UNLIMITED, Plan, kernel, note_errors
from tests.bench.report import Ratio, Result, median

CLIENTS = (1, 16, 64)
DIRECT, THROUGH = "directly", "through the kernel"
BLOCKING, STREAMING = "blocking", "streaming"


def bench(plan: Plan) -> Result:
    """Measure sends, until they have ended, to an agent that is another process built with the SDK."""
    result = Result(
        name="broker",
        title="SendMessage and SendStreamingMessage over JSON-RPC to a remote agent, until the task is completed",
        columns=["way", "kind", "clients", "tasks/s", "p50 ms", "p99 ms", "kernel CPU us", "agent CPU us"],
    )
    with ExitStack() as stack:
        agent = stack.enter_context(processes.serving("tests.bench.sdk_server", [], log=plan.folder / "agent.log"))
        ours = stack.enter_context(
            kernel(
                plan.folder / "kernel",
                outbound_allow="127.0.0.1",
                streams_per_key=UNLIMITED[:6],
                open_tasks_per_caller="1000000",
                open_tasks_per_agent="1000000",
            )
        )
        new = {"card_url": f"http://127.0.0.1:{agent.port}", "name": "remote", "max_concurrency": 256}
        ours.done("POST", "/api/remote-agents", new)
        caller = ours.create_agent("caller")
        for kind in (BLOCKING, STREAMING):
            ways = {
                DIRECT: (agent.port, _request("", "/", kind)),
                THROUGH: (ours.port, _request(caller.key, "/a2a/agents/remote", kind)),
            }
            for clients in CLIENTS:
                _measure(plan, result, ways, kind, clients, (ours.pid, agent.pid))
    return result


def _request(key: str, path: str, kind: str) -> load.Request:
    request = send_message(key, path=path, wait=True)
    if kind == BLOCKING:
        return request
    return msgspec.structs.replace(request, body=request.body.replace('"SendMessage"', '"SendStreamingMessage"'))


def _measure(
    plan: Plan,
    result: Result,
    ways: dict[str, tuple[int, load.Request]],
    kind: str,
    clients: int,
    pids: tuple[int, int],
) -> None:
    found: dict[str, list[load.Outcome]] = {way: [] for way in ways}
    costs: dict[str, list[tuple[float, float]]] = {way: [] for way in ways}
    for _ in range(plan.rounds):
        for way, (port, request) in ways.items():
            before = [processes.cpu_s(pid) for pid in pids]
            wanted = load.Load(
                port=port,
                connections=clients,
                requests=[request],
                seconds=plan.seconds,
                contains="TASK_STATE_COMPLETED",
            )
            outcome = load.run(wanted)
            note_errors(result, f"{way}, {kind}, {clients} clients", outcome)
            found[way].append(outcome)
            used = [processes.cpu_s(pid) - was for pid, was in zip(pids, before, strict=True)]
            each = max(outcome.answered, 1)
            costs[way].append((used[0] / each * 1e6, used[1] / each * 1e6))
    for way, outcomes in found.items():
        result.rows.append(
            [
                way,
                kind,
                clients,
                median(o.per_s for o in outcomes),
                median(o.p50_ms for o in outcomes),
                median(o.p99_ms for o in outcomes),
                round(median(cost[0] for cost in costs[way])),
                round(median(cost[1] for cost in costs[way])),
            ]
        )
    result.details[f"{kind}, {clients} clients"] = msgspec.to_builtins(found)
    pairs = list(zip(found[THROUGH], found[DIRECT], strict=True))
    share = median(ours.per_s / max(theirs.per_s, 1e-9) for ours, theirs in pairs)
    added = median(ours.p50_ms - theirs.p50_ms for ours, theirs in pairs)
    result.ratios.append(Ratio(name=f"tasks/s through against directly, {kind}, {clients} clients", value=share))
    result.ratios.append(Ratio(name=f"ms added at the median, {kind}, {clients} clients", value=added))
