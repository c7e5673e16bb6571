"""What handlers get injected by name."""

import hashlib
from typing import Any

from litestar import Request
from litestar.connection import ASGIConnection
from litestar.handlers.base import BaseRouteHandler

from memroos.web import access
from memroos_contracts.errors import Unauthenticated
from memroos_contracts.identity import Actor
from memroos_kit.db.once import Idempotency

IDEMPOTENCY_HEADER = "idempotency-key"


async def guard(connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
    """Let a request through if the access table lets its actor's role use this route.

    It awaits nothing, but Litestar sends a guard that is a plain function to a thread, with every request.
    """
    operation = str(getattr(handler, "operation_id", "") or "")
    row = access.row(operation)
    if row.public:
        return
    actor: Actor | None = connection.scope.get("actor")  # type: ignore[assignment]  # put there by the front door
    if actor is None:
        raise Unauthenticated
    access.demand(operation, actor)


async def provide_actor(request: Request[Any, Any, Any]) -> Actor:
    """Return who calls."""
    actor: Actor | None = request.scope.get("actor")  # type: ignore[assignment]  # put there by the front door
    if actor is None:
        raise Unauthenticated
    return actor


async def provide_idempotency(request: Request[Any, Any, Any]) -> Idempotency | None:
    """Return the caller's name for this request, None where it gave none."""
    key = request.headers.get(IDEMPOTENCY_HEADER)
    if key is None:
        return None
    digest = hashlib.sha256(request.url.path.encode() + b"\0" + await request.body()).hexdigest()
    operation = str(getattr(request.route_handler, "operation_id", ""))
    return Idempotency(key=key, operation=operation, digest=digest)
