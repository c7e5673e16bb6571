"""The canonical form of an event: JSON with sorted ASCII keys and no floats, a subset of RFC 8785."""

from collections.abc import Mapping
from datetime import datetime
from hashlib import sha256

import msgspec

from memroos_contracts.audit import AuditKind, Fact
from memroos_contracts.governance import Asset
from memroos_contracts.identity import Actor
from memroos_kit.clock import to_micros

VERSION = 1
"""Version of the body's form."""

LARGEST_INT = 2**53 - 1
"""Beyond it JSON readers disagree (RFC 8785, 3.2.2.3)."""

LONGEST_TEXT = 4_000
"""Characters of one text; larger things are recorded by their digest."""

# Members in alphabetical order: the structs are written as they stand, only free facts have to be sorted.


class ActorPart(msgspec.Struct, frozen=True):
    """Who."""

    id: str
    key: str | None
    on_behalf_of: tuple[str, ...]
    role: str


class AssetPart(msgspec.Struct, frozen=True):
    """On what."""

    agent: str
    id: str
    kind: str
    label: str
    owner: str
    tags: list[str]


class Body(msgspec.Struct, frozen=True):
    """One event as it is hashed."""

    action: str
    actor: ActorPart
    asset: AssetPart
    at: int
    """Microseconds since 1970-01-01 UTC."""
    decision: str | None
    facts: dict[str, Fact]
    id: str
    kind: AuditKind
    outcome: str
    v: int
    workspace: str


encode = msgspec.json.Encoder(order="sorted").encode
decode = msgspec.json.Decoder(Body, strict=True).decode


def check_facts(facts: Mapping[str, object]) -> None:
    """Refuse facts that have no single text form.

    Raises:
        ValueError: a float, a nested object, a number beyond 2**53, a key that is not ASCII, a text that is too long.
    """
    for name, value in facts.items():
        if not name.isascii():
            raise ValueError(f"the fact {name!r} of an audit event is not named in ASCII")
        fault = _fault_of(value)
        if fault:
            raise ValueError(f"the fact {name!r} of an audit event {fault}")


def _fault_of(value: object) -> str:
    if isinstance(value, str):
        return "" if len(value) <= LONGEST_TEXT else "is too long; record its digest"
    if isinstance(value, int):
        return "" if -LARGEST_INT <= value <= LARGEST_INT else "is a number beyond 2**53; record it as text"
    if isinstance(value, list):
        faults = ("is a list of something else than text" if not isinstance(v, str) else _fault_of(v) for v in value)
        return next(filter(None, faults), "")
    return (
        "" if value is None else f"is a {type(value).__name__}: neither text, a whole number, a truth value nor a list"
    )


def actor_part(actor: Actor) -> ActorPart:
    """Return what is recorded of an actor."""
    return ActorPart(actor.id, actor.key, actor.on_behalf_of, actor.role)


def asset_part(asset: Asset) -> AssetPart:
    """Return what is recorded of an asset."""
    label = asset.label
    return AssetPart(asset.agent, asset.id, asset.kind, label.sensitivity, asset.owner, sorted(label.tags))


def decision_event_id(decision_id: str) -> str:
    """Return the id of the event that records a decision: the same time and random part under another prefix.

    So no decision can be recorded twice, and its event is found without an index of its own.
    """
    return f"aud_{decision_id.rpartition('_')[2]}"


def at_micros(now: datetime) -> int:
    """Return an instant as it is recorded."""
    return to_micros(now)


def digest(content: str | bytes) -> str:
    """Return what is recorded of a secret or a body: its SHA-256."""
    return f"sha256:{sha256(content.encode() if isinstance(content, str) else content).hexdigest()}"
