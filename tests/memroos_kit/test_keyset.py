import base64
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import jwt
import msgspec
import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from memroos_kit.keyset import FILE, OVERLAP, KeySet, KeySetInvalid, KeyUse

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


@pytest.fixture
def keyset(tmp_path: Path) -> KeySet:
    return KeySet.ensure(tmp_path, now=NOW)


def _jwk(keyset: KeySet, kid: str) -> dict[str, str]:
    keys: list[dict[str, str]] = keyset.jwks()["keys"]
    return {key["kid"]: key for key in keys}[kid]


def test_the_first_call_makes_keys_that_only_their_owner_can_read(tmp_path: Path) -> None:
    KeySet.ensure(tmp_path, now=NOW)

    assert stat.S_IMODE((tmp_path / FILE).stat().st_mode) == 0o600


def test_the_next_call_finds_the_same_keys(tmp_path: Path, keyset: KeySet) -> None:
    again = KeySet.ensure(tmp_path)

    assert again.jwks() == keyset.jwks()
    assert again.card_key[0] == keyset.card_key[0]


def test_what_is_published_has_nothing_private(keyset: KeySet) -> None:
    keys = keyset.jwks()["keys"]

    assert {key["alg"] for key in keys} == {"ES256", "EdDSA"}
    for key in keys:
        assert set(key) <= {"kty", "crv", "x", "y", "kid", "use", "alg"}


def test_a_key_is_named_by_its_thumbprint(keyset: KeySet) -> None:
    for key in keyset.jwks()["keys"]:
        members = {name: value for name, value in sorted(key.items()) if name in {"crv", "kty", "x", "y"}}
        digest = hashes.Hash(hashes.SHA256())
        digest.update(msgspec.json.encode(members))
        assert key["kid"] == base64.urlsafe_b64encode(digest.finalize()).rstrip(b"=").decode()


def test_a_card_signature_verifies_with_the_published_key(keyset: KeySet) -> None:
    kid, private = keyset.card_key

    signature = private.sign(b"card", ec.ECDSA(hashes.SHA256()))

    public = jwt.PyJWK(_jwk(keyset, kid)).key
    public.verify(signature, b"card", ec.ECDSA(hashes.SHA256()))


def test_a_webhook_signature_verifies_with_the_published_key(keyset: KeySet) -> None:
    kid, signature = keyset.sign_webhook(b"body")

    x = base64.urlsafe_b64decode(_jwk(keyset, kid)["x"] + "=")
    Ed25519PublicKey.from_public_bytes(x).verify(signature, b"body")


def test_a_rotation_signs_with_new_keys_and_keeps_the_old_ones_published(keyset: KeySet) -> None:
    old, before = keyset.card_key[0], keyset.jwks()["keys"]

    keyset.rotate(NOW)

    assert keyset.card_key[0] != old
    published = keyset.jwks(NOW)["keys"]
    assert len(published) == 4
    assert all(key in published for key in before)
    assert published[0]["kid"] == keyset.card_key[0]


def test_a_replaced_key_is_withdrawn_when_the_overlap_is_over(keyset: KeySet) -> None:
    old = keyset.card_key[0]
    keyset.rotate(NOW)

    def published(at: datetime) -> set[str]:
        return {key["kid"] for key in keyset.jwks(at)["keys"]}

    assert old in published(NOW + OVERLAP - timedelta(seconds=1))
    assert old not in published(NOW + OVERLAP)


def test_the_private_half_of_a_replaced_key_is_gone_from_the_file(tmp_path: Path, keyset: KeySet) -> None:
    keyset.rotate(NOW)

    text = (tmp_path / FILE).read_text()
    assert text.count("BEGIN PRIVATE KEY") == len(KeyUse)
    assert stat.S_IMODE((tmp_path / FILE).stat().st_mode) == 0o600


def test_a_rotation_survives_a_restart(tmp_path: Path, keyset: KeySet) -> None:
    keyset.rotate(NOW)

    again = KeySet.ensure(tmp_path)

    assert again.jwks() == keyset.jwks()
    assert again.card_key[0] == keyset.card_key[0]


def test_a_withdrawn_key_is_forgotten_at_the_next_rotation(keyset: KeySet) -> None:
    oldest = keyset.card_key[0]
    keyset.rotate(NOW)
    keyset.rotate(NOW + OVERLAP)

    assert oldest not in {key.kid for key in keyset.published()}


def test_a_rotation_that_cannot_be_written_changes_nothing(
    tmp_path: Path, keyset: KeySet, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = keyset.jwks(), keyset.card_key[0]

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space"):
        keyset.rotate(NOW)

    assert (keyset.jwks(), keyset.card_key[0]) == before
    assert [file.name for file in tmp_path.iterdir()] == [FILE]


@pytest.mark.parametrize("content", ["", "{}", '{"keys": []}', '{"keys": 7}', "\x00"])
def test_a_file_that_holds_something_else_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / FILE).write_text(content)

    with pytest.raises(KeySetInvalid, match=FILE):
        KeySet.ensure(tmp_path)


def test_a_key_that_does_not_fit_its_id_is_refused(tmp_path: Path, keyset: KeySet) -> None:
    path = tmp_path / FILE
    path.write_text(path.read_text().replace(keyset.card_key[0], "another"))

    with pytest.raises(KeySetInvalid, match="does not fit"):
        KeySet.ensure(tmp_path)


def test_a_key_does_not_show_itself(keyset: KeySet) -> None:
    assert "PRIVATE" not in repr(keyset.published())
