import threading
from datetime import timedelta
from pathlib import Path

import pytest
from tests.actors import KERNEL, OPERATOR, STRANGER
from tests.conftest import Policy

from memroos import registry
from memroos.registry import Keyring, WeakKey, read_or_create_operator_key, rules, service
from memroos.registry import keyring as keyrings
from memroos_contracts.errors import Unauthenticated
from memroos_contracts.identity import KeyId, Role
from memroos_contracts.registry import AgentView, KeyRotation, NewKey, NewKeyView
from memroos_kit.clock import ManualClock
from memroos_kit.db import Database


def refusal(ring: Keyring, bearer: str | None, clock: ManualClock) -> str:
    with pytest.raises(Unauthenticated) as refused:
        ring.authenticate(bearer, clock.now())
    assert refused.value.facts == {}
    return str(refused.value)


# -- getting in ------------------------------------------------------------------------------------------------------


def test_a_new_key_opens_the_door_at_once(
    keyring: Keyring, clock: ManualClock, scout: AgentView, scouts_key: NewKeyView
) -> None:
    actor = keyring.authenticate(scouts_key.secret, clock.now())

    assert (actor.role, actor.id, actor.agent, actor.key) == (Role.AGENT, scout.id, scout.id, scouts_key.key.id)
    assert actor.workspace == scout.workspace_id
    assert keyring.admits(scouts_key.key.id, clock.now())


def test_scopes_and_the_name_of_a_service_come_with_the_key(db: Database, keyring: Keyring, clock: ManualClock) -> None:
    new = NewKey(role=Role.SERVICE, name="memory", scopes=("memory.", "task.read"))
    made = db.write_now(STRANGER, registry.create_key, new)

    actor = keyring.authenticate(made.secret, clock.now())

    assert (actor.principal, actor.workspace) == ("service:memory", STRANGER.workspace)
    assert actor.scopes == {"memory.", "task.read"}


def test_every_way_not_to_get_in_sounds_the_same(
    db: Database, keyring: Keyring, clock: ManualClock, scout: AgentView
) -> None:
    def make(expires_in_s: int | None = None) -> NewKeyView:
        new = NewKey(role=Role.AGENT, agent=scout.id, expires_in_s=expires_in_s)
        return db.write_now(OPERATOR, registry.create_key, new)

    expired, revoked, rotated, good = make(10), make(), make(), make()
    db.write_now(OPERATOR, registry.revoke_key, revoked.key.id)
    db.write_now(OPERATOR, registry.rotate_key, rotated.key.id, KeyRotation(overlap_s=0))
    clock.advance(seconds=10)
    unknown = rules.compose_key(Role.AGENT, good.key.id, 1)
    attempts = [
        None, "", "x", "Bearer", good.secret[:-1], good.secret + "x", good.secret.swapcase(), f" {good.secret}",
        "ä" * 60, "\ud800", "x" * 100_000, "mr_" + "x" * 60, unknown, expired.secret, revoked.secret, rotated.secret,
    ]  # fmt: skip

    assert keyring.authenticate(good.secret, clock.now()).agent == scout.id
    assert len({refusal(keyring, attempt, clock) for attempt in attempts}) == 1


def test_a_key_ends_at_its_instant(db: Database, keyring: Keyring, clock: ManualClock) -> None:
    made = db.write_now(OPERATOR, registry.create_key, NewKey(role=Role.VIEWER, expires_in_s=10))
    end = clock.now() + timedelta(seconds=10)

    keyring.authenticate(made.secret, end - timedelta(microseconds=1))
    clock.advance(seconds=10)
    refusal(keyring, made.secret, clock)
    assert not keyring.admits(made.key.id, clock.now())


def test_a_revoked_key_is_refused_as_soon_as_its_revocation_is_answered(
    db: Database, keyring: Keyring, clock: ManualClock, scouts_key: NewKeyView
) -> None:
    db.write_now(OPERATOR, registry.revoke_key, scouts_key.key.id)

    refusal(keyring, scouts_key.secret, clock)
    assert not keyring.admits(scouts_key.key.id, clock.now())
    assert len(keyring) == 0


def test_both_keys_work_until_the_overlap_is_over(
    db: Database, keyring: Keyring, clock: ManualClock, scouts_key: NewKeyView
) -> None:
    fresh = db.write_now(OPERATOR, registry.rotate_key, scouts_key.key.id, KeyRotation(overlap_s=60))
    clock.advance(seconds=59)
    keyring.authenticate(scouts_key.secret, clock.now())
    clock.advance(seconds=1)

    refusal(keyring, scouts_key.secret, clock)
    assert keyring.authenticate(fresh.secret, clock.now()).key == fresh.key.id


def test_an_agents_keys_follow_its_state(
    db: Database, keyring: Keyring, clock: ManualClock, scout: AgentView, scouts_key: NewKeyView
) -> None:
    db.write_now(OPERATOR, registry.quarantine_agent, scout.id, reason="it leaks")
    refusal(keyring, scouts_key.secret, clock)
    assert not keyring.admits(scouts_key.key.id, clock.now())
    while_shut_out = db.write_now(OPERATOR, registry.create_key, NewKey(role=Role.AGENT, agent=scout.id))
    refusal(keyring, while_shut_out.secret, clock)

    db.write_now(OPERATOR, registry.activate_agent, scout.id)
    keyring.authenticate(scouts_key.secret, clock.now())

    db.write_now(OPERATOR, registry.retire_agent, scout.id)
    refusal(keyring, scouts_key.secret, clock)
    assert len(keyring) == 0


def test_a_key_whose_creation_was_rolled_back_opens_nothing(db: Database, keyring: Keyring, clock: ManualClock) -> None:
    made: list[NewKeyView] = []

    def fail_afterwards(tx: object) -> None:
        made.append(registry.create_key(tx, NewKey(role=Role.VIEWER)))  # type: ignore[arg-type]
        raise ValueError

    with pytest.raises(ValueError):  # noqa: PT011 - whichever
        db.write_now(OPERATOR, fail_afterwards)

    refusal(keyring, made[0].secret, clock)


# -- loading ---------------------------------------------------------------------------------------------------------


def test_after_a_restart_the_same_keys_open_the_door(
    db: Database, keyring: Keyring, clock: ManualClock, scout: AgentView, scouts_key: NewKeyView
) -> None:
    revoked = db.write_now(OPERATOR, registry.create_key, NewKey(role=Role.VIEWER))
    expired = db.write_now(OPERATOR, registry.create_key, NewKey(role=Role.VIEWER, expires_in_s=5))
    db.write_now(OPERATOR, registry.revoke_key, revoked.key.id)
    clock.advance(seconds=5)
    restarted = Keyring()

    db.read_now(KERNEL, restarted.load)

    assert restarted.authenticate(scouts_key.secret, clock.now()) == keyring.authenticate(
        scouts_key.secret, clock.now()
    )
    assert len(restarted) == 1
    refusal(restarted, revoked.secret, clock)
    refusal(restarted, expired.secret, clock)


def test_after_a_restart_a_quarantined_agent_stays_out(
    db: Database, clock: ManualClock, scout: AgentView, scouts_key: NewKeyView
) -> None:
    db.write_now(OPERATOR, registry.quarantine_agent, scout.id, reason="")
    restarted = Keyring()

    db.read_now(KERNEL, restarted.load)

    refusal(restarted, scouts_key.secret, clock)


# -- use -------------------------------------------------------------------------------------------------------------


def test_the_last_use_of_each_key_is_handed_out_once(
    keyring: Keyring, clock: ManualClock, scouts_key: NewKeyView
) -> None:
    keyring.authenticate(scouts_key.secret, clock.now())
    clock.advance(seconds=1)
    keyring.authenticate(scouts_key.secret, clock.now())
    refusal(keyring, "x", clock)

    assert keyring.take_uses() == {scouts_key.key.id: clock.now()}
    assert keyring.take_uses() == {}


# -- the operator's key file -----------------------------------------------------------------------------------------


def test_the_first_start_makes_a_key_file_for_its_owner_only(tmp_path: Path, clock: ManualClock) -> None:
    path = tmp_path / "data" / "operator.key"

    key, made = read_or_create_operator_key(path, clock.now())
    again, made_again = read_or_create_operator_key(path, clock.now())

    assert made
    assert not made_again
    assert again == key
    assert rules.find_weakness(key) is None
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert [file.name for file in path.parent.iterdir()] == ["operator.key"]


def test_a_key_file_that_is_there_is_taken_as_it_is(tmp_path: Path, clock: ManualClock) -> None:
    path = tmp_path / "operator.key"
    path.write_text("an-operator-key-that-somebody-chose\n")

    assert read_or_create_operator_key(path, clock.now()) == ("an-operator-key-that-somebody-chose", False)
    assert path.read_text() == "an-operator-key-that-somebody-chose\n"


@pytest.mark.parametrize("content", [b"", b"short", b"\xff" * 40])
def test_a_key_file_with_a_weak_key_is_refused_and_left_alone(
    tmp_path: Path, clock: ManualClock, content: bytes
) -> None:
    path = tmp_path / "operator.key"
    path.write_bytes(content)

    with pytest.raises(WeakKey, match=r"operator\.key"):
        read_or_create_operator_key(path, clock.now())

    assert path.read_bytes() == content


def test_of_many_that_start_at_once_all_find_one_key(tmp_path: Path, clock: ManualClock) -> None:
    path, barrier = tmp_path / "operator.key", threading.Barrier(8)
    found: list[tuple[str, bool]] = []

    def start() -> None:
        barrier.wait()
        found.append(read_or_create_operator_key(path, clock.now()))

    threads = [threading.Thread(target=start) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len({key for key, _ in found}) == 1
    assert sum(made for _, made in found) == 1
    assert [file.name for file in tmp_path.iterdir()] == ["operator.key"]


def test_a_directory_that_cannot_be_written_is_said(tmp_path: Path, clock: ManualClock) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(OSError):  # noqa: PT011 - whichever
        read_or_create_operator_key(tmp_path / "file" / "operator.key", clock.now())


def test_keys_are_random(policy: Policy) -> None:
    assert keyrings.new_key(Role.AGENT, KeyId("key_1")) != keyrings.new_key(Role.AGENT, KeyId("key_1"))


def test_an_expired_key_leaves_the_keyring_when_it_is_ended(db: Database, keyring: Keyring, clock: ManualClock) -> None:
    db.write_now(OPERATOR, registry.create_key, NewKey(role=Role.VIEWER, expires_in_s=5))
    clock.advance(seconds=5)

    db.write_now(KERNEL, service.end_expired_keys)

    assert len(keyring) == 0
