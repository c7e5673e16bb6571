"""The kernel's database without its doors, and callers that wait for it."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import uvloop
from tests.actors import OPERATOR, agent_actor

from memroos import audit, events, governance, registry, wiring
from memroos.settings import Settings
from memroos_contracts.governance import Authorizer
from memroos_contracts.identity import Actor
from memroos_contracts.registry import AgentKind, AgentState, NewAgent
from memroos_kit.db import Database
from memroos_kit.db.ports import Journal

CALLERS = 64


class Pace(msgspec.Struct, frozen=True):
    """How fast something was done."""

    count: int
    seconds: float
    cpu_s: float

    @property
    def per_s(self) -> float:
        """How often in a second."""
        return self.count / self.seconds

    @property
    def cpu_us(self) -> float:
        """Processor time for each, all threads together, in microseconds."""
        return self.cpu_s / max(self.count, 1) * 1e6


def new_database(
    folder: Path, *, authorizer: Authorizer | None = None, journals: Sequence[Journal] | None = None
) -> Database:
    """Return a database as the kernel has it: made by the migrations, with the real gate, ledger and event log."""
    folder.mkdir(parents=True)
    made = wiring.Kernel(Settings(data_dir=folder, log_level="error"))  # tables, workspace, echo agent
    made.close()
    ledger = audit.Ledger(audit.ensure_signer(folder))
    parts: list[Journal] = [ledger, events.Log(events.Notifier()), registry.Keyring()]
    return Database(
        folder / wiring.DATABASE,
        authorizer=authorizer or governance.Gate(governance.Policy.load()),
        journals=parts if journals is None else journals,
        failures=audit.FailureRecorder(),
    )


def new_agents(db: Database, count: int, name: str = "agent") -> list[Actor]:
    """Register active agents and return them as actors."""
    made = []
    for number in range(count):
        new = NewAgent(name=f"{name}-{number}", kind=AgentKind.REST, state=AgentState.ACTIVE)
        made.append(agent_actor(db.write_now(OPERATOR, registry.create_agent, new).id))
    return made


def pace(db: Database, step: Callable[[int], Awaitable[int]], *, seconds: float, callers: int = CALLERS) -> Pace:
    """Let callers repeat a step side by side for some time.

    Args:
        step: gets the caller's number, returns how much it did.
    """

    async def call(caller: int, until: float) -> int:
        done = 0
        while time.perf_counter() < until:
            done += await step(caller)
        return done

    async def all_callers() -> Pace:
        db.attach(asyncio.get_running_loop())
        began, cpu = time.perf_counter(), time.process_time()
        async with asyncio.TaskGroup() as group:
            calls = [group.create_task(call(number, began + seconds)) for number in range(callers)]
        return Pace(sum(done.result() for done in calls), time.perf_counter() - began, time.process_time() - cpu)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        found = runner.run(all_callers())
    db.attach(None)
    return found


def empty(db: Database) -> Callable[[int], Awaitable[int]]:
    """Return a step that writes one small row and nothing else: the least that a durable write can cost here."""

    def write(tx: Any) -> None:
        tx._cursor.execute("INSERT INTO bench_row (text) VALUES (?)", ("x" * 200,))

    def make(tx: Any) -> None:
        tx._cursor.execute("CREATE TABLE IF NOT EXISTS bench_row (id INTEGER PRIMARY KEY, text TEXT)")

    db.write_now(OPERATOR, make)

    async def step(_: int) -> int:
        await db.write(OPERATOR, write)
        return 1

    return step
