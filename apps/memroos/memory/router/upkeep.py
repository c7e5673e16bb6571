"""The memory service's own work, seen and steered through the kernel."""

import asyncio

import msgspec

from memroos.memory import queries
from memroos.memory.queries.pending import count_pending
from memroos.memory.router.items import demand_listing
from memroos.memory.router.service import NONE_CONFIGURED, Service, viewer_of
from memroos.memory.service.effects import Change
from memroos.memory.service.writing import Event
from memroos_contracts.governance import Action, Asset
from memroos_contracts.identity import Actor
from memroos_contracts.memory_errors import MemoryServiceUnavailable
from memroos_contracts.memory_items import ItemKind
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


class Upkeep:
    """Jobs, dead letters, indexes, counts and evaluations, for doors.

    All raise `Denied` where policy says no, and `MemoryServiceUnavailable` while the service is away.
    """

    def __init__(self, service: Service) -> None:
        self._service = service
        self._db = service.db

    async def list_jobs(self, actor: Actor, *, state: JobState | None, limit: int, cursor: str | None) -> Page[JobView]:
        """List pieces of work, the newest first."""
        await self._db.read(actor, demand_listing)
        return await self._service.store.list_jobs(viewer_of(actor), state=state, cursor=cursor, limit=limit)

    async def get_job(self, actor: Actor, job_id: str) -> JobView:
        """Say how far a piece of work is."""
        await self._db.read(actor, demand_listing)
        return await self._service.store.get_job(viewer_of(actor), job_id)

    async def wait(self, actor: Actor, request: WaitRequest) -> WaitReport:
        """Wait until everything written so far is handed over and worked off, or the time is over."""
        await self._db.read(actor, demand_listing)
        store = self._service.store
        loop = asyncio.get_running_loop()
        until = loop.time() + request.wait_s
        handover = self._service.handover
        if handover is not None and not await handover.caught_up(request.wait_s):
            await store.position()  # away: that is said, instead of something about jobs
        left = msgspec.structs.replace(request, wait_s=max(0.0, until - loop.time()))
        report = await store.wait(viewer_of(actor), left)
        pending = await self._db.read(actor, count_pending)
        return msgspec.structs.replace(report, idle=report.idle and not pending, pending=pending)

    async def replay(self, actor: Actor, job_id: str | None, idempotency: Idempotency | None = None) -> ReplayReport:
        """Put a dead letter back into line, or all of them; with all, hand over again what the service refused."""

        async def ask(operation: str) -> ReplayReport:
            report = await self._service.store.replay(viewer_of(actor), job_id, operation)
            taken = 0
            if job_id is None and self._service.handover is not None:
                taken = await self._service.handover.replay(actor.workspace)
            return ReplayReport(report.replayed + taken)

        return await self._service.change(
            actor,
            _operating(Event.REPLAYED, job_id or "dead-letters"),
            ask,
            ReplayReport,
            facts=lambda report: {"replayed": report.replayed},
            idempotency=idempotency,
        )

    async def reindex(self, actor: Actor, request: ReindexRequest, idempotency: Idempotency | None = None) -> JobView:
        """Make indexes anew out of the truth; returns the job that does it."""
        return await self._service.change(
            actor,
            _operating(Event.REINDEXED, "indexes"),
            lambda operation: self._service.store.reindex(viewer_of(actor), request, operation),
            JobView,
            facts=lambda job: {"job": job.id, "indexes": [index.value for index in request.indexes]},
            idempotency=idempotency,
        )

    async def stats(self, actor: Actor) -> MemoryStats:
        """Say how memory stands in what the actor may see, also while the service is away."""
        await self._db.read(actor, demand_listing)
        try:
            found = await self._service.store.stats(viewer_of(actor))
        except MemoryServiceUnavailable as error:
            return await self._own_stats(actor, error.detail)
        return msgspec.structs.replace(found, pending=await self._db.read(actor, count_pending))

    async def list_inventory(self, actor: Actor, *, limit: int, cursor: str | None) -> Page[InventoryRow]:
        """List how much is remembered for each scope."""
        await self._db.read(actor, demand_listing)
        return await self._service.store.list_inventory(viewer_of(actor), cursor=cursor, limit=limit)

    async def keep_eval(
        self, actor: Actor, result: NewRecallEval, idempotency: Idempotency | None = None
    ) -> RecallEvalView:
        """Keep the outcome of a recall evaluation."""
        return await self._service.change(
            actor,
            _operating(Event.EVALUATED, "evals", configuration=result.configuration, file_digest=result.file_digest),
            lambda operation: self._service.store.keep_eval(viewer_of(actor), result, operation),
            RecallEvalView,
            facts=lambda kept: {"eval": kept.id},
            idempotency=idempotency,
        )

    async def list_evals(self, actor: Actor, *, limit: int, cursor: str | None) -> Page[RecallEvalView]:
        """List recall evaluations, the newest first."""
        await self._db.read(actor, demand_listing)
        return await self._service.store.list_evals(viewer_of(actor), cursor=cursor, limit=limit)

    async def _own_stats(self, actor: Actor, why: str) -> MemoryStats:
        events = await self._db.read(actor, queries.count_visible)
        configured = self._service.is_configured
        return MemoryStats(
            ready=False,
            items=events,
            by_kind={ItemKind.EVENT: events},
            arms=queries.FOUND_BY,
            pending=await self._db.read(actor, count_pending) if configured else 0,
            detail=why if configured else NONE_CONFIGURED,
        )


def _operating(event: Event, name: str, **facts: str) -> Change:
    return Change(Action.MEMORY_OPERATE, event, lambda _: Asset(kind="memory", id=name), dict(facts))
