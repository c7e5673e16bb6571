"""Tables of the registry. `heartbeat` is written by hot statements, the others through the ORM."""

from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint, Float, ForeignKey, Index, LargeBinary, String, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from memroos_contracts.identity import Role
from memroos_contracts.registry import AgentKind, AgentState, Health, Liveness, SignatureState
from memroos_kit.db import Base, JsonText, append_only, by_value

DDL: tuple[str, ...] = append_only("agent_card")


class Workspace(Base):
    """A tenant."""

    __tablename__ = "workspace"

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    name: Mapped[str] = mapped_column(String(64), unique=True)
    title: Mapped[str] = mapped_column(String(200))
    created_at: Mapped[datetime]


class Agent(Base):
    """Somebody who can be given work, and may give it."""

    __tablename__ = "agent"
    __table_args__ = (
        UniqueConstraint("workspace_id", "name", name="uq_agent_workspace_id_name"),
        CheckConstraint("version > 0", name="version_counts_up"),
        CheckConstraint("endpoint_url = '' OR kind = 'a2a'", name="only_a2a_has_endpoint"),
        Index("ix_agent_workspace_id_state", "workspace_id", "state"),
    )

    id: Mapped[str] = mapped_column(String(36), primary_key=True)
    workspace_id: Mapped[str] = mapped_column(String(64))
    name: Mapped[str] = mapped_column(String(64))
    title: Mapped[str] = mapped_column(String(200))
    description: Mapped[str] = mapped_column(String(4000))
    kind: Mapped[AgentKind] = mapped_column(by_value(AgentKind))
    state: Mapped[AgentState] = mapped_column(by_value(AgentState))
    state_reason: Mapped[str] = mapped_column(String(500))
    version: Mapped[int]
    skills: Mapped[list[Any]] = mapped_column(JsonText)  # the whole of them; agent_skill indexes them for routing
    endpoint_url: Mapped[str] = mapped_column(String(2000))
    max_concurrency: Mapped[int]
    labels: Mapped[dict[str, Any]] = mapped_column(JsonText)
    capabilities: Mapped[dict[str, Any]] = mapped_column(JsonText)
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]
    created_by: Mapped[str] = mapped_column(String(128))


class AgentSkillTag(Base):
    """The index by which routing finds agents: one row per skill and tag, and one per skill with the empty tag."""

    __tablename__ = "agent_skill"
    __table_args__ = (
        Index("ix_agent_skill_workspace_id_skill_id", "workspace_id", "skill_id"),
        Index("ix_agent_skill_workspace_id_tag", "workspace_id", "tag"),
    )

    agent_id: Mapped[str] = mapped_column(ForeignKey("agent.id"), primary_key=True)
    skill_id: Mapped[str] = mapped_column(String(64), primary_key=True)
    tag: Mapped[str] = mapped_column(String(64), primary_key=True)
    workspace_id: Mapped[str] = mapped_column(String(64))


class RemoteAgent(Base):
    """How a remote A2A agent is reached, and how it was when it was last looked at."""

    __tablename__ = "remote_agent"
    __table_args__ = (Index("ix_remote_agent_next_poll_at", "next_poll_at"),)

    agent_id: Mapped[str] = mapped_column(ForeignKey("agent.id"), primary_key=True)
    workspace_id: Mapped[str] = mapped_column(String(64))
    card_url: Mapped[str] = mapped_column(String(2000))
    protocol_binding: Mapped[str] = mapped_column(String(32))
    protocol_version: Mapped[str] = mapped_column(String(16))
    tenant: Mapped[str] = mapped_column(String(200))
    interval_s: Mapped[int]
    health: Mapped[Health] = mapped_column(by_value(Health))
    last_error: Mapped[str] = mapped_column(String(500))
    last_poll_at: Mapped[datetime | None]
    next_poll_at: Mapped[datetime]
    seen_at: Mapped[datetime | None]  # when a look last found it well
    failures: Mapped[int]  # looks in a row
    call_failures: Mapped[int]  # calls in a row
    breaker_until: Mapped[datetime | None]  # no calls before then; after it one try decides; None: calls go through
    credential: Mapped[bytes | None]  # encrypted, bound to the agent's id
    credential_origin: Mapped[str] = mapped_column(String(300))  # the only place it is shown; empty: the next card says
    pinned_keys: Mapped[list[str]]  # public keys, JWK
    etag: Mapped[str] = mapped_column(String(200))
    card_version: Mapped[int]


class AgentCard(Base):
    """The versions of a remote agent's own card, verbatim."""

    __tablename__ = "agent_card"

    agent_id: Mapped[str] = mapped_column(ForeignKey("agent.id"), primary_key=True)
    version: Mapped[int] = mapped_column(primary_key=True)
    workspace_id: Mapped[str] = mapped_column(String(64))
    digest: Mapped[str] = mapped_column(String(64))
    body: Mapped[bytes]
    signature: Mapped[SignatureState] = mapped_column(by_value(SignatureState))
    signature_key: Mapped[str] = mapped_column(String(200))
    fetched_at: Mapped[datetime]


class ApiKey(Base):
    """A key that opens the door. Only its digest is here."""

    __tablename__ = "api_key"
    __table_args__ = (
        CheckConstraint("(role = 'agent') = (agent_id IS NOT NULL)", name="agent_keys_name_their_agent"),
        CheckConstraint("length(digest) = 32", name="digest_is_sha256"),
        # For the step that ends expired keys.
        Index("ix_api_key_expires_at", "expires_at", sqlite_where=text("revoked_at IS NULL")),
        Index("ix_api_key_agent_id", "agent_id"),
        Index("ix_api_key_workspace_id", "workspace_id"),
    )

    id: Mapped[str] = mapped_column(String(36), primary_key=True)
    workspace_id: Mapped[str] = mapped_column(String(64))
    digest: Mapped[bytes] = mapped_column(LargeBinary(32), unique=True)
    last4: Mapped[str] = mapped_column(String(4))
    name: Mapped[str] = mapped_column(String(100))
    role: Mapped[Role] = mapped_column(by_value(Role))
    agent_id: Mapped[str | None] = mapped_column(ForeignKey("agent.id"))
    scopes: Mapped[list[str]]
    configured: Mapped[bool]  # it comes from the settings: another value there takes its place
    created_at: Mapped[datetime]
    created_by: Mapped[str] = mapped_column(String(128))
    expires_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]
    revoke_reason: Mapped[str] = mapped_column(String(500))
    replaced_by: Mapped[str | None] = mapped_column(String(36))
    last_used_at: Mapped[datetime | None]


class Heartbeat(Base):
    """The last an agent said of itself."""

    __tablename__ = "heartbeat"
    __table_args__ = (Index("ix_heartbeat_announced_silent_at", "announced", "silent_at"),)

    agent_id: Mapped[str] = mapped_column(ForeignKey("agent.id"), primary_key=True)
    workspace_id: Mapped[str] = mapped_column(String(64))
    last_seen_at: Mapped[datetime]
    interval_s: Mapped[int]
    silent_at: Mapped[datetime]  # last_seen_at + 3 * interval_s
    announced: Mapped[Liveness] = mapped_column(by_value(Liveness))  # what the event log says; changes once per change
    status: Mapped[str] = mapped_column(String(64))
    load: Mapped[float] = mapped_column(Float)
    version: Mapped[str] = mapped_column(String(64))
    working_on: Mapped[list[str]]
