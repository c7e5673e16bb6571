"""Workspaces over REST."""

from typing import Annotated

from litestar import Controller, get, post
from litestar.di import NamedDependency
from litestar.params import FromQuery, JSONBody, QueryParameter

from memroos import registry
from memroos_contracts.identity import Actor
from memroos_contracts.pages import Page
from memroos_contracts.registry import NewWorkspace, NewWorkspaceView, WorkspaceView
from memroos_kit.db import Database
from memroos_kit.db.once import Idempotency, once_keeping

Db = NamedDependency[Database]
Caller = NamedDependency[Actor]


class WorkspaceController(Controller):
    """Tenants: what belongs to one is not seen from another."""

    path = "/api/workspaces"
    tags = ("workspaces",)

    @get("/", operation_id="listWorkspaces")
    async def list_workspaces(
        self,
        db: Db,
        actor: Caller,
        limit: Annotated[int, QueryParameter(ge=1, le=100)] = 50,
        cursor: FromQuery[str | None] = None,
    ) -> Page[WorkspaceView]:
        """List the workspaces you may know of."""
        return await db.read(actor, registry.list_workspaces, limit=limit, cursor=cursor)

    @post("/", operation_id="createWorkspace")
    async def create_workspace(
        self,
        data: JSONBody[NewWorkspace],
        db: Db,
        actor: Caller,
        idempotency: NamedDependency[Idempotency | None],
    ) -> NewWorkspaceView:
        """Make a workspace and the key of its first operator, whose secret is shown this one time."""
        keep, verb = registry.workspace_without_secret, registry.create_workspace
        return await db.write(actor, once_keeping, idempotency, NewWorkspaceView, keep, verb, data)
