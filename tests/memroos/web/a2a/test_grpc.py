"""The gRPC door's tables: a row for every method, a status with details for every error."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from unittest.mock import Mock

import grpc
import grpc.aio
import pytest
from a2a.compat.v0_3 import a2a_v0_3_pb2 as pb_0_3
from a2a.types import a2a_pb2 as pb_1_0
from a2a.types import a2a_pb2_grpc as pb_1_0_grpc
from a2a.utils import errors as sdk
from google.rpc import error_details_pb2
from tests.actors import OPERATOR

from memroos.web import access
from memroos.web.a2a.errors import (
    Facts,
    PermissionDenied,
    ResourceExhausted,
    TaskGenerationMismatchError,
    Unauthenticated,
    Unavailable,
    invalid,
)
from memroos.web.a2a.grpc import OPERATIONS, GrpcDoor, grpc_status, to_status
from memroos_kit.clock import ManualClock
from memroos_kit.limits import RateLimiter

TABLE = {
    sdk.TaskNotFoundError: ("NOT_FOUND", "TASK_NOT_FOUND"),
    sdk.TaskNotCancelableError: ("FAILED_PRECONDITION", "TASK_NOT_CANCELABLE"),
    sdk.PushNotificationNotSupportedError: ("FAILED_PRECONDITION", "PUSH_NOTIFICATION_NOT_SUPPORTED"),
    sdk.UnsupportedOperationError: ("FAILED_PRECONDITION", "UNSUPPORTED_OPERATION"),
    sdk.ContentTypeNotSupportedError: ("INVALID_ARGUMENT", "CONTENT_TYPE_NOT_SUPPORTED"),
    sdk.InvalidAgentResponseError: ("INTERNAL", "INVALID_AGENT_RESPONSE"),
    sdk.ExtendedAgentCardNotConfiguredError: ("FAILED_PRECONDITION", "EXTENDED_AGENT_CARD_NOT_CONFIGURED"),
    sdk.ExtensionSupportRequiredError: ("FAILED_PRECONDITION", "EXTENSION_SUPPORT_REQUIRED"),
    sdk.VersionNotSupportedError: ("FAILED_PRECONDITION", "VERSION_NOT_SUPPORTED"),
    TaskGenerationMismatchError: ("ABORTED", "TASK_GENERATION_MISMATCH"),
    sdk.InvalidParamsError: ("INVALID_ARGUMENT", "INVALID_PARAMS"),
    sdk.InvalidRequestError: ("INVALID_ARGUMENT", "INVALID_REQUEST"),
    sdk.InternalError: ("INTERNAL", "INTERNAL_ERROR"),
    Unauthenticated: ("UNAUTHENTICATED", "UNAUTHENTICATED"),
    PermissionDenied: ("PERMISSION_DENIED", "PERMISSION_DENIED"),
    ResourceExhausted: ("RESOURCE_EXHAUSTED", "RESOURCE_EXHAUSTED"),
    Unavailable: ("UNAVAILABLE", "UNAVAILABLE"),
}


def test_every_method_of_both_services_has_a_row_in_the_access_table() -> None:
    methods = {
        f"/{service.full_name}/{method.name}"
        for service in (
            pb_1_0.DESCRIPTOR.services_by_name["A2AService"],
            pb_0_3.DESCRIPTOR.services_by_name["A2AService"],
        )
        for method in service.methods
    }

    assert methods == set(OPERATIONS)
    assert not any(access.row(operation).public for operation in OPERATIONS.values())


@pytest.mark.parametrize("error", TABLE, ids=lambda error: str(error.__name__))
def test_an_error_has_its_code_and_its_reason(error: type[sdk.A2AError]) -> None:
    code, reason = TABLE[error]

    status = to_status(error("Words.", data=Facts({"task": "task_1"})))

    assert grpc_status(error()) is grpc.StatusCode[code]
    assert (status.code, status.message) == (grpc.StatusCode[code].value[0], "Words.")
    info = error_details_pb2.ErrorInfo()
    assert status.details[0].Unpack(info)
    assert (info.reason, info.domain, dict(info.metadata)) == (reason, "a2a-protocol.org", {"task": "task_1"})
    assert len(status.details) == 1


def test_wrong_fields_are_named() -> None:
    status = to_status(invalid("No.", **{"message.parts": "needs one"}))

    wrong = error_details_pb2.BadRequest()
    assert status.details[1].Unpack(wrong)
    assert [(v.field, v.description) for v in wrong.field_violations] == [("message.parts", "needs one")]


def test_an_error_that_nobody_knows_is_an_internal_one() -> None:
    class Odd(sdk.A2AError):
        """One that the table does not have."""

    assert grpc_status(Odd()) is grpc.StatusCode.INTERNAL


class Quiet:
    """A request handler with a stream on which nothing happens any more."""

    def __init__(self) -> None:
        self.left = asyncio.Event()

    async def on_subscribe_to_task(self, params: Any, context: Any) -> AsyncIterator[pb_1_0.Task]:
        try:
            yield pb_1_0.Task(id=params.id)
            await asyncio.Event().wait()
        finally:
            self.left.set()


class Wire:
    """A wire between a client and a door that can be cut without either hearing of it."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._whole = asyncio.Event()
        self._whole.set()
        self._ends: list[asyncio.StreamWriter] = []
        self._runs: set[asyncio.Task[None]] = set()

    async def serve(self) -> int:
        self._server = await asyncio.start_server(self._join, "127.0.0.1", 0)
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    def cut(self) -> None:
        self._whole.clear()

    async def close(self) -> None:
        for run in self._runs:
            run.cancel()
        await asyncio.gather(*self._runs, return_exceptions=True)
        for end in self._ends:
            end.close()
        self._server.close()

    async def _join(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", self._port)
        self._ends += [writer, back]
        for source, target in ((reader, back), (there, writer)):
            run = asyncio.get_running_loop().create_task(self._carry(source, target))
            self._runs.add(run)

    async def _carry(self, source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        while data := await source.read(65_536):
            await self._whole.wait()
            target.write(data)


def test_a_stream_ends_when_its_client_is_gone_without_a_word() -> None:
    asyncio.run(_follow_and_vanish())


async def _follow_and_vanish() -> None:
    handler, keyring = Quiet(), Mock(authenticate=Mock(return_value=OPERATOR))
    limiter = RateLimiter(per_minute=600, burst=10)
    door = GrpcDoor(
        handler,  # type: ignore[arg-type] # as much of one as is asked for
        keyring,
        limiter,
        ManualClock(),
        host="127.0.0.1",
        port=0,
        body_limit_bytes=1_000_000,
        keep_alive_s=0.3,
    )
    await door.start()
    wire = Wire(door.port)
    port = await wire.serve()
    try:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            follow: Any = pb_1_0_grpc.A2AServiceStub(channel).SubscribeToTask  # type: ignore[no-untyped-call]
            items = follow(pb_1_0.SubscribeToTaskRequest(id="task_1"), metadata=(("a2a-version", "1.0"),))
            await items.read()
            await asyncio.sleep(1)
            assert not handler.left.is_set()

            wire.cut()
            await asyncio.wait_for(handler.left.wait(), 10)
            items.cancel()
    finally:
        await wire.close()
        await door.stop(0)
