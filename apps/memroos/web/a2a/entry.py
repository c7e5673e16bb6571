"""What a call over HTTP passes before the SDK reads it: its type, its version, its body, in this order.

And on the way out: which extensions took effect. Each refusal is in the words of the binding and the version.
"""

import json
import re
from collections.abc import Callable
from typing import Any

from a2a.extensions.common import HTTP_EXTENSION_HEADER
from a2a.server.request_handlers.response_helpers import build_error_response
from a2a.server.routes.jsonrpc_dispatcher import JsonRpcDispatcher
from a2a.types import a2a_pb2
from a2a.utils import errors as sdk
from a2a.utils.error_handlers import build_rest_error_payload
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from memroos.web.a2a import compat, versions
from memroos.web.a2a.bodies import find_fault, id_of
from memroos.web.a2a.context import LEGACY_EXTENSION_HEADER, version_of
from memroos.web.a2a.errors import RETRY_AFTER, invalid

MEDIA_TYPES = ("application/json", "application/a2a+json")

_NUMBER = re.compile(r"-?[0-9]+")

Refuse = Callable[[sdk.A2AError], Response]


def rest(route: Route) -> Route:
    """Return a route of HTTP+JSON in 1.0, which is asked only for what it can read."""

    async def endpoint(request: Request) -> Response:
        try:
            await _enter(request, versions.V1_0)
            demand_state(request.query_params.get("status"))
        except sdk.A2AError as error:
            return refuse_rest(error)
        answer: Response = await route.endpoint(request)
        if _parse_failed(answer):
            return refuse_rest(invalid("The parameters cannot be read as A2A 1.0.", **_why(answer)))
        if answer.status_code in {429, 503} and isinstance(answer, JSONResponse):
            answer.headers.update(_when(answer))
        return _with_extensions(request, answer, HTTP_EXTENSION_HEADER)

    return Route(route.path, endpoint, methods=list(route.methods or ()))


def rest_0_3(route: Route) -> Route:
    """Return a route of HTTP+JSON in 0.3, which is asked only for what it can read."""

    async def endpoint(request: Request) -> Response:
        try:
            await _enter(request, versions.V0_3)
        except sdk.A2AError as error:
            return compat.refuse_rest(error)
        answer: Response = await route.endpoint(request)
        return _with_extensions(request, answer, LEGACY_EXTENSION_HEADER)

    return Route(route.path, endpoint, methods=list(route.methods or ()))


def json_rpc(route: Route, old: compat.JsonRpc03) -> Route:
    """Return a route of JSON-RPC for both versions; the name of the method says which one is meant."""

    async def endpoint(request: Request) -> Response:
        call: Any = None
        try:
            demand_type(request)
            call = await _call(request)
            method = _demand_version(request, call)
            if method == "ListTasks" and isinstance(params := call.get("params"), dict):
                demand_state(params.get("status"))
        except sdk.A2AError as error:
            return JSONResponse(build_error_response(id_of(call), error))
        if method in compat.METHODS:
            return _with_extensions(request, await old.answer(request, call), LEGACY_EXTENSION_HEADER)
        answer: Response = await route.endpoint(request)
        return _with_extensions(request, answer, HTTP_EXTENSION_HEADER)

    return Route(route.path, endpoint, methods=list(route.methods or ()))


def demand_type(request: Request) -> None:
    """Refuse a body of another type than JSON; one without a type is looked at (RFC 9110, section 8.3).

    Raises:
        ContentTypeNotSupportedError: it says that it is something else.
    """
    said = request.headers.get("content-type", "")
    media_type = said.partition(";")[0].strip().lower()
    if request.method == "POST" and media_type and media_type not in MEDIA_TYPES:
        raise sdk.ContentTypeNotSupportedError(
            message=f"Send {MEDIA_TYPES[0]}, not {media_type[:100]}.", data={"content_type": media_type[:100]}
        )


def demand_state(name: object) -> None:
    """Refuse to list tasks in a state that is none; the SDK would list them in any.

    Raises:
        InvalidParamsError: there is no such state.
    """
    known = a2a_pb2.TaskState.keys()
    if isinstance(name, str) and name and not _NUMBER.fullmatch(name) and name not in known:
        raise invalid("There is no such state.", status="is no task state")


def refuse_rest(error: sdk.A2AError) -> Response:
    """Refuse a call in the words of HTTP+JSON 1.0."""
    said = build_rest_error_payload(error)
    return JSONResponse(said, status_code=said["error"]["code"])


async def _enter(request: Request, served: str) -> None:
    demand_type(request)
    versions.demand(version_of(request), served)
    if fault := find_fault(await request.body()):
        raise sdk.InvalidRequestError(message=fault)


async def _call(request: Request) -> Any:
    """Return a JSON-RPC call as it came; the SDK finds it in the request again."""
    if fault := find_fault(await request.body()):
        raise sdk.JSONParseError(message=fault)
    try:
        return await request.json()
    except ValueError as error:
        raise sdk.JSONParseError(message="The body is no JSON.") from error


def _demand_version(request: Request, call: Any) -> str:
    version = version_of(request)
    said = call.get("method") if isinstance(call, dict) else None
    method = said if isinstance(said, str) else ""
    if method in compat.METHODS:
        versions.demand(version, versions.V0_3)
    elif method in JsonRpcDispatcher.METHOD_TO_MODEL:
        versions.demand(version, versions.V1_0)
    elif method and call.get("jsonrpc") == "2.0":
        raise sdk.MethodNotFoundError(message=f"There is no method {method[:64]!r}.")
    return method


def _parse_failed(answer: Response) -> bool:
    """Whether the SDK could read a body as JSON and not as what it has to be; it calls both an invalid request."""
    if answer.status_code != 400 or not isinstance(answer, JSONResponse):
        return False
    info = _error(answer).get("details", [{}])[0]
    return info.get("reason") == "INVALID_REQUEST" and not info.get("metadata") and not _is_syntax(answer)


def _is_syntax(answer: Response) -> bool:
    return str(_error(answer).get("message", "")).startswith("Failed to load JSON")


def _why(answer: Response) -> dict[str, str]:
    """Return the field that the decoder of protocol buffers stumbled over, with its words."""
    words = str(_error(answer).get("message", ""))
    _, _, rest_of_it = words.partition("Failed to parse ")
    name = rest_of_it.split(" field")[0] if " field" in rest_of_it else ""
    return {name or "params": words[:500]}


def _when(answer: Response) -> dict[str, str]:
    """Return the header that says when to come again, where the error says it."""
    info = _error(answer).get("details", [{}])[0]
    when = info.get("metadata", {}).get(RETRY_AFTER)
    return {"retry-after": when} if when else {}


def _error(answer: Response) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(bytes(answer.body)).get("error", {})
    return found


def _with_extensions(request: Request, answer: Response, header: str) -> Response:
    call = request.scope.get("a2a_call")
    if call is not None and call.activated:
        answer.headers[header] = ", ".join(call.activated)
    return answer
