"""How the kernel stands, over REST."""

from litestar import Controller, get
from litestar.di import NamedDependency

from memroos import operations
from memroos_contracts.identity import Actor
from memroos_contracts.operations import OperationsView
from memroos_kit.db import Database


class OperationsController(Controller):
    """What an operator looks at first."""

    path = "/api/operations"
    tags = ("operations",)

    @get("/", operation_id="getOperations")
    async def get_operations(
        self,
        db: NamedDependency[Database],
        actor: NamedDependency[Actor],
        process: NamedDependency[operations.Process],
    ) -> OperationsView:
        """Return counts of agents, tasks, messages and approvals, and figures of the ledger and the process."""
        return await db.read(actor, operations.get_overview, process)
