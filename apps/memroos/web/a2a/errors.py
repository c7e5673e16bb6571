"""One table from the broker's errors to the protocol's (A2A 1.0.1, section 3.3.2)."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import msgspec
from a2a.server.jsonrpc_models import JSONRPCError
from a2a.server.request_handlers import response_helpers
from a2a.utils import errors as sdk

from memroos import broker
from memroos_contracts.errors import ErrorKind, Fact, MemroosError
from memroos_kit import edge


class PermissionDenied(sdk.A2AError):
    """Policy does not let the caller do this; the protocol leaves the code to the server."""


class ResourceExhausted(sdk.A2AError):
    """The caller has to slow down."""


class Unavailable(sdk.A2AError):
    """The server cannot take the request now; nothing happened."""


class Unauthenticated(sdk.A2AError):
    """The key does not open this door, or there is none; over HTTP the front door says so."""


class TaskGenerationMismatchError(sdk.A2AError):
    """The task is not as the caller last saw it (A2A 1.1)."""


_OWN = {
    TaskGenerationMismatchError: (-32010, sdk.ErrorMapping(409, "ABORTED", "TASK_GENERATION_MISMATCH")),
    Unauthenticated: (-32053, sdk.ErrorMapping(401, "UNAUTHENTICATED", "UNAUTHENTICATED")),
    PermissionDenied: (-32050, sdk.ErrorMapping(403, "PERMISSION_DENIED", "PERMISSION_DENIED")),
    ResourceExhausted: (-32051, sdk.ErrorMapping(429, "RESOURCE_EXHAUSTED", "RESOURCE_EXHAUSTED")),
    Unavailable: (-32052, sdk.ErrorMapping(503, "UNAVAILABLE", "UNAVAILABLE")),
}
# The SDK looks errors up by type in these tables; ours join them, so that every binding says them in its own way.
for _error, (_code, _mapping) in _OWN.items():
    sdk.JSON_RPC_ERROR_CODE_MAP[_error] = _code
    sdk.A2A_ERROR_MAPPING[_error] = _mapping
    sdk.A2A_ERROR_REASONS[_error] = _mapping.reason
    response_helpers.EXCEPTION_MAP[_error] = JSONRPCError
sdk.A2A_ERROR_MAPPING[sdk.JSONParseError] = sdk.ErrorMapping(400, "INVALID_ARGUMENT", "PARSE_ERROR")
sdk.A2A_ERROR_REASONS[sdk.JSONParseError] = "PARSE_ERROR"
response_helpers.EXCEPTION_MAP[sdk.JSONParseError] = JSONRPCError


RETRY_AFTER = "retry_after_s"
"""The fact that says when to come again."""


class Facts(dict[str, Any]):
    """What an error is about: texts, as `google.rpc.ErrorInfo` wants its metadata, and the fields that are wrong.

    The SDK asks for `errors` to make a `BadRequest` of it, and writes all entries into the metadata, where a list would
    be against the schema. So it is there when asked for, and is no entry.
    """

    def __init__(self, facts: dict[str, str], fields: dict[str, str] | None = None) -> None:
        super().__init__(facts)
        self.violations = [{"field": name, "message": words} for name, words in (fields or {}).items()]

    def get(self, name: str, default: Any = None) -> Any:
        """Return a fact, or under `errors` the wrong fields."""
        return self.violations if name == "errors" else super().get(name, default)

    def __missing__(self, name: str) -> Any:
        """Return the wrong fields under `errors`."""
        if name == "errors":
            return self.violations
        raise KeyError(name)


_BY_TYPE: dict[type[MemroosError], type[sdk.A2AError]] = {
    broker.TaskClosed: sdk.UnsupportedOperationError,
    broker.TaskNotCancelable: sdk.TaskNotCancelableError,
    broker.AgentNotAvailable: sdk.UnsupportedOperationError,
    broker.TaskGenerationMismatch: TaskGenerationMismatchError,
}

_BY_KIND: dict[ErrorKind, type[sdk.A2AError]] = {
    ErrorKind.MALFORMED: sdk.InvalidRequestError,
    ErrorKind.INVALID: sdk.InvalidParamsError,
    ErrorKind.UNAUTHENTICATED: Unauthenticated,
    ErrorKind.DENIED: PermissionDenied,
    ErrorKind.NOT_FOUND: sdk.TaskNotFoundError,
    ErrorKind.CONFLICT: sdk.UnsupportedOperationError,
    ErrorKind.GONE: sdk.TaskNotFoundError,
    ErrorKind.TOO_LARGE: sdk.InvalidRequestError,
    ErrorKind.LIMITED: ResourceExhausted,
    ErrorKind.UNAVAILABLE: Unavailable,
    ErrorKind.STORAGE_FULL: Unavailable,
}


def to_protocol(error: MemroosError) -> sdk.A2AError:
    """Return the protocol's error for one of ours, with its facts."""
    kind = _BY_TYPE.get(type(error), _BY_KIND[error.kind])
    # google.rpc.ErrorInfo has texts for metadata, nothing else.
    facts = {name: _as_text(fact) for name, fact in error.facts.items() if name != "fields"}
    if error.retry_after_s is not None:
        facts[RETRY_AFTER] = str(error.retry_after_s)
    fields = error.facts.get("fields")
    wrong = {name: str(words) for name, words in fields.items()} if isinstance(fields, dict) else None
    return kind(message=error.detail, data=Facts({**facts, "problem": error.slug()}, wrong))


def invalid(message: str, /, **fields: str) -> sdk.InvalidParamsError:
    """Return the error for wrong parameters, each named."""
    return sdk.InvalidParamsError(message=message, data=Facts({}, fields))


@contextmanager
def protocol_errors() -> Iterator[None]:
    """Say the broker's errors in the protocol's words; of any other the caller learns only where the log has it."""
    try:
        yield
    except sdk.A2AError:
        raise
    except MemroosError as error:
        raise to_protocol(error) from error
    except Exception as error:  # the last place before the SDK, which would tell the caller what is inside
        failure = edge.internal_failure(error, method="A2A", path="")
        raise sdk.InternalError(message=failure.detail) from error


def _as_text(fact: Fact) -> str:
    return fact if isinstance(fact, str) else msgspec.json.encode(fact).decode()
