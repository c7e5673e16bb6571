"""Real memory services, and whole systems of a kernel and a memory service, in processes of their own.

`with System(folder) as system:` starts both on one data directory and free ports; each can be killed, started and
restarted alone. Only these processes are ever signalled.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx
from tests.flows.kernel import Kernel, free_port

from memroos_contracts.memory_items import Viewer

SERVICE_KEY = "key-between-the-processes-of-the-tests-0123456789"
START_S = 30.0
STOP_S = 10.0
IDLE_S = 60.0
_INHERITED = ("PATH", "HOME", "TMPDIR", "LANG", "LD_LIBRARY_PATH", "VIRTUAL_ENV")


class MemoryDied(AssertionError):
    """The memory service ended before it was ready."""


class Memory:
    """One memory service process and its data; a context manager.

    Args:
        folder: where its data, its log and its working directory are.
        settings: more settings by name, such as `{"embedder": "hash"}`, which is what tests use unless they say so.
        port: where it listens; a free one when left out, the same after a restart.
    """

    def __init__(self, folder: Path, *, settings: Mapping[str, str] | None = None, port: int | None = None) -> None:
        self.folder = folder
        self.data_dir = folder / "data"
        self.database = self.data_dir / "memory" / "memory.db"
        self.log_path = folder / "memory.log"
        self.port = free_port() if port is None else port
        self.url = f"http://127.0.0.1:{self.port}"
        self.settings = {"embedder": "hash", **(settings or {})}
        self._process: subprocess.Popen[bytes] | None = None
        folder.mkdir(parents=True, exist_ok=True)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    # -- the process ---------------------------------------------------------------------------------------------

    def start(self, *, wait: bool = True, timeout_s: float = START_S) -> Self:
        """Start the process, and wait until it is ready.

        Raises:
            MemoryDied: it ended, or was not ready in time; the message holds the end of its log.
        """
        assert not self.running, "it runs already"
        with self.log_path.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "memroos.cli", "memory", "serve"],
                cwd=self.folder,
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
        with httpx.Client(base_url=self.url, timeout=2, trust_env=False) as client:
            while time.monotonic() < until:
                if not self.running:
                    raise MemoryDied(f"it ended with {self.returncode}:\n{self.log()[-4000:]}")
                try:
                    if client.get("/readyz").status_code == 200:
                        return
                except httpx.TransportError:
                    pass
                time.sleep(0.02)
        raise MemoryDied(f"not ready within {timeout_s} s:\n{self.log()[-4000:]}")

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
        given = {
            "data_dir": str(self.data_dir),
            "memory_port": str(self.port),
            "memory_key": SERVICE_KEY,
            "log_format": "json",
            **self.settings,
        }
        return {**inherited, **{f"MEMROOS_{name.upper()}": value for name, value in given.items()}}

    # -- what nearly every test does with it ---------------------------------------------------------------------

    def call(self, path: str, body: Any, *, key: str = SERVICE_KEY) -> httpx.Response:
        """Ask something as the kernel does, or with another key; none for an empty one."""
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        with httpx.Client(base_url=self.url, headers=headers, timeout=40, trust_env=False) as client:
            return client.post(path, json=body)

    def done(self, path: str, body: Any) -> Any:
        """Ask something that has to be answered, and return the answer."""
        response = self.call(path, body)
        assert response.is_success, f"{path}: {response.status_code} {response.text}"
        return response.json()


class System:
    """A kernel and a memory service on one data directory; a context manager.

    Args:
        folder: where everything is.
        settings: more settings of the kernel.
        memory_settings: more settings of the memory service.
    """

    def __init__(
        self,
        folder: Path,
        *,
        settings: Mapping[str, str] | None = None,
        memory_settings: Mapping[str, str] | None = None,
    ) -> None:
        self.memory = Memory(folder, settings=memory_settings)
        self.kernel = Kernel(
            folder, settings={"memory_url": self.memory.url, "memory_key": SERVICE_KEY, **(settings or {})}
        )

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> Self:
        """Start both, and wait until both are ready."""
        self.memory.start(wait=False)
        self.kernel.start()
        self.memory.wait_ready()
        return self

    def stop(self) -> None:
        """End both in order, the kernel first; whatever happens, neither is left."""
        try:
            self.kernel.stop()
        finally:
            self.memory.stop()

    def wait_idle(self, timeout_s: float = IDLE_S) -> Any:
        """Wait until everything is handed over and worked off, and return what was said last.

        Raises:
            AssertionError: it was not in time.
        """
        until = time.monotonic() + timeout_s
        while True:
            left = until - time.monotonic()
            said = self.kernel.done("POST", "/api/memory/jobs/wait", {"wait_s": max(0.0, min(left, 10.0))})
            if said["idle"]:
                return said
            assert time.monotonic() < until, f"still at work: {said}\n{self.memory.log()[-2000:]}"


def viewer(workspace: str = "default", reader: str = "", principal: str = "operator:test") -> dict[str, str]:
    """Return on whose behalf something is asked, as the kernel says it."""
    seen = Viewer(workspace_id=workspace, reader=reader, principal=principal)  # type: ignore[arg-type]  # a NewType
    return {"workspace_id": seen.workspace_id, "reader": seen.reader, "principal": seen.principal}
