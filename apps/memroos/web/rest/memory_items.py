"""What is remembered, over REST: items, their history, their scopes."""

from typing import Annotated

from litestar import Controller, get, patch, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter

from memroos import memory
from memroos_contracts.identity import Actor
from memroos_contracts.memory_items import (
    ItemChange,
    ItemQuery,
    ItemView,
    RollbackReport,
    RollbackRequest,
    ScopeView,
    Successor,
    VersionView,
)
from memroos_contracts.pages import Page
from memroos_kit.db.once import Idempotency

Caller = NamedDependency[Actor]
Items = NamedDependency[memory.Items]
Once = NamedDependency[Idempotency | None]
Limit = Annotated[int, QueryParameter(ge=1, le=100)]
Cursor = FromQuery[str | None]


class MemoryItemController(Controller):
    """Events and what was learned from them, as the memory service keeps it."""

    path = "/api/memory/items"
    tags = ("memory",)

    @post("/query", operation_id="queryMemoryItems", status_code=200)
    async def list_items(self, data: JSONBody[ItemQuery], actor: Caller, memory_items: Items) -> Page[ItemView]:
        """List items that you may see, oldest first; the ledger keeps that they were read."""
        return await memory_items.list_items(actor, data)

    @get("/{memory_id:str}", operation_id="getMemoryItem")
    async def get_item(self, memory_id: FromPath[str], actor: Caller, memory_items: Items) -> ItemView:
        """Return an item as it stands; the ledger keeps who read it."""
        return await memory_items.get_item(actor, memory_id)

    @get("/{memory_id:str}/history", operation_id="getMemoryItemHistory")
    async def list_history(
        self, memory_id: FromPath[str], actor: Caller, memory_items: Items, limit: Limit = 50, cursor: Cursor = None
    ) -> Page[VersionView]:
        """List an item's versions, oldest first; the ledger keeps who read them."""
        return await memory_items.list_history(actor, memory_id, limit=limit, cursor=cursor)

    @patch("/{memory_id:str}", operation_id="updateMemoryItem")
    async def update(
        self, memory_id: FromPath[str], data: JSONBody[ItemChange], actor: Caller, memory_items: Items
    ) -> ItemView:
        """Change an item; the version before stays in its history."""
        return await memory_items.update(actor, memory_id, data)

    @post("/{memory_id:str}/supersede", operation_id="supersedeMemoryItem", status_code=200)
    async def supersede(
        self,
        memory_id: FromPath[str],
        data: JSONBody[Successor],
        actor: Caller,
        memory_items: Items,
        idempotency: Once,
    ) -> ItemView:
        """Say what holds instead of an item, another item or a new text; returns what does."""
        return await memory_items.supersede(actor, memory_id, data, idempotency)


class MemoryScopeController(Controller):
    """Logs of what the same readers may see."""

    path = "/api/memory/scopes"
    tags = ("memory",)

    @get("/", operation_id="listMemoryScopes")
    async def list_scopes(self, actor: Caller, memory_items: Items) -> Page[ScopeView]:
        """List the scopes that you may see."""
        return await memory_items.list_scopes(actor)

    @post("/{scope_id:str}/rollback", operation_id="rollbackMemoryScope", status_code=200)
    async def roll_back(
        self,
        scope_id: FromPath[str],
        data: JSONBody[RollbackRequest],
        actor: Caller,
        memory_items: Items,
        idempotency: Once,
    ) -> RollbackReport:
        """Take a scope back to an entry of its log, by entries that undo; or say what that would change."""
        return await memory_items.roll_back(actor, scope_id, data, idempotency)
