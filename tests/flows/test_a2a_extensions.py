"""Extensions that an agent behind the kernel declares: demanded, asked for, and told at every door."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest
from a2a.types import a2a_pb2 as pb
from a2a.types import a2a_pb2_grpc
from google.protobuf.json_format import MessageToDict
from tests.card_server import WELL_KNOWN, CardServer, card_of
from tests.flows.a2a_grpc_door import details_of
from tests.flows.kernel import Kernel

from memroos_kit.ids import new_id

DEMANDED = "https://extensions.example/demanded"
KNOWN = "https://extensions.example/known"
AT = {"A2A-Version": "1.0"}
ENDPOINT = "/a2a/agents/far"


@pytest.fixture(scope="module")
def kernel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kernel]:
    """A kernel with an agent behind it whose card demands an extension and knows another."""
    folder: Path = tmp_path_factory.mktemp("kernel")
    with CardServer() as server, Kernel(folder, settings={"outbound_allow": "127.0.0.1"}) as running:
        extensions = [{"uri": DEMANDED, "required": True}, {"uri": KNOWN}]
        capabilities = {"streaming": True, "extensions": extensions}
        server.files[WELL_KNOWN] = card_of(server.url, capabilities=capabilities)
        running.done("POST", "/api/remote-agents", {"card_url": server.url, "name": "far"})
        running.done("POST", "/api/agents/far/activate", {})
        yield running


def request() -> dict[str, Any]:
    message = {"messageId": new_id("msg"), "role": "ROLE_USER", "parts": [{"text": "hi"}]}
    return {"message": message, "configuration": {"returnImmediately": True}}


def over_rpc(kernel: Kernel, **headers: str) -> httpx.Response:
    body = {"jsonrpc": "2.0", "id": 1, "method": "SendMessage", "params": request()}
    return kernel.call("POST", ENDPOINT, body, headers=AT | headers)


def over_rest(kernel: Kernel, **headers: str) -> httpx.Response:
    return kernel.call("POST", f"{ENDPOINT}/message:send", request(), headers=AT | headers)


def over_grpc(kernel: Kernel, extensions: str = "") -> tuple[str, str]:
    """Return the reason of the refusal and the extensions that took effect, either of them empty."""
    said = [("authorization", f"Bearer {kernel.operator_key}"), ("a2a-version", "1.0")]
    said += [("a2a-extensions", extensions)] if extensions else []

    async def call() -> tuple[str, str]:
        async with grpc.aio.insecure_channel(kernel.grpc_address) as channel:
            stub: Any = a2a_pb2_grpc.A2AServiceStub(channel)  # type: ignore[no-untyped-call]
            message = pb.Message(message_id=new_id("msg"), role=pb.ROLE_USER, parts=[pb.Part(text="hi")])
            wish = pb.SendMessageRequest(message=message, tenant="far")
            wish.configuration.return_immediately = True
            sent = stub.SendMessage(wish, metadata=said)
            try:
                answer = await sent
            except grpc.aio.AioRpcError as error:
                return details_of(error)[0].reason, ""
            assert MessageToDict(answer.task.metadata)["memroos"]["agent"] == "far"
            return "", str(dict(await sent.initial_metadata()).get("a2a-extensions", ""))

    return asyncio.run(call())


@pytest.mark.parametrize("asked", ["", KNOWN, "https://extensions.example/unknown"])
def test_an_extension_that_the_agent_demands_has_to_be_asked_for(kernel: Kernel, asked: str) -> None:
    headers = {"A2A-Extensions": asked} if asked else {}

    error = over_rpc(kernel, **headers).json()["error"]
    assert (error["code"], error["data"][0]["reason"]) == (-32008, "EXTENSION_SUPPORT_REQUIRED")
    assert DEMANDED in error["message"]
    refused = over_rest(kernel, **headers)
    assert (refused.status_code, refused.json()["error"]["status"]) == (400, "FAILED_PRECONDITION")
    assert over_grpc(kernel, asked) == ("EXTENSION_SUPPORT_REQUIRED", "")


@pytest.mark.parametrize(
    ("asked", "took_effect"),
    [
        (DEMANDED, DEMANDED),
        (f"{KNOWN}, {DEMANDED}", f"{DEMANDED}, {KNOWN}"),
        (f"{DEMANDED},https://extensions.example/unknown", DEMANDED),
    ],
)
def test_what_took_effect_is_told(kernel: Kernel, asked: str, took_effect: str) -> None:
    headers = {"A2A-Extensions": asked}

    assert over_rpc(kernel, **headers).headers["a2a-extensions"] == took_effect
    assert over_rest(kernel, **headers).headers["a2a-extensions"] == took_effect
    assert over_grpc(kernel, asked) == ("", took_effect)


def test_a_follow_up_at_the_kernels_endpoint_is_held_to_the_agents_card_too(kernel: Kernel) -> None:
    task = over_rest(kernel, **{"A2A-Extensions": DEMANDED}).json()["task"]
    follow_up = request()
    follow_up["message"]["taskId"] = task["id"]

    refused = kernel.call("POST", "/a2a/message:send", follow_up, headers=AT)

    assert refused.json()["error"]["details"][0]["reason"] == "EXTENSION_SUPPORT_REQUIRED"


def test_clients_of_0_3_ask_under_the_old_name_and_are_told_in_old_words(kernel: Kernel) -> None:
    message = {"kind": "message", "messageId": new_id("msg"), "role": "user", "parts": [{"kind": "text", "text": "x"}]}
    params = {"message": message, "configuration": {"blocking": False}}
    body = {"jsonrpc": "2.0", "id": 1, "method": "message/send", "params": params}

    refused = kernel.call("POST", ENDPOINT, body)
    taken = kernel.call("POST", ENDPOINT, body, headers={"X-A2A-Extensions": DEMANDED})

    assert refused.json()["error"]["code"] == -32004
    assert taken.json()["result"]["kind"] == "task"
    assert taken.headers["x-a2a-extensions"] == DEMANDED
