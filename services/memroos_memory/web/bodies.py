"""What the kernel sends: each body names on whose behalf it asks."""

from typing import Annotated

import msgspec
from msgspec import Meta

from memroos_contracts.memory import ContextRequest, IngestEvent, Limit, RecallQuery, Removal
from memroos_contracts.memory_items import ItemChange, ItemQuery, Name, RollbackRequest, Successor, Viewer
from memroos_contracts.memory_work import JobState, ReindexRequest, WaitRequest
from memroos_contracts.recall_evals import NewRecallEval


class Events(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Events to take over, in the kernel's order."""

    events: Annotated[tuple[IngestEvent, ...], Meta(max_length=1_000)]


class Removals(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Events that may not be found any more, in the kernel's order."""

    removals: Annotated[tuple[Removal, ...], Meta(max_length=1_000)]


class Position(msgspec.Struct, frozen=True):
    """How far the kernel's log has been taken over."""

    position: int


class ContextQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A question whose answer is to fit a budget."""

    query: RecallQuery
    request: ContextRequest


class Asked(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A question that needs nothing but whom it is for."""

    viewer: Viewer


class Paged(Asked, frozen=True, kw_only=True):
    """A listing."""

    limit: Limit = 50
    cursor: str | None = None


class OneItem(Asked, frozen=True, kw_only=True):
    """One item."""

    item_id: Name


class ItemListing(Asked, frozen=True, kw_only=True):
    """Which items to list."""

    query: ItemQuery


class Update(OneItem, frozen=True, kw_only=True):
    """What of an item is to be otherwise."""

    change: ItemChange
    operation: Name = ""


class Supersession(OneItem, frozen=True, kw_only=True):
    """What holds instead of an item."""

    successor: Successor
    operation: Name = ""


class Deletion(OneItem, frozen=True, kw_only=True):
    """What nobody is to find any more, and why."""

    reason: Name = ""
    operation: Name = ""


class Rollback(Asked, frozen=True, kw_only=True):
    """Where to take a scope back to."""

    scope_id: Name
    request: RollbackRequest


class JobListing(Paged, frozen=True, kw_only=True):
    """Which jobs to list."""

    state: JobState | None = None


class OneJob(Asked, frozen=True, kw_only=True):
    """One job."""

    job_id: Name


class Replay(Asked, frozen=True, kw_only=True):
    """Which dead letter to put back into line; all where none is named."""

    job_id: Name | None = None


class Wait(Asked, frozen=True, kw_only=True):
    """What to wait for."""

    request: WaitRequest


class Reindex(Asked, frozen=True, kw_only=True):
    """What to make anew."""

    request: ReindexRequest


class NewEval(Asked, frozen=True, kw_only=True):
    """An evaluation to keep."""

    result: NewRecallEval
