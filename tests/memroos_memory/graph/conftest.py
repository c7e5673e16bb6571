"""The graphs that the port's tests run against: a twin in memory, SQLite, and a real Neo4j.

Neo4j is the one at `MEMROOS_TEST_NEO4J_URI` (with `MEMROOS_TEST_NEO4J_USER` and `MEMROOS_TEST_NEO4J_PASSWORD`). Where
that is unset, the long tests fetch one by Maven and run it on loopback. Only nodes with our labels are touched.
"""

import asyncio
import os
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import TypeVar

import pytest
from tests.flows.service import free_port
from tests.memroos_memory.graph.neo4j_server.server import Neo4jServer, can_run
from tests.memroos_memory.graph.twin import MemoryGraph

from memroos_memory.graph import Graph, SqliteGraph
from memroos_memory.graph.neo4j_graph import Neo4jGraph

URI = os.environ.get("MEMROOS_TEST_NEO4J_URI", "")
NEO4J = pytest.param("neo4j", marks=() if URI else (pytest.mark.long, pytest.mark.timeout(900)))
T = TypeVar("T")


class Place:
    """Somewhere a graph is kept; each story there begins with an empty one, unless it goes on."""

    def __init__(self, open_graph: Callable[[], Graph], *, lasts: bool = True) -> None:
        self._open = open_graph
        self.lasts = lasts

    def tell(self, story: Callable[[Graph], Awaitable[T]], *, go_on: bool = False) -> T:
        """Run a story with the graph, opened for it and closed after it."""

        async def run() -> T:
            graph = self._open()
            try:
                if not go_on:
                    await graph.reset()
                return await story(graph)
            finally:
                await graph.close()

        return asyncio.run(run())


@pytest.fixture(scope="session")
def neo4j_uri(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a real Neo4j that a run's tests share; none of them ends it."""
    if URI:
        yield URI
        return
    if not can_run():
        pytest.skip("a real Neo4j needs MEMROOS_TEST_NEO4J_URI, or java and mvn on the PATH to fetch and start one")
    with Neo4jServer(tmp_path_factory.mktemp("neo4j"), free_port()) as server:
        yield server.uri


@pytest.fixture(params=["memory", "sqlite", NEO4J])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """Each implementation in turn."""
    if request.param == "memory":
        return Place(MemoryGraph, lasts=False)
    if request.param == "sqlite":
        return Place(lambda: SqliteGraph(tmp_path / "graph" / "graph.db"))
    uri = request.getfixturevalue("neo4j_uri")
    user, password = (os.environ.get(f"MEMROOS_TEST_NEO4J_{name}", "") for name in ("USER", "PASSWORD"))
    return Place(lambda: Neo4jGraph(uri, user or "neo4j", password))
