"""The words of the keys that sign agent cards and webhooks."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated

import msgspec
from msgspec import Meta


class CardKeyState(StrEnum):
    """Whether a key still signs."""

    CURRENT = "current"
    REPLACED = "replaced"


class CardKeyView(msgspec.Struct, frozen=True):
    """A signing key as others know it."""

    id: str
    """The `kid` in signatures: the thumbprint of the public key (RFC 7638)."""
    use: str
    """`card` or `webhook`."""
    state: CardKeyState
    created_at: datetime
    replaced_at: datetime | None
    published_until: datetime | None
    """When it leaves the published key set; None while it signs."""
    public_key: dict[str, str]
    """As a JSON Web Key (RFC 7517)."""


class CardKeysView(msgspec.Struct, frozen=True):
    """The signing keys that are published, those that sign now first."""

    items: list[CardKeyView]


class CardKeyRotation(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How the signing keys are replaced."""

    overlap_s: Annotated[int, Meta(ge=0, le=31_536_000)] = 604_800
    """How long the old public keys stay published, in seconds. What they signed can be verified until then."""
