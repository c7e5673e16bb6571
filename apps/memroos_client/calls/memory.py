"""Memory: keep, recall, read, change, and look after it."""

from memroos_client.call import Call, new_key, path, query
from memroos_contracts.memory import (
    ContextRequest,
    ContextResult,
    KeptMemories,
    MemoryEventView,
    NewMemories,
    NewMemory,
    RecallRequest,
    RecallResult,
)
from memroos_contracts.memory_items import (
    ItemChange,
    ItemQuery,
    ItemView,
    RollbackReport,
    RollbackRequest,
    ScopeView,
    Successor,
    VersionView,
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
from memroos_contracts.recollection import (
    DryRunReport,
    DryRunRequest,
    MemoryTraceView,
    NewRecollectionPolicy,
    RecollectionPolicyView,
)

# -- keeping and finding -----------------------------------------------------------------------------------------------


def write(new: NewMemory, *, idempotency_key: str | None = None) -> Call[MemoryEventView]:
    """Keep a memory, or a receipt of what was done; it can be recalled at once."""
    return Call(
        method="POST",
        path=path("agent-memory"),
        body=new,
        idempotency_key=idempotency_key or new_key(),
        returns=MemoryEventView,
    )


def write_all(new: NewMemories, *, idempotency_key: str | None = None) -> Call[KeptMemories]:
    """Keep several memories in this order, all of them or none."""
    return Call(
        method="POST",
        path=path("agent-memory", "batch"),
        body=new,
        idempotency_key=idempotency_key or new_key(),
        returns=KeptMemories,
    )


def own(*, limit: int | None = None, cursor: str | None = None) -> Call[Page[MemoryEventView]]:
    """List what the caller has written, the newest first."""
    return Call(
        method="GET",
        path=path("agent-memory"),
        query=query(limit=limit, cursor=cursor),
        returns=Page[MemoryEventView],
    )


def recall(request: RecallRequest) -> Call[RecallResult]:
    """Find what answers a question among what the caller may see, best first."""
    return Call(method="POST", path=path("recall"), body=request, returns=RecallResult)


def context(request: ContextRequest) -> Call[ContextResult]:
    """Get what answers a question as a text that fits a budget of tokens."""
    return Call(method="POST", path=path("recall", "context"), body=request, returns=ContextResult)


# -- events and items --------------------------------------------------------------------------------------------------


def listing(stream: str, *, limit: int | None = None, cursor: str | None = None) -> Call[Page[MemoryEventView]]:
    """List a stream's events, oldest first."""
    return Call(
        method="GET",
        path=path("memory"),
        query=query(stream=stream, limit=limit, cursor=cursor),
        returns=Page[MemoryEventView],
    )


def get(event: str) -> Call[MemoryEventView]:
    """Get one event."""
    return Call(method="GET", path=path("memory", event), returns=MemoryEventView)


def delete(memory: str, *, reason: str = "") -> Call[None]:
    """Take an event or an item out of every read path."""
    return Call(method="DELETE", path=path("memory", memory), query=query(reason=reason), returns=None)


def items(wanted: ItemQuery) -> Call[Page[ItemView]]:
    """List items, oldest first."""
    return Call(method="POST", path=path("memory", "items", "query"), body=wanted, returns=Page[ItemView])


def item(item_id: str) -> Call[ItemView]:
    """Get one item as it stands."""
    return Call(method="GET", path=path("memory", "items", item_id), returns=ItemView)


def history(item_id: str, *, limit: int | None = None, cursor: str | None = None) -> Call[Page[VersionView]]:
    """List an item's versions, oldest first."""
    return Call(
        method="GET",
        path=path("memory", "items", item_id, "history"),
        query=query(limit=limit, cursor=cursor),
        returns=Page[VersionView],
    )


def update(item_id: str, change: ItemChange) -> Call[ItemView]:
    """Change an item; the version before stays in its history."""
    return Call(method="PATCH", path=path("memory", "items", item_id), body=change, returns=ItemView)


def supersede(item_id: str, successor: Successor, *, idempotency_key: str | None = None) -> Call[ItemView]:
    """Say what holds instead of an item; returns what does."""
    return Call(
        method="POST",
        path=path("memory", "items", item_id, "supersede"),
        body=successor,
        idempotency_key=idempotency_key or new_key(),
        returns=ItemView,
    )


# -- scopes ------------------------------------------------------------------------------------------------------------


def scopes() -> Call[Page[ScopeView]]:
    """List the scopes that the caller may see."""
    return Call(method="GET", path=path("memory", "scopes"), returns=Page[ScopeView])


def rollback(scope_id: str, request: RollbackRequest, *, idempotency_key: str | None = None) -> Call[RollbackReport]:
    """Take a scope back to an entry of its log, by entries that undo; or say what that would change."""
    return Call(
        method="POST",
        path=path("memory", "scopes", scope_id, "rollback"),
        body=request,
        idempotency_key=idempotency_key or new_key(),
        returns=RollbackReport,
    )


# -- the service's work ------------------------------------------------------------------------------------------------


def jobs(*, state: JobState | None = None, limit: int | None = None, cursor: str | None = None) -> Call[Page[JobView]]:
    """List pieces of the service's work, the newest first."""
    return Call(
        method="GET",
        path=path("memory", "jobs"),
        query=query(state=state, limit=limit, cursor=cursor),
        returns=Page[JobView],
    )


def job(job_id: str) -> Call[JobView]:
    """Say how far a piece of work is."""
    return Call(method="GET", path=path("memory", "jobs", job_id), returns=JobView)


def wait(request: WaitRequest) -> Call[WaitReport]:
    """Wait until the work that is waiting now is done, or the time is over."""
    return Call(
        method="POST", path=path("memory", "jobs", "wait"), body=request, wait_s=request.wait_s, returns=WaitReport
    )


def replay(job_id: str = "", *, idempotency_key: str | None = None) -> Call[ReplayReport]:
    """Put a dead letter back into line; all of them where none is named."""
    return Call(
        method="POST",
        path=path("memory", "dead-letters", "replay"),
        body={"job_id": job_id} if job_id else {},
        idempotency_key=idempotency_key or new_key(),
        returns=ReplayReport,
    )


def reindex(request: ReindexRequest, *, idempotency_key: str | None = None) -> Call[JobView]:
    """Make indexes anew out of the truth; returns the job that does it."""
    return Call(
        method="POST",
        path=path("memory", "reindex"),
        body=request,
        idempotency_key=idempotency_key or new_key(),
        returns=JobView,
    )


def stats() -> Call[MemoryStats]:
    """Say how memory stands, in what the caller may see."""
    return Call(method="GET", path=path("memory", "stats"), returns=MemoryStats)


def inventory(*, limit: int | None = None, cursor: str | None = None) -> Call[Page[InventoryRow]]:
    """List how much is remembered for each scope."""
    return Call(
        method="GET",
        path=path("memory-inventory"),
        query=query(limit=limit, cursor=cursor),
        returns=Page[InventoryRow],
    )


# -- evaluations -------------------------------------------------------------------------------------------------------


def keep_eval(result: NewRecallEval, *, idempotency_key: str | None = None) -> Call[RecallEvalView]:
    """Keep the outcome of a recall evaluation."""
    return Call(
        method="POST",
        path=path("memory", "evals"),
        body=result,
        idempotency_key=idempotency_key or new_key(),
        returns=RecallEvalView,
    )


def evals(*, limit: int | None = None, cursor: str | None = None) -> Call[Page[RecallEvalView]]:
    """List recall evaluations, the newest first."""
    return Call(
        method="GET",
        path=path("memory", "evals"),
        query=query(limit=limit, cursor=cursor),
        returns=Page[RecallEvalView],
    )


# -- recollection ------------------------------------------------------------------------------------------------------


def recollection_policies() -> Call[Page[RecollectionPolicyView]]:
    """List what agents are reminded of when a task begins."""
    return Call(method="GET", path=path("memory", "recollection-policies"), returns=Page[RecollectionPolicyView])


def put_recollection_policy(policy: NewRecollectionPolicy) -> Call[RecollectionPolicyView]:
    """Set the rule for an agent and a purpose, in place of the one before."""
    return Call(method="PUT", path=path("memory", "recollection-policies"), body=policy, returns=RecollectionPolicyView)


def delete_recollection_policy(policy_id: str) -> Call[None]:
    """Take a rule away."""
    return Call(method="DELETE", path=path("memory", "recollection-policies", policy_id), returns=None)


def try_recollection(request: DryRunRequest) -> Call[DryRunReport]:
    """Say what a rule would have handed out at recorded tasks."""
    return Call(
        method="POST", path=path("memory", "recollection-policies", "dry-run"), body=request, returns=DryRunReport
    )


def traces(
    *, task: str | None = None, agent: str | None = None, limit: int | None = None, cursor: str | None = None
) -> Call[Page[MemoryTraceView]]:
    """List what memory handed out to whom, the newest first."""
    return Call(
        method="GET",
        path=path("memory", "traces"),
        query=query(task_id=task, agent_id=agent, limit=limit, cursor=cursor),
        returns=Page[MemoryTraceView],
    )
