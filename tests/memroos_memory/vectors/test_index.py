"""An index that is damaged, foreign, incomplete or away is noticed, put aside, and never in the way of the start."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import structlog
from tests.memroos_memory.vectors.conftest import DIMENSION, IDENTITY, filled, opened, points, rows, run, settings

from memroos_contracts.memory_errors import IndexUnavailable
from memroos_kit.settings import Secret
from memroos_memory.settings import MemorySettings
from memroos_memory.vectors import Point, StoreIndex, open_index
from memroos_memory.vectors.index import CURRENT
from memroos_memory.vectors.stores import Store

WRITER = """
import asyncio, sys
from pathlib import Path
from tests.memroos_memory.vectors.conftest import opened, points, rows

async def write():
    index = opened(Path(sys.argv[1]))
    vectors = rows(20_000)
    for first in range(1, len(vectors), 7):
        await index.upsert(points(vectors[first - 1 : first + 6], first=first))
        print(first + 6, flush=True)

asyncio.run(write())
"""


def vectors_folder(folder: Path) -> Path:
    return settings(folder).folder / "vectors"


def asides(folder: Path) -> list[str]:
    return sorted(path.name for path in settings(folder).folder.iterdir() if "damaged" in path.name)


def test_an_index_answers_the_same_after_it_was_closed_and_opened(tmp_path: Path) -> None:
    index = filled(tmp_path, points(rows(20)))
    before = run(index.search(rows(1)[0], [1], 20))
    index.close()

    index = opened(tmp_path, expected=20)

    assert run(index.search(rows(1)[0], [1], 20)) == before
    assert index.state().ready
    assert index.state().items == 20
    index.close()
    assert asides(tmp_path) == []


def test_it_tells_how_many_points_it_had_when_they_were_last_counted(tmp_path: Path) -> None:
    index = filled(tmp_path, points(rows(5)))
    run(index.remove([1, 2]))

    assert run(index.count()) == 3
    assert index.state().items == 3
    index.close()


def test_a_new_index_is_whole_where_there_is_nothing_to_put_in(tmp_path: Path) -> None:
    empty = opened(tmp_path / "a")
    lacking = opened(tmp_path / "b", expected=5)

    assert empty.state().ready
    assert not lacking.state().ready
    assert "0 of 5" in lacking.state().detail
    empty.close()
    lacking.close()


def test_an_index_that_lacks_vectors_says_so_until_it_was_made_anew(tmp_path: Path) -> None:
    filled(tmp_path, points(rows(4))).close()
    index = opened(tmp_path, expected=5)

    assert not index.state().ready
    assert "4 of 5" in index.state().detail

    run(index.begin(IDENTITY, DIMENSION))
    assert "being made anew" in index.state().detail
    run(index.fill(points(rows(5))))
    run(index.switch())

    assert index.state().ready
    assert index.state().detail == ""
    index.close()


def cut_short(folder: Path) -> None:
    for path in folder.rglob("segment.json"):
        path.write_bytes(path.read_bytes()[:10])


def fill_with_nonsense(folder: Path) -> None:
    for path in folder.rglob("edge_config.json"):
        path.write_bytes(os.urandom(100))


def break_the_engine(folder: Path) -> None:
    for path in folder.rglob("vector_storage/deleted/status.dat"):  # the engine's Rust panics
        path.write_bytes(b"")


def forget_the_scopes(folder: Path) -> None:
    for path in folder.rglob("payload_index/config.json"):
        path.unlink()


def forget_which(folder: Path) -> None:
    (folder / CURRENT).unlink()


def scramble_which(folder: Path) -> None:
    (folder / CURRENT).write_bytes(b"{")


@pytest.mark.parametrize(
    "damage",
    [cut_short, fill_with_nonsense, break_the_engine, forget_the_scopes, forget_which, scramble_which],
    ids=lambda damage: damage.__name__,
)
def test_a_damaged_index_is_put_aside_and_the_start_goes_on(tmp_path: Path, damage: Callable[[Path], None]) -> None:
    filled(tmp_path, points(rows(5))).close()
    damage(vectors_folder(tmp_path))

    index = opened(tmp_path, expected=5)

    assert asides(tmp_path) == ["vectors.damaged-1"]
    assert not index.state().ready
    assert "vectors.damaged-1" in index.state().detail
    assert run(index.search(rows(1)[0], [1], 5)) == []
    run(index.upsert(points(rows(5))))
    assert run(index.count()) == 5
    index.close()


def test_an_index_that_finds_no_room_is_not_damaged_and_answers_once_there_is_some(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    filled(tmp_path, points(rows(5))).close()
    with monkeypatch.context() as full:
        full.setattr("memroos_memory.vectors.edge_store.ROOM_BYTES", 2**62)
        index = opened(tmp_path, expected=5)
        assert not index.state().ready
        with pytest.raises(IndexUnavailable, match="no room"):
            run(index.search(rows(1)[0], [1], 5))

    assert len(run(index.search(rows(1)[0], [1], 5))) == 5
    assert index.state().ready
    index.close()
    assert asides(tmp_path) == []


def test_each_damaged_index_has_a_place_of_its_own(tmp_path: Path) -> None:
    for _ in range(2):
        filled(tmp_path, points(rows(2))).close()
        scramble_which(vectors_folder(tmp_path))

    opened(tmp_path).close()

    assert asides(tmp_path) == ["vectors.damaged-1", "vectors.damaged-2"]


def test_a_deleted_index_is_begun_again(tmp_path: Path) -> None:
    filled(tmp_path, points(rows(5))).close()
    for path in sorted(vectors_folder(tmp_path).rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    vectors_folder(tmp_path).rmdir()

    index = opened(tmp_path, expected=5)

    assert not index.state().ready
    assert run(index.count()) == 0
    index.close()


def test_silent_damage_is_found_by_a_sample(tmp_path: Path) -> None:
    some = points(rows(20))
    filled(tmp_path, some).close()
    for path in vectors_folder(tmp_path).rglob("chunk_0.mmap"):
        size = path.stat().st_size
        with path.open("r+b") as chunk:
            chunk.write(os.urandom(min(size, 65_536)))

    index = opened(tmp_path, expected=20)

    assert index.state().ready  # it opens, and counts right
    assert not run(index.holds(some))
    assert not index.state().ready
    index.close()


@pytest.mark.parametrize(("identity", "dimension"), [("hash/other/16", 16), ("hash/words/8", 8)])
def test_an_index_of_another_embedder_is_put_aside(tmp_path: Path, identity: str, dimension: int) -> None:
    filled(tmp_path, points(rows(5))).close()

    index = opened(tmp_path, expected=5, identity=identity, dimension=dimension)

    assert asides(tmp_path) == ["vectors.damaged-1"]
    assert index.identity == identity
    assert not index.state().ready
    run(index.upsert(points(rows(1, dimension))))
    index.close()


def test_a_store_of_another_length_than_it_is_said_to_be_is_put_aside(tmp_path: Path) -> None:
    filled(tmp_path, points(rows(5))).close()
    which = vectors_folder(tmp_path) / CURRENT
    which.write_text(which.read_text().replace(f'"dimension":{DIMENSION}', '"dimension":8').replace("/16", "/8"))

    index = opened(tmp_path, expected=5, identity="hash/words/8", dimension=8)

    assert asides(tmp_path) == ["vectors.damaged-1"]
    run(index.upsert(points(rows(1, 8))))
    index.close()


def test_what_was_begun_and_never_answered_is_removed_at_the_next_start(tmp_path: Path) -> None:
    index = filled(tmp_path, points(rows(5)))
    run(index.begin(IDENTITY, DIMENSION))
    run(index.fill(points(rows(3))))
    index._pool.shutdown()  # as if killed: nothing is closed

    left = [path for path in vectors_folder(tmp_path).iterdir() if path.is_dir()]
    assert index._next is not None
    index._next.store.close()
    assert index._current is not None
    index._current.store.close()
    again = opened(tmp_path, expected=5)

    assert len(left) == 2
    assert len([path for path in vectors_folder(tmp_path).iterdir() if path.is_dir()]) == 1
    assert again.state().ready
    assert run(again.count()) == 5
    again.close()


def test_an_index_in_use_by_another_process_is_away_and_not_damaged(tmp_path: Path) -> None:
    first = filled(tmp_path, points(rows(5)))
    second = opened(tmp_path, expected=5)

    assert not second.state().ready
    assert "does not answer" in second.state().detail
    with pytest.raises(IndexUnavailable):
        run(second.count())
    assert asides(tmp_path) == []

    first.close()
    assert run(second.count()) == 5
    assert second.state().ready
    second.close()


def test_a_server_that_is_away_is_tried_again_and_does_not_hold_up_the_start(tmp_path: Path) -> None:
    away = MemorySettings(
        data_dir=tmp_path, vector_store="qdrant", qdrant_url="http://127.0.0.1:9", qdrant_key=Secret("k")
    )
    index = open_index(away, DIMENSION, IDENTITY)

    assert not index.state().ready
    for work in (index.search(rows(1)[0], [1], 5), index.upsert(points(rows(1))), index.remove([1]), index.count()):
        with pytest.raises(IndexUnavailable):
            run(work)
    index.close()


def test_what_a_server_says_stays_in_the_log(tmp_path: Path) -> None:
    def opener(name: str, dimension: int) -> Store:
        raise ConnectionError(f"{name} of Ann's birthday is away")

    index = StoreIndex(tmp_path, opener, identity=IDENTITY, dimension=DIMENSION, local=False)
    with structlog.testing.capture_logs() as logged, pytest.raises(IndexUnavailable) as away:
        run(index.count())
    index.close()

    assert away.value.detail == "The vector index does not answer: ConnectionError; the log says more."
    assert ["Ann's birthday" in entry["error"] for entry in logged] == [True]


def test_what_a_server_says_to_a_question_stays_in_the_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> int:
        raise ValueError("unknown word: birthday")

    index = opened(tmp_path)
    assert index._current is not None
    monkeypatch.setattr(index._current.store, "count", refuse)

    with pytest.raises(IndexUnavailable) as failed:
        run(index.count())
    index.close()

    assert failed.value.detail == "The vector index failed: ValueError; the log says more."


def test_a_closed_index_does_not_answer(tmp_path: Path) -> None:
    index = opened(tmp_path)
    index.close()
    index.close()

    with pytest.raises(IndexUnavailable):
        run(index.count())


def test_many_at_once_lose_nothing_and_find_their_own(tmp_path: Path) -> None:
    vectors = rows(600)
    every = points(vectors, scopes=6)
    index = opened(tmp_path)

    async def write(own: int) -> None:
        mine = [point for point in every if point.scope_seq == own]
        for start in range(0, len(mine), 5):
            await index.upsert(mine[start : start + 5])
            hits = await index.search(mine[start].vector, [own], 1)
            assert hits[0][0] == mine[start].item_seq
        await index.remove([point.item_seq for point in mine[::10]])

    async def rebuild() -> None:
        await index.begin(IDENTITY, DIMENSION)
        await index.fill(every)
        await index.fill((), [point.item_seq for own in range(1, 7) for point in in_scope(every, own)[::10]])

    async def story() -> None:
        await asyncio.gather(*(write(own) for own in range(1, 7)), rebuild())
        await index.switch()

    run(story())

    expected = {p.item_seq for own in range(1, 7) for at, p in enumerate(in_scope(every, own)) if at % 10}
    assert {seq for seq, _ in run(index.search(vectors[0], range(1, 7), 600))} == expected
    index.close()


def in_scope(every: list[Point], own: int) -> list[Point]:
    return [point for point in every if point.scope_seq == own]


def killed_while_writing(folder: Path, after_s: float) -> int:
    """Kill a process that writes into the index; return the last point that it says is in there."""
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(folder)], stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[3]
    )
    assert writer.stdout is not None
    last = int(writer.stdout.readline())
    time.sleep(after_s)
    writer.send_signal(signal.SIGKILL)
    said = [int(line) for line in writer.stdout if line.endswith("\n")]
    writer.wait()
    writer.stdout.close()
    return said[-1] if said else last


def check_killed(folder: Path, after_s: float) -> None:
    last = killed_while_writing(folder, after_s)
    vectors = rows(20_000)[: last + 7]

    index: StoreIndex = opened(folder, expected=last)

    assert asides(folder) == []
    assert run(index.count()) >= last
    assert run(index.holds(points(vectors[:last])[:: max(1, last // 20)]))
    run(index.begin(IDENTITY, DIMENSION))
    run(index.fill(points(vectors[:last])))
    run(index.switch())
    assert index.state().ready
    assert run(index.count()) == last
    index.close()


def test_what_was_answered_survives_a_kill_and_the_index_is_made_anew(tmp_path: Path) -> None:
    check_killed(tmp_path, 0.05)


@pytest.mark.long
def test_what_was_answered_survives_a_kill_at_any_time(tmp_path: Path) -> None:
    for at in range(20):
        check_killed(tmp_path / f"{at}", at * 0.02)
