"""The words of the agent context bus: messages in an agent's inbox, and the leases under which it works on them.

Delivery is at least once: a message may come again when a lease ends before its ack, so receivers are safe to repeat
and recognise a message by its id.
"""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from memroos_contracts.governance import INTERNAL, Label
from memroos_contracts.identity import AgentId, InboxMessageId, TaskId, WorkspaceId

LEASE_S_MAX = 3_600
MESSAGES_MAX = 100
PRIORITY_MAX = 9
WAIT_S_MAX = 60
DELAY_S_MAX = 30 * 86_400

Kind = Annotated[str, Meta(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9][A-Za-z0-9._:/-]*$")]
Reference = Annotated[str, Meta(max_length=200)]
Priority = Annotated[int, Meta(ge=0, le=PRIORITY_MAX)]
DelayS = Annotated[int, Meta(ge=0, le=DELAY_S_MAX)]
TtlS = Annotated[int, Meta(ge=1, le=DELAY_S_MAX)]
LeaseS = Annotated[int, Meta(ge=1, le=LEASE_S_MAX)]
FencingToken = Annotated[int, Meta(ge=1)]
Reason = Annotated[str, Meta(max_length=500)]


class InboxState(StrEnum):
    """Where a message stands."""

    QUEUED = "queued"  # waits for its receiver, perhaps for its time or its turn
    LEASED = "leased"  # a receiver works on it
    ACKED = "acked"  # done
    DEAD = "dead"  # was offered too often; waits for somebody to look at it
    EXPIRED = "expired"  # nobody took it in time
    CANCELLED = "cancelled"  # its task ended without it


OPEN = frozenset({InboxState.QUEUED, InboxState.LEASED})


class InboxMessageView(msgspec.Struct, frozen=True):
    """A message without its content: from whom, to whom, how far."""

    id: InboxMessageId
    workspace_id: WorkspaceId
    agent_id: AgentId
    """Whose inbox it is in."""
    sender: str
    """The principal that sent it."""
    kind: str
    context_id: str
    """Messages of one context come in the order in which they were sent, one at a time; empty: no order."""
    state: InboxState
    label: Label
    priority: int
    """0 to 9; higher comes first."""
    size_bytes: int
    digest: str
    """`sha256:` and the hash of the body's canonical JSON, hex."""
    attempts: int
    """How often it was handed out; giving it back unworked takes that back."""
    max_attempts: int
    created_at: datetime
    not_before: datetime | None
    """It is not handed out earlier; None when it is due."""
    expires_at: datetime | None
    lease_until: datetime | None
    received_at: datetime | None
    """When it was handed out for the first time."""
    settled_at: datetime | None
    replied_at: datetime | None
    reply_to: InboxMessageId | None
    """The message that this one answers."""
    correlation_id: str
    task_id: TaskId | None
    reason: str
    """Why it was put back, or is dead."""


class InboxMessage(msgspec.Struct, frozen=True):
    """A message with its content."""

    message: InboxMessageView
    body: dict[str, Any] | None
    """None where policy leaves it out."""


class Delivery(msgspec.Struct, frozen=True):
    """A message handed to a receiver, and the lease under which it is held."""

    message: InboxMessageView
    body: dict[str, Any] | None
    """None where policy leaves it out."""
    fencing_token: int
    """Send it when you settle the message; a later hand-out makes it worthless."""
    lease_until: datetime


class Deliveries(msgspec.Struct, frozen=True):
    """What a receive brought; empty when nothing came in time."""

    items: list[Delivery]


class InboxStats(msgspec.Struct, frozen=True):
    """How full one agent's inbox is."""

    agent_id: AgentId
    queued: int
    leased: int
    dead: int
    oldest_ready_at: datetime | None
    """When the message was sent that could have been handed out for the longest time; None when none waits."""


class NewInboxMessage(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a new message is made from."""

    to: AgentId
    kind: Kind
    body: dict[str, Any]
    context_id: Reference = ""
    correlation_id: Reference = ""
    priority: Priority = 0
    delay_s: DelayS = 0
    """Do not hand it out earlier, in seconds from now."""
    ttl_s: TtlS | None = None
    """Forget it when nobody has taken it after this time, in seconds."""
    label: Label = INTERNAL


class ReceiveRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Ask for the next messages of your inbox."""

    max_messages: Annotated[int, Meta(ge=1, le=MESSAGES_MAX)] = 1
    lease_s: LeaseS = 60
    """How long you may work on them without a word, in seconds."""


class Settlement(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Say that you hold the message: an ack or a release."""

    fencing_token: FencingToken


class NackRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Say that it did not work."""

    fencing_token: FencingToken
    delay_s: DelayS | None = None
    """Offer it again after this time, in seconds; left out, longer with each attempt."""
    reason: Reason = ""


class ExtendRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Ask for more time."""

    fencing_token: FencingToken
    lease_s: LeaseS = 60
    """From now, in seconds."""


class ReplyRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What an answer to a message's author is made from."""

    body: dict[str, Any]
    kind: Kind = "reply"
    label: Label = INTERNAL
