"""Real processes: small Python programs that serve, crash, or do not listen to signals."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest

from memroos import supervisor
from memroos.settings import Settings
from memroos.supervisor import Backoff, Process, Standing, StartRefused, State, Supervisor
from memroos_kit import lock
from memroos_memory.settings import MemorySettings

SERVE = """
import http.server, os, signal, sys, threading, time
name, port, log, *manners = sys.argv[1:]
def note(what):
    with open(log, "a") as file: file.write(f"{what} {name}\\n")
def stop(*_):
    note("stopped")
    sys.exit(0)
def watch():
    sys.stdin.read()
    note("orphaned")
    os._exit(0)
signal.signal(signal.SIGTERM, signal.SIG_IGN if "stubborn" in manners else stop)
class Ready(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.send_header("content-length", "0"); self.end_headers()
    def log_message(self, *_): pass
note("started")
if "slow" in manners: time.sleep(0.3)
server = http.server.ThreadingHTTPServer(("127.0.0.1", int(port)), Ready)
note("ready")
if "dies" in manners: threading.Timer(0.2, os.abort).start()
if "watches" in manners: threading.Thread(target=watch).start()
server.serve_forever(0.01)
"""
QUICK = Backoff(first_s=0.01, longest_s=0.05, stable_s=60)


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    path = tmp_path / "journal"
    path.touch()
    return path


@pytest.fixture
def server(journal: Path) -> Callable[..., Process]:
    """Make a process that serves, and notes what happens to it."""

    def make(name: str, *manners: str) -> Process:
        port = free_port()
        argv = (sys.executable, "-c", SERVE, name, str(port), str(journal), *manners)
        return Process(name, argv, lambda: f"http://127.0.0.1:{port}/readyz")

    return make


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def ends_with(code: int) -> Process:
    return Process("broken", (sys.executable, "-c", f"raise SystemExit({code})"), lambda: "")


def supervise(
    *table: Process, until: Callable[[Supervisor], bool], grace_s: float = 5, stops: int = 1
) -> tuple[list[Standing], bool]:
    """Run a supervisor until something holds; return what it told, and whether it said that all was ready."""
    told: list[Standing] = []
    was_ready = False

    async def run() -> None:
        supervised = Supervisor(table, grace_s=grace_s, backoff=QUICK, tell=told.append)

        def ready() -> None:
            nonlocal was_ready
            was_ready = True

        async def watch() -> None:
            for _ in range(1000):
                if until(supervised):
                    break
                await asyncio.sleep(0.01)
            for _ in range(stops):
                supervised.stop()
                await asyncio.sleep(0.05)

        await asyncio.gather(supervised.run(ready=ready), watch())

    asyncio.run(run())
    return told, was_ready


def all_ready(supervised: Supervisor) -> bool:
    return supervised.standing.ready


def gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


# -- starting and stopping -------------------------------------------------------------------------------------------


def test_processes_start_in_order_and_stop_in_the_opposite_one(server: Callable[..., Process], journal: Path) -> None:
    _, was_ready = supervise(server("first", "slow"), server("second"), until=all_ready)

    assert was_ready
    assert journal.read_text().splitlines() == [
        "started first",
        "ready first",
        "started second",
        "ready second",
        "stopped second",
        "stopped first",
    ]


def test_each_change_is_told(server: Callable[..., Process]) -> None:
    told, _ = supervise(server("kernel"), until=all_ready)

    assert [(standing.processes[0].state, standing.ready) for standing in told] == [
        (State.STARTING, False),
        (State.READY, False),
        (State.READY, True),
        (State.STOPPED, True),
    ]
    assert told[0].pid == os.getpid()


def test_a_process_that_does_not_listen_is_killed_after_its_grace(
    server: Callable[..., Process], journal: Path
) -> None:
    started = time.monotonic()

    told, _ = supervise(server("first"), server("deaf", "stubborn"), until=all_ready, grace_s=0.3)

    assert 0.3 <= time.monotonic() - started < 5
    pids = {process.pid for standing in told for process in standing.processes if process.pid}
    assert len(pids) == 2
    assert all(gone(pid) for pid in pids)
    assert "stopped first" in journal.read_text()


def test_the_second_stop_does_not_wait(server: Callable[..., Process]) -> None:
    started = time.monotonic()

    supervise(server("deaf", "stubborn"), until=all_ready, grace_s=60, stops=2)

    assert time.monotonic() - started < 10


def test_a_stop_during_the_start_is_a_stop(server: Callable[..., Process], journal: Path) -> None:
    first_started = lambda supervised: supervised.standing.processes[0].state is State.STARTING  # noqa: E731

    _, was_ready = supervise(server("first", "slow"), server("second"), until=first_started)

    assert not was_ready
    assert "second" not in journal.read_text()


# -- crashes ---------------------------------------------------------------------------------------------------------


def test_a_crashed_process_is_started_again(server: Callable[..., Process], journal: Path) -> None:
    told, _ = supervise(
        server("steady"),
        server("frail", "dies"),
        until=lambda supervised: supervised.standing.processes[1].restarts >= 2,
    )

    frail = told[-1].processes[1]
    assert frail.last_exit == "signal SIGABRT"
    assert journal.read_text().count("ready frail") >= 2
    assert journal.read_text().count("ready steady") == 1


def test_a_crash_loop_is_never_given_up_and_slows_down() -> None:
    crashes: list[float] = []

    def often(supervised: Supervisor) -> bool:
        if supervised.standing.processes[0].restarts > len(crashes):
            crashes.append(time.monotonic())
        return len(crashes) >= 6

    told, was_ready = supervise(ends_with(1), until=often)

    assert not was_ready
    assert told[-1].processes[0].restarts >= 6
    assert told[-1].processes[0].last_exit == "exit code 1"


@pytest.mark.parametrize("crashes", [1, 2, 3, 10, 10_000])
def test_pauses_double_up_to_the_longest(crashes: int) -> None:
    backoff = Backoff(first_s=0.5, longest_s=30)
    whole = min(30, 0.5 * 2 ** min(crashes - 1, 30))

    assert all(whole / 2 <= backoff.pause_s(crashes) <= whole for _ in range(50))


def test_who_has_run_for_long_begins_with_the_shortest_pause_again() -> None:
    pauses: list[int] = []

    class Noting(Backoff, frozen=True):
        def pause_s(self, crashes: int) -> float:
            pauses.append(crashes)
            return 0.01

    async def run(stable_s: float) -> None:
        supervised = Supervisor([ends_with(1)], grace_s=1, backoff=Noting(stable_s=stable_s))

        async def watch() -> None:
            while len(pauses) < 3:  # noqa: ASYNC110 - the supervisor has no event for it
                await asyncio.sleep(0.01)
            supervised.stop()

        await asyncio.gather(supervised.run(), watch())

    asyncio.run(run(stable_s=0))
    assert pauses[:3] == [1, 1, 1]
    pauses.clear()
    asyncio.run(run(stable_s=60))
    assert pauses[:3] == [1, 2, 3]


def test_a_process_that_refuses_to_start_ends_the_start(server: Callable[..., Process], journal: Path) -> None:
    with pytest.raises(StartRefused, match="The broken refuses to start"):
        supervise(server("first"), ends_with(supervisor.REFUSED), server("never"), until=all_ready)

    assert journal.read_text().splitlines() == ["started first", "ready first", "stopped first"]


@pytest.mark.parametrize("code", [1, supervisor.REFUSED])
def test_a_system_is_ready_without_a_process_that_is_not_needed(
    server: Callable[..., Process], journal: Path, code: int
) -> None:
    extra = msgspec.structs.replace(ends_with(code), needed=False)

    told, was_ready = supervise(extra, server("kernel"), until=all_ready)

    assert was_ready
    assert told[-1].processes[0].state is State.STOPPED
    assert journal.read_text().splitlines() == ["started kernel", "ready kernel", "stopped kernel"]


def test_whoever_is_not_needed_starts_beside_the_others_and_stops_last(
    server: Callable[..., Process], journal: Path
) -> None:
    extra = msgspec.structs.replace(server("extra"), needed=False)

    _, was_ready = supervise(extra, server("kernel"), until=all_ready)

    lines = journal.read_text().splitlines()
    assert was_ready
    assert {"ready extra", "ready kernel"} <= set(lines), "it is given a moment"
    assert lines[-2:] == ["stopped kernel", "stopped extra"]


def test_something_else_in_its_place_is_not_taken_for_it(server: Callable[..., Process]) -> None:
    other = server("other")
    with subprocess.Popen(other.argv) as running:
        wait_for(lambda: can_connect(other))
        with pytest.raises(StartRefused, match="Something else answers"):
            supervise(other, until=all_ready)
        running.kill()


def can_connect(process: Process) -> bool:
    port = int(process.health_url().rsplit(":", 1)[1].split("/")[0])
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def wait_for(what: Callable[[], bool], most_s: float = 20) -> None:
    until = time.monotonic() + most_s
    while not what():
        assert time.monotonic() < until, "it did not happen"
        time.sleep(0.01)


# -- as a process of its own -----------------------------------------------------------------------------------------

UP = """
import pathlib, sys
from memroos import supervisor
from memroos.settings import Settings
from memroos_kit import log
log.configure(process="up")
port, *argv = sys.argv[2:]
settings = Settings(data_dir=pathlib.Path(sys.argv[1]), shutdown_grace_s=2)
table = [supervisor.Process("kernel", tuple(argv), lambda: f"http://127.0.0.1:{port}/readyz")]
supervisor.run(settings, ready=lambda: print("ready", flush=True), table=table)
"""


@contextmanager
def up(data: Path, process: Process) -> "Iterator[subprocess.Popen[str]]":
    """Run a supervisor in a process of its own; nothing of it is left afterwards."""
    port = process.health_url().rsplit(":", 1)[1].split("/")[0]
    command = [sys.executable, "-c", UP, str(data), port, *process.argv]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as running:
        try:
            assert running.stdout is not None
            assert running.stdout.readline() == "ready\n"
            yield running
        finally:
            running.terminate()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_stops_everything_in_order(
    tmp_path: Path, server: Callable[..., Process], journal: Path, number: signal.Signals
) -> None:
    with up(tmp_path, server("kernel")) as running:
        standing = supervisor.find_standing(tmp_path)
        running.send_signal(number)
        assert running.wait(10) == 0

    assert standing is not None
    assert (standing.pid, standing.ready) == (running.pid, True)
    assert journal.read_text().splitlines()[-1] == "stopped kernel"
    assert supervisor.find_standing(tmp_path) is None
    assert not lock.is_held(tmp_path / "up.lock")


def test_a_second_supervisor_is_refused(tmp_path: Path, server: Callable[..., Process]) -> None:
    with (
        up(tmp_path, server("kernel")) as running,
        pytest.raises(lock.AlreadyRunning, match=f"up with process id {running.pid}"),
    ):
        supervisor.run(Settings(data_dir=tmp_path), ready=lambda: None, table=[])


def test_processes_of_a_killed_supervisor_notice(tmp_path: Path, server: Callable[..., Process], journal: Path) -> None:
    with up(tmp_path, server("kernel", "watches")) as running:
        running.kill()
        running.wait()

        wait_for(lambda: "orphaned kernel" in journal.read_text())

    assert supervisor.find_standing(tmp_path) is None, "what it last said does not count any more"


def test_a_kernel_that_was_started_by_hand_is_not_disturbed(tmp_path: Path) -> None:
    with (
        lock.hold(tmp_path / "kernel.lock"),
        pytest.raises(lock.AlreadyRunning, match="kernel with process id"),
    ):
        supervisor.run(Settings(data_dir=tmp_path, shutdown_grace_s=0.5), ready=lambda: None, table=[])


# -- addresses -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:7700"),
        ("0.0.0.0", "http://127.0.0.1:7700"),
        ("::1", "http://[::1]:7700"),
        ("localhost", "http://localhost:7700"),
    ],
)
def test_the_kernel_is_reached_where_it_listens(tmp_path: Path, host: str, url: str) -> None:
    settings = Settings(
        data_dir=tmp_path, host=host, public_url="https://agents.example", operator_api_key_file=tmp_path / "key"
    )

    assert supervisor.kernel_url(settings) == url


def test_a_kernel_on_any_port_is_found_by_its_lock(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path, port=0)
    assert supervisor.kernel_url(settings) == ""

    with lock.hold(tmp_path / "kernel.lock", address="http://127.0.0.1:4711"):
        assert supervisor.kernel_url(settings) == "http://127.0.0.1:4711"


@pytest.mark.parametrize(
    ("url", "started"),
    [
        ("http://127.0.0.1:7701", ["memory", "kernel"]),
        ("http://127.0.0.1:4711", ["memory", "kernel"]),
        ("http://memory.example:7701", ["kernel"]),
        ("", ["kernel"]),
    ],
)
def test_a_memory_service_is_started_unless_the_kernel_uses_another_or_none(url: str, started: list[str]) -> None:
    table = supervisor.processes(Settings(memory_url=url), MemorySettings(memory_port=4711))

    assert [process.name for process in table] == started


def test_the_memory_service_is_found_in_the_same_way(tmp_path: Path) -> None:
    assert supervisor.memory_url(MemorySettings(data_dir=tmp_path)) == "http://127.0.0.1:7701"

    anywhere = MemorySettings(data_dir=tmp_path, memory_port=0)
    assert supervisor.memory_url(anywhere) == ""
    with lock.hold(tmp_path / "memory.lock", address="http://127.0.0.1:4712"):
        assert supervisor.memory_url(anywhere) == "http://127.0.0.1:4712"
