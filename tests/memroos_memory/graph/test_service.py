"""The memory service with its graph on a real Neo4j: the same answers as with the file, whatever the server does."""

import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.flows.memory import Memory, viewer
from tests.flows.service import free_port
from tests.memroos_memory.graph.neo4j_server.server import Neo4jServer, can_run
from tests.memroos_memory.items.conftest import ANN, START, event

pytestmark = [pytest.mark.long, pytest.mark.timeout(900)]

SAID = (
    ("Anna", "My sister Clara lives in Lisbon."),
    ("Ben", "I work for Acme in Porto."),
    ("Anna", "Clara works for Umbrella now."),
    ("Ben", "Lisbon had rain all week, Porto did not."),
    ("Anna", "My dog Rex loves the beach in Lisbon."),
    ("Ben", "Umbrella opened an office in Madrid."),
    ("Anna", "Clara plays chess with Diego every Friday."),
    ("Ben", "Diego moved to Madrid in March."),
)
LATER = (
    ("Anna", "Clara moved to Madrid."),
    ("Ben", "Rex ran after the ferry in Lisbon."),
    ("Anna", "Diego works for Acme."),
    ("Ben", "Eva lives in Porto with her cat Tom."),
)
QUESTIONS = (
    "Where does Clara live?",
    "Who works for Umbrella?",
    "What about Diego?",
    "Who is in Lisbon?",
    "Where is Rex?",
)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Neo4jServer]:
    """A real Neo4j that a test may kill."""
    if not can_run():
        pytest.skip("a Neo4j that may be killed needs java and mvn on the PATH, to fetch and start one")
    started = Neo4jServer(tmp_path / "neo4j", free_port()).start()
    yield started
    started.kill()


def hear(service: Memory, said: tuple[tuple[str, str], ...], first: int) -> None:
    """Hand over what was said, as the kernel does."""
    events = [
        msgspec.structs.replace(
            event(f"e{number:03}", text, speaker=speaker, stream_seq=number, at=START + timedelta(minutes=number)),
            position=number,
        )
        for number, (speaker, text) in enumerate(said, start=first)
    ]
    report = service.done("/v1/events", {"events": msgspec.to_builtins(events)})
    assert report["stored"] == len(said)


def settle(service: Memory) -> None:
    """Wait until everything is worked off, graph included."""
    until = time.monotonic() + 90
    while time.monotonic() < until:
        said = service.done("/v1/jobs/wait", {"viewer": viewer(), "request": {"wait_s": 5.0}})
        indexes = service.done("/v1/stats", {"viewer": viewer()})["indexes"]
        if said["idle"] and all(index["ready"] for index in indexes):
            assert said["jobs"]["dead"] == 0
            return
    raise AssertionError(f"still at work: {said} {indexes}\n{service.log()[-3_000:]}")


def ask(service: Memory, question: str) -> Any:
    """Ask on behalf of the one whose conversation it is."""
    query = {
        "workspace_id": "default",
        "reader": ANN,
        "request": {"query": question, "explain": True, "reference_time": "2026-01-02T00:00:00Z"},
    }
    return service.done("/v1/recall", query)


def answers(service: Memory) -> list[Any]:
    """Return what is found for each question, and what the graph thought of it; ids of derived items differ."""
    found = [ask(service, question) for question in QUESTIONS]
    assert all(answer["missing"] == [] for answer in found)
    assert any("graph" in hit["arms"] and hit["arms"]["graph"]["rank"] for answer in found for hit in answer["items"])
    return [
        [(hit["sources"], round(hit["score"], 9), hit["arms"].get("graph")) for hit in answer["items"]]
        for answer in found
    ]


def test_on_neo4j_the_same_is_found_also_after_it_was_killed_and_after_it_was_built_anew(
    tmp_path: Path, server: Neo4jServer
) -> None:
    patient = {"job_backoff_s": "0.5", "job_attempts": "20"}
    on_neo4j = {**patient, "graph_store": "neo4j", "neo4j_uri": server.uri}
    with Memory(tmp_path / "file", settings=patient) as file, Memory(tmp_path / "server", settings=on_neo4j) as service:
        for one in (file, service):
            hear(one, SAID, first=1)
            settle(one)
        assert answers(service) == answers(file)

        server.kill()
        hear(service, LATER, first=len(SAID) + 1)
        without = ask(service, QUESTIONS[0])
        assert without["missing"] == ["graph"]
        assert without["items"]
        assert without["detail"] == "The graph cannot be asked at the moment."
        server.start()
        hear(file, LATER, first=len(SAID) + 1)
        for one in (file, service):
            settle(one)
        assert answers(service) == answers(file)

        job = service.done("/v1/reindex", {"viewer": viewer(), "request": {"indexes": ["graph"]}})
        assert job["label"] == "reindex"
        settle(service)
        assert answers(service) == answers(file)
