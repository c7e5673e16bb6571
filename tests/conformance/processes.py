"""The behaviour agent as a process of its own, for tests that start it and stop it.

`with AgentProcess(folder) as agent:` starts it on a free port and waits until it is ready; `kill` and `restart` work on
the same ports. Only this process is ever signalled.
"""

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Self

import httpx
from tests.flows.service import NO_ROOTS, free_port

PROGRAM = Path(__file__).parent / "agent.py"
START_S = 30.0


class AgentProcess:
    """One behaviour agent; a context manager.

    Args:
        folder: where its log is.
        options: what `agent.py` takes, such as `version="0.3"` or `capabilities="none"`.
    """

    def __init__(self, folder: Path, **options: str | float) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.port = free_port()
        self.grpc_port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.card_url = f"{self.url}/.well-known/agent-card.json"
        self.log_path = folder / f"agent-{self.port}.log"
        self._options = options
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.kill()

    def start(self) -> Self:
        """Start it, and wait until it is ready."""
        options = {"port": self.port, "grpc_port": self.grpc_port, **self._options}
        words = [word for name, value in options.items() for word in (f"--{name.replace('_', '-')}", str(value))]
        with self.log_path.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, str(PROGRAM), *words],
                env={name: os.environ[name] for name in ("PATH", "HOME", "VIRTUAL_ENV") if name in os.environ},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        until = time.monotonic() + START_S
        while time.monotonic() < until and self._process.poll() is None:
            try:
                httpx.get(f"{self.url}/seen", timeout=2, trust_env=False, verify=NO_ROOTS)
            except httpx.TransportError:
                time.sleep(0.05)
            else:
                return self
        raise AssertionError(f"the agent did not start:\n{self.log()[-4000:]}")

    def kill(self) -> None:
        """End it as a crash does."""
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait(10)

    def restart(self) -> Self:
        """Start again on the same ports; it remembers nothing."""
        self.kill()
        return self.start()

    def seen(self) -> list[dict[str, Any]]:
        """Return method, path and headers of everything that reached it, oldest first."""
        answer = httpx.get(f"{self.url}/seen", timeout=5, trust_env=False, verify=NO_ROOTS)
        listed: list[dict[str, Any]] = answer.json()
        return listed

    def log(self) -> str:
        """Return what it printed."""
        return self.log_path.read_text("utf-8", errors="replace")
