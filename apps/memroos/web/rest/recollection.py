"""What memory offered and handed out, over REST."""

from typing import Annotated

from litestar import Controller, delete, get, post, put
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter

from memroos import memory
from memroos_contracts.identity import Actor
from memroos_contracts.pages import Page
from memroos_contracts.recollection import (
    DryRunReport,
    DryRunRequest,
    MemoryTraceView,
    NewRecollectionPolicy,
    RecollectionPolicyView,
)
from memroos_kit.db import Database

Db = NamedDependency[Database]
Caller = NamedDependency[Actor]
Limit = Annotated[int, QueryParameter(ge=1, le=100)]
Cursor = FromQuery[str | None]


class RecollectionController(Controller):
    """What agents are reminded of when a task begins."""

    path = "/api/memory/recollection-policies"
    tags = ("memory",)

    @get("/", operation_id="listRecollectionPolicies")
    async def list_policies(self, db: Db, actor: Caller) -> Page[RecollectionPolicyView]:
        """List the policies by which agents are reminded; without one nobody is."""
        return await db.read(actor, memory.list_policies)

    @put("/", operation_id="putRecollectionPolicy")
    async def put_policy(self, data: JSONBody[NewRecollectionPolicy], db: Db, actor: Caller) -> RecollectionPolicyView:
        """Set the rule for an agent and a purpose, in place of the one before."""
        return await db.write(actor, memory.put_policy, data)

    @delete("/{policy:str}", operation_id="deleteRecollectionPolicy")
    async def delete_policy(self, policy: FromPath[str], db: Db, actor: Caller) -> None:
        """Take a rule away."""
        await db.write(actor, memory.delete_policy, policy)

    @post("/dry-run", operation_id="dryRunRecollectionPolicy", status_code=200)
    async def try_rule(
        self, data: JSONBody[DryRunRequest], actor: Caller, recollection: NamedDependency[memory.Recollection]
    ) -> DryRunReport:
        """Say what a rule would have handed out at recorded tasks; nothing is handed out."""
        return await recollection.try_rule(actor, data)


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
