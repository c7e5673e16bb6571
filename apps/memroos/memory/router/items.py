"""What is remembered, read and changed: asked of the memory service, decided and recorded here."""

import asyncio
from collections.abc import Iterable

from memroos.memory.router.service import Service, viewer_of
from memroos.memory.rules import answers, ids
from memroos.memory.service import disclose_history, disclose_item, disclose_items, removing
from memroos.memory.service.effects import Change
from memroos.memory.service.writing import Event
from memroos_contracts.errors import Denied, InvalidRequest, NotFound
from memroos_contracts.governance import Action, Asset
from memroos_contracts.identity import Actor
from memroos_contracts.memory_errors import ItemGone, MemoryServiceUnavailable
from memroos_contracts.memory_items import (
    ItemChange,
    ItemQuery,
    ItemStatus,
    ItemView,
    RollbackReport,
    RollbackRequest,
    ScopeView,
    Successor,
    VersionView,
    Viewer,
)
from memroos_contracts.pages import Page
from memroos_kit import cursors
from memroos_kit.db import Read, Tx
from memroos_kit.db.once import Idempotency

CATCH_UP_S = 0.5
HAND_OVER_S = 5.0
"""How long a look at one event waits until the service has it; on a quiet machine some milliseconds."""

ASKED_AT_ONCE = 8
PAGE = 50


class Items:
    """Items and scopes, for doors."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._db = service.db

    # -- reading -----------------------------------------------------------------------------------------------------

    async def list_items(self, actor: Actor, query: ItemQuery) -> Page[ItemView]:
        """List items, oldest first; the ledger keeps that they were read.

        Raises:
            Denied: policy does not let this actor read them.
            FilterRefused: the filter cannot be honoured.
            InvalidCursor: the cursor is of another listing.
            NotFound: there is no such scope.
            MemoryServiceUnavailable: the service is away.
        """
        await self._service.caught_up(CATCH_UP_S)
        found = await self._service.store.list_items(viewer_of(actor), query)
        return Page(await self._db.write(actor, disclose_items, "*", found.items), found.next_cursor)

    async def get_item(self, actor: Actor, item_id: str) -> ItemView:
        """Return an item as it stands; the ledger keeps who read it.

        Raises:
            Denied: policy does not let this actor read it.
            NotFound: there is no such item, it was deleted, or it belongs to others.
            MemoryServiceUnavailable: the service is away.
        """
        return await self._db.write(actor, disclose_item, await self._find(actor, item_id))

    async def list_history(
        self, actor: Actor, item_id: str, *, limit: int = PAGE, cursor: str | None = None
    ) -> Page[VersionView]:
        """List an item's versions, oldest first; the ledger keeps who read them.

        Raises:
            as `get_item`, and InvalidCursor: the cursor is of another listing.
        """
        kind = cursors.listing("memory-history", item=item_id)
        after = 0 if cursor is None else cursors.decode(kind, cursor, int)[0]
        await self._db.read(actor, removing.demand_visible, item_id)
        versions = await self._service.store.get_history(viewer_of(actor), item_id)
        left = [version for version in versions if version.item.version > after]
        shown = await self._db.write(actor, disclose_history, item_id, left[:limit])
        more = cursors.encode(kind, left[limit - 1].item.version) if len(left) > limit else None
        return Page(shown, more)

    async def list_scopes(self, actor: Actor) -> Page[ScopeView]:
        """List the scopes the actor may see.

        Raises:
            Denied: policy does not let this actor see them.
            MemoryServiceUnavailable: the service is away.
        """
        await self._db.read(actor, demand_listing)
        await self._service.caught_up(CATCH_UP_S)
        return Page(await self._service.store.list_scopes(viewer_of(actor)))

    # -- changing ----------------------------------------------------------------------------------------------------

    async def update(self, actor: Actor, item_id: str, change: ItemChange) -> ItemView:
        """Change an item; the version before stays in its history.

        Raises:
            Denied: policy does not let this actor change it.
            ItemChanged: it is at another version than expected.
            NotFound, MemoryOutcomeUnknown, MemoryServiceUnavailable: see there.
        """
        _demand_text(change.text)
        item = await self._find(actor, item_id)
        changed = await self._service.change(
            actor,
            _change(Event.UPDATED, item, change.reason),
            lambda operation: self._service.store.update_item(viewer_of(actor), item_id, change, operation),
            ItemView,
            facts=lambda changed: {"memory": changed.id, "version": changed.version, "digest": changed.digest},
        )
        return await self._shown(actor, changed)

    async def supersede(
        self, actor: Actor, item_id: str, successor: Successor, idempotency: Idempotency | None = None
    ) -> ItemView:
        """Say what holds instead of an item; returns what does.

        Raises:
            Denied: policy does not let this actor change it.
            InvalidRequest: it names neither a text nor an item, or both.
            NotFound, MemoryOutcomeUnknown, MemoryServiceUnavailable: see there.
        """
        _demand_text(successor.text)
        if (successor.text is None) == (successor.item_id is None):
            raise InvalidRequest("Name a text or an item.", fields={"text": "or item_id, one of the two"})
        item = await self._find(actor, item_id)
        if successor.item_id is not None:
            await self._find(actor, successor.item_id)
        new = await self._service.change(
            actor,
            _change(Event.SUPERSEDED, item, successor.reason),
            lambda operation: self._service.store.supersede_item(viewer_of(actor), item_id, successor, operation),
            ItemView,
            facts=lambda new: {"memory": item.id, "successor": new.id, "digest": new.digest},
            idempotency=idempotency,
        )
        return await self._shown(actor, new)

    async def delete(self, actor: Actor, memory_id: str, reason: str = "") -> None:
        """Let an event or an item be found no more: at once here, and in the service as soon as it can be reached.

        Raises:
            Denied: policy does not let this actor delete it.
            NotFound: there is none of this id, it was deleted before, or it belongs to others.
            MemoryServiceUnavailable: it is no event, and the service that knows it is away; nothing happened.
        """
        if ids.is_event(memory_id):
            await self._db.write(actor, removing.remove_event, memory_id, reason=reason)
            return
        if not self._service.is_configured:
            raise NotFound(kind_of_object="memory", id=memory_id)
        item = await self._find(actor, memory_id)
        await self._db.write(actor, removing.remove_item, item, reason=reason)

    async def roll_back(
        self, actor: Actor, scope_id: str, request: RollbackRequest, idempotency: Idempotency | None = None
    ) -> RollbackReport:
        """Take a scope back to an entry of its log, or say what that would change.

        Raises:
            Denied: policy does not let this actor do it; an agent, for instance, where others see the scope too.
            NotFound: there is no such scope, or it belongs to others.
            SequenceUnknown: its log is not that long.
            MemoryOutcomeUnknown, MemoryServiceUnavailable: see there.
        """
        viewer, store = viewer_of(actor), self._service.store
        await self._service.caught_up(CATCH_UP_S)
        scope = next((scope for scope in await store.list_scopes(viewer) if scope.id == scope_id), None)
        if scope is None:
            raise NotFound(kind_of_object="scope", id=scope_id)
        if request.dry_run:
            await self._db.read(actor, _demand_rollback, scope)
            return await store.roll_back(viewer, scope_id, request, "")
        report = await self._service.change(
            actor,
            Change(
                Action.MEMORY_ROLLBACK,
                Event.ROLLED_BACK,
                lambda tx: _scope_asset(tx, scope),
                {"to_seq": request.to_seq, "reason": request.reason},
            ),
            lambda operation: store.roll_back(viewer, scope_id, request, operation),
            RollbackReport,
            facts=lambda done: {"changed": len(done.changed), "before_seq": done.before_seq, "entries": done.operation},
            idempotency=idempotency,
        )
        await self._follow(actor, viewer, report.changed)
        return report

    async def _follow(self, actor: Actor, viewer: Viewer, changed: list[str]) -> None:
        """Let the kernel's own reads follow a rollback: what is there again is found again, what is gone is not."""
        slots = asyncio.Semaphore(ASKED_AT_ONCE)

        async def stands(item_id: str) -> bool:
            async with slots:
                return await self._stands(viewer, item_id)

        there = await asyncio.gather(*map(stands, changed))
        await self._db.write(actor, _follow, list(zip(changed, there, strict=True)))

    async def _stands(self, viewer: Viewer, item_id: str) -> bool:
        try:
            found = await self._service.store.get_item(viewer, item_id)
        except (NotFound, ItemGone):
            return False
        return found.status is not ItemStatus.DELETED

    async def _shown(self, actor: Actor, item: ItemView) -> ItemView:
        """Return what was changed; without what it says, where its changing is all that policy lets this actor do."""
        try:
            return await self._db.write(actor, disclose_item, item)
        except Denied:
            return answers.bare(item)

    async def _find(self, actor: Actor, item_id: str) -> ItemView:
        """Return an item that the actor may see and nobody removed.

        Raises:
            NotFound: there is no such item, or it belongs to others.
            MemoryServiceUnavailable: the service is away, or has not taken the event over yet.
        """
        await self._db.read(actor, removing.demand_visible, item_id)
        there = not ids.is_event(item_id) or await self._service.caught_up(HAND_OVER_S)
        try:
            return await self._service.store.get_item(viewer_of(actor), item_id)
        except NotFound as error:
            if there:
                raise
            raise MemoryServiceUnavailable(
                "The memory service has not taken over yet what was written just now.", retry_after_s=1
            ) from error


def demand_listing(tx: Read) -> None:
    """Decide whether the actor may see how memory stands.

    Raises:
        Denied: it may not.
    """
    tx.authorize(Action.MEMORY_LIST, removing.survey_of(tx))


def _follow(tx: Tx, changed: Iterable[tuple[str, bool]]) -> None:
    stands = dict(changed)
    removing.restore(tx, [item_id for item_id, there in stands.items() if there])
    removing.hide_events(tx, [item_id for item_id, there in stands.items() if not there])


def _demand_rollback(tx: Read, scope: ScopeView) -> None:
    tx.authorize(Action.MEMORY_ROLLBACK, _scope_asset(tx, scope))


def _scope_asset(tx: Read, scope: ScopeView) -> Asset:
    """Return a scope as policy sees it: somebody's own only where nobody else sees it too."""
    alone = scope.readers == (tx.actor.principal,)
    return Asset(kind="scope", id=scope.id, owner=tx.actor.principal if alone else "")


def _change(event: Event, item: ItemView, reason: str) -> Change:
    return Change(
        Action.MEMORY_CHANGE,
        event,
        lambda tx: removing.asset_to_change(tx, item),
        {"version": item.version, "reason": reason},
    )


def _demand_text(text: str | None) -> None:
    if text is not None and not text.strip():
        raise InvalidRequest("A memory needs a text.", fields={"text": "is empty"})
