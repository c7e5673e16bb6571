"""What policy and ledger add to a governed action: the same verbs with each of them left out."""

import itertools
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import msgspec
from tests.bench import in_process
from tests.bench.benches.plan import Plan
from tests.bench.report import Ratio, Result, median

from memroos import audit, broker, bus, events, registry
from memroos.audit import service as audit_service
from memroos_contracts.broker import Message, MessageRole, Part
from memroos_contracts.governance import Action, Asset, Decision, Effect
from memroos_contracts.identity import Actor, DecisionId
from memroos_kit.db import Database, Tx
from memroos_kit.db.ports import Journal

RECEIVERS = 64
WHOLE, NO_POLICY, NO_LEDGER, NEITHER = "whole", "without policy", "without ledger", "without both"


class AllowAll:
    """Says yes without looking, and records that like the real one."""

    def authorize(
        self,
        tx: Any,
        action: Action,
        asset: Asset,
        *,
        purpose: str,
        arguments: Mapping[str, Any] | None,
        holdable: bool,
    ) -> Decision:
        """Return a yes."""
        decision = Decision(
            id=DecisionId(tx.new_id("dec") if isinstance(tx, Tx) else ""),
            effect=Effect.ALLOW,
            action=action.value,
            asset=asset,
            purpose=purpose,
        )
        tx.decisions.append(decision)
        if isinstance(tx, Tx):
            audit.record_decision(tx, decision)
        return decision

    def permits(self, tx: Any, action: Action, asset: Asset, *, purpose: str) -> bool:
        """Say yes."""
        return True


def bench(plan: Plan) -> Result:
    """Measure the verbs behind two governed actions, with 64 callers in one process."""
    result = Result(
        name="shares",
        title="processor time of a governed action inside the kernel, decisions cached, with parts left out",
        columns=["action", "variant", "per s", "CPU us each", "share of the whole"],
    )
    databases = _databases(plan)
    try:
        for action, make in (("inbox send", _inbox_send), ("task send", _task_send)):
            steps = {name: make(db) for name, db in databases.items()}
            found: dict[str, list[in_process.Pace]] = {name: [] for name in databases}
            for _ in range(plan.rounds):
                for name, db in databases.items():
                    with _ledger_left_out(name in {NO_LEDGER, NEITHER}):
                        found[name].append(in_process.pace(db, steps[name], seconds=plan.seconds))
            _add(result, action, found)
    finally:
        for db in databases.values():
            db.close()
    return result


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


@contextmanager
def _ledger_left_out(really: bool) -> Iterator[None]:
    """Let nothing be recorded, where that is what is measured."""
    if not really:
        yield
        return
    real = audit_service._append
    audit_service._append = lambda *_: None
    try:
        yield
    finally:
        audit_service._append = real


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
            name=f"{action}: share of policy and ledger",
            value=1 - cost[NEITHER] / cost[WHOLE],
            at_most=0.15,
            aim=0.10,
        )
    )
    result.details[action] = msgspec.to_builtins(found)
