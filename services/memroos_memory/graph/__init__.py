"""The graph of entities and relations, and the items that prove them.

An item mentions entities; an item with a triple also proves a relation between two of them, valid as long as the item
says. All of it is derived from the items and can be made anew: `reset()`, `put` everything that is not deleted,
`complete()`. Until then `state()` says that it is not ready, also after a damaged or missing file was replaced by an
empty one. `put` replaces what an item said before, `remove` takes it away; entities that nobody mentions any more go
with it. Every entity belongs to one scope: no way leads from one to another.
"""

from pathlib import Path

from memroos_memory.graph.names import entity_name
from memroos_memory.graph.port import Graph, GraphCount, GraphEntry, GraphHit, Neighbour
from memroos_memory.graph.sqlite_graph import SqliteGraph
from memroos_memory.settings import MemorySettings

__all__ = [
    "Graph", "GraphCount", "GraphEntry", "GraphHit", "Neighbour", "SqliteGraph", "entity_name", "graph_file",
    "open_graph",
]  # fmt: skip


def graph_file(settings: MemorySettings) -> Path:
    """Return where the graph is kept when it is a file of ours."""
    return settings.folder / "graph" / "graph.db"


def open_graph(settings: MemorySettings) -> Graph:
    """Return the graph that the settings name.

    It never fails because the graph is damaged or its server away: `state()` says so, and what needs the graph raises
    IndexUnavailable.
    """
    if settings.graph_store == "neo4j":
        # Only now: the driver takes 30 MB and a fifth of a second from every start.
        from memroos_memory.graph.neo4j_graph import Neo4jGraph  # noqa: PLC0415

        password = settings.neo4j_password
        return Neo4jGraph(settings.neo4j_uri, settings.neo4j_user, password.reveal() if password else "")
    return SqliteGraph(graph_file(settings))
