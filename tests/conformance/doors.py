"""The abstract operations of the suite over each binding, without the help of any client library.

The suite's names are older than the final protocol in two places, and they are mapped here: push configurations are
*created* and *listed* under the names of 1.0 with flat fields, and what a step puts beside the message (`taskId`,
`contextId`) belongs into it. A message gets an id where a step leaves it out: 4.1.4 requires one.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode
from uuid import uuid4

import grpc
import httpx
from a2a.types import a2a_pb2 as pb
from a2a.types import a2a_pb2_grpc
from a2a.utils.errors import A2A_REASON_TO_ERROR, JSON_RPC_ERROR_CODE_MAP
from a2a.utils.grpc_status import status_from_call
from google.protobuf.json_format import MessageToDict, ParseDict
from google.rpc import error_details_pb2
from tests.flows.service import NO_ROOTS

CARD_PATH = "/.well-known/agent-card.json"
METHODS = {
    "send_message": "SendMessage",
    "send_streaming_message": "SendStreamingMessage",
    "get_task": "GetTask",
    "list_tasks": "ListTasks",
    "cancel_task": "CancelTask",
    "subscribe_to_task": "SubscribeToTask",
    "set_push_notification_config": "CreateTaskPushNotificationConfig",
    "get_push_notification_config": "GetTaskPushNotificationConfig",
    "list_push_notification_configs": "ListTaskPushNotificationConfigs",
    "delete_push_notification_config": "DeleteTaskPushNotificationConfig",
    "get_extended_agent_card": "GetExtendedAgentCard",
}
STREAMING = {"send_streaming_message", "subscribe_to_task"}
_NAMES = {code: kind.__name__ for kind, code in JSON_RPC_ERROR_CODE_MAP.items()}


@dataclass
class Outcome:
    """What came back.

    Attributes:
        body: the result as the suite sees it: without a JSON-RPC envelope for an operation, whole for a raw request.
        error: `name`, `message` and `data` of a refusal, else None.
        status: the HTTP status; 200 over gRPC, where there is none.
        events: what a stream brought, unwrapped; `raw_events` as they were.
    """

    body: Any = None
    error: dict[str, Any] | None = None
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    events: list[dict[str, Any]] = field(default_factory=list)
    raw_events: list[dict[str, Any]] = field(default_factory=list)


@dataclass(frozen=True)
class Address:
    """Where an agent is called.

    Attributes:
        url: where JSON-RPC is posted to, and what HTTP+JSON paths are put behind.
        grpc: `host:port` of gRPC.
        tenant: what selects the agent over gRPC; empty where it has the port to itself.
        key: the bearer token, if one is needed.
    """

    url: str
    grpc: str = ""
    tenant: str = ""
    key: str = ""

    def headers(self, key: str | None = None) -> dict[str, str]:
        """Return what every request carries; `key` takes the place of the usual one."""
        shown = self.key if key is None else key
        return {"A2A-Version": "1.0"} | ({"Authorization": f"Bearer {shown}"} if shown else {})


class Door:
    """One binding at one address."""

    def __init__(self, address: Address, *, timeout_s: float = 30.0) -> None:
        self.address = address
        self.http = httpx.Client(timeout=timeout_s, trust_env=False, verify=NO_ROOTS)

    def close(self) -> None:
        """Let go of the connections."""
        self.http.close()

    def call(self, operation: str, params: dict[str, Any], *, key: str | None = None) -> Outcome:
        """Do one operation."""
        if operation == "get_agent_card":
            if not params.get("extended"):
                return self.raw("GET", CARD_PATH, key=key)
            operation, params = "get_extended_agent_card", {}
        return self._call(operation, final_params(operation, params), key)

    def _call(self, operation: str, params: dict[str, Any], key: str | None) -> Outcome:
        raise NotImplementedError

    def raw(
        self,
        method: str,
        path: str,
        *,
        headers: dict[str, str] | None = None,
        content: bytes | None = None,
        key: str | None = None,
    ) -> Outcome:
        """Make one HTTP request as it is written; the key is added, unless the request has one or none is to be."""
        mine = {name: value for name, value in self.address.headers(key).items() if name == "Authorization"}
        sent = mine | ({"A2A-Version": "1.0"} if headers is None else headers)
        where = self.address.url if path == "/" else self.address.url + path
        return self._made(method, where, headers=sent, content=content)

    def _made(self, method: str, url: str, **words: Any) -> Outcome:
        with self.http.stream(method, url, **words) as response:
            outcome = Outcome(status=response.status_code, headers=dict(response.headers))
            if response.headers.get("content-type", "").startswith("text/event-stream"):
                outcome.raw_events = list(server_sent(response.iter_lines()))
            else:
                outcome.body = _parsed(response.read())
        return outcome


class JsonRpc(Door):
    """JSON-RPC over HTTP, section 9."""

    def _call(self, operation: str, params: dict[str, Any], key: str | None) -> Outcome:
        body = {"jsonrpc": "2.0", "id": str(uuid4()), "method": METHODS[operation], "params": params}
        made = self._made("POST", self.address.url, headers=self.address.headers(key), json=body)
        for event in made.raw_events:
            assert event["id"] == body["id"], "an event of another request"
            _sort(event, made)
        if isinstance(made.body, dict) and "jsonrpc" in made.body:
            assert made.body["id"] == body["id"], "an answer to another request"
            answer, made.body = made.body, None
            made.body = answer.get("result")
            made.error = _rpc_error(answer["error"]) if "error" in answer else None
        elif made.status >= 400:
            made.error = {"name": f"HTTP {made.status}", "message": str(made.body), "data": made.body}
        return made


class Rest(Door):
    """HTTP+JSON, section 11."""

    def _call(self, operation: str, params: dict[str, Any], key: str | None) -> Outcome:
        method, path, body = _rest_request(operation, dict(params))
        words: dict[str, Any] = {"headers": self.address.headers(key)}
        made = self._made(method, self.address.url + path, **words, **({} if body is None else {"json": body}))
        for event in made.raw_events:
            _sort({"error": event["error"]} if "error" in event else {"result": event}, made)
        if made.status >= 400:
            made.error, made.body = _rest_error(made.body, made.status), None
        return made


class Grpc(Door):
    """gRPC, section 10."""

    def __init__(self, address: Address, *, timeout_s: float = 30.0) -> None:
        super().__init__(address, timeout_s=timeout_s)
        self._timeout_s = timeout_s
        self._channel = grpc.insecure_channel(address.grpc)
        self._stub: Any = a2a_pb2_grpc.A2AServiceStub(self._channel)  # type: ignore[no-untyped-call]

    def close(self) -> None:
        """Let go of the connections."""
        super().close()
        self._channel.close()

    def _call(self, operation: str, params: dict[str, Any], key: str | None) -> Outcome:
        method = METHODS[operation]
        wanted = pb.DESCRIPTOR.services_by_name["A2AService"].methods_by_name[method].input_type
        request = ParseDict({"tenant": self.address.tenant, **params}, getattr(pb, wanted.name)())
        metadata = [(name.lower(), value) for name, value in self.address.headers(key).items()]
        made = Outcome()
        try:
            answer = getattr(self._stub, method)(request, timeout=self._timeout_s, metadata=metadata)
            if operation in STREAMING:
                for event in answer:
                    _sort({"result": MessageToDict(event)}, made)
            else:
                made.body = MessageToDict(answer)
        except grpc.RpcError as error:
            made.error = _grpc_error(error)
        return made


def final_params(operation: str, params: dict[str, Any]) -> dict[str, Any]:
    """Return a step's parameters in the words of the final protocol."""
    if operation in ("send_message", "send_streaming_message"):
        return final_send(params)
    if operation == "set_push_notification_config":
        return {"taskId": params["taskId"], **params["pushNotificationConfig"]}
    return params


def final_send(params: dict[str, Any]) -> dict[str, Any]:
    """Return a send request with ids where they belong and an id on its message."""
    rest = {name: value for name, value in params.items() if name not in ("taskId", "contextId", "message")}
    named = {name: params[name] for name in ("taskId", "contextId") if name in params}
    return {**rest, "message": {"messageId": str(uuid4()), **named, **params["message"]}}


def server_sent(lines: Iterator[str]) -> Iterator[dict[str, Any]]:
    """Return the events of a stream: comments left out, lines of one event joined."""
    data: list[str] = []
    for line in lines:
        if line.startswith("data:"):
            data.append(line[5:].strip())
        elif not line and data:
            yield json.loads("\n".join(data))
            data = []


def _rest_request(operation: str, params: dict[str, Any]) -> tuple[str, str, Any]:
    if operation in ("send_message", "send_streaming_message"):
        return "POST", "/message:send" if operation == "send_message" else "/message:stream", params
    if operation == "get_extended_agent_card":
        return "GET", "/extendedAgentCard", None
    if operation == "list_tasks":
        return "GET", f"/tasks?{_query(params)}", None
    if "push" in operation:
        return _rest_push(operation, params)
    task = params.pop("id")
    if operation == "get_task":
        return "GET", f"/tasks/{task}?{_query(params)}", None
    return "POST", f"/tasks/{task}:{'cancel' if operation == 'cancel_task' else 'subscribe'}", params


def _rest_push(operation: str, params: dict[str, Any]) -> tuple[str, str, Any]:
    base = f"/tasks/{params.pop('taskId')}/pushNotificationConfigs"
    if operation == "set_push_notification_config":
        return "POST", base, params
    if operation == "list_push_notification_configs":
        return "GET", base, None
    return "GET" if operation.startswith("get") else "DELETE", f"{base}/{params['id']}", None


def _query(params: dict[str, Any]) -> str:
    return urlencode({name: str(value).lower() if value is False else value for name, value in params.items()})


def _sort(event: dict[str, Any], made: Outcome) -> None:
    if "error" in event:
        made.error = _rpc_error(event["error"])
    else:
        made.events.append(event["result"])


def _rpc_error(error: dict[str, Any]) -> dict[str, Any]:
    data = error.get("data")
    name = _NAMES.get(error.get("code", 0)) or _named(data) or str(error.get("code"))
    return {"name": name, "message": error.get("message"), "data": data}


def _rest_error(body: Any, status: int) -> dict[str, Any]:
    error = body.get("error") if isinstance(body, dict) else None
    if not isinstance(error, dict):
        return {"name": f"HTTP {status}", "message": str(body), "data": body}
    assert error["code"] == status, "the status in the body is another"
    return {
        "name": _named(error.get("details")) or error["status"],
        "message": error["message"],
        "data": error.get("details"),
    }


def _named(details: Any) -> str | None:
    """Return the error's name from the reason that `google.rpc.ErrorInfo` gives."""
    for detail in details if isinstance(details, list) else ():
        if str(detail.get("@type", "")).endswith("google.rpc.ErrorInfo"):
            kind = A2A_REASON_TO_ERROR.get(detail["reason"])
            return kind.__name__ if kind else str(detail["reason"])
    return None


def _grpc_error(error: Any) -> dict[str, Any]:
    info = error_details_pb2.ErrorInfo()
    status = status_from_call(error)
    for detail in status.details if status else ():
        if detail.Unpack(info):
            break
    kind = A2A_REASON_TO_ERROR.get(info.reason)
    name = kind.__name__ if kind else error.code().name
    return {"name": name, "message": error.details(), "data": [{"status": error.code().name, "reason": info.reason}]}


def _parsed(content: bytes) -> Any:
    try:
        return json.loads(content) if content else None
    except ValueError:
        return content.decode("utf-8", "replace")
