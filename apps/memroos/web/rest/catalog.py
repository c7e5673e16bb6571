"""Search over the agents, as Agentic Resource Discovery (ARD) has it."""

from typing import Annotated

from litestar import Controller, get, post
from litestar.di import NamedDependency
from litestar.params import FromQuery, JSONBody, QueryParameter

from memroos.web.catalog import Directory
from memroos_contracts.catalog import CatalogFindings, CatalogListing, CatalogSearch
from memroos_contracts.identity import Actor
from memroos_kit.db import Database

Db = NamedDependency[Database]
Caller = NamedDependency[Actor]
Where = NamedDependency[Directory]


class CatalogController(Controller):
    """What can be found here. The addresses below this one are ARD's, and so are the names."""

    path = "/api/catalog"
    tags = ("catalog",)

    @post("/search", operation_id="searchCatalog", status_code=200)
    async def search_catalog(
        self, data: JSONBody[CatalogSearch], db: Db, actor: Caller, directory: Where
    ) -> CatalogFindings:
        """Find agents by words and by what their entries say, the best first."""
        return await db.read(actor, directory.search, data)

    @get("/agents", operation_id="listCatalog")
    async def list_catalog(
        self,
        db: Db,
        actor: Caller,
        directory: Where,
        filter: FromQuery[str] = "",  # noqa: A002 - ARD's name
        order_by: Annotated[str, QueryParameter(name="orderBy")] = "",
        page_size: Annotated[int, QueryParameter(name="pageSize", ge=1, le=100)] = 20,
        page_token: Annotated[str, QueryParameter(name="pageToken")] = "",
    ) -> CatalogListing:
        """List agents in a fixed order, all or those that meet conditions."""
        return await db.read(
            actor, directory.browse, where=filter, order_by=order_by, page_size=page_size, page_token=page_token
        )
