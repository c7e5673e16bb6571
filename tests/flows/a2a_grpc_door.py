"""One way to speak to the gRPC door of a kernel, in the wire's own words."""

from collections.abc import AsyncIterator, Callable
from typing import Any

import grpc
import grpc.aio
from a2a.compat.v0_3 import a2a_v0_3_pb2 as pb3
from a2a.compat.v0_3 import a2a_v0_3_pb2_grpc as grpc3
from a2a.types import a2a_pb2 as pb
from a2a.types import a2a_pb2_grpc as grpc1
from google.protobuf.json_format import ParseDict
from google.rpc import error_details_pb2, status_pb2
from tests.flows.a2a_words import NAMES_0_3, Refused, new_item, new_task, old_config, old_push, old_request, sending


class Grpc:
    """gRPC 1.0."""

    name = "gRPC 1.0"
    lists = True

    def __init__(self, channel: grpc.aio.Channel, key: str, *, tenant: str = "") -> None:
        self._metadata: tuple[tuple[str, str], ...] = (("authorization", f"Bearer {key}"), ("a2a-version", "1.0"))
        self._stub: Any = grpc1.A2AServiceStub(channel)  # type: ignore[no-untyped-call]
        self._tenant = tenant

    async def _call(self, method: str, request: Any) -> Any:
        if self._tenant:
            request.tenant = self._tenant
        try:
            return await getattr(self._stub, method)(request, metadata=self._metadata)
        except grpc.aio.AioRpcError as error:
            raise self._refused(error) from error

    async def _events(self, method: str, request: Any) -> AsyncIterator[Any]:
        if self._tenant:
            request.tenant = self._tenant
        try:
            async for item in getattr(self._stub, method)(request, metadata=self._metadata):
                yield item
        except grpc.aio.AioRpcError as error:
            raise self._refused(error) from error

    def _refused(self, error: grpc.aio.AioRpcError) -> Refused:
        info = details_of(error)[0]
        return Refused(info.reason, error.details() or "")

    async def send(self, message: pb.Message, **configuration: Any) -> pb.Task:
        task: pb.Task = (await self._call("SendMessage", sending(message, configuration))).task
        return task

    async def stream(self, message: pb.Message) -> AsyncIterator[pb.StreamResponse]:
        async for item in self._events("SendStreamingMessage", sending(message, {})):
            yield item

    async def get(self, task_id: str, history_length: int | None = None) -> pb.Task:
        task: pb.Task = await self._call("GetTask", pb.GetTaskRequest(id=task_id, history_length=history_length))
        return task

    async def cancel(self, task_id: str) -> pb.Task:
        task: pb.Task = await self._call("CancelTask", pb.CancelTaskRequest(id=task_id))
        return task

    async def subscribe(self, task_id: str) -> AsyncIterator[pb.StreamResponse]:
        async for item in self._events("SubscribeToTask", pb.SubscribeToTaskRequest(id=task_id)):
            yield item

    async def list_tasks(self, **query: Any) -> pb.ListTasksResponse:
        page: pb.ListTasksResponse = await self._call("ListTasks", ParseDict(query, pb.ListTasksRequest()))
        return page

    async def set_push(self, config: pb.TaskPushNotificationConfig) -> pb.TaskPushNotificationConfig:
        made: pb.TaskPushNotificationConfig = await self._call("CreateTaskPushNotificationConfig", config)
        return made

    async def get_push(self, task_id: str, config_id: str) -> pb.TaskPushNotificationConfig:
        request = pb.GetTaskPushNotificationConfigRequest(task_id=task_id, id=config_id)
        found: pb.TaskPushNotificationConfig = await self._call("GetTaskPushNotificationConfig", request)
        return found

    async def list_push(self, task_id: str) -> list[pb.TaskPushNotificationConfig]:
        request = pb.ListTaskPushNotificationConfigsRequest(task_id=task_id)
        return list((await self._call("ListTaskPushNotificationConfigs", request)).configs)

    async def delete_push(self, task_id: str, config_id: str) -> None:
        request = pb.DeleteTaskPushNotificationConfigRequest(task_id=task_id, id=config_id)
        await self._call("DeleteTaskPushNotificationConfig", request)


class Grpc03(Grpc):
    """gRPC 0.3."""

    name = "gRPC 0.3"
    lists = False

    def __init__(self, channel: grpc.aio.Channel, key: str) -> None:
        super().__init__(channel, key)
        self._metadata = (("authorization", f"Bearer {key}"),)
        self._stub = grpc3.A2AServiceStub(channel)  # type: ignore[no-untyped-call]

    def _refused(self, error: grpc.aio.AioRpcError) -> Refused:
        name, _, words = (error.details() or "").partition(": ")
        return Refused(NAMES_0_3[name], words)

    async def send(self, message: pb.Message, **configuration: Any) -> pb.Task:
        return new_task((await self._call("SendMessage", old_request(message, configuration))).task)

    async def stream(self, message: pb.Message) -> AsyncIterator[pb.StreamResponse]:
        async for item in self._events("SendStreamingMessage", old_request(message, {})):
            yield new_item(item)

    async def get(self, task_id: str, history_length: int | None = None) -> pb.Task:
        request = pb3.GetTaskRequest(name=f"tasks/{task_id}", history_length=history_length or 0)
        return new_task(await self._call("GetTask", request))

    async def cancel(self, task_id: str) -> pb.Task:
        return new_task(await self._call("CancelTask", pb3.CancelTaskRequest(name=f"tasks/{task_id}")))

    async def subscribe(self, task_id: str) -> AsyncIterator[pb.StreamResponse]:
        async for item in self._events("TaskSubscription", pb3.TaskSubscriptionRequest(name=f"tasks/{task_id}")):
            yield new_item(item)

    async def set_push(self, config: pb.TaskPushNotificationConfig) -> pb.TaskPushNotificationConfig:
        return old_push(await self._call("CreateTaskPushNotificationConfig", old_config(config)))

    async def get_push(self, task_id: str, config_id: str) -> pb.TaskPushNotificationConfig:
        name = f"tasks/{task_id}/pushNotificationConfigs/{config_id}"
        request = pb3.GetTaskPushNotificationConfigRequest(name=name)
        return old_push(await self._call("GetTaskPushNotificationConfig", request))

    async def list_push(self, task_id: str) -> list[pb.TaskPushNotificationConfig]:
        request = pb3.ListTaskPushNotificationConfigRequest(parent=f"tasks/{task_id}")
        return [old_push(config) for config in (await self._call("ListTaskPushNotificationConfig", request)).configs]

    async def delete_push(self, task_id: str, config_id: str) -> None:
        name = f"tasks/{task_id}/pushNotificationConfigs/{config_id}"
        request = pb3.DeleteTaskPushNotificationConfigRequest(name=name)
        await self._call("DeleteTaskPushNotificationConfig", request)


def details_of(error: grpc.aio.AioRpcError) -> list[Any]:
    """Return the details of a gRPC error: its ErrorInfo, then its BadRequest if it has one."""
    packed = dict(error.trailing_metadata() or ())["grpc-status-details-bin"]
    assert isinstance(packed, bytes)
    status = status_pb2.Status.FromString(packed)
    assert (status.code, status.message) == (error.code().value[0], error.details())
    found: list[Any] = []
    for detail in status.details:
        kind: Callable[[], Any] = (
            error_details_pb2.ErrorInfo
            if detail.Is(error_details_pb2.ErrorInfo.DESCRIPTOR)
            else error_details_pb2.BadRequest
        )
        item = kind()
        assert detail.Unpack(item)
        found.append(item)
    assert found[0].domain == "a2a-protocol.org"
    return found
