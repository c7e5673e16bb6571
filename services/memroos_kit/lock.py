"""One process per data directory: a lock file that names who holds it.

The lock is the kernel's advisory one (`flock`), so it ends with the process that holds it, however that ends; what
stands in the file only explains. A file that nobody has locked means nothing.
"""

import fcntl
import os
import socket
import time
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec

_TRIES, _PAUSE_S = 10, 0.03  # whoever looks at a lock takes it for an instant; that must not refuse a start


class Holder(msgspec.Struct, frozen=True):
    """The process that holds a lock, as it said itself."""

    process: str
    """What it is, such as `kernel`."""
    pid: int
    host: str
    started_at: datetime
    address: str = ""
    """Where it can be reached; empty while it starts."""

    def __str__(self) -> str:
        reachable = f" at {self.address}" if self.address else ""
        return (
            f"{self.process} with process id {self.pid} on {self.host}{reachable}, "
            f"since {self.started_at:%Y-%m-%d %H:%M:%S} UTC"
        )


class AlreadyRunning(Exception):
    """Another process uses these files.

    Args:
        path: the lock file.
        holder: who holds it; None while it has not yet said so.
    """

    def __init__(self, path: Path, holder: Holder | None) -> None:
        who = str(holder) if holder else "another process that is just starting"
        super().__init__(f"{path.parent} is in use by {who}")
        self.path = path
        self.holder = holder


class ProcessLock:
    """A lock file, held from `acquire` until `release` or the end of the process, kill -9 included.

    Args:
        path: the lock file; it stays when the lock ends.
        process: what this process is, such as `kernel`.
        address: where it can be reached, where that is known before.
    """

    def __init__(self, path: Path, *, process: str, address: str = "") -> None:
        self.path = path
        self._holder = Holder(process, os.getpid(), socket.gethostname(), _now(), address)
        self._file: int | None = None

    def acquire(self) -> Self:
        """Take the lock and write down who holds it.

        Raises:
            AlreadyRunning: another process holds it.
        """
        self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        file = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600)  # not inherited by child processes
        for attempt in range(_TRIES):
            if _lock(file, fcntl.LOCK_EX):
                break
            if attempt + 1 < _TRIES:
                time.sleep(_PAUSE_S)
        else:
            os.close(file)
            raise AlreadyRunning(self.path, _read(self.path))
        self._file = file
        self._holder = msgspec.structs.replace(self._holder, pid=os.getpid(), started_at=_now())
        self._write()
        return self

    def announce(self, address: str) -> None:
        """Write down where this process can be reached."""
        self._holder = msgspec.structs.replace(self._holder, address=address)
        self._write()

    def release(self) -> None:
        """Give the lock back; may be repeated."""
        if self._file is not None:
            os.ftruncate(self._file, 0)
            os.close(self._file)
            self._file = None

    def __enter__(self) -> Self:
        return self.acquire()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.release()

    def _write(self) -> None:
        assert self._file is not None, "acquire comes first"
        content = msgspec.json.format(msgspec.json.encode(self._holder), indent=2) + b"\n"
        os.pwrite(self._file, content, 0)
        os.ftruncate(self._file, len(content))


def hold(path: Path, *, process: str = "", address: str = "") -> ProcessLock:
    """Return a lock that is taken on entry and given back on exit: `with hold(path, address=url):`.

    Args:
        path: the lock file.
        process: what this process is; the file's name without its ending when left out.
        address: where this process can be reached; `announce` on the lock says it later.
    """
    return ProcessLock(path, process=process or path.stem, address=address)


def find_holder(path: Path) -> Holder | None:
    """Return the process that holds a lock file now, or None when nobody does.

    Raises:
        AlreadyRunning: somebody holds it who has not yet said who it is.
    """
    if not is_held(path):
        return None
    holder = _read(path)
    if holder is None:
        raise AlreadyRunning(path, None)
    return holder


def is_held(path: Path) -> bool:
    """Whether a process holds this lock file now."""
    try:
        file = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return False
    try:
        return not _lock(file, fcntl.LOCK_SH)
    finally:
        os.close(file)


def _lock(file: int, kind: int) -> bool:
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _read(path: Path) -> Holder | None:
    try:
        return msgspec.json.decode(path.read_bytes(), type=Holder)
    except (OSError, msgspec.DecodeError):
        return None


def _now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)
