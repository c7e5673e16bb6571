"""One way to speak to each A2A door of a kernel, in the wire's own words, and one form for what all of them answer.

No client library is in between, so that a test sees what a door says and not what a client makes of it.
"""

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, ClassVar, Protocol

import grpc
import grpc.aio
import httpx
from a2a.compat.v0_3 import a2a_v0_3_pb2 as pb3
from a2a.compat.v0_3 import a2a_v0_3_pb2_grpc as grpc3
from a2a.compat.v0_3 import conversions, proto_utils
from a2a.compat.v0_3 import types as v0_3
from a2a.types import a2a_pb2 as pb
from a2a.types import a2a_pb2_grpc as grpc1
from google.protobuf.json_format import MessageToDict, ParseDict
from google.rpc import error_details_pb2, status_pb2
from tests.flows.kernel import Kernel

REASONS = {
    -32001: "TASK_NOT_FOUND",
    -32002: "TASK_NOT_CANCELABLE",
    -32003: "PUSH_NOTIFICATION_NOT_SUPPORTED",
    -32004: "UNSUPPORTED_OPERATION",
    -32005: "CONTENT_TYPE_NOT_SUPPORTED",
    -32602: "INVALID_PARAMS",
    -32600: "INVALID_REQUEST",
    -32050: "PERMISSION_DENIED",
}
_NAMES_0_3 = {
    "TaskNotFoundError": "TASK_NOT_FOUND",
    "TaskNotCancelableError": "TASK_NOT_CANCELABLE",
    "PushNotificationNotSupportedError": "PUSH_NOTIFICATION_NOT_SUPPORTED",
    "UnsupportedOperationError": "UNSUPPORTED_OPERATION",
    "InvalidParamsError": "INVALID_PARAMS",
    "InvalidRequestError": "INVALID_REQUEST",
}


class Refused(Exception):
    """A door said no; the reason is that of the protocol's table."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(f"{reason}: {message}")
        self.reason = reason
        self.message = message


class Door(Protocol):
    """What can be done at every door; `Refused` where it says no."""

    name: str
    lists: bool

    async def send(self, message: pb.Message, **configuration: Any) -> pb.Task: ...
    def stream(self, message: pb.Message) -> AsyncIterator[pb.StreamResponse]: ...
    async def get(self, task_id: str, history_length: int | None = None) -> pb.Task: ...
    async def cancel(self, task_id: str) -> pb.Task: ...
    def subscribe(self, task_id: str) -> AsyncIterator[pb.StreamResponse]: ...
    async def list_tasks(self, **query: Any) -> pb.ListTasksResponse: ...
    async def set_push(self, config: pb.TaskPushNotificationConfig) -> pb.TaskPushNotificationConfig: ...
    async def get_push(self, task_id: str, config_id: str) -> pb.TaskPushNotificationConfig: ...
    async def list_push(self, task_id: str) -> list[pb.TaskPushNotificationConfig]: ...
    async def delete_push(self, task_id: str, config_id: str) -> None: ...


def _sending(message: pb.Message, configuration: dict[str, Any]) -> pb.SendMessageRequest:
    return pb.SendMessageRequest(message=message, configuration=pb.SendMessageConfiguration(**configuration))


def _old(request: pb.SendMessageRequest) -> v0_3.MessageSendParams:
    return conversions.to_compat_send_message_request(request, 1).params


def _item(result: Any) -> pb.StreamResponse:
    return conversions.to_core_stream_response(v0_3.SendStreamingMessageSuccessResponse(id=1, result=result))


class JsonRpc:
    """JSON-RPC 1.0."""

    name = "JSON-RPC 1.0"
    lists = True
    headers: ClassVar[dict[str, str]] = {"A2A-Version": "1.0"}

    def __init__(self, http: httpx.AsyncClient, path: str = "/a2a") -> None:
        self._http = http
        self._path = path

    async def _call(self, method: str, params: Any) -> Any:
        body = {"jsonrpc": "2.0", "id": 7, "method": method, "params": params}
        return self._result((await self._http.post(self._path, json=body, headers=self.headers)).json())

    async def _events(self, method: str, params: Any) -> AsyncIterator[Any]:
        body = {"jsonrpc": "2.0", "id": 7, "method": method, "params": params}
        async with self._http.stream("POST", self._path, json=body, headers=self.headers) as response:
            if response.headers["content-type"].startswith("application/json"):
                self._result(json.loads(await response.aread()))
            async for line in response.aiter_lines():
                if line.startswith("data:"):
                    yield self._result(json.loads(line[5:]))

    def _result(self, answer: Any) -> Any:
        assert (answer["jsonrpc"], answer["id"]) == ("2.0", 7)
        if "error" in answer:
            error = answer["error"]
            data = error["data"]
            assert data[0]["@type"] == "type.googleapis.com/google.rpc.ErrorInfo"
            assert data[0]["domain"] == "a2a-protocol.org"
            assert data[0]["reason"] == REASONS[error["code"]]
            raise Refused(data[0]["reason"], error["message"])
        return answer["result"]

    async def send(self, message: pb.Message, **configuration: Any) -> pb.Task:
        result = await self._call("SendMessage", MessageToDict(_sending(message, configuration)))
        return ParseDict(result["task"], pb.Task())

    async def stream(self, message: pb.Message) -> AsyncIterator[pb.StreamResponse]:
        async for item in self._events("SendStreamingMessage", MessageToDict(_sending(message, {}))):
            yield ParseDict(item, pb.StreamResponse())

    async def get(self, task_id: str, history_length: int | None = None) -> pb.Task:
        params = {"id": task_id} | ({} if history_length is None else {"historyLength": history_length})
        return ParseDict(await self._call("GetTask", params), pb.Task())

    async def cancel(self, task_id: str) -> pb.Task:
        return ParseDict(await self._call("CancelTask", {"id": task_id}), pb.Task())

    async def subscribe(self, task_id: str) -> AsyncIterator[pb.StreamResponse]:
        async for item in self._events("SubscribeToTask", {"id": task_id}):
            yield ParseDict(item, pb.StreamResponse())

    async def list_tasks(self, **query: Any) -> pb.ListTasksResponse:
        return ParseDict(await self._call("ListTasks", query), pb.ListTasksResponse())

    async def set_push(self, config: pb.TaskPushNotificationConfig) -> pb.TaskPushNotificationConfig:
        made = await self._call("CreateTaskPushNotificationConfig", MessageToDict(config))
        return ParseDict(made, pb.TaskPushNotificationConfig())

    async def get_push(self, task_id: str, config_id: str) -> pb.TaskPushNotificationConfig:
        found = await self._call("GetTaskPushNotificationConfig", {"taskId": task_id, "id": config_id})
        return ParseDict(found, pb.TaskPushNotificationConfig())

    async def list_push(self, task_id: str) -> list[pb.TaskPushNotificationConfig]:
        found = await self._call("ListTaskPushNotificationConfigs", {"taskId": task_id})
        return [ParseDict(config, pb.TaskPushNotificationConfig()) for config in found.get("configs", [])]

    async def delete_push(self, task_id: str, config_id: str) -> None:
        assert await self._call("DeleteTaskPushNotificationConfig", {"taskId": task_id, "id": config_id}) is None


class JsonRpc03(JsonRpc):
    """JSON-RPC 0.3, whose clients send no version."""

    name = "JSON-RPC 0.3"
    lists = False
    headers: ClassVar[dict[str, str]] = {}

    def _result(self, answer: Any) -> Any:
        assert (answer["jsonrpc"], answer["id"]) == ("2.0", 7)
        if "error" in answer:
            raise Refused(REASONS[answer["error"]["code"]], answer["error"]["message"])
        return answer["result"]

    async def send(self, message: pb.Message, **configuration: Any) -> pb.Task:
        params = _old(_sending(message, configuration)).model_dump(mode="json", by_alias=True, exclude_none=True)
        result = await self._call("message/send", params)
        return conversions.to_core_task(v0_3.Task.model_validate(result))

    async def stream(self, message: pb.Message) -> AsyncIterator[pb.StreamResponse]:
        params = _old(_sending(message, {})).model_dump(mode="json", by_alias=True, exclude_none=True)
        async for item in self._events("message/stream", params):
            yield self._old_item(item)

    def _old_item(self, item: Any) -> pb.StreamResponse:
        kinds: dict[str, Any] = {
            "task": v0_3.Task,
            "message": v0_3.Message,
            "status-update": v0_3.TaskStatusUpdateEvent,
            "artifact-update": v0_3.TaskArtifactUpdateEvent,
        }
        return _item(kinds[item["kind"]].model_validate(item))

    async def get(self, task_id: str, history_length: int | None = None) -> pb.Task:
        params = {"id": task_id} | ({} if history_length is None else {"historyLength": history_length})
        return conversions.to_core_task(v0_3.Task.model_validate(await self._call("tasks/get", params)))

    async def cancel(self, task_id: str) -> pb.Task:
        return conversions.to_core_task(v0_3.Task.model_validate(await self._call("tasks/cancel", {"id": task_id})))

    async def subscribe(self, task_id: str) -> AsyncIterator[pb.StreamResponse]:
        async for item in self._events("tasks/resubscribe", {"id": task_id}):
            yield self._old_item(item)

    async def set_push(self, config: pb.TaskPushNotificationConfig) -> pb.TaskPushNotificationConfig:
        old = conversions.to_compat_task_push_notification_config(config)
        made = await self._call(
            "tasks/pushNotificationConfig/set", old.model_dump(mode="json", by_alias=True, exclude_none=True)
        )
        return _new_config(made)

    async def get_push(self, task_id: str, config_id: str) -> pb.TaskPushNotificationConfig:
        params = {"id": task_id, "pushNotificationConfigId": config_id}
        return _new_config(await self._call("tasks/pushNotificationConfig/get", params))

    async def list_push(self, task_id: str) -> list[pb.TaskPushNotificationConfig]:
        return [_new_config(c) for c in await self._call("tasks/pushNotificationConfig/list", {"id": task_id})]

    async def delete_push(self, task_id: str, config_id: str) -> None:
        params = {"id": task_id, "pushNotificationConfigId": config_id}
        assert await self._call("tasks/pushNotificationConfig/delete", params) is None


def _new_config(said: Any) -> pb.TaskPushNotificationConfig:
    return conversions.to_core_task_push_notification_config(v0_3.TaskPushNotificationConfig.model_validate(said))


class Rest:
    """HTTP+JSON 1.0."""

    name = "HTTP+JSON 1.0"
    lists = True
    headers: ClassVar[dict[str, str]] = {"A2A-Version": "1.0"}

    def __init__(self, http: httpx.AsyncClient, path: str = "/a2a") -> None:
        self._http = http
        self._path = path

    async def _call(self, method: str, path: str, body: Any = None, **query: Any) -> Any:
        options = {} if body is None else {"json": body}
        response = await self._http.request(
            method, self._path + path, headers=self.headers, params=query or None, **options
        )
        self._check(response.status_code, response.json())
        return response.json()

    async def _events(self, method: str, path: str, body: Any = None) -> AsyncIterator[Any]:
        options = {} if body is None else {"json": body}
        async with self._http.stream(method, self._path + path, headers=self.headers, **options) as response:
            if response.headers["content-type"].startswith("application/json"):
                self._check(response.status_code, json.loads(await response.aread()))
            async for line in response.aiter_lines():
                if line.startswith("data:"):
                    yield json.loads(line[5:])

    def _check(self, status: int, body: Any) -> None:
        if status == 200:
            return
        error = body["error"]
        info = error["details"][0]
        assert (error["code"], info["domain"]) == (status, "a2a-protocol.org")
        raise Refused(info["reason"], error["message"])

    async def send(self, message: pb.Message, **configuration: Any) -> pb.Task:
        result = await self._call("POST", "/message:send", MessageToDict(_sending(message, configuration)))
        return ParseDict(result["task"], pb.Task())

    async def stream(self, message: pb.Message) -> AsyncIterator[pb.StreamResponse]:
        async for item in self._events("POST", "/message:stream", MessageToDict(_sending(message, {}))):
            yield ParseDict(item, pb.StreamResponse())

    async def get(self, task_id: str, history_length: int | None = None) -> pb.Task:
        query = {} if history_length is None else {"historyLength": history_length}
        return ParseDict(await self._call("GET", f"/tasks/{task_id}", **query), pb.Task())

    async def cancel(self, task_id: str) -> pb.Task:
        return ParseDict(await self._call("POST", f"/tasks/{task_id}:cancel"), pb.Task())

    async def subscribe(self, task_id: str) -> AsyncIterator[pb.StreamResponse]:
        async for item in self._events("POST", f"/tasks/{task_id}:subscribe"):
            yield ParseDict(item, pb.StreamResponse())

    async def list_tasks(self, **query: Any) -> pb.ListTasksResponse:
        return ParseDict(await self._call("GET", "/tasks", **query), pb.ListTasksResponse())

    async def set_push(self, config: pb.TaskPushNotificationConfig) -> pb.TaskPushNotificationConfig:
        path = f"/tasks/{config.task_id}/pushNotificationConfigs"
        return ParseDict(await self._call("POST", path, MessageToDict(config)), pb.TaskPushNotificationConfig())

    async def get_push(self, task_id: str, config_id: str) -> pb.TaskPushNotificationConfig:
        found = await self._call("GET", f"/tasks/{task_id}/pushNotificationConfigs/{config_id}")
        return ParseDict(found, pb.TaskPushNotificationConfig())

    async def list_push(self, task_id: str) -> list[pb.TaskPushNotificationConfig]:
        found = await self._call("GET", f"/tasks/{task_id}/pushNotificationConfigs")
        return [ParseDict(config, pb.TaskPushNotificationConfig()) for config in found.get("configs", [])]

    async def delete_push(self, task_id: str, config_id: str) -> None:
        await self._call("DELETE", f"/tasks/{task_id}/pushNotificationConfigs/{config_id}")


class Rest03(Rest):
    """HTTP+JSON 0.3."""

    name = "HTTP+JSON 0.3"
    lists = False
    headers: ClassVar[dict[str, str]] = {}

    def __init__(self, http: httpx.AsyncClient, path: str = "/a2a") -> None:
        super().__init__(http, f"{path}/v1")

    def _check(self, status: int, body: Any) -> None:
        if status != 200:
            raise Refused(REASONS[body["code"]], body["message"])

    async def send(self, message: pb.Message, **configuration: Any) -> pb.Task:
        body = MessageToDict(_old_request(message, configuration))
        result = ParseDict(await self._call("POST", "/message:send", body), pb3.SendMessageResponse())
        return _new_task(result.task)

    async def stream(self, message: pb.Message) -> AsyncIterator[pb.StreamResponse]:
        async for item in self._events("POST", "/message:stream", MessageToDict(_old_request(message, {}))):
            yield _new_item(ParseDict(item, pb3.StreamResponse()))

    async def get(self, task_id: str, history_length: int | None = None) -> pb.Task:
        query = {} if history_length is None else {"historyLength": history_length}
        return _new_task(ParseDict(await self._call("GET", f"/tasks/{task_id}", **query), pb3.Task()))

    async def cancel(self, task_id: str) -> pb.Task:
        return _new_task(ParseDict(await self._call("POST", f"/tasks/{task_id}:cancel"), pb3.Task()))

    async def subscribe(self, task_id: str) -> AsyncIterator[pb.StreamResponse]:
        async for item in self._events("GET", f"/tasks/{task_id}:subscribe"):
            yield _new_item(ParseDict(item, pb3.StreamResponse()))

    async def set_push(self, config: pb.TaskPushNotificationConfig) -> pb.TaskPushNotificationConfig:
        path = f"/tasks/{config.task_id}/pushNotificationConfigs"
        return _old_push(await self._call("POST", path, MessageToDict(_old_config(config))))

    async def get_push(self, task_id: str, config_id: str) -> pb.TaskPushNotificationConfig:
        return _old_push(await self._call("GET", f"/tasks/{task_id}/pushNotificationConfigs/{config_id}"))

    async def list_push(self, task_id: str) -> list[pb.TaskPushNotificationConfig]:
        found = await self._call("GET", f"/tasks/{task_id}/pushNotificationConfigs")
        return [_old_push(config) for config in found.get("configs", [])]


def _old_request(message: pb.Message, configuration: dict[str, Any]) -> pb3.SendMessageRequest:
    old = _old(_sending(message, configuration))
    request = pb3.SendMessageRequest(request=proto_utils.ToProto.message(old.message))
    if old.configuration is not None:
        request.configuration.CopyFrom(proto_utils.ToProto.message_send_configuration(old.configuration))
    return request


def _old_config(config: pb.TaskPushNotificationConfig) -> pb3.CreateTaskPushNotificationConfigRequest:
    old = conversions.to_compat_task_push_notification_config(config)
    return pb3.CreateTaskPushNotificationConfigRequest(
        parent=f"tasks/{config.task_id}",
        config_id=config.id,
        config=proto_utils.ToProto.task_push_notification_config(old),
    )


def _old_push(said: Any) -> pb.TaskPushNotificationConfig:
    proto = ParseDict(said, pb3.TaskPushNotificationConfig()) if isinstance(said, dict) else said
    return conversions.to_core_task_push_notification_config(proto_utils.FromProto.task_push_notification_config(proto))


def _new_task(old: pb3.Task) -> pb.Task:
    return conversions.to_core_task(proto_utils.FromProto.task(old))


def _new_item(old: pb3.StreamResponse) -> pb.StreamResponse:
    return _item(proto_utils.FromProto.stream_response(old))


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
        task: pb.Task = (await self._call("SendMessage", _sending(message, configuration))).task
        return task

    async def stream(self, message: pb.Message) -> AsyncIterator[pb.StreamResponse]:
        async for item in self._events("SendStreamingMessage", _sending(message, {})):
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
        return Refused(_NAMES_0_3[name], words)

    async def send(self, message: pb.Message, **configuration: Any) -> pb.Task:
        return _new_task((await self._call("SendMessage", _old_request(message, configuration))).task)

    async def stream(self, message: pb.Message) -> AsyncIterator[pb.StreamResponse]:
        async for item in self._events("SendStreamingMessage", _old_request(message, {})):
            yield _new_item(item)

    async def get(self, task_id: str, history_length: int | None = None) -> pb.Task:
        request = pb3.GetTaskRequest(name=f"tasks/{task_id}", history_length=history_length or 0)
        return _new_task(await self._call("GetTask", request))

    async def cancel(self, task_id: str) -> pb.Task:
        return _new_task(await self._call("CancelTask", pb3.CancelTaskRequest(name=f"tasks/{task_id}")))

    async def subscribe(self, task_id: str) -> AsyncIterator[pb.StreamResponse]:
        async for item in self._events("TaskSubscription", pb3.TaskSubscriptionRequest(name=f"tasks/{task_id}")):
            yield _new_item(item)

    async def set_push(self, config: pb.TaskPushNotificationConfig) -> pb.TaskPushNotificationConfig:
        return _old_push(await self._call("CreateTaskPushNotificationConfig", _old_config(config)))

    async def get_push(self, task_id: str, config_id: str) -> pb.TaskPushNotificationConfig:
        name = f"tasks/{task_id}/pushNotificationConfigs/{config_id}"
        request = pb3.GetTaskPushNotificationConfigRequest(name=name)
        return _old_push(await self._call("GetTaskPushNotificationConfig", request))

    async def list_push(self, task_id: str) -> list[pb.TaskPushNotificationConfig]:
        request = pb3.ListTaskPushNotificationConfigRequest(parent=f"tasks/{task_id}")
        return [_old_push(config) for config in (await self._call("ListTaskPushNotificationConfig", request)).configs]

    async def delete_push(self, task_id: str, config_id: str) -> None:
        name = f"tasks/{task_id}/pushNotificationConfigs/{config_id}"
        request = pb3.DeleteTaskPushNotificationConfigRequest(name=name)
        await self._call("DeleteTaskPushNotificationConfig", request)


@asynccontextmanager
async def doors(kernel: Kernel, key: str) -> AsyncIterator[list[Door]]:
    """Yield every door of a kernel, opened with a key; JSON-RPC 1.0 is the first."""
    async with kernel.async_client(key) as http, grpc.aio.insecure_channel(kernel.grpc_address) as channel:
        yield [
            JsonRpc(http),
            Rest(http),
            Grpc(channel, key),
            JsonRpc03(http),
            Rest03(http),
            Grpc03(channel, key),
        ]


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
