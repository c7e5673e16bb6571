"""Whatever goes wrong out there is one of a few things here."""

import httpx
import pytest
from a2a.client.errors import A2AClientError, A2AClientTimeoutError
from a2a.utils import errors as sdk
from google.protobuf.json_format import ParseError

from memroos.broker import client
from memroos.broker.client.errors import remote_errors
from memroos_kit.outbound import AddressRefused, NameUnresolved, ReplyRefused

REQUEST = httpx.Request("POST", "http://far.example/")


def translated(error: Exception, cause: Exception | None = None) -> client.RemoteError:
    with pytest.raises(client.RemoteError) as caught, remote_errors():
        raise error from cause
    return caught.value


def status(number: int) -> httpx.HTTPStatusError:
    return httpx.HTTPStatusError("no", request=REQUEST, response=httpx.Response(number, request=REQUEST))


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (A2AClientTimeoutError("slow"), None),
        (A2AClientError("gone"), httpx.RemoteProtocolError("closed")),
        (A2AClientError("HTTP Error 503"), status(503)),
        (A2AClientError("HTTP Error 429"), status(429)),
        (A2AClientError("JSON-RPC Error -32051: slow down"), None),
        (A2AClientError("JSON-RPC Error -32052: later"), None),
        (httpx.ReadError("broken"), None),
        (ConnectionResetError(), None),
        (TimeoutError(), None),
        (NameUnresolved(host="far.example"), None),
        (ReplyRefused(host="far.example", reason="too-slow"), None),
    ],
)
def test_what_may_be_better_later_is_unreachable(error: Exception, cause: Exception | None) -> None:
    assert isinstance(translated(error, cause), client.RemoteUnreachable)


@pytest.mark.parametrize(
    ("error", "cause", "arrived"),
    [
        (A2AClientError("nobody"), httpx.ConnectError("refused"), False),
        (A2AClientTimeoutError("nobody"), httpx.ConnectTimeout("slow"), False),
        (NameUnresolved(host="far.example"), None, False),
        (A2AClientError("gone"), httpx.ReadError("broken"), True),
        (A2AClientTimeoutError("slow"), httpx.ReadTimeout("slow"), True),
    ],
)
def test_whether_a_request_may_have_arrived_is_known(error: Exception, cause: Exception | None, arrived: bool) -> None:
    found = translated(error, cause)

    assert isinstance(found, client.RemoteUnreachable)
    assert found.arrived is arrived


@pytest.mark.parametrize(
    ("error", "cause", "reason"),
    [
        (sdk.TaskNotFoundError("What task?"), None, "TASK_NOT_FOUND"),
        (sdk.ContentTypeNotSupportedError(), None, "CONTENT_TYPE_NOT_SUPPORTED"),
        (sdk.InternalError(), None, "INTERNAL_ERROR"),
        (A2AClientError("HTTP Error 401"), status(401), "HTTP_401"),
        (A2AClientError("JSON-RPC Error -32050: not you"), None, "PERMISSION_DENIED"),
        (A2AClientError("JSON-RPC Error -1: own"), None, "JSONRPC_1"),
        (AddressRefused(host="far.example", reason="private"), None, "ADDRESS_REFUSED"),
        (NotImplementedError("no lists"), None, "UNSUPPORTED_OPERATION"),
    ],
)
def test_a_no_keeps_its_reason(error: Exception, cause: Exception | None, reason: str) -> None:
    found = translated(error, cause)

    assert isinstance(found, client.RemoteRefused)
    assert found.reason == reason


@pytest.mark.parametrize(("code", "said"), [(401, True), (403, True), (404, False)])
def test_a_credential_that_is_not_taken_is_said_to_be_that(code: int, said: bool) -> None:
    found = translated(A2AClientError(f"HTTP Error {code}"), status(code))

    assert ("credential" in str(found)) is said


@pytest.mark.parametrize(
    "error",
    [
        ParseError("no"),
        ValueError("no"),
        KeyError("result"),
        TypeError("no"),
        AttributeError("no"),
        RecursionError(),
        A2AClientError("Invalid JSON-RPC response: expected an object, got list"),
        ReplyRefused(host="far.example", reason="too-large"),
        ReplyRefused(host="far.example", reason="encoded"),
    ],
)
def test_anything_malformed_is_an_invalid_answer(error: Exception) -> None:
    assert isinstance(translated(error), client.InvalidAnswer)
