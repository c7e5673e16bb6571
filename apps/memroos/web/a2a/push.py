"""The four operations on push notification configurations, and how a notification is written (A2A 1.0, 4.3.3)."""

from collections.abc import Callable

import msgspec
from a2a.compat.v0_3 import conversions
from a2a.server.context import ServerCallContext
from a2a.server.request_handlers.request_handler import RequestHandler
from a2a.types import a2a_pb2
from a2a.utils import errors as sdk
from google.protobuf.json_format import MessageToDict

from memroos import broker, push
from memroos.web import access
from memroos.web.a2a import convert
from memroos.web.a2a.context import ACTOR
from memroos.web.a2a.errors import protocol_errors, to_protocol
from memroos_contracts.broker import Message, TaskDetail, TaskEvent, TaskView
from memroos_contracts.errors import InvalidRequest, MemroosError
from memroos_contracts.identity import Actor, AgentId, TaskId
from memroos_contracts.push import NewPushConfig, PushConfigView
from memroos_contracts.registry import AgentView
from memroos_kit.db import Database, Tx

OPERATION = "a2aPushNotificationConfigs"
VERSION_HEADER = "a2a-version"
PAGE = 50
PAGE_MAX = 100


class PushOperations(RequestHandler):
    """The part of the request handler that is about push notifications; `BrokerHandler` has the rest."""

    _db: Database
    _push: push.Terms

    def _addressed(self, actor: Actor, context: ServerCallContext) -> AgentView | None:
        raise NotImplementedError

    async def on_create_task_push_notification_config(
        self, params: a2a_pb2.TaskPushNotificationConfig, context: ServerCallContext
    ) -> a2a_pb2.TaskPushNotificationConfig:
        """Have notifications about a task sent to an address."""
        actor = _actor(context)
        with protocol_errors():
            agent = self._notifying(actor, context)
            made = await self._db.write(
                actor,
                push.create_config,
                self._push,
                TaskId(params.task_id),
                config_from(params),
                version=version_of(context),
                agent_id=agent,
            )
            return config_to(made)

    async def on_get_task_push_notification_config(
        self, params: a2a_pb2.GetTaskPushNotificationConfigRequest, context: ServerCallContext
    ) -> a2a_pb2.TaskPushNotificationConfig:
        """Return where notifications go; not with which credentials."""
        actor = _actor(context)
        with protocol_errors():
            agent = self._notifying(actor, context)
            found = await self._db.read(actor, push.get_named_config, TaskId(params.task_id), params.id, agent_id=agent)
            return config_to(found)

    async def on_list_task_push_notification_configs(
        self, params: a2a_pb2.ListTaskPushNotificationConfigsRequest, context: ServerCallContext
    ) -> a2a_pb2.ListTaskPushNotificationConfigsResponse:
        """Return where notifications about a task go."""
        actor = _actor(context)
        with protocol_errors():
            agent = self._notifying(actor, context)
            page = await self._db.read(
                actor,
                push.list_configs,
                push.PushFilter(task_id=_required(params.task_id)),
                limit=_size(params.page_size),
                cursor=params.page_token or None,
                agent_id=agent,
            )
        return a2a_pb2.ListTaskPushNotificationConfigsResponse(
            configs=[config_to(config) for config in page.items], next_page_token=page.next_cursor or ""
        )

    async def on_delete_task_push_notification_config(
        self, params: a2a_pb2.DeleteTaskPushNotificationConfigRequest, context: ServerCallContext
    ) -> None:
        """Send no more notifications there. May be repeated."""
        actor = _actor(context)
        with protocol_errors():
            agent = self._notifying(actor, context)
            await self._db.write(actor, push.delete_named_config, TaskId(params.task_id), params.id, agent_id=agent)

    def _notifying(self, actor: Actor, context: ServerCallContext) -> AgentId | None:
        """Return the agent whose endpoint was called, None at the kernel's own.

        Raises:
            PushNotificationNotSupportedError: its card says that there are none.
            NotFound: there is no such agent, or the tenant is not the caller's.
        """
        agent = self._addressed(actor, context)
        _demand_push(agent)
        return None if agent is None else agent.id

    def _sending(
        self, actor: Actor, params: a2a_pb2.SendMessageRequest, context: ServerCallContext
    ) -> Callable[..., TaskView]:
        """Return the verb that sends a message, and has its caller notified where the request says so.

        Raises:
            PushNotificationNotSupportedError: the agent's card says that there are no notifications.
            InvalidRequest: something is missing or too long.
        """
        if not params.configuration.HasField("task_push_notification_config"):
            return broker.send_message
        _demand_push(self._addressed(actor, context))
        config = config_from(params.configuration.task_push_notification_config)
        version = version_of(context)

        def send_with_config(tx: Tx, send: broker.Send, *, task_id: TaskId | None = None) -> TaskView:
            return push.send_with_config(tx, send, config, self._push, version=version, task_id=task_id)

        return send_with_config


def config_from(proto: a2a_pb2.TaskPushNotificationConfig) -> NewPushConfig:
    """Return what the caller wants.

    Raises:
        InvalidRequest: something is missing or too long.
    """
    try:
        return msgspec.convert(
            {
                "url": proto.url,
                "id": proto.id,
                "token": proto.token,
                "scheme": proto.authentication.scheme,
                "credentials": proto.authentication.credentials,
            },
            NewPushConfig,
        )
    except msgspec.ValidationError as error:
        words, _, place = str(error).partition(" - at `$.")
        field = place.rstrip("`") or "config"
        raise InvalidRequest("The push notification configuration cannot be used.", fields={field: words}) from error


def config_to(config: PushConfigView) -> a2a_pb2.TaskPushNotificationConfig:
    """Return a configuration for the wire; tokens and credentials are shown to nobody again."""
    proto = a2a_pb2.TaskPushNotificationConfig(id=config.config_id, task_id=config.task_id, url=config.url)
    if config.scheme:
        proto.authentication.scheme = config.scheme
    return proto


def version_of(context: ServerCallContext) -> str:
    """Return in which version's form notifications are expected: that of the call."""
    said = str(context.state.get("headers", {}).get(VERSION_HEADER, "")).strip()
    return push.V0_3 if not said or said.startswith("0.") else push.V1_0


def encode(task: TaskView, content: TaskDetail | TaskEvent | Message, version: str) -> bytes:
    """Write a notification: a `StreamResponse`, or in 0.3 the task."""
    if version == push.V0_3 and isinstance(content, TaskDetail):
        old = conversions.to_compat_task(convert.task_to(content))
        return old.model_dump_json(by_alias=True, exclude_none=True).encode()
    if version == push.V0_3 and isinstance(content, Message):
        return conversions.to_compat_message(convert.message_to(content)).model_dump_json(exclude_none=True).encode()
    return msgspec.json.encode(MessageToDict(_response(task, content)))


def _response(task: TaskView, content: TaskDetail | TaskEvent | Message) -> a2a_pb2.StreamResponse:
    if isinstance(content, TaskDetail):
        return a2a_pb2.StreamResponse(task=convert.task_to(content))
    if isinstance(content, Message):
        return a2a_pb2.StreamResponse(message=convert.message_to(content))
    update = convert.event_to(task.id, task.context_id, content)
    if isinstance(update, a2a_pb2.TaskArtifactUpdateEvent):
        return a2a_pb2.StreamResponse(artifact_update=update)
    return a2a_pb2.StreamResponse(status_update=update)


def _actor(context: ServerCallContext) -> Actor:
    """Return the caller, if the access table lets its role use these operations."""
    actor: Actor = context.state[ACTOR]
    try:
        access.demand(OPERATION, actor)
    except MemroosError as error:
        raise to_protocol(error) from error
    return actor


def _demand_push(agent: AgentView | None) -> None:
    if agent is not None and not agent.capabilities.push_notifications:
        raise sdk.PushNotificationNotSupportedError(
            message=f"The endpoint of {agent.name} sends no notifications; its card says so."
        )


def _required(task_id: str) -> str:
    if not task_id:
        raise InvalidRequest("Say which task it is about.", fields={"taskId": "is missing"})
    return task_id


def _size(said: int) -> int:
    if said < 0 or said > PAGE_MAX:
        raise InvalidRequest("pageSize must be between 1 and 100.", fields={"pageSize": "must be between 1 and 100"})
    return said or PAGE
