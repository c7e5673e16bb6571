"""Push notifications: where they go, how far they got, what was tried, and once more."""

from memroos_client.call import Call, new_key, path, query
from memroos_contracts.pages import Page
from memroos_contracts.push import NewPushConfig, PushConfigView, PushReplay, PushState, PushTryView


def create(task: str, new: NewPushConfig, *, idempotency_key: str | None = None) -> Call[PushConfigView]:
    """Have notifications about a task sent to an address; one of the same id is replaced."""
    return Call(
        method="POST",
        path=path("tasks", task, "push-notifications"),
        body=new,
        idempotency_key=idempotency_key or new_key(),
        returns=PushConfigView,
    )


def listing(
    *, task: str | None = None, state: PushState | None = None, limit: int | None = None, cursor: str | None = None
) -> Call[Page[PushConfigView]]:
    """List where notifications go, newest first."""
    return Call(
        method="GET",
        path=path("push-notifications"),
        query=query(task=task, push_state=state, limit=limit, cursor=cursor),
        returns=Page[PushConfigView],
    )


def get(push: str) -> Call[PushConfigView]:
    """Say where notifications go, and how far they got."""
    return Call(method="GET", path=path("push-notifications", push), returns=PushConfigView)


def tries(push: str, *, limit: int | None = None, cursor: str | None = None) -> Call[Page[PushTryView]]:
    """List the last tries to deliver, newest first."""
    return Call(
        method="GET",
        path=path("push-notifications", push, "tries"),
        query=query(limit=limit, cursor=cursor),
        returns=Page[PushTryView],
    )


def replay(push: str, *, after_generation: int | None = None) -> Call[PushConfigView]:
    """Send again what came after a generation, or go on where it stopped."""
    body = PushReplay(after_generation)
    return Call(method="POST", path=path("push-notifications", push, "replay"), body=body, returns=PushConfigView)


def delete(push: str) -> Call[None]:
    """Send no more notifications there."""
    return Call(method="DELETE", path=path("push-notifications", push), returns=None)
