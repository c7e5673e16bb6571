"""Push notifications over REST: where they go, how far they got, what was tried, and once more."""

from typing import Annotated

from litestar import Controller, delete, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter

from memroos import push
from memroos_contracts.identity import Actor, TaskId
from memroos_contracts.pages import Page
from memroos_contracts.push import NewPushConfig, PushConfigView, PushId, PushReplay, PushState, PushTryView
from memroos_kit.db import Database
from memroos_kit.db.once import Idempotency, once

Db = NamedDependency[Database]
Caller = NamedDependency[Actor]
Limit = Annotated[int, QueryParameter(ge=1, le=100)]
Cursor = FromQuery[str | None]


class PushNotificationController(Controller):
    """Where notifications about tasks go. Tokens and credentials are shown to nobody."""

    path = "/api"
    tags = ("push notifications",)

    @post("/tasks/{task:str}/push-notifications", operation_id="createPushNotification")
    async def create(
        self,
        task: FromPath[str],
        data: JSONBody[NewPushConfig],
        db: Db,
        actor: Caller,
        push_terms: NamedDependency[push.Terms],
        idempotency: NamedDependency[Idempotency | None],
    ) -> PushConfigView:
        """Have notifications about a task sent to an address. One of the same id is replaced."""
        verb = push.create_config
        return await db.write(actor, once, idempotency, PushConfigView, verb, push_terms, TaskId(task), data)

    @get("/push-notifications", operation_id="listPushNotifications")
    async def list_all(
        self,
        db: Db,
        actor: Caller,
        task: FromQuery[str | None] = None,
        push_state: FromQuery[PushState | None] = None,
        limit: Limit = 50,
        cursor: Cursor = None,
    ) -> Page[PushConfigView]:
        """List where notifications go, newest first."""
        wanted = push.PushFilter(task_id=task or "", state=push_state)
        return await db.read(actor, push.list_configs, wanted, limit=limit, cursor=cursor)

    @get("/push-notifications/{notification:str}", operation_id="getPushNotification")
    async def get_one(self, notification: FromPath[str], db: Db, actor: Caller) -> PushConfigView:
        """Say where notifications go, and how far they got."""
        return await db.read(actor, push.get_config, PushId(notification))

    @get("/push-notifications/{notification:str}/tries", operation_id="listPushNotificationTries")
    async def tries(
        self, notification: FromPath[str], db: Db, actor: Caller, limit: Limit = 50, cursor: Cursor = None
    ) -> Page[PushTryView]:
        """List the last tries to deliver, newest first."""
        return await db.read(actor, push.list_tries, PushId(notification), limit=limit, cursor=cursor)

    @post("/push-notifications/{notification:str}/replay", operation_id="replayPushNotification", status_code=200)
    async def replay(
        self, notification: FromPath[str], data: JSONBody[PushReplay], db: Db, actor: Caller
    ) -> PushConfigView:
        """Send again what came after a generation, or go on where it stopped."""
        return await db.write(actor, push.replay_config, PushId(notification), data)

    @delete("/push-notifications/{notification:str}", operation_id="deletePushNotification")
    async def delete_one(self, notification: FromPath[str], db: Db, actor: Caller) -> None:
        """Send no more notifications there, and forget the address."""
        await db.write(actor, push.delete_config, PushId(notification))
