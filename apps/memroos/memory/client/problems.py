"""What the memory service's problems mean here: the same errors where they concern the caller, else that it is away."""

from typing import Any

import msgspec

from memroos_contracts.errors import (
    Fact,
    InvalidCursor,
    InvalidRequest,
    MalformedRequest,
    MemroosError,
    NotFound,
    StorageFull,
    TooLarge,
)
from memroos_contracts.memory_errors import (
    EmbedderFailed,
    FilterRefused,
    IndexUnavailable,
    ItemChanged,
    ItemGone,
    MemoryServiceUnavailable,
    ModelFailed,
    SequenceUnknown,
    WrongDimension,
)

PASSED_ON: dict[str, type[MemroosError]] = {
    error.slug(): error
    for error in (
        NotFound,
        InvalidRequest,
        MalformedRequest,
        InvalidCursor,
        TooLarge,
        StorageFull,
        ItemChanged,
        ItemGone,
        FilterRefused,
        SequenceUnknown,
        WrongDimension,
        IndexUnavailable,
        EmbedderFailed,
        ModelFailed,
        MemoryServiceUnavailable,
    )
}
_STANDARD = frozenset(("type", "title", "status", "detail", "instance"))


def read(status: int, body: bytes, retry_after: str = "") -> MemroosError:
    """Return the error that an answer of the service stands for.

    A key that is not taken and a failure inside the service are nothing a caller could do anything about: the service
    is away for them.
    """
    try:
        problem: dict[str, Any] = msgspec.json.decode(body, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError):
        problem = {}
    slug = str(problem.get("type", "")).rpartition("/")[2]
    kind = PASSED_ON.get(slug)
    wait_s = int(retry_after) if retry_after.isdecimal() else None
    if kind is None:
        reason = f"it answered with {status}{f' ({slug})' if slug else ''}"
        sentence = f"The memory service cannot help: {reason}."
        return MemoryServiceUnavailable(sentence, retry_after_s=wait_s or 1, answered=status)
    facts = {str(name): _fact(value) for name, value in problem.items() if name not in _STANDARD}
    return kind(str(problem.get("detail", "")), retry_after_s=wait_s, **facts)


def _fact(value: Any) -> Fact:
    return value if isinstance(value, str | int | bool | None | list | dict) else str(value)
