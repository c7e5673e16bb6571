"""What every vector index does, whatever is behind it."""

import warnings
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias, cast

import numpy as np
import pytest
from qdrant_client import QdrantClient
from tests.memroos_memory.vectors.conftest import DIMENSION, IDENTITY, opened, points, rows, run, settings
from tests.memroos_memory.vectors.twin import PlainIndex

from memroos_contracts.memory_errors import IndexUnavailable, WrongDimension
from memroos_memory.embedders import mem0_setup
from memroos_memory.vectors import StoreIndex, stores

AnyIndex: TypeAlias = StoreIndex | PlainIndex


def in_process_client() -> QdrantClient:
    """Qdrant's client without a server."""
    client = QdrantClient(":memory:")
    client.close = lambda **_: None  # type: ignore[method-assign]  # it is one for all collections here
    return client


def in_process_server(
    folder: Path, client: QdrantClient, *, identity: str = IDENTITY, dimension: int = DIMENSION
) -> StoreIndex:
    """mem0's own store, over Qdrant's client without a server: the same calls, another wire."""
    mem0_setup.prepare(folder)
    made = settings(folder)
    opener = partial(stores.open_server, made, client=client)
    return StoreIndex(made.folder / "vectors", opener, identity=identity, dimension=dimension, local=False)


@pytest.fixture(params=["edge", "server", "plain"])
def index(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[AnyIndex]:
    """An index of each kind."""
    made: AnyIndex
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Payload indexes have no effect")  # without a server, they have none
        match request.param:
            case "edge":
                made = opened(tmp_path)
            case "server":
                made = in_process_server(tmp_path, in_process_client())
            case _:
                made = PlainIndex(DIMENSION, IDENTITY)
        yield made
        made.close()


def test_the_nearest_come_first_with_their_cosine(index: AnyIndex) -> None:
    vectors = rows(50)
    run(index.upsert(points(vectors)))

    hits = run(index.search(vectors[7], [1], 10))

    exact = np.argsort(-(vectors @ vectors[7]))[:10]
    assert [seq for seq, _ in hits] == [at + 1 for at in exact.tolist()]
    assert [score for _, score in hits] == pytest.approx((vectors @ vectors[7])[exact].tolist(), abs=2e-3)


def test_only_the_scopes_that_are_named_are_searched(index: AnyIndex) -> None:
    vectors = rows(60)
    run(index.upsert(points(vectors, scopes=3)))

    found = {seq for seq, _ in run(index.search(vectors[0], [2, 3], 60))}

    assert found == {seq for seq in range(1, 61) if (seq - 1) % 3 in (1, 2)}


def test_no_scope_finds_nothing(index: AnyIndex) -> None:
    run(index.upsert(points(rows(5))))

    assert run(index.search(rows(1)[0], [], 10)) == []
    assert run(index.search(rows(1)[0], [99], 10)) == []


ESCAPES = (
    "*",
    ["*"],
    {"user_id": "*"},
    [{"user_id": "bob"}],
    {"AND": [{"scope": 2}]},
    [{"AND": [{"scope": "*"}]}],
    {"scope": {"in": [1, 2]}},
    [None],
    [True],
    ["2"],
    [2.0],
    b"2",
)


def test_what_reaches_into_others_memories_in_mem0_is_refused(index: AnyIndex) -> None:
    run(index.upsert(points(rows(10), scopes=2)))

    for escape in ESCAPES:
        with pytest.raises(TypeError):
            run(index.search(rows(1)[0], cast("Any", escape), 10))


def test_a_point_is_replaced_and_moves_with_its_scope(index: AnyIndex) -> None:
    vectors = rows(2)
    run(index.upsert(points(vectors[:1])))

    run(index.upsert([points(vectors[1:])[0]._replace(item_seq=1, scope_seq=2)]))

    assert run(index.count()) == 1
    assert run(index.search(vectors[1], [1], 5)) == []
    ((seq, score),) = run(index.search(vectors[1], [2], 5))
    assert seq == 1
    assert score == pytest.approx(1, abs=2e-3)


def test_removed_points_are_not_found_and_strangers_are_none(index: AnyIndex) -> None:
    vectors = rows(10)
    run(index.upsert(points(vectors)))

    run(index.remove([1, 2, 999]))
    run(index.remove([]))

    assert {seq for seq, _ in run(index.search(vectors[0], [1], 20))} == set(range(3, 11))
    assert run(index.count()) == 8


def test_vectors_of_another_length_are_refused(index: AnyIndex) -> None:
    with pytest.raises(WrongDimension):
        run(index.upsert(points(rows(1, DIMENSION + 1))))
    with pytest.raises(WrongDimension):
        run(index.search(rows(1, DIMENSION - 1)[0], [1], 5))

    assert run(index.count()) == 0


def test_vectors_of_another_embedder_are_refused(index: AnyIndex) -> None:
    with pytest.raises(IndexUnavailable):
        run(index.upsert(points(rows(1)), identity="hash/others/16"))

    run(index.upsert(points(rows(1)), identity=IDENTITY))

    assert run(index.count()) == 1


@pytest.mark.filterwarnings("ignore:Payload indexes have no effect")
@pytest.mark.parametrize("named", [(IDENTITY, DIMENSION), ("hash/words/8", 8)])
def test_a_server_keeps_no_collection_that_nobody_asks_any_more(tmp_path: Path, named: tuple[str, int]) -> None:
    client = in_process_client()
    index = in_process_server(tmp_path, client)
    run(index.upsert(points(rows(3))))
    run(index.begin("hash/words/8", 8))
    assert len(client.get_collections().collections) == 2
    index._pool.shutdown()  # as if killed: nothing is closed

    identity, dimension = named
    again = in_process_server(tmp_path, client, identity=identity, dimension=dimension)

    (left,) = client.get_collections().collections
    assert again._current is not None
    assert left.name == again._current.name
    again.close()


def test_an_index_made_anew_answers_only_after_the_switch(index: AnyIndex) -> None:
    old, new = rows(5), rows(5, 8, seed=1)
    run(index.upsert(points(old)))

    run(index.begin("hash/words/8", 8))
    run(index.fill(points(new, first=11)))
    before = run(index.search(old[0], [1], 10))
    run(index.switch())

    assert {seq for seq, _ in before} == {1, 2, 3, 4, 5}
    assert {seq for seq, _ in run(index.search(new[0], [1], 10))} == {11, 12, 13, 14, 15}
    assert index.identity == "hash/words/8"
    assert index.state().ready


def test_what_changes_while_an_index_is_made_anew_is_in_it(index: AnyIndex) -> None:
    vectors = rows(12)
    run(index.upsert(points(vectors[:10])))

    run(index.begin(IDENTITY, DIMENSION))
    run(index.upsert(points(vectors[10:], first=11)))
    run(index.fill(points(vectors[:10])))
    run(index.remove([1]))
    run(index.fill((), [2]))
    run(index.switch())

    assert {seq for seq, _ in run(index.search(vectors[0], [1], 20))} == set(range(3, 13))


def test_a_sample_is_found_by_its_own_vectors(index: AnyIndex) -> None:
    some = points(rows(20), scopes=2)
    run(index.upsert(some))

    assert run(index.holds(some[::3]))

    run(index.remove([some[3].item_seq]))
    assert not run(index.holds(some[::3]))
