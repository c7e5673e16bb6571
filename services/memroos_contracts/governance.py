"""The words of governance: actions, assets, labels, decisions, approvals."""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any, Protocol

import msgspec

from memroos_contracts.identity import ApprovalId, DecisionId, WorkspaceId

Json = None | bool | int | float | str | list[Any] | dict[str, Any]


class Action(StrEnum):
    """Everything that can be asked of the kernel: `noun.verb`."""

    WORKSPACE_CREATE = "workspace.create"
    WORKSPACE_READ = "workspace.read"

    AGENT_CREATE = "agent.create"
    AGENT_READ = "agent.read"
    AGENT_UPDATE = "agent.update"
    AGENT_ACTIVATE = "agent.activate"
    AGENT_QUARANTINE = "agent.quarantine"
    AGENT_RETIRE = "agent.retire"
    AGENT_HEARTBEAT = "agent.heartbeat"
    PEER_READ = "peer.read"

    KEY_CREATE = "key.create"
    KEY_READ = "key.read"
    KEY_ROTATE = "key.rotate"
    KEY_REVOKE = "key.revoke"

    INBOX_SEND = "inbox.send"
    INBOX_RECEIVE = "inbox.receive"
    INBOX_SETTLE = "inbox.settle"  # ack, nack, extend, release
    INBOX_READ = "inbox.read"
    INBOX_REQUEUE = "inbox.requeue"

    TASK_SEND = "task.send"
    TASK_READ = "task.read"
    TASK_LIST = "task.list"
    TASK_CANCEL = "task.cancel"
    TASK_WORK = "task.work"  # claim, heartbeat, progress, artifact, complete, fail, ask

    MEMORY_WRITE = "memory.write"
    MEMORY_READ = "memory.read"
    MEMORY_RECALL = "memory.recall"

    DECISION_ASK = "decision.ask"
    DECISION_READ = "decision.read"
    DECISION_REPORT = "decision.report"
    APPROVAL_READ = "approval.read"
    APPROVAL_ANSWER = "approval.answer"
    POLICY_READ = "policy.read"

    AUDIT_READ = "audit.read"
    EVENT_READ = "event.read"
    OPERATIONS_READ = "operations.read"


class Sensitivity(StrEnum):
    """How far a piece of content may travel, least first."""

    PUBLIC = "public"
    INTERNAL = "internal"
    CONFIDENTIAL = "confidential"
    RESTRICTED = "restricted"


class Label(msgspec.Struct, frozen=True):
    """A classification that travels with content."""

    sensitivity: Sensitivity = Sensitivity.INTERNAL
    tags: frozenset[str] = frozenset()
    """Such as `pii`, `secret`, `untrusted`."""


INTERNAL = Label()


class Asset(msgspec.Struct, frozen=True):
    """What an action is about: a typed reference with its owner and label.

    The id is for the record; policy sees only the other attributes, so that decisions can be cached.
    """

    kind: str
    """Such as `task`, `agent`, `inbox`, `tool`."""
    id: str
    owner: str = ""
    """The owning principal, empty where the workspace owns it."""
    agent: str = ""
    """The agent it is addressed to or about, where there is one."""
    label: Label = INTERNAL

    def __str__(self) -> str:
        return f"{self.kind}:{self.id}"


class Effect(StrEnum):
    """How a decision came out."""

    ALLOW = "allow"
    DENY = "deny"
    HOLD = "hold"
    REDACT = "redact"


class Decision(msgspec.Struct, frozen=True):
    """What policy said about one action, and why."""

    id: DecisionId
    effect: Effect
    action: str
    asset: Asset
    purpose: str = ""
    policies: tuple[str, ...] = ()
    """Ids of the policies that determined the effect."""
    policy_hash: str = ""
    """SHA-256 of the policy set, hex."""
    reason: str = ""
    approval_id: ApprovalId | None = None
    """Set when the effect is `hold`: the approval that has to be answered."""
    cached: bool = False

    @property
    def held(self) -> bool:
        """Whether a person has to answer first."""
        return self.effect is Effect.HOLD


class Authorizer(Protocol):
    """Decides whether an actor may do something. Implemented by governance, used by every verb through its `Tx`."""

    def authorize(
        self,
        tx: Any,
        action: Action,
        asset: Asset,
        *,
        purpose: str,
        arguments: Mapping[str, Any] | None,
        holdable: bool,
    ) -> Decision:
        """Return the decision.

        Raises:
            Denied: policy says no, or says `hold` where the verb cannot wait.
        """
        ...


class ApprovalState(StrEnum):
    """Where an approval stands."""

    PENDING = "pending"
    APPROVED = "approved"
    REJECTED = "rejected"
    EXPIRED = "expired"


class ApprovalView(msgspec.Struct, frozen=True):
    """A question to a human, bound to the digest of the exact action and arguments."""

    id: ApprovalId
    workspace_id: WorkspaceId
    state: ApprovalState
    action: str
    asset: str
    purpose: str
    requester: str
    """The principal that asked."""
    digest: str
    """SHA-256 over the canonical JSON of action, asset and arguments, hex."""
    arguments: dict[str, Any]
    reason: str
    """Why policy holds it."""
    policies: tuple[str, ...]
    decision_id: DecisionId
    created_at: datetime
    expires_at: datetime
    answered_at: datetime | None = None
    answered_by: str | None = None
    note: str = ""
