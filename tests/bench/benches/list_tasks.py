"""Listing tasks where there are a thousand of them, ten thousand, and a hundred thousand."""

import shutil
from pathlib import Path
from typing import Any

import msgspec
from tests.bench import load
from tests.bench.benches.governed_action import send_message
from tests.bench.benches.plan import Plan, bearer, kernel, note_errors
from tests.bench.report import Ratio, Result, median
from tests.flows.kernel import Agent, Kernel

from memroos_kit.sqlite import sqlite3

FEW, SOME, MANY = 1_000, 10_000, 100_000
OWNERS = 4
SEEDS_EACH = 5


def bench(plan: Plan) -> Result:
    """Measure A2A ListTasks over both, page size 50."""
    result = Result(
        name="list_tasks",
        title=f"ListTasks over JSON-RPC, a page of 50, with {FEW:,}, {SOME:,} and {MANY:,} tasks",
        columns=[
            "listing",
            "of tasks",
            *(column for size in (FEW, SOME, MANY) for column in (f"p50 ms at {size:,}", "p99 ms")),
            "ratio of the last to the first",
        ],
    )
    few, some, many = plan.folder / "few", plan.folder / "some", plan.folder / "many"
    with kernel(few) as seed:
        owners = [seed.create_agent(f"owner-{number}") for number in range(OWNERS)]
        _seed(seed, owners)
    for copy in (some, many):
        shutil.copytree(few / "data", copy / "data")
    for folder, size in ((few, FEW), (some, SOME), (many, MANY)):
        _multiply(folder / "data" / "conversations.db", size)
    with kernel(few) as small, kernel(some) as medium, kernel(many) as large:
        for name, key, params in _listings(seed.operator_key, owners[0].key):
            _measure(plan, result, name, key, params, {"few": small, "some": medium, "many": large})
    return result


def _listings(operator: str, owner: str) -> list[tuple[str, str, dict[str, object]]]:
    return [
        ("everything, by an operator", operator, {}),
        ("its own, by an agent", owner, {}),
        ("its completed ones, by an agent", owner, {"status": "TASK_STATE_COMPLETED"}),
        ("those in a state that none is in", operator, {"status": "TASK_STATE_FAILED"}),
        ("the 20th page, by an operator", operator, {"pages": 19}),
        ("of one context", operator, {"contextId": "ctx-7"}),
        ("with history and artifacts", owner, {"historyLength": 10, "includeArtifacts": True}),
    ]


def _measure(
    plan: Plan, result: Result, name: str, key: str, params: dict[str, object], kernels: dict[str, Kernel]
) -> None:
    found: dict[str, list[load.Outcome]] = {size: [] for size in kernels}
    totals: dict[str, int] = {}
    loads = {}
    for size, of in kernels.items():
        wanted = dict(params)
        token = ""
        for _ in range(int(str(wanted.pop("pages", 0)))):
            token = str(_call(of, key, {"pageToken": token} if token else {})["nextPageToken"])
        if token:
            wanted["pageToken"] = token
        totals[size] = int(str(_call(of, key, wanted)["totalSize"]))
        loads[size] = load.Load(
            port=of.port, connections=1, requests=[_request(key, wanted)], seconds=plan.seconds, contains='"tasks"'
        )
    for _ in range(plan.rounds):
        for size, wanted_load in loads.items():
            outcome = load.run(wanted_load)
            note_errors(result, f"{name}, {size}", outcome)
            found[size].append(outcome)
    few, many = found["few"], found["many"]
    ratio = median(m.p50_ms / max(f.p50_ms, 1e-9) for f, m in zip(few, many, strict=True))
    result.rows.append(
        [
            name,
            " / ".join(f"{total:,}" for total in totals.values()),
            *(median(of) for runs in found.values() for of in ((r.p50_ms for r in runs), (r.p99_ms for r in runs))),
            round(ratio, 3),
        ]
    )
    result.ratios.append(Ratio(name=name, value=ratio, at_most=1.5, aim=1.2))
    result.details[name] = msgspec.to_builtins(found)


def _request(key: str, params: dict[str, object]) -> load.Request:
    call = {"jsonrpc": "2.0", "id": 1, "method": "ListTasks", "params": params}
    headers = {"a2a-version": "1.0", **bearer(key)}
    return load.Request(path="/a2a", headers=headers, body=msgspec.json.encode(call).decode())


def _call(of: Kernel, key: str, params: dict[str, object]) -> dict[str, object]:
    request = _request(key, params)
    with of.client(key) as client:
        answer = client.post(request.path, content=request.body, headers=request.headers).json()
    found: dict[str, object] = answer["result"]
    return found


def _seed(of: Kernel, owners: list[Agent]) -> None:
    """Let some tasks run as they always do; the many are made in their image."""
    for owner in owners:
        request = send_message(owner.key, path="/a2a/agents/echo", wait=True)
        with of.client(owner.key) as client:
            for number in range(SEEDS_EACH):
                body = request.body.replace(load.NUMBER, f"{owner.name}-{number}")
                answer = client.post(request.path, content=body, headers=request.headers)
                assert "TASK_STATE_COMPLETED" in answer.text, answer.text


def _multiply(path: Path, wanted: int) -> None:
    """Copy the tasks and their logs under new ids until there are as many as wanted, and count them anew."""
    connection = sqlite3.connect(str(path), isolation_level=None)
    connection.row_factory = sqlite3.Row
    connection.execute("BEGIN IMMEDIATE")
    seeds = [dict(row) for row in connection.execute("SELECT * FROM task ORDER BY id")]
    logs = {
        seed["id"]: [
            dict(row) for row in connection.execute("SELECT * FROM task_event WHERE task_id = ?", [seed["id"]])
        ]
        for seed in seeds
    }
    latest = max(seed["status_at"] for seed in seeds)
    tasks, events = [], []
    for number in range(wanted - len(seeds)):
        seed = seeds[number % len(seeds)]
        task_id = f"task_{number:026d}"
        at = latest - (number + 1) * 1_000
        tasks.append(
            {**seed, "id": task_id, "context_id": f"ctx-{number % 100 if number < 1_000 else number // 10}"}
            | {"created_at": at, "status_at": at}
        )
        events += [{**event, "task_id": task_id} for event in logs[seed["id"]]]
    _insert(connection, "task", tasks)
    _insert(connection, "task_event", events)
    connection.execute("DELETE FROM task_count")
    connection.execute(
        "INSERT INTO task_count (workspace_id, owner, agent_id, state, tasks)"
        " SELECT workspace_id, owner, agent_id, state, count(*) FROM task GROUP BY 1, 2, 3, 4"
    )
    connection.execute("COMMIT")
    connection.close()


def _insert(connection: Any, name: str, rows: list[dict[str, object]]) -> None:
    columns = list(rows[0])
    places = ", ".join(f":{column}" for column in columns)
    connection.executemany(f"INSERT INTO {name} ({', '.join(columns)}) VALUES ({places})", rows)
