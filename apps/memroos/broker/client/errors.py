"""What can go wrong with a remote agent, and the one table from the SDK's errors to it."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

import grpc
import httpx
from a2a.client.errors import A2AClientError, A2AClientTimeoutError
from a2a.utils import errors as sdk
from google.protobuf.json_format import ParseError
from pydantic import ValidationError

from memroos_kit.outbound import AddressRefused, NameUnresolved, ReplyRefused

TASK_NOT_FOUND = "TASK_NOT_FOUND"

_AGAIN_STATUS = frozenset({408, 425, 429, 500, 502, 503, 504})
"""HTTP statuses after which the same request may succeed."""
_AGAIN_CODE = frozenset({"UNAVAILABLE", "DEADLINE_EXCEEDED", "RESOURCE_EXHAUSTED", "CANCELLED", "ABORTED", "UNKNOWN"})
_AGAIN_REASON = frozenset({"UNAVAILABLE", "RESOURCE_EXHAUSTED"})
_OWN_CODES = {-32050: "PERMISSION_DENIED", -32051: "RESOURCE_EXHAUSTED", -32052: "UNAVAILABLE"}
"""What another broker of this kind answers beside the protocol's codes."""
_CODE = re.compile(r"JSON-RPC Error (-?\d+): ")


class RemoteError(Exception):
    """Something went wrong with a remote agent."""


class RemoteUnreachable(RemoteError):
    """No answer, or one that says: later.

    Args:
        arrived: whether the request may have arrived nevertheless.
    """

    def __init__(self, words: str, *, arrived: bool = True) -> None:
        super().__init__(words)
        self.arrived = arrived


class InvalidAnswer(RemoteError):
    """The agent answered with what A2A does not allow."""


class RemoteRefused(RemoteError):
    """The agent said no.

    Args:
        reason: the protocol's word for it, such as `TASK_NOT_FOUND`.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message


@contextmanager
def remote_errors() -> Iterator[None]:
    """Turn whatever the SDK, its transports and the guard raise into this module's errors."""
    try:
        yield
    except (sdk.A2AError, OSError, ValueError, TypeError, KeyError, AttributeError, NotImplementedError) as error:
        raise _translated(error) from error  # the SDK lets malformed answers out as whatever they break
    except (
        AddressRefused,
        NameUnresolved,
        ReplyRefused,
        ParseError,
        httpx.HTTPError,
        grpc.RpcError,
        RecursionError,
    ) as error:
        raise _translated(error) from error


def _translated(error: Exception) -> RemoteError:  # noqa: C901, PLR0911 - one table
    if isinstance(error, A2AClientTimeoutError | NameUnresolved | OSError):
        cause = error.__cause__ or error
        return RemoteUnreachable(_words(error), arrived=not isinstance(cause, httpx.ConnectTimeout | NameUnresolved))
    if isinstance(error, ReplyRefused):
        slow = error.facts.get("reason") == "too-slow"
        return RemoteUnreachable(error.detail) if slow else InvalidAnswer(error.detail)
    if isinstance(error, AddressRefused):
        return RemoteRefused("ADDRESS_REFUSED", error.detail)
    if isinstance(error, A2AClientError):
        return _of_client(error)
    if isinstance(error, sdk.A2AError):
        reason = sdk.A2A_ERROR_REASONS.get(type(error), "INTERNAL_ERROR")
        return RemoteUnreachable(str(error)) if reason in _AGAIN_REASON else RemoteRefused(reason, str(error))
    if isinstance(error, NotImplementedError):
        return RemoteRefused("UNSUPPORTED_OPERATION", _words(error))
    if isinstance(error, grpc.aio.AioRpcError):
        return _of_grpc(error)
    if isinstance(error, httpx.HTTPError):
        return (
            InvalidAnswer(_words(error)) if isinstance(error, httpx.DecodingError) else RemoteUnreachable(_words(error))
        )
    if isinstance(error, ParseError | ValidationError):
        return InvalidAnswer("it is not what the protocol describes")
    return InvalidAnswer(_words(error))


def _of_client(error: A2AClientError) -> RemoteError:
    cause = error.__cause__
    if isinstance(cause, httpx.HTTPStatusError):
        status = cause.response.status_code
        if status in _AGAIN_STATUS:
            return RemoteUnreachable(f"HTTP {status}")
        why = ": it wants a credential, or another one than the kernel has" if status in {401, 403} else ""
        return RemoteRefused(f"HTTP_{status}", f"The agent answered with HTTP {status}{why}.")
    if isinstance(cause, httpx.HTTPError):
        return RemoteUnreachable(_words(cause), arrived=not isinstance(cause, httpx.ConnectError))
    if isinstance(cause, grpc.aio.AioRpcError):
        return _of_grpc(cause)
    found = _CODE.match(str(error))
    if found is not None:
        reason = _OWN_CODES.get(int(found[1]), f"JSONRPC_{found[1].lstrip('-')}")
        words = str(error)[found.end() :]
        return RemoteUnreachable(words) if reason in _AGAIN_REASON else RemoteRefused(reason, words)
    return InvalidAnswer(_words(error))


def _of_grpc(error: grpc.aio.AioRpcError) -> RemoteError:
    code, words = error.code().name, error.details() or ""
    if code in _AGAIN_CODE:
        return RemoteUnreachable(f"gRPC {code}: {words}")
    if code == "NOT_FOUND":
        return RemoteRefused(TASK_NOT_FOUND, words)
    if code == "INTERNAL" and "parsing" in words.lower():
        return InvalidAnswer(words)
    return RemoteRefused({"UNIMPLEMENTED": "METHOD_NOT_FOUND", "INTERNAL": "INTERNAL_ERROR"}.get(code, code), words)


def _words(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"[:500]
