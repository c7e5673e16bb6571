"""Signing keys are replaced by who runs the process, on record, and nobody else."""

from pathlib import Path

import pytest
from tests.actors import AGENT, AUDITOR, OPERATOR, STRANGER, VIEWER
from tests.conftest import Policy

from memroos import audit, governance, operations
from memroos.wiring import MIGRATIONS
from memroos_contracts.audit import AuditEventView
from memroos_contracts.card_keys import CardKeyRotation, CardKeyState
from memroos_contracts.errors import Denied
from memroos_contracts.governance import Action
from memroos_contracts.identity import Actor
from memroos_kit.clock import ManualClock
from memroos_kit.db import Database
from memroos_kit.db.migrate import migrate
from memroos_kit.keyset import KeySet


@pytest.fixture
def keyset(tmp_path: Path, clock: ManualClock) -> KeySet:
    return KeySet.ensure(tmp_path / "keys", now=clock.now())


def test_the_list_shows_public_halves_and_what_they_are_for(db: Database, keyset: KeySet) -> None:
    found = db.read_now(OPERATOR, operations.list_card_keys, keyset).items

    assert [(key.use, key.state, key.published_until) for key in found] == [
        ("card", CardKeyState.CURRENT, None),
        ("webhook", CardKeyState.CURRENT, None),
    ]
    assert "PRIVATE" not in str(found)


def test_a_rotation_is_on_record_and_says_until_when_the_old_keys_are_published(
    db: Database, keyset: KeySet, clock: ManualClock
) -> None:
    old = keyset.card_key[0]
    clock.advance(seconds=60)

    found = db.write_now(OPERATOR, operations.rotate_card_keys, keyset, CardKeyRotation(overlap_s=3600)).items

    assert [key.state for key in found] == [CardKeyState.CURRENT] * 2 + [CardKeyState.REPLACED] * 2
    replaced = next(key for key in found if key.id == old)
    assert replaced.published_until is not None
    assert (replaced.published_until - clock.now()).total_seconds() == 3600
    entry = _last_entry(db)
    assert (entry.action, entry.facts["old"], entry.facts["new"]) == ("card_key.rotated", old, keyset.card_key[0])


def test_replaced_keys_leave_the_list_when_their_time_is_over(db: Database, keyset: KeySet, clock: ManualClock) -> None:
    db.write_now(OPERATOR, operations.rotate_card_keys, keyset, CardKeyRotation(overlap_s=60))
    clock.advance(seconds=60)

    assert len(db.read_now(OPERATOR, operations.list_card_keys, keyset).items) == 2


def test_who_is_denied_changes_nothing(db: Database, keyset: KeySet, policy: Policy) -> None:
    policy.deny(Action.KEY_ROTATE, Action.KEY_READ)
    before = keyset.jwks()

    with pytest.raises(Denied):
        db.write_now(OPERATOR, operations.rotate_card_keys, keyset, CardKeyRotation())
    with pytest.raises(Denied):
        db.read_now(OPERATOR, operations.list_card_keys, keyset)
    assert keyset.jwks() == before


def test_a_full_disk_leaves_the_old_keys_signing(db: Database, keyset: KeySet, monkeypatch: pytest.MonkeyPatch) -> None:
    before = keyset.jwks()

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("memroos_kit.keyset._write", full)
    with pytest.raises(operations.CardKeysNotKept) as caught:
        db.write_now(OPERATOR, operations.rotate_card_keys, keyset, CardKeyRotation())

    assert caught.value.facts["reason"] == "No space left on device"
    assert keyset.jwks() == before


@pytest.mark.parametrize("actor", [STRANGER, AUDITOR, VIEWER, AGENT])
def test_the_shipped_policy_lets_only_operators_of_the_first_workspace_rotate(
    tmp_path: Path, clock: ManualClock, keyset: KeySet, actor: Actor
) -> None:
    path = tmp_path / "governed.db"
    migrate(path, MIGRATIONS)
    gate = governance.Gate(governance.Policy.load(None), resumers={})
    governed = Database(path, authorizer=gate, failures=audit.FailureRecorder(), clock=clock)
    before = keyset.jwks()
    try:
        with pytest.raises(Denied):
            governed.write_now(actor, operations.rotate_card_keys, keyset, CardKeyRotation())
    finally:
        governed.close()
    assert keyset.jwks() == before


def _last_entry(db: Database) -> AuditEventView:
    found = db.read_now(OPERATOR, audit.list_audit_events, limit=5).items
    return next(entry for entry in found if entry.action == "card_key.rotated")
