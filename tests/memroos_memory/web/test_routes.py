"""The service's routes, as the kernel asks them."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from litestar.testing import TestClient
from tests.memroos_memory.work.conftest import said

from memroos_contracts.memory_errors import IndexUnavailable
from memroos_kit.service import ServiceApp
from memroos_kit.settings import Secret
from memroos_memory.settings import MemorySettings
from memroos_memory.web import CONTROLLERS
from memroos_memory.wiring import MemoryService

KEY = "k" * 32
AGENT = "agent:agt_a"
ANN = {"workspace_id": "default", "reader": AGENT, "principal": AGENT}
OPERATOR = {"workspace_id": "default", "reader": "", "principal": "operator:key_o"}
STRANGER = {"workspace_id": "default", "reader": "agent:agt_z", "principal": "agent:agt_z"}
ELSEWHERE = {"workspace_id": "elsewhere", "reader": "", "principal": "operator:key_e"}
SCORE = {"questions": 1, "recall_at_5": 0.5, "recall_at_10": 1.0}
EVAL = {
    "file": "f", "file_digest": "d", "configuration": "recall", "turns": 2, "overall": SCORE, "categories": {},
    "query_p50_ms": 1.0, "query_p95_ms": 2.0,
}  # fmt: skip


class Service:
    """A memory service in this process."""

    def __init__(self, service: MemoryService, client: TestClient[ServiceApp]) -> None:
        self.service = service
        self.client = client

    def call(self, path: str, body: Any, *, header: str = f"Bearer {KEY}") -> Any:
        """Ask something."""
        headers = {"authorization": header, "content-type": "application/json"}
        return self.client.post(f"/v1/{path}", content=msgspec.json.encode(body), headers=headers)

    def done(self, path: str, body: Any) -> Any:
        """Ask something that has to be answered."""
        answer = self.call(path, body)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def take(self, *texts: str, first: int = 1) -> None:
        """Hand events over, and wait until they are worked off."""
        self.done("events", {"events": [said(n, text) for n, text in enumerate(texts, first)]})
        assert self.done("jobs/wait", {"viewer": OPERATOR, "request": {"wait_s": 20}})["idle"]


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    settings = MemorySettings(
        data_dir=tmp_path_factory.mktemp("memory"),
        memory_key=Secret(KEY),
        embedder="hash",
        embedder_dimension=64,
        memory_body_limit_bytes=65_536,
    )
    built = MemoryService(settings)
    with TestClient(built.app) as client:
        running = Service(built, client)
        running.take("I moved to Bergen with the old piano.", "The winter was long and dark.")
        yield running


def test_events_that_are_known_are_left_as_they_are(shared: Service) -> None:
    again = shared.done("events", {"events": [said(1, "Something else")]})

    assert again == {"stored": 0, "known": 1}
    assert shared.done("items/get", {"viewer": ANN, "item_id": "mem_00001"})["text"].startswith("I moved")
    assert shared.done("intake", {})["position"] >= 2


def test_a_question_is_answered_with_what_its_asker_may_see(shared: Service) -> None:
    query = {"workspace_id": "default", "request": {"query": "Where is the old piano?"}, "principal": ""}

    own = shared.done("recall", query | {"reader": AGENT})
    foreign = shared.done("recall", query | {"reader": "agent:agt_z"})
    elsewhere = shared.done("recall", query | {"reader": "", "workspace_id": "elsewhere"})

    assert own["items"][0]["sources"] == ["mem_00001"]
    assert foreign["items"] == elsewhere["items"] == []
    assert (foreign["documents"], elsewhere["documents"]) == (0, 0)


def test_an_answer_fits_its_budget(shared: Service) -> None:
    asked = {"query": "Where is the old piano?"}
    query = {"workspace_id": "default", "reader": AGENT, "request": asked}

    given = shared.done("context", {"query": query, "request": {"recall": asked, "token_budget": 64}})

    assert "piano" in given["text"]
    assert given["tokens"] <= 64


@pytest.mark.parametrize("viewer", [STRANGER, ELSEWHERE])
@pytest.mark.parametrize(
    ("path", "more"),
    [
        ("items/get", {"item_id": "mem_00001"}),
        ("items/history", {"item_id": "mem_00001"}),
        ("items/update", {"item_id": "mem_00001", "change": {"text": "x"}}),
        ("items/supersede", {"item_id": "mem_00001", "successor": {"text": "x"}}),
        ("items/delete", {"item_id": "mem_00001"}),
        ("scopes/rollback", {"scope_id": "", "request": {"to_seq": 0}}),
        ("jobs/get", {"job_id": ""}),
        ("jobs/replay", {"job_id": ""}),
        ("jobs/wait", {"request": {"wait_s": 0, "scope_id": ""}}),
    ],
)
def test_what_is_others_is_not_there(shared: Service, viewer: Any, path: str, more: dict[str, Any]) -> None:
    scope = shared.done("scopes", {"viewer": ANN})["items"][0]["id"]
    job = shared.done("jobs", {"viewer": OPERATOR})["items"][0]["id"]
    real = msgspec.convert(more, dict[str, Any]) | {"viewer": viewer}
    for name, value in (("scope_id", scope), ("job_id", job)):
        if name in real:
            real[name] = value
    if "scope_id" in real.get("request", {}):
        real["request"] = {"wait_s": 0, "scope_id": scope}

    refused = shared.call(path, real)

    assert (refused.status_code, refused.json()["type"]) == (404, "/problems/not-found"), refused.text


@pytest.mark.parametrize("viewer", [STRANGER, ELSEWHERE])
def test_what_is_others_is_neither_listed_nor_counted(shared: Service, viewer: Any) -> None:
    assert shared.done("items/list", {"viewer": viewer, "query": {}})["items"] == []
    for path in ("scopes", "jobs", "inventory", "evals/list"):
        assert shared.done(path, {"viewer": viewer})["items"] == []
    stats = shared.done("stats", {"viewer": viewer})
    assert (stats["items"], stats["scopes"], stats["database_bytes"], stats["index_bytes"]) == (0, 0, 0, 0)
    assert {index["items"] for index in stats["indexes"]} == {0}
    assert {one["vectors"] for one in stats["embedders"]} == {0}


def test_whoever_runs_the_system_sees_how_large_it_is(shared: Service) -> None:
    stats = shared.done("stats", {"viewer": OPERATOR})

    assert stats["ready"]
    assert stats["by_kind"]["event"] >= 2
    assert stats["database_bytes"] > 0
    assert {index["index"] for index in stats["indexes"]} == {"lexical", "vector", "graph"}
    assert {"lexical", "vector", "graph"} <= set(stats["arms"])


def test_a_change_is_followed_by_the_indexes(shared: Service) -> None:
    shared.take("The lighthouse keeper collects stamps.", first=20)
    shared.done("items/update", {"viewer": ANN, "item_id": "mem_00020", "change": {"text": "He breeds llamas."}})
    shared.done("jobs/wait", {"viewer": OPERATOR, "request": {"wait_s": 20}})
    query = {"workspace_id": "default", "reader": AGENT}

    found = shared.done("recall", query | {"request": {"query": "Who breeds llamas?"}})
    before = shared.done("recall", query | {"request": {"query": "lighthouse stamps"}})

    assert found["items"][0]["sources"] == ["mem_00020"]
    assert "mem_00020" not in [source for hit in before["items"] for source in hit["sources"]]
    versions = shared.done("items/history", {"viewer": ANN, "item_id": "mem_00020"})["items"]
    assert [(one["change"], one["actor"]) for one in versions] == [("add", AGENT), ("update", AGENT)]


def test_a_removal_takes_an_event_out(shared: Service) -> None:
    shared.take("The gate code changed on Tuesday.", first=30)
    removal = {"event_id": "mem_00030", "workspace_id": "default", "actor": AGENT, "position": 31}

    assert shared.done("removals", {"removals": [removal, removal]}) == {}

    assert shared.call("items/get", {"viewer": ANN, "item_id": "mem_00030"}).status_code == 410
    assert shared.done("intake", {})["position"] == 31


def test_an_index_is_made_anew_on_request(shared: Service) -> None:
    job = shared.done("reindex", {"viewer": OPERATOR, "request": {"indexes": ["vector", "graph"]}})
    shared.done("jobs/wait", {"viewer": OPERATOR, "request": {"wait_s": 20}})

    assert job["label"] == "reindex"
    assert shared.done("jobs/get", {"viewer": OPERATOR, "job_id": job["id"]})["state"] == "done"


def test_an_evaluation_is_kept_with_the_embedder_of_the_service(shared: Service) -> None:
    kept = shared.done("evals", {"viewer": OPERATOR, "result": EVAL})

    assert kept["embedder"].startswith("hash/")
    assert [one["id"] for one in shared.done("evals/list", {"viewer": OPERATOR})["items"]] == [kept["id"]]


@pytest.mark.parametrize("header", ["", "Bearer", f"Basic {KEY}", f"Bearer {KEY}x", f"Bearer {KEY[:-1]}", KEY])
def test_without_its_key_nobody_comes_in(shared: Service, header: str) -> None:
    refused = shared.call("stats", {"viewer": OPERATOR}, header=header)

    assert (refused.status_code, refused.json()["type"]) == (401, "/problems/unauthenticated")


def test_every_route_asks_for_the_key(shared: Service) -> None:
    paths = {route.path for route in shared.service.app.routes} - {"/healthz", "/readyz", "/metrics"}

    assert len(paths) > len(CONTROLLERS)
    assert {shared.client.post(path, content=b"{}").status_code for path in paths} == {401}
    assert shared.client.get("/readyz").status_code == 200


@pytest.mark.parametrize(
    ("path", "body", "status", "slug"),
    [
        ("recall", {"reader": ""}, 422, "invalid-request"),
        ("items/list", {"viewer": OPERATOR, "query": {"limit": 101}}, 422, "invalid-request"),
        ("items/list", {"viewer": OPERATOR, "query": {}, "reader": "agent:agt_a"}, 422, "invalid-request"),
        ("items/list", {"viewer": OPERATOR, "query": {"cursor": "x"}}, 422, "invalid-cursor"),
        (
            "items/list",
            {"viewer": OPERATOR, "query": {"filter": {"op": "eq", "field": "user_id", "value": "*"}}},
            422,
            "filter-refused",
        ),
        (
            "recall",
            {"workspace_id": "default", "reader": AGENT, "request": {"query": "x"}, "vector": [1.0, 2.0]},
            422,
            "wrong-dimension",
        ),
        ("events", {"events": [{"position": 1}]}, 422, "invalid-request"),
        ("intake", {"padding": "x" * 70_000}, 413, "too-large"),
        ("nothing", {}, 404, "unknown-address"),
    ],
)
def test_bad_input_is_refused_with_a_problem(shared: Service, path: str, body: Any, status: int, slug: str) -> None:
    refused = shared.call(path, body)

    assert (refused.status_code, refused.json()["type"]) == (status, f"/problems/{slug}"), refused.text


def test_an_index_that_is_away_is_said_and_the_service_is_ready(
    shared: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away() -> None:
        raise IndexUnavailable("The graph's server does not answer.", index="graph")

    monkeypatch.setattr(shared.service.graph, "state", away)
    answer = shared.client.get("/readyz")

    assert answer.status_code == 200
    assert answer.json()["degraded"] == {"graph": "The graph's server does not answer."}


def test_two_services_do_not_share_a_key_file_with_strangers(tmp_path: Path) -> None:
    settings = MemorySettings(data_dir=tmp_path, embedder="hash")
    service = MemoryService(settings)
    service.close()

    assert (tmp_path / "memory.key").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "memory").stat().st_mode & 0o777 == 0o700
    again = MemoryService(settings)
    again.close()
    assert again.key == service.key
