"""The port to a memory store: one test for every implementation."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.actors import OTHER_WORKSPACE

from memroos import audit, memory
from memroos.memory.rules import readers
from memroos_contracts import labels
from memroos_contracts.governance import INTERNAL, Label, Sensitivity
from memroos_contracts.identity import DEFAULT_WORKSPACE, WorkspaceId
from memroos_contracts.memory import (
    Arm,
    IngestEvent,
    IngestReport,
    MemoryEventView,
    MemoryKind,
    MemoryStore,
    RecallQuery,
    RecallRequest,
    RecallResult,
)
from memroos_kit.db import Database

START = datetime(2026, 1, 1, tzinfo=UTC)
ANNA, BERT = "agent:agt_anna", "agent:agt_bert"


@pytest.fixture(params=["episodic", "twin"])
def store(request: pytest.FixtureRequest, db: Database) -> MemoryStore:
    return memory.EpisodicStore(db) if request.param == "episodic" else memory.MemoryTwin()


def event(number: int, text: str, *, author: str = ANNA, label: Label = INTERNAL, **others: Any) -> MemoryEventView:
    given: dict[str, Any] = {
        "id": f"mem_{number:04}",
        "workspace_id": DEFAULT_WORKSPACE,
        "stream": author,
        "stream_seq": number,
        "kind": MemoryKind.MEMORY,
        "author": author,
        "text": text,
        "label": label,
        "digest": audit.digest(text),
        "created_at": START + timedelta(minutes=number),
    }
    return MemoryEventView(**given | others)


def ingest(store: MemoryStore, *events: MemoryEventView) -> IngestReport:
    handed_over = [
        IngestEvent(one, tuple(readers.readers_of(one)), labels.is_private(one.label), position)
        for position, one in enumerate(events, start=1)
    ]
    return asyncio.run(store.ingest(handed_over))


def recall(
    store: MemoryStore, query: str, reader: str = ANNA, workspace: WorkspaceId = DEFAULT_WORKSPACE, **filters: Any
) -> RecallResult:
    return asyncio.run(store.recall(RecallQuery(workspace, reader, RecallRequest(query=query, **filters))))


def ids(found: RecallResult) -> list[str]:
    return [item.item.id for item in found.items]


def test_what_was_ingested_is_found(store: MemoryStore) -> None:
    ingest(store, event(1, "The cranes were repaired"), event(2, "A ship came in"))
    found = recall(store, "who repairs the crane?")
    assert ids(found) == ["mem_0001"]
    assert set(found.items[0].lexical) == {"crane", "repair"}
    assert found.items[0].item.text == "The cranes were repaired"
    assert Arm.EPISODIC in found.arms
    assert found.documents == 2


def test_ingesting_again_changes_nothing(store: MemoryStore) -> None:
    assert ingest(store, event(1, "crane"), event(2, "ship")) == IngestReport(stored=2, known=0)
    before = recall(store, "crane ship")
    assert ingest(store, event(1, "otherwise"), event(2, "ship"), event(3, "dock")) == IngestReport(stored=1, known=2)
    assert ids(recall(store, "otherwise")) == []
    assert ids(recall(store, "crane ship")) == ids(before)


def test_readers_find_their_own_and_the_workspace_all_but_the_restricted(store: MemoryStore) -> None:
    ingest(
        store,
        event(1, "crane of anna"),
        event(2, "crane for bert", agent_id="agt_bert"),
        event(3, "crane of bert", author=BERT),
        event(4, "secret crane", label=Label(Sensitivity.RESTRICTED)),
        event(5, "crane elsewhere", workspace_id=OTHER_WORKSPACE),
    )
    assert sorted(ids(recall(store, "crane"))) == ["mem_0001", "mem_0002", "mem_0004"]
    assert sorted(ids(recall(store, "crane", BERT))) == ["mem_0002", "mem_0003"]
    assert sorted(ids(recall(store, "crane", ""))) == ["mem_0001", "mem_0002", "mem_0003"]
    assert ids(recall(store, "crane", workspace=OTHER_WORKSPACE)) == ["mem_0005"]


def test_the_words_of_others_do_not_weigh_in_a_score(store: MemoryStore) -> None:
    ingest(store, event(1, "crane harbour"), event(2, "crane crane ship"), event(3, "ship"))
    before = recall(store, "crane harbour ship")
    ingest(store, *(event(number, "crane crane", author=BERT) for number in range(10, 30)))
    assert recall(store, "crane harbour ship") == before


def test_the_best_is_first_and_the_newest_among_equals(store: MemoryStore) -> None:
    ingest(store, event(1, "ship and crane"), event(2, "ship"), event(3, "dock"), event(4, "ship"))
    assert ids(recall(store, "crane ship")) == ["mem_0001", "mem_0004", "mem_0002"]
    assert ids(recall(store, "crane ship", limit=2)) == ["mem_0001", "mem_0004"]


@pytest.mark.parametrize(
    "filters",
    [
        {"kinds": (MemoryKind.RECEIPT,)},
        {"stream": "other"},
        {"user_id": "usr_1"},
        {"run_id": "run_1"},
        {"task_id": "task_1"},
        {"context_id": "ctx_1"},
        {"agent_id": "agt_bert"},
        {"since": START + timedelta(minutes=2)},
    ],
)
def test_every_filter_means_the_same_everywhere(store: MemoryStore, filters: dict[str, Any]) -> None:
    fitting = {name: value for name, value in filters.items() if name not in ("kinds", "since")}
    if "kinds" in filters:
        fitting["kind"] = MemoryKind.RECEIPT
    ingest(store, event(1, "crane"), event(2, "crane", **fitting))
    assert ids(recall(store, "crane", **filters)) == ["mem_0002"]


def test_the_end_of_a_period_does_not_belong_to_it(store: MemoryStore) -> None:
    ingest(store, event(1, "crane"), event(2, "crane"))
    assert ids(recall(store, "crane", until=START + timedelta(minutes=2))) == ["mem_0001"]


def test_a_store_tells_how_it_is(store: MemoryStore) -> None:
    ingest(store, event(1, "crane"))
    health = asyncio.run(store.health())
    assert (health.ready, health.events) == (True, 1)


def test_two_stores_answer_alike(db: Database) -> None:
    vocabulary = ["crane", "harbour", "ship", "dock", "crew", "cargo"]
    events = [
        event(n, " ".join(vocabulary[(n * step) % 6] for step in range(1, 2 + n % 5)), author=(ANNA, BERT)[n % 3 == 0])
        for n in range(60)
    ]
    answers = []
    for store in (memory.EpisodicStore(db), memory.MemoryTwin()):
        ingest(store, *events)
        found = recall(store, "crane cargo crew", limit=20)
        answers.append([(item.item.id, pytest.approx(item.score), item.snippet) for item in found.items])
    assert answers[0] == answers[1]


def test_a_closed_database_is_an_unwell_store(db: Database) -> None:
    store = memory.EpisodicStore(db)
    db.close()
    assert asyncio.run(store.health()).ready is False
