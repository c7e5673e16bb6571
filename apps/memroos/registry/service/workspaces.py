"""Verbs about workspaces."""

import msgspec
from sqlalchemy import select

from memroos import audit, events
from memroos.registry import queries, rules
from memroos.registry.errors import WorkspaceNameTaken
from memroos.registry.models import Workspace
from memroos.registry.rules import RegistryEvent
from memroos.registry.service import keys
from memroos_contracts.errors import Denied, InvalidRequest
from memroos_contracts.governance import Action, Asset
from memroos_contracts.identity import DEFAULT_WORKSPACE, WorkspaceId
from memroos_contracts.registry import NewWorkspace, NewWorkspaceView, WorkspaceView
from memroos_kit.db import Tx


def ensure_default_workspace(tx: Tx) -> WorkspaceView:
    """Make the workspace that every installation has; for the start of the kernel. May be repeated."""
    known = tx.session.get(Workspace, DEFAULT_WORKSPACE)
    if known is None:
        known = _add(tx, DEFAULT_WORKSPACE, NewWorkspace(name=DEFAULT_WORKSPACE, title="Default workspace"))
    return queries.workspace_view(known)


def create_workspace(tx: Tx, new: NewWorkspace) -> NewWorkspaceView:
    """Make a workspace and the key of its first operator: from outside nobody can make one for it later.

    Raises:
        Denied: policy does not let this actor, or it does not operate the default workspace.
        InvalidRequest: the name cannot stand in an address.
        WorkspaceNameTaken: there is one of this name.
    """
    workspace = WorkspaceId(tx.new_id("ws"))
    tx.authorize(Action.WORKSPACE_CREATE, _asset(workspace))
    if not rules.can_see_workspaces(tx.actor.workspace):
        raise Denied("Only operators of the default workspace create others.", action=Action.WORKSPACE_CREATE)
    if not rules.is_name(new.name):
        raise InvalidRequest(fields={"name": "1 to 64 lower-case letters, digits and hyphens"})
    if tx.session.scalar(select(Workspace.id).where(Workspace.name == new.name)) is not None:
        raise WorkspaceNameTaken(name=new.name)

    row = _add(tx, workspace, new)
    return NewWorkspaceView(queries.workspace_view(row), keys.create_first_operator_key(tx, workspace))


def workspace_without_secret(view: NewWorkspaceView) -> NewWorkspaceView:
    """Return what may be kept of the answer to a new workspace, for `once_keeping`."""
    return msgspec.structs.replace(view, operator_key=keys.without_secret(view.operator_key))


def _add(tx: Tx, workspace: WorkspaceId, new: NewWorkspace) -> Workspace:
    row = Workspace(id=workspace, name=new.name, title=new.title, created_at=tx.now)
    tx.session.add(row)
    tx.session.flush()
    audit.record(tx, RegistryEvent.WORKSPACE_CREATED, _asset(workspace), name=new.name)
    events.publish(
        tx, RegistryEvent.WORKSPACE_CREATED, subject=workspace, data={"workspace": workspace, "name": new.name}
    )
    return row


def _asset(workspace: WorkspaceId) -> Asset:
    return Asset(kind="workspace", id=workspace)
