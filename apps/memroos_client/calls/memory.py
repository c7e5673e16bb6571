"""Memory: write, recall, read."""

from memroos_client.call import Call, new_key, path, query
from memroos_contracts.memory import MemoryEventView, NewMemory, RecallRequest, RecallResult
from memroos_contracts.pages import Page


def write(new: NewMemory, *, idempotency_key: str | None = None) -> Call[MemoryEventView]:
    """Keep a memory, or a receipt of what was done; it can be recalled at once."""
    return Call(
        method="POST",
        path=path("agent-memory"),
        body=new,
        idempotency_key=idempotency_key or new_key(),
        returns=MemoryEventView,
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
