"""Cards of a real kernel: found, verified, kept, replaced; seen by each caller as far as it may see."""

import asyncio
import json
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import httpx
import jwt
import pytest
import rfc8785
from a2a.client import ClientFactory
from a2a.client.card_resolver import A2ACardResolver, parse_agent_card
from a2a.types import a2a_pb2 as pb
from a2a.types.a2a_pb2_grpc import A2AServiceStub
from a2a.utils.signing import SignatureVerificationError, create_signature_verifier
from google.protobuf.json_format import ParseDict
from jwt.utils import base64url_decode, base64url_encode
from tests.card_server import CardServer, card_of
from tests.flows.kernel import Kernel
from tests.signing import Owner

ROOT = Path(__file__).parents[2]
CARD = "/.well-known/agent-card.json"
KEYS = "/.well-known/jwks.json"
CATALOG = "/.well-known/ai-catalog.json"
V1 = {"A2A-Version": "1.0"}


@pytest.fixture
def server() -> Iterator[CardServer]:
    with CardServer() as serving:
        yield serving


def verifier(kernel: Kernel) -> Callable[[pb.AgentCard], None]:
    """Return a verifier that looks for keys where the signature says, at the kernel and nowhere else."""

    def find_key(kid: str | None, jku: str | None) -> jwt.PyJWK:
        assert jku == f"{kernel.url}{KEYS}"
        keys = httpx.get(jku, trust_env=False).json()
        return next(jwt.PyJWK(key) for key in keys["keys"] if key["kid"] == kid)

    return create_signature_verifier(find_key, ["ES256"])


def verify_as_it_came(kernel: Kernel, body: dict[str, Any]) -> list[bool]:
    """Say for each signature on a card whether it fits the JSON as it came, verified with PyJWT."""
    keys = {key["kid"]: jwt.PyJWK(key) for key in kernel.call("GET", KEYS, key="").json()["keys"]}
    content = rfc8785.dumps({name: value for name, value in body.items() if name != "signatures"})
    payload = base64url_encode(content).decode()
    results = []
    for signature in body["signatures"]:
        header = json.loads(base64url_decode(signature["protected"]))
        assert header.keys() == {"alg", "typ", "kid", "jku"}
        try:
            jwt.PyJWS().decode(
                f"{signature['protected']}.{payload}.{signature['signature']}", keys[header["kid"]], ["ES256"]
            )
            results.append(True)
        except jwt.InvalidSignatureError:
            results.append(False)
    return results


@pytest.mark.parametrize("path", [CARD, "/.well-known/agent.json", f"/a2a/agents/echo{CARD}"])
def test_what_is_served_verifies_where_its_signature_says(kernel: Kernel, path: str) -> None:
    async def fetch() -> pb.AgentCard:
        async with kernel.async_client() as http:
            return await A2ACardResolver(http, kernel.url, path).get_agent_card(signature_verifier=verifier(kernel))

    card = asyncio.run(fetch())

    assert ClientFactory().create(card) is not None
    assert any(verify_as_it_came(kernel, kernel.call("GET", path).json()))


def test_a_card_that_was_changed_on_the_way_does_not_verify(kernel: Kernel) -> None:
    body = kernel.call("GET", CARD).json()
    body["supportedInterfaces"][0]["url"] = "https://evil.example"

    assert not any(verify_as_it_came(kernel, body))
    with pytest.raises(SignatureVerificationError):
        verifier(kernel)(parse_agent_card(body))


def test_addresses_come_from_the_settings_whatever_the_host_header_says(new_kernel: Callable[..., Kernel]) -> None:
    kernel = new_kernel(public_url="https://agents.example/here", grpc_public_address="grpc.example:443").start()

    for path in (CARD, f"/a2a/agents/echo{CARD}", CATALOG):
        response = kernel.call("GET", path, headers={"Host": "evil.example", "X-Forwarded-Host": "evil.example"})
        assert "evil.example" not in response.text
        assert "https://agents.example/here" in response.text
    urls = {i["url"] for i in kernel.call("GET", CARD).json()["supportedInterfaces"]}
    assert urls == {"https://agents.example/here/a2a", "grpc.example:443"}


def test_without_a_grpc_door_the_card_names_none(new_kernel: Callable[..., Kernel]) -> None:
    kernel = new_kernel(grpc="false").start()

    assert "GRPC" not in kernel.call("GET", CARD).text


def test_keys_are_replaced_while_the_kernel_runs_and_old_cards_still_verify(new_kernel: Callable[..., Kernel]) -> None:
    kernel = new_kernel().start()
    old = kernel.call("GET", CARD)

    rotated = kernel.done("POST", "/api/card-keys/rotate", {"overlap_s": 3600})

    new = kernel.call("GET", CARD, headers={"If-None-Match": old.headers["etag"]})
    assert new.status_code == 200
    for body in (old.json(), new.json()):
        assert any(verify_as_it_came(kernel, body))
    kids = [
        json.loads(base64url_decode(body["signatures"][0]["protected"]))["kid"] for body in (old.json(), new.json())
    ]
    assert [key["id"] for key in rotated["items"] if key["use"] == "card"] == [kids[1], kids[0]]
    assert kernel.done("GET", "/api/audit?limit=20&action=card_key.rotated")["items"][0]["facts"]["new"] == kids[1]

    kernel.kill()
    kernel.start()
    assert any(verify_as_it_came(kernel, old.json()))
    assert [key["id"] for key in kernel.done("GET", "/api/card-keys")["items"]] == [k["id"] for k in rotated["items"]]


def test_a_key_without_overlap_is_withdrawn_at_once(new_kernel: Callable[..., Kernel]) -> None:
    kernel = new_kernel().start()
    old = kernel.call("GET", KEYS).json()["keys"]

    kernel.done("POST", "/api/card-keys/rotate", {"overlap_s": 0})

    now = kernel.call("GET", KEYS).json()["keys"]
    assert not {key["kid"] for key in old} & {key["kid"] for key in now}
    assert len(now) == 2


@pytest.mark.parametrize("role", ["auditor", "viewer", "service"])
def test_only_operators_replace_keys(kernel: Kernel, role: str) -> None:
    before = kernel.call("GET", KEYS).content

    assert kernel.call("POST", "/api/card-keys/rotate", {}, key=kernel.create_key(role, name=role)).status_code == 403
    assert kernel.call("GET", KEYS).content == before


def test_operators_of_another_workspace_do_not_replace_keys(kernel: Kernel) -> None:
    made = kernel.done("POST", "/api/workspaces", {"name": "tenant"})

    response = kernel.call("POST", "/api/card-keys/rotate", {}, key=made["operator_key"]["secret"])

    assert response.status_code == 403


def test_the_guide_verifies_a_card_and_refuses_a_foreign_one(kernel: Kernel) -> None:
    guide = (ROOT / "docs/how-to/verify-an-agent-card.md").read_text("utf-8")
    code = textwrap.dedent(guide.partition("```python\n")[2].partition("   ```")[0])
    here = code.replace("https://agents.example", kernel.url)
    foreign = here.replace("/.well-known/jwks.json", "/elsewhere/jwks.json")

    def run(program: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)

    assert run(here).stdout == "MemRoOS\n"
    assert "InvalidSignaturesError" in run(foreign).stderr


# -- remote agents -----------------------------------------------------------------------------------------------------


def test_a_remote_agents_signed_card_is_served_as_it_came_beside_ours(
    new_kernel: Callable[..., Kernel], server: CardServer
) -> None:
    owner = Owner()
    server.files["/keys"] = owner.key_set
    signed = owner.sign(card_of(server.url), jku=f"{server.url}/keys")
    body = json.dumps(signed, indent=3, ensure_ascii=False).encode()
    server.serve(body)
    kernel = new_kernel(outbound_allow="127.0.0.1").start()
    kernel.done("POST", "/api/remote-agents", {"card_url": server.url, "name": "far", "interval_s": 86_400})

    theirs = kernel.call("GET", "/a2a/agents/far/upstream-card.json")
    ours = kernel.call("GET", f"/a2a/agents/far{CARD}")

    assert theirs.content == body
    assert theirs.headers["last-modified"]
    again = {"If-None-Match": theirs.headers["etag"]}
    assert kernel.call("GET", "/a2a/agents/far/upstream-card.json", headers=again).status_code == 304
    assert kernel.call("GET", "/a2a/agents/far/upstream-card.json", key="").status_code == 401
    assert server.url not in ours.text
    assert any(verify_as_it_came(kernel, ours.json()))

    server.serve(json.dumps(owner.sign(card_of(server.url, name="Renamed"), jku=f"{server.url}/keys")).encode())
    kernel.done("POST", "/api/remote-agents/far/refresh")
    assert "Renamed" in kernel.call("GET", "/a2a/agents/far/upstream-card.json", headers=again).text


# -- extended cards ----------------------------------------------------------------------------------------------------


def extended(kernel: Kernel, binding: str, path: str, key: str) -> Any:
    """Return the extended card as a binding gives it, as JSON of A2A 1.0."""
    if binding == "JSONRPC":
        call = {"jsonrpc": "2.0", "id": 1, "method": "GetExtendedAgentCard", "params": {}}
        return kernel.done("POST", path, call, key=key, headers=V1)["result"]
    return kernel.done("GET", f"{path}/extendedAgentCard", key=key, headers=V1)


@pytest.mark.parametrize("binding", ["JSONRPC", "HTTP+JSON"])
@pytest.mark.parametrize("path", ["/a2a", "/a2a/agents/echo"])
def test_an_extended_card_verifies(kernel: Kernel, binding: str, path: str) -> None:
    body = extended(kernel, binding, path, kernel.operator_key)

    verifier(kernel)(ParseDict(body, pb.AgentCard()))
    assert any(verify_as_it_came(kernel, body))


def test_an_extended_card_over_grpc_verifies(kernel: Kernel) -> None:
    metadata = [("authorization", f"Bearer {kernel.operator_key}"), ("a2a-version", "1.0")]
    with grpc.insecure_channel(kernel.grpc_address) as channel:
        card = A2AServiceStub(channel).GetExtendedAgentCard(  # type: ignore[no-untyped-call]
            pb.GetExtendedAgentCardRequest(tenant="echo"), metadata=metadata
        )

    assert card.name == "Echo"
    verifier(kernel)(card)


def test_an_extended_card_for_old_clients_verifies_as_it_came(kernel: Kernel) -> None:
    call = {"jsonrpc": "2.0", "id": 1, "method": "agent/getAuthenticatedExtendedCard"}

    body = kernel.done("POST", "/a2a", call)["result"]

    assert body["url"] == f"{kernel.url}/a2a"
    assert any(verify_as_it_came(kernel, body))


def test_the_kernels_extended_card_shows_what_the_caller_may_see(kernel: Kernel) -> None:
    tenant = kernel.done("POST", "/api/workspaces", {"name": "extended"})["operator_key"]["secret"]
    kernel.create_agent("mine", skills=("mine-alone",))
    kernel.create_agent("theirs", skills=("theirs-alone",), key=tenant)

    def skills(key: str) -> set[str]:
        return {skill["id"] for skill in extended(kernel, "HTTP+JSON", "/a2a", key)["skills"]}

    assert {"route", "mine-alone"} <= skills(kernel.operator_key)
    assert "theirs-alone" not in skills(kernel.operator_key)
    assert skills(tenant) == {"route", "theirs-alone"}
    assert {skill["id"] for skill in kernel.call("GET", CARD, key="").json()["skills"]} == {"route"}
    assert kernel.call("GET", "/a2a/extendedAgentCard", key="", headers=V1).status_code == 401


def test_an_agent_that_offers_no_extended_card_has_none(kernel: Kernel) -> None:
    kernel.create_agent("plain", capabilities={"extended_agent_card": False})

    response = kernel.call("GET", "/a2a/agents/plain/extendedAgentCard", headers=V1)

    assert (response.status_code, response.json()["error"]["details"][0]["reason"]) == (400, "UNSUPPORTED_OPERATION")
    assert kernel.call("GET", f"/a2a/agents/plain{CARD}").json()["capabilities"]["extendedAgentCard"] is False


# -- the catalogue -----------------------------------------------------------------------------------------------------


def test_the_catalogue_shows_each_caller_what_it_may_see(kernel: Kernel) -> None:
    tenant = kernel.done("POST", "/api/workspaces", {"name": "catalogue"})["operator_key"]["secret"]
    agent = kernel.create_agent("seen", skills=("painting",))
    kernel.create_agent("hidden", skills=("painting",), key=tenant)

    def found(key: str) -> set[str]:
        wish = {"query": {"text": "painting"}}
        return {one["displayName"] for one in kernel.done("POST", "/api/catalog/search", wish, key=key)["results"]}

    assert found(agent.key) == found(kernel.operator_key) == {"seen"}
    assert found(tenant) == {"hidden"}
    assert "seen" in kernel.call("GET", CATALOG, key=agent.key).text
    assert "seen" not in kernel.call("GET", CATALOG, key="").text
    assert kernel.call("GET", CATALOG, key="mr_wrong").status_code == 401
    assert kernel.call("POST", "/api/catalog/search", {"query": {"text": "x"}}, key="").status_code == 401


def test_the_catalogue_leads_to_cards_and_to_the_search(kernel: Kernel) -> None:
    agent = kernel.create_agent("reached", skills=("reaching",))

    entries = kernel.call("GET", CATALOG, key=agent.key).json()["entries"]

    for entry in entries:
        if entry["type"] == "application/a2a-agent-card+json":
            card = kernel.call("GET", entry["url"].removeprefix(kernel.url), key=agent.key)
            assert card.json()["name"] == entry["displayName"]
        else:
            listing = kernel.call("GET", f"{entry['url'].removeprefix(kernel.url)}/agents", key=agent.key)
            assert "reached" in listing.text


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"query": {}},
        {"query": {"text": ""}},
        {"query": {"text": "a"}, "pageSize": 0},
        {"query": {"text": "a"}, "x": 1},
    ],
)
def test_a_search_that_is_none_is_refused(kernel: Kernel, body: Any) -> None:
    assert kernel.call("POST", "/api/catalog/search", body).status_code in {400, 422}


def test_a_listing_is_paged(kernel: Kernel) -> None:
    for n in range(3):
        kernel.create_agent(f"paged-{n}", skills=("paged",))
    query = "filter=capabilities%20%3D%20'paged'&orderBy=identifier%20DESC&pageSize=2"

    first = kernel.done("GET", f"/api/catalog/agents?{query}")
    second = kernel.done("GET", f"/api/catalog/agents?{query}&pageToken={first['pageToken']}")

    names = [entry["displayName"] for entry in first["items"] + second["items"]]
    assert names == ["paged-2", "paged-1", "paged-0"]
    assert (first["total"], "pageToken" in second) == (3, False)
