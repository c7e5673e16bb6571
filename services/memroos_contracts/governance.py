"""The words of governance: actions, assets, labels, decisions, approvals."""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Protocol

import msgspec
from msgspec import Meta

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

    PUSH_CREATE = "push.create"
    PUSH_READ = "push.read"
    PUSH_DELETE = "push.delete"
    PUSH_REPLAY = "push.replay"

    MEMORY_WRITE = "memory.write"
    MEMORY_READ = "memory.read"
    MEMORY_RECALL = "memory.recall"
    MEMORY_CHANGE = "memory.change"  # update, supersede
    MEMORY_DELETE = "memory.delete"
    MEMORY_ROLLBACK = "memory.rollback"
    MEMORY_LIST = "memory.list"  # scopes, counts, jobs: how memory stands, without what was said
    MEMORY_OPERATE = "memory.operate"  # dead letters, indexes, evaluations, recollection policies
    MEMORY_TRACE = "memory.trace"  # what was handed out to whom

    TOOL_USE = "tool.use"  # what an agent does by itself, outside the kernel; its own name for it is an open set
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


class Label(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A classification that travels with content."""

    sensitivity: Sensitivity = Sensitivity.INTERNAL
    tags: Annotated[frozenset[Annotated[str, Meta(min_length=1, max_length=64)]], Meta(max_length=32)] = frozenset()
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
    state: str = ""
    """The state it is in, where policy should look at it: an agent that is to get work, for instance."""
    workspace: WorkspaceId | None = None
    """Where it belongs; None where it was found in the actor's own workspace, as nearly everything is."""

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

    def permits(self, tx: Any, action: Action, asset: Asset, *, purpose: str) -> bool:
        """Whether policy would let the actor do this, perhaps after a human's answer; records nothing."""
        ...


class ApprovalState(StrEnum):
    """Where an approval stands."""

    PENDING = "pending"
    APPROVED = "approved"
    REJECTED = "rejected"
    EXPIRED = "expired"
    WITHDRAWN = "withdrawn"  # what it was about has ended meanwhile


class ApprovalView(msgspec.Struct, frozen=True):
    """A question to a human, bound to the digest of the exact action and arguments."""

    id: ApprovalId
    workspace_id: WorkspaceId
    state: ApprovalState
    action: str
    """What the requester wants to do: an action of the kernel, or an agent's own name for what it does."""
    resumes: Action
    """The action of the kernel that goes on after the answer; `tool.use` for what an agent does by itself."""
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
    """The decision that first asked; later ones may wait for the same answer."""
    created_at: datetime
    expires_at: datetime
    answered_at: datetime | None = None
    answered_by: str | None = None
    """The principal that answered; None while it waits, and when nobody answered in time."""
    note: str = ""
    redacted: bool = False
    """Whether arguments, purpose and notes were left out, because the reader may see states but no content."""


class AnswerRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A human's answer to an approval."""

    note: Annotated[str, Meta(max_length=2_000)] = ""
    """Why; the requester sees it."""


# Patterns end in `(?![\s\S])`, nothing may follow: `$` would let a line break through.


class DecisionRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An agent's question: may I do this?"""

    action: Annotated[str, Meta(max_length=64, pattern=r"^[a-z][a-z0-9_-]*(\.[a-z0-9_-]+)+(?![\s\S])")]
    """What the agent is about to do, as `noun.verb`, such as `file.write`. None of the kernel's own actions."""
    tool: Annotated[str, Meta(min_length=1, max_length=200)]
    """Name of the tool that would do it."""
    arguments: dict[str, Any] = {}
    """The exact arguments: a permission is for these and no others. They are kept only where a human must see them."""
    purpose: Annotated[str, Meta(max_length=2_000)] = ""
    """Why, in a sentence for the human who may be asked."""
    asset: Annotated[str, Meta(max_length=500)] = ""
    """What it happens to, as `kind:name`, such as `file:report.md`; empty means the tool itself."""
    labels: Label = INTERNAL
    """The highest sensitivity and all tags of what the agent's context has seen so far."""


class ToolOutcome(StrEnum):
    """What came of an action that was permitted."""

    DONE = "done"
    FAILED = "failed"


class OutcomeReport(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An agent's report of what came of it."""

    outcome: ToolOutcome
    detail_digest: Annotated[str, Meta(pattern=r"^([0-9a-f]{64})?(?![\s\S])")] = ""
    """SHA-256 over whatever proves it, hex, for instance over the file that was written."""
    note: Annotated[str, Meta(max_length=2_000)] = ""


class DecisionView(msgspec.Struct, frozen=True):
    """What policy, and a human where policy asks for one, said about an agent's own action.

    `effect` is what holds now: `hold` while a human has not answered, `allow` after a yes, `deny` after a no, when
    nobody answered in time, and when the permission was not used before `expires_at`.
    """

    id: DecisionId
    effect: Effect
    action: str
    tool: str
    asset: str
    reason: str
    policies: tuple[str, ...]
    """Ids of the policies that determined the decision."""
    policy_hash: str
    digest: str
    """SHA-256 over the canonical JSON of action, asset and arguments, hex: what exactly was decided."""
    created_at: datetime
    expires_at: datetime
    """Until when a hold waits for an answer, or a permission may be used."""
    approval_id: ApprovalId | None = None
    approved_by: str | None = None
    """The principal that said yes, where a human was asked."""
    outcome: ToolOutcome | None = None
    """What the agent reported; a decision with an outcome is used up."""
    outcome_digest: str = ""
    reported_at: datetime | None = None


class PolicyView(msgspec.Struct, frozen=True):
    """One policy that is in effect."""

    id: str
    effect: str
    """`permit`, `permit with hold`, `permit with redact` or `forbid`."""
    reason: str
    """The sentence that a caller reads when this policy decides."""
    origin: str
    """`shipped`, or the operator's file it comes from."""
    text: str


class PolicySetView(msgspec.Struct, frozen=True):
    """The policies that are in effect."""

    hash: str
    """SHA-256 over their canonical form, hex; each decision names the set it was made with."""
    policies: list[PolicyView]
