"""A real service in a process of its own: started on a port of its own, waited for, killed, ended and started again.

Only this process is ever signalled.
"""

import os
import signal
import socket
import ssl
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

import httpx

START_S = 30.0
STOP_S = 10.0
NO_ROOTS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""How a client of plain HTTP `verify`s: without it each new one reads all root certificates, which takes 25 ms."""
_INHERITED = ("PATH", "HOME", "TMPDIR", "LANG", "LD_LIBRARY_PATH", "VIRTUAL_ENV")


class ServiceDied(AssertionError):
    """The service ended before it was ready."""


class Service:
    """One process and its data; a context manager.

    Args:
        folder: where its data, its log and its working directory are; everything is made below it.
        name: its log file's.
        command: what starts it, in the foreground.
        settings: its settings by name, such as `{"wait_max_s": "2"}`; they may be changed before a restart.
        port: where it listens; a free one when there is none, the same after a restart.
        port_setting: the setting that says so.
    """

    def __init__(
        self,
        folder: Path,
        *,
        name: str,
        command: tuple[str, ...],
        settings: Mapping[str, str],
        port: int | None,
        port_setting: str = "port",
    ) -> None:
        self.folder = folder
        self.data_dir = folder / "data"
        self.log_path = folder / f"{name}.log"
        self.port = free_port() if port is None else port
        self.url = f"http://127.0.0.1:{self.port}"
        self.settings = {
            "data_dir": str(self.data_dir),
            port_setting: str(self.port),
            "log_format": "json",
            **settings,
        }
        self._command = command
        self._process: subprocess.Popen[bytes] | None = None
        folder.mkdir(parents=True, exist_ok=True)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self, *, wait: bool = True, timeout_s: float = START_S) -> Self:
        """Start the process, and wait until it is ready.

        Raises:
            ServiceDied: it ended, or was not ready in time; the message holds the end of its log.
        """
        assert not self.running, "it runs already"
        with self.log_path.open("ab") as log:
            self._process = subprocess.Popen(
                self._command,
                cwd=self.folder,  # no `memroos.toml` of the checkout is read
                env=self._environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        if wait:
            self.wait_ready(timeout_s)
        return self

    def wait_ready(self, timeout_s: float = START_S) -> None:
        """Wait until `/readyz` says yes."""
        until = time.monotonic() + timeout_s
        with httpx.Client(base_url=self.url, timeout=2, trust_env=False, verify=NO_ROOTS) as client:
            while time.monotonic() < until:
                if not self.running:
                    raise ServiceDied(f"it ended with {self.returncode}:\n{self.log()[-4000:]}")
                try:
                    if client.get("/readyz").status_code == 200:
                        return
                except httpx.TransportError:
                    pass
                time.sleep(0.02)
        raise ServiceDied(f"not ready within {timeout_s} s:\n{self.log()[-4000:]}")

    @property
    def running(self) -> bool:
        """Whether the process is alive."""
        return self._process is not None and self._process.poll() is None

    @property
    def returncode(self) -> int | None:
        """How the last process ended, None while it runs."""
        return None if self._process is None else self._process.poll()

    @property
    def pid(self) -> int:
        """The process's id."""
        assert self._process is not None
        return self._process.pid

    def signal(self, number: int) -> None:
        """Send the process a signal."""
        assert self._process is not None
        self._process.send_signal(number)

    def kill(self) -> None:
        """End the process as a crash does, kill -9, and wait until it is gone."""
        self.signal(signal.SIGKILL)
        self.wait()

    def terminate(self) -> float:
        """Ask the process to end, wait until it has, and return how many seconds that took."""
        began = time.monotonic()
        self.signal(signal.SIGTERM)
        self.wait()
        return time.monotonic() - began

    def wait(self, timeout_s: float = STOP_S) -> int:
        """Wait until the process has ended and return its code."""
        assert self._process is not None
        return self._process.wait(timeout_s)

    def restart(self) -> Self:
        """Start again after a kill or an end, on the same data and port."""
        self.stop()
        return self.start()

    def stop(self) -> None:
        """End the process in order if it still runs; kill it where it does not listen."""
        if not self.running:
            return
        try:
            self.terminate()
        except subprocess.TimeoutExpired:
            self.kill()

    def log(self) -> str:
        """Return everything that its processes have logged so far."""
        return self.log_path.read_text("utf-8", errors="replace") if self.log_path.exists() else ""

    def _environment(self) -> dict[str, str]:
        inherited = {name: os.environ[name] for name in _INHERITED if name in os.environ}
        return {**inherited, **{f"MEMROOS_{name.upper()}": value for name, value in self.settings.items()}}


def free_port() -> int:
    """Return a port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
