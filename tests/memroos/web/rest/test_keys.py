from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import msgspec
import pytest
from tests.actors import AGENT, AUDITOR, OPERATOR, STRANGER, VIEWER, agent_actor
from tests.memroos.web.rest.serving import Client, calling, serving

from memroos import registry
from memroos.settings import Settings
from memroos.web.rest.keys import KeyController
from memroos_contracts.identity import KeyId
from memroos_contracts.registry import AgentKind, AgentState, AgentView, NewAgent
from memroos_kit.clock import ManualClock
from memroos_kit.db import Database

BY_OPERATOR = calling(OPERATOR)


@pytest.fixture
def client(db: Database) -> Iterator[Client]:
    with serving(db, KeyController, settings=Settings(key_overlap_s=120)) as client:
        yield client


@pytest.fixture
def scout(db: Database) -> AgentView:
    return db.write_now(OPERATOR, registry.create_agent, NewAgent("scout", AgentKind.REST, state=AgentState.ACTIVE))


def make(client: Client, **body: Any) -> dict[str, Any]:
    answer = client.post("/api/keys", json={"role": "viewer", **body}, headers=BY_OPERATOR)
    assert answer.status_code == 201
    made: dict[str, Any] = answer.json()
    return made


def slug(answer: Any) -> str:
    return str(answer.json()["type"].removeprefix("/problems/"))


@pytest.mark.parametrize("role", ["operator", "auditor", "viewer"])
def test_a_key_is_made_and_its_secret_shown_once(client: Client, role: str) -> None:
    made = make(client, role=role, name="Ada")

    assert made["secret"].startswith(f"mr_{role}_")
    listed = client.get("/api/keys", headers=BY_OPERATOR)
    assert listed.json() == {"items": [made["key"]], "next_cursor": None}
    assert made["secret"] not in listed.text


def test_a_repeated_request_makes_one_key(client: Client) -> None:
    headers = calling(OPERATOR, idempotency_key="k1")

    first = client.post("/api/keys", json={"role": "viewer"}, headers=headers)
    second = client.post("/api/keys", json={"role": "viewer"}, headers=headers)

    assert second.json() == first.json() | {"secret": ""}


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"role": "owner"},
        {"role": "viewer", "agent": "scout"},
        {"role": "agent"},
        {"role": "service", "name": "kernel"},
        {"role": "viewer", "scopes": ["everything"]},
        {"role": "viewer", "scopes": "task."},
        {"role": "viewer", "expires_in_s": -1},
        {"role": "viewer", "secret": "mine"},
        {"role": "viewer", "name": "x" * 101},
    ],
)
def test_bad_input_makes_no_key(client: Client, body: dict[str, Any]) -> None:
    assert client.post("/api/keys", json=body, headers=BY_OPERATOR).status_code == 422
    assert client.get("/api/keys", headers=BY_OPERATOR).json()["items"] == []


def test_a_key_is_rotated_with_the_overlap_of_the_settings(client: Client, clock: ManualClock) -> None:
    old = make(client)["key"]
    headers = calling(OPERATOR, idempotency_key="k1")

    fresh = client.post(f"/api/keys/{old['id']}/rotate", json={}, headers=headers)
    again = client.post(f"/api/keys/{old['id']}/rotate", json={}, headers=headers)
    late = client.post(f"/api/keys/{old['id']}/rotate", json={}, headers=BY_OPERATOR)

    assert fresh.status_code == 201
    assert again.json() == fresh.json() | {"secret": ""}
    assert (late.status_code, slug(late), late.json()["replaced_by"]) == (
        409,
        "key-not-active",
        fresh.json()["key"]["id"],
    )
    listed = {key["id"]: key for key in client.get("/api/keys", headers=BY_OPERATOR).json()["items"]}
    assert datetime.fromisoformat(listed[old["id"]]["expires_at"]) == clock.now() + timedelta(seconds=120)


def test_a_rotation_may_name_its_own_overlap(client: Client, clock: ManualClock) -> None:
    old = make(client)["key"]

    client.post(f"/api/keys/{old['id']}/rotate", json={"overlap_s": 0}, headers=BY_OPERATOR)

    listed = {key["id"]: key for key in client.get("/api/keys", headers=BY_OPERATOR).json()["items"]}
    assert listed[old["id"]]["state"] == "expired"


@pytest.mark.parametrize("body", [{"overlap_s": -1}, {"overlap_s": 2_592_001}, {"expires_in_s": 0}, {"scopes": []}])
def test_a_bad_rotation_is_refused(client: Client, body: dict[str, Any]) -> None:
    old = make(client)["key"]

    assert client.post(f"/api/keys/{old['id']}/rotate", json=body, headers=BY_OPERATOR).status_code == 422


def test_an_agent_rotates_the_key_it_uses_and_no_other(client: Client, scout: AgentView) -> None:
    mine, other = make(client, role="agent", agent="scout")["key"], make(client, role="agent", agent="scout")["key"]
    me = calling(msgspec.structs.replace(agent_actor(scout.id), key=KeyId(mine["id"])))

    foreign = client.post(f"/api/keys/{other['id']}/rotate", json={}, headers=me)
    own = client.post(f"/api/keys/{mine['id']}/rotate", json={}, headers=me)

    assert foreign.status_code == 404
    assert own.status_code == 201


def test_a_key_is_revoked_with_a_reason_and_a_repeat_changes_nothing(client: Client) -> None:
    key = make(client)["key"]

    first = client.delete(f"/api/keys/{key['id']}?reason=it+leaked", headers=BY_OPERATOR)
    second = client.delete(f"/api/keys/{key['id']}", headers=BY_OPERATOR)

    assert (first.status_code, first.json()["state"], first.json()["revoke_reason"]) == (200, "revoked", "it leaked")
    assert (second.status_code, second.json()) == (200, first.json())


def test_a_reason_has_an_end(client: Client) -> None:
    key = make(client)["key"]

    assert client.delete(f"/api/keys/{key['id']}?reason={'x' * 501}", headers=BY_OPERATOR).status_code == 422


@pytest.mark.parametrize("query", ["limit=0", "limit=101", "cursor=xyz"])
def test_a_bad_query_is_refused(client: Client, query: str) -> None:
    assert client.get(f"/api/keys?{query}", headers=BY_OPERATOR).status_code == 422


def test_the_last_operator_key_stays(client: Client) -> None:
    key = make(client, role="operator")["key"]

    answer = client.delete(f"/api/keys/{key['id']}", headers=BY_OPERATOR)

    assert (answer.status_code, slug(answer)) == (409, "last-operator-key")


def test_unknown_and_foreign_keys_answer_the_same(client: Client) -> None:
    key = make(client)["key"]
    answers = []
    for key_id, headers in ((key["id"], calling(STRANGER)), ("key_01NOTHING", BY_OPERATOR)):
        answers.append(client.post(f"/api/keys/{key_id}/rotate", json={}, headers=headers))
        answers.append(client.delete(f"/api/keys/{key_id}", headers=headers))

    assert {(a.status_code, a.json()["detail"]) for a in answers} == {(404, answers[0].json()["detail"])}


def test_a_key_with_scopes_gives_away_no_more_than_it_has(client: Client) -> None:
    narrow = calling(msgspec.structs.replace(OPERATOR, scopes=frozenset({"key."})))

    answer = client.post("/api/keys", json={"role": "operator"}, headers=narrow)

    assert (answer.status_code, slug(answer)) == (403, "scope-too-wide")


def test_auditors_see_keys_and_change_none(client: Client) -> None:
    key = make(client)["key"]
    by = calling(AUDITOR)

    assert client.get("/api/keys", headers=by).json()["items"] == [key]
    assert client.post("/api/keys", json={"role": "viewer"}, headers=by).status_code == 403
    assert client.post(f"/api/keys/{key['id']}/rotate", json={}, headers=by).status_code == 403
    assert client.delete(f"/api/keys/{key['id']}", headers=by).status_code == 403


def test_viewers_and_agents_do_not_see_keys(client: Client) -> None:
    for actor in (VIEWER, AGENT):
        assert client.get("/api/keys", headers=calling(actor)).status_code == 403
    assert client.get("/api/keys").status_code == 401
