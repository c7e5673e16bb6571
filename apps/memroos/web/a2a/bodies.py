"""Bodies that would break the SDK's decoders, found before they get there."""

import json
import logging
import re
from typing import Any

DEEPEST = 100
"""Protocol buffers give up there, and Python's decoder somewhat later, with an error of its own."""

# Possessive, and content with a string that never ends: or such a body would be read anew from each of its quotes.
_TOKENS = re.compile(rb'"(?:[^"\\]|\\.)*+"?|[\[{]|[\]}]', re.DOTALL)
_HALF = re.compile(rb"\\u[dD][89a-fA-F]")
_SDK_LOGGERS = ("a2a.server.routes.jsonrpc_dispatcher", "a2a.utils.error_handlers")
_CALLERS_FAULTS = ("Failed to validate base JSON-RPC request", "Failed to parse request params")


def find_fault(body: bytes) -> str:
    """Return why a body cannot be read as JSON by everybody, an empty string where nothing speaks against it."""
    try:
        body.decode()
    except UnicodeDecodeError:
        return "The body is not UTF-8."
    brackets = body.count(b"[") + body.count(b"{")
    if brackets > DEEPEST and _depth(body) > DEEPEST:
        return f"The body is nested deeper than {DEEPEST}."
    if _HALF.search(body) and _has_half_characters(body):
        return "A text in the body has half of a surrogate pair."
    return ""


def id_of(call: Any) -> str | int | None:
    """Return the id of a JSON-RPC call, None where there is none that could be sent back."""
    found = call.get("id") if isinstance(call, dict) else None
    return found if isinstance(found, str | int) and not isinstance(found, bool) else None


def _has_half_characters(body: bytes) -> bool:
    """Whether a text comes out of the decoder that no answer could repeat, since UTF-8 cannot say it."""
    try:
        json.dumps(json.loads(body), ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return True
    except ValueError:
        return False  # no JSON at all; whoever reads it next says so
    return False


def _depth(body: bytes) -> int:
    depth = deepest = 0
    for token in _TOKENS.finditer(body):
        first = body[token.start()]
        if first in b"[{":
            depth += 1
            deepest = max(deepest, depth)
        elif first in b"]}":
            depth -= 1
    return deepest


def _tells_the_operator_something(record: logging.LogRecord) -> bool:
    """Leave out what callers did wrong: they are told, and nobody else can do anything about it."""
    return record.levelno >= logging.ERROR and not record.getMessage().startswith(_CALLERS_FAULTS)


for _name in _SDK_LOGGERS:
    logging.getLogger(_name).addFilter(_tells_the_operator_something)
