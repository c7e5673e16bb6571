"""Cards carry the configured address and can be kept by clients."""

import json
from datetime import UTC, datetime

import pytest
from a2a.types import a2a_pb2 as pb
from google.protobuf.json_format import ParseDict

from memroos.web.a2a import Cards
from memroos_contracts.identity import DEFAULT_WORKSPACE, AgentId
from memroos_contracts.registry import AgentKind, AgentSkill, AgentState, AgentView, Liveness

CARDS = Cards("https://agents.example/", "1.2.3", max_age_s=7)
NOW = datetime(2026, 1, 1, tzinfo=UTC)
REQUIRED = {
    "name", "description", "supportedInterfaces", "version", "capabilities", "defaultInputModes", "defaultOutputModes",
    "skills",
}  # fmt: skip


def agent(*, title: str = "", skills: tuple[AgentSkill, ...] = ()) -> AgentView:
    return AgentView(
        id=AgentId("agt_1"),
        workspace_id=DEFAULT_WORKSPACE,
        name="worker",
        title=title,
        description="",
        kind=AgentKind.REST,
        state=AgentState.ACTIVE,
        state_reason="",
        version=1,
        skills=skills,
        endpoint_url="",
        max_concurrency=1,
        labels={},
        liveness=Liveness.LIVE,
        last_seen_at=None,
        status="",
        load=0.0,
        created_at=NOW,
        updated_at=NOW,
        created_by="operator:key_1",
    )


@pytest.mark.parametrize(
    ("card", "path"), [(CARDS.kernel(), "/a2a"), (CARDS.agent(agent()), "/a2a/agents/worker")], ids=["kernel", "agent"]
)
def test_a_card_names_both_bindings_at_the_public_address(card: pb.AgentCard, path: str) -> None:
    assert [(i.url, i.protocol_binding, i.protocol_version) for i in card.supported_interfaces] == [
        (f"https://agents.example{path}", "JSONRPC", "1.0"),
        (f"https://agents.example{path}", "HTTP+JSON", "1.0"),
    ]
    assert (card.version, card.capabilities.streaming, card.capabilities.push_notifications) == ("1.2.3", True, False)
    assert card.security_schemes["bearer"].http_auth_security_scheme.scheme == "Bearer"
    assert json.loads(bytes(CARDS.respond(card, "").body)).keys() >= REQUIRED


def test_an_agents_card_shows_its_skills() -> None:
    skill = AgentSkill(id="count", name="Count", tags=("numbers",), examples=("Count to ten.",))

    card = CARDS.agent(agent(title="The Worker", skills=(skill,)))

    assert (card.name, card.description) == ("The Worker", "The Worker")
    assert [(s.id, s.name, list(s.tags), list(s.examples)) for s in card.skills] == [
        ("count", "Count", ["numbers"], ["Count to ten."])
    ]


def test_a_card_is_json_that_the_sdk_reads_and_may_be_kept_for_a_while() -> None:
    response = CARDS.respond(CARDS.kernel(), "")

    assert ParseDict(json.loads(bytes(response.body)), pb.AgentCard()) == CARDS.kernel()
    assert response.headers["cache-control"] == "max-age=7"
    assert response.headers["etag"].startswith('"')


@pytest.mark.parametrize("form", ["{}", "W/{}", '"other", {}', "*"])
def test_who_has_it_already_is_told_so(form: str) -> None:
    etag = CARDS.respond(CARDS.kernel(), "").headers["etag"]

    response = CARDS.respond(CARDS.kernel(), form.format(etag))

    assert (response.status_code, response.body, response.headers["etag"]) == (304, b"", etag)


def test_who_has_another_gets_the_new_one() -> None:
    old = CARDS.respond(CARDS.kernel(), "").headers["etag"]

    response = CARDS.respond(CARDS.agent(agent()), old)

    assert (response.status_code, response.headers["etag"] != old) == (200, True)
