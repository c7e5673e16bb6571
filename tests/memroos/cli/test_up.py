"""The whole system in real processes: up, status, down, and what kill -9 does to them."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from memroos_kit import lock

Command = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """Settings of a system of its own, on ports of its own; a kernel alone, which starts in half the time."""
    with contextlib.ExitStack() as held:
        taken = [held.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(3)]
        port, grpc_port, memory_port = (str(one.getsockname()[1]) for one in taken)
    kept = {name: value for name, value in os.environ.items() if not name.startswith("MEMROOS_")}
    ports = {"MEMROOS_PORT": port, "MEMROOS_GRPC_PORT": grpc_port, "MEMROOS_MEMORY_PORT": memory_port}
    alone = {"MEMROOS_MEMORY_URL": "", "MEMROOS_EMBEDDER": "hash"}
    return kept | {"MEMROOS_DATA_DIR": str(tmp_path / "data")} | alone | ports


@pytest.fixture
def memroos(environment: dict[str, str], tmp_path: Path) -> Iterator[Command]:
    """Run a command to its end; what is still running afterwards is stopped."""

    def run(*arguments: str, **more: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, "-m", "memroos.cli", *arguments],
            env=environment | more,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

    yield run
    for name in ("up.lock", "kernel.lock", "memory.lock"):
        holder = lock.find_holder(tmp_path / "data" / name)
        if holder is not None:
            os.kill(holder.pid, signal.SIGKILL)


def status(memroos: Command) -> Any:
    return json.loads(memroos("status", "--json").stdout)


def wait_for(what: Callable[[], Any], most_s: float = 40) -> Any:
    until = time.monotonic() + most_s
    while not (found := what()):
        assert time.monotonic() < until, "it did not happen"
        time.sleep(0.1)
    return found


def kernel_process(memroos: Command) -> Any:
    (found,) = status(memroos)["supervisor"]["processes"]
    return found


def test_a_system_is_started_looked_at_and_stopped(memroos: Command, tmp_path: Path) -> None:
    up = memroos("up", "--detach")
    assert up.returncode == 0, up.stderr
    assert "MemRoOS is ready at http://127.0.0.1:" in up.stdout
    assert f"The operator's key is in {tmp_path / 'data' / 'operator.key'}" in up.stdout

    assert memroos("agents", "list").returncode == 0
    shown = memroos("status")
    assert shown.returncode == 0
    assert "1 active" in shown.stdout
    again = memroos("up", "--detach")
    assert again.returncode == 1
    assert "is in use by up with process id" in again.stderr

    down = memroos("down")
    assert (down.returncode, down.stdout) == (0, "Stopped.\n"), down.stderr
    assert memroos("status").returncode == 3
    assert memroos("down").stdout == "Nothing runs here.\n"
    words = (tmp_path / "data" / "logs" / "up.log").read_text()
    assert "Traceback" not in words
    assert "Fatal" not in words
    assert "starts_again" not in words


def test_the_memory_service_is_started_too_comes_back_when_it_is_killed_and_stops_with_the_rest(
    memroos: Command, environment: dict[str, str], tmp_path: Path
) -> None:
    del environment["MEMROOS_MEMORY_URL"]
    assert memroos("up", "--detach").returncode == 0

    def ready(restarts: int) -> Any:
        found = {one["name"]: one for one in status(memroos)["supervisor"]["processes"]}
        memory = found["memory"]
        return memory if (memory["state"], memory["restarts"]) == ("ready", restarts) else None

    os.kill(wait_for(lambda: ready(0))["pid"], signal.SIGKILL)
    wait_for(lambda: ready(1))
    assert json.loads(memroos("memory", "stats", "--json").stdout)["ready"] is True

    assert memroos("down").returncode == 0
    assert not lock.is_held(tmp_path / "data" / "memory.lock")


def test_a_data_directory_as_it_comes_with_a_checkout_becomes_its_owners_alone(
    memroos: Command, environment: dict[str, str], tmp_path: Path
) -> None:
    fresh, used = tmp_path / "fresh", tmp_path / "used"
    for path, file in ((fresh, ".gitkeep"), (used, "mine")):
        path.mkdir()
        path.chmod(0o755)
        (path / file).touch()
        with socket.create_server(("127.0.0.1", int(environment["MEMROOS_GRPC_PORT"]))):  # it need not run for this
            memroos("up", MEMROOS_DATA_DIR=str(path))

    assert (fresh.stat().st_mode & 0o777, used.stat().st_mode & 0o777) == (0o700, 0o755)


def test_a_killed_kernel_comes_back(memroos: Command) -> None:
    memroos("up", "--detach")
    first = kernel_process(memroos)["pid"]

    os.kill(first, signal.SIGKILL)

    def back() -> Any:
        found = kernel_process(memroos)
        return found if (found["restarts"], found["state"]) == (1, "ready") else None

    again = wait_for(back)
    assert again["pid"] != first
    assert again["last_exit"] == "signal SIGKILL"
    assert memroos("agents", "list").returncode == 0


def test_after_a_killed_supervisor_the_system_starts_again(memroos: Command, tmp_path: Path) -> None:
    memroos("up", "--detach")
    supervisor = status(memroos)["supervisor"]["pid"]

    os.kill(supervisor, signal.SIGKILL)

    wait_for(lambda: not lock.is_held(tmp_path / "data" / "kernel.lock"))
    assert memroos("up", "--detach").returncode == 0


def test_a_start_that_is_refused_says_why(memroos: Command, environment: dict[str, str]) -> None:
    with socket.create_server(("127.0.0.1", int(environment["MEMROOS_PORT"]))):
        result = memroos("up", "--detach")

    assert result.returncode == 1
    assert "It did not start; its last words stand above." in result.stderr


def test_a_port_for_grpc_that_is_taken_is_named_with_its_setting(memroos: Command, environment: dict[str, str]) -> None:
    port = environment["MEMROOS_GRPC_PORT"]
    with socket.create_server(("127.0.0.1", int(port))):
        result = memroos("up", "--detach")

    assert result.returncode == 1
    assert f"gRPC door cannot listen at 127.0.0.1:{port}: address already in use." in result.stderr
    assert "MEMROOS_GRPC_PORT" in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
@pytest.mark.parametrize("options", [(), ("--detach",)])
def test_a_data_directory_that_cannot_be_written_is_named(
    memroos: Command, tmp_path: Path, options: tuple[str, ...]
) -> None:
    (tmp_path / "data").mkdir(mode=0o500)

    result = memroos("up", *options)

    assert result.returncode == 1
    assert "cannot be written: Permission denied." in result.stderr


@pytest.mark.parametrize("options", [(), ("--detach",)])
def test_a_second_start_names_the_data_and_the_first(
    memroos: Command, tmp_path: Path, options: tuple[str, ...]
) -> None:
    with lock.hold(tmp_path / "data" / "up.lock"):
        result = memroos("up", *options)

    assert result.returncode == 1
    assert f"data is in use by up with process id {os.getpid()}" in result.stderr


def test_a_wrong_setting_stops_the_start(memroos: Command) -> None:
    result = memroos("up", MEMROOS_PORT="many")

    assert result.returncode == 2
    assert "MEMROOS_PORT" in result.stderr


def test_a_kernel_on_data_that_is_in_use_refuses(memroos: Command, tmp_path: Path) -> None:
    with lock.hold(tmp_path / "data" / "kernel.lock", address="http://127.0.0.1:4711"):
        kernel = memroos("kernel")
        up = memroos("up", MEMROOS_SHUTDOWN_GRACE_S="0.5")
        down = memroos("down")

    assert kernel.returncode == 78
    assert "at http://127.0.0.1:4711" in kernel.stderr
    assert up.returncode == 1
    assert down.returncode == 1
    assert "kill" in down.stderr
