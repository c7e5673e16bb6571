"""kill -9 again and again under load: nothing acknowledged is lost, nothing is done twice, nothing stays undone."""

import asyncio
import os
import random
import secrets
import time
from pathlib import Path

import pytest
from tests.crash.audit_of import faults, open_database
from tests.crash.clients import Clients
from tests.crash.told import Ledger
from tests.flows.kernel import Kernel

from memroos_kit.db import sqlite3

SHORT, LONG, LONG_LEAST = 10, 200, 50
LONGEST_S = 0.35 * float(os.environ.get("MEMROOS_TEST_BUDGET_S", "2400"))
"""This drill's share of the time that all long tests have together."""
SETTLE_S = 60.0
LIVELY = {
    "log_level": "warning",
    "requests_per_minute": "100000000",
    "request_burst": "1000000",
}


@pytest.mark.timeout(240)
def test_ten_kills_lose_nothing_double_nothing_and_leave_nothing_undone(tmp_path: Path) -> None:
    done = drill(tmp_path, cycles=SHORT, most_s=75)

    assert done == SHORT, f"only {done} of {SHORT} cycles within the time"


@pytest.mark.long
@pytest.mark.timeout(LONGEST_S + SETTLE_S + 60)
def test_two_hundred_kills_lose_nothing_double_nothing_and_leave_nothing_undone(tmp_path: Path) -> None:
    done = drill(tmp_path, cycles=LONG, most_s=LONGEST_S)

    assert done >= LONG_LEAST, f"only {done} of {LONG} cycles within the time; {LONG_LEAST} are the least"


def drill(folder: Path, *, cycles: int, most_s: float) -> int:
    """Kill and restart a kernel under 32 clients, then look at what is left; return how many kills there were."""
    seed = secrets.randbits(32)
    kernel = Kernel(folder, settings=LIVELY)
    ledger = Ledger()
    with kernel:
        done = asyncio.run(_drill(kernel, ledger, cycles=cycles, until=time.monotonic() + most_s, seed=seed))
    found = faults(kernel.database, ledger)
    print(_summary(kernel, ledger, done, cycles, seed))
    assert not found, f"seed {seed}, after {done} kills: {found}"
    return done


async def _drill(kernel: Kernel, ledger: Ledger, *, cycles: int, until: float, seed: int) -> int:
    chance = random.Random(seed)
    clients = Clients(kernel, ledger, seed)
    async with asyncio.TaskGroup() as group:
        group.create_task(clients.run())
        while ledger.cycle < cycles and time.monotonic() < until:
            await asyncio.sleep(chance.uniform(0.05, 0.5))
            kernel.kill()
            ledger.cycle += 1
            await asyncio.to_thread(kernel.start)
        clients.sending = False
        await _settle(kernel)
        clients.over = True
    return ledger.cycle


async def _settle(kernel: Kernel) -> None:
    """Wait until everything has come to its end; what has not is found by the look afterwards."""
    question = (
        "SELECT (SELECT count(*) FROM task WHERE open) + "
        "(SELECT count(*) FROM inbox_message WHERE state IN ('queued', 'leased'))"
    )
    deadline = time.monotonic() + SETTLE_S
    connection = open_database(kernel.database)
    try:
        while time.monotonic() < deadline:
            await asyncio.sleep(0.2)
            try:
                if connection.execute(question).fetchone()[0] == 0:
                    return
            except sqlite3.OperationalError:
                continue  # the kernel has it locked for a moment
    finally:
        connection.close()


def _summary(kernel: Kernel, ledger: Ledger, done: int, cycles: int, seed: int) -> str:
    connection = open_database(kernel.database)
    states = dict(connection.execute("SELECT state, count(*) FROM task GROUP BY state").fetchall())
    events = connection.execute("SELECT count(*) FROM audit_event").fetchone()[0]
    connection.close()
    kinds = {kind: len(ledger.of(kind)) for kind in ("task", "message", "decision")}
    ends = {kind: len(some) for kind, some in ledger.ends.items()}
    return (
        f"\n{done} of {cycles} kills (seed {seed}): acknowledged {kinds}, ended {ends}, {ledger.again} sent again, "
        f"unanswered {dict(ledger.unanswered)}; tasks {states}; {events} ledger events"
    )
