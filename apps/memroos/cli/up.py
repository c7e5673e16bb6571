"""`memroos up`, `down`, `status`: the whole system."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click
import msgspec

from memroos import supervisor
from memroos.cli.failures import Failure, NotReachable
from memroos.cli.options import Kernel, remote
from memroos.cli.output import Column, Output, size, span, when
from memroos.cli.settings import kernel_settings, memory_settings
from memroos.settings import Settings
from memroos.supervisor import ProcessStanding, Standing
from memroos_client import Unreachable
from memroos_client.calls import operations
from memroos_contracts.operations import OperationsView
from memroos_kit import lock, log
from memroos_kit.sqlite import sqlite3

LOG = "up.log"
LOG_MAX_BYTES = 50_000_000

_LOOK_EVERY_S = 0.05
_LAST_LINES = 15
_PROCESSES: list[Column[ProcessStanding]] = [
    Column("process", lambda process: process.name),
    Column("state", lambda process: process.state),
    Column("pid", lambda process: str(process.pid or "")),
    Column("since", lambda process: when(process.since)),
    Column("restarts", lambda process: str(process.restarts)),
    Column("last exit", lambda process: process.last_exit),
]

assert sqlite3, "importing it refuses a library that is not safe, here already and not in each process again"


@click.command()
@click.option("--detach", is_flag=True, help="Return once everything is ready, and leave it running.")
def up(detach: bool) -> None:
    """Start everything, keep it running, and stop it in order at Ctrl-C."""
    settings, table = kernel_settings(), supervisor.processes(kernel_settings(), memory_settings())
    try:
        _make_data_dir(settings.data_dir)
    except OSError as error:
        raise Failure(f"The data directory {settings.data_dir} cannot be made: {error.strerror}.") from error
    with _said_as_failures():
        if detach:
            _start_detached(settings)
        else:
            log.configure(process="up", level=settings.log_level, form=settings.log_format)
            supervisor.run(settings, ready=lambda: _greet(settings, "Ctrl-C stops it."), table=table)


def _make_data_dir(path: Path) -> None:
    """Make it, its owner's alone; one that is there and empty, as in a fresh checkout, becomes that."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    if all(one.name == ".gitkeep" for one in path.iterdir()):
        with contextlib.suppress(PermissionError):  # it belongs to somebody else, who lets us use it
            path.chmod(path.stat().st_mode & 0o700)


@contextlib.contextmanager
def _said_as_failures() -> Iterator[None]:
    try:
        yield
    except lock.AlreadyRunning as error:
        hint = "`memroos status` shows how it stands, `memroos down` stops what `memroos up` started."
        raise Failure(f"{error}.", hint) from error
    except supervisor.StartRefused as error:
        raise Failure(str(error), "`memroos doctor` checks what a start needs.") from error
    except PermissionError as error:
        raise Failure(
            f"{error.filename} cannot be written: {error.strerror}.", "`memroos doctor` checks what a start needs."
        ) from error


def _greet(settings: Settings, last: str) -> None:
    click.echo(f"\nMemRoOS is ready at {click.style(supervisor.kernel_url(settings), bold=True)}")
    if settings.operator_api_key is not None:
        click.echo("The operator's key is the one that you set (MEMROOS_OPERATOR_API_KEY).")
    else:
        click.echo(f"The operator's key is in {settings.operator_key_path}; only you can read it.")
    click.echo(f"{last}\n")


def _start_detached(settings: Settings) -> None:
    """Start `memroos up` in a session of its own and wait until everything is ready."""
    if lock.is_held(settings.data_dir / supervisor.LOCK):
        held = settings.data_dir / supervisor.LOCK
        raise lock.AlreadyRunning(held, lock.find_holder(held))
    journal = _open_log(settings.data_dir / "logs" / LOG)
    begin = journal.stat().st_size
    with journal.open("ab") as output:
        started = subprocess.Popen(
            [sys.executable, "-m", "memroos.cli", "up"],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,  # it outlives this terminal
        )
    while True:
        standing = supervisor.find_standing(settings.data_dir)
        if standing is not None and standing.ready and standing.pid == started.pid:
            break
        if started.poll() is not None:
            with journal.open("rb") as output:
                output.seek(begin)
                lines = output.read().decode("utf-8", "replace").splitlines()
            click.echo("\n".join(lines[-_LAST_LINES:]), err=True)
            raise Failure("It did not start; its last words stand above.", f"All of them are in {journal}.")
        time.sleep(_LOOK_EVERY_S)
    _greet(settings, f"It runs in the background and logs to {journal}; `memroos down` stops it.")


def _open_log(path: Path) -> Path:
    """Return the log file; a long one is put aside first, in place of the one before."""
    path.parent.mkdir(mode=0o700, exist_ok=True)
    if path.exists() and path.stat().st_size > LOG_MAX_BYTES:
        path.replace(path.with_name(f"{path.name}.1"))
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600))
    return path


@click.command()
def down() -> None:
    """Stop what `memroos up` started, in order."""
    settings = kernel_settings()
    held = settings.data_dir / supervisor.LOCK
    with _said_as_failures():
        holder = lock.find_holder(held)
    if holder is None:
        with _said_as_failures():
            alone = lock.find_holder(settings.data_dir / supervisor.KERNEL_LOCK)
        if alone is not None:
            raise Failure(
                f"No `memroos up` runs here, but {alone}.", f"Stop it where it was started, or: kill {alone.pid}"
            )
        click.echo("Nothing runs here.")
        return
    if holder.host != os.uname().nodename:
        raise Failure(f"It runs on {holder.host}, not on this machine.", "Stop it there.")
    os.kill(holder.pid, signal.SIGTERM)
    standing = supervisor.find_standing(settings.data_dir)
    processes = 1 + (len(standing.processes) if standing else 1)
    try:
        supervisor.wait_until_free(held, processes * (settings.shutdown_grace_s + 2))
    except lock.AlreadyRunning as error:
        raise Failure(f"It has not stopped yet: {error}.", f"Repeat, or: kill -9 {holder.pid}") from error
    click.echo("Stopped.")


class Status(msgspec.Struct, frozen=True):
    """What runs and how it stands."""

    supervisor: Standing | None
    operations: OperationsView | None


@click.command()
@remote
def status(kernel: Kernel) -> None:
    """Show what runs and how it stands; exit 3 when the kernel does not answer."""
    standing = supervisor.find_standing(kernel_settings().data_dir)
    view: OperationsView | None = None
    unreachable: Unreachable | None = None
    try:
        view = kernel.run(operations.get())
    except Unreachable as error:
        unreachable = error
    _show(kernel.out, Status(standing, view))
    if unreachable is not None:
        raise NotReachable(str(unreachable), "Start it with `memroos up`.")


def _show(out: Output, found: Status) -> None:
    if out.as_json:
        out.facts(found, [])
        return
    if found.supervisor is not None:
        out.table(found.supervisor.processes, _PROCESSES, empty="")
        out.say("")
    if found.operations is not None:
        out.facts(found.operations, _summary(found.operations))


def _summary(view: OperationsView) -> list[tuple[str, str]]:
    process = view.process
    running = f"{process.version}, for {span(process.uptime_s)}, since {when(process.started_at)}" if process else ""
    storage = f"{size(process.database_bytes)}, {process.writer_queue} changes waiting" if process else ""
    age = f", {span(view.ledger.head_age_s)} ago" if view.ledger.head_age_s is not None else ""
    oldest = f", the oldest since {when(view.approvals.oldest_at)}" if view.approvals.oldest_at else ""
    return [
        ("kernel", running),
        ("agents", _listed(view.agents.by_state) or "none"),
        ("liveness", _listed(view.agents.by_liveness)),
        ("tasks", _listed(view.tasks) or "none"),
        ("inboxes", f"{view.inbox.queued} queued, {view.inbox.leased} leased, {view.inbox.dead} dead"),
        ("approvals", f"{view.approvals.pending} pending{oldest}"),
        ("ledger", f"{view.ledger.events} events, {view.ledger.sealed} sealed{age}"),
        ("event log", f"{view.events.oldest} to {view.events.newest}" if view.events.newest else "empty"),
        ("database", storage),
    ]


def _listed(counts: Mapping[Any, int]) -> str:
    return ", ".join(f"{count} {word}" for word, count in counts.items() if count)
