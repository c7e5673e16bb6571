"""What the kernel can ask: everything is a POST with a JSON body that names on whose behalf."""

from litestar import Controller, post
from litestar.di import NamedDependency
from litestar.params import JSONBody

from memroos_contracts.memory import ContextResult, IngestReport, RecallQuery, RecallResult
from memroos_contracts.memory_items import ItemView, RollbackReport, ScopeView, VersionView
from memroos_contracts.memory_work import (
    InventoryRow,
    JobView,
    MemoryStats,
    ReplayReport,
    WaitReport,
)
from memroos_contracts.pages import Page
from memroos_contracts.recall_evals import RecallEvalView
from memroos_kit.db import Database
from memroos_memory import __version__, evals, filters, items, jobs, work
from memroos_memory.actor import SERVICE
from memroos_memory.embedders import CurrentEmbedder
from memroos_memory.recall import Recall
from memroos_memory.web import bodies
from memroos_memory.web.intake import Intake
from memroos_memory.web.standing import Standing

Db = NamedDependency[Database]
Recalling = NamedDependency[Recall]
Stands = NamedDependency[Standing]


class IntakeController(Controller):
    """Taking over what the kernel keeps."""

    path = "/v1"

    @post("/events", operation_id="takeEvents", status_code=200)
    async def take_events(self, data: JSONBody[bodies.Events], intake: NamedDependency[Intake]) -> IngestReport:
        """Take over events, in this order; what is known by its id is left as it is."""
        return await intake.take_events(data.events)

    @post("/removals", operation_id="takeRemovals", status_code=200)
    async def take_removals(self, data: JSONBody[bodies.Removals], intake: NamedDependency[Intake]) -> dict[str, str]:
        """Take events out of everything that reads memory; may be repeated."""
        await intake.take_removals(data.removals)
        return {}

    @post("/intake", operation_id="getIntake", status_code=200)
    async def get_intake(self, db: Db) -> bodies.Position:
        """Say how far the kernel's log has been taken over."""
        return bodies.Position(await db.read(SERVICE, work.position))


class RecallController(Controller):
    """Questions."""

    path = "/v1"

    @post("/recall", operation_id="recall", status_code=200)
    async def recall(self, data: JSONBody[RecallQuery], recall: Recalling) -> RecallResult:
        """Find what answers a question, best first."""
        return await recall.recall(data)

    @post("/context", operation_id="getContext", status_code=200)
    async def get_context(self, data: JSONBody[bodies.ContextQuery], recall: Recalling) -> ContextResult:
        """Return what answers a question as a text within a budget."""
        return await recall.context(data.query, data.request)


class ItemController(Controller):
    """Items and their versions."""

    path = "/v1/items"

    @post("/get", operation_id="getItem", status_code=200)
    async def get_item(self, data: JSONBody[bodies.OneItem], db: Db) -> ItemView:
        """Return an item as it stands."""
        return await db.read(SERVICE, items.get, data.viewer, data.item_id)

    @post("/list", operation_id="listItems", status_code=200)
    async def list_items(self, data: JSONBody[bodies.ItemListing], db: Db) -> Page[ItemView]:
        """List items, oldest first."""
        where = None if data.query.filter is None else filters.compile(data.query.filter)
        return await db.read(SERVICE, items.list_items, data.viewer, data.query, where)

    @post("/history", operation_id="listVersions", status_code=200)
    async def list_versions(self, data: JSONBody[bodies.OneItem], db: Db) -> Page[VersionView]:
        """List an item's versions, oldest first."""
        return Page(await db.read(SERVICE, items.history, data.viewer, data.item_id))

    @post("/update", operation_id="updateItem", status_code=200)
    async def update_item(self, data: JSONBody[bodies.Update], intake: NamedDependency[Intake]) -> ItemView:
        """Change an item, as a new version."""
        return await intake.correct(data.viewer, data.item_id, data.change, operation=data.operation)

    @post("/supersede", operation_id="supersedeItem", status_code=200)
    async def supersede_item(self, data: JSONBody[bodies.Supersession], db: Db) -> ItemView:
        """Say what holds instead of an item, and return that."""
        return await db.write(
            SERVICE,
            work.carry_out,
            items.supersede,
            data.viewer,
            data.item_id,
            data.successor,
            operation=data.operation,
        )

    @post("/delete", operation_id="deleteItem", status_code=200)
    async def delete_item(self, data: JSONBody[bodies.Deletion], db: Db) -> dict[str, str]:
        """Take an item out of everything that reads memory."""
        await db.write(
            SERVICE,
            work.carry_out,
            items.delete,
            data.viewer,
            data.item_id,
            reason=data.reason,
            operation=data.operation,
        )
        return {}


class ScopeController(Controller):
    """Scopes."""

    path = "/v1"

    @post("/scopes", operation_id="listScopes", status_code=200)
    async def list_scopes(self, data: JSONBody[bodies.Asked], db: Db) -> Page[ScopeView]:
        """List the scopes that the viewer may see."""
        return Page(await db.read(SERVICE, items.list_scopes, data.viewer))

    @post("/scopes/rollback", operation_id="rollbackScope", status_code=200)
    async def rollback(self, data: JSONBody[bodies.Rollback], db: Db) -> RollbackReport:
        """Take a scope back to an entry of its log, by new entries."""
        return await db.write(SERVICE, work.carry_out, items.rollback, data.viewer, data.scope_id, data.request)

    @post("/inventory", operation_id="listInventory", status_code=200)
    async def list_inventory(self, data: JSONBody[bodies.Paged], db: Db) -> Page[InventoryRow]:
        """List how much is remembered for each scope."""
        return await db.read(SERVICE, items.inventory, data.viewer, limit=data.limit, cursor=data.cursor)

    @post("/stats", operation_id="getStats", status_code=200)
    async def get_stats(self, data: JSONBody[bodies.Asked], standing: Stands) -> MemoryStats:
        """Say how the service stands."""
        return await standing.stats(data.viewer)


class JobController(Controller):
    """The service's work."""

    path = "/v1"

    @post("/jobs", operation_id="listJobs", status_code=200)
    async def list_jobs(self, data: JSONBody[bodies.JobListing], db: Db) -> Page[JobView]:
        """List jobs, the newest first."""
        return await db.read(
            SERVICE, jobs.list_jobs, data.viewer, state=data.state, cursor=data.cursor, limit=data.limit
        )

    @post("/jobs/get", operation_id="getJob", status_code=200)
    async def get_job(self, data: JSONBody[bodies.OneJob], db: Db) -> JobView:
        """Say how far a job is."""
        return await db.read(SERVICE, jobs.get_job, data.viewer, data.job_id)

    @post("/jobs/replay", operation_id="replayJobs", status_code=200)
    async def replay_jobs(self, data: JSONBody[bodies.Replay], db: Db) -> ReplayReport:
        """Put dead letters back into line."""
        return await db.write(SERVICE, jobs.replay, data.viewer, data.job_id)

    @post("/jobs/wait", operation_id="waitForJobs", status_code=200)
    async def wait_for_jobs(self, data: JSONBody[bodies.Wait], standing: Stands) -> WaitReport:
        """Wait until the work is done, or the time is over."""
        return await standing.wait(data.viewer, data.request)

    @post("/reindex", operation_id="reindex", status_code=200)
    async def reindex(self, data: JSONBody[bodies.Reindex], db: Db) -> JobView:
        """Make indexes anew out of the truth."""
        return await db.write(SERVICE, work.ask_reindex, data.viewer, data.request)


class EvalController(Controller):
    """Evaluations of recall."""

    path = "/v1/evals"

    @post("/", operation_id="keepEval", status_code=200)
    async def keep_eval(
        self, data: JSONBody[bodies.NewEval], db: Db, embedder: NamedDependency[CurrentEmbedder]
    ) -> RecallEvalView:
        """Keep the outcome of an evaluation."""
        return await db.write(
            SERVICE, evals.keep, data.viewer, data.result, embedder=embedder.identity, version=__version__
        )

    @post("/list", operation_id="listEvals", status_code=200)
    async def list_evals(self, data: JSONBody[bodies.Paged], db: Db) -> Page[RecallEvalView]:
        """List evaluations, the newest first."""
        return await db.read(SERVICE, evals.list_evals, data.viewer, limit=data.limit, cursor=data.cursor)


CONTROLLERS = (
    IntakeController,
    RecallController,
    ItemController,
    ScopeController,
    JobController,
    EvalController,
)
