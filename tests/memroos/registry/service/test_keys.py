import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import msgspec
import pytest
from tests.actors import AGENT, KERNEL, OPERATOR, STRANGER, agent_actor
from tests.conftest import Policy

from memroos import registry
from memroos.registry import (
    AgentRetired,
    KeyNotActive,
    LastOperatorKey,
    OperatorKeyRevoked,
    ScopeTooWide,
    WeakKey,
    keyring,
    rules,
    service,
)
from memroos_contracts.errors import Denied, InvalidRequest, NotFound
from memroos_contracts.governance import Action
from memroos_contracts.identity import Actor, KeyId, Role
from memroos_contracts.registry import AgentView, KeyRotation, KeyState, NewKey, NewKeyView
from memroos_kit.clock import ManualClock
from memroos_kit.db import Database
from memroos_kit.db.once import Idempotency, once_keeping

Rows = Callable[[], list[tuple[Any, ...]]]

CHOSEN = "an-operator-key-that-somebody-chose"
OTHER = "another-operator-key-somebody-chose"


def using(key: NewKeyView) -> Actor:
    """Return the agent that came with this key."""
    assert key.key.agent_id is not None
    return msgspec.structs.replace(agent_actor(key.key.agent_id), key=key.key.id, scopes=frozenset(key.key.scopes))


# -- create ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("role", [Role.OPERATOR, Role.AUDITOR, Role.VIEWER])
def test_an_operator_makes_keys_for_people(db: Database, clock: ManualClock, role: Role) -> None:
    made = db.write_now(OPERATOR, registry.create_key, NewKey(role=role, name="Ada", expires_in_s=60))

    assert made.secret.startswith(f"mr_{role}_{made.key.id.removeprefix('key_')}_")
    assert rules.read_key(made.secret) == (role, made.key.id)
    assert made.key.last4 == made.secret[-4:]
    assert made.key.state is KeyState.ACTIVE
    assert made.key.expires_at == clock.now() + timedelta(seconds=60)
    assert made.key.created_by == "operator:key_operator"
    assert (made.key.agent_id, made.key.scopes, made.key.last_used_at) == (None, (), None)


def test_an_operator_makes_a_key_for_an_agent_by_its_name(db: Database, scout: AgentView) -> None:
    made = db.write_now(
        OPERATOR, registry.create_key, NewKey(role=Role.AGENT, agent="scout", scopes=("task.", "task."))
    )

    assert made.key.agent_id == scout.id
    assert made.key.scopes == ("task.",)


def test_the_secret_is_nowhere_in_the_database(db: Database, scouts_key: NewKeyView, outcomes: Rows) -> None:
    assert ("key.created", "ok", True) in outcomes()

    stored = b"".join(file.read_bytes() for file in db.path.parent.iterdir())  # with the write-ahead log

    assert scouts_key.key.id.encode() in stored
    assert rules.digest(scouts_key.secret) in stored
    assert scouts_key.secret.rpartition("_")[2][:-6].encode() not in stored


def test_a_repeated_request_makes_one_key_and_shows_its_secret_once(db: Database) -> None:
    same = Idempotency(key="once", operation="createKey", digest="0" * 64)
    new = NewKey(role=Role.VIEWER)

    def make() -> NewKeyView:
        return db.write_now(OPERATOR, once_keeping, same, NewKeyView, registry.without_secret, registry.create_key, new)

    first, second = make(), make()

    assert first.secret
    assert second == registry.without_secret(first)
    assert len(db.read_now(OPERATOR, registry.list_keys).items) == 1


def test_no_key_is_made_for_an_agent_that_is_not_there(db: Database) -> None:
    with pytest.raises(NotFound):
        db.write_now(OPERATOR, registry.create_key, NewKey(role=Role.AGENT, agent="nobody"))


def test_no_key_is_made_for_an_agent_of_another_workspace(db: Database, scout: AgentView) -> None:
    with pytest.raises(NotFound):
        db.write_now(STRANGER, registry.create_key, NewKey(role=Role.AGENT, agent=scout.id))


def test_no_key_is_made_for_a_retired_agent(db: Database, scout: AgentView) -> None:
    db.write_now(OPERATOR, registry.retire_agent, scout.id)

    with pytest.raises(AgentRetired):
        db.write_now(OPERATOR, registry.create_key, NewKey(role=Role.AGENT, agent=scout.id))


def test_a_denied_key_is_not_made(db: Database, policy: Policy, outcomes: Rows) -> None:
    policy.deny(Action.KEY_CREATE)

    with pytest.raises(Denied):
        db.write_now(OPERATOR, registry.create_key, NewKey(role=Role.VIEWER))

    assert db.read_now(OPERATOR, registry.list_keys).items == []
    assert outcomes() == [("key.create", "denied", True)]


@pytest.mark.parametrize(
    "new",
    [
        NewKey(role=Role.AGENT),
        NewKey(role=Role.SERVICE, name="kernel"),
        NewKey(role=Role.VIEWER, scopes=("everything",)),
    ],
)
def test_parts_that_do_not_fit_are_refused(db: Database, new: NewKey) -> None:
    with pytest.raises(InvalidRequest):
        db.write_now(OPERATOR, registry.create_key, new)


@pytest.mark.parametrize("scopes", [(), ("key.",), ("key.create", "task.read")])
def test_a_key_with_scopes_makes_no_key_that_reaches_further(db: Database, scopes: tuple[str, ...]) -> None:
    narrow = msgspec.structs.replace(OPERATOR, scopes=frozenset({"key.create", "key.read"}))

    with pytest.raises(ScopeTooWide) as refused:
        db.write_now(narrow, registry.create_key, NewKey(role=Role.OPERATOR, scopes=scopes))

    assert refused.value.facts["scopes"] == ["key.create", "key.read"]
    assert db.write_now(narrow, registry.create_key, NewKey(role=Role.OPERATOR, scopes=("key.read",)))


# -- rotate ----------------------------------------------------------------------------------------------------------


def test_an_agent_rotates_the_key_it_uses(
    db: Database, clock: ManualClock, scouts_key: NewKeyView, outcomes: Rows, published: Rows
) -> None:
    fresh = db.write_now(using(scouts_key), registry.rotate_key, scouts_key.key.id, KeyRotation(overlap_s=60))

    assert fresh.secret != scouts_key.secret
    assert (fresh.key.role, fresh.key.agent_id, fresh.key.name) == (Role.AGENT, scouts_key.key.agent_id, "first")
    assert fresh.key.expires_at is None
    old = {key.id: key for key in db.read_now(OPERATOR, registry.list_keys).items}[scouts_key.key.id]
    assert (old.replaced_by, old.expires_at) == (fresh.key.id, clock.now() + timedelta(seconds=60))
    assert outcomes()[-1] == ("key.rotated", "ok", True)
    assert published()[-1][:2] == ("key.rotated", old.id)


def test_without_an_overlap_of_its_own_a_rotation_takes_the_kernels(
    db: Database, clock: ManualClock, scouts_key: NewKeyView
) -> None:
    db.write_now(OPERATOR, registry.rotate_key, scouts_key.key.id, KeyRotation(), overlap_s=5)

    old = {key.id: key for key in db.read_now(OPERATOR, registry.list_keys).items}[scouts_key.key.id]
    assert old.expires_at == clock.now() + timedelta(seconds=5)


def test_a_rotation_prolongs_nothing_unless_an_operator_says_so(
    db: Database, clock: ManualClock, scout: AgentView
) -> None:
    end = clock.now() + timedelta(seconds=100)
    new = NewKey(role=Role.AGENT, agent=scout.id, expires_in_s=100, scopes=("task.",))
    key = db.write_now(OPERATOR, registry.create_key, new)
    clock.advance(seconds=50)

    by_agent = db.write_now(using(key), registry.rotate_key, key.key.id, KeyRotation(overlap_s=1000))
    by_operator = db.write_now(OPERATOR, registry.rotate_key, by_agent.key.id, KeyRotation(expires_in_s=900))

    assert by_agent.key.expires_at == end
    assert by_agent.key.scopes == ("task.",)
    assert by_operator.key.expires_at == clock.now() + timedelta(seconds=900)
    old = {k.id: k for k in db.read_now(OPERATOR, registry.list_keys).items}[key.key.id]
    assert old.expires_at == end


def test_an_agent_does_not_choose_the_end_of_its_key(db: Database, scouts_key: NewKeyView) -> None:
    with pytest.raises(InvalidRequest):
        db.write_now(using(scouts_key), registry.rotate_key, scouts_key.key.id, KeyRotation(expires_in_s=60))


def test_an_agent_rotates_no_other_key_not_even_its_own_second(
    db: Database, scout: AgentView, scouts_key: NewKeyView
) -> None:
    narrow = db.write_now(OPERATOR, registry.create_key, NewKey(role=Role.AGENT, agent=scout.id, scopes=("task.read",)))

    for actor in (using(narrow), AGENT):
        with pytest.raises(NotFound):
            db.write_now(actor, registry.rotate_key, scouts_key.key.id, KeyRotation())


def test_an_operator_with_scopes_rotates_no_key_that_reaches_further(db: Database) -> None:
    wide = db.write_now(OPERATOR, registry.create_key, NewKey(role=Role.OPERATOR))
    narrow = msgspec.structs.replace(OPERATOR, scopes=frozenset({"key."}))

    with pytest.raises(ScopeTooWide):
        db.write_now(narrow, registry.rotate_key, wide.key.id, KeyRotation())


@pytest.mark.parametrize("key", ["key_01NOTHING", "", "key_%"])
def test_a_key_that_is_not_there_is_not_rotated(db: Database, key: str) -> None:
    with pytest.raises(NotFound):
        db.write_now(OPERATOR, registry.rotate_key, KeyId(key), KeyRotation())


def test_a_key_of_another_workspace_is_not_there(db: Database, scouts_key: NewKeyView) -> None:
    with pytest.raises(NotFound):
        db.write_now(STRANGER, registry.rotate_key, scouts_key.key.id, KeyRotation())
    with pytest.raises(NotFound):
        db.write_now(STRANGER, registry.revoke_key, scouts_key.key.id)
    assert db.read_now(STRANGER, registry.list_keys).items == []


def test_of_two_rotations_at_once_one_makes_a_key(db: Database, scouts_key: NewKeyView) -> None:
    async def both() -> tuple[NewKeyView | BaseException, NewKeyView | BaseException]:
        return await asyncio.gather(
            db.write(OPERATOR, registry.rotate_key, scouts_key.key.id, KeyRotation()),
            db.write(OPERATOR, registry.rotate_key, scouts_key.key.id, KeyRotation()),
            return_exceptions=True,
        )

    first, second = asyncio.run(both())

    assert isinstance(first, NewKeyView)
    assert isinstance(second, KeyNotActive)
    assert second.facts["replaced_by"] == first.key.id


def test_a_key_that_opens_nothing_is_not_rotated(db: Database, clock: ManualClock, scout: AgentView) -> None:
    new = NewKey(role=Role.AGENT, agent=scout.id, expires_in_s=10)
    revoked = db.write_now(OPERATOR, registry.create_key, new)
    expired = db.write_now(OPERATOR, registry.create_key, new)
    db.write_now(OPERATOR, registry.revoke_key, revoked.key.id)
    clock.advance(seconds=10)

    for key, state in ((revoked, KeyState.REVOKED), (expired, KeyState.EXPIRED)):
        with pytest.raises(KeyNotActive) as refused:
            db.write_now(OPERATOR, registry.rotate_key, key.key.id, KeyRotation())
        assert refused.value.facts["state"] == state


@pytest.mark.parametrize("overlap_s", [-1, 2_592_001])
def test_an_overlap_has_bounds(db: Database, scouts_key: NewKeyView, overlap_s: int) -> None:
    with pytest.raises(InvalidRequest):
        db.write_now(OPERATOR, registry.rotate_key, scouts_key.key.id, KeyRotation(overlap_s=overlap_s))


def test_a_denied_rotation_makes_no_key(db: Database, policy: Policy, scouts_key: NewKeyView) -> None:
    policy.deny(Action.KEY_ROTATE)

    with pytest.raises(Denied):
        db.write_now(using(scouts_key), registry.rotate_key, scouts_key.key.id, KeyRotation())

    assert db.read_now(OPERATOR, registry.list_keys).items == [scouts_key.key]


# -- revoke ----------------------------------------------------------------------------------------------------------


def test_a_revoked_key_is_announced_under_its_id(
    db: Database, clock: ManualClock, scouts_key: NewKeyView, outcomes: Rows, published: Rows
) -> None:
    gone = db.write_now(OPERATOR, registry.revoke_key, scouts_key.key.id, reason="it leaked")

    assert (gone.state, gone.revoked_at, gone.revoke_reason) == (KeyState.REVOKED, clock.now(), "it leaked")
    assert outcomes()[-1] == ("key.revoked", "ok", True)
    assert published()[-1] == ("key.revoked", gone.id, {"key": gone.id, "reason": "it leaked"})


def test_a_second_revocation_changes_nothing(
    db: Database, clock: ManualClock, scouts_key: NewKeyView, published: Rows, facts: Callable[[], dict[str, Any]]
) -> None:
    first = db.write_now(OPERATOR, registry.revoke_key, scouts_key.key.id, reason="it leaked")
    announced = published()
    clock.advance(seconds=1)

    second = db.write_now(OPERATOR, registry.revoke_key, scouts_key.key.id, reason="again")

    assert second == first
    assert published() == announced
    assert facts() == {"changed": False}


def test_a_denied_revocation_changes_nothing(db: Database, policy: Policy, scouts_key: NewKeyView) -> None:
    policy.deny(Action.KEY_REVOKE)

    with pytest.raises(Denied):
        db.write_now(OPERATOR, registry.revoke_key, scouts_key.key.id)

    assert db.read_now(OPERATOR, registry.list_keys).items == [scouts_key.key]


def test_the_last_operator_key_stays(db: Database) -> None:
    first = db.write_now(OPERATOR, registry.create_key, NewKey(role=Role.OPERATOR))
    db.write_now(OPERATOR, registry.create_key, NewKey(role=Role.OPERATOR, scopes=("task.",)))
    db.write_now(STRANGER, registry.create_key, NewKey(role=Role.OPERATOR))

    with pytest.raises(LastOperatorKey):
        db.write_now(OPERATOR, registry.revoke_key, first.key.id)

    second = db.write_now(OPERATOR, registry.create_key, NewKey(role=Role.OPERATOR))
    assert db.write_now(OPERATOR, registry.revoke_key, first.key.id).state is KeyState.REVOKED
    with pytest.raises(LastOperatorKey):
        db.write_now(OPERATOR, registry.revoke_key, second.key.id)


def test_a_replaced_operator_key_may_go_and_its_successor_may_not(db: Database) -> None:
    old = db.write_now(OPERATOR, registry.create_key, NewKey(role=Role.OPERATOR))
    new = db.write_now(OPERATOR, registry.rotate_key, old.key.id, KeyRotation())

    with pytest.raises(LastOperatorKey):
        db.write_now(OPERATOR, registry.revoke_key, new.key.id)
    assert db.write_now(OPERATOR, registry.revoke_key, old.key.id).state is KeyState.REVOKED


# -- expiry and use --------------------------------------------------------------------------------------------------


def test_an_expired_key_is_ended_once(
    db: Database, clock: ManualClock, scout: AgentView, published: Rows, outcomes: Rows
) -> None:
    new = NewKey(role=Role.AGENT, agent=scout.id, expires_in_s=10)
    key = db.write_now(OPERATOR, registry.create_key, new).key
    clock.advance(seconds=9)
    assert db.write_now(KERNEL, service.end_expired_keys) == 0
    clock.advance(seconds=1)

    assert db.write_now(KERNEL, service.end_expired_keys) == 1
    assert db.write_now(KERNEL, service.end_expired_keys) == 0
    assert published()[-1] == ("key.revoked", key.id, {"key": key.id, "reason": "expired"})
    assert outcomes()[-1] == ("key.revoked", "ok", False)


def test_when_a_key_was_used_is_kept(db: Database, clock: ManualClock, scouts_key: NewKeyView) -> None:
    clock.advance(seconds=30)
    db.write_now(KERNEL, service.mark_keys_used, {scouts_key.key.id: clock.now()})
    db.write_now(KERNEL, service.mark_keys_used, {})

    assert db.read_now(OPERATOR, registry.list_keys).items[0].last_used_at == clock.now()


# -- the operator's own ----------------------------------------------------------------------------------------------


def test_the_operator_key_from_the_settings_is_let_in_at_each_start(db: Database, outcomes: Rows) -> None:
    first = db.write_now(KERNEL, registry.ensure_operator_key, CHOSEN)
    second = db.write_now(KERNEL, registry.ensure_operator_key, CHOSEN)

    assert (first.role, first.state, first.last4) == (Role.OPERATOR, KeyState.ACTIVE, "hose")
    assert second == first
    assert outcomes() == [("key.created", "ok", False)]


def test_a_generated_operator_key_keeps_the_id_it_says(db: Database) -> None:
    key = keyring.new_key(Role.OPERATOR, KeyId("key_01JABCDEFGHJKMNPQRSTVWXYZ0"))

    assert db.write_now(KERNEL, registry.ensure_operator_key, key).id == "key_01JABCDEFGHJKMNPQRSTVWXYZ0"


def test_another_operator_key_in_the_settings_takes_the_place_of_the_former(db: Database, published: Rows) -> None:
    first = db.write_now(KERNEL, registry.ensure_operator_key, CHOSEN)
    made = db.write_now(OPERATOR, registry.create_key, NewKey(role=Role.OPERATOR))

    db.write_now(KERNEL, registry.ensure_operator_key, OTHER)

    states = {key.id: key.state for key in db.read_now(OPERATOR, registry.list_keys).items}
    assert states[first.id] is KeyState.REVOKED
    assert states[made.key.id] is KeyState.ACTIVE
    assert published()[-1][:2] == ("key.revoked", first.id)


def test_a_revoked_operator_key_does_not_come_back_with_the_next_start(db: Database) -> None:
    first = db.write_now(KERNEL, registry.ensure_operator_key, CHOSEN)
    made = db.write_now(OPERATOR, registry.create_key, NewKey(role=Role.OPERATOR))
    db.write_now(OPERATOR, registry.revoke_key, first.id)

    assert db.write_now(KERNEL, registry.ensure_operator_key, CHOSEN).state is KeyState.REVOKED

    db.write_now(KERNEL, registry.ensure_operator_key, OTHER)
    db.write_now(OPERATOR, registry.revoke_key, made.key.id)
    with pytest.raises(LastOperatorKey):
        db.write_now(OPERATOR, registry.revoke_key, db.write_now(KERNEL, registry.ensure_operator_key, OTHER).id)


def test_a_start_that_nobody_could_operate_is_refused(db: Database, clock: ManualClock) -> None:
    first = db.write_now(KERNEL, registry.ensure_operator_key, CHOSEN)
    rotation = KeyRotation(overlap_s=1, expires_in_s=60)
    db.write_now(OPERATOR, registry.rotate_key, first.id, rotation)
    clock.advance(seconds=60)

    with pytest.raises(OperatorKeyRevoked):
        db.write_now(KERNEL, registry.ensure_operator_key, CHOSEN)


@pytest.mark.parametrize("weak", ["short", "a" * 40, "operator operator operator operator"])
def test_a_weak_operator_key_is_refused(db: Database, weak: str) -> None:
    with pytest.raises(WeakKey) as refused:
        db.write_now(KERNEL, registry.ensure_operator_key, weak)

    assert weak not in str(refused.value)
    assert db.read_now(OPERATOR, registry.list_keys).items == []
