"""The canonical forms of an agent card that its signer may have signed.

A2A 1.0, 8.4.1, says: the card without its signatures, fields that are required kept even where they are empty, others
only where they are set. The official SDK drops everything that is empty. Older cards, and cards with fields that we do
not know, were signed as they are written. Each form says the same of what we read in a card, so each one proves it.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import rfc8785
from a2a.types import AgentCard
from google.api.field_behavior_pb2 import FieldBehavior, field_behavior  # type: ignore[import-untyped]
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message


def forms_of(written: Mapping[str, Any], read: AgentCard | None) -> Iterator[bytes]:
    """Yield the forms, the one of the specification first.

    Args:
        written: the card as its owner wrote it, parsed.
        read: the same as a card of A2A 1.0, where it is one.
    """
    bare = {name: value for name, value in written.items() if name != "signatures"}
    candidates: list[Any] = [bare, _without_empty(bare)]
    if read is not None:
        as_sdk = MessageToDict(read)
        as_sdk.pop("signatures", None)
        candidates = [by_presence(read), _without_empty(as_sdk), *candidates]
    for candidate in candidates:
        try:
            yield rfc8785.dumps(candidate)
        except rfc8785.CanonicalizationError:
            continue


def by_presence(message: Message) -> dict[str, Any]:
    """Return a message as JSON by the rules of field presence: required and set fields, and no others."""
    result: dict[str, Any] = {}
    for field in message.DESCRIPTOR.fields:
        if field.name == "signatures" and isinstance(message, AgentCard):
            continue
        if _is_present(message, field):
            result[field.json_name] = _value(message, field)
    return result


def _is_present(message: Message, field: Any) -> bool:
    required = FieldBehavior.REQUIRED in field.GetOptions().Extensions[field_behavior]
    if field.is_repeated:
        return required or bool(getattr(message, field.name))
    if field.has_presence:
        return message.HasField(field.name)
    return required or getattr(message, field.name) != field.default_value


def _value(message: Message, field: Any) -> Any:
    value = getattr(message, field.name)
    if field.message_type is not None and field.message_type.GetOptions().map_entry:
        return {str(key): _one(item) for key, item in value.items()}
    return [_one(item) for item in value] if field.is_repeated else _one(value)


def _one(value: Any) -> Any:
    if not isinstance(value, Message):
        return value
    if value.DESCRIPTOR.full_name.startswith("google.protobuf."):
        return MessageToDict(value)
    return by_presence(value)


def _without_empty(value: Any) -> Any:
    """Return JSON without empty texts, lists and objects, at any depth; None where nothing is left."""
    if isinstance(value, dict):
        return {k: left for k, v in value.items() if (left := _without_empty(v)) is not None} or None
    if isinstance(value, list):
        return [left for v in value if (left := _without_empty(v)) is not None] or None
    return None if value == "" else value
