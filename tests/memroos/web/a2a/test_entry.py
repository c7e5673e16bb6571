"""What a call over HTTP passes before the SDK reads it, in the words of each binding and version."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from a2a.server.context import ServerCallContext
from a2a.server.routes import create_jsonrpc_routes, create_rest_routes
from a2a.types import a2a_pb2 as pb
from a2a.utils import errors as sdk
from starlette.applications import Starlette
from starlette.routing import Route
from tests.actors import OPERATOR

from memroos.web.a2a import compat, entry
from memroos.web.a2a.context import CALL, ContextBuilder
from memroos_kit.edge import App, Receive, Scope, Send

SEND = {"message": {"messageId": "m", "role": "ROLE_USER", "parts": [{"text": "hi"}]}}
SEND_0_3 = {"message": {"kind": "message", "messageId": "m", "role": "user", "parts": [{"kind": "text", "text": "hi"}]}}


class Handler:
    """A request handler that does what the text of a message says."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    async def on_message_send(self, params: pb.SendMessageRequest, context: ServerCallContext) -> pb.Task:
        self.asked.append(context.state[CALL].version)
        match params.message.parts[0].text if params.message.parts else "":
            case "":
                raise sdk.InvalidParamsError
            case "extend":
                context.state[CALL].activated.extend(["urn:a", "urn:b"])
            case "limit":
                raise sdk.UnsupportedOperationError(message="Not now.", data={"retry_after_s": "7"})
        return pb.Task(id="task_1", context_id="ctx_1", status=pb.TaskStatus(state=pb.TASK_STATE_COMPLETED))

    async def on_message_send_stream(
        self, params: pb.SendMessageRequest, context: ServerCallContext
    ) -> AsyncIterator[Any]:
        task = await self.on_message_send(params, context)
        task.status.state = pb.TASK_STATE_WORKING
        yield task
        yield pb.TaskStatusUpdateEvent(
            task_id="task_1", context_id="ctx_1", status=pb.TaskStatus(state=pb.TASK_STATE_INPUT_REQUIRED)
        )

    async def on_list_tasks(self, params: pb.ListTasksRequest, context: ServerCallContext) -> pb.ListTasksResponse:
        self.asked.append(pb.TaskState.Name(params.status))
        return pb.ListTasksResponse()

    async def on_get_task(self, params: pb.GetTaskRequest, context: ServerCallContext) -> pb.Task:
        raise sdk.TaskNotFoundError(message="There is no task.")


@pytest.fixture
def handler() -> Handler:
    """What stands behind the doors."""
    return Handler()


def serve(handler: Any) -> App:
    builder = ContextBuilder()
    old = compat.JsonRpc03(handler, builder)
    app = Starlette(
        routes=[
            *(entry.json_rpc(route, old) for route in create_jsonrpc_routes(handler, "/rpc", context_builder=builder)),
            *(entry.rest_0_3(route) for route in compat.rest_routes(handler, builder)),
            *(
                entry.rest(route)
                for route in create_rest_routes(handler, context_builder=builder)
                if isinstance(route, Route)
            ),
        ]
    )

    async def with_actor(scope: Scope, receive: Receive, send: Send) -> None:
        scope["actor"] = OPERATOR
        await app(scope, receive, send)

    return with_actor


def ask(handler: Handler, method: str, path: str, body: Any = None, **headers: str) -> httpx.Response:
    """Make one request; a body that is bytes goes as it is."""
    content = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
    said = {name.replace("_", "-"): value for name, value in headers.items()}

    async def send() -> httpx.Response:
        transport = httpx.ASGITransport(serve(handler))
        async with httpx.AsyncClient(transport=transport, base_url="http://a2a") as client:
            return await client.request(method, path, content=content, headers=said)

    return asyncio.run(send())


def rpc(handler: Handler, method: str, params: Any, path: str = "/rpc", **headers: str) -> Any:
    body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
    return ask(handler, "POST", path, body, **({"content_type": "application/json"} | headers)).json()


JSON = {"content_type": "application/json"}
AT = {"a2a_version": "1.0"}


@pytest.mark.parametrize(
    "media_type", ["text/plain", "application/xml", "application/x-www-form-urlencoded", "application/jsonp"]
)
@pytest.mark.parametrize("version", ["1.0", "", "99.0"])
def test_the_type_of_a_body_comes_before_its_version_and_itself(
    handler: Handler, media_type: str, version: str
) -> None:
    headers = {"content_type": media_type, "a2a_version": version}

    over_rpc = ask(handler, "POST", "/rpc", b"{nonsense", **headers)
    over_rest = ask(handler, "POST", "/message:send", b"{nonsense", **headers)
    over_old = ask(handler, "POST", "/v1/message:send", b"{nonsense", **headers)

    error = over_rpc.json()["error"]
    assert (over_rpc.status_code, error["code"], error["data"][0]["reason"]) == (
        200,
        -32005,
        "CONTENT_TYPE_NOT_SUPPORTED",
    )
    error = over_rest.json()["error"]
    assert (over_rest.status_code, error["status"]) == (400, "INVALID_ARGUMENT")
    assert error["details"][0]["reason"] == "CONTENT_TYPE_NOT_SUPPORTED"
    assert (over_old.status_code, over_old.json()["code"]) == (415, -32005)
    assert handler.asked == []


@pytest.mark.parametrize(
    "media_type", ["application/json", "application/a2a+json", "Application/JSON; charset=utf-8", ""]
)
def test_json_is_taken_under_each_of_its_names(handler: Handler, media_type: str) -> None:
    headers = {"content_type": media_type} if media_type else {}

    assert ask(handler, "POST", "/message:send", SEND, a2a_version="1.0", **headers).status_code == 200


@pytest.mark.parametrize(
    ("headers", "query", "version"),
    [
        ({"a2a_version": "1.0"}, "", "1.0"),
        ({"a2a_version": "1.0.3"}, "", "1.0"),
        ({}, "?A2A-Version=1.0", "1.0"),
        ({"a2a_version": ""}, "?A2A-Version=1.0", "1.0"),
        ({"a2a_version": "0.3"}, "", "0.3"),
        ({}, "", "0.3"),
        ({}, "?A2A-Version=0.3", "0.3"),
    ],
)
def test_each_version_is_served_wherever_it_is_said(
    handler: Handler, headers: dict[str, str], query: str, version: str
) -> None:
    new, old = ("SendMessage", SEND), ("message/send", SEND_0_3)
    right, wrong = (new, old) if version == "1.0" else (old, new)

    answered = rpc(handler, *right, path=f"/rpc{query}", **headers)
    refused = rpc(handler, *wrong, path=f"/rpc{query}", **headers)
    over_rest = ask(handler, "POST", f"/message:send{query}", SEND, **JSON, **headers)
    over_old = ask(handler, "POST", f"/v1/message:send{query}", {}, **JSON, **headers)

    assert "result" in answered
    assert (refused["error"]["code"], refused["id"]) == (-32009, 1)
    assert refused["error"]["data"][0]["metadata"] == {"served": "1.0, 0.3"}
    assert over_rest.status_code == (200 if version == "1.0" else 400)
    assert over_old.status_code == (501 if version == "1.0" else 422)
    assert set(handler.asked) == {version}


@pytest.mark.parametrize("version", ["1.7", "2.0", "0.2", "abc", "1.0,0.3"])
def test_an_unknown_version_is_refused_before_the_body_is_read(handler: Handler, version: str) -> None:
    over_rpc = rpc(handler, "SendMessage", {"message": 7}, a2a_version=version)
    unknown = rpc(handler, "NoSuchMethod", {}, a2a_version=version)
    over_rest = ask(handler, "POST", "/message:send", {"message": 7}, **JSON, a2a_version=version)

    assert over_rpc["error"]["code"] == unknown["error"]["code"] == -32009
    assert over_rest.json()["error"]["details"][0]["reason"] == "VERSION_NOT_SUPPORTED"


@pytest.mark.parametrize(
    ("body", "code", "call_id"),
    [
        (b"{nonsense", -32700, None),
        (b"\xff", -32700, None),
        (b"[" * 200 + b"]" * 200, -32700, None),
        (b'{"jsonrpc": "2.0", "id": "\\ud800", "method": "GetTask", "params": {}}', -32700, None),
        (b"[]", -32600, None),
        (b'{"jsonrpc": "2.0", "id": 5, "method": []}', -32600, 5),
        (b'{"jsonrpc": "2.0", "id": {}, "method": {}}', -32600, None),
        (b'{"jsonrpc": "2.0", "id": 3, "method": "NoSuchMethod"}', -32601, 3),
        (b'{"jsonrpc": "1.0", "id": "x", "method": "GetTask"}', -32600, "x"),
        (b'{"jsonrpc": "2.0", "id": 4, "method": "GetTask", "params": {"id": 7}}', -32602, 4),
        (b'{"jsonrpc": "2.0", "id": 4, "method": "ListTasks", "params": {"status": "TASK_STATE_ODD"}}', -32602, 4),
    ],
)
def test_what_is_no_call_has_a_code_an_id_and_details(handler: Handler, body: bytes, code: int, call_id: Any) -> None:
    said = ask(handler, "POST", "/rpc", body, **JSON, a2a_version="1.0")

    assert said.status_code == 200
    answer = said.json()
    assert (answer["error"]["code"], answer["id"]) == (code, call_id)
    assert answer["error"]["data"][0]["@type"] == "type.googleapis.com/google.rpc.ErrorInfo"
    assert handler.asked == []


def test_parameters_of_a_wrong_kind_are_invalid_and_no_json_is_an_invalid_request(handler: Handler) -> None:
    wrong = ask(handler, "POST", "/message:send", {"message": 7}, **JSON, **AT).json()["error"]
    broken = ask(handler, "POST", "/message:send", b"{nonsense", **JSON, **AT).json()["error"]

    assert (wrong["code"], wrong["details"][0]["reason"]) == (400, "INVALID_PARAMS")
    assert wrong["details"][1]["@type"] == "type.googleapis.com/google.rpc.BadRequest"
    assert [violation["field"] for violation in wrong["details"][1]["fieldViolations"]] == ["message"]
    assert (broken["code"], broken["details"][0]["reason"]) == (400, "INVALID_REQUEST")


@pytest.mark.parametrize(
    ("state", "status"), [("TASK_STATE_WORKING", 200), ("", 200), ("ODD", 400), ("2", 200), ("²", 400)]
)
def test_tasks_are_listed_by_states_that_exist(handler: Handler, state: str, status: int) -> None:
    said = ask(handler, "GET", f"/tasks?status={state}", **AT)

    assert said.status_code == status
    assert len(handler.asked) == (status == 200)


def test_extensions_that_took_effect_are_named_in_the_answer(handler: Handler) -> None:
    body = json.loads(json.dumps(SEND).replace("hi", "extend"))
    old = json.loads(json.dumps(SEND_0_3).replace("hi", "extend"))

    for path in ("/message:send", "/message:stream"):
        assert ask(handler, "POST", path, body, **JSON, **AT).headers["a2a-extensions"] == "urn:a, urn:b"
    call = {"jsonrpc": "2.0", "id": 1, "method": "SendMessage", "params": body}
    assert ask(handler, "POST", "/rpc", call, **JSON, **AT).headers["a2a-extensions"] == "urn:a, urn:b"
    call = {"jsonrpc": "2.0", "id": 1, "method": "message/send", "params": old}
    assert ask(handler, "POST", "/rpc", call, **JSON).headers["x-a2a-extensions"] == "urn:a, urn:b"
    assert "a2a-extensions" not in ask(handler, "POST", "/message:send", SEND, **JSON, **AT).headers
