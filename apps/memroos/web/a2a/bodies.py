"""Bodies that would break the SDK's decoders, found before they get there."""

import logging
import re

DEEPEST = 100
"""Protocol buffers give up there, and Python's decoder somewhat later, with an error of its own."""

_TOKENS = re.compile(rb'"(?:[^"\\]|\\.)*"|[\[{]|[\]}]')
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
    return ""


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
