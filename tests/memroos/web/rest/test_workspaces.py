from collections.abc import Iterator
from typing import Any

import pytest
from tests.actors import AGENT, KERNEL, OPERATOR, STRANGER, VIEWER
from tests.memroos.web.rest.serving import Client, calling, serving

from memroos import registry
from memroos.web.rest.workspaces import WorkspaceController
from memroos_kit.db import Database

BY_OPERATOR = calling(OPERATOR)


@pytest.fixture
def client(db: Database) -> Iterator[Client]:
    db.write_now(KERNEL, registry.ensure_default_workspace)
    with serving(db, WorkspaceController) as client:
        yield client


def names(answer: Any) -> list[str]:
    return [item["name"] for item in answer.json()["items"]]


def test_a_workspace_comes_with_the_key_of_its_first_operator_shown_once(client: Client) -> None:
    headers = calling(OPERATOR, idempotency_key="k1")

    made = client.post("/api/workspaces", json={"name": "north", "title": "North"}, headers=headers)
    again = client.post("/api/workspaces", json={"name": "north", "title": "North"}, headers=headers)

    assert made.status_code == 201
    assert made.json()["operator_key"]["secret"].startswith("mr_operator_")
    assert made.json()["operator_key"]["key"]["workspace_id"] == made.json()["workspace"]["id"]
    assert again.json()["operator_key"]["secret"] == ""
    assert again.json()["workspace"] == made.json()["workspace"]
    assert names(client.get("/api/workspaces", headers=BY_OPERATOR)) == ["default", "north"]


def test_workspaces_are_listed_page_by_page(client: Client) -> None:
    client.post("/api/workspaces", json={"name": "north"}, headers=BY_OPERATOR)

    first = client.get("/api/workspaces?limit=1", headers=BY_OPERATOR)
    second = client.get(f"/api/workspaces?limit=1&cursor={first.json()['next_cursor']}", headers=BY_OPERATOR)

    assert names(first) + names(second) == ["default", "north"]
    assert second.json()["next_cursor"] is None


def test_another_workspace_sees_no_other_and_makes_none(client: Client) -> None:
    assert names(client.get("/api/workspaces", headers=calling(STRANGER))) == []
    assert client.post("/api/workspaces", json={"name": "x"}, headers=calling(STRANGER)).status_code == 403


def test_a_taken_name_is_a_conflict(client: Client) -> None:
    answer = client.post("/api/workspaces", json={"name": "default"}, headers=BY_OPERATOR)

    assert (answer.status_code, answer.json()["type"]) == (409, "/problems/workspace-name-taken")


@pytest.mark.parametrize("body", [{}, {"name": "A B"}, {"name": "a", "id": "ws_1"}, {"name": "a" * 65}, {"name": None}])
def test_bad_input_makes_no_workspace(client: Client, body: dict[str, Any]) -> None:
    assert client.post("/api/workspaces", json=body, headers=BY_OPERATOR).status_code == 422
    assert names(client.get("/api/workspaces", headers=BY_OPERATOR)) == ["default"]


@pytest.mark.parametrize("query", ["limit=0", "limit=101", "cursor=xyz"])
def test_a_bad_query_is_refused(client: Client, query: str) -> None:
    assert client.get(f"/api/workspaces?{query}", headers=BY_OPERATOR).status_code == 422


def test_only_operators_make_workspaces_and_agents_do_not_see_them(client: Client) -> None:
    assert names(client.get("/api/workspaces", headers=calling(VIEWER))) == ["default"]
    assert client.post("/api/workspaces", json={"name": "x"}, headers=calling(VIEWER)).status_code == 403
    assert client.get("/api/workspaces", headers=calling(AGENT)).status_code == 403
    assert client.get("/api/workspaces").status_code == 401
