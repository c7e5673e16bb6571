"""The graph's file: kept, damaged, deleted, full."""

import asyncio
import os
import shutil
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import pytest
from tests.memroos_memory.graph.said import mentions, proves

from memroos_contracts.errors import StorageFull
from memroos_contracts.memory_errors import IndexUnavailable
from memroos_kit.sqlite import sqlite3
from memroos_memory.graph import Graph, GraphCount, SqliteGraph, graph_file, open_graph, tables
from memroos_memory.settings import MemorySettings

T = TypeVar("T")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the graph is."""
    return tmp_path / "graph" / "graph.db"


def tell(path: Path, story: Callable[[SqliteGraph], Awaitable[T]]) -> T:
    """Run a story with the graph in a file."""

    async def run() -> T:
        graph = SqliteGraph(path)
        try:
            return await story(graph)
        finally:
            await graph.close()

    return asyncio.run(run())


async def build(graph: Graph) -> None:
    """Put something in, and call it complete."""
    await graph.put(1, [proves(seq, f"e{seq}", "next", f"e{seq + 1}") for seq in range(1, 400)])
    await graph.complete()


async def set_aside(graph: Graph) -> str:
    """Return what the state says of a file that was put aside."""
    state = await graph.state()
    assert not state.ready
    assert state.items == 0
    return state.detail


def others(path: Path) -> list[str]:
    """Return what is beside the graph's file."""
    return sorted(one.name for one in path.parent.iterdir() if not one.name.startswith("graph.db-") and one != path)


def test_what_was_put_is_there_after_a_restart(path: Path) -> None:
    tell(path, build)

    async def look(graph: Graph) -> None:
        assert (await graph.state()).ready
        assert [hit.item_seq for hit in await graph.items_of([1], ["e1"], hops=0)] == [1]

    tell(path, look)
    assert path.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(
    "garbage", [b"not a database at all, but long enough" * 100, b"SQLite format 3\x00" + b"\xff" * 600]
)
def test_a_file_that_is_no_database_is_put_aside(path: Path, garbage: bytes) -> None:
    path.parent.mkdir()
    path.write_bytes(garbage)

    async def story(graph: Graph) -> None:
        await graph.put(1, [mentions(1, "Ann")])
        assert (await graph.state()).detail.startswith("Its file was damaged and is now graph.db.damaged-")
        await graph.complete()
        assert ((await graph.state()).ready, (await graph.state()).detail) == (True, "")

    tell(path, story)
    (aside,) = others(path)
    assert (path.parent / aside).read_bytes() == garbage


def test_a_damaged_page_is_found_when_the_file_is_opened(path: Path) -> None:
    tell(path, build)
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(os.urandom(4096 * 4))

    assert "is being rebuilt" in tell(path, set_aside)
    assert len(others(path)) == 1


def test_a_database_of_somebody_else_is_put_aside_whole(path: Path) -> None:
    path.parent.mkdir()
    other = sqlite3.connect(str(path))
    other.execute("CREATE TABLE precious (x)")
    other.commit()
    other.close()

    assert "graph.db.damaged-" in tell(path, set_aside)
    (aside,) = others(path)
    kept = sqlite3.connect(str(path.parent / aside))
    assert kept.execute("SELECT count(*) FROM precious").fetchone() == (0,)
    kept.close()


def test_damage_that_shows_while_it_runs_makes_it_unavailable_once_and_then_empty(path: Path) -> None:
    tell(path, build)

    async def story(graph: SqliteGraph) -> None:
        assert (await graph.count()).items == 399
        with path.open("r+b") as file:
            file.write(os.urandom(200_000))
        graph._writer.execute("PRAGMA shrink_memory")
        with pytest.raises(IndexUnavailable, match="put aside"):
            await graph.put(1, [mentions(seq, "Ann") for seq in range(1, 400)])
        assert not (await graph.state()).ready
        await graph.put(1, [mentions(1, "Ann")])
        assert await graph.count() == GraphCount(items=1, entities=1, relations=0)

    tell(path, story)
    assert len(others(path)) == 1


def test_a_folder_deleted_under_it_comes_back_with_a_reset(path: Path) -> None:
    async def story(graph: Graph) -> None:
        await build(graph)
        shutil.rmtree(path.parent)
        await graph.reset()
        await build(graph)

    tell(path, story)
    assert tell(path, lambda graph: graph.count()).items == 399


def test_a_folder_deleted_before_the_start_is_waited_for_as_incomplete(path: Path) -> None:
    tell(path, build)
    shutil.rmtree(path.parent)

    assert tell(path, set_aside) == "It is being rebuilt."


def test_a_folder_that_cannot_be_made_leaves_it_unavailable(path: Path) -> None:
    path.parent.write_text("a file where the folder should be")

    async def story(graph: Graph) -> None:
        for work in (graph.count(), graph.put(1, [mentions(1, "Ann")]), graph.reset()):
            with pytest.raises(IndexUnavailable, match="cannot be used"):
                await work
        assert "cannot be used" in (await graph.state()).detail

    tell(path, story)


def test_a_full_disk_keeps_what_was_there(path: Path) -> None:
    async def story(graph: SqliteGraph) -> None:
        await graph.put(1, [mentions(1, "Ann")])
        graph._writer.execute("PRAGMA max_page_count = 1")
        with pytest.raises(StorageFull):
            await graph.put(1, [mentions(seq, f"e{seq}", "Ann") for seq in range(2, 900)])
        assert await graph.count() == GraphCount(items=1, entities=1, relations=0)
        graph._writer.execute("PRAGMA max_page_count = 100000")
        await build(graph)

    tell(path, story)


@pytest.mark.parametrize(
    "statement",
    [tables.REACH, tables.MENTIONING, tables.NEIGHBOURS, *tables.FORGET],
    ids=["reach", "mentioning", "neighbours", "forget-relations", "forget-mentions", "forget-item"],
)
def test_nothing_looks_at_the_whole_graph(path: Path, statement: str) -> None:
    async def plan(graph: SqliteGraph) -> list[str]:
        await build(graph)
        parameters = dict.fromkeys(
            ("scopes", "names", "hops", "hub", "at", "rows", "limit", "entity", "scope_seq", "item_seq"), 1
        )
        rows = graph._writer.execute(f"EXPLAIN QUERY PLAN {statement}", parameters)
        return [row[3] for row in rows.fetchall()]

    scanned = [step for step in tell(path, plan) if step.startswith("SCAN")]
    assert [step for step in scanned if not step.split()[1].startswith(("scope", "name", "near", "touching"))] == []


def test_questions_are_answered_while_much_is_put(path: Path) -> None:
    async def story(graph: Graph) -> None:
        await graph.put(1, [mentions(1, "Ann")])
        async with asyncio.TaskGroup() as group:
            putting = group.create_task(graph.put(2, [mentions(seq, f"e{seq}") for seq in range(10, 5_010)]))
            answered = 0
            while not putting.done():
                assert [hit.item_seq for hit in await graph.items_of([1], ["Ann"])] == [1]
                answered += 1
        assert answered > 5

    tell(path, story)


def test_the_settings_say_where_the_graph_is(tmp_path: Path) -> None:
    settings = MemorySettings(data_dir=tmp_path)

    async def story() -> None:
        graph = open_graph(settings)
        await graph.put(1, [mentions(1, "Ann")])
        await graph.close()

    asyncio.run(story())
    assert graph_file(settings) == tmp_path / "memory" / "graph" / "graph.db"
    assert graph_file(settings).is_file()


def test_a_graph_in_a_file_needs_no_driver_of_a_server(tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from memroos_memory import graph, settings; "
        "graph.open_graph(settings.MemorySettings(data_dir=Path(sys.argv[1]))); print('neo4j' in sys.modules)"
    )
    said = subprocess.run([sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True, check=True)

    assert said.stdout.strip() == "False"
