"""A memory service in memory, behind a transport: it can be away, hang, refuse, forget, and says what it was asked."""

import asyncio
import itertools
from collections.abc import Callable
from typing import Any

import httpx
import msgspec
from tests.conftest import START
from tests.memroos.memory.memory_twin import MemoryTwin

from memroos.memory import HttpMemoryStore
from memroos.memory.queries import item_of
from memroos.memory.rules import readers
from memroos_contracts import labels, prompts
from memroos_contracts.errors import MemroosError, NotFound
from memroos_contracts.memory import (
    ContextRequest,
    ContextResult,
    IngestEvent,
    IngestReport,
    RecallItem,
    RecallQuery,
    Removal,
)
from memroos_contracts.memory_errors import ItemChanged
from memroos_contracts.memory_items import (
    Change,
    ItemKind,
    ItemStatus,
    ItemView,
    RollbackReport,
    ScopeView,
    VersionView,
)
from memroos_contracts.memory_work import JobCounts, JobLabel, JobState, JobView, MemoryStats, ReplayReport, WaitReport
from memroos_kit import problems

KEY = "key-of-the-memory-service-in-tests-01234"


class _Broken(Exception):
    """The service failed in a way it does not know."""


class ServiceTwin:
    """What the kernel's client finds at the other end."""

    def __init__(self) -> None:
        self.memory = MemoryTwin()
        self.events: dict[str, IngestEvent] = {}
        self.order: list[str] = []
        """Ids in the order in which they came, repetitions included."""
        self.removed: list[Removal] = []
        self.items: dict[str, ItemView] = {}
        self.versions: dict[str, list[VersionView]] = {}
        self.scopes: list[ScopeView] = []
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.at = 0
        self.away: Exception | None = None
        self.refuses: Callable[[IngestEvent], bool] = lambda _: False
        self.breaks: Callable[[IngestEvent], bool] = lambda _: False
        self.answers: dict[str, httpx.Response | Exception] = {}
        """What a route answers instead, by its path."""
        self.changed: list[str] = []
        """What a rollback reports."""
        self._numbers = itertools.count(1)

    def store(self, *, key: str = KEY, timeout_s: float = 1.0) -> HttpMemoryStore:
        """Return the kernel's client of it."""
        transport = httpx.MockTransport(self._answer)
        return HttpMemoryStore("http://memory.test", key, timeout_s=timeout_s, transport=transport)

    def paths(self) -> list[str]:
        """Return what was asked for, in order."""
        return [path for path, _ in self.asked]

    async def _answer(self, request: httpx.Request) -> httpx.Response:
        await asyncio.sleep(0)
        if self.away is not None:
            raise self.away
        if request.headers["authorization"] != f"Bearer {KEY}":
            return httpx.Response(401, json={"type": "/problems/unauthenticated"})
        path = request.url.path.removeprefix("/v1/")
        body = msgspec.json.decode(request.content)
        self.asked.append((path, body))
        instead = self.answers.get(path)
        if isinstance(instead, Exception):
            raise instead
        if instead is not None:
            return instead
        try:
            found = await getattr(self, "_" + path.replace("/", "_"))(body)
        except _Broken:
            return httpx.Response(500, json={"type": "/problems/internal-failure"})
        except MemroosError as error:
            said = problems.problem(error)
            return httpx.Response(said.status, content=said.body(), headers=said.headers())
        return httpx.Response(200, content=msgspec.json.encode(found))

    async def _events(self, body: dict[str, Any]) -> Any:
        events = msgspec.convert(body["events"], list[IngestEvent])
        for event in events:
            if self.refuses(event):
                return await self._refuse()
            if self.breaks(event):
                raise _Broken
        for event in events:
            self.order.append(event.event.id)
            self.events[event.event.id] = event
            self.items.setdefault(event.event.id, item_of(event.event))
        self.at = max([self.at, *(event.position for event in events)])
        return await self.taken(events)

    async def taken(self, events: list[IngestEvent]) -> IngestReport:
        """Answer for events that were taken over; tests replace it."""
        self.memory.keep(one.event for one in events)
        return IngestReport(len(events), 0)

    async def _refuse(self) -> Any:
        raise ItemRefused("This event cannot be read.")

    async def _removals(self, body: dict[str, Any]) -> Any:
        for removal in msgspec.convert(body["removals"], list[Removal]):
            self.removed.append(removal)
            self.items.pop(removal.event_id, None)
            self.memory.events.pop(removal.event_id, None)
        return {}

    async def _intake(self, _: dict[str, Any]) -> Any:
        return {"position": self.at}

    async def _recall(self, body: dict[str, Any]) -> Any:
        query = msgspec.convert(body, RecallQuery)
        found = self.memory.recall(query)
        learned = [
            RecallItem(item=item, score=0.5, snippet=item.text or "", sources=item.sources)
            for item in self.items.values()
            if item.kind is not ItemKind.EVENT
        ]
        return msgspec.structs.replace(found, items=[*found.items, *learned], arms=("lexical", "vector"), missing=())

    async def _context(self, body: dict[str, Any]) -> Any:
        request = msgspec.convert(body["request"], ContextRequest)
        found = await self._recall(body["query"])
        text, taken = prompts.write(found.items, budget=request.token_budget, form=request.format)
        return ContextResult(f"service: {text}", 9, request.token_budget, taken, 0, found.arms, found.missing)

    async def _items_get(self, body: dict[str, Any]) -> Any:
        return self._visible(body, body["item_id"])

    async def _items_list(self, body: dict[str, Any]) -> Any:
        return {"items": [item for item in self.items.values() if self._sees(body, item)], "next_cursor": None}

    async def _items_history(self, body: dict[str, Any]) -> Any:
        item = self._visible(body, body["item_id"])
        return {"items": self.versions.get(item.id, [VersionView(item, Change.ADD, "service:memory")])}

    async def _items_update(self, body: dict[str, Any]) -> Any:
        item = self._visible(body, body["item_id"])
        wanted = body["change"].get("if_version")
        if wanted not in (None, item.version):
            raise ItemChanged(id=item.id, version=item.version)
        changed = msgspec.structs.replace(item, text=body["change"]["text"], version=item.version + 1)
        self.items[item.id] = changed
        past = self.versions.setdefault(item.id, [VersionView(item, Change.ADD, "service:memory")])
        past.append(VersionView(changed, Change.UPDATE, body["viewer"]["principal"], "", body["operation"]))
        return changed

    async def _items_supersede(self, body: dict[str, Any]) -> Any:
        old = self._visible(body, body["item_id"])
        new = msgspec.structs.replace(old, id=f"itm_{next(self._numbers)}", text=body["successor"]["text"])
        self.items[new.id] = new
        return new

    async def _items_delete(self, body: dict[str, Any]) -> Any:
        self._visible(body, body["item_id"])
        del self.items[body["item_id"]]
        return {}

    async def _scopes(self, body: dict[str, Any]) -> Any:
        reader = body["viewer"]["reader"]
        return {"items": [scope for scope in self.scopes if reader in scope.readers or not (reader or scope.private)]}

    async def _scopes_rollback(self, body: dict[str, Any]) -> Any:
        dry = body["request"].get("dry_run", False)
        return RollbackReport(body["scope_id"], body["request"]["to_seq"], 9, 12, self.changed, "rbk_1", dry)

    async def _jobs(self, _: dict[str, Any]) -> Any:
        return {"items": [_job()], "next_cursor": None}

    async def _jobs_get(self, body: dict[str, Any]) -> Any:
        if body["job_id"] != "job_1":
            raise NotFound(kind_of_object="job", id=body["job_id"])
        return _job()

    async def _jobs_wait(self, _: dict[str, Any]) -> Any:
        return WaitReport(True, JobCounts(0, 0, 0))

    async def _jobs_replay(self, _: dict[str, Any]) -> Any:
        return ReplayReport(2)

    async def _reindex(self, _: dict[str, Any]) -> Any:
        return _job()

    async def _stats(self, _: dict[str, Any]) -> Any:
        return MemoryStats(ready=True, items=len(self.items))

    def _visible(self, body: dict[str, Any], item_id: str) -> ItemView:
        item = self.items.get(item_id)
        if item is None or item.status is ItemStatus.DELETED or not self._sees(body, item):
            raise NotFound(kind_of_object="memory", id=item_id)
        return item

    def _sees(self, body: dict[str, Any], item: ItemView) -> bool:
        reader = body["viewer"]["reader"]
        if body["viewer"]["workspace_id"] != item.workspace_id:
            return False
        names = (item.author, item.owner, f"agent:{item.agent_id}")
        return reader in names or (reader == readers.EVERYTHING and not labels.is_private(item.label))


def learned(item_id: str, *sources: str, author: str, **others: Any) -> ItemView:
    """Return something that was derived from events."""
    given: dict[str, Any] = {"text": f"what {item_id} says", "recorded_at": START, "workspace_id": "default"}
    return ItemView(id=item_id, kind=ItemKind.FACT, sources=sources, author=author, **given | others)


def _job() -> JobView:
    return JobView(id="job_1", label=JobLabel.EMBED, state=JobState.DEAD, created_at=START, updated_at=START)


class ItemRefused(MemroosError):
    """The service cannot take it."""

    @classmethod
    def slug(cls) -> str:
        """Return the slug of a request that does not fit."""
        return "invalid-request"
