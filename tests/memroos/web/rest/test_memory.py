"""Memory over REST."""

from collections.abc import Iterator
from typing import Any

import pytest
from tests.actors import AGENT, OPERATOR, OTHER_AGENT, STRANGER, VIEWER
from tests.memroos.web.rest.serving import Client, calling, serving

from memroos import memory
from memroos.web.rest.memory import AgentMemoryController, MemoryController, RecallController
from memroos_contracts.identity import Actor
from memroos_kit.db import Database


@pytest.fixture
def client(db: Database) -> Iterator[Client]:
    alone = memory.Service(db, None, None)
    parts = {"recalls": memory.Recalls(alone), "memory_items": memory.Items(alone)}
    with serving(db, AgentMemoryController, MemoryController, RecallController, **parts) as client:
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


# -- several at once ---------------------------------------------------------------------------------------------------


def test_several_memories_are_kept_in_their_order(client: Client) -> None:
    body = {"memories": [{"text": f"number {n}", "speaker": "Ann"} for n in range(3)]}
    answer = client.post("/api/agent-memory/batch", json=body, headers=calling(AGENT))
    assert answer.status_code == 201
    assert [event["stream_seq"] for event in answer.json()["items"]] == [1, 2, 3]
    assert {event["speaker"] for event in answer.json()["items"]} == {"Ann"}


def test_one_bad_memory_keeps_all_of_a_batch_out_and_says_which(client: Client) -> None:
    body = {"memories": [{"text": "crane one"}, {"text": "crane two", "kind": "receipt"}]}
    answer = client.post("/api/agent-memory/batch", json=body, headers=calling(AGENT))
    assert answer.status_code == 422
    assert answer.json()["memory"] == 1
    assert recall(client)["items"] == []


def test_a_batch_that_is_sent_twice_is_kept_once(client: Client) -> None:
    body = {"memories": [{"text": "crane one"}, {"text": "crane two"}]}
    headers = calling(AGENT, idempotency_key="b-1")
    first, second = (client.post("/api/agent-memory/batch", json=body, headers=headers) for _ in range(2))
    assert first.json() == second.json()
    assert len(recall(client)["items"]) == 2


@pytest.mark.parametrize("memories", [[], [{"text": "t"}] * 101, [{"text": ""}]])
def test_bad_batches_are_refused(client: Client, memories: list[Any]) -> None:
    answer = client.post("/api/agent-memory/batch", json={"memories": memories}, headers=calling(AGENT))
    assert answer.status_code == 422


# -- without a memory service ------------------------------------------------------------------------------------------


def test_recall_says_that_it_searched_by_words_only_and_why(client: Client) -> None:
    write(client)
    found = recall(client)
    assert "MEMROOS_MEMORY_URL" in found["detail"]
    assert {"vector", "graph"} <= set(found["missing"])


def test_a_context_is_written_from_the_kernels_own_events_within_its_budget(client: Client) -> None:
    for n in range(5):
        write(client, text=f"The crane number {n} stands in the harbour.", speaker="Ann")
    body = {"recall": {"query": "crane"}, "token_budget": 120, "format": "xml"}
    found = client.post("/api/recall/context", json=body, headers=calling(AGENT)).json()
    assert 0 < found["tokens"] <= 120
    assert found["left_out"] == 5 - len(found["items"])
    assert found["text"].startswith("<recalled_memory note=")
    assert 'by="Ann"' in found["text"]


def test_a_question_that_words_cannot_answer_waits_for_the_service(client: Client) -> None:
    for part in ({"filter": {"op": "eq", "field": "kind", "value": "event"}}, {"as_of": "2026-01-01T00:00:00Z"}):
        answer = client.post("/api/recall", json={"query": "crane"} | part, headers=calling(AGENT))
        assert answer.status_code == 503
        assert answer.json()["type"] == "/problems/memory-service-unavailable"


def test_an_event_is_deleted_on_every_read_path(client: Client) -> None:
    event = write(client)
    other = write(client, text="another crane")
    answer = client.delete(f"/api/memory/{event['id']}?reason=wrong", headers=calling(AGENT))
    assert answer.status_code == 204

    assert client.get(f"/api/memory/{event['id']}", headers=calling(AGENT)).status_code == 404
    listed = client.get(f"/api/memory?stream={AGENT.principal}", headers=calling(AGENT)).json()["items"]
    own = client.get("/api/agent-memory", headers=calling(AGENT)).json()["items"]
    found = recall(client)
    hits = [item["item"] for item in found["items"]]
    assert [one["id"] for one in listed] == [one["id"] for one in own] == [one["id"] for one in hits] == [other["id"]]
    assert found["documents"] == 1
    assert client.delete(f"/api/memory/{event['id']}", headers=calling(AGENT)).status_code == 404


def test_a_foreign_event_cannot_be_deleted(client: Client) -> None:
    event = write(client)
    for other in (OTHER_AGENT, STRANGER):
        assert client.delete(f"/api/memory/{event['id']}", headers=calling(other)).status_code == 404
    assert client.delete("/api/memory/itm_nothing", headers=calling(AGENT)).status_code == 404
    assert len(recall(client)["items"]) == 1
