"""The Starlette application with the SDK's routes, and the paths under which it is reached."""

from collections.abc import Sequence

from a2a.server.request_handlers.request_handler import RequestHandler
from a2a.server.routes import create_jsonrpc_routes, create_rest_routes
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Mount, Route, Router

from memroos.web.a2a import compat, discovery, entry
from memroos.web.a2a.cards import Cards
from memroos.web.a2a.context import ContextBuilder
from memroos_contracts.errors import MemroosError
from memroos_kit import problems
from memroos_kit.db import Database

PREFIXES = ("/a2a", "/tasks", "/message:send", "/message:stream", "/api/a2a", "/.well-known")
"""What belongs to this application; everything else is REST."""

OPERATIONS = (
    "a2aKernelCard",
    "a2aAgentCard",
    "a2aUpstreamCard",
    "a2aKeySet",
    "a2aCatalog",
    "a2aSendMessage",
    "a2aSendStreamingMessage",
    "a2aGetTask",
    "a2aListTasks",
    "a2aCancelTask",
    "a2aSubscribeToTask",
    "a2aGetExtendedAgentCard",
    "a2aPushNotificationConfigs",
)
"""What is served here, as the access table calls it."""


def create_a2a_app(handler: RequestHandler, cards: Cards, db: Database) -> Starlette:
    """Return the application: the kernel's endpoint at `/a2a`, one per agent at `/a2a/agents/{agent}`.

    At the root there are only aliases: `/api/a2a` (JSON-RPC), `/tasks` and `/message:...` (HTTP+JSON).
    """
    builder = ContextBuilder()
    # The SDK adds a catch-all `/{tenant}`; it may live below /a2a and nowhere else.
    plain: list[BaseRoute] = [
        entry.rest(route) for route in create_rest_routes(handler, context_builder=builder) if isinstance(route, Route)
    ]
    old: list[BaseRoute] = [entry.rest_0_3(route) for route in compat.rest_routes(handler, builder)]
    old_rpc = compat.JsonRpc03(handler, builder)
    aliases = [route for route in plain if isinstance(route, Route) and route.path.startswith(PREFIXES)]

    def rpc(path: str) -> list[BaseRoute]:
        return [
            entry.json_rpc(route, old_rpc) for route in create_jsonrpc_routes(handler, path, context_builder=builder)
        ]

    agent_routes: list[BaseRoute] = [
        *discovery.agent_routes(cards, db),
        *rpc("/"),
        *old,
        *plain,
    ]
    app = Starlette(
        exception_handlers={MemroosError: _on_error, HTTPException: _on_http},
        routes=[
            *discovery.public_routes(cards, db),
            *rpc("/api/a2a"),
            *rpc("/a2a"),
            *rpc("/a2a/agents/{agent}"),
            _below("/a2a/agents/{agent}", agent_routes),
            _below("/a2a", [*old, *plain, _below("/{tenant}", plain)]),
            *aliases,
        ],
    )
    app.router.redirect_slashes = False  # it would send clients to whatever the Host header says
    return app


def _below(path: str, routes: Sequence[BaseRoute]) -> Mount:
    return Mount(path, app=Router(routes, redirect_slashes=False))


def _on_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, MemroosError)
    problem = problems.problem(error)
    return Response(problem.body(), status_code=problem.status, headers=problem.headers())


def _on_http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    said = _on_error(request, problems.MethodNotAllowed() if error.status_code == 405 else problems.UnknownAddress())
    said.headers.update(error.headers or {})
    return said
