"""`memroos up`: starts the processes in order, starts again what crashes, and stops all in the opposite order.

Each process runs in a process group of its own, so that Ctrl-C in a terminal reaches only the supervisor, and holds the
other end of a pipe: when the supervisor dies without a word, its processes read the end of that pipe and stop too
(`memroos kernel --supervised`). A process more is one line in `processes`.

The kernel is what a system cannot do without. Another process that refuses or keeps crashing is said, and tried again;
the system is ready without it.
"""

import asyncio
import contextlib
import os
import random
import signal
import sys
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path

import httpx
import msgspec

from memroos.settings import Settings
from memroos_kit import lock, log
from memroos_memory.settings import MemorySettings

REFUSED = 78
"""Exit code of a process that will not start as things are (EX_CONFIG): starting it again would not help."""

DATABASE = "conversations.db"
KERNEL_LOCK = "kernel.lock"
MEMORY_LOCK = "memory.lock"
LOCK = "up.lock"
STANDING = "up.json"

_ASK_EVERY_S = 0.1
_ANSWER_S = 2.0
_MOMENT_S = 4.0
_LATE_S = 1.0
"""A process ends by itself within its grace; this long after that it is ended."""

_log = log.get(__name__)


class Process(msgspec.Struct, frozen=True):
    """One process to keep running."""

    name: str
    argv: tuple[str, ...]
    health_url: Callable[[], str]
    """Where it answers 200 once it can work; an empty text while that is not known."""

    needed: bool = True
    """Whether the system is nothing without it: its refusal is the system's. Others are started without waiting."""


def processes(settings: Settings, memory: MemorySettings) -> tuple[Process, ...]:
    """Return the processes of a system, in the order in which they start.

    The memory service is started first, as it stops last: until its own end the kernel has something to hand over. It
    is not started where the kernel is to use another one, or none.
    """
    kernel = Process("kernel", _command("kernel"), lambda: _readiness(kernel_url(settings)))
    if not uses_memory_of_its_own(settings, memory):
        return (kernel,)
    return (Process("memory", _command("memory"), lambda: _readiness(memory_url(memory)), needed=False), kernel)


def uses_memory_of_its_own(settings: Settings, memory: MemorySettings) -> bool:
    """Whether the kernel's memory service is the one that runs beside it."""
    return settings.memory_url in {Settings().memory_url, memory_url(memory)}


def _command(name: str) -> tuple[str, ...]:
    return (sys.executable, "-m", "memroos.cli", name, "--supervised")


def _readiness(url: str) -> str:
    return f"{url}/readyz" if url else ""


def kernel_url(settings: Settings) -> str:
    """Return where this machine reaches the kernel; empty where that is not known yet, because any port will do."""
    return _url(settings.host, settings.port, settings.data_dir / KERNEL_LOCK)


def memory_url(settings: MemorySettings) -> str:
    """Return the same for the memory service."""
    return _url(settings.memory_host, settings.memory_port, settings.data_dir / MEMORY_LOCK)


def _url(host: str, port: int, held: Path) -> str:
    if port == 0:
        with contextlib.suppress(lock.AlreadyRunning):
            holder = lock.find_holder(held)
            return holder.address if holder else ""
        return ""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - compared, not bound
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


# -- how things stand --------------------------------------------------------------------------------------------------


class State(StrEnum):
    """Where a process stands."""

    STARTING = "starting"
    READY = "ready"
    WAITING = "waiting"  # it crashed and is started again after a pause
    STOPPED = "stopped"


class ProcessStanding(msgspec.Struct, frozen=True):
    """One process, as the supervisor sees it."""

    name: str
    state: State
    since: datetime
    pid: int | None = None
    restarts: int = 0
    last_exit: str = ""
    """How it ended the last time; empty when it never did."""


class Standing(msgspec.Struct, frozen=True):
    """The supervisor and its processes."""

    pid: int
    started_at: datetime
    ready: bool
    """Whether every process that is needed has been ready once."""
    processes: tuple[ProcessStanding, ...]


def find_standing(data_dir: Path) -> Standing | None:
    """Return how the supervisor of a data directory stands; None when none runs, or it has not yet said so."""
    if not lock.is_held(data_dir / LOCK):
        return None
    try:
        return msgspec.json.decode((data_dir / STANDING).read_bytes(), type=Standing)
    except (OSError, msgspec.DecodeError):
        return None


# -- the supervisor ----------------------------------------------------------------------------------------------------


class StartRefused(Exception):
    """A process refused to start; it has said why."""


class Backoff(msgspec.Struct, frozen=True):
    """How long to wait before a crashed process is started again."""

    first_s: float = 0.5
    longest_s: float = 30.0
    stable_s: float = 30.0
    """Whoever has run for this long begins with the shortest pause again."""

    def pause_s(self, crashes: int) -> float:
        """Return the pause after this many crashes in a row: it doubles, and is never quite the same."""
        longest = min(self.longest_s, self.first_s * 2 ** min(crashes - 1, 30))
        return float(longest * random.uniform(0.5, 1.0))  # noqa: S311 - no secret


class Supervisor:
    """Keeps processes running until it is told to stop.

    Args:
        table: the processes, in the order in which they start.
        grace_s: how long each may take to stop before it is killed.
        tell: called with each change.
    """

    def __init__(
        self,
        table: Sequence[Process],
        *,
        grace_s: float,
        backoff: Backoff | None = None,
        tell: Callable[[Standing], None] = lambda _: None,
    ) -> None:
        self._tell = tell
        self._grace_s = grace_s
        self._started_at = _now()
        self._ready = False
        self._stopping = asyncio.Event()
        self._watched = [_Watched(process, backoff or Backoff(), self._changed) for process in table]

    @property
    def standing(self) -> Standing:
        """How things stand."""
        return Standing(os.getpid(), self._started_at, self._ready, tuple(w.standing for w in self._watched))

    async def run(self, *, ready: Callable[[], None] = lambda: None) -> None:
        """Start all, call `ready` once each has been ready that is needed, and keep them running until `stop`.

        Those that are not needed get a moment to be ready, too; whether they are is not `ready`'s business.

        Raises:
            StartRefused: a needed process ended with the code `REFUSED` before it was ever ready, or something else
                answers in its place; all are stopped.
        """
        needed = [watched for watched in self._watched if watched.needed]
        try:
            async with _client() as http, asyncio.TaskGroup() as group:
                for watched in self._watched:
                    group.create_task(watched.run(http))
                    if not watched.needed:
                        continue
                    await watched.settled.wait()
                    if watched.refusal or self._stopping.is_set():
                        break
                else:
                    await self._wait_for_the_rest()
                    self._ready = True
                    self._changed()
                    ready()
                    await self._stopping.wait()
                for watched in reversed(self._watched):
                    await watched.stop(self._grace_s)
        finally:
            self.kill()  # nothing is left running whatever happened here
        for watched in needed:
            if watched.refusal:
                raise StartRefused(watched.refusal)

    async def _wait_for_the_rest(self) -> None:
        """Give those that are not needed a moment: whoever is told that all is ready finds them, as a rule."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_MOMENT_S):
                for watched in self._watched:
                    await watched.settled.wait()

    def stop(self) -> None:
        """Stop all in order; the second time, at once."""
        if self._stopping.is_set():
            self.kill()
        self._stopping.set()
        for watched in self._watched:
            watched.settled.set()

    def kill(self) -> None:
        """End all processes at once."""
        for watched in self._watched:
            watched.kill()

    def _changed(self) -> None:
        self._tell(self.standing)


class _Watched:
    """One process that is started again whenever it ends, until it is stopped."""

    def __init__(self, process: Process, backoff: Backoff, changed: Callable[[], None]) -> None:
        self.settled = asyncio.Event()  # ready for the first time, or refused, or not waited for any more
        self.needed = process.needed
        self.refusal = ""
        self.standing = ProcessStanding(process.name, State.STOPPED, _now())
        self._process = process
        self._backoff = backoff
        self._changed = changed
        self._running: asyncio.subprocess.Process | None = None
        self._unwanted = asyncio.Event()
        self._begun = False
        self._done = asyncio.Event()

    async def run(self, http: httpx.AsyncClient) -> None:
        """Start it, and again after each end."""
        self._begun = True
        crashes, was_ready = 0, False
        if await self._is_ready(http):  # it would look as if ours were ready
            self._refuse(f"Something else answers at {self._process.health_url()} already.")
            self._unwanted.set()
        while not self._unwanted.is_set():
            started = time.monotonic()
            ended, became_ready = await self._run_once(http)
            was_ready = was_ready or became_ready
            if self._unwanted.is_set():
                break
            if ended == REFUSED and not was_ready:
                self._refuse(f"The {self._process.name} refuses to start; what it says stands above.")
                break
            if not self.needed:
                self.settled.set()
            crashes = 1 if time.monotonic() - started >= self._backoff.stable_s else crashes + 1
            await self._pause(ended, self._backoff.pause_s(crashes))
        self._stand(State.STOPPED, pid=None)
        self._done.set()
        self.settled.set()

    async def stop(self, grace_s: float) -> None:
        """End it for good; kill it when it does not end in time."""
        self._unwanted.set()
        if not self._begun:
            return
        if self._running is not None:
            with contextlib.suppress(ProcessLookupError):
                self._running.terminate()
        try:
            await asyncio.wait_for(self._done.wait(), grace_s)
        except TimeoutError:
            _log.warning("process killed", name=self._process.name, grace_s=grace_s)
            self.kill()
            await self._done.wait()

    def kill(self) -> None:
        """End it at once, with whatever it started."""
        if self._running is not None and self._running.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._running.pid, signal.SIGKILL)

    def _refuse(self, why: str) -> None:
        self.refusal = why
        if not self.needed:
            _log.warning("process missing", name=self._process.name, why=why)

    async def _run_once(self, http: httpx.AsyncClient) -> tuple[int, bool]:
        """Run it once; return its exit code and whether it became ready."""
        running = await asyncio.create_subprocess_exec(
            *self._process.argv, stdin=asyncio.subprocess.PIPE, process_group=0
        )
        self._running = running
        if self._unwanted.is_set():  # it was stopped before it was there
            running.terminate()
        self._stand(State.STARTING, pid=running.pid)
        async with asyncio.TaskGroup() as group:
            asking = group.create_task(self._ask(http, running))
            ended = await running.wait()
            asking.cancel()
        became_ready = self.standing.state is State.READY
        self._running = None
        return ended, became_ready

    async def _ask(self, http: httpx.AsyncClient, running: asyncio.subprocess.Process) -> None:
        """Ask until it is ready."""
        while not await self._is_ready(http):  # noqa: ASYNC110 - another process does not set our events
            await asyncio.sleep(_ASK_EVERY_S)
        if running.returncode is None:
            _log.info("process ready", name=self._process.name, pid=running.pid)
            self._stand(State.READY, pid=running.pid)
            self.settled.set()

    async def _is_ready(self, http: httpx.AsyncClient) -> bool:
        url = self._process.health_url()
        if not url:
            return False
        try:
            return (await http.get(url)).status_code == 200
        except httpx.TransportError:
            return False

    async def _pause(self, ended: int, pause_s: float) -> None:
        how = f"signal {signal.Signals(-ended).name}" if ended < 0 else f"exit code {ended}"
        _log.warning("process ended", name=self._process.name, how=how, starts_again_in_s=round(pause_s, 1))
        self._stand(State.WAITING, pid=None, restarts=self.standing.restarts + 1, last_exit=how)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._unwanted.wait(), pause_s)

    def _stand(
        self, state: State, *, pid: int | None, restarts: int | None = None, last_exit: str | None = None
    ) -> None:
        before = self.standing
        self.standing = ProcessStanding(
            before.name,
            state,
            _now(),
            pid,
            before.restarts if restarts is None else restarts,
            before.last_exit if last_exit is None else last_exit,
        )
        self._changed()


def _client() -> httpx.AsyncClient:
    """Return what asks for readiness; it keeps no connection open, for which a process would wait when it stops."""
    return httpx.AsyncClient(trust_env=False, timeout=_ANSWER_S, limits=httpx.Limits(max_keepalive_connections=0))


def _now() -> datetime:
    return datetime.now(UTC)


# -- as a process of its own -------------------------------------------------------------------------------------------


def run(settings: Settings, *, ready: Callable[[], None], table: Sequence[Process]) -> None:
    """Keep the system of a data directory running until SIGTERM, SIGINT or SIGHUP.

    Args:
        ready: called once everything runs.
        table: what to run, such as `processes` says.

    Raises:
        AlreadyRunning: another supervisor, or a kernel that was started by hand, uses the data directory.
        StartRefused: a process refused to start, or something else is where it would be.
    """
    with lock.hold(settings.data_dir / LOCK):
        (settings.data_dir / STANDING).unlink(missing_ok=True)
        wait_until_free(settings.data_dir / KERNEL_LOCK, settings.shutdown_grace_s + _LATE_S)
        with contextlib.suppress(lock.AlreadyRunning):  # then it refuses by itself, and the kernel does without
            wait_until_free(settings.data_dir / MEMORY_LOCK, settings.shutdown_grace_s + _LATE_S)
        asyncio.run(_run(settings, table, ready))
        (settings.data_dir / STANDING).unlink(missing_ok=True)


def wait_until_free(path: Path, most_s: float) -> None:
    """Wait until nobody holds a lock: a process whose supervisor died needs a moment to end.

    Raises:
        AlreadyRunning: somebody still holds it.
    """
    until = time.monotonic() + most_s
    while lock.is_held(path):
        if time.monotonic() > until:
            raise lock.AlreadyRunning(path, lock.find_holder(path))
        time.sleep(_ASK_EVERY_S)


async def _run(settings: Settings, table: Sequence[Process], ready: Callable[[], None]) -> None:
    def tell(standing: Standing) -> None:
        _write(settings.data_dir / STANDING, msgspec.json.encode(standing))

    supervisor = Supervisor(table, grace_s=settings.shutdown_grace_s + _LATE_S, tell=tell)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        loop.add_signal_handler(number, supervisor.stop)
    await supervisor.run(ready=ready)


def _write(path: Path, content: bytes) -> None:
    """Replace a file as a whole, so that a reader never sees half of it."""
    partial = path.with_name(f".{path.name}.partial")
    partial.write_bytes(content)
    partial.replace(path)
