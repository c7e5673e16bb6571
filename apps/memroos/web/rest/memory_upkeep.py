"""The memory service's work, over REST: jobs, dead letters, indexes, counts, evaluations."""

from typing import Annotated

import msgspec
from litestar import Controller, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter

from memroos import memory
from memroos_contracts.identity import Actor
from memroos_contracts.memory_items import Name
from memroos_contracts.memory_work import (
    InventoryRow,
    JobState,
    JobView,
    MemoryStats,
    ReindexRequest,
    ReplayReport,
    WaitReport,
    WaitRequest,
)
from memroos_contracts.pages import Page
from memroos_contracts.recall_evals import NewRecallEval, RecallEvalView
from memroos_kit.db.once import Idempotency

Caller = NamedDependency[Actor]
MemoryUpkeep = NamedDependency[memory.Upkeep]
Once = NamedDependency[Idempotency | None]
Limit = Annotated[int, QueryParameter(ge=1, le=100)]
Cursor = FromQuery[str | None]


class Replay(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which dead letter to put back into line; all of them where none is named."""

    job_id: Name | None = None


class MemoryUpkeepController(Controller):
    """How the memory service stands, and what it is told to do."""

    path = "/api/memory"
    tags = ("memory",)

    @get("/jobs", operation_id="listMemoryJobs")
    async def list_jobs(
        self,
        actor: Caller,
        memory_upkeep: MemoryUpkeep,
        job_state: Annotated[JobState | None, QueryParameter(name="state")] = None,
        limit: Limit = 50,
        cursor: Cursor = None,
    ) -> Page[JobView]:
        """List pieces of the service's work, the newest first."""
        return await memory_upkeep.list_jobs(actor, state=job_state, limit=limit, cursor=cursor)

    @get("/jobs/{job:str}", operation_id="getMemoryJob")
    async def get_job(self, job: FromPath[str], actor: Caller, memory_upkeep: MemoryUpkeep) -> JobView:
        """Say how far a piece of work is."""
        return await memory_upkeep.get_job(actor, job)

    @post("/jobs/wait", operation_id="waitForMemoryJobs", status_code=200)
    async def wait(self, data: JSONBody[WaitRequest], actor: Caller, memory_upkeep: MemoryUpkeep) -> WaitReport:
        """Wait until what was written so far has been worked off, or the time is over."""
        return await memory_upkeep.wait(actor, data)

    @post("/dead-letters/replay", operation_id="replayMemoryDeadLetters", status_code=200)
    async def replay(
        self, data: JSONBody[Replay], actor: Caller, memory_upkeep: MemoryUpkeep, idempotency: Once
    ) -> ReplayReport:
        """Put a dead letter back into line, or all of them."""
        return await memory_upkeep.replay(actor, data.job_id, idempotency)

    @post("/reindex", operation_id="reindexMemory", status_code=202)
    async def reindex(
        self, data: JSONBody[ReindexRequest], actor: Caller, memory_upkeep: MemoryUpkeep, idempotency: Once
    ) -> JobView:
        """Make indexes anew out of the truth; returns the job that does it."""
        return await memory_upkeep.reindex(actor, data, idempotency)

    @get("/stats", operation_id="getMemoryStats")
    async def stats(self, actor: Caller, memory_upkeep: MemoryUpkeep) -> MemoryStats:
        """Say how memory stands in what you may see, also while the memory service is away."""
        return await memory_upkeep.stats(actor)

    @post("/evals", operation_id="keepRecallEval")
    async def keep_eval(
        self, data: JSONBody[NewRecallEval], actor: Caller, memory_upkeep: MemoryUpkeep, idempotency: Once
    ) -> RecallEvalView:
        """Keep the outcome of a recall evaluation, so that the next can be compared with it."""
        return await memory_upkeep.keep_eval(actor, data, idempotency)

    @get("/evals", operation_id="listRecallEvals")
    async def list_evals(
        self, actor: Caller, memory_upkeep: MemoryUpkeep, limit: Limit = 50, cursor: Cursor = None
    ) -> Page[RecallEvalView]:
        """List recall evaluations, the newest first."""
        return await memory_upkeep.list_evals(actor, limit=limit, cursor=cursor)


class MemoryInventoryController(Controller):
    """How much is remembered, for whom."""

    path = "/api/memory-inventory"
    tags = ("memory",)

    @get("/", operation_id="listMemoryInventory")
    async def inventory(
        self, actor: Caller, memory_upkeep: MemoryUpkeep, limit: Limit = 50, cursor: Cursor = None
    ) -> Page[InventoryRow]:
        """List how much is remembered for each scope that you may see."""
        return await memory_upkeep.list_inventory(actor, limit=limit, cursor=cursor)
