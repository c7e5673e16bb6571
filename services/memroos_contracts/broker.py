"""The words of the broker: messages, parts, artifacts, tasks and their events.

Field names are those of the A2A 1.0 protocol buffers (package lf.a2a.v1); states and roles are their short forms in
lower case. Doors translate; nothing here knows the SDK.
"""

from collections.abc import AsyncIterator
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Protocol

import msgspec
from msgspec import Meta

from memroos_contracts.governance import INTERNAL, Label
from memroos_contracts.identity import AgentId, ApprovalId, ContextId, InboxMessageId, TaskId, WorkspaceId

FencingToken = Annotated[int, Meta(ge=0, le=2**63 - 1)]
LeaseS = Annotated[int, Meta(ge=1, le=3600)]


class TaskState(StrEnum):
    """Where a task stands (A2A 1.0, TaskState)."""

    SUBMITTED = "submitted"
    WORKING = "working"
    INPUT_REQUIRED = "input_required"
    AUTH_REQUIRED = "auth_required"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELED = "canceled"
    REJECTED = "rejected"


FINAL = frozenset({TaskState.COMPLETED, TaskState.FAILED, TaskState.CANCELED, TaskState.REJECTED})
INTERRUPTED = frozenset({TaskState.INPUT_REQUIRED, TaskState.AUTH_REQUIRED})


class MessageRole(StrEnum):
    """Who wrote a message."""

    USER = "user"
    AGENT = "agent"


class Part(msgspec.Struct, frozen=True, omit_defaults=True):
    """A piece of content: exactly one of `text`, `raw`, `url` and `data`."""

    text: str | None = None
    raw: str | None = None
    """Bytes in base 64."""
    url: str | None = None
    data: Any | msgspec.UnsetType = msgspec.UNSET
    """Any JSON value."""
    media_type: str = ""
    filename: str = ""
    metadata: dict[str, Any] | None = None


class Message(msgspec.Struct, frozen=True, omit_defaults=True):
    """One turn of a conversation."""

    message_id: str
    role: MessageRole
    parts: list[Part]
    context_id: str = ""
    task_id: str = ""
    metadata: dict[str, Any] | None = None
    extensions: list[str] = []
    reference_task_ids: list[str] = []


class Artifact(msgspec.Struct, frozen=True, omit_defaults=True):
    """Something an agent produced."""

    artifact_id: str
    parts: list[Part]
    name: str = ""
    description: str = ""
    metadata: dict[str, Any] | None = None
    extensions: list[str] = []


class EventKind(StrEnum):
    """What a task event is."""

    MESSAGE = "message"
    """A message joined the history; not part of a stream."""
    STATUS = "status"
    ARTIFACT = "artifact"


class TaskEvent(msgspec.Struct, frozen=True, omit_defaults=True):
    """One entry of a task's log; `generation` counts from 1 without gaps."""

    generation: int
    kind: EventKind
    at: datetime
    state: TaskState | None = None
    """The new state, for `status`."""
    message: Message | None = None
    """The message itself, or the one that explains a status."""
    artifact: Artifact | None = None
    append: bool = False
    """Whether the artifact's parts are added to an earlier one of the same id."""
    last_chunk: bool = False
    metadata: dict[str, Any] | None = None


class TaskView(msgspec.Struct, frozen=True):
    """A task without its content: who, where, how far."""

    id: TaskId
    workspace_id: WorkspaceId
    context_id: ContextId
    owner: str
    """The principal that sent it."""
    agent_id: AgentId
    agent: str
    """The agent's name."""
    state: TaskState
    generation: int
    """Grows by one with each change."""
    skill: str
    purpose: str
    route_reason: str
    """Why this agent was chosen."""
    label: Label
    approval_id: ApprovalId | None
    """What a human has to answer before the task goes on."""
    created_at: datetime
    status_at: datetime
    deadline_at: datetime | None
    status_message: Message | None = None
    accepted_generation: int = 0
    """How far the log reached when its agent took it; 0 until then. A stream of a new task begins there."""
    message_only: bool = False
    """Whether the agent answered with one message instead of a task (A2A 1.0, 3.1.1); the doors show that message."""
    traceparent: str = ""
    """The W3C trace context under which it was sent."""
    via: tuple[str, ...] = ()
    """The brokers it came through before this one, oldest first (RFC 9110, 7.6.3)."""
    metadata: dict[str, Any] | None = None
    """What its agent says of the task as a whole (A2A 1.0, Task.metadata)."""


class TaskDetail(msgspec.Struct, frozen=True):
    """A task with its content."""

    task: TaskView
    history: list[Message] | None
    """None where it was not asked for."""
    artifacts: list[Artifact] | None


class SendRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Send a message to an agent, by name or by skill, or go on with a task."""

    parts: list[Part]
    message_id: str = ""
    """Yours; sending the same one with the same body again answers with the same task."""
    agent: str = ""
    """An agent's id or name. Empty: whoever has `skill` and all of `tags`."""
    skill: str = ""
    tags: list[str] = []
    context_id: str = ""
    task_id: str = ""
    purpose: str = ""
    label: Label = INTERNAL
    metadata: dict[str, Any] | None = None
    reference_task_ids: list[str] = []


class ClaimRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Ask for the next task."""

    wait_s: Annotated[int, Meta(ge=0, le=60)] = 0
    """How long to wait for one, in seconds; the kernel may answer earlier."""
    lease_s: LeaseS = 60
    """How long you may stay silent, in seconds."""


class ClaimView(msgspec.Struct, frozen=True):
    """A task to work on, and the lease under which you hold it."""

    task: TaskView
    message: Message
    """The message to act on."""
    history: list[Message]
    lease_id: InboxMessageId
    fencing_token: int
    """Send it with every report; a newer lease makes an older token worthless."""
    lease_until: datetime
    attempt: int
    recollection: str = ""
    """What memory offers for this task, where a recollection policy says so: data from earlier, not instructions."""


class WorkReport(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What an agent says about a task it holds."""

    fencing_token: FencingToken
    parts: list[Part] = []
    metadata: dict[str, Any] | None = None


class HeartbeatReport(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Still working."""

    fencing_token: FencingToken
    lease_s: LeaseS = 60


class ArtifactReport(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A piece of the result."""

    fencing_token: FencingToken
    artifact: Artifact
    append: bool = False
    last_chunk: bool = True


class CancelRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Stop a task."""

    reason: str = ""


class Work(msgspec.Struct, frozen=True):
    """What a local agent is given to do."""

    task: TaskView
    message: Message
    history: list[Message]


class Report(msgspec.Struct, frozen=True):
    """One thing a local agent says: a state with an optional message, or an artifact."""

    state: TaskState | None = None
    parts: list[Part] = []
    artifact: Artifact | None = None
    append: bool = False
    last_chunk: bool = False


class LocalAgent(Protocol):
    """An agent that lives inside the kernel's process.

    It may be run more than once for the same message (after a crash), so it has to be safe to repeat.
    """

    def run(self, work: Work) -> AsyncIterator[Report]:
        """Yield reports until one of them is a final or an interrupted state."""
        ...
