"""What memory offered and handed out, over REST."""

from typing import Annotated

from litestar import Controller, get
from litestar.di import NamedDependency
from litestar.params import FromQuery, QueryParameter

from memroos import memory
from memroos_contracts.identity import Actor
from memroos_contracts.pages import Page
from memroos_contracts.recollection import MemoryTraceView
from memroos_kit.db import Database

Db = NamedDependency[Database]
Caller = NamedDependency[Actor]
Limit = Annotated[int, QueryParameter(ge=1, le=100)]
Cursor = FromQuery[str | None]


class MemoryTraceController(Controller):
    """What was handed out, to whom, and whether it was used."""

    path = "/api/memory/traces"
    tags = ("memory",)

    @get("/", operation_id="listMemoryTraces")
    async def list_traces(
        self,
        db: Db,
        actor: Caller,
        task_id: FromQuery[str | None] = None,
        agent_id: FromQuery[str | None] = None,
        limit: Limit = 50,
        cursor: Cursor = None,
    ) -> Page[MemoryTraceView]:
        """List what memory handed out to whom, the newest first; the ledger keeps who read it."""
        return await db.write(actor, memory.read_traces, task_id=task_id, agent_id=agent_id, limit=limit, cursor=cursor)
