"""The embedded store as mem0 would use it: its whole interface, and no filter that leaves the scope open."""

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.memroos_memory.vectors.conftest import DIMENSION, rows

from memroos_contracts.errors import StorageFull
from memroos_contracts.memory_errors import FilterRefused
from memroos_memory.embedders import mem0_setup
from memroos_memory.vectors import stores


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Any]:
    """A store made by mem0's factory, with twenty points in two scopes."""
    mem0_setup.prepare(tmp_path)
    made: Any = stores.open_edge(tmp_path, "points", DIMENSION)
    made.insert(rows(20).tolist(), [{"scope": 1 + n % 2} for n in range(20)], list(range(1, 21)))
    yield made
    made.close()


def within(*scopes: int) -> dict[str, Any]:
    return {"scope": {"in": list(scopes)}}


def test_it_is_a_store_of_mem0s(store: Any) -> None:
    assert isinstance(store, mem0_setup.part("mem0.vector_stores.base").VectorStoreBase)
    assert store.list_cols() == ["points"]
    assert store.col_info().points_count == 20


OPEN: tuple[Any, ...] = (
    None,
    {},
    {"scope": "*"},
    {"scope": 1},
    {"scope": {"in": []}},
    {"scope": {"in": ["1"]}},
    {"scope": {"in": [True]}},
    {"scope": {"nin": [2]}},
    {"scope": {"in": [1], "gte": 0}},
    {"user_id": "*"},
    {"user_id": "ann", "AND": [{"user_id": "bob"}]},
    {"scope": {"in": [1]}, "OR": [{"scope": {"in": [2]}}]},
    {"AND": [{"scope": {"in": [1]}}]},
    {"NOT": [{"scope": {"in": [1]}}]},
    [("scope", 1)],
)


def test_a_filter_that_could_reach_others_is_refused(store: Any) -> None:
    for filters in OPEN:
        with pytest.raises(FilterRefused):
            store.search("", rows(1)[0].tolist(), top_k=5, filters=filters)
        with pytest.raises(FilterRefused):
            store.list(filters)


def test_points_are_found_within_their_scopes_only(store: Any) -> None:
    hits = store.search("", rows(1)[0].tolist(), top_k=20, filters=within(1))

    assert {hit.id for hit in hits} == set(range(1, 21, 2))
    assert hits[0].id == 1
    assert {hit.id for hit in store.list(within(2), top_k=50)[0]} == set(range(2, 21, 2))


def test_a_point_is_read_replaced_and_taken_out(store: Any) -> None:
    assert store.get(3).payload == {"scope": 1}

    store.update(3, vector=rows(1)[0].tolist(), payload={"scope": 2})
    assert store.get(3).payload == {"scope": 2}

    store.delete(3)
    assert store.get(3) is None
    assert store.count() == 19


def test_half_a_point_is_a_mistake(store: Any) -> None:
    with pytest.raises(ValueError, match="as a whole"):
        store.update(3, payload={"scope": 2})
    with pytest.raises(ValueError, match="a scope"):
        store.insert([rows(1)[0].tolist()])


def test_reset_leaves_an_empty_store(store: Any) -> None:
    store.reset()

    assert store.count() == 0
    assert store.search("", rows(1)[0].tolist(), filters=within(1, 2)) == []


def test_the_engines_log_does_not_grow_for_ever(store: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("memroos_memory.vectors.edge_store._FLUSH_EVERY", 1_000)
    flushed: list[int] = []
    flush = store._shard.flush

    class Shard:
        """The engine's shard, with a count of how often it writes down what it has."""

        def __getattr__(self, name: str) -> Any:
            return getattr(shard, name)

        def flush(self) -> None:
            flushed.append(store._unflushed)
            flush()

    shard, store._shard = store._shard, Shard()
    for _ in range(5):
        store.insert(rows(400).tolist(), [{"scope": 1}] * 400, list(range(1, 401)))
    store.delete_many(list(range(1, 401)))

    assert len(flushed) == 2


def test_threads_at_once_lose_nothing(store: Any) -> None:
    vectors = rows(800, seed=3)
    failures: list[Exception] = []

    def hammer(own: int) -> None:
        try:
            for n in range(own, 800, 8):
                store.insert([vectors[n].tolist()], [{"scope": 100 + own}], [1_000 + n])
                found = store.search("", vectors[n].tolist(), top_k=1, filters=within(100 + own))
                assert found[0].id == 1_000 + n
                if n % 3 == 0:
                    store.delete(1_000 + n)
        except Exception as error:  # noqa: BLE001 - the test asserts that there is none
            failures.append(error)

    threads = [threading.Thread(target=hammer, args=(own,)) for own in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert failures == []
    assert store.count() == 20 + len([n for n in range(800) if n % 3])


def test_without_room_on_the_disk_nothing_is_written_and_what_is_there_still_found(
    store: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("memroos_memory.vectors.edge_store.ROOM_BYTES", 2**62)

    with pytest.raises(StorageFull):
        store.insert(rows(1).tolist(), [{"scope": 1}], [99])
    with pytest.raises(StorageFull):
        stores.open_edge(tmp_path, "another", DIMENSION)

    assert store.count() == 20
    assert store.search("", rows(1)[0].tolist(), top_k=1, filters=within(1))[0].id == 1
