"""Real memory services, and whole systems of a kernel and a memory service, in processes of their own.

`with System(folder) as system:` starts both on one data directory and free ports; each can be killed, started and
restarted alone. Only these processes are ever signalled.
"""

import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx
from tests.flows.kernel import Kernel
from tests.flows.service import NO_ROOTS, Service

from memroos_contracts.memory_items import Viewer

SERVICE_KEY = "key-between-the-processes-of-the-tests-0123456789"
IDLE_S = 60.0


class Memory(Service):
    """One memory service process and its data; a context manager.

    Args:
        folder: where its data, its log and its working directory are.
        settings: more settings by name, such as `{"embedder": "hash"}`, which is what tests use unless they say so.
        port: where it listens; a free one when left out, the same after a restart.
    """

    def __init__(self, folder: Path, *, settings: Mapping[str, str] | None = None, port: int | None = None) -> None:
        given = {"memory_key": SERVICE_KEY, "embedder": "hash", **(settings or {})}
        command = (sys.executable, "-m", "memroos.cli", "memory", "serve")
        super().__init__(folder, name="memory", command=command, settings=given, port=port, port_setting="memory_port")
        self.database = self.data_dir / "memory" / "memory.db"

    def call(self, path: str, body: Any, *, key: str = SERVICE_KEY) -> httpx.Response:
        """Ask something as the kernel does, or with another key; none for an empty one."""
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        return httpx.post(self.url + path, json=body, headers=headers, timeout=40, trust_env=False, verify=NO_ROOTS)

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
