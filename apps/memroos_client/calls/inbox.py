"""The agent context bus: messages in agents' inboxes."""

from typing import Any

from memroos_client.call import Call, new_key, path, query
from memroos_contracts.bus import (
    Deliveries,
    Delivery,
    ExtendRequest,
    InboxMessage,
    InboxMessageView,
    InboxState,
    NackRequest,
    NewInboxMessage,
    ReceiveRequest,
    ReplyRequest,
    Settlement,
)
from memroos_contracts.pages import Page

_ROOT = "agent-context"


def send(new: NewInboxMessage, *, idempotency_key: str | None = None) -> Call[InboxMessageView]:
    """Put a message into an agent's inbox."""
    return Call(
        method="POST",
        path=path(_ROOT),
        body=new,
        idempotency_key=idempotency_key or new_key(),
        returns=InboxMessageView,
    )


def receive(*, max_messages: int = 1, lease_s: int = 60, wait_s: int = 0) -> Call[Deliveries]:
    """Take the next messages of the calling agent's inbox, waiting for the first one."""
    return Call(
        method="POST",
        path=path(_ROOT, "receive"),
        query=query(wait_s=wait_s or None),
        body=ReceiveRequest(max_messages=max_messages, lease_s=lease_s),
        wait_s=wait_s,
        returns=Deliveries,
    )


def listing(
    agent: str | None = None, *, state: InboxState | None = None, limit: int | None = None, cursor: str | None = None
) -> Call[Page[InboxMessageView]]:
    """List the messages of an inbox, the newest first; an agent's own when none is named."""
    wanted = query(agent=agent, message_state=state, limit=limit, cursor=cursor)
    return Call(method="GET", path=path(_ROOT), query=wanted, returns=Page[InboxMessageView])


def dead(
    agent: str | None = None, *, limit: int | None = None, cursor: str | None = None
) -> Call[Page[InboxMessageView]]:
    """List messages that were offered too often, the newest first."""
    wanted = query(agent=agent, limit=limit, cursor=cursor)
    return Call(method="GET", path=path(_ROOT, "dead"), query=wanted, returns=Page[InboxMessageView])


def get(message: str) -> Call[InboxMessage]:
    """Get a message with its content."""
    return Call(method="GET", path=path(_ROOT, message), returns=InboxMessage)


def ack(delivery: Delivery) -> Call[InboxMessageView]:
    """Say that it is done."""
    return _settle(delivery, "ack", Settlement(delivery.fencing_token))


def nack(delivery: Delivery, *, delay_s: int | None = None, reason: str = "") -> Call[InboxMessageView]:
    """Say that it did not work; it is offered again later."""
    return _settle(delivery, "nack", NackRequest(delivery.fencing_token, delay_s, reason))


def extend(delivery: Delivery, *, lease_s: int = 60) -> Call[InboxMessageView]:
    """Ask for more time."""
    return _settle(delivery, "extend", ExtendRequest(delivery.fencing_token, lease_s))


def release(delivery: Delivery) -> Call[InboxMessageView]:
    """Give it back unworked; the attempt does not count."""
    return _settle(delivery, "release", Settlement(delivery.fencing_token))


def reply(
    message: str, body: dict[str, Any], *, kind: str = "reply", idempotency_key: str | None = None
) -> Call[InboxMessageView]:
    """Answer a message's author."""
    return Call(
        method="POST",
        path=path(_ROOT, message, "reply"),
        body=ReplyRequest(body=body, kind=kind),
        idempotency_key=idempotency_key or new_key(),
        returns=InboxMessageView,
    )


def requeue(message: str) -> Call[InboxMessageView]:
    """Offer a dead message again."""
    return Call(method="POST", path=path(_ROOT, message, "requeue"), returns=InboxMessageView)


def _settle(delivery: Delivery, verb: str, body: Settlement | NackRequest | ExtendRequest) -> Call[InboxMessageView]:
    return Call(method="POST", path=path(_ROOT, delivery.message.id, verb), body=body, returns=InboxMessageView)
