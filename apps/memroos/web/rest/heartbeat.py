"""Signs of life over REST."""

from litestar import Controller, post
from litestar.di import NamedDependency
from litestar.params import JSONBody

from memroos import registry
from memroos_contracts.identity import Actor
from memroos_contracts.registry import Heartbeat, HeartbeatView
from memroos_kit.db import Database


class HeartbeatController(Controller):
    """Where agents say that they are there."""

    path = "/api/heartbeat"
    tags = ("agents",)

    @post("/", operation_id="sendHeartbeat", status_code=200)
    async def send_heartbeat(
        self, data: JSONBody[Heartbeat], db: NamedDependency[Database], actor: NamedDependency[Actor]
    ) -> HeartbeatView:
        """Say that you are there, how loaded you are, and when you will say so again."""
        return await db.write(actor, registry.record_heartbeat, data)
