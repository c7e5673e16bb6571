"""The search for events: who finds what, in which order."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.actors import OTHER_WORKSPACE
from tests.memroos.memory.memory_twin import MemoryTwin

from memroos import memory
from memroos.memory import queries
from memroos_contracts.governance import Label, Sensitivity
from memroos_contracts.identity import DEFAULT_WORKSPACE, WorkspaceId, service_actor
from memroos_contracts.memory import Arm, MemoryEventView, MemoryKind, RecallQuery, RecallRequest, RecallResult
from memroos_kit.db import Database

START = datetime(2026, 1, 1, tzinfo=UTC)
ANNA, BERT = "agent:agt_anna", "agent:agt_bert"


class Log:
    """A log of events that are known by a number."""

    def __init__(self, db: Database) -> None:
        self.db = db
        self.numbers: dict[str, int] = {}

    def keep(
        self, number: int, text: str, author: str = ANNA, workspace: WorkspaceId = DEFAULT_WORKSPACE, **others: Any
    ) -> MemoryEventView:
        """Keep an event."""
        given: dict[str, Any] = {"stream": author, "kind": MemoryKind.MEMORY, "text": text, "author": author}
        given["occurred_at"] = START + timedelta(minutes=number)
        event = self.db.write_now(service_actor("kernel", workspace), memory.append_event, **given | others)
        self.numbers[event.id] = number
        return event

    def recall(
        self, query: str, reader: str = ANNA, workspace: WorkspaceId = DEFAULT_WORKSPACE, **filters: Any
    ) -> RecallResult:
        """Search."""
        request = RecallRequest(query=query, **filters)
        return self.db.read_now(service_actor("kernel"), queries.search, RecallQuery(workspace, reader, request))

    def find(self, query: str, *args: Any, **filters: Any) -> list[int]:
        """Return the numbers of what is found."""
        return [self.numbers[hit.item.id] for hit in self.recall(query, *args, **filters).items]


@pytest.fixture
def log(db: Database) -> Log:
    return Log(db)


def test_an_event_is_found_by_its_words(log: Log) -> None:
    log.keep(1, "The cranes were repaired")
    log.keep(2, "A ship came in")
    found = log.recall("who repairs the crane?")
    (hit,) = found.items
    assert log.numbers[hit.item.id] == 1
    assert set(hit.lexical) == {"crane", "repair"}
    assert hit.item.text == "The cranes were repaired"
    assert found.arms == (Arm.EPISODIC,)
    assert found.documents == 2


def test_readers_find_their_own_and_the_workspace_all_but_the_restricted(log: Log) -> None:
    log.keep(1, "crane of anna")
    log.keep(2, "crane for bert", agent_id="agt_bert")
    log.keep(3, "crane of bert", BERT)
    log.keep(4, "secret crane", label=Label(Sensitivity.RESTRICTED))
    log.keep(5, "crane elsewhere", workspace=OTHER_WORKSPACE)
    assert sorted(log.find("crane")) == [1, 2, 4]
    assert sorted(log.find("crane", BERT)) == [2, 3]
    assert sorted(log.find("crane", "")) == [1, 2, 3]
    assert log.find("crane", ANNA, OTHER_WORKSPACE) == [5]


def test_the_words_of_others_do_not_weigh_in_a_score(log: Log) -> None:
    for number, text in enumerate(("crane harbour", "crane crane ship", "ship")):
        log.keep(number, text)
    before = log.recall("crane harbour ship")
    for number in range(10, 30):
        log.keep(number, "crane crane", BERT)
    assert log.recall("crane harbour ship") == before


def test_the_best_is_first_and_the_newest_among_equals(log: Log) -> None:
    for number, text in enumerate(("ship and crane", "ship", "dock", "ship"), start=1):
        log.keep(number, text)
    assert log.find("crane ship") == [1, 4, 2]
    assert log.find("crane ship", limit=2) == [1, 4]


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
def test_a_filter_narrows_what_is_found(log: Log, filters: dict[str, Any]) -> None:
    fitting = {name: value for name, value in filters.items() if name not in ("kinds", "since")}
    if "kinds" in filters:
        fitting["kind"] = MemoryKind.RECEIPT
    log.keep(1, "crane")
    log.keep(2, "crane", **fitting)
    assert log.find("crane", **filters) == [2]


def test_the_end_of_a_period_does_not_belong_to_it(log: Log) -> None:
    log.keep(1, "crane")
    log.keep(2, "crane")
    assert log.find("crane", until=START + timedelta(minutes=2)) == [1]


def test_the_index_answers_like_a_search_through_everything(log: Log) -> None:
    vocabulary = ["crane", "harbour", "ship", "dock", "crew", "cargo"]
    twin = MemoryTwin()
    for n in range(60):
        words = " ".join(vocabulary[(n * step) % 6] for step in range(1, 2 + n % 5))
        twin.keep([log.keep(n, words, (ANNA, BERT)[n % 3 == 0])])
    request = RecallRequest(query="crane cargo crew", limit=20)
    expected = twin.recall(RecallQuery(DEFAULT_WORKSPACE, ANNA, request)).items
    found = log.recall(request.query, limit=20).items
    assert [(hit.item.id, hit.snippet) for hit in found] == [(hit.item.id, hit.snippet) for hit in expected]
    assert [hit.score for hit in found] == pytest.approx([hit.score for hit in expected])
