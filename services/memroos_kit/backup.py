"""Backup and restore of a system's databases and the small files that belong to them.

A backup is a directory: a copy of each database, the files, and `manifest.json` with a SHA-256 of each. It is made
while the process runs, in one step of SQLite's backup API: copying in several steps starts over at each change from
another connection and never ends under load. It appears whole, under its own name, or not at all.
"""

import hashlib
import os
import secrets
import shutil
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from memroos_kit.sqlite import sqlite3

MANIFEST = "manifest.json"
FORMAT = 1

_CHUNK = 1 << 20
_WATCH_S = 0.1
_CHECK_EVERY = 100_000  # instructions of SQLite's machine between two signs of life
_SIDE_FILES = ("-wal", "-shm", "-journal")

Progress = Callable[[str, int, int], None]
"""Called with what is being done, how much of it is done, and the whole; 0 where the whole is not known."""


class BackupFailed(Exception):
    """No backup was made; the sentence says why. Nothing is left of the attempt."""


class BackupDamaged(Exception):
    """A backup is not what its manifest says; the sentence names the file."""


class RestoreRefused(Exception):
    """Nothing was restored, because something is in the way; the sentence says what."""


class BackupFile(msgspec.Struct, frozen=True):
    """One file of a backup."""

    name: str
    size_bytes: int
    sha256: str
    secret: bool = False
    """Whether it has to be kept as keys are kept."""
    folder: str = ""
    """Where it belongs below the data directory; a restore puts the whole folder aside, what is derived included."""


class Manifest(msgspec.Struct, frozen=True):
    """What a backup holds."""

    format: int
    made_at: datetime
    database: str
    """Which of the files is the database that all others belong to."""
    sqlite: str
    """The version that wrote it."""
    facts: dict[str, str]
    """What the process that was backed up says of itself, such as its version."""
    files: tuple[BackupFile, ...]
    others: tuple[str, ...] = ()
    """Which of the files are databases, too."""


class Restored(msgspec.Struct, frozen=True):
    """What a restore did."""

    manifest: Manifest
    set_aside: Path | None
    """Where the files are that were there before; None when there were none."""


def _silent(_phase: str, _done: int, _total: int) -> None:
    pass


# -- backing up ----------------------------------------------------------------------------------------------------


def back_up(  # noqa: PLR0913 - what belongs to a system
    database: Path,
    archive: Path,
    *,
    others: Sequence[Path] = (),
    secret_files: Sequence[Path] = (),
    files: Sequence[Path] = (),
    facts: Mapping[str, str] | None = None,
    progress: Progress = _silent,
) -> Manifest:
    """Copy databases, which may be in use, and the files that belong to them; check the copies; write the manifest.

    The others are copied first: what they hold of the database, it holds as well.

    Args:
        database: a SQLite file.
        archive: the directory to make; it must not exist.
        others: more databases, each in a folder of its own beside the database. Those that do not exist are left out.
        secret_files: keys; they are copied readable by their owner only, as everything here, and marked in the
            manifest. Those that do not exist are left out.
        files: others; those that do not exist are left out.
        facts: kept in the manifest.

    Raises:
        BackupFailed: there is no database, the archive exists, or the copy is not sound.
    """
    if not database.is_file():
        raise BackupFailed(f"There is no database at {database}.")
    if archive.exists():
        raise BackupFailed(f"{archive} exists already. Name a directory that does not exist yet.")
    partial = archive.with_name(f".{archive.name}.{secrets.token_hex(4)}")
    try:
        archive.parent.mkdir(parents=True, exist_ok=True)
        partial.mkdir(mode=0o700)
        databases = [*(other for other in others if other.is_file()), database]
        for one in databases:
            _copy_database(one, partial / one.name, progress)
            _check_database(partial / one.name, progress, BackupFailed)
        present = [file for file in (*secret_files, *files) if file.is_file()]
        for file in present:
            _copy_file(file, partial / file.name)
        manifest = Manifest(
            format=FORMAT,
            made_at=datetime.now(UTC).replace(microsecond=0),
            database=database.name,
            sqlite=sqlite3.sqlite_version,
            facts=dict(facts or {}),
            files=tuple(
                _describe(
                    partial / file.name,
                    progress,
                    secret=file in secret_files,
                    folder=file.parent.name if file in others else "",
                )
                for file in (*databases, *present)
            ),
            others=tuple(one.name for one in databases[:-1]),
        )
        _write_new(partial / MANIFEST, msgspec.json.format(msgspec.json.encode(manifest), indent=2) + b"\n")
        _sync_directory(partial)
        partial.rename(archive)
        _sync_directory(archive.parent)
    except (OSError, sqlite3.Error) as error:
        raise BackupFailed(f"No backup was made: {error}") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return manifest


def _copy_database(source: Path, target: Path, progress: Progress) -> None:
    os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    total = sum(_size(source, suffix) for suffix in ("", "-wal"))
    with (
        closing(sqlite3.connect(f"{source.absolute().as_uri()}?mode=rw", uri=True, isolation_level=None)) as reading,
        closing(sqlite3.connect(target, isolation_level=None)) as writing,
        _watching(target, "copying", total, progress),
    ):
        reading.execute("PRAGMA synchronous=FULL")  # should the last connection's checkpoint be ours
        reading.execute("PRAGMA busy_timeout=5000")
        reading.execute("PRAGMA query_only=ON")
        reading.backup(writing, pages=-1)  # in one step: see above
    with target.open("rb") as file:
        os.fsync(file.fileno())


@contextmanager
def _watching(target: Path, phase: str, total: int, progress: Progress) -> Iterator[None]:
    """Tell from outside how far a step is that says nothing itself."""
    done = threading.Event()

    def watch() -> None:
        while not done.wait(_WATCH_S):
            progress(phase, min(_size(target), total), total)

    watcher = threading.Thread(target=watch, name="backup-progress", daemon=True)
    progress(phase, 0, total)
    watcher.start()
    try:
        yield
    finally:
        done.set()
        watcher.join()
    progress(phase, total, total)


# -- checking ------------------------------------------------------------------------------------------------------


def verify(archive: Path, *, progress: Progress = _silent) -> Manifest:
    """Check every file of a backup against the manifest, and the database inside.

    Raises:
        BackupDamaged: something is missing or was changed, or this is no backup.
    """
    try:
        manifest = msgspec.json.decode((archive / MANIFEST).read_bytes(), type=Manifest)
    except (OSError, msgspec.DecodeError) as error:
        raise BackupDamaged(f"{archive} is not a backup: its {MANIFEST} cannot be read ({error}).") from error
    if manifest.format != FORMAT:
        raise BackupDamaged(f"{archive} has format {manifest.format}; this version reads format {FORMAT}.")
    names = [file.name for file in manifest.files]
    databases = (*manifest.others, manifest.database)
    folders = [file.folder for file in manifest.files if file.folder]
    if not set(databases) <= set(names) or len(set(names)) != len(names) or not all(map(_is_plain, names + folders)):
        raise BackupDamaged(f"The manifest of {archive} names files that cannot be in a backup.")
    for file in manifest.files:
        try:
            found = _describe(archive / file.name, progress, secret=file.secret, folder=file.folder)
        except OSError as error:
            raise BackupDamaged(f"{archive / file.name} cannot be read: {error.strerror}.") from error
        if found != file:
            raise BackupDamaged(f"{archive / file.name} is not the file that was backed up: its content differs.")
    for name in databases:
        _check_database(archive / name, progress, BackupDamaged)
    return manifest


def _is_plain(name: str) -> bool:
    """Whether a name stays inside the directory it is joined to."""
    return name not in ("", ".", "..", MANIFEST) and not any(character in name for character in "/\\\0")


def _check_database(path: Path, progress: Progress, failure: type[Exception]) -> None:
    """Check a database that nobody else has open: every page, every index, every reference."""
    try:
        # immutable: no side files appear next to it, and a read-only medium will do
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?immutable=1", uri=True)) as connection:
            checked = 0

            def tell() -> int:
                nonlocal checked
                checked += 1
                progress("checking", checked, 0)
                return 0

            progress("checking", 0, 0)
            connection.set_progress_handler(tell, _CHECK_EVERY)
            connection.execute("PRAGMA cache_size=-262144")  # a full check is fifteen times slower with a small cache
            problem: Any = connection.execute("PRAGMA integrity_check(1)").fetchone()[0]
            orphan = connection.execute("PRAGMA foreign_key_check").fetchone()
    except sqlite3.Error as error:
        raise failure(f"{path} is not a sound database: {error}.") from error
    if problem != "ok":
        raise failure(f"{path} is not a sound database: {problem}.")
    if orphan is not None:
        raise failure(f"{path} is not a sound database: a row of {orphan[0]} refers to a row of {orphan[2]} not there.")


def _describe(path: Path, progress: Progress, *, secret: bool, folder: str = "") -> BackupFile:
    total, done, digest = path.stat().st_size, 0, hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
            done += len(chunk)
            progress(f"hashing {path.name}", done, total)
    return BackupFile(path.name, total, digest.hexdigest(), secret, folder)


# -- restoring -----------------------------------------------------------------------------------------------------


def restore(
    archive: Path,
    directory: Path,
    *,
    lock: AbstractContextManager[object],
    force: bool = False,
    progress: Progress = _silent,
) -> Restored:
    """Put a backup's files into a data directory, after checking all of them.

    The copies are checked again before anything that is there is touched, so a full disk or a bad medium changes
    nothing.

    Args:
        archive: what `back_up` made.
        directory: the data directory.
        lock: the lock of whatever uses the directory; held while files are put in place.
        force: move files that are there aside, into a directory beside them, instead of refusing.

    Raises:
        BackupDamaged: the backup is not what its manifest says.
        RestoreRefused: there are files already and `force` is not set, or the directory cannot be written.
        AlreadyRunning: the process that uses the directory is running.
    """
    with lock:
        manifest = verify(archive, progress=progress)
        names = [file.name for file in manifest.files]
        there = _present(directory, manifest)
        if there and not force:
            raise RestoreRefused(
                f"{directory} holds data already ({', '.join(path.name for path in there)}). "
                "Restore into another directory, or have it moved aside."
            )
        incoming = directory / f".restore-{secrets.token_hex(4)}"
        try:
            incoming.mkdir(mode=0o700)
            for done, file in enumerate(manifest.files):
                progress("copying", done, len(names))
                _copy_file(archive / file.name, incoming / file.name)
                if _describe(incoming / file.name, progress, secret=file.secret, folder=file.folder) != file:
                    raise RestoreRefused(f"{directory} did not keep what was written to it; nothing was changed.")
            set_aside = _set_aside(directory, there)
            # The database last: without it a start finds a fresh directory, never old keys under new data.
            for file in sorted(manifest.files, key=lambda file: file.name == manifest.database):
                folder = directory / file.folder
                folder.mkdir(mode=0o700, exist_ok=True)
                (incoming / file.name).rename(folder / file.name)
                _sync_directory(folder)
        except OSError as error:
            raise RestoreRefused(f"{directory} cannot be written: {error.strerror or error}.") from error
        finally:
            shutil.rmtree(incoming, ignore_errors=True)
    return Restored(manifest, set_aside)


def _present(directory: Path, manifest: Manifest) -> list[Path]:
    """Return the files and folders that a restore would replace, the database's side files included."""
    names = [file.folder or file.name for file in manifest.files]
    names += [manifest.database + suffix for suffix in _SIDE_FILES]
    return [directory / name for name in names if (directory / name).exists()]


def _set_aside(directory: Path, there: Sequence[Path]) -> Path | None:
    if not there:
        return None
    aside = directory / f"replaced-{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{secrets.token_hex(2)}"
    aside.mkdir(mode=0o700)
    for path in there:
        path.rename(aside / path.name)
    _sync_directory(aside)
    return aside


# -- files ---------------------------------------------------------------------------------------------------------


def _copy_file(source: Path, target: Path) -> None:
    with source.open("rb") as reading, _new_file(target) as writing:
        shutil.copyfileobj(reading, writing, _CHUNK)


def _write_new(path: Path, content: bytes) -> None:
    with _new_file(path) as file:
        file.write(content)


@contextmanager
def _new_file(path: Path) -> Iterator[Any]:
    """Open a file that must not exist, readable by its owner only; it is on the disk afterwards."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        yield file
        file.flush()
        os.fsync(file.fileno())


def _sync_directory(path: Path) -> None:
    directory = os.open(path, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def _size(path: Path, suffix: str = "") -> int:
    try:
        return path.with_name(path.name + suffix).stat().st_size
    except FileNotFoundError:
        return 0
