"""Memory over REST: write, recall, read, delete."""

from typing import Annotated

from litestar import Controller, delete, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter

from memroos import memory
from memroos_contracts.identity import Actor
from memroos_contracts.memory import (
    ContextRequest,
    ContextResult,
    KeptMemories,
    MemoryEventView,
    NewMemories,
    NewMemory,
    RecallRequest,
    RecallResult,
)
from memroos_contracts.pages import Page
from memroos_kit.db import Database
from memroos_kit.db.once import Idempotency, once

Db = NamedDependency[Database]
Caller = NamedDependency[Actor]
Once = NamedDependency[Idempotency | None]
Limit = Annotated[int, QueryParameter(ge=1, le=100)]
Cursor = FromQuery[str | None]
Reason = Annotated[str, QueryParameter(max_length=200)]


class AgentMemoryController(Controller):
    """What a caller keeps for itself."""

    path = "/api/agent-memory"
    tags = ("memory",)

    @post("/", operation_id="writeAgentMemory")
    async def write_memory(
        self, data: JSONBody[NewMemory], db: Db, actor: Caller, idempotency: Once
    ) -> MemoryEventView:
        """Keep a memory, or a receipt of what you did; it can be recalled at once."""
        return await db.write(actor, once, idempotency, MemoryEventView, memory.write_memory, data)

    @post("/batch", operation_id="writeAgentMemories")
    async def write_memories(
        self, data: JSONBody[NewMemories], db: Db, actor: Caller, idempotency: Once
    ) -> KeptMemories:
        """Keep several memories in this order, all of them or none."""
        return await db.write(actor, once, idempotency, KeptMemories, memory.write_memories, data)

    @get("/", operation_id="listAgentMemory")
    async def list_own(self, db: Db, actor: Caller, limit: Limit = 50, cursor: Cursor = None) -> Page[MemoryEventView]:
        """List what you have written, newest first; the ledger keeps that it was read."""
        return await db.write(actor, memory.list_own, limit=limit, cursor=cursor)


class RecallController(Controller):
    """Questions to memory."""

    path = "/api/recall"
    tags = ("memory",)

    @post("/", operation_id="recallMemory", status_code=200)
    async def recall(
        self, data: JSONBody[RecallRequest], actor: Caller, recalls: NamedDependency[memory.Recalls]
    ) -> RecallResult:
        """Find what answers a question among what you may see, best first; the ledger keeps what was given out."""
        return await recalls.recall(actor, data)

    @post("/context", operation_id="recallContext", status_code=200)
    async def context(
        self, data: JSONBody[ContextRequest], actor: Caller, recalls: NamedDependency[memory.Recalls]
    ) -> ContextResult:
        """Get what answers a question as a text that fits a budget of tokens; the ledger keeps what was given out."""
        return await recalls.context(actor, data)


class MemoryController(Controller):
    """Raw events, as they were."""

    path = "/api/memory"
    tags = ("memory",)

    @get("/", operation_id="listMemoryEvents")
    async def list_events(
        self, db: Db, actor: Caller, stream: FromQuery[str], limit: Limit = 50, cursor: Cursor = None
    ) -> Page[MemoryEventView]:
        """List a stream's events that you may see, oldest first; the ledger keeps that they were read."""
        return await db.write(actor, memory.list_events, stream, limit=limit, cursor=cursor)

    @get("/{memory_id:str}", operation_id="readMemoryEvent")
    async def read_event(self, memory_id: FromPath[str], db: Db, actor: Caller) -> MemoryEventView:
        """Return one event; the ledger keeps who read it."""
        return await db.write(actor, memory.read_event, memory_id)

    @delete("/{memory_id:str}", operation_id="deleteMemory")
    async def delete_memory(
        self,
        memory_id: FromPath[str],
        actor: Caller,
        memory_items: NamedDependency[memory.Items],
        reason: Reason = "",
    ) -> None:
        """Take an event or an item out of every read path, at once, with what was learned from it alone."""
        await memory_items.delete(actor, memory_id, reason)
