"""Who is who: workspaces, actors, and the identities that other structs refer to."""

from enum import StrEnum
from typing import NewType

import msgspec

WorkspaceId = NewType("WorkspaceId", str)
AgentId = NewType("AgentId", str)
KeyId = NewType("KeyId", str)
TaskId = NewType("TaskId", str)
ContextId = NewType("ContextId", str)
DeliveryId = NewType("DeliveryId", str)
InboxMessageId = NewType("InboxMessageId", str)
ApprovalId = NewType("ApprovalId", str)
DecisionId = NewType("DecisionId", str)
AuditEventId = NewType("AuditEventId", str)

DEFAULT_WORKSPACE = WorkspaceId("default")


class Role(StrEnum):
    """What kind of caller this is; the access table is written in these words."""

    OPERATOR = "operator"
    AUDITOR = "auditor"
    VIEWER = "viewer"
    AGENT = "agent"
    SERVICE = "service"


class Actor(msgspec.Struct, frozen=True):
    """Who acts, in which workspace, and for whom.

    `on_behalf_of` is the chain of principals this call acts for, nearest last. It explains; it never adds rights.
    """

    role: Role
    id: str
    """An agent's id for agents, a service's name for services, else the key's id."""
    workspace: WorkspaceId = DEFAULT_WORKSPACE
    agent: AgentId | None = None
    key: KeyId | None = None
    scopes: frozenset[str] = frozenset()
    """What the key may be used for; empty means all that the role may do."""
    on_behalf_of: tuple[str, ...] = ()

    @property
    def principal(self) -> str:
        """The name under which this actor owns things, such as `agent:agt_01J...`."""
        return f"{self.role}:{self.id}"


def service_actor(name: str, workspace: WorkspaceId = DEFAULT_WORKSPACE) -> Actor:
    """Return the actor for work that a part of the system does by itself, such as `kernel`."""
    return Actor(role=Role.SERVICE, id=name, workspace=workspace)
