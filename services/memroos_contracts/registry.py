"""The words of the registry: workspaces, agents and what they can do, keys, heartbeats."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, UnsetType

from memroos_contracts.identity import AgentId, KeyId, Role, WorkspaceId

Name = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=64,
        pattern="^[a-z0-9]([a-z0-9-]*[a-z0-9])?$",
        description="Lower-case letters, digits and single words joined by hyphens; part of addresses, never changed.",
    ),
]
Title = Annotated[str, Meta(max_length=200)]
Description = Annotated[str, Meta(max_length=4000)]
Reason = Annotated[str, Meta(max_length=500)]
Tag = Annotated[str, Meta(min_length=1, max_length=64)]
MediaType = Annotated[str, Meta(min_length=3, max_length=127)]
Labels = Annotated[
    dict[Annotated[str, Meta(min_length=1, max_length=64)], Annotated[str, Meta(max_length=256)]], Meta(max_length=64)
]
EndpointUrl = Annotated[str, Meta(max_length=2000)]
Concurrency = Annotated[int, Meta(ge=1, le=10_000)]


# -- workspaces ------------------------------------------------------------------------------------------------------


class WorkspaceView(msgspec.Struct, frozen=True):
    """A tenant: everything that is owned belongs to one, and nothing crosses between two."""

    id: WorkspaceId
    name: str
    title: str
    created_at: datetime


class NewWorkspace(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a new workspace is made from."""

    name: Name
    title: Title = ""


# -- agents ----------------------------------------------------------------------------------------------------------


class AgentKind(StrEnum):
    """How work reaches an agent."""

    A2A = "a2a"  # by A2A calls to its endpoint
    REST = "rest"  # through its inbox
    GRAPH = "graph"  # as a run in the orchestration service
    LOCAL = "local"  # by a function inside the kernel's process


class AgentState(StrEnum):
    """Where an agent stands with its operators."""

    DRAFT = "draft"  # being set up: may connect, gets no work
    ACTIVE = "active"
    QUARANTINED = "quarantined"  # shut out until an operator activates it again
    RETIRED = "retired"  # shut out for good


class Liveness(StrEnum):
    """Whether an agent has been heard of."""

    LIVE = "live"
    SILENT = "silent"  # it missed three heartbeats
    UNKNOWN = "unknown"  # it has never sent one


class AgentSkill(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Something an agent can do, in the words of an A2A agent card."""

    id: Annotated[str, Meta(min_length=1, max_length=64)]
    name: Annotated[str, Meta(min_length=1, max_length=128)]
    description: Description = ""
    tags: Annotated[tuple[Tag, ...], Meta(max_length=32)] = ()
    examples: Annotated[tuple[Annotated[str, Meta(max_length=2000)], ...], Meta(max_length=16)] = ()
    input_modes: Annotated[tuple[MediaType, ...], Meta(max_length=16)] = ()
    output_modes: Annotated[tuple[MediaType, ...], Meta(max_length=16)] = ()


Skills = Annotated[tuple[AgentSkill, ...], Meta(max_length=100)]


class Capabilities(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What an agent's endpoint at the kernel offers beside plain sending; the kernel can do all of it for any agent."""

    streaming: bool = True
    push_notifications: bool = True
    extended_agent_card: bool = True


class NewAgent(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a new agent is made from."""

    name: Name
    kind: AgentKind
    title: Title = ""
    description: Description = ""
    state: AgentState = AgentState.DRAFT
    """`draft` or `active`."""
    skills: Skills = ()
    endpoint_url: EndpointUrl = ""
    """Where its A2A interface is; only for kind `a2a`."""
    max_concurrency: Concurrency = 1
    """How many tasks it is brought at the same time; an agent that claims its work decides that itself."""
    labels: Labels = {}
    capabilities: Capabilities = Capabilities()


class AgentChange(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is to change about an agent; what is left out stays."""

    title: Title | UnsetType = UNSET
    description: Description | UnsetType = UNSET
    skills: Skills | UnsetType = UNSET
    endpoint_url: EndpointUrl | UnsetType = UNSET
    max_concurrency: Concurrency | UnsetType = UNSET
    labels: Labels | UnsetType = UNSET
    capabilities: Capabilities | UnsetType = UNSET


class StateChange(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Why an agent's state is changed."""

    reason: Reason = ""


class AgentView(msgspec.Struct, frozen=True):
    """An agent as its operators see it."""

    id: AgentId
    workspace_id: WorkspaceId
    name: str
    title: str
    description: str
    kind: AgentKind
    state: AgentState
    state_reason: str
    version: int
    """Counts changes; send it as `If-Match` with the next one."""
    skills: tuple[AgentSkill, ...]
    endpoint_url: str
    max_concurrency: int
    labels: dict[str, str]
    liveness: Liveness
    last_seen_at: datetime | None
    status: str
    """What the agent said of itself in its last heartbeat."""
    load: float
    """Between 0 (idle) and 1 (full), from its last heartbeat."""
    created_at: datetime
    updated_at: datetime
    created_by: str
    capabilities: Capabilities = Capabilities()


class AgentFilter(msgspec.Struct, frozen=True):
    """Which agents a listing shows; what is left out does not restrict."""

    state: AgentState | None = None
    kind: AgentKind | None = None
    skill: str | None = None
    tag: str | None = None


class PeerView(msgspec.Struct, frozen=True):
    """An agent as other agents see it: what it can do and whether it is there, not where it is."""

    id: AgentId
    name: str
    title: str
    skills: tuple[AgentSkill, ...]
    liveness: Liveness


# -- remote agents ----------------------------------------------------------------------------------------------------


class Health(StrEnum):
    """What the last look at a remote agent's card gave."""

    UNKNOWN = "unknown"
    HEALTHY = "healthy"
    FAILING = "failing"


class Breaker(StrEnum):
    """Whether calls to a remote agent are tried at all."""

    CLOSED = "closed"  # calls go through
    OPEN = "open"  # it failed too often: none until `breaker_until`
    HALF_OPEN = "half_open"  # one try decides


class SignatureState(StrEnum):
    """What is known of the signature on an agent's own card."""

    UNSIGNED = "unsigned"
    VERIFIED = "verified"
    UNVERIFIED = "unverified"  # no key to check it with
    INVALID = "invalid"


class Credential(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the kernel shows to a remote agent; kept encrypted, never shown again."""

    value: Annotated[str, Meta(min_length=1, max_length=4096)]
    scheme: Annotated[str, Meta(max_length=64)] = "Bearer"
    """What stands before it in `Authorization`; ignored where `header` is set."""
    header: Annotated[str, Meta(max_length=64)] = ""
    """A header of its own that carries the bare value, such as `X-API-Key`; empty for `Authorization`."""

    def __repr__(self) -> str:
        """Say nothing that is secret: this may stand in a log."""
        return f"Credential(scheme={self.scheme!r}, header={self.header!r})"


PinnedKeys = Annotated[tuple[Annotated[str, Meta(max_length=4096)], ...], Meta(max_length=8)]
PollIntervalS = Annotated[int, Meta(ge=5, le=86_400)]


class NewRemoteAgent(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a remote A2A agent is registered from."""

    card_url: EndpointUrl
    """Where its agent card is, or the agent's address; then `/.well-known/agent-card.json` below it is read."""
    name: Name | None = None
    """Its name here; left out, made from the card's."""
    state: AgentState = AgentState.ACTIVE
    """`draft` or `active`."""
    credential: Credential | None = None
    interval_s: PollIntervalS = 60
    """How often its card is looked at, in seconds."""
    max_concurrency: Concurrency = 16
    labels: Labels = {}
    capabilities: Capabilities = Capabilities()
    pinned_keys: PinnedKeys = ()
    """Public keys (JWK, as JSON text) that its card must be signed with. Left out, the first verified key is pinned."""


class RemoteAgentChange(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is to change about a remote agent; what is left out stays."""

    card_url: EndpointUrl | UnsetType = UNSET
    interval_s: PollIntervalS | UnsetType = UNSET
    credential: Credential | UnsetType | None = UNSET
    """null takes it away."""
    pinned_keys: PinnedKeys | UnsetType = UNSET
    """Given, even if empty, they take the place of the key that was pinned before."""


class RemoteAgentView(msgspec.Struct, frozen=True):
    """A remote agent: where it is, how it is reached, and how it was when it was last looked at."""

    agent: AgentView
    card_url: str
    interface_url: str
    """The address that work goes to, from its card."""
    protocol_binding: str
    protocol_version: str
    interval_s: int
    health: Health
    last_error: str
    last_poll_at: datetime | None
    next_poll_at: datetime
    failures: int
    """In a row."""
    breaker: Breaker
    breaker_until: datetime | None
    has_credential: bool
    card_version: int
    card_digest: str
    signature: SignatureState
    signature_key: str
    """The id of the key it is signed with; empty where it is not."""


class CardVersionView(msgspec.Struct, frozen=True):
    """One version of a remote agent's own card; its body has an address of its own."""

    version: int
    digest: str
    """SHA-256 of the body, hex."""
    signature: SignatureState
    signature_key: str
    fetched_at: datetime


# -- keys ------------------------------------------------------------------------------------------------------------


Scope = Annotated[str, Meta(min_length=1, max_length=64)]
Scopes = Annotated[tuple[Scope, ...], Meta(max_length=64)]
KeyName = Annotated[str, Meta(max_length=100)]
LifetimeS = Annotated[int, Meta(ge=1, le=315_360_000)]


class KeyState(StrEnum):
    """Whether a key opens the door."""

    ACTIVE = "active"
    EXPIRED = "expired"
    REVOKED = "revoked"


class NewAgentKey(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a new key for an agent is made from."""

    name: KeyName = ""
    scopes: Scopes = ()
    """Actions such as `memory.read`, or groups of them such as `task.`; empty means all that the role may do."""
    expires_in_s: LifetimeS | None = None


class NewKey(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a new key is made from."""

    role: Role
    name: KeyName = ""
    """For a key of a service: the service's name, by which it is known."""
    agent: Annotated[str, Meta(max_length=64)] = ""
    """Id or name of the agent, for keys of the role `agent` and no others."""
    scopes: Scopes = ()
    expires_in_s: LifetimeS | None = None


class KeyRotation(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How a key is replaced by a new one."""

    overlap_s: Annotated[int, Meta(ge=0, le=2_592_000)] | None = None
    """How long the old key still works; left out, the kernel's setting."""
    expires_in_s: LifetimeS | None = None
    """How long the new key is valid; left out, as long as the old one. Only operators may state it."""


class KeyView(msgspec.Struct, frozen=True):
    """A key without its secret."""

    id: KeyId
    workspace_id: WorkspaceId
    name: str
    role: Role
    agent_id: AgentId | None
    scopes: tuple[str, ...]
    last4: str
    """The last four characters, to tell keys apart."""
    state: KeyState
    created_at: datetime
    created_by: str
    expires_at: datetime | None
    revoked_at: datetime | None
    revoke_reason: str
    replaced_by: KeyId | None
    last_used_at: datetime | None
    """Exact to about a minute."""


class NewKeyView(msgspec.Struct, frozen=True):
    """A key that was just made. Its secret is shown this one time."""

    key: KeyView
    secret: str
    """What goes behind `Authorization: Bearer`; empty when a repeated request is answered."""


class NewWorkspaceView(msgspec.Struct, frozen=True):
    """A workspace that was just made, with the key of its first operator."""

    workspace: WorkspaceView
    operator_key: NewKeyView


# -- heartbeats ------------------------------------------------------------------------------------------------------


class Heartbeat(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What an agent says of itself from time to time."""

    status: Annotated[str, Meta(max_length=64)] = ""
    """A word of its own, such as `idle`."""
    load: Annotated[float, Meta(ge=0, le=1)] = 0.0
    """Between 0 (idle) and 1 (full)."""
    version: Annotated[str, Meta(max_length=64)] = ""
    """The version of its software."""
    interval_s: Annotated[int, Meta(ge=1, le=3600)] = 30
    """When the next heartbeat comes; after three times that it counts as silent."""
    working_on: Annotated[tuple[Annotated[str, Meta(max_length=64)], ...], Meta(max_length=100)] = ()
    """Ids of the tasks it still works on: a hint about the leases it means to keep."""


class HeartbeatView(msgspec.Struct, frozen=True):
    """What the kernel took down of a heartbeat."""

    agent_id: AgentId
    state: AgentState
    liveness: Liveness
    at: datetime
    silent_at: datetime
    """Without another heartbeat before then it counts as silent."""


# -- the caller ------------------------------------------------------------------------------------------------------


class WhoAmIView(msgspec.Struct, frozen=True):
    """Who the kernel takes the caller for."""

    role: Role
    id: str
    principal: str
    workspace: WorkspaceId
    key: KeyId | None
    scopes: tuple[str, ...]
    on_behalf_of: tuple[str, ...]
    agent: AgentView | None = None
