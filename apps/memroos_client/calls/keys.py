"""Keys. A new one's secret is shown once; the answer to a repeated request leaves it empty."""

from memroos_client.call import Call, new_key, path, query
from memroos_contracts.pages import Page
from memroos_contracts.registry import KeyRotation, KeyView, NewAgentKey, NewKey, NewKeyView


def listing(*, agent: str | None = None, limit: int | None = None, cursor: str | None = None) -> Call[Page[KeyView]]:
    """List keys, all of the workspace or one agent's."""
    place = path("keys") if agent is None else path("agents", agent, "keys")
    return Call(method="GET", path=place, query=query(limit=limit, cursor=cursor), returns=Page[KeyView])


def create(new: NewKey, *, idempotency_key: str | None = None) -> Call[NewKeyView]:
    """Make a key."""
    return Call(
        method="POST", path=path("keys"), body=new, idempotency_key=idempotency_key or new_key(), returns=NewKeyView
    )


def create_for(agent: str, new: NewAgentKey, *, idempotency_key: str | None = None) -> Call[NewKeyView]:
    """Make a key for an agent."""
    return Call(
        method="POST",
        path=path("agents", agent, "keys"),
        body=new,
        idempotency_key=idempotency_key or new_key(),
        returns=NewKeyView,
    )


def rotate(key: str, rotation: KeyRotation | None = None, *, idempotency_key: str | None = None) -> Call[NewKeyView]:
    """Make a key's successor; the old one works on for a while."""
    return Call(
        method="POST",
        path=path("keys", key, "rotate"),
        body=rotation or KeyRotation(),
        idempotency_key=idempotency_key or new_key(),
        returns=NewKeyView,
    )


def revoke(key: str, *, reason: str = "") -> Call[KeyView]:
    """End a key at once, and the streams that were opened with it."""
    return Call(method="DELETE", path=path("keys", key), query=query(reason=reason), returns=KeyView)
