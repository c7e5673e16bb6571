"""Signatures on the kernel's own cards: detached JWS (RFC 7515) over canonical JSON (RFC 8785); A2A 1.0, section 8.4.

Readers do not agree on what exactly is signed. The specification signs the fields of its own version, required ones
also where they are empty; the official SDK leaves everything out that is empty; who takes the JSON as it came signs
the fields for old clients, too. One card says the same in all these forms, so it carries a signature for each that
differs, the specification's first; whoever verifies one has verified the card.
"""

import base64
import hashlib
import json
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

import rfc8785
from a2a.types import a2a_pb2
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from google.api.field_behavior_pb2 import FieldBehavior, field_behavior  # type: ignore[import-untyped]
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message

from memroos_kit.keyset import KeySet

KEPT = 1_024
_ES256 = ec.ECDSA(hashes.SHA256())


class CardSigner:
    """Signs each content once for each key; what was signed is kept for the next caller.

    Args:
        key_set_url: where the public keys are published; the signatures name it.
    """

    def __init__(self, keyset: KeySet, key_set_url: str) -> None:
        self._keyset = keyset
        self._key_set_url = key_set_url
        self._kept: OrderedDict[tuple[str, bytes], tuple[a2a_pb2.AgentCardSignature, ...]] = OrderedDict()

    @property
    def since(self) -> datetime:
        """When the key came into use that cards are signed with now."""
        return self._keyset.published()[0].created_at

    @property
    def key_id(self) -> str:
        """The id of that key."""
        return self._keyset.card_key[0]

    def sign(self, texts: Sequence[bytes]) -> tuple[a2a_pb2.AgentCardSignature, ...]:
        """Return a signature for each of the forms of one card."""
        kid, private = self._keyset.card_key
        name = kid, hashlib.sha256(b"\n".join(texts)).digest()
        found = self._kept.get(name)
        if found is None:
            found = tuple(self._sign(text, kid, private) for text in texts)
            self._kept[name] = found
            if len(self._kept) > KEPT:
                self._kept.popitem(last=False)
        self._kept.move_to_end(name)
        return found

    def _sign(self, text: bytes, kid: str, private: ec.EllipticCurvePrivateKey) -> a2a_pb2.AgentCardSignature:
        header = {"alg": "ES256", "typ": "JOSE", "kid": kid, "jku": self._key_set_url}
        protected = _base64(rfc8785.dumps(header))
        r, s = decode_dss_signature(private.sign(f"{protected}.{_base64(text)}".encode(), _ES256))
        return a2a_pb2.AgentCardSignature(
            protected=protected, signature=_base64(r.to_bytes(32, "big") + s.to_bytes(32, "big"))
        )


def forms_of(card: a2a_pb2.AgentCard, *written: Mapping[str, Any]) -> list[bytes]:
    """Return the canonical forms of a card, each once, the specification's first.

    Args:
        card: without signatures.
        written: the JSON in which it goes out, without signatures.
    """
    found = (rfc8785.dumps(form) for form in (to_json(card), _without_empty(MessageToDict(card)), *written))
    return list(dict.fromkeys(found))


def to_json(message: Message) -> dict[str, Any]:
    """Return a message as JSON with the fields that are set, and those that are required (A2A 1.0, 8.4.1)."""
    written = MessageToDict(message)
    for field in message.DESCRIPTOR.fields:
        value = getattr(message, field.name)
        if field.json_name in written:
            written[field.json_name] = _nested(field, value, written[field.json_name])
        elif FieldBehavior.REQUIRED in field.GetOptions().Extensions[field_behavior]:
            written[field.json_name] = [] if field.is_repeated else _plain(value)
    return written


def write(json_card: Mapping[str, Any]) -> bytes:
    """Return a card as the body of an answer."""
    return json.dumps(json_card, ensure_ascii=False, separators=(",", ":")).encode()


def _nested(field: Any, value: Any, written: Any) -> Any:
    if field.message_type is None or field.message_type.full_name.startswith("google.protobuf."):
        return written
    if field.message_type.GetOptions().map_entry:
        return {key: _plain(value[key]) for key in written}
    return [_plain(item) for item in value] if field.is_repeated else _plain(value)


def _plain(value: Any) -> Any:
    return to_json(value) if isinstance(value, Message) else value


def _without_empty(value: Any) -> Any:
    if isinstance(value, dict):
        return dict(_left(value.items())) or None
    if isinstance(value, list):
        return [left for _, left in _left(enumerate(value))] or None
    return None if value == "" else value


def _left(items: Any) -> Iterator[tuple[Any, Any]]:
    return ((key, left) for key, value in items if (left := _without_empty(value)) is not None)


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
