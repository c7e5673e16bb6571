"""Memory over REST."""

from collections.abc import Iterator
from typing import Any

import pytest
from tests.actors import AGENT, OPERATOR, OTHER_AGENT, STRANGER, VIEWER
from tests.memroos.web.rest.serving import Client, calling, serving

from memroos.web.rest.memory import AgentMemoryController, MemoryController, RecallController
from memroos_contracts.identity import Actor
from memroos_kit.db import Database


@pytest.fixture
def client(db: Database) -> Iterator[Client]:
    with serving(db, AgentMemoryController, MemoryController, RecallController) as client:
        yield client


def write(client: Client, actor: Actor = AGENT, **words: Any) -> dict[str, Any]:
    answer = client.post("/api/agent-memory", json={"text": "the harbour crane"} | words, headers=calling(actor))
    assert answer.status_code == 201, answer.text
    event: dict[str, Any] = answer.json()
    return event


def recall(client: Client, actor: Actor = AGENT, **question: Any) -> dict[str, Any]:
    answer = client.post("/api/recall", json={"query": "crane"} | question, headers=calling(actor))
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def test_what_an_agent_writes_it_recalls_at_once(client: Client) -> None:
    event = write(client, stream="notes", source={"document": "d1"})
    found = recall(client)
    assert [item["item"]["id"] for item in found["items"]] == [event["id"]]
    assert found["items"][0]["item"]["source"] == {"document": "d1"}
    assert found["arms"] == ["episodic"]
    assert "vector" in found["missing"]
    assert recall(client, OTHER_AGENT)["items"] == []
    assert len(recall(client, OPERATOR)["items"]) == 1


def test_a_receipt_is_kept_and_filtered_by_its_kind(client: Client) -> None:
    write(client)
    write(client, kind="receipt", action="crane.lift", outcome="ok")
    (item,) = recall(client, kinds=["receipt"])["items"]
    assert item["item"]["data"] == {"action": "crane.lift", "outcome": "ok"}


def test_writing_twice_with_one_key_keeps_one(client: Client) -> None:
    headers = calling(AGENT, idempotency_key="k-1")
    first, second = (client.post("/api/agent-memory", json={"text": "crane"}, headers=headers) for _ in range(2))
    assert first.json() == second.json()
    assert len(recall(client)["items"]) == 1


def test_events_are_read_by_stream_and_by_id(client: Client) -> None:
    ids = [write(client, text=f"number {n}")["id"] for n in range(3)]
    address = f"/api/memory?stream={AGENT.principal}&limit=2"
    first = client.get(address, headers=calling(AGENT)).json()
    second = client.get(f"{address}&cursor={first['next_cursor']}", headers=calling(AGENT)).json()
    assert [event["id"] for event in first["items"] + second["items"]] == ids

    assert client.get(f"/api/memory/{ids[0]}", headers=calling(AGENT)).json()["text"] == "number 0"
    for other in (OTHER_AGENT, STRANGER):
        assert client.get(f"/api/memory/{ids[0]}", headers=calling(other)).status_code == 404


def test_a_caller_lists_what_it_wrote(client: Client) -> None:
    write(client, text="mine")
    write(client, OTHER_AGENT, text="theirs")
    items = client.get("/api/agent-memory", headers=calling(AGENT)).json()["items"]
    assert [event["text"] for event in items] == ["mine"]


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"text": ""},
        {"text": 1},
        {"text": "x" * 65_537},
        {"text": "t", "author": "operator:key_1"},
        {"text": "t", "kind": "message"},
        {"text": "t", "kind": "receipt"},
    ],
)
def test_bad_memories_are_refused(client: Client, body: dict[str, Any]) -> None:
    assert client.post("/api/agent-memory", json=body, headers=calling(AGENT)).status_code == 422


@pytest.mark.parametrize(
    "body", [{}, {"query": ""}, {"query": "q", "limit": 0}, {"query": "q", "since": "2026-01-01T00:00:00"}, {"q": "x"}]
)
def test_bad_questions_are_refused(client: Client, body: dict[str, Any]) -> None:
    assert client.post("/api/recall", json=body, headers=calling(AGENT)).status_code == 422


def test_a_foreign_cursor_is_refused(client: Client) -> None:
    assert client.get("/api/agent-memory?cursor=AAAA", headers=calling(AGENT)).status_code == 422


def test_viewers_do_not_come_in(client: Client) -> None:
    assert client.post("/api/recall", json={"query": "q"}, headers=calling(VIEWER)).status_code == 403
