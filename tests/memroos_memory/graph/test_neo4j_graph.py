"""The graph's server: away, silent, killed in the middle, and back."""

import asyncio
import contextlib
import random
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import TypeVar

import pytest
from neo4j import AsyncGraphDatabase
from neo4j.exceptions import Neo4jError
from tests.flows.service import free_port
from tests.memroos_memory.graph.neo4j_server.server import Neo4jServer, can_run
from tests.memroos_memory.graph.said import mentions, proves
from tests.memroos_memory.graph.twin import MemoryGraph

from memroos_contracts.memory_errors import IndexUnavailable
from memroos_kit.settings import Secret
from memroos_memory.graph import Graph, GraphCount, GraphEntry, cypher, neo4j_graph, open_graph
from memroos_memory.graph.neo4j_graph import Neo4jGraph
from memroos_memory.settings import MemorySettings

T = TypeVar("T")
QUESTIONS = [[f"e{number}", f"e{number + 3}"] for number in range(0, 30, 2)]


def tell(uri: str, story: Callable[[Neo4jGraph], Awaitable[T]]) -> T:
    """Run a story with the graph on a server."""

    async def run() -> T:
        graph = Neo4jGraph(uri, "neo4j", "")
        try:
            return await story(graph)
        finally:
            await graph.close()

    return asyncio.run(run())


# -- without a server --------------------------------------------------------------------------------------------------


def test_a_server_that_is_not_there_makes_it_unavailable_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(neo4j_graph, "RETRY_S", 0.2)
    uri = f"bolt://127.0.0.1:{free_port()}"

    async def story(graph: Graph) -> None:
        for work in (
            graph.put(1, [mentions(1, "Ann")]),
            graph.remove(1, [1]),
            graph.items_of([1], ["Ann"]),
            graph.neighbours([1], ["Ann"]),
            graph.reset(),
            graph.complete(),
            graph.count(),
        ):
            with pytest.raises(IndexUnavailable) as refused:
                await work
            assert refused.value.facts == {"index": "graph"}
        state = await graph.state()
        assert (state.ready, state.items) == (False, 0)
        assert state.detail != ""

    tell(uri, story)


def test_questions_do_not_wait_for_a_server_that_was_just_found_away() -> None:
    async def story(graph: Graph) -> None:
        with pytest.raises(IndexUnavailable, match="does not answer"):
            await graph.items_of([1], ["Ann"])
        with pytest.raises(IndexUnavailable, match="a moment ago"):
            await graph.items_of([1], ["Ann"])

    tell(f"bolt://127.0.0.1:{free_port()}", story)


def test_a_server_that_says_nothing_is_waited_for_no_longer_than_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(neo4j_graph, "READ_S", 0.3)
    monkeypatch.setattr(neo4j_graph, "WRITE_S", 0.3)

    async def story() -> None:
        done = asyncio.Event()

        async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await done.wait()
            writer.close()

        server = await asyncio.start_server(say_nothing, "127.0.0.1", 0)
        graph = Neo4jGraph(f"bolt://127.0.0.1:{server.sockets[0].getsockname()[1]}", "neo4j", "")
        for work in (graph.items_of([1], ["Ann"]), graph.put(1, [mentions(1, "Ann")])):
            began = time.monotonic()
            with pytest.raises(IndexUnavailable):
                await work
            assert time.monotonic() - began < 5
        done.set()
        server.close()
        await graph.close()

    asyncio.run(story())


def test_a_question_under_which_an_entity_was_deleted_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    gone = Neo4jError._hydrate_neo4j(code="Neo.ClientError.Statement.EntityNotFound", message="Unable to load NODE")
    asked: list[object] = []

    async def answer(work: object) -> list[list[int]]:
        asked.append(work)
        if len(asked) in {1, 2, 4, 5, 6}:
            raise gone
        return [[1, 2, 3]]

    async def story(graph: Neo4jGraph) -> None:
        monkeypatch.setattr(graph, "_read_once", answer)
        assert await graph.count() == GraphCount(items=1, entities=2, relations=3)
        with pytest.raises(IndexUnavailable) as refused:
            await graph.count()
        assert refused.value.detail == "Neo4j refuses: ClientError; the log says more."
        assert await graph.count() == GraphCount(items=1, entities=2, relations=3)  # a server that answers is not away

    tell(f"bolt://127.0.0.1:{free_port()}", story)


def test_settings_that_name_a_server_open_it_without_asking_whether_it_is_there(tmp_path: Path) -> None:
    settings = MemorySettings(
        data_dir=tmp_path,
        graph_store="neo4j",
        neo4j_uri=f"bolt://127.0.0.1:{free_port()}",
        neo4j_password=Secret("s3cret"),
    )

    async def story() -> None:
        graph = open_graph(settings)
        state = await graph.state()
        assert not state.ready
        assert "s3cret" not in state.detail
        await graph.close()

    asyncio.run(story())


# -- with one ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Neo4jServer]:
    """A real Neo4j that a test may kill."""
    if not can_run():
        pytest.skip("a Neo4j that may be killed needs java and mvn on the PATH, to fetch and start one")
    started = Neo4jServer(tmp_path / "neo4j", free_port()).start()
    yield started
    started.kill()  # nobody wants its data any more; an end in good order takes ten seconds


def some_entries(seed: int, count: int) -> list[GraphEntry]:
    """Return what so many items say about thirty entities."""
    rng = random.Random(seed)
    names = [f"e{number}" for number in range(30)]
    return [
        proves(seq, rng.choice(names), "next", rng.choice(names)) if seq % 2 else mentions(seq, *rng.sample(names, 2))
        for seq in range(1, count + 1)
    ]


async def answers(graph: Graph) -> list[object]:
    """Return what a graph says to all questions, with its size."""
    hits = [await graph.items_of([1], names, hops=2) for names in QUESTIONS]
    return [*hits, *[await graph.neighbours([1], names) for names in QUESTIONS], await graph.count()]


async def until_back(work: Callable[[], Awaitable[T]]) -> T:
    """Repeat until the server is there, as the service's jobs do."""
    async with asyncio.timeout(60):
        while True:
            with contextlib.suppress(IndexUnavailable):
                return await work()
            await asyncio.sleep(0.2)


@pytest.mark.long
@pytest.mark.timeout(900)
def test_a_server_killed_in_the_middle_loses_nothing_that_was_acknowledged(server: Neo4jServer) -> None:
    entries = some_entries(seed=5, count=600)
    batches = [entries[start : start + 10] for start in range(0, len(entries), 10)]

    async def story(graph: Neo4jGraph) -> None:
        twin = MemoryGraph()
        refused = 0
        await graph.reset()
        for number, batch in enumerate(batches):
            if number in {20, 40}:  # while a batch is on its way
                sending = asyncio.ensure_future(graph.put(1, batch))
                await asyncio.sleep(0.005 * number / 20)
                await asyncio.to_thread(server.kill)
                with contextlib.suppress(IndexUnavailable):
                    await sending
                with pytest.raises(IndexUnavailable):
                    await graph.put(1, batch)
                with pytest.raises(IndexUnavailable):
                    await graph.items_of([1], ["e1"])
                assert not (await graph.state()).ready
                refused += 1
                await asyncio.to_thread(server.start)
                await until_back(graph.state)
                # Everything that was acknowledged is there; of the batch that was not, all or nothing.
                kept = await until_back(graph.count)
                assert kept.items in {number * 10, number * 10 + 10}
                if kept.items == number * 10:
                    assert await answers(graph) == await answers(twin)
            await until_back(lambda batch=batch: graph.put(1, batch))  # type: ignore[misc]
            await twin.put(1, batch)
        assert refused == 2
        await until_back(graph.complete)
        assert await answers(graph) == await answers(twin)
        assert (await graph.state()).ready

        await graph.reset()
        assert await graph.count() == GraphCount(items=0, entities=0, relations=0)
        await graph.put(1, entries[::-1])
        assert await answers(graph) == await answers(twin)

    tell(server.uri, story)


@pytest.mark.long
@pytest.mark.timeout(900)
def test_questions_are_answered_again_after_a_restart_without_a_new_start_of_ours(server: Neo4jServer) -> None:
    async def story(graph: Neo4jGraph) -> None:
        await graph.put(1, [mentions(1, "Ann")])
        async with asyncio.TaskGroup() as group:  # several connections, all of which are dead then
            for _ in range(8):
                group.create_task(graph.items_of([1], ["Ann"]))
        await asyncio.to_thread(server.kill)
        await asyncio.to_thread(server.start)

        assert [hit.item_seq for hit in await graph.items_of([1], ["Ann"])] == [1]
        await graph.put(1, [mentions(2, "Ann")])
        assert len(await graph.items_of([1], ["Ann"])) == 2

    tell(server.uri, story)


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    "name",
    [
        "FORGET_RELATIONS", "MENTIONED", "FORGET_ITEMS", "DROP_ORPHANS", "ADD_ITEMS", "ADD_RELATIONS", "NAMED", "STEP",
        "MENTIONING", "NEIGHBOURS",
    ],
)  # fmt: skip
def test_the_server_looks_at_the_whole_graph_for_nothing(neo4j_uri: str, name: str) -> None:
    statement: str = getattr(cypher, name)

    async def story() -> list[str]:
        graph = Neo4jGraph(neo4j_uri, "neo4j", "")
        await graph.put(1, [proves(1, "Ann", "knows", "Bob")])
        await graph.close()
        parameters: dict[str, object] = {"scope": 1, "at": None, "rows": 1, "limit": 1, "never": 0}
        parameters |= {name: [] for name in ("items", "names", "relations", "scopes")}
        async with AsyncGraphDatabase.driver(neo4j_uri) as driver, driver.session() as session:
            result = await session.run(f"EXPLAIN {statement}", parameters)
            return operators((await result.consume()).plan or {})

    used = asyncio.run(story())

    assert used
    assert [one for one in used if "Scan" in one] == []


def operators(plan: dict[str, object]) -> list[str]:
    """Return the names of a plan's operators."""
    children = plan.get("children")
    assert children is None or isinstance(children, list)
    return [str(plan.get("operatorType")), *(name for child in children or () for name in operators(child))]
