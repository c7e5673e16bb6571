"""The words of operations: how a running kernel stands, in numbers."""

from datetime import datetime

import msgspec

from memroos_contracts.broker import TaskState
from memroos_contracts.identity import WorkspaceId
from memroos_contracts.registry import AgentState, Liveness


class AgentCounts(msgspec.Struct, frozen=True):
    """How many agents there are."""

    by_state: dict[AgentState, int]
    by_liveness: dict[Liveness, int]
    """Of the active ones."""


class InboxCounts(msgspec.Struct, frozen=True):
    """How many messages stand in inboxes."""

    queued: int
    leased: int
    dead: int


class ApprovalCounts(msgspec.Struct, frozen=True):
    """What waits for a person."""

    pending: int
    oldest_at: datetime | None
    """When the one that waits longest was asked; None when none waits."""


class LedgerStanding(msgspec.Struct, frozen=True):
    """How far the ledger is, and how much of it is sealed."""

    events: int
    sealed: int
    """How many events the newest signed head covers."""
    head_at: datetime | None
    head_age_s: float | None
    """Seconds since the newest head was signed; None before the first."""


class EventLogStanding(msgspec.Struct, frozen=True):
    """Which part of the event log is kept."""

    oldest: int
    newest: int
    """0 before the first event."""


class ProcessStanding(msgspec.Struct, frozen=True):
    """The kernel's process and its files."""

    version: str
    started_at: datetime
    uptime_s: float
    database_bytes: int
    """The database with its write-ahead log."""
    writer_queue: int
    """Changes that wait for the writer now."""
    commits: int
    """Since the start; several changes share one."""
    changes: int


class MemoryStanding(msgspec.Struct, frozen=True):
    """How far memories are handed over to the memory service."""

    configured: bool
    connected: bool
    """Whether the last contact succeeded."""
    pending: int
    """The workspace's events that the service has not taken over yet; counted up to 10,000."""
    refused: int
    """How many of them it refused; replaying the dead letters offers them again."""
    removals: int
    """Removals that it has not heard of yet. What they are about is hidden already."""
    away_since: datetime | None = None
    """Since when it does not answer."""
    error: str = ""


class OperationsView(msgspec.Struct, frozen=True):
    """How the kernel stands. Counts are those of the caller's workspace."""

    at: datetime
    workspace_id: WorkspaceId
    agents: AgentCounts
    tasks: dict[TaskState, int]
    inbox: InboxCounts
    approvals: ApprovalCounts
    ledger: LedgerStanding
    events: EventLogStanding
    process: ProcessStanding | None
    """None outside the default workspace: other workspaces do not see how busy the whole house is."""
    memory: MemoryStanding
