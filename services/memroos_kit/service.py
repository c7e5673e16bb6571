"""The skeleton of a process that speaks HTTP: health, readiness, metrics, problems, limits and a graceful end.

`create_app` gives a Litestar app that answers `/healthz`, `/readyz` and `/metrics`, says every error as RFC 9457 does
and never shows a stack trace; `run` serves it until SIGTERM.
"""

import asyncio
import functools
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any, cast

import msgspec
from litestar import Litestar, Request, Response, get
from litestar.exceptions import HTTPException, ValidationException
from litestar.types import ControllerRouterHandler
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, GCCollector, ProcessCollector, generate_latest

from memroos_contracts.errors import (
    Denied,
    InvalidRequest,
    MalformedRequest,
    MemroosError,
    Overloaded,
    TooLarge,
    TooManyRequests,
    Unauthenticated,
)
from memroos_kit import edge, log, problems
from memroos_kit.server import run
from memroos_kit.stopping import Stopping

__all__ = ["Check", "Health", "ServiceApp", "Stopping", "create_app", "run"]

CHECK_TIMEOUT_S = 2.0
MOST_FIELDS = 20

Check = Callable[[], Awaitable[object]]
"""Returns when a thing this process needs is in order; raises otherwise."""

_log = log.get(__name__)

_ERRORS_BY_STATUS: Mapping[int, type[MemroosError]] = {
    400: MalformedRequest,
    401: Unauthenticated,
    403: Denied,
    404: problems.UnknownAddress,
    405: problems.MethodNotAllowed,
    413: TooLarge,
    415: MalformedRequest,
    422: InvalidRequest,
    429: TooManyRequests,
    503: Overloaded,
}


class Health(msgspec.Struct, frozen=True):
    """That the process is alive."""

    service: str
    version: str
    status: str = "alive"


class Readiness(msgspec.Struct, frozen=True, omit_defaults=True):
    """Whether the process can do its work, and what stands in the way."""

    ready: bool
    checks: dict[str, str]
    degraded: dict[str, str] = {}
    """What it does without at the moment."""


class ServiceApp(Litestar):
    """A Litestar app behind the edge that every process has."""

    edge: edge.Edge

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer one request."""
        await self.edge(scope, receive, send)


def create_app(  # noqa: PLR0913 - a composition root's function
    about: Health,
    *,
    route_handlers: Sequence[ControllerRouterHandler] = (),
    stopping: Stopping,
    checks: Mapping[str, Check] | None = None,
    dispensable: Mapping[str, Check] | None = None,
    body_limit_bytes: int = 1_048_576,
    metrics: CollectorRegistry | None = None,
    inside: Callable[[edge.App], edge.App] | None = None,
    **options: Any,
) -> ServiceApp:
    """Build the app of a process.

    Args:
        about: the process's name and version.
        route_handlers: what it serves beside its health, readiness and metrics.
        stopping: set when the process is about to end; it is not ready from then on.
        checks: what must be in order for it to be ready, by name.
        dispensable: what it can do without: said where it is not in order, and ready all the same.
        body_limit_bytes: largest request body.
        metrics: where its metrics are; a new registry when left out.
        inside: wraps the app within its edge: for authentication, and for apps that answer beside it.
        options: whatever else `Litestar` takes; exception handlers are added to those here.
    """
    registry = CollectorRegistry() if metrics is None else metrics
    ProcessCollector(registry=registry)
    GCCollector(registry=registry)
    exception_handlers = _EXCEPTION_HANDLERS | dict(options.pop("exception_handlers", None) or {})
    app = ServiceApp(
        route_handlers=[
            _health_route(about),
            _readiness_route(checks or {}, dispensable or {}, stopping),
            _metrics_route(registry),
            *route_handlers,
        ],
        exception_handlers=exception_handlers,
        request_max_body_size=body_limit_bytes,
        debug=False,
        pdb_on_exception=False,
        logging_config=None,
        **{"openapi_config": None, "before_request": _check_types, **options},
    )
    _resolve_in_turn(app)
    answers = cast(edge.App, super(ServiceApp, app).__call__)
    app.edge = edge.Edge(
        answers if inside is None else inside(answers),
        body_limit_bytes=body_limit_bytes,
        metrics=edge.HttpMetrics(registry),
    )
    return app


def _resolve_in_turn(app: Litestar) -> None:
    """Let a handler's dependencies be resolved one after the other.

    Litestar starts a task group for those that do not need each other; ours wait for nothing worth that, and the
    group costs a third of a request.
    """
    for route in app.routes:
        for _, model in getattr(route, "route_handler_map", {}).values():
            model.dependency_batches = [{dependency} for batch in model.dependency_batches for dependency in batch]


async def _check_types(request: Request[Any, Any, Any]) -> None:
    """Refuse a JSON body whose values are not of the stated types; Litestar takes the text "1" for a number.

    Raises:
        msgspec.ValidationError: a value is of another type.
    """
    field = request.route_handler.parsed_data_field
    body = b"" if field is None else await request.body()
    if field is None or not body:
        return
    try:
        _decoder(field.annotation).decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        if isinstance(error, msgspec.ValidationError) and _is_json(body):
            raise
        # no JSON at all: that is said where Litestar decodes it


def _is_json(body: bytes) -> bool:
    try:
        msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    return True


@functools.cache
def _decoder(annotation: Any) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(annotation)


def _health_route(health: Health) -> ControllerRouterHandler:
    @get("/healthz", operation_id="getHealth", sync_to_thread=False)
    def get_health() -> Health:
        """Say that the process is alive."""
        return health

    return get_health


def _readiness_route(
    checks: Mapping[str, Check], dispensable: Mapping[str, Check], stopping: Stopping
) -> ControllerRouterHandler:
    @get("/readyz", operation_id="getReadiness")
    async def get_readiness() -> Response[Readiness]:
        """Say whether the process can do its work: 200, or 503 with what stands in the way."""
        results = await _all_told(checks) | ({"process": "stopping"} if stopping.is_set() else {})
        degraded = {name: result for name, result in (await _all_told(dispensable)).items() if result != "ok"}
        ready = all(result == "ok" for result in results.values())
        return Response(Readiness(ready, results, degraded), status_code=200 if ready else 503)

    return get_readiness


async def _all_told(checks: Mapping[str, Check]) -> dict[str, str]:
    found = await asyncio.gather(*(_told(name, check) for name, check in checks.items()))
    return dict(zip(checks, found, strict=True))


async def _told(name: str, check: Check) -> str:
    """Run one check and say `ok` or what is wrong, without the inside of foreign errors."""
    try:
        async with asyncio.timeout(CHECK_TIMEOUT_S):
            await check()
    except MemroosError as error:
        return error.detail
    except TimeoutError:
        return "no answer in time"
    except Exception as error:  # noqa: BLE001 - a check may fail in any way, and its failing is the answer
        _log.warning("check.failed", check=name, exc_info=error)
        return "failed; the log says why"
    return "ok"


def _metrics_route(registry: CollectorRegistry) -> ControllerRouterHandler:
    @get("/metrics", operation_id="getMetrics", sync_to_thread=False)
    def get_metrics() -> Response[bytes]:
        """Return the process's metrics in Prometheus' text format."""
        return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)

    return get_metrics


def _respond(error: MemroosError, headers: Mapping[str, str] | None = None) -> Response[bytes]:
    problem = problems.problem(error)
    said = problem.headers()
    media_type = said.pop("content-type")
    return Response(
        problem.body(), status_code=problem.status, media_type=media_type, headers={**(headers or {}), **said}
    )


def _on_error(_: Request[Any, Any, Any], error: MemroosError) -> Response[bytes]:
    return _respond(error)


def _on_validation(_: Request[Any, Any, Any], error: ValidationException) -> Response[bytes]:
    """Say which fields do not fit; without a list the request is wrong as a whole."""
    found = cast(list[dict[str, str]], error.extra) if isinstance(error.extra, list) else []
    fields = {_path(entry): _reason(entry) for entry in found[:MOST_FIELDS]}
    return _respond(_invalid(fields) if fields else InvalidRequest(f"{error.detail}."))


def _on_msgspec(_: Request[Any, Any, Any], error: msgspec.DecodeError) -> Response[bytes]:
    """Say the same about a body that a door decoded itself."""
    if not isinstance(error, msgspec.ValidationError):
        return _respond(MalformedRequest(f"{error}."))
    reason, __, where = str(error).partition(" - at `")
    path = where.rstrip("`").removeprefix("$").removeprefix(".").removeprefix("key in ")
    return _respond(_invalid({path or "body": reason}))


def _on_http(request: Request[Any, Any, Any], error: HTTPException) -> Response[bytes]:
    """Say Litestar's own errors in our words."""
    kind = _ERRORS_BY_STATUS.get(error.status_code)
    if kind is None:
        return _on_failure(request, error)
    detail = f"{error.detail}." if kind in (MalformedRequest, InvalidRequest) else ""
    return _respond(kind(detail), headers=error.headers)


def _on_failure(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    """Answer 500 with an id; the log has the traceback under it."""
    if _raised_while_decoding(error):
        return _respond(MalformedRequest("The body is not valid JSON in UTF-8, or nested too deeply."))
    if request.scope.get(edge.CLIENT_GONE):
        return Response(b"", status_code=499)  # nobody is there to read it
    return _respond(edge.internal_failure(error, method=str(request.method), path=request.url.path))


_EXCEPTION_HANDLERS: dict[Any, Callable[[Request[Any, Any, Any], Any], Response[bytes]]] = {
    MemroosError: _on_error,
    ValidationException: _on_validation,
    msgspec.DecodeError: _on_msgspec,
    HTTPException: _on_http,
    Exception: _on_failure,
}


def _invalid(fields: dict[str, str]) -> InvalidRequest:
    first, reason = next(iter(fields.items()))
    more = f" {len(fields) - 1} more do not fit either." if len(fields) > 1 else ""
    return InvalidRequest(f"{first}: {reason}.{more}", fields=fields)


def _path(entry: Mapping[str, str]) -> str:
    path = entry.get("key", "")
    return "body" if path in ("data", "") else path


def _reason(entry: Mapping[str, str]) -> str:
    return "nothing was sent" if entry.get("message") == "'data'" else entry.get("message", "does not fit")


def _raised_while_decoding(error: Exception) -> bool:
    """Tell a body that breaks the decoder (bad UTF-8 in a string, endless nesting) from a mistake of ours."""
    if not isinstance(error, UnicodeDecodeError | RecursionError):
        return False
    return any(code == "decode_json" for code in _functions(error))


def _functions(error: Exception) -> Iterable[str]:
    frame = error.__traceback__
    while frame is not None:
        yield frame.tb_frame.f_code.co_name
        frame = frame.tb_next
