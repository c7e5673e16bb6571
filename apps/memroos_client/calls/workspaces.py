"""Workspaces: the tenants of a kernel."""

from memroos_client.call import Call, new_key, path, query
from memroos_contracts.pages import Page
from memroos_contracts.registry import NewWorkspace, NewWorkspaceView, WorkspaceView


def listing(*, limit: int | None = None, cursor: str | None = None) -> Call[Page[WorkspaceView]]:
    """List the workspaces the caller may know of."""
    return Call(
        method="GET", path=path("workspaces"), query=query(limit=limit, cursor=cursor), returns=Page[WorkspaceView]
    )


def create(new: NewWorkspace, *, idempotency_key: str | None = None) -> Call[NewWorkspaceView]:
    """Create a workspace and the key of its first operator, which is shown this once."""
    return Call(
        method="POST",
        path=path("workspaces"),
        body=new,
        idempotency_key=idempotency_key or new_key(),
        returns=NewWorkspaceView,
    )
