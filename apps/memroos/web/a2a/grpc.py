"""The gRPC door: A2A 1.0 and 0.3 on one port, over the same request handler as the other bindings.

An interceptor stands before both services: who calls, how fast, may this role use the method, and in which version the
call is. What it refuses is not read.

A request's `tenant` says which endpoint it is for: an agent's name for that agent's, empty or the caller's workspace
for the kernel's own. Version 0.3 has no tenant; its calls are for the kernel's endpoint, which routes by skill.
"""

from __future__ import annotations  # the stubs know generics that grpc's own classes do not

from collections.abc import AsyncIterable, Awaitable, Callable
from contextvars import ContextVar
from typing import Any, TypeVar

import grpc
import grpc.aio
from a2a.compat.v0_3 import a2a_v0_3_pb2 as pb_0_3
from a2a.compat.v0_3.a2a_v0_3_pb2_grpc import add_A2AServiceServicer_to_server as add_0_3
from a2a.compat.v0_3.grpc_handler import CompatGrpcHandler
from a2a.extensions.common import HTTP_EXTENSION_HEADER
from a2a.server.context import ServerCallContext
from a2a.server.request_handlers.grpc_handler import GrpcHandler, GrpcServerCallContextBuilder
from a2a.server.request_handlers.request_handler import RequestHandler
from a2a.types import a2a_pb2
from a2a.types.a2a_pb2_grpc import add_A2AServiceServicer_to_server as add_1_0
from a2a.utils import errors as sdk
from a2a.utils.error_handlers import A2A_DOMAIN
from a2a.utils.grpc_status import status_to_grpc
from google.protobuf import any_pb2
from google.protobuf import message as protobuf
from google.rpc import error_details_pb2, status_pb2

from memroos import registry
from memroos.web import access
from memroos.web.a2a import versions
from memroos.web.a2a.compat import Handler03, told
from memroos.web.a2a.context import CALL, LEGACY_EXTENSION_HEADER, Call, make_context, read_call
from memroos.web.a2a.errors import RETRY_AFTER, Facts, invalid, protocol_errors, to_protocol
from memroos_contracts.errors import MemroosError
from memroos_contracts.identity import Actor
from memroos_kit import log
from memroos_kit.clock import Clock
from memroos_kit.limits import RateLimiter

_V1_0 = a2a_pb2.DESCRIPTOR.services_by_name["A2AService"].full_name
_V0_3 = pb_0_3.DESCRIPTOR.services_by_name["A2AService"].full_name

_PUSH = "a2aPushNotificationConfigs"
OPERATIONS = {
    f"/{_V1_0}/SendMessage": "a2aSendMessage",
    f"/{_V1_0}/SendStreamingMessage": "a2aSendStreamingMessage",
    f"/{_V1_0}/GetTask": "a2aGetTask",
    f"/{_V1_0}/ListTasks": "a2aListTasks",
    f"/{_V1_0}/CancelTask": "a2aCancelTask",
    f"/{_V1_0}/SubscribeToTask": "a2aSubscribeToTask",
    f"/{_V1_0}/CreateTaskPushNotificationConfig": _PUSH,
    f"/{_V1_0}/GetTaskPushNotificationConfig": _PUSH,
    f"/{_V1_0}/ListTaskPushNotificationConfigs": _PUSH,
    f"/{_V1_0}/DeleteTaskPushNotificationConfig": _PUSH,
    f"/{_V1_0}/GetExtendedAgentCard": "a2aGetExtendedAgentCard",
    f"/{_V0_3}/SendMessage": "a2aSendMessage",
    f"/{_V0_3}/SendStreamingMessage": "a2aSendStreamingMessage",
    f"/{_V0_3}/GetTask": "a2aGetTask",
    f"/{_V0_3}/CancelTask": "a2aCancelTask",
    f"/{_V0_3}/TaskSubscription": "a2aSubscribeToTask",
    f"/{_V0_3}/CreateTaskPushNotificationConfig": _PUSH,
    f"/{_V0_3}/GetTaskPushNotificationConfig": _PUSH,
    f"/{_V0_3}/ListTaskPushNotificationConfig": _PUSH,
    f"/{_V0_3}/DeleteTaskPushNotificationConfig": _PUSH,
    f"/{_V0_3}/GetAgentCard": "a2aGetExtendedAgentCard",
}
"""The access table's row of every method that is served."""

HEAD_MAX_BYTES = 65_536

KEEP_ALIVE_S = 30.0
"""How long a connection is quiet before we ask whether its client is still there: a stream has nothing else to tell."""
GONE_S = 10.0
"""How long we wait for that answer; then its streams end."""
CLIENTS_ASK_S = 5.0
"""How often clients may ask the same of us; the library's own answer is five minutes, and then it hangs up."""

T = TypeVar("T")
_log = log.get(__name__)
_caller: ContextVar[tuple[Actor, Call]] = ContextVar("a2a_grpc_caller")
_unreadable: ContextVar[bool] = ContextVar("a2a_grpc_unreadable", default=False)


class GrpcDoor:
    """The server of the gRPC binding.

    Args:
        host: address to listen on.
        port: port to listen on, 0 for any free one.
        body_limit_bytes: largest message, as for the other bindings.
        keep_alive_s: after how long a quiet connection is asked whether its client is still there.
    """

    def __init__(  # noqa: PLR0913 - what the front door gets, and where it stands
        self,
        handler: RequestHandler,
        keyring: registry.Keyring,
        limiter: RateLimiter,
        clock: Clock,
        *,
        host: str,
        port: int,
        body_limit_bytes: int,
        keep_alive_s: float = KEEP_ALIVE_S,
    ) -> None:
        self._handler = handler
        self._entrance = Entrance(keyring, limiter, clock)
        self._host = host
        self._body_limit_bytes = body_limit_bytes
        self._keep_alive_s = keep_alive_s
        self._server: grpc.aio.Server | None = None
        self.port = port

    async def start(self) -> None:
        """Begin to serve.

        Raises:
            RuntimeError: the port is taken.
        """
        gone_ms = round(min(GONE_S, self._keep_alive_s) * 1_000)
        server = grpc.aio.server(
            interceptors=[self._entrance],
            options=[
                ("grpc.max_receive_message_length", self._body_limit_bytes),
                ("grpc.max_metadata_size", HEAD_MAX_BYTES),
                ("grpc.keepalive_time_ms", round(self._keep_alive_s * 1_000)),
                # Both: the second is a minute, and nobody is gone before either is over.
                ("grpc.keepalive_timeout_ms", gone_ms),
                ("grpc.http2.ping_timeout_ms", gone_ms),
                ("grpc.keepalive_permit_without_calls", 1),
                ("grpc.http2.max_pings_without_data", 0),  # any number; two, and then it would not ask any more
                ("grpc.http2.min_ping_interval_without_data_ms", round(CLIENTS_ASK_S * 1_000)),
                ("grpc.so_reuseport", 0),  # or two kernels would share a port, and a caller meet either
            ],
        )
        add_1_0(Door(self._handler, _ContextBuilder()), server)  # type: ignore[no-untyped-call]
        add_0_3(Door03(self._handler, _ContextBuilder()), server)  # type: ignore[no-untyped-call]
        host = f"[{self._host}]" if ":" in self._host else self._host
        self.port = server.add_insecure_port(f"{host}:{self.port}")
        await server.start()
        self._server = server
        _log.info("grpc.ready", host=self._host, port=self.port)

    async def stop(self, grace_s: float) -> None:
        """Take no more calls, let those that run end within the grace, and cut the rest."""
        if self._server is not None:
            await self._server.stop(grace_s)


class Entrance(grpc.aio.ServerInterceptor):
    """Lets a call in: its key, its rate, its role and its version."""

    def __init__(self, keyring: registry.Keyring, limiter: RateLimiter, clock: Clock) -> None:
        self._keyring = keyring
        self._limiter = limiter
        self._clock = clock

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[grpc.RpcMethodHandler[Any, Any] | None]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> grpc.RpcMethodHandler[Any, Any] | None:
        """Return the method's own handler, or one that refuses."""
        try:
            _caller.set(self._admit(handler_call_details))
        except MemroosError as error:
            return _refusing(to_protocol(error))
        except sdk.A2AError as error:
            return _refusing(error)
        handler: Any = await continuation(handler_call_details)
        if handler is None:
            return None
        read: grpc.RpcMethodHandler[Any, Any] = handler._replace(
            request_deserializer=_reading(handler.request_deserializer)
        )
        return read

    def _admit(self, details: grpc.HandlerCallDetails) -> tuple[Actor, Call]:
        method = details.method
        metadata = _values_of(details.invocation_metadata)
        actor = self._keyring.authenticate(_bearer(metadata("authorization")), self._clock.now())
        self._limiter.take(actor.key or actor.principal)
        version = versions.negotiate(metadata(versions.HEADER))
        if method in OPERATIONS:  # what nobody serves has no version and no row
            access.demand(OPERATIONS[method], actor)
            versions.demand(version, versions.V1_0 if method.startswith(f"/{_V1_0}/") else versions.V0_3)
        return actor, read_call(metadata, version=version)


class Door(GrpcHandler):
    """The service of A2A 1.0."""

    async def _handle_unary(
        self,
        request: protobuf.Message,
        context: grpc.aio.ServicerContext[Any, Any],
        handler_func: Callable[[ServerCallContext], Awaitable[T]],
        default_response: T,
    ) -> T:
        try:
            with protocol_errors():
                call = self._build_call_context(context, request)
                answer = await handler_func(call)
        except sdk.A2AError as error:
            await refuse(context, error)
            return default_response
        await _tell_extensions(context, call)
        return answer

    async def _handle_stream(
        self,
        request: protobuf.Message,
        context: grpc.aio.ServicerContext[Any, Any],
        handler_func: Callable[[ServerCallContext], AsyncIterable[T]],
    ) -> AsyncIterable[T]:
        try:
            call = self._build_call_context(context, request)
            first = True
            async for item in handler_func(call):
                if first:
                    await _tell_extensions(context, call)
                    first = False
                yield item
        except sdk.A2AError as error:
            await refuse(context, error)


class Door03(CompatGrpcHandler):
    """The service of A2A 0.3, which tells an error's name in the status message."""

    def __init__(self, handler: RequestHandler, builder: GrpcServerCallContextBuilder) -> None:
        super().__init__(handler, builder)
        self.handler03 = Handler03(handler)

    async def _handle_unary(
        self,
        context: grpc.aio.ServicerContext[Any, Any],
        handler_func: Callable[[ServerCallContext], Awaitable[T]],
        default_response: T,
    ) -> T:
        try:
            with told():
                call = self._context_builder.build(context)
                answer = await handler_func(call)
        except sdk.A2AError as error:
            await self.abort_context(error, context)
            return default_response
        await _tell_extensions(context, call, LEGACY_EXTENSION_HEADER)
        return answer

    async def _handle_stream(
        self,
        context: grpc.aio.ServicerContext[Any, Any],
        handler_func: Callable[[ServerCallContext], AsyncIterable[T]],
    ) -> AsyncIterable[T]:
        try:
            with told():
                call = self._context_builder.build(context)
                first = True
                async for item in handler_func(call):
                    if first:
                        await _tell_extensions(context, call, LEGACY_EXTENSION_HEADER)
                        first = False
                    yield item
        except sdk.A2AError as error:
            await self.abort_context(error, context)

    async def abort_context(self, error: sdk.A2AError, context: grpc.aio.ServicerContext[Any, Any]) -> None:
        """Refuse a call as servers of 0.3 do."""
        await context.abort(grpc_status(error), f"{type(error).__name__}: {error.message}")


class _ContextBuilder(GrpcServerCallContextBuilder):
    """Builds the call context from what the entrance found out."""

    def build(self, context: grpc.aio.ServicerContext[Any, Any]) -> ServerCallContext:
        if _unreadable.get():
            raise invalid("The message cannot be read as what this method takes.")
        actor, call = _caller.get()
        metadata = _values_of(context.invocation_metadata())
        extensions = [*metadata(HTTP_EXTENSION_HEADER.lower()), *metadata(LEGACY_EXTENSION_HEADER)]
        return make_context(actor, call, agent="", extensions=extensions)


async def refuse(context: grpc.aio.ServicerContext[Any, Any], error: sdk.A2AError) -> None:
    """End a call with an error, with the details that the protocol demands (A2A 1.0.1, section 10.6)."""
    status = to_status(error)
    rich = status_to_grpc(status)
    retry_after = (error.data or {}).get(RETRY_AFTER)
    metadata = [*rich.trailing_metadata, *([("retry-after", str(retry_after))] if retry_after else [])]
    await context.abort(rich.code, rich.details, tuple(metadata))


def to_status(error: sdk.A2AError) -> status_pb2.Status:
    """Return an error as `google.rpc.Status`, with `ErrorInfo` and, for wrong parameters, `BadRequest`."""
    status = status_pb2.Status(code=grpc_status(error).value[0], message=error.message)
    facts = Facts({}) if error.data is None else error.data
    details: list[protobuf.Message] = [
        error_details_pb2.ErrorInfo(
            reason=sdk.A2A_ERROR_REASONS.get(type(error), "INTERNAL_ERROR"),
            domain=A2A_DOMAIN,
            metadata={name: str(fact) for name, fact in facts.items()},
        )
    ]
    if violations := facts.get("errors"):
        details.append(
            error_details_pb2.BadRequest(
                field_violations=[
                    error_details_pb2.BadRequest.FieldViolation(field=wrong["field"], description=wrong["message"])
                    for wrong in violations
                ]
            )
        )
    for detail in details:
        packed = any_pb2.Any()
        packed.Pack(detail)
        status.details.append(packed)
    return status


def grpc_status(error: sdk.A2AError) -> grpc.StatusCode:
    """Return the status code of an error."""
    mapping = sdk.A2A_ERROR_MAPPING.get(type(error))
    return grpc.StatusCode.INTERNAL if mapping is None else grpc.StatusCode[mapping.grpc_status]


def _reading(deserialize: Callable[[bytes], T]) -> Callable[[bytes], T]:
    """Return a deserializer that leaves it to the call to refuse what is no message; grpc would log it as our error."""

    def read(data: bytes) -> T:
        try:
            return deserialize(data)
        except protobuf.DecodeError:
            _unreadable.set(True)
            return deserialize(b"")

    return read


def _refusing(error: sdk.A2AError) -> grpc.RpcMethodHandler[Any, Any]:
    """Return a handler that refuses; one for streams, since that reads nothing unless it asks for it."""

    async def behaviour(_: object, context: grpc.aio.ServicerContext[Any, Any]) -> None:
        await refuse(context, error)

    return grpc.stream_stream_rpc_method_handler(behaviour)


async def _tell_extensions(
    context: grpc.aio.ServicerContext[Any, Any], call: ServerCallContext, name: str = HTTP_EXTENSION_HEADER.lower()
) -> None:
    if activated := call.state[CALL].activated:
        await context.send_initial_metadata(((name, ", ".join(activated)),))


def _values_of(metadata: Any) -> Callable[[str], list[str]]:
    """Return a function that gives all texts under a key; binary values are nothing that this door understands."""
    pairs = [(key, value) for key, value in metadata or () if isinstance(value, str)]
    return lambda name: [value for key, value in pairs if key == name]


def _bearer(values: list[str]) -> str | None:
    """Return the key, None where there is none, or more than one."""
    if len(values) != 1:
        return None
    scheme, _, key = values[0].partition(" ")
    return key.strip() if scheme.lower() == "bearer" else None
