import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from tests.actors import KERNEL, OPERATOR, STRANGER
from tests.conftest import Policy

from memroos import registry
from memroos.registry import Keyring, WorkspaceNameTaken
from memroos_contracts.errors import Denied, InvalidRequest
from memroos_contracts.governance import Action
from memroos_contracts.identity import DEFAULT_WORKSPACE, Role
from memroos_contracts.registry import NewWorkspace, NewWorkspaceView
from memroos_kit.clock import ManualClock
from memroos_kit.db import Database
from memroos_kit.db.once import Idempotency, once_keeping

Rows = Callable[[], list[tuple[Any, ...]]]


def test_the_default_workspace_is_made_once(db: Database, outcomes: Rows) -> None:
    first = db.write_now(KERNEL, registry.ensure_default_workspace)
    second = db.write_now(KERNEL, registry.ensure_default_workspace)

    assert first.id == DEFAULT_WORKSPACE
    assert second == first
    assert outcomes() == [("workspace.created", "ok", False)]


def test_a_new_workspace_comes_with_the_key_of_its_first_operator(
    db: Database, clock: ManualClock, keyring: Keyring, published: Rows
) -> None:
    made = db.write_now(OPERATOR, registry.create_workspace, NewWorkspace(name="north", title="North"))

    assert (made.workspace.name, made.workspace.title) == ("north", "North")
    actor = keyring.authenticate(made.operator_key.secret, clock.now())
    assert (actor.role, actor.workspace) == (Role.OPERATOR, made.workspace.id)
    assert [row[:2] for row in published()] == [
        ("workspace.created", made.workspace.id),
        ("key.created", made.operator_key.key.id),
    ]


def test_only_operators_of_the_default_workspace_make_others(db: Database, outcomes: Rows) -> None:
    with pytest.raises(Denied):
        db.write_now(STRANGER, registry.create_workspace, NewWorkspace(name="north"))

    assert outcomes() == [("workspace.create", "denied", True)]


def test_a_denied_workspace_is_not_made(db: Database, policy: Policy) -> None:
    policy.deny(Action.WORKSPACE_CREATE)

    with pytest.raises(Denied):
        db.write_now(OPERATOR, registry.create_workspace, NewWorkspace(name="north"))

    assert db.read_now(OPERATOR, registry.list_workspaces).items == []


def test_a_workspace_has_a_name_that_can_stand_in_an_address(db: Database) -> None:
    with pytest.raises(InvalidRequest):
        db.write_now(OPERATOR, registry.create_workspace, NewWorkspace(name="North Pole"))


def test_of_two_workspaces_that_take_a_name_at_once_one_is_made(db: Database) -> None:
    async def both() -> tuple[NewWorkspaceView | BaseException, NewWorkspaceView | BaseException]:
        return await asyncio.gather(
            db.write(OPERATOR, registry.create_workspace, NewWorkspace(name="north")),
            db.write(OPERATOR, registry.create_workspace, NewWorkspace(name="north")),
            return_exceptions=True,
        )

    first, second = asyncio.run(both())

    assert isinstance(first, NewWorkspaceView)
    assert isinstance(second, WorkspaceNameTaken)


def test_a_repeated_request_makes_one_workspace_and_shows_the_secret_once(db: Database) -> None:
    key = Idempotency(key="once", operation="createWorkspace", digest="0" * 64)

    def make() -> NewWorkspaceView:
        keep = registry.workspace_without_secret
        new = NewWorkspace(name="north")
        return db.write_now(OPERATOR, once_keeping, key, NewWorkspaceView, keep, registry.create_workspace, new)

    first, second = make(), make()

    assert first.operator_key.secret
    assert second == registry.workspace_without_secret(first)
