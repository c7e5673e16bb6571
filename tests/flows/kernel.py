"""A real kernel in a process of its own, for tests that go through HTTP, for drills that kill it, and for benches.

`with Kernel(folder) as kernel:` starts it on a free port and waits until it is ready; `kill`, `terminate`, `start` and
`restart` work on the same data and the same port. Only this process is ever signalled.
"""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx
from tests.flows.service import NO_ROOTS, Service, free_port

OPERATOR_KEY = "operator-key-of-the-tests-0123456789"
RUNNER = Path(__file__).parent / "kernel_process.py"


class Kernel(Service):
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
        self.grpc_port = free_port() if grpc_port is None else grpc_port
        self.grpc_address = f"127.0.0.1:{self.grpc_port}"
        self.operator_key = operator_key
        given = {
            "grpc_port": str(self.grpc_port),
            "operator_api_key": operator_key,
            "memory_url": "",  # a test that wants the memory service says where it is
            **(settings or {}),
        }
        command = (*prefix, sys.executable, "-m", "memroos.cli", "kernel")
        super().__init__(folder, name="kernel", command=command, settings=given, port=port)
        self.database = self.data_dir / "conversations.db"

    def client(self, key: str | None = None, **options: Any) -> httpx.Client:
        """Return an HTTP client with a key, the operator's when left out; the caller closes it."""
        return httpx.Client(**self._options(key, options))

    def async_client(self, key: str | None = None, **options: Any) -> httpx.AsyncClient:
        """Return the same for an event loop."""
        return httpx.AsyncClient(**self._options(key, options))

    def _options(self, key: str | None, options: dict[str, Any]) -> dict[str, Any]:
        ours = {"base_url": self.url, "headers": self.headers(key), "trust_env": False, "verify": NO_ROOTS}
        return {**ours, "timeout": 40, **options}

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
