"""Signatures on agent cards: detached JWS (RFC 7515) over the canonical form (RFC 8785) of a card without them.

A2A 1.0, 8.4. Asymmetric algorithms only: with `none` or a shared secret anybody could have signed.
"""

import base64
import binascii
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from memroos.registry.rules import Verdict
from memroos_contracts.registry import SignatureState

MOST_SIGNATURES = 8
MOST_KEYS = 32
SMALLEST_RSA_BITS = 2048
LONGEST_KEY_ID = 200

Jwk = Mapping[str, Any]


class Signature(NamedTuple):
    """One signature on a card, its protected header read."""

    alg: str
    key_id: str
    key_set_url: str
    protected: str
    """As it was sent: what was signed begins with it."""
    value: bytes


def read_signatures(card: Mapping[str, Any]) -> list[Signature]:
    """Return those signatures of a card that have the form of one and an algorithm that proves anything."""
    listed = card.get("signatures")
    if not isinstance(listed, list):
        return []
    return [read for one in listed[:MOST_SIGNATURES] if (read := _read(one)) is not None]


def judge(
    card: Mapping[str, Any],
    forms: Iterable[bytes],
    *,
    pinned: Iterable[Jwk],
    offered: Mapping[str, list[Jwk]],
) -> Verdict:
    """Say what a card's signatures are worth.

    Args:
        card: the card, parsed.
        forms: the canonical forms that its signer may have signed.
        pinned: the keys that alone count, where there are any.
        offered: else, the keys found at the addresses that its signatures name.
    """
    pins, found = list(pinned), read_signatures(card)
    if not card.get("signatures"):
        if pins:
            return Verdict(SignatureState.INVALID, refusal="The card is not signed, and it was before or has to be.")
        return Verdict(SignatureState.UNSIGNED)
    tries = [(one, key) for one in found for key in (pins or _named(one, offered))]
    texts = list(forms) if tries else []
    for signature, key in tries:
        if any(verifies(signature, key, text) for text in texts):
            return Verdict(SignatureState.VERIFIED, signature.key_id, public_part(key))
    key_id = found[0].key_id if found else ""
    if pins:
        return Verdict(SignatureState.INVALID, key_id, refusal="The card is not signed with a key pinned for it.")
    if tries or not (found or _has_unknown_algorithm(card)):
        return Verdict(SignatureState.INVALID, key_id, refusal="The card's signature does not fit the card.")
    return Verdict(SignatureState.UNVERIFIED, key_id)


def _named(signature: Signature, offered: Mapping[str, list[Jwk]]) -> list[Jwk]:
    return [key for key in offered.get(signature.key_set_url, []) if key.get("kid", "") == signature.key_id]


def _has_unknown_algorithm(card: Mapping[str, Any]) -> bool:
    """Say whether a signature may be good, by an algorithm that is sound but not known here."""
    listed = card["signatures"] if isinstance(card["signatures"], list) else []
    return any(_header(one).get("alg") in _SOUND_BUT_UNKNOWN for one in listed[:MOST_SIGNATURES])


def verifies(signature: Signature, key: Jwk, text: bytes) -> bool:
    """Say whether a key made this signature over this text; the algorithm has to be the key's."""
    if key.get("alg", signature.alg) != signature.alg:
        return False
    signed = f"{signature.protected}.{_encoded(text)}".encode()
    try:
        _VERIFIERS[signature.alg](key, signature.value, signed)
    except (InvalidSignature, ValueError, TypeError, KeyError):
        return False
    return True


def parse_key(text: str) -> Jwk:
    """Read a public key (JWK, RFC 7517) that can verify cards.

    Raises:
        ValueError: it is none; the sentence says why.
    """
    try:
        key = msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError) as error:
        raise ValueError("it is not JSON") from error
    if not isinstance(key, dict):
        raise ValueError("it is not a JWK")  # noqa: TRY004 - what it holds is wrong, not what it is
    if "d" in key or "k" in key:
        raise ValueError("it is a private or secret key; pin the public one")
    for loading in (_load_ec, _load_ed25519, _load_rsa):
        try:
            loading(key)
        except (ValueError, TypeError, KeyError):
            continue
        return key
    raise ValueError("it is no key for ES256, EdDSA (Ed25519) or RS256 (2048 bits or more)")


def find_key_problem(text: str) -> str:
    """Return what is wrong with a public key; nothing where it is good."""
    try:
        parse_key(text)
    except ValueError as error:
        return str(error)
    return ""


def keys_in(key_set: Any) -> list[Jwk]:
    """Return the usable keys of a key set (JWKS) that came from another host."""
    listed = key_set.get("keys") if isinstance(key_set, dict) else None
    if not isinstance(listed, list):
        return []
    return list(_usable(listed[:MOST_KEYS]))


def public_part(key: Jwk) -> str:
    """Return what identifies and verifies a key, as JSON text."""
    kept = ("kty", "crv", "x", "y", "n", "e", "kid", "alg")
    return msgspec.json.encode({name: key[name] for name in kept if isinstance(key.get(name), str)}).decode()


def _usable(listed: list[Any]) -> Iterator[Jwk]:
    for one in listed:
        try:
            yield parse_key(json.dumps(one))
        except ValueError:
            continue


def _read(one: Any) -> Signature | None:
    header = _header(one)
    # b64, crit: extensions that change what is signed; whoever does not know them has to refuse (RFC 7515, 4.1.11)
    if header.get("alg") not in _VERIFIERS or "crit" in header or "b64" in header:
        return None
    key_id, key_set_url, value = header.get("kid") or "", header.get("jku") or "", one.get("signature")
    if not (isinstance(key_id, str) and isinstance(key_set_url, str) and isinstance(value, str)):
        return None
    if len(key_id) > LONGEST_KEY_ID or not key_id.isprintable():
        return None
    try:
        return Signature(header["alg"], key_id, key_set_url, one["protected"], _decoded(value))
    except ValueError:
        return None


def _header(one: Any) -> dict[str, Any]:
    """Return the protected header of a signature; an empty one where it cannot be read."""
    if not isinstance(one, dict) or not isinstance(one.get("protected"), str):
        return {}
    try:
        header = json.loads(_decoded(one["protected"]))
    except (ValueError, RecursionError):
        return {}
    hashable = isinstance(header, dict) and isinstance(header.get("alg"), str)
    return header if hashable else {}


# -- keys ------------------------------------------------------------------------------------------------------------


def _load_ec(key: Jwk) -> ec.EllipticCurvePublicKey:
    if (key["kty"], key["crv"]) != ("EC", "P-256"):
        raise ValueError("not a P-256 key")
    return ec.EllipticCurvePublicNumbers(_number(key["x"]), _number(key["y"]), ec.SECP256R1()).public_key()


def _load_ed25519(key: Jwk) -> ed25519.Ed25519PublicKey:
    if (key["kty"], key["crv"]) != ("OKP", "Ed25519"):
        raise ValueError("not an Ed25519 key")
    return ed25519.Ed25519PublicKey.from_public_bytes(_decoded(key["x"]))


def _load_rsa(key: Jwk) -> rsa.RSAPublicKey:
    if key["kty"] != "RSA":
        raise ValueError("not an RSA key")
    loaded = rsa.RSAPublicNumbers(_number(key["e"]), _number(key["n"])).public_key()
    if loaded.key_size < SMALLEST_RSA_BITS:
        raise ValueError("too short")
    return loaded


def _verify_es256(key: Jwk, value: bytes, signed: bytes) -> None:
    if len(value) != 64:
        raise InvalidSignature
    r, s = int.from_bytes(value[:32]), int.from_bytes(value[32:])
    _load_ec(key).verify(encode_dss_signature(r, s), signed, ec.ECDSA(hashes.SHA256()))


def _verify_eddsa(key: Jwk, value: bytes, signed: bytes) -> None:
    _load_ed25519(key).verify(value, signed)


def _verify_rs256(key: Jwk, value: bytes, signed: bytes) -> None:
    _load_rsa(key).verify(value, signed, padding.PKCS1v15(), hashes.SHA256())


_VERIFIERS: dict[str, Callable[[Jwk, bytes, bytes], None]] = {
    "ES256": _verify_es256,
    "EdDSA": _verify_eddsa,
    "RS256": _verify_rs256,
}
_SOUND_BUT_UNKNOWN = frozenset({"ES384", "ES512", "RS384", "RS512", "PS256", "PS384", "PS512", "Ed448"})


def _number(text: str) -> int:
    return int.from_bytes(_decoded(text))


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except binascii.Error as error:
        raise ValueError("not base64url") from error


def _encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
