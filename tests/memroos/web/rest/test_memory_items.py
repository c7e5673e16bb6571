"""Items, scopes and the service's work over REST."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from tests.actors import AGENT, OPERATOR, OTHER_AGENT, VIEWER
from tests.memroos.memory.service_twin import ServiceTwin, learned
from tests.memroos.web.rest.serving import Client, calling, serving

from memroos import memory
from memroos.web.rest.memory import MemoryController
from memroos.web.rest.memory_items import MemoryItemController, MemoryScopeController
from memroos.web.rest.memory_upkeep import MemoryInventoryController, MemoryUpkeepController
from memroos.web.rest.recollection import MemoryTraceController, RecollectionController
from memroos_kit.db import Database

CONTROLLERS = (
    MemoryController,
    MemoryItemController,
    MemoryScopeController,
    MemoryUpkeepController,
    MemoryInventoryController,
    RecollectionController,
    MemoryTraceController,
)


@pytest.fixture
def twin() -> ServiceTwin:
    found = ServiceTwin()
    found.items["itm_1"] = learned("itm_1", "mem_1", author=AGENT.principal)
    return found


@pytest.fixture
def client(db: Database, twin: ServiceTwin) -> Iterator[Client]:
    service = memory.Service(db, twin.store(), None)
    recalls = memory.Recalls(service)
    parts = {
        "memory_items": memory.Items(service),
        "memory_upkeep": memory.Upkeep(service),
        "recollection": memory.Recollection(service, recalls),
    }
    with serving(db, *CONTROLLERS, **parts) as client:
        yield client


def test_an_item_is_read_changed_and_superseded(client: Client) -> None:
    me = calling(AGENT)
    assert client.get("/api/memory/items/itm_1", headers=me).json()["text"] == "what itm_1 says"
    changed = client.patch("/api/memory/items/itm_1", json={"text": "otherwise", "if_version": 1}, headers=me)
    assert (changed.status_code, changed.json()["version"]) == (200, 2)
    late = client.patch("/api/memory/items/itm_1", json={"text": "late", "if_version": 1}, headers=me)
    assert (late.status_code, late.json()["type"], late.json()["version"]) == (409, "/problems/item-changed", 2)
    history = client.get("/api/memory/items/itm_1/history", headers=me).json()["items"]
    assert [entry["item"]["version"] for entry in history] == [1, 2]
    new = client.post("/api/memory/items/itm_1/supersede", json={"text": "now this"}, headers=me)
    assert (new.status_code, new.json()["text"]) == (200, "now this")
    assert client.delete("/api/memory/itm_1", headers=me).status_code == 204
    assert client.get("/api/memory/items/itm_1", headers=me).status_code == 404


def test_an_item_of_others_is_not_there(client: Client) -> None:
    them = calling(OTHER_AGENT)
    answers = [
        client.get("/api/memory/items/itm_1", headers=them),
        client.get("/api/memory/items/itm_1/history", headers=them),
        client.patch("/api/memory/items/itm_1", json={"text": "t"}, headers=them),
        client.post("/api/memory/items/itm_1/supersede", json={"text": "t"}, headers=them),
        client.delete("/api/memory/itm_1", headers=them),
        client.post("/api/memory/scopes/scp_1/rollback", json={"to_seq": 0}, headers=them),
    ]
    assert {answer.status_code for answer in answers} == {404}


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("PATCH", "/api/memory/items/itm_1", {"text": ""}),
        ("PATCH", "/api/memory/items/itm_1", {"text": " \n"}),
        ("PATCH", "/api/memory/items/itm_1", {"text": "x" * 65_537}),
        ("PATCH", "/api/memory/items/itm_1", {"valid_from": "yesterday"}),
        ("PATCH", "/api/memory/items/itm_1", {"valid_from": "2026-01-01T00:00:00"}),
        ("PATCH", "/api/memory/items/itm_1", {"owner": "agent:agt_1"}),
        ("POST", "/api/memory/items/itm_1/supersede", {}),
        ("POST", "/api/memory/items/query", {"filter": {"op": "eq", "field": "speaker"}}),
        ("POST", "/api/memory/items/query", {"limit": 0}),
        ("POST", "/api/memory/scopes/scp_1/rollback", {"to_seq": -1}),
        ("POST", "/api/memory/jobs/wait", {"wait_s": 61}),
        ("GET", "/api/memory/items/itm_1/history?cursor=AAAA", None),
        ("GET", "/api/memory/traces?cursor=AAAA", None),
        ("PUT", "/api/memory/recollection-policies", {"rule": {"share": 0}}),
    ],
)
def test_bad_requests_are_refused_and_the_service_is_not_asked(
    client: Client, twin: ServiceTwin, method: str, path: str, body: Any
) -> None:
    answer = client.request(method, path, json=body, headers=calling(OPERATOR))
    assert answer.status_code == 422, answer.text
    assert not {"items/update", "items/supersede", "scopes/rollback"} & set(twin.paths())


def test_a_service_that_is_away_is_said_to_be_and_counts_are_told_anyway(client: Client, twin: ServiceTwin) -> None:
    twin.away = httpx.ConnectError("no")
    answer = client.get("/api/memory/items/itm_1", headers=calling(AGENT))
    assert (answer.status_code, answer.json()["type"]) == (503, "/problems/memory-service-unavailable")
    assert answer.headers["retry-after"] == "1"
    assert client.get("/api/memory/stats", headers=calling(AGENT)).json()["ready"] is False


def test_policies_are_set_listed_tried_and_deleted(client: Client) -> None:
    me = calling(OPERATOR)
    made = client.put("/api/memory/recollection-policies", json={"rule": {"limit": 3}}, headers=me).json()
    assert client.get("/api/memory/recollection-policies", headers=me).json()["items"] == [made]
    tried = client.post("/api/memory/recollection-policies/dry-run", json={"rule": {}}, headers=me)
    assert tried.json() == {"tasks": [], "reminded": 0, "tokens": 0}
    address = f"/api/memory/recollection-policies/{made['id']}"
    assert [client.delete(address, headers=me).status_code for _ in range(2)] == [204, 404]


def test_the_services_work_is_the_operators(client: Client) -> None:
    for method, path, body in (
        ("GET", "/api/memory/jobs", None),
        ("POST", "/api/memory/dead-letters/replay", {}),
        ("POST", "/api/memory/reindex", {}),
        ("PUT", "/api/memory/recollection-policies", {"rule": {}}),
        ("GET", "/api/memory/traces", None),
    ):
        assert client.request(method, path, json=body, headers=calling(AGENT)).status_code == 403
        assert client.request(method, path, json=body, headers=calling(OPERATOR)).is_success
    assert client.get("/api/memory/jobs", headers=calling(VIEWER)).is_success
    assert client.post("/api/memory/reindex", json={}, headers=calling(VIEWER)).status_code == 403
