"""The calls about remote agents against a real server."""

import msgspec
from tests.memroos_client.scripted import Answer, ScriptedKernel, json

from memroos_client import Client
from memroos_client.calls import remote_agents
from memroos_contracts.registry import Credential, Health, NewRemoteAgent, RemoteAgentChange

KEY = "mr_operator_test"


def test_a_card_comes_back_as_its_owner_wrote_it() -> None:
    body = b'{"name":  "Watcher",\n "x": 1.0}'
    with ScriptedKernel().serving() as kernel, Client(kernel.url, KEY) as client:
        kernel.answers(Answer(200, body, {"content-type": "application/json"}))
        assert bytes(client.run(remote_agents.card("watcher", 3))) == body
    assert kernel.requests[0].target == "/api/remote-agents/watcher/cards/3"


def test_registering_is_recognised_when_it_is_repeated() -> None:
    call = remote_agents.add(NewRemoteAgent(card_url="https://a.example", credential=Credential(value="v")))

    assert call.idempotency_key
    assert msgspec.json.decode(msgspec.json.encode(call.body))["credential"]["value"] == "v"
    assert "'v'" not in repr(call.idempotency_key)


def test_a_change_says_only_what_changes_and_for_which_version() -> None:
    change = RemoteAgentChange(credential=None)
    call = remote_agents.update("a b/c", change, version=4)

    assert (call.path, call.headers["If-Match"]) == ("/api/remote-agents/a%20b%2Fc", '"4"')
    assert msgspec.json.encode(call.body) == b'{"credential":null}'
    assert remote_agents.update("x", change).headers["If-Match"] == "*"


def test_a_listing_goes_through_its_pages() -> None:
    with ScriptedKernel().serving() as kernel, Client(kernel.url, KEY) as client:
        kernel.answers(json({"items": [], "next_cursor": "c1"}), json({"items": [], "next_cursor": None}))
        assert list(client.pages(remote_agents.listing(health=Health.FAILING))) == []
    assert [request.target for request in kernel.requests] == [
        "/api/remote-agents?health=failing",
        "/api/remote-agents?health=failing&cursor=c1",
    ]
