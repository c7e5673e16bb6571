"""A real kernel in a process of its own, for tests that go through HTTP, for drills that kill it, and for benches.

`with Kernel(folder) as kernel:` starts it on a free port and waits until it is ready; `kill`, `terminate`, `start` and
`restart` work on the same data and the same port. Only this process is ever signalled.
"""

import importlib.util
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx

OPERATOR_KEY = "operator-key-of-the-tests-0123456789"
RUNNER = Path(__file__).parent / "kernel_process.py"
START_S = 30.0
STOP_S = 10.0
_INHERITED = ("PATH", "HOME", "TMPDIR", "LANG", "LD_LIBRARY_PATH", "VIRTUAL_ENV")


class KernelDied(AssertionError):
    """The kernel ended before it was ready."""


class Kernel:
    """One kernel process and its data; a context manager.

    Args:
        folder: where its data, its log and its working directory are; everything is made below it.
        settings: more settings by name, such as `{"wait_max_s": "2"}`.
        port: where it listens; a free one when left out, the same after a restart.
        grpc_port: the same for its gRPC door.
        prefix: a command to run it under, such as a tracer.
    """

    def __init__(
        self,
        folder: Path,
        *,
        settings: Mapping[str, str] | None = None,
        port: int | None = None,
        grpc_port: int | None = None,
        operator_key: str = OPERATOR_KEY,
        prefix: tuple[str, ...] = (),
    ) -> None:
        self.folder = folder
        self.data_dir = folder / "data"
        self.database = self.data_dir / "conversations.db"
        self.log_path = folder / "kernel.log"
        self.port = free_port() if port is None else port
        self.url = f"http://127.0.0.1:{self.port}"
        self.grpc_port = free_port() if grpc_port is None else grpc_port
        self.grpc_address = f"127.0.0.1:{self.grpc_port}"
        self.operator_key = operator_key
        self.settings = dict(settings or {})
        self._prefix = prefix
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
            KernelDied: it ended, or was not ready in time; the message holds the end of its log.
        """
        assert not self.running, "it runs already"
        with self.log_path.open("ab") as log:
            self._process = subprocess.Popen(
                [*self._prefix, *_command()],
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
        with httpx.Client(base_url=self.url, timeout=2, trust_env=False) as client:
            while time.monotonic() < until:
                if not self.running:
                    raise KernelDied(f"it ended with {self.returncode}:\n{self.log()[-4000:]}")
                try:
                    if client.get("/readyz").status_code == 200:
                        return
                except httpx.TransportError:
                    pass
                time.sleep(0.02)
        raise KernelDied(f"not ready within {timeout_s} s:\n{self.log()[-4000:]}")

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
            "port": str(self.port),
            "grpc_port": str(self.grpc_port),
            "operator_api_key": self.operator_key,
            "log_format": "json",
            "memory_url": "",  # a test that wants the memory service says where it is
            **self.settings,
        }
        return {**inherited, **{f"MEMROOS_{name.upper()}": value for name, value in given.items()}}

    # -- what nearly every test does with it ---------------------------------------------------------------------

    def client(self, key: str | None = None, **options: Any) -> httpx.Client:
        """Return an HTTP client with a key, the operator's when left out; the caller closes it."""
        return httpx.Client(
            base_url=self.url, headers=self.headers(key), trust_env=False, **({"timeout": 40} | options)
        )

    def async_client(self, key: str | None = None, **options: Any) -> httpx.AsyncClient:
        """Return the same for an event loop."""
        return httpx.AsyncClient(
            base_url=self.url, headers=self.headers(key), trust_env=False, **({"timeout": 40} | options)
        )

    def headers(self, key: str | None = None) -> dict[str, str]:
        """Return the header that carries a key, the operator's when left out; none for an empty one."""
        key = self.operator_key if key is None else key
        return {"Authorization": f"Bearer {key}"} if key else {}

    def call(
        self, method: str, path: str, body: Any = None, *, key: str | None = None, **options: Any
    ) -> httpx.Response:
        """Make one request, as the operator when no key is given."""
        with self.client(key) as client:
            return client.request(method, path, **({} if body is None else {"json": body}), **options)

    def done(self, method: str, path: str, body: Any = None, *, key: str | None = None, **options: Any) -> Any:
        """Make one request that has to succeed, and return its answer."""
        response = self.call(method, path, body, key=key, **options)
        assert response.is_success, f"{method} {path}: {response.status_code} {response.text}"
        return response.json() if response.content else None

    def create_agent(
        self, name: str, *, skills: tuple[str, ...] = (), key: str | None = None, **fields: Any
    ) -> "Agent":
        """Register an active REST agent and make it a key."""
        agent = self.done(
            "POST",
            "/api/agents",
            {
                "name": name,
                "kind": "rest",
                "state": "active",
                "skills": [{"id": skill, "name": skill, "tags": [skill]} for skill in skills],
                **fields,
            },
            key=key,
        )
        made = self.done("POST", f"/api/agents/{agent['id']}/keys", {"name": f"key of {name}"}, key=key)
        return Agent(self, agent["id"], name, made["secret"])

    def create_key(self, role: str, *, name: str = "", key: str | None = None, **fields: Any) -> str:
        """Make a key that is no agent's, and return its secret."""
        made = self.done("POST", "/api/keys", {"role": role, "name": name or f"a {role}", **fields}, key=key)
        return str(made["secret"])


class Agent:
    """A REST agent as its own program would be: it claims tasks and reports about them."""

    def __init__(self, kernel: Kernel, agent_id: str, name: str, key: str) -> None:
        self.kernel = kernel
        self.id = agent_id
        self.name = name
        self.key = key

    def claim(self, *, wait_s: int = 5, lease_s: int = 60) -> Any:
        """Take the next task; None when none came."""
        return self.kernel.done("POST", "/api/tasks/claim", {"wait_s": wait_s, "lease_s": lease_s}, key=self.key)

    def report(self, claim: Any, deed: str, **fields: Any) -> httpx.Response:
        """Report about a claimed task: heartbeat, progress, artifact, complete, fail or ask."""
        body = {"fencing_token": claim["fencing_token"], **fields}
        return self.kernel.call("POST", f"/api/tasks/{claim['task']['id']}/{deed}", body, key=self.key)


def free_port() -> int:
    """Return a port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _command() -> list[str]:
    if importlib.util.find_spec("memroos.cli") is not None and importlib.util.find_spec("memroos.cli.__main__"):
        return [sys.executable, "-m", "memroos.cli", "kernel"]
    return [sys.executable, str(RUNNER)]
