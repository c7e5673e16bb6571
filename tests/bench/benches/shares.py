"""What policy and ledger add to a governed action: the same verbs with each of them left out."""

import itertools
import sys
from collections.abc import Awaitable, Callable
from contextlib import nullcontext

import msgspec
from tests.bench import in_process, load
from tests.bench.benches.governed_action import inbox_sends, task_sends
from tests.bench.benches.plan import Plan, kernel, note_errors
from tests.bench.left_out import AllowAll, leave_ledger_out
from tests.bench.report import Ratio, Result, median

from memroos import broker, bus, events, registry
from memroos_contracts.broker import Message, MessageRole, Part
from memroos_contracts.identity import Actor
from memroos_kit.db import Database
from memroos_kit.db.ports import Journal

RECEIVERS = 64
CONNECTIONS = 64
UNGOVERNED = ("env", f"PYTHONPATH={load.ROOT}", sys.executable, "-m", "tests.bench.ungoverned_kernel")
WHOLE, NO_POLICY, NO_LEDGER, NEITHER = "whole", "without policy", "without ledger", "without both"


def bench(plan: Plan) -> Result:
    """Measure the verbs behind two governed actions, with 64 callers in one process."""
    result = Result(
        name="shares",
        title="a governed action inside the kernel and over HTTP, decisions cached, with parts left out",
        columns=["action", "variant", "per s", "CPU us each", "share of the whole"],
    )
    databases = _databases(plan)
    try:
        for action, make in (("inbox send", _inbox_send), ("task send", _task_send)):
            steps = {name: make(db) for name, db in databases.items()}
            found: dict[str, list[in_process.Pace]] = {name: [] for name in databases}
            for _ in range(plan.rounds):
                for name, db in databases.items():
                    with leave_ledger_out() if name in {NO_LEDGER, NEITHER} else nullcontext():
                        found[name].append(in_process.pace(db, steps[name], seconds=plan.seconds))
            _add(result, action, found)
    finally:
        for db in databases.values():
            db.close()
    _over_http(plan, result)
    return result


def _over_http(plan: Plan, result: Result) -> None:
    """Measure the same actions as their callers see them, with governance and without."""
    with (
        kernel(plan.folder / "governed") as governed,
        kernel(plan.folder / "ungoverned", prefix=UNGOVERNED) as ungoverned,
    ):
        for action, requests, status in (("inbox send", inbox_sends, 201), ("task send", task_sends, 200)):
            loads = {
                name: load.Load(
                    port=of.port,
                    connections=CONNECTIONS,
                    requests=requests(of, action.replace(" ", "-")),
                    seconds=plan.seconds,
                    status=status,
                    contains='"id"',
                )
                for name, of in ((WHOLE, governed), (NEITHER, ungoverned))
            }
            found: dict[str, list[load.Outcome]] = {name: [] for name in loads}
            for _ in range(plan.rounds):
                for name, wanted in loads.items():
                    outcome = load.run(wanted)
                    note_errors(result, f"{action} over HTTP, {name}", outcome)
                    found[name].append(outcome)
            share = 1 - median(w.per_s / max(n.per_s, 1) for w, n in zip(*found.values(), strict=True))
            for name, outcomes in found.items():
                left_out = "" if name == WHOLE else f"{share:.0%}"
                result.rows.append([f"{action} over HTTP", name, median(o.per_s for o in outcomes), None, left_out])
            result.ratios.append(
                Ratio(name=f"{action} over HTTP: share of policy and ledger", value=share, at_most=0.15, aim=0.10)
            )


def _databases(plan: Plan) -> dict[str, Database]:
    made = {}
    for name in (WHOLE, NO_POLICY, NO_LEDGER, NEITHER):
        bare: list[Journal] = [events.Log(events.Notifier()), registry.Keyring()]
        made[name] = in_process.new_database(
            plan.folder / name.replace(" ", "-"),
            authorizer=AllowAll() if name in {NO_POLICY, NEITHER} else None,
            journals=bare if name in {NO_LEDGER, NEITHER} else None,
        )
    return made


def _inbox_send(db: Database) -> Callable[[int], Awaitable[int]]:
    sender, receivers = _actors(db, "inbox")
    turn = itertools.cycle(receivers)

    async def step(_: int) -> int:
        to = next(turn).agent
        assert to is not None
        await db.write(sender, bus.send, to=to, kind="note", body={"text": "x" * 200})
        return 1

    return step


def _task_send(db: Database) -> Callable[[int], Awaitable[int]]:
    sender, receivers = _actors(db, "task")
    turn, numbers = itertools.cycle(receivers), itertools.count()

    async def step(_: int) -> int:
        message = Message(f"m-{next(numbers)}", MessageRole.USER, [Part(text="some words " * 20)])
        await db.write(sender, broker.send_message, broker.Send(message=message, agent=str(next(turn).agent)))
        return 1

    return step


def _actors(db: Database, name: str) -> tuple[Actor, list[Actor]]:
    agents = in_process.new_agents(db, RECEIVERS + 1, name)
    return agents[0], agents[1:]


def _add(result: Result, action: str, found: dict[str, list[in_process.Pace]]) -> None:
    cost = {name: median(p.cpu_us for p in paces) for name, paces in found.items()}
    for name, paces in found.items():
        left_out = "" if name == WHOLE else f"{1 - cost[name] / cost[WHOLE]:.0%}"
        result.rows.append([action, name, median(p.per_s for p in paces), cost[name], left_out])
    result.ratios.append(
        Ratio(
            name=f"{action} in process: share of policy and ledger",
            value=1 - cost[NEITHER] / cost[WHOLE],
        )
    )
    result.details[action] = msgspec.to_builtins(found)
