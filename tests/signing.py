"""Owners of agents who sign their cards, well or badly."""

import base64
import json
from typing import Any

import rfc8785
from cryptography.hazmat.primitives import hashes, hmac
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature


class Owner:
    """Somebody with a key.

    Args:
        alg: `ES256`, `EdDSA` or `RS256`.
        kid: what the key is called.
    """

    def __init__(self, alg: str = "ES256", kid: str = "key-1", *, rsa_bits: int = 2048) -> None:
        self.alg = alg
        self.kid = kid
        self.key: Any
        if alg == "ES256":
            self.key = ec.generate_private_key(ec.SECP256R1())
        elif alg == "EdDSA":
            self.key = ed25519.Ed25519PrivateKey.generate()
        else:
            self.key = rsa.generate_private_key(public_exponent=65537, key_size=rsa_bits)

    @property
    def jwk(self) -> dict[str, Any]:
        """The public key."""
        public = self.key.public_key()
        if self.alg == "ES256":
            n = public.public_numbers()
            parts = {"kty": "EC", "crv": "P-256", "x": b64(n.x.to_bytes(32)), "y": b64(n.y.to_bytes(32))}
        elif self.alg == "EdDSA":
            parts = {"kty": "OKP", "crv": "Ed25519", "x": b64(public.public_bytes_raw())}
        else:
            n = public.public_numbers()
            size = (n.n.bit_length() + 7) // 8
            parts = {"kty": "RSA", "n": b64(n.n.to_bytes(size)), "e": b64(n.e.to_bytes(3))}
        return {**parts, "kid": self.kid, "use": "sig"}

    @property
    def pin(self) -> str:
        """The public key as an operator states it."""
        return json.dumps(self.jwk)

    @property
    def key_set(self) -> dict[str, Any]:
        """The public key in a set."""
        return {"keys": [self.jwk]}

    def sign(self, card: dict[str, Any], *, jku: str = "", form: bytes | None = None, **header: Any) -> dict[str, Any]:
        """Return the card with a signature over its text as it is written, or over another form."""
        bare = {name: value for name, value in card.items() if name != "signatures"}
        text = rfc8785.dumps(bare) if form is None else form
        said = {"alg": self.alg, "typ": "JOSE", "kid": self.kid} | ({"jku": jku} if jku else {}) | header
        protected = b64(json.dumps(said).encode())
        signature = b64(self.sign_bytes(f"{protected}.{b64(text)}".encode()))
        return {**bare, "signatures": [{"protected": protected, "signature": signature}]}

    def sign_bytes(self, data: bytes) -> bytes:
        """Return the raw signature."""
        if self.alg == "ES256":
            r, s = decode_dss_signature(self.key.sign(data, ec.ECDSA(hashes.SHA256())))
            return r.to_bytes(32) + s.to_bytes(32)
        if self.alg == "EdDSA":
            return bytes(self.key.sign(data))
        return bytes(self.key.sign(data, padding.PKCS1v15(), hashes.SHA256()))


def sign_with_secret(card: dict[str, Any], secret: bytes) -> dict[str, Any]:
    """Return the card with a signature that whoever knows a public key could have made."""
    protected = b64(json.dumps({"alg": "HS256", "kid": "key-1"}).encode())
    mac = hmac.HMAC(secret, hashes.SHA256())
    mac.update(f"{protected}.{b64(rfc8785.dumps(card))}".encode())
    return {**card, "signatures": [{"protected": protected, "signature": b64(mac.finalize())}]}


def sign_with_nothing(card: dict[str, Any]) -> dict[str, Any]:
    """Return the card with a signature of the algorithm `none`."""
    protected = b64(json.dumps({"alg": "none", "kid": "key-1"}).encode())
    return {**card, "signatures": [{"protected": protected, "signature": ""}]}


def b64(data: bytes) -> str:
    """Return bytes in base64url without padding."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
