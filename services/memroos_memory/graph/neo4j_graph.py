"""The graph in a Neo4j server, over Bolt."""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Sequence
from datetime import datetime
from typing import Any, TypeVar

from neo4j import AsyncDriver, AsyncGraphDatabase, AsyncManagedTransaction, AsyncTransaction
from neo4j.exceptions import ClientError, DriverError, Neo4jError

from memroos_contracts.memory_errors import IndexUnavailable
from memroos_contracts.memory_work import Index, IndexState
from memroos_kit import log
from memroos_memory.graph import cypher
from memroos_memory.graph.port import HOPS_MAX, HUB, ROWS_MAX, GraphCount, GraphEntry, GraphHit, Neighbour
from memroos_memory.graph.ranking import Reached, Said, choose, micros_or_none, names_of, neighbour, rank, said

CHUNK = 500
"""Items per transaction."""

READ_S = 5.0
"""Longest wait for an answer to a question."""

READS = 3
"""How often a question is asked at most."""

WRITE_S = 60.0
RETRY_S = 5.0
"""How long a write is tried again by itself when the server says that this makes sense."""

PAUSE_S = 1.0
"""After it was found away, questions are not sent to the server for so long: recall does not wait for it each time."""

_DELETED_MEANWHILE = "Neo.ClientError.Statement.EntityNotFound"
_NEVER = -(2**63)
_log = log.get(__name__)
_T = TypeVar("_T")
_Transaction = AsyncTransaction | AsyncManagedTransaction


class Neo4jGraph:
    """Implements `Graph` on a server that may go away and come back at any time.

    Connections are made when they are needed. Writes of this process wait for each other: an entity that loses its
    last mention in one transaction must not get another in a second one at the same time.
    """

    def __init__(self, uri: str, user: str, password: str) -> None:
        self._uri = uri
        self._auth = (user, password) if password else None
        self._driver: AsyncDriver | None = None
        self._prepared = False
        self._closed = False
        self._away_until = 0.0
        self._writing = asyncio.Lock()
        logging.getLogger("neo4j.notifications").setLevel(logging.ERROR)  # it reports each label it has not seen yet

    async def put(self, scope_seq: int, entries: Sequence[GraphEntry]) -> None:
        """Let the graph say what these items say, and nothing that they said before."""
        items = said(entries)
        for start in range(0, len(items), CHUNK):
            chunk = items[start : start + CHUNK]
            await self._write(lambda tx, chunk=chunk: _put(tx, scope_seq, chunk))  # type: ignore[misc]

    async def remove(self, scope_seq: int, item_seqs: Sequence[int]) -> None:
        """Take these items out, with the relations they prove and the entities nobody else mentions."""
        for start in range(0, len(item_seqs), CHUNK):
            chunk = list(item_seqs[start : start + CHUNK])
            await self._write(lambda tx, chunk=chunk: _remove(tx, scope_seq, chunk))  # type: ignore[misc]

    async def items_of(
        self,
        scopes: Sequence[int],
        entities: Sequence[str],
        *,
        hops: int = 1,
        limit: int = 100,
        at: datetime | None = None,
    ) -> list[GraphHit]:
        """Return the items that mention one of these entities, or one related to them, best first."""
        names, hops = names_of(entities), min(max(hops, 0), HOPS_MAX)

        async def work(tx: _Transaction) -> list[GraphHit]:
            chosen = choose(await _reach(tx, sorted(set(scopes)), names, hops, micros_or_none(at)))
            return rank(chosen, await _mentioning(tx, chosen), limit)

        return await self._read(work)

    async def neighbours(
        self, scopes: Sequence[int], entities: Sequence[str], *, limit: int = 100, at: datetime | None = None
    ) -> list[Neighbour]:
        """Return the relations from and to these entities."""
        wanted = {"scopes": sorted(set(scopes)), "names": names_of(entities), "at": micros_or_none(at)}
        rows = await self._read(
            lambda tx: _rows(tx, cypher.NEIGHBOURS, **wanted, limit=max(limit, 0), never=_NEVER),
        )
        return [neighbour(what, items) for *what, items in rows]

    async def reset(self) -> None:
        """Empty it."""
        await self._write(lambda tx: _rows(tx, cypher.UNMARK_WHOLE))
        for statement in cypher.DELETE_SOME:
            deleted = 1
            while deleted:  # in parts: one transaction over a large graph does not fit into the server's memory
                ((deleted,),) = await self._write(
                    lambda tx, statement=statement: _rows(tx, statement, some=CHUNK * 10)  # type: ignore[misc]
                )

    async def complete(self) -> None:
        """Take note that everything in the truth has been put."""
        await self._write(lambda tx: _rows(tx, cypher.MARK_WHOLE))

    async def count(self) -> GraphCount:
        """Return how much is in it."""
        ((items, entities, relations),) = await self._read(lambda tx: _rows(tx, cypher.COUNT))
        return GraphCount(items, entities, relations)

    async def state(self) -> IndexState:
        """Tell how it stands; never raises."""
        try:
            ((whole, items),) = await self._read(lambda tx: _rows(tx, cypher.IS_WHOLE))
        except IndexUnavailable as error:
            return IndexState(Index.GRAPH, ready=False, items=0, detail=error.detail)
        return IndexState(Index.GRAPH, ready=whole, items=items, detail="" if whole else "It is being rebuilt.")

    async def close(self) -> None:
        """Close the connections."""
        self._closed = True
        driver, self._driver = self._driver, None
        if driver is not None:
            await driver.close()

    # -- the server ----------------------------------------------------------------------------------------------

    async def _write(self, work: Callable[[AsyncManagedTransaction], Awaitable[_T]]) -> _T:
        """Run a transaction; the driver repeats it on another connection where the server came back or asks for it."""
        async with self._writing:
            try:
                async with asyncio.timeout(WRITE_S):
                    await self._prepare()
                    async with self._open().session() as session:
                        return await session.execute_write(work)
            except (DriverError, Neo4jError, OSError, TimeoutError) as error:
                raise self._away(error) from error

    async def _read(self, work: Callable[[AsyncTransaction], Awaitable[_T]]) -> _T:
        """Ask, and again where that makes sense."""
        if asyncio.get_running_loop().time() < self._away_until:
            raise IndexUnavailable("The graph's server did not answer a moment ago.", index=Index.GRAPH.value)
        try:
            async with asyncio.timeout(READ_S):
                for _ in range(READS - 1):
                    try:
                        return await self._read_once(work)
                    except (DriverError, Neo4jError) as error:
                        if not _is_worth_another(error):
                            raise
                return await self._read_once(work)
        except (DriverError, Neo4jError, OSError, TimeoutError) as error:
            raise self._away(error) from error

    async def _read_once(self, work: Callable[[AsyncTransaction], Awaitable[_T]]) -> _T:
        async with self._open().session(default_access_mode="READ") as session, await session.begin_transaction() as tx:
            return await work(tx)

    async def _prepare(self) -> None:
        """Ensure constraints and indexes, again after each time the server was away: it may be another one now."""
        if self._prepared:
            return
        async with self._open().session() as session:
            for statement in cypher.PREPARE:
                await (await session.run(statement)).consume()
        self._prepared = True

    def _open(self) -> AsyncDriver:
        if self._closed:
            raise IndexUnavailable("The graph is closed.", index=Index.GRAPH.value)
        if self._driver is None:
            self._driver = AsyncGraphDatabase.driver(
                self._uri,
                auth=self._auth,
                connection_timeout=READ_S,
                connection_acquisition_timeout=READ_S,
                max_transaction_retry_time=RETRY_S,
                telemetry_disabled=True,
            )
        return self._driver

    def _away(self, error: BaseException) -> IndexUnavailable:
        self._prepared = False
        refused = isinstance(error, ClientError)  # it does answer, only not this
        if not refused:
            self._away_until = asyncio.get_running_loop().time() + PAUSE_S
        _log.warning("graph.away", uri=self._uri, error=repr(error))
        # Not in its own words, which may repeat what it was given: this is read by people who may not read that.
        what = "refuses" if refused else "does not answer"
        return IndexUnavailable(f"Neo4j {what}: {type(error).__name__}; the log says more.", index=Index.GRAPH.value)


def _is_worth_another(error: DriverError | Neo4jError) -> bool:
    """Whether a question may be answered at the next try.

    After a restart of the server every connection from before is dead. And the server does not read from a snapshot:
    when a node is deleted between finding it and looking at it, the whole question fails.
    """
    return error.is_retryable() or (isinstance(error, Neo4jError) and error.code == _DELETED_MEANWHILE)


# -- statements ------------------------------------------------------------------------------------------------------


async def _rows(tx: _Transaction, statement: str, **parameters: Any) -> list[list[Any]]:
    result = await tx.run(statement, parameters)
    return await result.values()


async def _put(tx: _Transaction, scope_seq: int, items: Sequence[Said]) -> None:
    before = await _forget(tx, scope_seq, [item.item_seq for item in items])
    rows = [{"seq": item.item_seq, "id": item.item_id, "entities": list(item.entities)} for item in items]
    await _rows(tx, cypher.ADD_ITEMS, scope=scope_seq, items=rows)
    relations = [
        {
            "item": item.item_seq,
            "subject": item.triple.subject,
            "type": item.triple.relation,
            "object": item.triple.object,
            "valid_from": item.valid_from,
            "valid_to": item.valid_to,
        }
        for item in items
        if item.triple is not None
    ]
    await _rows(tx, cypher.ADD_RELATIONS, scope=scope_seq, relations=relations)
    await _rows(tx, cypher.DROP_ORPHANS, scope=scope_seq, names=before)


async def _remove(tx: _Transaction, scope_seq: int, item_seqs: list[int]) -> None:
    before = await _forget(tx, scope_seq, item_seqs)
    await _rows(tx, cypher.DROP_ORPHANS, scope=scope_seq, names=before)


async def _forget(tx: _Transaction, scope_seq: int, item_seqs: list[int]) -> list[str]:
    """Take items out; return the names that they mentioned."""
    await _rows(tx, cypher.FORGET_RELATIONS, scope=scope_seq, items=item_seqs)
    before = [name for (name,) in await _rows(tx, cypher.MENTIONED, scope=scope_seq, items=item_seqs)]
    await _rows(tx, cypher.FORGET_ITEMS, scope=scope_seq, items=item_seqs)
    return before


async def _reach(tx: _Transaction, scopes: list[int], names: list[str], hops: int, at: int | None) -> list[Reached]:
    """Go from the named entities along their relations, level by level; no entity is walked twice."""
    reached: dict[tuple[int, str], Reached] = {}
    rows = await _rows(tx, cypher.NAMED, scopes=scopes, names=names)
    for depth in range(hops + 1):
        fresh: defaultdict[int, list[str]] = defaultdict(list)
        for scope_seq, name, mentions in rows:
            if (scope_seq, name) not in reached:
                reached[scope_seq, name] = Reached(depth, mentions, scope_seq, name)
                if mentions <= HUB:
                    fresh[scope_seq].append(name)
        if depth == hops or not fresh:
            break
        rows = []
        for scope_seq, walked in fresh.items():
            rows += await _rows(tx, cypher.STEP, scope=scope_seq, names=walked, at=at, rows=ROWS_MAX)
    return list(reached.values())


async def _mentioning(tx: _Transaction, chosen: Iterable[Reached]) -> dict[tuple[int, str], list[int]]:
    by_scope: defaultdict[int, list[str]] = defaultdict(list)
    for one in chosen:
        by_scope[one.scope_seq].append(one.name)
    return {
        (scope_seq, name): items
        for scope_seq, names in by_scope.items()
        for name, items in await _rows(tx, cypher.MENTIONING, scope=scope_seq, names=names)
    }
