"""A2A 0.3 in its own words: errors, statuses, the end of a stream, and what it must not be told."""

import json
from typing import Any

import pytest
from a2a.utils import errors as sdk
from tests.memroos.web.a2a.test_entry import JSON, SEND_0_3, Handler, ask, rpc

from memroos.web.a2a import compat
from memroos.web.a2a.errors import PermissionDenied, ResourceExhausted, invalid

TABLE = [
    (sdk.TaskNotFoundError(), -32001, 404),
    (sdk.TaskNotCancelableError(), -32002, 409),
    (sdk.PushNotificationNotSupportedError(), -32003, 501),
    (sdk.UnsupportedOperationError(), -32004, 501),
    (sdk.ContentTypeNotSupportedError(), -32005, 415),
    (sdk.InvalidAgentResponseError(), -32006, 502),
    (sdk.ExtendedAgentCardNotConfiguredError(), -32007, 404),
    (sdk.ExtensionSupportRequiredError(), -32004, 501),
    (sdk.VersionNotSupportedError(), -32004, 501),
    (sdk.InvalidParamsError(), -32602, 422),
    (sdk.InvalidRequestError(), -32600, 400),
    (sdk.InternalError(), -32603, 500),
    (PermissionDenied(), -32050, 403),
    (ResourceExhausted(), -32051, 429),
]


@pytest.fixture
def handler() -> Handler:
    """What stands behind the doors."""
    return Handler()


@pytest.mark.parametrize(("error", "code", "status"), TABLE, ids=lambda value: type(value).__name__)
def test_an_error_has_the_code_and_the_status_of_0_3(error: sdk.A2AError, code: int, status: int) -> None:
    over_rpc = json.loads(bytes(compat.refuse_rpc(5, error).body))
    over_rest = compat.refuse_rest(error)

    assert over_rpc == {"jsonrpc": "2.0", "id": 5, "error": {"code": code, "message": error.message}}
    assert (over_rest.status_code, json.loads(bytes(over_rest.body))["code"]) == (status, code)


def test_wrong_fields_are_in_the_data_of_an_error() -> None:
    said = compat.error_of(invalid("No.", params="is wrong"))

    assert said["data"] == {"errors": [{"field": "params", "message": "is wrong"}]}


def test_who_has_to_wait_is_told_how_long() -> None:
    assert compat.refuse_rest(ResourceExhausted(data={"retry_after_s": "7"})).headers["retry-after"] == "7"


@pytest.mark.parametrize(
    ("params", "field"),
    [
        ({}, "params.message"),
        ({"message": {**SEND_0_3["message"], "parts": 7}}, "params.message.parts"),
        ({"message": {**SEND_0_3["message"], "role": "nobody"}}, "params.message.role"),
    ],
)
def test_wrong_parameters_are_named(handler: Handler, params: Any, field: str) -> None:
    error = rpc(handler, "message/send", params)["error"]

    assert error["code"] == -32602
    assert field in {wrong["field"] for wrong in error["data"]["errors"]}
    assert handler.asked == []


@pytest.mark.parametrize(
    "part",
    [
        {"kind": "file", "file": {"bytes": "no base 64!"}},
        {"kind": "data", "data": {}, "metadata": {"data_part_compat": True}},
    ],
)
def test_what_cannot_be_converted_is_the_callers_fault(handler: Handler, part: Any) -> None:
    error = rpc(handler, "message/send", {"message": {**SEND_0_3["message"], "parts": [part]}})["error"]

    assert error["code"] == -32602
    assert handler.asked == []


def test_a_request_that_is_no_json_rpc_is_an_invalid_request(handler: Handler) -> None:
    body = {"jsonrpc": "1.0", "id": 1, "method": "message/send", "params": SEND_0_3}

    assert ask(handler, "POST", "/rpc", body, **JSON).json()["error"]["code"] == -32600


@pytest.mark.parametrize("call_id", ["{}", "[1]", "true", "NaN", "1e999"])
def test_an_id_that_is_none_is_not_sent_back(handler: Handler, call_id: str) -> None:
    body = f'{{"jsonrpc": "2.0", "id": {call_id}, "method": "tasks/get", "params": {{}}}}'.encode()

    answer = ask(handler, "POST", "/rpc", body, **JSON).json()

    assert answer["id"] is None
    assert answer["error"]["code"] in {-32600, -32602}


def test_an_event_that_ends_a_stream_is_marked_as_final_also_where_the_task_waits(handler: Handler) -> None:
    body = {"jsonrpc": "2.0", "id": 1, "method": "message/stream", "params": SEND_0_3}

    lines = ask(handler, "POST", "/rpc", body, **JSON).text.splitlines()

    items = [json.loads(line[5:])["result"] for line in lines if line.startswith("data:")]
    assert [item["kind"] for item in items] == ["task", "status-update"]
    assert (items[1]["status"]["state"], items[1]["final"]) == ("input-required", True)


def test_an_error_comes_instead_of_a_stream(handler: Handler) -> None:
    refused = {"message": {**SEND_0_3["message"], "parts": [{"kind": "text", "text": "limit"}]}}
    body = {"jsonrpc": "2.0", "id": 1, "method": "message/stream", "params": refused}

    said = ask(handler, "POST", "/rpc", body, **JSON)

    assert said.headers["content-type"] == "application/json"
    assert said.json()["error"]["code"] == -32004


def test_over_http_0_3_has_its_own_form_of_an_error(handler: Handler) -> None:
    said = ask(handler, "GET", "/v1/tasks/x")

    assert (said.status_code, said.json()) == (404, {"code": -32001, "message": "There is no task."})
    assert ask(handler, "GET", "/v1/tasks/x?historyLength=many").status_code == 422
