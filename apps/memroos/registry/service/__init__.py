"""What changes in the registry: `workspaces`, `agents`, `remote` agents, `keys`, `heartbeats`."""

from memroos.registry.service.agents import (
    activate_agent,
    create_agent,
    ensure_local_agent,
    quarantine_agent,
    retire_agent,
    update_agent,
)
from memroos.registry.service.heartbeats import announce_silent_agents, record_heartbeat
from memroos.registry.service.keys import (
    create_key,
    end_expired_keys,
    ensure_operator_key,
    mark_keys_used,
    revoke_key,
    rotate_key,
    without_secret,
)
from memroos.registry.service.remote import (
    add_remote_agent,
    change_remote_agent,
    permit_change,
    permit_registration,
    report_remote,
    retire_remote_agent,
    take_look,
)
from memroos.registry.service.workspaces import create_workspace, ensure_default_workspace, workspace_without_secret

__all__ = [
    "activate_agent", "add_remote_agent", "change_remote_agent", "permit_change", "permit_registration",
    "report_remote", "retire_remote_agent", "take_look", "announce_silent_agents", "create_agent", "create_key",
    "create_workspace", "end_expired_keys", "ensure_default_workspace", "ensure_local_agent", "ensure_operator_key",
    "mark_keys_used", "quarantine_agent", "record_heartbeat", "retire_agent", "revoke_key", "rotate_key",
    "update_agent", "without_secret", "workspace_without_secret",
]  # fmt: skip
