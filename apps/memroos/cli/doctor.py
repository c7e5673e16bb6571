"""`memroos doctor`: whether this machine, the settings and the files are as a kernel needs them."""

import os
import shutil
import socket
import stat
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

import click
import msgspec

import memroos
import memroos_memory
from memroos import audit, supervisor
from memroos.cli.audit import describe
from memroos.cli.failures import Failure
from memroos.cli.options import data_dir_option, json_option
from memroos.cli.output import Output, Progress, paint, printable, size, when
from memroos.cli.settings import kernel_settings, memory_settings
from memroos.settings import Settings
from memroos_contracts.errors import MemroosError
from memroos_kit import lock, tracing
from memroos_kit.clock import from_micros
from memroos_kit.db import migrate
from memroos_kit.sqlite import OLDEST_SOUND, sqlite3

MIGRATIONS = Path(memroos.__file__).parent / "migrations"
MEMORY_MIGRATIONS = Path(memroos_memory.__file__).parent / "migrations"

FREE_NEEDED, FREE_WANTED = 200_000_000, 1_000_000_000
EVENTS_MAX = 200_000
"""A longer ledger is left to `memroos audit verify`."""
CLOCK_LEEWAY_S = 5.0
_OLDEST_PYTHON = (3, 11)


class Level(StrEnum):
    """How a check came out."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


class Check(msgspec.Struct, frozen=True):
    """What one check found."""

    name: str
    level: Level
    found: str
    remedy: str = ""
    """What to do; empty where all is well."""


@click.command()
@data_dir_option
@json_option
def doctor(data_dir: Path | None, as_json: bool) -> None:
    """Check what a kernel needs, without touching anything; exit 1 when something is wrong."""
    settings = kernel_settings(data_dir)
    out = Output(as_json=as_json)
    found = []
    for check in examine(settings):
        found.append(check)
        out.say(f"{paint(check.level):<4}  {check.name}: {printable(check.found)}")
        if check.remedy:
            out.say(f"      {check.remedy}")
    if as_json:
        out.table(found, [], empty="")
    failed = sum(check.level is Level.FAIL for check in found)
    if failed:
        raise Failure(f"{failed} {'check' if failed == 1 else 'checks'} failed.")


def examine(settings: Settings) -> Iterator[Check]:
    """Yield what each check finds."""
    checks: tuple[Callable[[Settings], Iterator[Check]], ...] = (
        check_python,
        check_sqlite,
        check_data_dir,
        check_keys,
        check_space,
        check_process,
        check_memory,
        check_tracing,
        check_migration,
        check_clock,
        check_ledger,
    )
    for check in checks:
        try:
            yield from check(settings)
        except (OSError, MemroosError, sqlite3.Error) as error:
            yield Check(check.__name__.removeprefix("check_"), Level.FAIL, f"cannot be looked at: {error}")


def check_python(_: Settings) -> Iterator[Check]:
    """Whether the interpreter is new enough."""
    version = ".".join(map(str, sys.version_info[:3]))
    sound = sys.version_info[:2] >= _OLDEST_PYTHON
    yield Check("Python", Level.OK if sound else Level.FAIL, version, "" if sound else "Install Python 3.11 or newer.")


def check_sqlite(_: Settings) -> Iterator[Check]:
    """Whether the SQLite library is safe: an older one can corrupt the database."""
    sound = sqlite3.sqlite_version_info >= OLDEST_SOUND
    remedy = "" if sound else "Install pysqlite3 0.6.1 or newer."
    yield Check("SQLite", Level.OK if sound else Level.FAIL, f"{sqlite3.sqlite_version} ({sqlite3.__name__})", remedy)


def check_data_dir(settings: Settings) -> Iterator[Check]:
    """Whether the data directory is there, can be written, and is its owner's alone."""
    path = settings.data_dir
    if not path.exists():
        yield Check("data directory", Level.OK, f"{path} does not exist yet", "The first start makes it.")
        return
    if not path.is_dir():
        yield Check("data directory", Level.FAIL, f"{path} is no directory", "Name another with MEMROOS_DATA_DIR.")
        return
    mode = stat.S_IMODE(path.stat().st_mode)
    if not os.access(path, os.R_OK | os.W_OK | os.X_OK):
        owner = f"It belongs to user id {path.stat().st_uid}; start as that user, or set MEMROOS_DATA_DIR."
        yield Check("data directory", Level.FAIL, f"{path} cannot be written", owner)
    elif mode & 0o022:
        yield Check("data directory", Level.FAIL, f"others may write to {path}", f"chmod 700 {path}")
    elif mode & 0o055:
        yield Check("data directory", Level.WARN, f"others may read {path}", f"chmod 700 {path}")
    else:
        yield Check("data directory", Level.OK, str(path))
    for left in sorted(path.glob(".restore-*")):
        yield Check(
            "restore", Level.WARN, f"{left} is left of a restore that was interrupted", "Restore again; remove it."
        )


def check_keys(settings: Settings) -> Iterator[Check]:
    """Whether keys are where they should be, and their owner's alone."""
    wanted = [("ledger's key", settings.data_dir / audit.KEY_FILE)]
    wanted.append(("key of credentials", settings.secrets_key_path))
    if settings.memory_key is None:
        wanted.append(("memory service's key", settings.memory_key_path))
    if settings.operator_api_key is None:
        wanted.append(("operator's key", settings.operator_key_path))
    started = (settings.data_dir / supervisor.DATABASE).exists()
    for name, path in wanted:
        if not path.exists():
            missing = Level.FAIL if started and name == "ledger's key" else Level.OK
            remedy = "Put it back from a backup." if missing is Level.FAIL else "The next start makes it."
            yield Check(name, missing, f"{path} does not exist", remedy)
        elif stat.S_IMODE(path.stat().st_mode) & 0o077:
            yield Check(name, Level.FAIL, f"others may read {path}", f"chmod 600 {path}, and rotate it.")
        else:
            yield Check(name, Level.OK, str(path))


def check_space(settings: Settings) -> Iterator[Check]:
    """Whether there is room; a full disk stops all changes."""
    place = next(
        path for path in (settings.data_dir.absolute(), *settings.data_dir.absolute().parents) if path.exists()
    )
    free = shutil.disk_usage(place).free
    level = Level.FAIL if free < FREE_NEEDED else Level.WARN if free < FREE_WANTED else Level.OK
    yield Check("disk", level, f"{size(free)} free", "" if level is Level.OK else "Make room.")


def check_process(settings: Settings) -> Iterator[Check]:
    """Who uses the data directory, and whether the address is free or the kernel's."""
    holder = lock.find_holder(settings.data_dir / supervisor.KERNEL_LOCK)
    yield Check("lock", Level.OK, str(holder) if holder else "no kernel runs here")
    if settings.port:
        yield _door("address", supervisor.kernel_url(settings), "MEMROOS_PORT", runs=holder is not None)
    if settings.grpc and settings.grpc_port:
        door = msgspec.structs.replace(settings, port=settings.grpc_port)
        address = supervisor.kernel_url(door).removeprefix("http://")
        yield _door("gRPC address", address, "MEMROOS_GRPC_PORT", runs=holder is not None)


def check_memory(settings: Settings) -> Iterator[Check]:
    """Whether the memory service's address is free or its own, and its database fits this version."""
    memory = memory_settings(settings.data_dir)
    holder = lock.find_holder(settings.data_dir / supervisor.MEMORY_LOCK)
    if memory.memory_port:
        address, runs = supervisor.memory_url(memory), holder is not None
        yield _door("memory address", address, "MEMROOS_MEMORY_PORT", runs=runs, who="the memory service")
    if memory.database.exists():
        yield _migration("memory database", memory.database, MEMORY_MIGRATIONS)


def _door(name: str, address: str, setting: str, *, runs: bool, who: str = "the kernel") -> Check:
    answers = _answers(address)
    if answers and not runs:
        return Check(name, Level.FAIL, f"something else listens at {address}", f"Stop it, or set {setting}.")
    if runs and not answers:
        return Check(name, Level.WARN, f"{who} runs, but not at {address}", "It may be starting still.")
    return Check(name, Level.OK, f"{address} is {who if answers else 'free'}")


def check_tracing(settings: Settings) -> Iterator[Check]:
    """Whether spans can be sent, where that is wanted."""
    if not settings.otel_endpoint:
        return
    try:
        tracing.check(settings.otel_endpoint)
    except tracing.TracingRefused as error:
        yield Check("traces", Level.FAIL, str(error), "docs/how-to/trace-a-task.md has the steps.")
    else:
        yield Check("traces", Level.OK, f"go to {settings.otel_endpoint}")


def _answers(url: str) -> bool:
    host, _, port = url.removeprefix("http://").rpartition(":")
    try:
        with socket.create_connection((host.strip("[]"), int(port)), timeout=1):
            return True
    except OSError:
        return False


def check_migration(settings: Settings) -> Iterator[Check]:
    """Whether the database fits this version."""
    path = settings.data_dir / supervisor.DATABASE
    if not path.exists():
        yield Check("database", Level.OK, "not there yet", "The first start makes it.")
        return
    yield _migration("database", path, MIGRATIONS)


def _migration(name: str, path: Path, scripts: Path) -> Check:
    with _reading(path) as connection:
        (current,) = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    config = migrate.configure(scripts)
    if current == migrate.newest(config):
        return Check(name, Level.OK, f"at migration {current}")
    if current in migrate.known(config):
        found = f"at migration {current}, an older one"
        return Check(name, Level.WARN, found, "The next start brings it up to date.")
    found = f"at migration {current}, which this version does not know"
    return Check(name, Level.FAIL, found, "Start the newer version.")


def check_clock(settings: Settings) -> Iterator[Check]:
    """Whether the clock has gone back behind what was signed."""
    path, now = settings.data_dir / supervisor.DATABASE, time.time()
    signed_at = None
    if path.exists():
        with _reading(path) as connection:
            (signed_at,) = connection.execute("SELECT max(at) FROM audit_head").fetchone()
    if signed_at is not None and signed_at / 1e6 > now + CLOCK_LEEWAY_S:
        found = f"the newest head was signed at {when(from_micros(signed_at))}, which is not yet"
        yield Check("clock", Level.FAIL, found, "Set the clock; leases and expiry depend on it.")
    else:
        yield Check("clock", Level.OK, when(datetime.fromtimestamp(now, UTC)))


def check_ledger(settings: Settings) -> Iterator[Check]:
    """Whether the ledger verifies, where that takes seconds."""
    path = settings.data_dir / supervisor.DATABASE
    if not path.exists():
        return
    with _reading(path) as connection:
        (events,) = connection.execute("SELECT coalesce(max(seq), 0) FROM audit_event").fetchone()
    if events > EVENTS_MAX:
        yield Check("ledger", Level.OK, f"{events} events, not verified here", "`memroos audit verify` takes a while.")
        return
    progress = Progress()
    try:
        report = audit.verify(path, progress=lambda done, total: progress("verifying the ledger", done, total))
    finally:
        progress.end()
    if report.misfit is None:
        yield Check("ledger", Level.OK, f"{report.events} events verified, {report.sealed} of them sealed")
    else:
        yield Check("ledger", Level.FAIL, describe(report.misfit), "Keep these files, and restore a backup elsewhere.")


def _reading(path: Path) -> Any:
    return closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True))
