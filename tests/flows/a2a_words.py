"""What the A2A doors of a kernel are asked and answer, in one form for all of them."""

from collections.abc import AsyncIterator
from typing import Any, Protocol

from a2a.compat.v0_3 import a2a_v0_3_pb2 as pb3
from a2a.compat.v0_3 import conversions, proto_utils
from a2a.compat.v0_3 import types as v0_3
from a2a.types import a2a_pb2 as pb
from google.protobuf.json_format import ParseDict

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
NAMES_0_3 = {
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


def sending(message: pb.Message, configuration: dict[str, Any]) -> pb.SendMessageRequest:
    return pb.SendMessageRequest(message=message, configuration=pb.SendMessageConfiguration(**configuration))


def old_of(request: pb.SendMessageRequest) -> v0_3.MessageSendParams:
    return conversions.to_compat_send_message_request(request, 1).params


def item_of(result: Any) -> pb.StreamResponse:
    return conversions.to_core_stream_response(v0_3.SendStreamingMessageSuccessResponse(id=1, result=result))


def new_config(said: Any) -> pb.TaskPushNotificationConfig:
    return conversions.to_core_task_push_notification_config(v0_3.TaskPushNotificationConfig.model_validate(said))


def old_request(message: pb.Message, configuration: dict[str, Any]) -> pb3.SendMessageRequest:
    old = old_of(sending(message, configuration))
    request = pb3.SendMessageRequest(request=proto_utils.ToProto.message(old.message))
    if old.configuration is not None:
        request.configuration.CopyFrom(proto_utils.ToProto.message_send_configuration(old.configuration))
    return request


def old_config(config: pb.TaskPushNotificationConfig) -> pb3.CreateTaskPushNotificationConfigRequest:
    old = conversions.to_compat_task_push_notification_config(config)
    return pb3.CreateTaskPushNotificationConfigRequest(
        parent=f"tasks/{config.task_id}",
        config_id=config.id,
        config=proto_utils.ToProto.task_push_notification_config(old),
    )


def old_push(said: Any) -> pb.TaskPushNotificationConfig:
    proto = ParseDict(said, pb3.TaskPushNotificationConfig()) if isinstance(said, dict) else said
    return conversions.to_core_task_push_notification_config(proto_utils.FromProto.task_push_notification_config(proto))


def new_task(old: pb3.Task) -> pb.Task:
    return conversions.to_core_task(proto_utils.FromProto.task(old))


def new_item(old: pb3.StreamResponse) -> pb.StreamResponse:
    return item_of(proto_utils.FromProto.stream_response(old))
