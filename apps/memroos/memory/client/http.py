"""The memory service over HTTP: JSON in, JSON out, with the key that only the two processes have."""

from collections.abc import Sequence
from typing import Any, TypeVar

import httpx
import msgspec

from memroos.memory.client import problems
from memroos.memory.errors import MemoryOutcomeUnknown
from memroos_contracts.memory import (
    ContextRequest,
    ContextResult,
    IngestEvent,
    IngestReport,
    RecallQuery,
    RecallResult,
    Removal,
)
from memroos_contracts.memory_errors import MemoryServiceUnavailable
from memroos_contracts.memory_items import (
    ItemChange,
    ItemQuery,
    ItemView,
    RollbackReport,
    RollbackRequest,
    ScopeView,
    Successor,
    VersionView,
    Viewer,
)
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

T = TypeVar("T")

CONNECT_S = 1.0
EFFECT_S = 60.0
"""A rollback of a large scope takes longer than a question."""
CONNECTIONS = 32

_REFUSED = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.UnsupportedProtocol)
"""Nothing was sent, so nothing happened."""


class _Unanswered(Exception):
    """The service was asked, and nobody knows whether it did anything.

    Args:
        status: what it answered with, where it did.
    """

    def __init__(self, detail: str, *, status: int | None = None) -> None:
        super().__init__(detail)
        self.status = status


class _Items(msgspec.Struct, frozen=True):
    items: list[Any]


class _Position(msgspec.Struct, frozen=True):
    position: int


class HttpMemoryStore:
    """The memory service.

    Args:
        url: where it is; the operator says so, no caller.
        key: what it knows us by.
        timeout_s: longest wait for an answer.
        transport: another way there than the network; tests bring their own.
    """

    def __init__(
        self, url: str, key: str, *, timeout_s: float, transport: httpx.AsyncBaseTransport | None = None
    ) -> None:
        self._url = url.rstrip("/")
        self._key = key
        self._timeout_s = timeout_s
        self._transport = transport
        self._http: httpx.AsyncClient | None = None

    async def close(self) -> None:
        """Close the connections; the next call opens new ones."""
        http, self._http = self._http, None
        if http is not None:
            await http.aclose()

    # -- handing over ------------------------------------------------------------------------------------------------

    async def ingest(self, events: Sequence[IngestEvent]) -> IngestReport:
        """Hand over events, in this order."""
        return await self._ask("events", {"events": events}, IngestReport, timeout_s=EFFECT_S)

    async def remove(self, removals: Sequence[Removal]) -> None:
        """Hand over that events may not be found any more."""
        await self._ask("removals", {"removals": removals}, dict[str, Any], timeout_s=EFFECT_S)

    async def position(self) -> int:
        """Return how far the service has taken the log over."""
        return (await self._ask("intake", {}, _Position)).position

    # -- reading -----------------------------------------------------------------------------------------------------

    async def recall(self, query: RecallQuery) -> RecallResult:
        """Find what answers a question."""
        return await self._ask("recall", query, RecallResult)

    async def context(self, query: RecallQuery, request: ContextRequest) -> ContextResult:
        """Find what answers a question, as a text."""
        return await self._ask("context", {"query": query, "request": request}, ContextResult)

    async def get_item(self, viewer: Viewer, item_id: str) -> ItemView:
        """Return one item."""
        return await self._ask("items/get", {"viewer": viewer, "item_id": item_id}, ItemView)

    async def list_items(self, viewer: Viewer, query: ItemQuery) -> Page[ItemView]:
        """List items."""
        return await self._ask("items/list", {"viewer": viewer, "query": query}, Page[ItemView])

    async def get_history(self, viewer: Viewer, item_id: str) -> list[VersionView]:
        """Return an item's versions, oldest first."""
        found = await self._ask("items/history", {"viewer": viewer, "item_id": item_id}, _Items)
        return msgspec.convert(found.items, list[VersionView])

    async def list_scopes(self, viewer: Viewer) -> list[ScopeView]:
        """List scopes."""
        found = await self._ask("scopes", {"viewer": viewer}, _Items)
        return msgspec.convert(found.items, list[ScopeView])

    async def list_jobs(
        self, viewer: Viewer, *, state: JobState | None, cursor: str | None, limit: int
    ) -> Page[JobView]:
        """List jobs."""
        body = {"viewer": viewer, "state": state, "cursor": cursor, "limit": limit}
        return await self._ask("jobs", body, Page[JobView])

    async def get_job(self, viewer: Viewer, job_id: str) -> JobView:
        """Return one job."""
        return await self._ask("jobs/get", {"viewer": viewer, "job_id": job_id}, JobView)

    async def wait(self, viewer: Viewer, request: WaitRequest) -> WaitReport:
        """Wait until the work is done that waits now."""
        timeout_s = request.wait_s + self._timeout_s
        return await self._ask("jobs/wait", {"viewer": viewer, "request": request}, WaitReport, timeout_s=timeout_s)

    async def stats(self, viewer: Viewer) -> MemoryStats:
        """Say how it stands."""
        return await self._ask("stats", {"viewer": viewer}, MemoryStats)

    async def list_inventory(self, viewer: Viewer, *, cursor: str | None, limit: int) -> Page[InventoryRow]:
        """List how much is remembered."""
        body = {"viewer": viewer, "cursor": cursor, "limit": limit}
        return await self._ask("inventory", body, Page[InventoryRow])

    async def list_evals(self, viewer: Viewer, *, cursor: str | None, limit: int) -> Page[RecallEvalView]:
        """List evaluations."""
        body = {"viewer": viewer, "cursor": cursor, "limit": limit}
        return await self._ask("evals/list", body, Page[RecallEvalView])

    # -- changing ----------------------------------------------------------------------------------------------------

    async def update_item(self, viewer: Viewer, item_id: str, change: ItemChange, operation: str) -> ItemView:
        """Change an item."""
        body = {"viewer": viewer, "item_id": item_id, "change": change, "operation": operation}
        return await self._change("items/update", body, ItemView, operation)

    async def supersede_item(self, viewer: Viewer, item_id: str, successor: Successor, operation: str) -> ItemView:
        """Say what holds instead of an item."""
        body = {"viewer": viewer, "item_id": item_id, "successor": successor, "operation": operation}
        return await self._change("items/supersede", body, ItemView, operation)

    async def delete_item(self, viewer: Viewer, item_id: str, reason: str, operation: str) -> None:
        """Delete an item."""
        body = {"viewer": viewer, "item_id": item_id, "reason": reason, "operation": operation}
        await self._change("items/delete", body, dict[str, Any], operation)

    async def roll_back(
        self, viewer: Viewer, scope_id: str, request: RollbackRequest, operation: str
    ) -> RollbackReport:
        """Take a scope back to an entry of its log."""
        body = {"viewer": viewer, "scope_id": scope_id, "request": request}
        return await self._change("scopes/rollback", body, RollbackReport, operation)

    async def replay(self, viewer: Viewer, job_id: str | None, operation: str) -> ReplayReport:
        """Put dead letters back into line."""
        return await self._change("jobs/replay", {"viewer": viewer, "job_id": job_id}, ReplayReport, operation)

    async def reindex(self, viewer: Viewer, request: ReindexRequest, operation: str) -> JobView:
        """Make indexes anew."""
        return await self._change("reindex", {"viewer": viewer, "request": request}, JobView, operation)

    async def keep_eval(self, viewer: Viewer, result: NewRecallEval, operation: str) -> RecallEvalView:
        """Keep an evaluation."""
        return await self._change("evals", {"viewer": viewer, "result": result}, RecallEvalView, operation)

    # -- requests ----------------------------------------------------------------------------------------------------

    async def _change(self, path: str, body: Any, returns: type[T], operation: str) -> T:
        """Ask for a change; where it is not known whether it was made, say that and nothing else."""
        try:
            return await self._send(path, body, returns, timeout_s=EFFECT_S)
        except _Unanswered as error:
            raise MemoryOutcomeUnknown(operation=operation, retry_after_s=1) from error

    async def _ask(self, path: str, body: Any, returns: type[T], *, timeout_s: float | None = None) -> T:
        """Ask for something that may be asked again."""
        try:
            return await self._send(path, body, returns, timeout_s=timeout_s or self._timeout_s)
        except _Unanswered as error:
            raise MemoryServiceUnavailable(str(error), retry_after_s=1, answered=error.status) from error

    async def _send(self, path: str, body: Any, returns: type[T], *, timeout_s: float) -> T:
        """Send one request.

        Raises:
            MemoryServiceUnavailable: it cannot be reached, or refuses to answer: nothing happened.
            MemroosError: what the service says about the request: nothing happened.
            _Unanswered: there is no answer that could be read.
        """
        try:
            response = await self._client().post(
                f"/v1/{path}",
                content=msgspec.json.encode(body),
                timeout=httpx.Timeout(timeout_s, connect=CONNECT_S, pool=self._timeout_s),
            )
        except _REFUSED as error:
            raise MemoryServiceUnavailable("The memory service cannot be reached.", retry_after_s=1) from error
        except httpx.TimeoutException as error:
            raise _Unanswered("The memory service did not answer in time.") from error
        except httpx.HTTPError as error:
            raise _Unanswered("The connection to the memory service broke.") from error
        if not response.is_success:
            problem = problems.read(response.status_code, response.content, response.headers.get("retry-after", ""))
            if response.status_code == httpx.codes.INTERNAL_SERVER_ERROR:
                raise _Unanswered(problem.detail, status=response.status_code)
            raise problem
        try:
            return msgspec.json.decode(response.content or b"{}", type=returns)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise _Unanswered("The memory service's answer cannot be read.") from error

    def _client(self) -> httpx.AsyncClient:
        if self._http is None:
            self._http = httpx.AsyncClient(
                base_url=self._url,
                headers={"authorization": f"Bearer {self._key}", "content-type": "application/json"},
                limits=httpx.Limits(max_connections=CONNECTIONS, max_keepalive_connections=CONNECTIONS),
                transport=self._transport,
                trust_env=False,
                follow_redirects=False,
            )
        return self._http
