"""Cards carry the configured address, say what the endpoints offer, and are read by clients of both versions."""

import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import msgspec
import pytest
from a2a.client import ClientConfig, ClientFactory
from a2a.client.card_resolver import parse_agent_card
from a2a.compat.v0_3 import types as v0_3
from a2a.types import a2a_pb2 as pb
from tests.memroos.web.a2a.test_signing import by_hand, sdk_verifier

from memroos.web.a2a import Cards
from memroos.web.a2a import cards as cards_module
from memroos.web.a2a.cards import read_card
from memroos.web.a2a.signing import forms_of
from memroos_contracts.identity import DEFAULT_WORKSPACE, AgentId
from memroos_contracts.registry import AgentKind, AgentSkill, AgentState, AgentView, Capabilities, Liveness
from memroos_kit.clock import ManualClock
from memroos_kit.keyset import KeySet

GRPC = "agents.example:7710"
COUNT = AgentSkill(id="count", name="Count", tags=("numbers",), examples=("Count to ten.",))
REQUIRED = {
    "name", "description", "supportedInterfaces", "version", "capabilities", "defaultInputModes", "defaultOutputModes",
    "skills",
}  # fmt: skip
REQUIRED_BY_0_3 = {"url", "preferredTransport", "protocolVersion", "additionalInterfaces", "security"}

UPSTREAM = {
    "name": "Far away",
    "description": "Far away indeed.",
    "version": "9",
    "supportedInterfaces": [
        {"url": "https://secret.example/rpc", "protocolBinding": "JSONRPC", "protocolVersion": "1.0"}
    ],
    "capabilities": {"streaming": True, "extensions": [{"uri": "https://ext.example/v1", "required": True}]},
    "provider": {"organization": "Far", "url": "https://far.example"},
    "documentationUrl": "https://far.example/docs",
    "defaultInputModes": ["image/png"],
    "defaultOutputModes": ["audio/ogg"],
    "securitySchemes": {"secret-sso": {"openIdConnectSecurityScheme": {"openIdConnectUrl": "https://sso.example"}}},
    "securityRequirements": [{"schemes": {"secret-sso": {"list": ["admin"]}}}],
    "skills": [],
}


@pytest.fixture
def keyset(tmp_path: Path, clock: ManualClock) -> KeySet:
    return KeySet.ensure(tmp_path / "keys", now=clock.now())


@pytest.fixture
def cards(keyset: KeySet, clock: ManualClock) -> Cards:
    return Cards("https://agents.example/", "1.2.3", keyset, clock, grpc_address=lambda: GRPC)


@pytest.fixture
def agent(clock: ManualClock) -> Callable[..., AgentView]:
    def make(**facts: Any) -> AgentView:
        view = AgentView(
            id=AgentId("agt_1"),
            workspace_id=DEFAULT_WORKSPACE,
            name="worker",
            title="",
            description="",
            kind=AgentKind.REST,
            state=AgentState.ACTIVE,
            state_reason="",
            version=1,
            skills=(),
            endpoint_url="",
            max_concurrency=1,
            labels={},
            liveness=Liveness.LIVE,
            last_seen_at=None,
            status="",
            load=0.0,
            created_at=clock.now(),
            updated_at=clock.now(),
            created_by="operator:key_1",
        )
        return msgspec.structs.replace(view, **facts)

    return make


def interfaces(card: pb.AgentCard) -> list[tuple[str, str, str, str]]:
    return [(i.protocol_binding, i.protocol_version, i.url, i.tenant) for i in card.supported_interfaces]


def test_the_kernels_card_names_every_binding_in_both_versions(cards: Cards) -> None:
    url = "https://agents.example/a2a"

    assert interfaces(cards.kernel()) == [
        ("JSONRPC", "1.0", url, ""),
        ("HTTP+JSON", "1.0", url, ""),
        ("GRPC", "1.0", GRPC, ""),
        ("JSONRPC", "0.3", url, ""),
        ("HTTP+JSON", "0.3", url, ""),
        ("GRPC", "0.3", GRPC, ""),
    ]


def test_an_agents_card_names_it_as_tenant_where_the_address_does_not(
    cards: Cards, agent: Callable[..., AgentView]
) -> None:
    url = "https://agents.example/a2a/agents/worker"

    assert interfaces(cards.agent(agent())) == [
        ("JSONRPC", "1.0", url, ""),
        ("HTTP+JSON", "1.0", url, ""),
        ("GRPC", "1.0", GRPC, "worker"),
        ("JSONRPC", "0.3", url, ""),
        ("HTTP+JSON", "0.3", url, ""),
    ]


def test_without_a_grpc_door_cards_name_none(keyset: KeySet, clock: ManualClock) -> None:
    card = Cards("https://agents.example", "1", keyset, clock).kernel()

    assert {i.protocol_binding for i in card.supported_interfaces} == {"JSONRPC", "HTTP+JSON"}


@pytest.mark.parametrize("binding", ["JSONRPC", "HTTP+JSON", "GRPC"])
def test_the_sdks_client_finds_its_way_over_each_binding(cards: Cards, binding: str) -> None:
    card = parse_agent_card(json.loads(cards.serve(cards.kernel()).body))
    config = ClientConfig(supported_protocol_bindings=[binding], grpc_channel_factory=_Channel)  # type: ignore[arg-type]

    assert ClientFactory(config).create(card) is not None


class _Channel:
    """Takes the place of a gRPC channel, and insists on an address that one can be made for."""

    def __init__(self, url: str) -> None:
        assert url == GRPC

    def __getattr__(self, _: str) -> Callable[..., None]:
        return lambda *_, **__: None


def test_the_kernel_offers_everything(cards: Cards) -> None:
    offered = cards.kernel().capabilities

    assert (offered.streaming, offered.push_notifications, offered.extended_agent_card) == (True, True, True)


def test_an_agents_card_says_what_its_endpoint_offers(cards: Cards, agent: Callable[..., AgentView]) -> None:
    off = Capabilities(streaming=False, push_notifications=False, extended_agent_card=False)

    body = json.loads(cards.serve(cards.agent(agent(capabilities=off))).body)

    assert body["capabilities"] == {"streaming": False, "pushNotifications": False, "extendedAgentCard": False}
    assert body.get("supportsAuthenticatedExtendedCard") in {None, False}


def test_an_agents_card_shows_its_skills(cards: Cards, agent: Callable[..., AgentView]) -> None:
    card = cards.agent(agent(title="The Worker", skills=(COUNT,)))

    assert (card.name, card.description, card.version) == ("The Worker", "The Worker", "1.2.3")
    assert [(s.id, s.name, list(s.tags), list(s.examples)) for s in card.skills] == [
        ("count", "Count", ["numbers"], ["Count to ten."])
    ]


def test_one_body_is_read_by_clients_of_both_versions(cards: Cards, agent: Callable[..., AgentView]) -> None:
    card = cards.agent(agent(skills=(COUNT,)))

    body = json.loads(cards.serve(card).body)

    assert body.keys() >= REQUIRED | REQUIRED_BY_0_3
    read = parse_agent_card(json.loads(json.dumps(body)))
    del read.signatures[:]
    assert read == card
    old = v0_3.AgentCard.model_validate(body)
    assert (old.url, old.preferred_transport) == ("https://agents.example/a2a/agents/worker", "JSONRPC")
    assert [(i.transport, i.url) for i in old.additional_interfaces or []] == [("HTTP+JSON", old.url)]
    assert [skill.id for skill in old.skills] == ["count"]
    assert old.security == [{"bearer": []}]


@pytest.mark.parametrize("which", ["kernel", "agent"])
def test_what_goes_out_is_what_was_signed(
    cards: Cards, keyset: KeySet, agent: Callable[..., AgentView], which: str
) -> None:
    card = cards.kernel() if which == "kernel" else cards.agent(agent())

    body = json.loads(cards.serve(card).body)

    sdk_verifier(keyset)(parse_agent_card(json.loads(json.dumps(body))))
    as_it_came = {name: value for name, value in body.items() if name != "signatures"}
    by_hand(keyset.jwks(), body["signatures"][-1], as_it_came)
    of_1_0 = {name: value for name, value in as_it_came.items() if name not in REQUIRED_BY_0_3}
    of_1_0.pop("supportsAuthenticatedExtendedCard")
    scheme = of_1_0["securitySchemes"]["bearer"]
    of_1_0["securitySchemes"] = {"bearer": {"httpAuthSecurityScheme": scheme["httpAuthSecurityScheme"]}}
    by_hand(keyset.jwks(), body["signatures"][0], of_1_0)


def test_a_card_is_signed_once_until_it_changes(cards: Cards, agent: Callable[..., AgentView]) -> None:
    first = cards.serve(cards.agent(agent()))

    assert cards.serve(cards.agent(agent())).body == first.body
    assert cards.serve(cards.agent(agent(title="Another"))).content != first.content


def test_a_new_key_makes_a_new_card(cards: Cards, keyset: KeySet, clock: ManualClock) -> None:
    first = cards.serve(cards.kernel())
    clock.advance(seconds=60)
    keyset.rotate(clock.now())

    second = cards.serve(cards.kernel())

    assert second.content != first.content
    assert (first.changed_at, second.changed_at) == (clock.now() - timedelta(seconds=60), clock.now())


def test_an_agents_card_is_as_old_as_its_last_change(
    cards: Cards, agent: Callable[..., AgentView], clock: ManualClock
) -> None:
    later = clock.now() + timedelta(hours=1)

    assert cards.serve(cards.agent(agent()), later).changed_at == later
    assert cards.serve(cards.agent(agent()), later - timedelta(days=1)).changed_at == clock.now()


def test_the_key_set_has_the_key_that_signed(cards: Cards, keyset: KeySet) -> None:
    assert json.loads(cards.key_set())["keys"][0]["kid"] == keyset.card_key[0]


# -- extended ----------------------------------------------------------------------------------------------------------


def test_the_extended_card_of_the_kernel_shows_what_all_agents_can_do(
    cards: Cards, keyset: KeySet, agent: Callable[..., AgentView]
) -> None:
    other = msgspec.structs.replace(COUNT, tags=("fast",))

    card = cards.extended_kernel([agent(skills=(COUNT,)), agent(name="other", skills=(other,))])

    assert [skill.id for skill in card.skills] == ["route", "count"]
    assert list(card.skills[1].tags) == ["numbers", "fast"]
    assert "worker, other" in card.skills[1].description
    assert [skill.id for skill in cards.kernel().skills] == ["route"]
    sdk_verifier(keyset)(card)


def test_an_extended_card_is_signed_once_until_it_or_the_key_changes(
    cards: Cards, keyset: KeySet, clock: ManualClock, agent: Callable[..., AgentView], monkeypatch: pytest.MonkeyPatch
) -> None:
    forms = Mock(wraps=forms_of)
    monkeypatch.setattr(cards_module, "forms_of", forms)

    for times, agents in ((1, [agent(skills=(COUNT,))]), (1, [agent(skills=(COUNT,))]), (2, [])):
        sdk_verifier(keyset)(cards.extended_kernel(agents))
        assert forms.call_count == times
    keyset.rotate(clock.now())
    sdk_verifier(keyset)(cards.extended_kernel([]))
    assert forms.call_count == 3


def test_an_agents_card_takes_over_what_clients_have_to_know(cards: Cards, agent: Callable[..., AgentView]) -> None:
    card = cards.agent(agent(), json.dumps(UPSTREAM).encode())

    assert card.version == UPSTREAM["version"] != cards.version
    assert [(e.uri, e.required) for e in card.capabilities.extensions] == [("https://ext.example/v1", True)]
    assert (list(card.default_input_modes), list(card.default_output_modes)) == (["image/png"], ["audio/ogg"])
    assert not card.HasField("provider")


def test_the_extended_card_of_an_agent_says_who_made_it_and_not_where_it_is(
    cards: Cards, keyset: KeySet, agent: Callable[..., AgentView]
) -> None:
    card = cards.extended_agent(agent(), json.dumps(UPSTREAM).encode())

    assert (card.provider.organization, card.documentation_url) == ("Far", "https://far.example/docs")
    assert "secret" not in str(card)
    assert list(card.security_schemes) == ["bearer"]
    sdk_verifier(keyset)(card)


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"7", b'{"name": 7}', b'{"skills": 3}'])
def test_an_upstream_card_that_cannot_be_read_adds_nothing(
    cards: Cards, agent: Callable[..., AgentView], body: bytes
) -> None:
    assert read_card(body) is None
    assert cards.agent(agent(), body) == cards.agent(agent())
