"""The kernel as a whole: what it is made of, and what happens when a part of it dies."""

import subprocess
import sys
from pathlib import Path

import pytest
from tests.flows.kernel import OPERATOR_KEY

from memroos import wiring
from memroos.settings import Settings
from memroos.web import access
from memroos_kit.settings import Secret

CRASHING = """
import asyncio
from memroos import wiring
from memroos.settings import Settings
from memroos_kit.settings import load

async def crash():
    await asyncio.sleep(0.2)
    raise RuntimeError("the worker died of this")

class Crashing(wiring.Kernel):
    def _workers(self):
        return [*super()._workers(), crash()]

wiring.Kernel = Crashing
wiring.run_kernel(load(Settings))
"""


def test_a_worker_that_dies_ends_the_process_so_that_it_is_started_again(tmp_path: Path) -> None:
    ports = {"MEMROOS_PORT": "0", "MEMROOS_GRPC_PORT": "0"}
    environ = {"MEMROOS_DATA_DIR": str(tmp_path), "MEMROOS_OPERATOR_API_KEY": OPERATOR_KEY, **ports}

    ended = subprocess.run(
        [sys.executable, "-c", CRASHING],
        cwd=tmp_path,
        env=environ,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )

    assert ended.returncode == wiring.WORKER_DIED_STATUS
    assert "the worker died of this" in ended.stderr


@pytest.fixture
def kernel(tmp_path: Path) -> wiring.Kernel:
    """A kernel that is built and does not serve."""
    built = wiring.Kernel(Settings(data_dir=tmp_path, operator_api_key=Secret(OPERATOR_KEY)))
    built.close()
    return built


def test_every_route_stands_in_the_access_table_as_it_is_served(kernel: wiring.Kernel) -> None:
    served = {
        (str(handler.operation_id), method, route.path_format)
        for route in kernel.app.routes
        for handler in getattr(route, "route_handlers", ())
        for method in handler.http_methods
        if method not in {"OPTIONS", "HEAD"}
    }

    listed = {(row.operation, row.method, row.path) for row in access.ROWS if not row.operation.startswith("a2a")}
    assert served == listed


def test_a_route_that_nobody_listed_stops_the_start() -> None:
    operations = [row.operation for row in access.ROWS]

    for wrong in ([*operations, "sneakIn"], operations[1:]):
        with pytest.raises(access.AccessTableIncomplete):
            access.demand_complete(wrong)
    access.demand_complete(operations)
    with pytest.raises(access.AccessTableIncomplete):
        access.by_operation([access.ROWS[0], access.ROWS[0]])
