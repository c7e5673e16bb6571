"""A small kernel behind HTTP: the real gate, the shipped policies, and a header that says who calls."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import httpx
from litestar.di import Provide
from tests.actors import AGENT, AUDITOR, KERNEL, OPERATOR, OTHER_AGENT, STRANGE_AGENT, STRANGER, VIEWER

from memroos import audit, events, governance
from memroos.web import deps
from memroos.web.rest.approvals import ApprovalController
from memroos.web.rest.decisions import DecisionController
from memroos.web.rest.policies import PolicyController
from memroos.web.streams import Streams
from memroos_kit.clock import ManualClock
from memroos_kit.db import Database
from memroos_kit.edge import App, Receive, Scope, Send
from memroos_kit.limits import StreamSlots
from memroos_kit.service import Health, ServiceApp, create_app
from memroos_kit.stopping import Stopping

ACTORS = {
    "operator": OPERATOR,
    "auditor": AUDITOR,
    "viewer": VIEWER,
    "agent": AGENT,
    "other agent": OTHER_AGENT,
    "kernel": KERNEL,
    "stranger": STRANGER,
    "strange agent": STRANGE_AGENT,
}


class Governed:
    """What a test has in hand."""

    def __init__(self, db: Database, gate: governance.Gate, notifier: events.Notifier) -> None:
        self.db = db
        self.gate = gate
        self.notifier = notifier
        self.app = _app(self)

    async def listeners(self, count: int) -> None:
        """Return when so many wait for an event; they have looked at the state by then."""
        while sum(map(len, self.notifier._listeners.values())) < count:  # noqa: ASYNC110 - nothing tells of it
            await asyncio.sleep(0)

    @asynccontextmanager
    async def client(self) -> AsyncIterator["Client"]:
        """Serve on the running loop."""
        loop = asyncio.get_running_loop()
        self.db.attach(loop)
        self.notifier.attach(loop)
        transport = httpx.ASGITransport(app=self.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://kernel") as http:
            yield Client(http)
        self.db.attach(None)
        self.notifier.attach(None)


class Client:
    """Calls as one of the actors, by name."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self._http = http

    async def get(self, who: str, path: str) -> httpx.Response:
        """GET."""
        return await self._http.get(path, headers={"x-as": who})

    async def post(self, who: str, path: str, body: Any = None, **headers: str) -> httpx.Response:
        """POST JSON."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return await self._http.post(path, json={} if body is None else body, headers={"x-as": who, **named})


@contextmanager
def governed(path: Path, clock: ManualClock, ledger: audit.Ledger, notifier: events.Notifier) -> Iterator[Governed]:
    """Open a database governed by the shipped policies, behind the doors of governance."""
    gate = governance.Gate(governance.Policy.load())
    db = Database(
        path,
        authorizer=gate,
        journals=[ledger, events.Log(notifier)],
        failures=audit.FailureRecorder(),
        clock=clock,
    )
    yield Governed(db, gate, notifier)
    db.close()


def _app(parts: Governed) -> ServiceApp:
    constants: dict[str, Any] = {
        "db": parts.db,
        "gate": parts.gate,
        "notifier": parts.notifier,
        "open_streams": Streams(StreamSlots(per_key=8), Stopping()),
    }
    return create_app(
        Health("test", "0"),
        route_handlers=[DecisionController, ApprovalController, PolicyController],
        stopping=Stopping(),
        inside=_as_named,
        guards=[deps.guard],
        dependencies={
            **{name: Provide(_giver(part), sync_to_thread=False) for name, part in constants.items()},
            "actor": Provide(deps.provide_actor),
            "idempotency": Provide(deps.provide_idempotency),
        },
    )


def _giver(part: Any) -> Any:
    return lambda: part


def _as_named(app: App) -> App:
    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        named = dict(scope.get("headers", ())).get(b"x-as", b"")
        scope["actor"] = ACTORS.get(named.decode())
        await app(scope, receive, send)

    return answer
