"""Each kind of error in the words of both bindings: code, status, and the ErrorInfo that the protocol demands."""

import json

import pytest
from a2a.server.request_handlers.response_helpers import build_error_response
from a2a.utils import errors as sdk
from a2a.utils.error_handlers import build_rest_error_payload

from memroos import broker
from memroos.web.a2a.errors import _BY_KIND, protocol_errors, to_protocol
from memroos_contracts.errors import ErrorKind, InvalidRequest, MemroosError, NotFound

EXPECTED = {
    ErrorKind.MALFORMED: (-32600, 400, "INVALID_REQUEST"),
    ErrorKind.INVALID: (-32602, 400, "INVALID_PARAMS"),
    ErrorKind.UNAUTHENTICATED: (-32053, 401, "UNAUTHENTICATED"),
    ErrorKind.DENIED: (-32050, 403, "PERMISSION_DENIED"),
    ErrorKind.NOT_FOUND: (-32001, 404, "TASK_NOT_FOUND"),
    ErrorKind.CONFLICT: (-32004, 400, "UNSUPPORTED_OPERATION"),
    ErrorKind.GONE: (-32001, 404, "TASK_NOT_FOUND"),
    ErrorKind.TOO_LARGE: (-32600, 400, "INVALID_REQUEST"),
    ErrorKind.LIMITED: (-32051, 429, "RESOURCE_EXHAUSTED"),
    ErrorKind.UNAVAILABLE: (-32052, 503, "UNAVAILABLE"),
    ErrorKind.STORAGE_FULL: (-32052, 503, "UNAVAILABLE"),
}


def of_kind(kind: ErrorKind) -> MemroosError:
    made = type("Odd", (MemroosError,), {"kind": kind, "__doc__": "An odd thing.\n"})("Something odd.", task="task_1")
    assert isinstance(made, MemroosError)
    return made


def test_every_kind_is_in_the_table() -> None:
    assert set(_BY_KIND) == set(ErrorKind) == set(EXPECTED)


@pytest.mark.parametrize("kind", ErrorKind)
def test_a_kind_has_its_code_status_and_reason(kind: ErrorKind) -> None:
    code, status, reason = EXPECTED[kind]

    error = to_protocol(of_kind(kind))
    rpc = build_error_response(1, error)["error"]
    rest = build_rest_error_payload(error)["error"]

    assert (rpc["code"], rpc["message"]) == (code, "Something odd.")
    assert (rest["code"], rest["message"]) == (status, "Something odd.")
    for info in (rpc["data"][0], rest["details"][0]):
        assert info["@type"] == "type.googleapis.com/google.rpc.ErrorInfo"
        assert (info["reason"], info["domain"]) == (reason, "a2a-protocol.org")
        assert info["metadata"] == {"task": "task_1", "problem": "odd"}


@pytest.mark.parametrize(
    ("error", "code", "reason"),
    [
        (broker.TaskClosed(task="t", state="completed"), -32004, "UNSUPPORTED_OPERATION"),
        (broker.TaskNotCancelable(task="t", state="completed"), -32002, "TASK_NOT_CANCELABLE"),
        (broker.AgentNotAvailable(agent="a", state="retired"), -32004, "UNSUPPORTED_OPERATION"),
        (broker.TaskGenerationMismatch(task="t", generation=3, expected=2), -32010, "TASK_GENERATION_MISMATCH"),
        (broker.RoutingLoop(via="1.1 us"), -32004, "UNSUPPORTED_OPERATION"),
        (broker.TooManyHops(via="1.1 us", limit=1), -32004, "UNSUPPORTED_OPERATION"),
        (broker.TooManyOpenTasks(limit=1, scope="caller"), -32051, "RESOURCE_EXHAUSTED"),
        (broker.NoRoute(skill="fly"), -32602, "INVALID_PARAMS"),
        (broker.ContextMismatch(task="t"), -32602, "INVALID_PARAMS"),
        (NotFound(kind_of_object="task", id="t"), -32001, "TASK_NOT_FOUND"),
    ],
)
def test_the_brokers_errors_are_those_of_the_protocol(error: MemroosError, code: int, reason: str) -> None:
    said = build_error_response(1, to_protocol(error))["error"]

    assert (said["code"], said["data"][0]["reason"]) == (code, reason)


def test_wrong_fields_are_named_in_both_bindings() -> None:
    error = to_protocol(InvalidRequest("No.", fields={"message.parts": "needs one"}))

    for details in (
        build_error_response(1, error)["error"]["data"],
        build_rest_error_payload(error)["error"]["details"],
    ):
        assert details[1]["@type"] == "type.googleapis.com/google.rpc.BadRequest"
        assert details[1]["fieldViolations"] == [{"field": "message.parts", "description": "needs one"}]


def test_metadata_holds_texts_only() -> None:
    error = to_protocol(broker.NoRoute(skill="x", considered={"worker": "policy denies it"}))

    metadata = build_rest_error_payload(error)["error"]["details"][0]["metadata"]

    assert json.loads(metadata["considered"]) == {"worker": "policy denies it"}


def test_an_unexpected_error_tells_the_caller_nothing_of_the_inside() -> None:
    with pytest.raises(sdk.InternalError) as told, protocol_errors():
        raise RuntimeError("the password is albatross")

    assert "albatross" not in str(build_error_response(1, told.value))
    assert "err_" in told.value.message


def test_errors_of_the_sdk_pass_as_they_are() -> None:
    with pytest.raises(sdk.PushNotificationNotSupportedError), protocol_errors():
        raise sdk.PushNotificationNotSupportedError
