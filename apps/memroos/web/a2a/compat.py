"""A2A 0.3 over JSON-RPC and HTTP+JSON, for clients that are not yet on 1.0.

The SDK converts between the versions; what it converts wrongly, and all errors, are put right here: 0.3 has fewer error
codes, other HTTP statuses for them, and no `google.rpc.Status`.
"""

import base64
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from a2a.compat.v0_3 import types as v0_3
from a2a.compat.v0_3.request_handler import RequestHandler03
from a2a.compat.v0_3.rest_handler import REST03Handler
from a2a.server.context import ServerCallContext
from a2a.server.request_handlers.request_handler import RequestHandler
from a2a.server.routes.common import create_event_source_response
from a2a.utils import errors as sdk
from a2a.utils import json_utils
from google.protobuf.json_format import ParseError
from pydantic import BaseModel, ValidationError
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from memroos.web.a2a import versions
from memroos.web.a2a.bodies import id_of
from memroos.web.a2a.context import ContextBuilder
from memroos.web.a2a.errors import RETRY_AFTER, invalid, protocol_errors

_CODES = {
    sdk.TaskNotFoundError: (-32001, 404),
    sdk.TaskNotCancelableError: (-32002, 409),
    sdk.PushNotificationNotSupportedError: (-32003, 501),
    sdk.UnsupportedOperationError: (-32004, 501),
    sdk.ContentTypeNotSupportedError: (-32005, 415),
    sdk.InvalidAgentResponseError: (-32006, 502),
    sdk.ExtendedAgentCardNotConfiguredError: (-32007, 404),
    # What 0.3 has no word for becomes what it calls an operation that is not supported.
    sdk.ExtensionSupportRequiredError: (-32004, 501),
    sdk.VersionNotSupportedError: (-32004, 501),
    sdk.InvalidParamsError: (-32602, 422),
    sdk.InvalidRequestError: (-32600, 400),
    sdk.MethodNotFoundError: (-32601, 404),
    sdk.JSONParseError: (-32700, 400),
    sdk.InternalError: (-32603, 500),
}
"""Code and HTTP status of an error in 0.3 (its section 8); ours keep their own."""


class Handler03(RequestHandler03):
    """The SDK's conversion between 0.3 and 1.0, put right where clients of 0.3 would go wrong."""

    async def on_message_send(
        self, request: v0_3.SendMessageRequest, context: ServerCallContext
    ) -> v0_3.Task | v0_3.Message:
        """Send a message whose files are what they say."""
        _demand_base64(request.params.message)
        return await super().on_message_send(request, context)

    async def on_message_send_stream(
        self, request: v0_3.SendMessageRequest, context: ServerCallContext
    ) -> AsyncIterable[v0_3.SendStreamingMessageSuccessResponse]:
        """Mark the event that ends the stream, also where the task only waits for the caller."""
        _demand_base64(request.params.message)
        async for item in super().on_message_send_stream(request, context):
            said = item.result
            if isinstance(said, v0_3.TaskStatusUpdateEvent) and said.status.state is v0_3.TaskState.input_required:
                said.final = True
            yield item


_METHODS: dict[str, tuple[type[BaseModel], Callable[..., Any]]] = {
    "message/send": (v0_3.SendMessageRequest, Handler03.on_message_send),
    "message/stream": (v0_3.SendStreamingMessageRequest, Handler03.on_message_send_stream),
    "tasks/get": (v0_3.GetTaskRequest, Handler03.on_get_task),
    "tasks/cancel": (v0_3.CancelTaskRequest, Handler03.on_cancel_task),
    "tasks/resubscribe": (v0_3.TaskResubscriptionRequest, Handler03.on_subscribe_to_task),
    "tasks/pushNotificationConfig/set": (
        v0_3.SetTaskPushNotificationConfigRequest,
        Handler03.on_create_task_push_notification_config,
    ),
    "tasks/pushNotificationConfig/get": (
        v0_3.GetTaskPushNotificationConfigRequest,
        Handler03.on_get_task_push_notification_config,
    ),
    "tasks/pushNotificationConfig/list": (
        v0_3.ListTaskPushNotificationConfigRequest,
        Handler03.on_list_task_push_notification_configs,
    ),
    "tasks/pushNotificationConfig/delete": (
        v0_3.DeleteTaskPushNotificationConfigRequest,
        Handler03.on_delete_task_push_notification_config,
    ),
    "agent/getAuthenticatedExtendedCard": (
        v0_3.GetAuthenticatedExtendedCardRequest,
        Handler03.on_get_extended_agent_card,
    ),
}
_STREAMS = ("message/stream", "tasks/resubscribe")

METHODS = frozenset(_METHODS)
"""The methods of 0.3 over JSON-RPC."""


class JsonRpc03:
    """Answers the methods of 0.3 over JSON-RPC."""

    def __init__(self, handler: RequestHandler, builder: ContextBuilder) -> None:
        self._handler = Handler03(handler)
        self._builder = builder

    async def answer(self, request: Request, body: dict[str, Any]) -> Response:
        """Answer one call."""
        call_id = id_of(body)
        model, verb = _METHODS[body["method"]]
        try:
            with told():
                call = _validated(model, body)
                context = self._builder.build(request)
                if body["method"] not in _STREAMS:
                    return JSONResponse(_envelope(call_id, result=_dumped(await verb(self._handler, call, context))))
                stream = await _begun(verb(self._handler, call, context))
        except sdk.A2AError as error:
            return refuse_rpc(call_id, error)

        async def lines() -> AsyncIterator[dict[str, str]]:
            try:
                with told():
                    async for item in stream:
                        yield {"data": json_utils.dumps(_envelope(call_id, result=_dumped(item.result)))}
            except sdk.A2AError as error:
                yield {"data": json_utils.dumps(_envelope(call_id, error=error_of(error)))}

        return create_event_source_response(lines())


def rest_routes(handler: RequestHandler, builder: ContextBuilder) -> list[Route]:
    """Return the routes of HTTP+JSON in 0.3, which are all below `/v1`."""
    adapter = REST03Handler(handler)
    adapter.handler03 = Handler03(handler)

    async def delete(request: Request, context: ServerCallContext) -> dict[str, Any]:
        versions.demand(context.state["headers"][versions.HEADER], versions.V0_3)
        params = v0_3.DeleteTaskPushNotificationConfigParams(
            id=request.path_params["id"], push_notification_config_id=request.path_params["push_id"]
        )
        call = v0_3.DeleteTaskPushNotificationConfigRequest(id="", params=params)
        await adapter.handler03.on_delete_task_push_notification_config(call, context)
        return {}

    plain, streaming = partial(_plain, builder), partial(_streaming, builder)
    configs = "/v1/tasks/{id}/pushNotificationConfigs"
    return [
        Route("/v1/message:send", plain(adapter.on_message_send), methods=["POST"]),
        Route("/v1/message:stream", streaming(adapter.on_message_send_stream), methods=["POST"]),
        Route("/v1/tasks/{id}:cancel", plain(adapter.on_cancel_task), methods=["POST"]),
        Route("/v1/tasks/{id}:subscribe", streaming(adapter.on_subscribe_to_task), methods=["GET", "POST"]),
        Route("/v1/tasks/{id}", plain(adapter.on_get_task), methods=["GET"]),
        Route(f"{configs}/{{push_id}}", plain(adapter.get_push_notification), methods=["GET"]),
        Route(f"{configs}/{{push_id}}", plain(delete), methods=["DELETE"]),
        Route(configs, plain(adapter.set_push_notification), methods=["POST"]),
        Route(configs, plain(adapter.list_push_notifications), methods=["GET"]),
        Route("/v1/card", plain(adapter.on_get_extended_agent_card), methods=["GET"]),
    ]


def error_of(error: sdk.A2AError) -> dict[str, Any]:
    """Return an error in the words of 0.3."""
    code = sdk.JSON_RPC_ERROR_CODE_MAP.get(type(error), -32603)
    said = {"code": _CODES.get(type(error), (code, 0))[0], "message": error.message}
    if error.data is None:
        return said
    wrong = error.data.get("errors")
    return {**said, "data": {**error.data, **({"errors": wrong} if wrong else {})}}


def refuse_rpc(call_id: Any, error: sdk.A2AError) -> Response:
    """Refuse a call over JSON-RPC."""
    return JSONResponse(_envelope(call_id, error=error_of(error)))


def refuse_rest(error: sdk.A2AError) -> Response:
    """Refuse a call over HTTP+JSON."""
    mapping = sdk.A2A_ERROR_MAPPING.get(type(error))
    status = _CODES.get(type(error), (0, 500 if mapping is None else mapping.http_code))[1]
    retry_after = (error.data or {}).get(RETRY_AFTER)
    headers = {"retry-after": retry_after} if retry_after else None
    return JSONResponse(error_of(error), status_code=status, headers=headers)


@contextmanager
def told() -> Iterator[None]:
    """Say what cannot be converted from 0.3 as what it is: the caller's parameters are wrong.

    The request handler says everything in the protocol's words, so nothing else comes out of the conversion.
    """
    with protocol_errors():
        try:
            yield
        except ValidationError as error:
            raise _wrong(error) from error
        except (ValueError, KeyError, ParseError) as error:
            raise invalid("The parameters cannot be read as A2A 0.3.") from error


def _demand_base64(message: v0_3.Message) -> None:
    """Refuse bytes that are none; the SDK would leave out what it cannot read of them."""
    for number, part in enumerate(message.parts):
        if isinstance(part.root, v0_3.FilePart) and isinstance(part.root.file, v0_3.FileWithBytes):
            try:
                base64.b64decode(part.root.file.bytes, validate=True)
            except ValueError as error:
                field = f"message.parts.{number}.file.bytes"
                raise invalid("The bytes of a file are not base 64.", **{field: "is not base 64"}) from error


def _plain(
    builder: ContextBuilder, verb: Callable[[Request, ServerCallContext], Awaitable[Any]]
) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        try:
            with told():
                return JSONResponse(await verb(request, builder.build(request)))
        except sdk.A2AError as error:
            return refuse_rest(error)

    return endpoint


def _streaming(
    builder: ContextBuilder, verb: Callable[[Request, ServerCallContext], AsyncIterator[Any]]
) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        try:
            with told():
                await request.body()  # before the answer begins: later nobody would read it
                stream = await _begun(verb(request, builder.build(request)))
        except sdk.A2AError as error:
            return refuse_rest(error)

        async def lines() -> AsyncIterator[dict[str, str]]:
            try:
                with told():
                    async for item in stream:
                        yield {"data": json_utils.dumps(item)}
            except sdk.A2AError as error:
                yield {"event": "error", "data": json_utils.dumps(error_of(error))}

        return create_event_source_response(lines())

    return endpoint


def _validated(model: type[BaseModel], body: dict[str, Any]) -> BaseModel:
    try:
        return model.model_validate(body)
    except ValidationError as error:
        if all(wrong["loc"][:1] == ("params",) for wrong in error.errors()):
            raise
        raise sdk.InvalidRequestError(message="This is no JSON-RPC 2.0 request.") from error


def _wrong(error: ValidationError) -> sdk.InvalidParamsError:
    fields = {".".join(map(str, wrong["loc"])): wrong["msg"] for wrong in error.errors()}
    return invalid("The parameters are not those of A2A 0.3.", **fields)


async def _begun(stream: AsyncIterable[Any]) -> AsyncIterator[Any]:
    """Return a stream whose first item is there, so that what speaks against it is said instead of it."""
    items = aiter(stream)
    nothing = object()
    first = await anext(items, nothing)

    async def all_of_it() -> AsyncIterator[Any]:
        if first is nothing:
            return
        yield first
        async for item in items:
            yield item

    return all_of_it()


def _dumped(result: Any) -> Any:
    if isinstance(result, BaseModel):
        return result.model_dump(mode="json", by_alias=True, exclude_none=True)
    return [_dumped(item) for item in result] if isinstance(result, list) else result


def _envelope(call_id: Any, **answer: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": call_id, **answer}
