"""Indexes deleted, damaged, or made by another embedder: real processes give the same answers as before."""

import os
import shutil
import time
from collections.abc import Iterator
from typing import Any

import pytest
from tests.flows.memory import System

SAID = (
    "My brother Tom bought a red bicycle in Porto.",
    "We painted the kitchen blue last weekend.",
    "The dentist moved to Baker Street.",
    "I live in Lisbon with two cats.",
    "Tom visits Lisbon in May.",
    "The ferry leaves from quay number four.",
)
QUESTIONS = (
    "Who bought the red bicycle?",
    "Where did the dentist move?",
    "Who visits Lisbon in May?",
    "From which quay does the ferry leave?",
)


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """A kernel and a memory service that remember a few things."""
    with System(tmp_path_factory.mktemp("system")) as running:
        for text in SAID:
            running.kernel.done("POST", "/api/agent-memory", {"text": text, "speaker": "Ann"})
        running.wait_idle()
        yield running


def answers(system: System) -> list[Any]:
    """Ids and scores for each question."""
    found = []
    for question in QUESTIONS:
        answer = system.kernel.done("POST", "/api/recall", {"query": question})
        assert answer["missing"] == [], answer
        found.append([(item["item"]["id"], item["score"]) for item in answer["items"]])
    assert all(found)
    return found


def wait_whole(system: System) -> None:
    """Wait until every index says that nothing is missing in it."""
    until = time.monotonic() + 30
    while not all(index["ready"] for index in system.kernel.done("GET", "/api/memory/stats")["indexes"]):
        assert time.monotonic() < until, system.memory.log()[-2000:]
        time.sleep(0.1)


def reindex(system: System) -> None:
    system.kernel.done("POST", "/api/memory/reindex", {})
    system.wait_idle()


def test_indexes_deleted_on_the_disk_are_rebuilt_to_identical_answers(system: System) -> None:
    before = answers(system)
    folder = system.memory.data_dir / "memory"

    system.memory.kill()
    shutil.rmtree(folder / "vectors")
    for path in (folder / "graph").glob("*"):
        path.unlink()
    system.memory.start()
    reindex(system)

    assert answers(system) == before


@pytest.mark.long
def test_a_damaged_index_does_not_hold_up_the_start_and_is_rebuilt_by_itself(system: System) -> None:
    before = answers(system)
    folder = system.memory.data_dir / "memory"

    system.memory.kill()
    for path in (folder / "vectors").rglob("edge_config.json"):
        path.write_bytes(os.urandom(64))
    system.memory.start()
    wait_whole(system)

    assert (folder / "vectors.damaged-1").is_dir()
    assert answers(system) == before


@pytest.mark.long
def test_another_embedder_takes_over_in_the_background(system: System) -> None:
    system.memory.stop()
    system.memory.settings["embedder_dimension"] = "256"
    system.memory.start()
    assert all(answers(system))
    system.wait_idle()

    stats = system.kernel.done("GET", "/api/memory/stats")

    assert [(one["identity"], one["state"], one["vectors"]) for one in stats["embedders"]] == [
        ("hash/words/256", "active", stats["embedders"][0]["vectors"])
    ]
    assert stats["embedders"][0]["vectors"] >= len(SAID)
    assert [index["ready"] for index in stats["indexes"]] == [True, True, True]
    assert all(answers(system))
