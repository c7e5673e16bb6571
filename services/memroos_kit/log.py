"""The log of a process: one line per entry, UTC, no secrets, nothing that pretends to be another line.

Entries of structlog and of the standard library (uvicorn, the A2A SDK) leave through the same chain. Text from
outside is data: control characters, line breaks and terminal sequences are shown, never obeyed, and keys are cut out
wherever they turn up.
"""

import logging
import re
import sys
import traceback
from collections.abc import Mapping
from typing import Any, Literal, TextIO, cast

import structlog
from structlog.typing import EventDict, FilteringBoundLogger, Processor, WrappedLogger

Level = Literal["debug", "info", "warning", "error"]
Format = Literal["auto", "json", "console"]

REDACTED = "***"
LONGEST_TEXT = 8_192
LONGEST_TRACEBACK = 32_768
DEEPEST = 6
MOST_ITEMS = 100

_QUIET = ("httpx", "httpcore", "asyncio", "markdown_it")  # one line per request, from libraries: only their warnings
_SECRET_NAME = re.compile(
    r"(?:^|[_\W])(?:authorization|cookie|credentials?|passw(?:or)?d|passphrase|secret|token|api[_\-]?key|private[_\-]?key)$",
    re.IGNORECASE,
)
_SECRET_TEXT = (
    (re.compile(r"\b(mr_[a-z]{1,16}_)[A-Za-z0-9_\-]{4,}"), rf"\1{REDACTED}"),
    (re.compile(r"\b(Bearer|Basic)\s+[A-Za-z0-9._~+/=\-]{4,}", re.IGNORECASE), rf"\1 {REDACTED}"),
    (
        re.compile(
            r"((?:authorization|passw(?:or)?d|secret|token|api[_\-]?key)['\"]?\s*[=:]\s*b?['\"]?)"
            r"(?!\*\*\*|Bearer |Basic )[^\s'\"&,;)}\]]+",
            re.IGNORECASE,
        ),
        rf"\1{REDACTED}",
    ),
    (re.compile(r"(://[^/\s:@]*:)[^/\s@]+@"), rf"\1{REDACTED}@"),
)
# C0 and C1 controls, line and paragraph separators, zero-width and direction-changing characters, byte order mark
_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]")


def configure(*, process: str, level: Level = "info", form: Format = "auto", stream: TextIO | None = None) -> None:
    """Send every entry of this process to one stream; may be repeated.

    Args:
        process: name of the process, on every entry.
        level: least severe entries that are written.
        form: JSON lines, lines for people, or whichever fits the stream.
        stream: where entries go; standard error when left out.
    """
    stream = sys.stderr if stream is None else stream
    form = ("console" if stream.isatty() else "json") if form == "auto" else form
    least = logging.getLevelNamesMapping()[level.upper()]

    def name_process(_: WrappedLogger, __: str, entry: EventDict) -> EventDict:
        entry["process"] = process
        return entry

    chain: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="at"),
        name_process,
    ]
    output = logging.StreamHandler(stream)
    output.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=chain,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                _tell_exception,
                clean,
                _renderer(form, colours=stream.isatty()),
            ],
        )
    )
    structlog.configure(
        processors=[*chain, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.make_filtering_bound_logger(least),
        cache_logger_on_first_use=True,
    )
    root = logging.getLogger()
    root.handlers = [output]
    root.setLevel(least)
    for name in _QUIET:
        logging.getLogger(name).setLevel(max(least, logging.WARNING))


def get(name: str) -> FilteringBoundLogger:
    """Return the logger of a module: `_log = log.get(__name__)`; facts go as keyword arguments."""
    return cast(FilteringBoundLogger, structlog.stdlib.get_logger(name))


def clean(_: WrappedLogger, __: str, entry: EventDict) -> EventDict:
    """Cut secrets out of an entry and make every value printable on one line."""
    frames = entry.pop("exception", None)
    cleaned: EventDict = {
        clean_text(str(name)): REDACTED if _SECRET_NAME.search(str(name)) else _clean_value(value)
        for name, value in entry.items()
    }
    if frames is not None:
        lines = str(frames)[-LONGEST_TRACEBACK:].splitlines()
        cleaned["exception"] = "\n".join(f"  | {clean_text(line)}" for line in lines)
    return cleaned


def clean_text(text: str) -> str:
    """Return text without secrets, on one line, with unprintable characters shown as escapes."""
    if len(text) > LONGEST_TEXT:
        text = f"{text[:LONGEST_TEXT]}... ({len(text)} characters)"
    for pattern, replacement in _SECRET_TEXT:
        text = pattern.sub(replacement, text)
    return _UNPRINTABLE.sub(_show, text)


def _show(found: re.Match[str]) -> str:
    code = ord(found[0])
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


def _clean_value(value: Any, depth: int = 0) -> Any:
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, str):
        return clean_text(value)
    if depth < DEEPEST and isinstance(value, Mapping):
        return {
            clean_text(str(name)): REDACTED if _SECRET_NAME.search(str(name)) else _clean_value(inner, depth + 1)
            for name, inner in list(value.items())[:MOST_ITEMS]
        }
    if depth < DEEPEST and isinstance(value, list | tuple | set | frozenset):
        return [_clean_value(inner, depth + 1) for inner in list(value)[:MOST_ITEMS]]
    return clean_text(str(value))


def _tell_exception(_: WrappedLogger, __: str, entry: EventDict) -> EventDict:
    """Replace `exc_info` by the text of the traceback, which `clean` then treats like any other text."""
    found = entry.pop("exc_info", None)
    if found is True:
        found = sys.exc_info()
    error = found[1] if isinstance(found, tuple) else found
    if isinstance(error, BaseException):
        entry["exception"] = "".join(traceback.format_exception(error))
    return entry


def _renderer(form: Format, *, colours: bool) -> Processor:
    if form == "json":
        return structlog.processors.JSONRenderer()
    return structlog.dev.ConsoleRenderer(
        colors=colours, timestamp_key="at", exception_formatter=structlog.dev.plain_traceback
    )
