"""A durable governed action over HTTP against the same route without storage."""

import sys
from pathlib import Path

import msgspec
from tests.bench import load, processes
from tests.bench.benches.plan import Plan, bearer, kernel, note_errors
from tests.bench.report import Ratio, Result, median
from tests.flows.kernel import Agent, Kernel

NULL = (sys.executable, str(Path(__file__).parents[1] / "null_kernel.py"))
CONNECTIONS = (1, 8, 64)
RECEIVERS = 64
"""An inbox takes 10,000 messages; the load goes to many."""


def bench(plan: Plan) -> Result:
    """Measure sending a message to an inbox, and sending a task without waiting for it."""
    result = Result(
        name="governed_action",
        title="decision, change and ledger, on the disk before the answer, against the same route without storage",
        columns=[
            "action",
            "connections",
            "without storage /s",
            "p99 ms",
            "governed /s",
            "p50 ms",
            "p99 ms",
            "CPU us each",
            "share",
        ],
    )
    with (
        kernel(plan.folder / "governed") as governed,
        kernel(plan.folder / "null", prefix=NULL) as null,
    ):
        for action, requests, status in (("inbox send", inbox_sends, 201), ("task send", task_sends, 200)):
            loads = {
                kind: (
                    of.pid,
                    load.Load(
                        port=of.port,
                        connections=1,
                        requests=requests(of, f"{action.replace(' ', '-')}"),
                        seconds=plan.seconds,
                        status=status,
                        contains='"id"',
                    ),
                )
                for kind, of in (("null", null), ("governed", governed))
            }
            for connections in CONNECTIONS:
                _measure(plan, result, action, connections, loads)
    return result


def _measure(
    plan: Plan, result: Result, action: str, connections: int, loads: dict[str, tuple[int, load.Load]]
) -> None:
    found: dict[str, list[load.Outcome]] = {"null": [], "governed": []}
    costs: dict[str, list[float]] = {"null": [], "governed": []}
    for _ in range(plan.rounds):  # in turn, so that whatever else the machine does meets both
        for kind, (pid, wanted) in loads.items():
            before = processes.cpu_s(pid)
            outcome = load.run(msgspec.structs.replace(wanted, connections=connections))
            note_errors(result, f"{action}, {kind}, {connections} connections", outcome)
            found[kind].append(outcome)
            costs[kind].append((processes.cpu_s(pid) - before) / max(outcome.answered, 1) * 1e6)
    null, governed = found["null"], found["governed"]
    share = median(g.per_s / max(n.per_s, 1) for n, g in zip(null, governed, strict=True))
    p99 = median(g.p99_ms for g in governed)
    result.rows.append(
        [
            action,
            connections,
            median(n.per_s for n in null),
            median(n.p99_ms for n in null),
            median(g.per_s for g in governed),
            median(g.p50_ms for g in governed),
            p99,
            f"{median(costs['governed']):.0f} / {median(costs['null']):.0f}",
            round(share, 3),
        ]
    )
    result.details[f"{action}, {connections}"] = msgspec.to_builtins(found)
    if connections == CONNECTIONS[-1]:
        result.ratios += [
            Ratio(name=f"{action}: share of the route without storage", value=share, at_least=0.35, aim=0.45),
            Ratio(name=f"{action}: p99 in ms", value=p99, at_most=60, aim=40),
        ]


def inbox_sends(of: Kernel, name: str) -> list[load.Request]:
    """Return requests that put messages into inboxes."""
    sender, receivers = _agents(of, name)
    return [
        load.Request(
            path="/api/agent-context",
            headers=bearer(sender.key),
            body=msgspec.json.encode(
                {"to": to.id, "kind": "note", "body": {"n": load.NUMBER, "text": "x" * 200}}
            ).decode(),
        )
        for to in receivers
    ]


def task_sends(of: Kernel, name: str) -> list[load.Request]:
    """Return A2A requests that send tasks to agents at their inbox and do not wait."""
    sender, receivers = _agents(of, name)
    return [send_message(sender.key, path=f"/a2a/agents/{to.name}", wait=False) for to in receivers]


def send_message(key: str, *, path: str, wait: bool) -> load.Request:
    """Return a JSON-RPC SendMessage with a body of some 500 bytes."""
    message = {"messageId": load.NUMBER, "role": "ROLE_USER", "parts": [{"text": "x" * 250}]}
    call = {
        "jsonrpc": "2.0",
        "id": 1,
        "method": "SendMessage",
        "params": {"message": message, "configuration": {"returnImmediately": not wait}},
    }
    headers = {"a2a-version": "1.0", **(bearer(key) if key else {})}
    return load.Request(path=path, headers=headers, body=msgspec.json.encode(call).decode())


def _agents(of: Kernel, name: str) -> tuple[Agent, list[Agent]]:
    sender = of.create_agent(f"{name}-sender")
    return sender, [of.create_agent(f"{name}-receiver-{number}") for number in range(RECEIVERS)]
