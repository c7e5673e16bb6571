"""Reads of the registry: workspaces, `agents`, peers and keys; `remote` agents and their cards."""

from memroos.registry.queries.agents import (
    agent_asset,
    find_agent,
    find_agents,
    get_agent,
    has_operator_key,
    key_asset,
    key_view,
    list_agents,
    list_due,
    list_keys,
    list_peers,
    list_shut_out_agents,
    list_usable_keys,
    list_workspaces,
    load_agent,
    load_key,
    read_agent,
    whoami,
    workspace_view,
)
from memroos.registry.queries.remote import (
    Due,
    Remote,
    count_cards_since,
    find_card,
    find_due,
    find_remote_row,
    get_due,
    get_remote,
    list_card_versions,
    list_remote_agents,
    newest_card,
    read_card,
    read_remote_agent,
    remote_view,
)

__all__ = [
    "Due", "Remote", "agent_asset", "count_cards_since", "find_agent", "find_agents", "find_card", "find_due",
    "find_remote_row", "get_agent", "get_due", "get_remote", "has_operator_key", "key_asset", "key_view", "list_agents",
    "list_card_versions", "list_due", "list_keys", "list_peers", "list_remote_agents", "list_shut_out_agents",
    "list_usable_keys", "list_workspaces", "load_agent", "load_key", "newest_card", "read_agent", "read_card",
    "read_remote_agent", "remote_view", "whoami", "workspace_view",
]  # fmt: skip
