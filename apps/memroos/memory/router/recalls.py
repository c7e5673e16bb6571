"""Questions: asked of the memory service and of what only the kernel knows yet; disclosed before they are answered."""

import time

import msgspec
import structlog

from memroos.memory import queries
from memroos.memory.queries.pending import Pending, count_pending, find_pending
from memroos.memory.router.service import NONE_CONFIGURED, Service
from memroos.memory.rules import answers, readers
from memroos.memory.service import disclose, disclose_context
from memroos_contracts import prompts
from memroos_contracts.errors import ErrorKind, MemroosError
from memroos_contracts.identity import Actor
from memroos_contracts.memory import (
    Arm,
    ContextRequest,
    ContextResult,
    RecallQuery,
    RecallRequest,
    RecallResult,
)
from memroos_contracts.memory_errors import MemoryServiceUnavailable
from memroos_contracts.memory_items import ItemKind

CATCH_UP_S = 0.5
"""How long a question that needs the service waits for it to get what was written just now."""

AWAY_S = 0.5
"""How long the service is not asked again after it was away: a service that hangs would hold up every question."""

_log = structlog.get_logger(__name__)


class Recalls:
    """Answers questions for doors."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._db = service.db
        self._away_until = 0.0

    async def recall(self, actor: Actor, request: RecallRequest) -> RecallResult:
        """Find what answers a question among what the actor may see; it is on record before it is returned.

        Raises:
            Denied: policy does not let this actor recall this.
            FilterRefused: the filter cannot be honoured.
            MemoryServiceUnavailable: the question cannot be answered by words alone, and the service is away.
        """
        began = time.perf_counter()
        found = await self.find(actor, request)
        return await self._db.write(actor, disclose, request, found, took_s=time.perf_counter() - began)

    async def context(self, actor: Actor, request: ContextRequest) -> ContextResult:
        """Find what answers a question, as a text within a budget; on record before it is returned.

        Raises:
            as `recall`.
        """
        began = time.perf_counter()
        found = await self.find_context(actor, request)
        return await self._db.write(actor, disclose_context, request, found, took_s=time.perf_counter() - began)

    async def find(self, actor: Actor, request: RecallRequest, *, to_hand_out: bool = True) -> RecallResult:
        """Find what answers a question; not disclosed yet.

        Args:
            to_hand_out: whether the answer goes to the actor, so that the service does not learn it again from there.
        """
        query = _query(actor, request)
        if not to_hand_out:
            query = msgspec.structs.replace(query, principal="")
        demand = _demand(request)
        if self._is_away():
            return await self._by_words(actor, query, demand, self._why_away())
        if demand:
            await self._service.caught_up(CATCH_UP_S)
        pending = await self._db.read(actor, find_pending, query)
        try:
            found = await self._service.store.recall(query)
        except MemroosError as error:
            self._note(error)
            return await self._by_words(actor, query, demand, error.detail)
        return _merged(request, found, msgspec.structs.replace(pending, hits=[]) if demand else pending)

    async def find_context(self, actor: Actor, request: ContextRequest) -> ContextResult:
        """Find what answers a question, as a text; not disclosed yet."""
        query = _query(actor, request.recall)
        if not self._is_away():
            await self._service.caught_up(CATCH_UP_S)
            pending = await self._db.read(actor, find_pending, query)
            if _demand(request.recall) or not pending.hits:
                try:
                    return await self._service.store.context(query, request)
                except MemroosError as error:
                    self._note(error)
        return _as_text(request, await self.find(actor, request.recall))

    async def _by_words(self, actor: Actor, query: RecallQuery, demand: str, why: str) -> RecallResult:
        """Answer out of the kernel's own events, and say so."""
        if demand:
            raise MemoryServiceUnavailable(f"{why} A question with {demand} needs it.", retry_after_s=1)
        found = await self._db.read(actor, queries.search, query)
        pending = await self._db.read(actor, count_pending) if self._service.is_configured else 0
        detail = f"{why} Only the kernel's own events were searched, by their words."
        return msgspec.structs.replace(found, detail=detail, pending=pending)

    def _is_away(self) -> bool:
        return not self._service.is_configured or time.monotonic() < self._away_until

    def _why_away(self) -> str:
        return "The memory service does not answer." if self._service.is_configured else NONE_CONFIGURED

    def _note(self, error: MemroosError) -> None:
        """Remember that the service is away; what it says about the question goes to whoever asked."""
        if error.kind not in (ErrorKind.UNAVAILABLE, ErrorKind.STORAGE_FULL):
            raise error
        if time.monotonic() >= self._away_until:
            _log.warning("recall without the memory service", problem=error.slug(), detail=error.detail)
        self._away_until = time.monotonic() + AWAY_S


def _query(actor: Actor, request: RecallRequest) -> RecallQuery:
    return RecallQuery(actor.workspace, readers.reader_of(actor), request, principal=actor.principal)


def _demand(request: RecallRequest) -> str:
    """Return what of a question the kernel's own events cannot answer; empty where they can."""
    if request.filter is not None:
        return "a filter"
    if request.as_of is not None or request.known_at is not None:
        return "`as_of` or `known_at`"
    if request.item_kinds and ItemKind.EVENT not in request.item_kinds:
        return "`item_kinds`"
    return ""


def _merged(request: RecallRequest, found: RecallResult, pending: Pending) -> RecallResult:
    if not pending.count:
        return found
    measure = pending.measure
    if measure is None or not pending.hits:
        return msgspec.structs.replace(found, pending=pending.count)
    items = answers.merge(
        found.items,
        pending.hits,
        lambda text: sum(measure.parts(text).values()),
        limit=request.limit,
        explain=request.explain,
    )
    arms = tuple(dict.fromkeys((*found.arms, Arm.EPISODIC)))
    missing = tuple(arm for arm in found.missing if arm is not Arm.EPISODIC)
    return msgspec.structs.replace(found, items=items, arms=arms, missing=missing, pending=pending.count)


def _as_text(request: ContextRequest, found: RecallResult) -> ContextResult:
    text, taken = prompts.write(found.items, budget=request.token_budget, form=request.format)
    return ContextResult(
        text=text,
        tokens=prompts.tokens_of(text),
        token_budget=request.token_budget,
        items=taken,
        left_out=len(found.items) - len(taken),
        arms=found.arms,
        missing=found.missing,
        detail=found.detail,
    )
