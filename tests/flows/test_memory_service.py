"""Remembering and recalling through the kernel, while the memory service comes and goes."""

import time
from collections.abc import Iterator
from typing import Any

import pytest
from tests.flows.memory import SERVICE_KEY, System, viewer


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """A kernel and a memory service with the real embedder."""
    folder = tmp_path_factory.mktemp("system")
    with System(folder, memory_settings={"embedder": "embedded"}) as running:
        yield running


def remember(system: System, text: str, **more: Any) -> str:
    return str(system.kernel.done("POST", "/api/agent-memory", {"text": text, **more})["id"])


def recall(system: System, question: str, **more: Any) -> Any:
    return system.kernel.done("POST", "/api/recall", {"query": question, **more})


def found(answer: Any) -> list[str]:
    return [source for hit in answer["items"] for source in hit["sources"]]


def test_what_was_remembered_is_found_by_its_meaning(system: System) -> None:
    piano = remember(system, "She practises the piano every evening before dinner.", speaker="Melanie")
    remember(system, "The car needs new tyres before the winter.", speaker="Caroline")
    system.wait_idle()

    answer = recall(system, "Which musical instrument does Melanie play?")

    assert found(answer)[0] == piano, answer
    assert "vector" in answer["arms"]
    assert answer["missing"] == []
    assert recall(system, "What is the boiling point of tungsten?")["items"] == []


def test_while_the_service_is_away_nothing_is_lost_and_answers_say_so(system: System) -> None:
    system.memory.kill()

    quay = remember(system, "The ferry to Tromsø leaves from quay number four.")
    meanwhile = recall(system, "From which quay does the ferry leave?")

    assert found(meanwhile) == [quay]
    assert "episodic" in meanwhile["arms"]
    assert {"vector", "graph"} <= set(meanwhile["missing"])
    assert meanwhile["detail"]

    system.memory.start()
    system.wait_idle()
    after = recall(system, "From which quay does the ferry leave?")

    assert found(after)[0] == quay
    assert "vector" in after["arms"]
    assert after["pending"] == 0
    stored = system.memory.done("/v1/items/list", {"viewer": viewer(), "query": {"kinds": ["event"]}})
    texts = [item["text"] for item in stored["items"]]
    assert len(texts) == len(set(texts)) == 3


def test_a_kernel_that_was_killed_hands_over_what_it_had_acknowledged(system: System) -> None:
    kept = remember(system, "The archive room is kept at eighteen degrees.")
    system.kernel.kill()
    system.kernel.start()

    system.wait_idle()

    assert found(recall(system, "How warm is the archive room?"))[0] == kept


def test_what_was_deleted_is_on_no_read_path(system: System) -> None:
    gone = remember(system, "The safe's combination is written under the blue lamp.")
    system.wait_idle()
    assert found(recall(system, "Where is the combination of the safe?"))[:1] == [gone]

    system.kernel.done("DELETE", f"/api/memory/{gone}?reason=private")

    assert gone not in found(recall(system, "Where is the combination of the safe?", floor=False))
    assert system.kernel.call("GET", f"/api/memory/{gone}").status_code in (404, 410)
    system.wait_idle()
    until = time.monotonic() + 10
    while system.memory.call("/v1/items/get", {"viewer": viewer(), "item_id": gone}).status_code == 200:
        assert time.monotonic() < until, "the service still has it"
        time.sleep(0.05)


def test_only_the_kernel_comes_in(system: System) -> None:
    for key in ("", "another-key-0123456789012345678901234567", SERVICE_KEY + "x", SERVICE_KEY[:-1]):
        refused = system.memory.call("/v1/stats", {"viewer": viewer()}, key=key)
        assert (refused.status_code, refused.json()["type"]) == (401, "/problems/unauthenticated")
    assert SERVICE_KEY not in system.memory.log() + system.kernel.log()
