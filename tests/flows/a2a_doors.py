"""One way to speak to each A2A door of a kernel, in the wire's own words, and one form for what all of them answer.

No client library is in between, so that a test sees what a door says and not what a client makes of it.
"""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, ClassVar

import grpc
import grpc.aio
import httpx
from a2a.compat.v0_3 import a2a_v0_3_pb2 as pb3
from a2a.compat.v0_3 import conversions
from a2a.compat.v0_3 import types as v0_3
from a2a.types import a2a_pb2 as pb
from google.protobuf.json_format import MessageToDict, ParseDict
from tests.flows.a2a_grpc_door import Grpc, Grpc03
from tests.flows.a2a_words import (
    REASONS,
    Door,
    Refused,
    item_of,
    new_config,
    new_item,
    new_task,
    old_config,
    old_of,
    old_push,
    old_request,
    sending,
)
from tests.flows.kernel import Kernel


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
        result = await self._call("SendMessage", MessageToDict(sending(message, configuration)))
        return ParseDict(result["task"], pb.Task())

    async def stream(self, message: pb.Message) -> AsyncIterator[pb.StreamResponse]:
        async for item in self._events("SendStreamingMessage", MessageToDict(sending(message, {}))):
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
        params = old_of(sending(message, configuration)).model_dump(mode="json", by_alias=True, exclude_none=True)
        result = await self._call("message/send", params)
        return conversions.to_core_task(v0_3.Task.model_validate(result))

    async def stream(self, message: pb.Message) -> AsyncIterator[pb.StreamResponse]:
        params = old_of(sending(message, {})).model_dump(mode="json", by_alias=True, exclude_none=True)
        async for item in self._events("message/stream", params):
            yield self._old_item(item)

    def _old_item(self, item: Any) -> pb.StreamResponse:
        kinds: dict[str, Any] = {
            "task": v0_3.Task,
            "message": v0_3.Message,
            "status-update": v0_3.TaskStatusUpdateEvent,
            "artifact-update": v0_3.TaskArtifactUpdateEvent,
        }
        return item_of(kinds[item["kind"]].model_validate(item))

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
        return new_config(made)

    async def get_push(self, task_id: str, config_id: str) -> pb.TaskPushNotificationConfig:
        params = {"id": task_id, "pushNotificationConfigId": config_id}
        return new_config(await self._call("tasks/pushNotificationConfig/get", params))

    async def list_push(self, task_id: str) -> list[pb.TaskPushNotificationConfig]:
        return [new_config(c) for c in await self._call("tasks/pushNotificationConfig/list", {"id": task_id})]

    async def delete_push(self, task_id: str, config_id: str) -> None:
        params = {"id": task_id, "pushNotificationConfigId": config_id}
        assert await self._call("tasks/pushNotificationConfig/delete", params) is None


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
        result = await self._call("POST", "/message:send", MessageToDict(sending(message, configuration)))
        return ParseDict(result["task"], pb.Task())

    async def stream(self, message: pb.Message) -> AsyncIterator[pb.StreamResponse]:
        async for item in self._events("POST", "/message:stream", MessageToDict(sending(message, {}))):
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
        body = MessageToDict(old_request(message, configuration))
        result = ParseDict(await self._call("POST", "/message:send", body), pb3.SendMessageResponse())
        return new_task(result.task)

    async def stream(self, message: pb.Message) -> AsyncIterator[pb.StreamResponse]:
        async for item in self._events("POST", "/message:stream", MessageToDict(old_request(message, {}))):
            yield new_item(ParseDict(item, pb3.StreamResponse()))

    async def get(self, task_id: str, history_length: int | None = None) -> pb.Task:
        query = {} if history_length is None else {"historyLength": history_length}
        return new_task(ParseDict(await self._call("GET", f"/tasks/{task_id}", **query), pb3.Task()))

    async def cancel(self, task_id: str) -> pb.Task:
        return new_task(ParseDict(await self._call("POST", f"/tasks/{task_id}:cancel"), pb3.Task()))

    async def subscribe(self, task_id: str) -> AsyncIterator[pb.StreamResponse]:
        async for item in self._events("GET", f"/tasks/{task_id}:subscribe"):
            yield new_item(ParseDict(item, pb3.StreamResponse()))

    async def set_push(self, config: pb.TaskPushNotificationConfig) -> pb.TaskPushNotificationConfig:
        path = f"/tasks/{config.task_id}/pushNotificationConfigs"
        return old_push(await self._call("POST", path, MessageToDict(old_config(config))))

    async def get_push(self, task_id: str, config_id: str) -> pb.TaskPushNotificationConfig:
        return old_push(await self._call("GET", f"/tasks/{task_id}/pushNotificationConfigs/{config_id}"))

    async def list_push(self, task_id: str) -> list[pb.TaskPushNotificationConfig]:
        found = await self._call("GET", f"/tasks/{task_id}/pushNotificationConfigs")
        return [old_push(config) for config in found.get("configs", [])]


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
