"""The keys by which others know that something is from us: agent cards (ES256) and webhooks (Ed25519).

The private halves live in one file, readable by its owner only; the public ones are published as a JSON Web Key Set
(RFC 7517). A key that was replaced stays published for a while, so that what it signed can still be verified.
"""

import base64
import os
import secrets
from collections.abc import Iterable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

FILE = "signing.keys"
OVERLAP = timedelta(days=7)
"""How long a replaced key stays published: longer than anybody should keep a card without asking for it again."""

PrivateKey = ec.EllipticCurvePrivateKey | Ed25519PrivateKey


class KeySetInvalid(ValueError):
    """The file with the signing keys cannot be read; the sentence says why."""


class KeyUse(StrEnum):
    """What a key signs."""

    CARD = "card"
    WEBHOOK = "webhook"


class SigningKey(msgspec.Struct, frozen=True):
    """A key as it is kept."""

    kid: str
    """The thumbprint of its public half (RFC 7638)."""
    use: KeyUse
    created_at: datetime
    pem: str
    """The private half; empty once it was replaced: nothing is signed with it any more."""
    retired_at: datetime | None = None
    published_until: datetime | None = None
    jwk: dict[str, str] = {}
    """The public half."""

    def __repr__(self) -> str:
        return f"SigningKey({self.kid!r}, {self.use.value!r})"


class _File(msgspec.Struct, frozen=True):
    keys: tuple[SigningKey, ...]
    format: int = 1


class KeySet:
    """The signing keys of one process. What it holds is replaced as a whole, so any thread may read while one rotates.

    Args:
        path: where they are kept.
        keys: all of them, one per use not replaced.
    """

    def __init__(self, path: Path, keys: Iterable[SigningKey]) -> None:
        self._path = path
        self._adopt(tuple(keys))

    @classmethod
    def ensure(cls, folder: Path, *, now: datetime | None = None) -> "KeySet":
        """Return the keys kept in a folder; the first call makes them.

        Raises:
            KeySetInvalid: the file holds something else, or cannot be read.
        """
        path = folder / FILE
        try:
            kept = msgspec.json.decode(path.read_bytes(), type=_File)
            return cls(path, kept.keys)
        except FileNotFoundError:
            made = tuple(_make(use, now or datetime.now(UTC)) for use in KeyUse)
            _write(path, made)
            return cls(path, made)
        except (OSError, ValueError, msgspec.MsgspecError) as error:
            raise KeySetInvalid(f"{path} cannot be read: {error}") from error

    @property
    def card_key(self) -> tuple[str, ec.EllipticCurvePrivateKey]:
        """The key that signs cards now, and its id."""
        return self._card

    def sign_webhook(self, data: bytes) -> tuple[str, bytes]:
        """Return the id of the webhooks' key and its Ed25519 signature."""
        kid, key = self._webhook
        return kid, key.sign(data)

    def published(self, now: datetime | None = None) -> tuple[SigningKey, ...]:
        """Return the keys that are published, the current ones first, then the last replaced."""
        found = [key for key in self._keys if now is None or key.published_until is None or key.published_until > now]
        current = [key for key in found if key.retired_at is None]
        return (*current, *sorted((k for k in found if k.retired_at is not None), key=_retired, reverse=True))

    def jwks(self, now: datetime | None = None) -> dict[str, Any]:
        """Return the public halves as a JSON Web Key Set."""
        return {"keys": [key.jwk for key in self.published(now)]}

    def rotate(self, now: datetime, *, overlap: timedelta = OVERLAP) -> tuple[SigningKey, ...]:
        """Replace both keys; the old public halves stay published for the overlap. Return all that are published.

        The new keys are in the file before anything is signed with them.

        Raises:
            OSError: the file cannot be written; nothing has changed.
        """
        ends = {"pem": "", "retired_at": now, "published_until": now + overlap}
        kept = [msgspec.structs.replace(key, **ends) if key.retired_at is None else key for key in self.published(now)]
        keys = (*(_make(use, now) for use in KeyUse), *kept)
        _write(self._path, keys)
        self._adopt(keys)
        return self.published(now)

    def _adopt(self, keys: tuple[SigningKey, ...]) -> None:
        card, webhook = _current(keys, KeyUse.CARD), _current(keys, KeyUse.WEBHOOK)
        card_key, webhook_key = _private(card), _private(webhook)
        if not isinstance(card_key, ec.EllipticCurvePrivateKey) or not isinstance(webhook_key, Ed25519PrivateKey):
            raise KeySetInvalid("a key is of the wrong kind")
        self._keys = keys
        self._card = (card.kid, card_key)
        self._webhook = (webhook.kid, webhook_key)


def _current(keys: Iterable[SigningKey], use: KeyUse) -> SigningKey:
    found = [key for key in keys if key.use is use and key.retired_at is None]
    if len(found) != 1:
        raise KeySetInvalid(f"there must be one current key for each use, not {len(found)} for {use.value}")
    return found[0]


def _private(key: SigningKey) -> PrivateKey:
    private = load_pem_private_key(key.pem.encode(), password=None)
    if not isinstance(private, ec.EllipticCurvePrivateKey | Ed25519PrivateKey) or _kid(_public(private)) != key.kid:
        raise KeySetInvalid(f"the key {key.kid} does not fit its id")
    return private


def _retired(key: SigningKey) -> datetime:
    assert key.retired_at is not None
    return key.retired_at


def _make(use: KeyUse, now: datetime) -> SigningKey:
    private = ec.generate_private_key(ec.SECP256R1()) if use is KeyUse.CARD else Ed25519PrivateKey.generate()
    public = _public(private)
    kid = _kid(public)
    pem = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    algorithm = "ES256" if use is KeyUse.CARD else "EdDSA"
    return SigningKey(kid, use, now, pem, jwk={**public, "kid": kid, "use": "sig", "alg": algorithm})


def _public(private: PrivateKey) -> dict[str, str]:
    """Return the members that make a public JWK (RFC 7518, 6.2.1; RFC 8037, 2)."""
    if isinstance(private, Ed25519PrivateKey):
        raw = private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        return {"kty": "OKP", "crv": "Ed25519", "x": _base64(raw)}
    numbers = private.public_key().public_numbers()
    x, y = (_base64(number.to_bytes(32, "big")) for number in (numbers.x, numbers.y))
    return {"kty": "EC", "crv": "P-256", "x": x, "y": y}


def _kid(public: dict[str, str]) -> str:
    """Return a key's thumbprint (RFC 7638, 3)."""
    return _base64(sha256(msgspec.json.encode(dict(sorted(public.items())))).digest())


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _write(path: Path, keys: tuple[SigningKey, ...]) -> None:
    """Replace the file as a whole; it is on the disk when this returns."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(msgspec.json.format(msgspec.json.encode(_File(keys)), indent=1))
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError:
        with suppress(OSError):
            temporary.unlink()
        raise
