"""kill -9 of the kernel, of the memory service and of both while agents remember, recall and forget.

Every acknowledged memory is recalled afterwards, once; what was deleted is not; no work is lost, doubled or stuck.
"""

import asyncio
import os
import random
import secrets
import time
from pathlib import Path

import pytest
from tests.crash.memories_of import faults
from tests.crash.remembering import Remembering
from tests.crash.told import Ledger
from tests.flows.memory import System

SHORT, LONG, LONG_LEAST = 10, 100, 40
LONGEST_S = 0.15 * float(os.environ.get("MEMROOS_TEST_BUDGET_S", "2400"))
"""This drill's share of the time that all long tests have together."""
SETTLE_S = 60.0
LIVELY = {
    "log_level": "warning",
    "requests_per_minute": "100000000",
    "request_burst": "1000000",
}


@pytest.mark.timeout(240)
def test_ten_kills_of_kernel_and_memory_service_lose_and_double_no_memory(tmp_path: Path) -> None:
    done = drill(tmp_path, cycles=SHORT, most_s=60)

    assert done == SHORT, f"only {done} of {SHORT} cycles within the time"


@pytest.mark.long
@pytest.mark.timeout(LONGEST_S + 4 * SETTLE_S)
def test_a_hundred_kills_of_kernel_and_memory_service_lose_and_double_no_memory(tmp_path: Path) -> None:
    done = drill(tmp_path, cycles=LONG, most_s=LONGEST_S)

    assert done >= LONG_LEAST, f"only {done} of {LONG} cycles within the time; {LONG_LEAST} are the least"


def drill(folder: Path, *, cycles: int, most_s: float) -> int:
    """Kill and restart both under load, then ask for everything; return how many kills there were."""
    seed = secrets.randbits(32)
    ledger = Ledger()
    with System(folder, settings=LIVELY, memory_settings={"log_level": "warning"}) as system:
        agents = Remembering(system.kernel, ledger, seed)
        began = time.monotonic()
        asyncio.run(_drill(system, agents, cycles=cycles, until=began + most_s, seed=seed))
        killed = time.monotonic()
        system.wait_idle(SETTLE_S)
        settled = time.monotonic()
        found = faults(system, agents)
    took = [round(b - a, 1) for a, b in ((began, killed), (killed, settled), (settled, time.monotonic()))]
    print(
        f"\n{ledger.cycle} of {cycles} kills (seed {seed}): {len(ledger.told)} memories acknowledged, "
        f"{ledger.again} sent again, unanswered {dict(ledger.unanswered)}, {len(agents.gone)} deleted, asked meanwhile "
        f"{dict(agents.recalls)}; seconds of kills, of settling, of asking: {took}"
    )
    assert not found, f"seed {seed}, after {ledger.cycle} kills, {len(found)} faults: {found[:20]}"
    return ledger.cycle


async def _drill(system: System, agents: Remembering, *, cycles: int, until: float, seed: int) -> None:
    chance = random.Random(seed)
    ledger = agents.ledger
    async with asyncio.TaskGroup() as group:
        group.create_task(agents.run())
        while ledger.cycle < cycles and time.monotonic() < until:
            await asyncio.sleep(chance.uniform(0.05, 0.6))
            hit = chance.choice(((system.kernel,), (system.memory,), (system.kernel, system.memory)))
            for process in hit:
                process.kill()
            ledger.cycle += 1
            if chance.random() < 0.3:  # one without the other for a while
                await asyncio.sleep(0.3)
            for process in hit:
                process.start(wait=False)
            for process in hit:
                await asyncio.to_thread(process.wait_ready)
        agents.over = True
