"""A small kernel door for the tests of one resource: its controllers, the guards, the problems, and no key.

Who calls stands in the header `x-actor`, by the name of an actor in `tests.actors` or as its JSON.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import msgspec
import tests.actors
from litestar import Controller, Request
from litestar.di import NamedDependency, Provide
from litestar.testing import TestClient

from memroos.settings import Settings
from memroos.web import deps
from memroos.web.long_poll import LongPoll, LongPolls
from memroos_contracts.identity import Actor
from memroos_kit.db import Database
from memroos_kit.edge import App, Receive, Scope, Send
from memroos_kit.service import Health, ServiceApp, create_app
from memroos_kit.stopping import Stopping

Client = TestClient[ServiceApp]


@contextmanager
def serving(db: Database, *controllers: type[Controller], **provided: Any) -> Iterator[Client]:
    """Serve some controllers over a database; what else they need is given by name."""
    values = {"db": db, "settings": Settings(), "long_polls": None, **provided}
    app = create_app(
        Health(service="test", version="0"),
        route_handlers=controllers,
        stopping=Stopping(),
        inside=_as_named,
        guards=[deps.guard],
        dependencies={
            "actor": Provide(deps.provide_actor),
            "idempotency": Provide(deps.provide_idempotency),
            "long_poll": Provide(_long_poll, sync_to_thread=False),
            **{name: Provide(_giver(value), sync_to_thread=False) for name, value in values.items()},
        },
    )
    with TestClient(app) as client:
        yield client


def calling(actor: Actor, **headers: str) -> dict[str, str]:
    """Return the headers of a request by this actor; underscores in names stand for hyphens."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return {"x-actor": msgspec.json.encode(actor).decode(), **named}


def _long_poll(request: Request[Any, Any, Any], long_polls: NamedDependency[LongPolls]) -> LongPoll:
    return long_polls.of(request.receive)


def _giver(value: Any) -> Any:
    return lambda: value


def _as_named(app: App) -> App:
    async def front(scope: Scope, receive: Receive, send: Send) -> None:
        named = dict(scope.get("headers", ())).get(b"x-actor")
        if named is not None:
            known = getattr(tests.actors, named.decode(), None)
            scope["actor"] = known or msgspec.json.decode(named, type=Actor)
        await app(scope, receive, send)

    return front
