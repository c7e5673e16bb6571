"""SendMessage to completed, against the SDK's own server with its stores, same executor, same client."""

import importlib.util
import os
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import msgspec
from tests.bench import load, processes
from tests.bench.benches.governed_action import send_message
from tests.bench.benches.plan import Plan, kernel, note_errors
from tests.bench.report import Ratio, Result, median

CLIENTS = (1, 16, 64)
KERNEL = "kernel, durable and governed"
MEMORY = "SDK, in memory"
SQLITE = "SDK, SQLite"
DURABLE = "SDK, SQLite with WAL and FULL"
EXTRA = ("aiosqlite>=0.22,<1", "greenlet>=3.1,<4")
"""What the SDK's `sqlite` extra adds to what is installed here."""


def bench(plan: Plan) -> Result:
    """Measure blocking sends to the echo agent."""
    result = Result(
        name="send_message",
        title="SendMessage over JSON-RPC until the task is completed, by an agent in the server's process",
        columns=["server", "clients", "tasks/s", "p50 ms", "p99 ms", "CPU us each"],
    )
    with ExitStack() as stack:
        ours = stack.enter_context(kernel(plan.folder / "kernel"))
        caller = ours.create_agent("caller")
        servers = {KERNEL: (ours.port, ours.pid, send_message(caller.key, path="/a2a/agents/echo", wait=True))}
        theirs = send_message("", path="/", wait=True)
        for name, arguments, environ in _sdk_servers(plan.folder, result):
            log = plan.folder / f"sdk-{len(servers)}.log"
            server = stack.enter_context(
                processes.serving("tests.bench.sdk_server", arguments, log=log, environ=environ)
            )
            servers[name] = (server.port, server.pid, theirs)
        for clients in CLIENTS:
            _measure(plan, result, servers, clients)
    return result


def _measure(plan: Plan, result: Result, servers: dict[str, tuple[int, int, load.Request]], clients: int) -> None:
    found: dict[str, list[load.Outcome]] = {name: [] for name in servers}
    costs: dict[str, list[float]] = {name: [] for name in servers}
    for _ in range(plan.rounds):
        for name, (port, pid, request) in servers.items():
            before = processes.cpu_s(pid)
            outcome = load.run(
                load.Load(
                    port=port,
                    connections=clients,
                    requests=[request],
                    seconds=plan.seconds,
                    contains="TASK_STATE_COMPLETED",
                )
            )
            note_errors(result, f"{name}, {clients} clients", outcome)
            found[name].append(outcome)
            costs[name].append((processes.cpu_s(pid) - before) / max(outcome.answered, 1) * 1e6)
    for name, outcomes in found.items():
        result.rows.append(
            [
                name,
                clients,
                median(o.per_s for o in outcomes),
                median(o.p50_ms for o in outcomes),
                median(o.p99_ms for o in outcomes),
                round(median(costs[name])),
            ]
        )
    result.details[f"{clients} clients"] = msgspec.to_builtins(found)
    if clients == CLIENTS[-1]:
        _compare(result, found)


def _compare(result: Result, found: dict[str, list[load.Outcome]]) -> None:
    def ratio(field: str, name: str) -> float:
        pairs = zip(found[KERNEL], found[name], strict=True)
        return median(getattr(ours, field) / max(getattr(theirs, field), 1e-9) for ours, theirs in pairs)

    if SQLITE in found:
        result.ratios += [
            Ratio(name=f"tasks/s against {SQLITE}", value=ratio("per_s", SQLITE), at_least=6),
            Ratio(name=f"p99 against {SQLITE}", value=ratio("p99_ms", SQLITE), at_most=0.1),
            Ratio(name=f"tasks/s against {DURABLE}", value=ratio("per_s", DURABLE)),
        ]
    result.ratios.append(Ratio(name=f"tasks/s against {MEMORY}", value=ratio("per_s", MEMORY), at_least=0, aim=1))


def _sdk_servers(folder: Path, result: Result) -> list[tuple[str, list[str], dict[str, str]]]:
    """Return the SDK's servers that can be run here: name, arguments, environment."""
    servers: list[tuple[str, list[str], dict[str, str]]] = [(MEMORY, [], {})]
    environ = _sqlite_extra(folder / "extra", result)
    if environ is not None:
        servers += [
            (SQLITE, ["--database", str(folder / "sdk.db")], environ),
            (DURABLE, ["--database", str(folder / "sdk-durable.db"), "--durable"], environ),
        ]
    return servers


def _sqlite_extra(folder: Path, result: Result) -> dict[str, str] | None:
    """Make the SDK's SQLite driver importable for the one server that needs it, in a folder that is thrown away."""
    if all(importlib.util.find_spec(name) for name in ("aiosqlite", "greenlet")):
        return {}
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input"]
    done = subprocess.run(
        [*command, "--no-deps", "--target", str(folder), *EXTRA], capture_output=True, text=True, check=False
    )
    if done.returncode:
        result.notes.append(
            f"left out: the SDK's SQLite store, because its driver cannot be installed: {done.stderr.strip()[-200:]}"
        )
        return None
    return {"PYTHONPATH": os.pathsep.join(filter(None, (str(folder), os.environ.get("PYTHONPATH"))))}
