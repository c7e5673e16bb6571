from collections.abc import Iterator
from typing import Any

import pytest
from tests.actors import AGENT, OPERATOR, STRANGER, VIEWER, agent_actor
from tests.memroos.web.rest.serving import Client, calling, serving

from memroos import registry
from memroos.web.rest.agents import AgentController, CallerController
from memroos_contracts.identity import Role
from memroos_contracts.registry import AgentState, AgentView, NewAgent
from memroos_kit.db import Database

NEW: dict[str, Any] = {
    "name": "planner",
    "kind": "a2a",
    "title": "Planner",
    "endpoint_url": "https://planner.example/a2a",
    "skills": [{"id": "plan", "name": "Plan", "tags": ["fast"]}],
    "max_concurrency": 2,
    "labels": {"team": "blue"},
}
BY_OPERATOR = calling(OPERATOR)


@pytest.fixture
def client(db: Database) -> Iterator[Client]:
    with serving(db, AgentController, CallerController) as client:
        yield client


@pytest.fixture
def planner(client: Client) -> dict[str, Any]:
    made: dict[str, Any] = client.post("/api/agents", json=NEW, headers=BY_OPERATOR).json()
    return made


def slug(answer: Any) -> str:
    return str(answer.json()["type"].removeprefix("/problems/"))


def test_an_agent_is_registered_and_read_by_id_and_name(client: Client) -> None:
    made = client.post("/api/agents", json=NEW, headers=BY_OPERATOR)

    assert (made.status_code, made.headers["etag"]) == (201, '"1"')
    body = made.json()
    assert {name: body[name] for name in NEW if name != "skills"} == {k: v for k, v in NEW.items() if k != "skills"}
    assert body["skills"][0]["tags"] == ["fast"]
    assert (body["state"], body["liveness"], body["version"]) == ("draft", "unknown", 1)
    for agent in (body["id"], "planner"):
        read = client.get(f"/api/agents/{agent}", headers=BY_OPERATOR)
        assert (read.status_code, read.json(), read.headers["etag"]) == (200, body, '"1"')


def test_a_repeated_request_registers_once(client: Client) -> None:
    headers = calling(OPERATOR, idempotency_key="k1")

    first = client.post("/api/agents", json=NEW, headers=headers)
    second = client.post("/api/agents", json=NEW, headers=headers)
    other = client.post("/api/agents", json=NEW | {"name": "b"}, headers=headers)

    assert (first.status_code, second.status_code) == (201, 201)
    assert second.json() == first.json()
    assert second.headers["etag"] == first.headers["etag"]
    assert (other.status_code, slug(other)) == (409, "idempotency-conflict")


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"name": "Not A Name"}, "name"),
        ({"name": "planner\n"}, "name"),
        ({"name": ""}, "name"),
        ({"name": 5}, "name"),
        ({"kind": "human"}, "kind"),
        ({"kind": "rest"}, "endpoint_url"),
        ({"state": "retired"}, "state"),
        ({"max_concurrency": 0}, "max_concurrency"),
        ({"max_concurrency": "two"}, "max_concurrency"),
        ({"title": "x" * 201}, "title"),
        ({"labels": {"a": 1}}, "labels"),
        ({"skills": [{"id": "a"}]}, "skills"),
        ({"skills": [{"id": "a", "name": "A", "power": 9}]}, "skills"),
        ({"skills": [{"id": "a", "name": "A"}, {"id": "a", "name": "B"}]}, "skills"),
        ({"endpoint_url": "file:///etc/passwd"}, "endpoint_url"),
        ({"workspace_id": "elsewhere"}, "workspace_id"),
    ],
)
def test_bad_input_is_refused_with_its_field_and_changes_nothing(
    client: Client, change: dict[str, Any], field: str
) -> None:
    answer = client.post("/api/agents", json=NEW | change, headers=BY_OPERATOR)

    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    assert field in str(answer.json()["fields"])
    assert client.get("/api/agents", headers=BY_OPERATOR).json()["items"] == []


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b'{"name":', b"\xff"])
def test_a_body_that_is_none_is_refused(client: Client, body: bytes) -> None:
    headers = BY_OPERATOR | {"content-type": "application/json"}

    assert client.post("/api/agents", content=body, headers=headers).status_code in {400, 422}


def test_a_taken_name_is_a_conflict(client: Client, planner: dict[str, Any]) -> None:
    answer = client.post("/api/agents", json=NEW, headers=BY_OPERATOR)

    assert (answer.status_code, slug(answer), answer.json()["name"]) == (409, "agent-name-taken", "planner")


def test_an_agent_is_changed_in_the_version_that_was_seen(client: Client, planner: dict[str, Any]) -> None:
    def patch(title: str, if_match: str) -> Any:
        headers = BY_OPERATOR | {"if-match": if_match}
        return client.patch("/api/agents/planner", json={"title": title}, headers=headers)

    changed, stale, anyway = patch("A", '"1"'), patch("B", '"1"'), patch("C", "*")

    assert (changed.status_code, changed.json()["title"], changed.headers["etag"]) == (200, "A", '"2"')
    assert changed.json()["skills"] == planner["skills"]
    assert (stale.status_code, slug(stale), stale.json()["version"]) == (409, "agent-changed", 2)
    assert (anyway.status_code, anyway.json()["title"]) == (200, "C")


@pytest.mark.parametrize("if_match", [None, "", "1", '"0"', 'W/"1"', '"one"', '"1", "2"', '"99999999999999999999"'])
def test_a_change_says_which_version_it_is_for(client: Client, planner: dict[str, Any], if_match: str | None) -> None:
    headers = BY_OPERATOR | ({} if if_match is None else {"if-match": if_match})

    answer = client.patch("/api/agents/planner", json={"title": "A"}, headers=headers)

    assert answer.status_code == 422
    assert "if-match" in str(answer.json()).lower()


@pytest.mark.parametrize("body", [{"name": "other"}, {"state": "active"}, {"kind": "rest"}, {"title": None}])
def test_what_does_not_change_is_refused(client: Client, planner: dict[str, Any], body: dict[str, Any]) -> None:
    answer = client.patch("/api/agents/planner", json=body, headers=BY_OPERATOR | {"if-match": "*"})

    assert answer.status_code == 422
    assert client.get("/api/agents/planner", headers=BY_OPERATOR).json() == planner


def test_an_agent_goes_through_its_states(client: Client, planner: dict[str, Any]) -> None:
    for move, state in (
        ("activate", "active"),
        ("quarantine", "quarantined"),
        ("activate", "active"),
        ("retire", "retired"),
    ):
        answer = client.post(f"/api/agents/planner/{move}", json={"reason": "because"}, headers=BY_OPERATOR)
        assert (answer.status_code, answer.json()["state"], answer.json()["state_reason"]) == (200, state, "because")

    answer = client.post("/api/agents/planner/activate", json={}, headers=BY_OPERATOR)
    assert (answer.status_code, slug(answer), answer.json()["state"]) == (409, "agent-cannot-move", "retired")


def test_agents_are_listed_by_filter_and_page(client: Client, planner: dict[str, Any]) -> None:
    client.post("/api/agents", json={"name": "scout", "kind": "rest", "state": "active"}, headers=BY_OPERATOR)

    def found(query: str) -> list[str]:
        return [item["name"] for item in client.get(f"/api/agents?{query}", headers=BY_OPERATOR).json()["items"]]

    assert found("") == ["scout", "planner"]
    assert found("agent_state=active") == ["scout"]
    assert found("kind=a2a") == ["planner"]
    assert found("skill=plan") == ["planner"]
    assert found("tag=fast") == ["planner"]
    first = client.get("/api/agents?limit=1", headers=BY_OPERATOR).json()
    assert found(f"limit=1&cursor={first['next_cursor']}") == ["planner"]


@pytest.mark.parametrize("query", ["limit=0", "limit=101", "limit=x", "agent_state=gone", "kind=human", "cursor=xyz"])
def test_a_bad_query_is_refused(client: Client, query: str) -> None:
    assert client.get(f"/api/agents?{query}", headers=BY_OPERATOR).status_code == 422


def test_unknown_and_foreign_agents_answer_the_same(client: Client, planner: dict[str, Any]) -> None:
    by_stranger = calling(STRANGER)
    answers = []
    for agent, headers in ((planner["id"], by_stranger), ("agt_01NOTHING", BY_OPERATOR)):
        told = headers | {"if-match": "*"}
        answers += [
            client.get(f"/api/agents/{agent}", headers=told),
            client.patch(f"/api/agents/{agent}", json={}, headers=told),
            client.post(f"/api/agents/{agent}/activate", json={}, headers=told),
            client.post(f"/api/agents/{agent}/quarantine", json={}, headers=told),
            client.post(f"/api/agents/{agent}/retire", json={}, headers=told),
            client.get(f"/api/agents/{agent}/keys", headers=told),
            client.post(f"/api/agents/{agent}/keys", json={}, headers=told),
        ]

    assert {(a.status_code, slug(a), a.json()["detail"]) for a in answers} == {
        (404, "not-found", answers[0].json()["detail"])
    }


def test_an_agents_key_is_made_and_listed(client: Client, planner: dict[str, Any]) -> None:
    body = {"name": "laptop", "scopes": ["task."], "expires_in_s": 60}
    headers = calling(OPERATOR, idempotency_key="k1")

    made = client.post("/api/agents/planner/keys", json=body, headers=headers)
    again = client.post("/api/agents/planner/keys", json=body, headers=headers)

    assert made.status_code == 201
    assert made.json()["secret"].startswith("mr_agent_")
    assert again.json() == made.json() | {"secret": ""}
    assert made.json()["key"]["agent_id"] == planner["id"]
    listed = client.get("/api/agents/planner/keys", headers=BY_OPERATOR).json()
    assert listed == {"items": [made.json()["key"]], "next_cursor": None}


@pytest.mark.parametrize("body", [{"role": "operator"}, {"scopes": ["all"]}, {"expires_in_s": 0}, {"name": "x" * 101}])
def test_a_bad_key_for_an_agent_is_refused(client: Client, planner: dict[str, Any], body: dict[str, Any]) -> None:
    assert client.post("/api/agents/planner/keys", json=body, headers=BY_OPERATOR).status_code == 422


def test_an_agent_sees_itself_and_its_peers_without_their_endpoints(client: Client, db: Database) -> None:
    def make(name: str) -> AgentView:
        kind = registry.AgentKind.REST
        return db.write_now(OPERATOR, registry.create_agent, NewAgent(name, kind, state=AgentState.ACTIVE))

    scout, other = make("scout"), make("other")
    me = calling(agent_actor(scout.id))

    assert client.get("/api/agents/scout", headers=me).json()["id"] == scout.id
    assert client.get("/api/agents/other", headers=me).status_code == 404
    [peer] = client.get("/api/agent-peers", headers=me).json()["items"]
    assert peer == {"id": other.id, "name": "other", "title": "", "skills": [], "liveness": "unknown"}


def test_everybody_learns_who_it_is(client: Client) -> None:
    body = client.get("/api/whoami", headers=calling(VIEWER)).json()

    assert (body["role"], body["principal"], body["workspace"]) == ("viewer", "viewer:key_viewer", "default")
    assert body["agent"] is None


@pytest.mark.parametrize("role", [role for role in Role if role is not Role.OPERATOR])
def test_only_operators_change_agents(client: Client, planner: dict[str, Any], role: Role) -> None:
    by = calling(AGENT.__class__(role=role, id="x", agent=AGENT.agent if role is Role.AGENT else None))

    answers = [
        client.post("/api/agents", json=NEW | {"name": "b"}, headers=by),
        client.patch("/api/agents/planner", json={}, headers=by | {"if-match": "*"}),
        client.post("/api/agents/planner/activate", json={}, headers=by),
        client.post("/api/agents/planner/quarantine", json={}, headers=by),
        client.post("/api/agents/planner/retire", json={}, headers=by),
        client.post("/api/agents/planner/keys", json={}, headers=by),
    ]

    assert {answer.status_code for answer in answers} == {403}


def test_without_a_key_nobody_comes_in(client: Client) -> None:
    for path in ("/api/agents", "/api/agents/planner", "/api/agents/planner/keys", "/api/agent-peers", "/api/whoami"):
        assert client.get(path).status_code == 401
