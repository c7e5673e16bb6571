"""Who exists: workspaces, agents and their skills, keys, heartbeats.

Registration is explicit: an agent is there because an operator made it, and it gets in with a key an operator made.
The keyring holds all valid keys in memory; it is one of the database's journals, so a key is refused from the moment
its revocation is acknowledged.
"""

from memroos.registry.client import check_card, headers_of, key_sets_of
from memroos.registry.errors import (
    AgentCannotMove,
    AgentChanged,
    AgentKeyNeeded,
    AgentNameTaken,
    AgentRetired,
    CardRefused,
    CardUnavailable,
    KeyNotActive,
    LastOperatorKey,
    OperatorKeyRevoked,
    ScopeTooWide,
    WeakKey,
    WorkspaceNameTaken,
)
from memroos.registry.keyring import Keyring, read_or_create_operator_key
from memroos.registry.queries import (
    Remote,
    find_agent,
    find_agents,
    get_agent,
    get_remote,
    list_agents,
    list_card_versions,
    list_keys,
    list_peers,
    list_remote_agents,
    list_workspaces,
    read_agent,
    read_card,
    read_remote_agent,
    whoami,
)
from memroos.registry.rules import RegistryEvent, is_admitted, scope_allows
from memroos.registry.service import (
    activate_agent,
    create_agent,
    create_key,
    create_workspace,
    ensure_default_workspace,
    ensure_local_agent,
    ensure_operator_key,
    quarantine_agent,
    record_heartbeat,
    report_remote,
    retire_agent,
    retire_remote_agent,
    revoke_key,
    rotate_key,
    update_agent,
    without_secret,
    workspace_without_secret,
)
from memroos.registry.worker.remote import RemoteAgents
from memroos_contracts.registry import AgentKind, AgentState, Liveness

__all__ = [
    "check_card", "key_sets_of",
    # for every slice above
    "get_agent", "find_agent", "find_agents", "scope_allows", "is_admitted", "AgentKind", "AgentState", "Liveness",
    "RegistryEvent", "Remote", "get_remote", "headers_of", "report_remote",
    # for the doors
    "list_workspaces", "create_workspace", "workspace_without_secret", "read_agent", "list_agents", "list_peers",
    "create_agent", "update_agent", "activate_agent", "quarantine_agent", "retire_agent", "record_heartbeat",
    "RemoteAgents", "retire_remote_agent", "list_remote_agents", "read_remote_agent", "list_card_versions", "read_card",
    "list_keys", "create_key", "rotate_key", "revoke_key", "without_secret", "whoami",
    # for the start of the kernel
    "Keyring", "read_or_create_operator_key", "ensure_default_workspace", "ensure_operator_key", "ensure_local_agent",
    # errors
    "AgentCannotMove", "AgentChanged", "AgentKeyNeeded", "AgentNameTaken", "AgentRetired", "CardRefused",
    "CardUnavailable", "KeyNotActive", "LastOperatorKey", "OperatorKeyRevoked", "ScopeTooWide", "WeakKey",
    "WorkspaceNameTaken",
]  # fmt: skip
