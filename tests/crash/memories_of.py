"""What can be recalled after a drill, and what the databases hold, against what agents were told."""

import asyncio
from collections import Counter
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from tests.crash.audit_of import open_database
from tests.crash.caller import Caller
from tests.crash.remembering import Remembering
from tests.flows.memory import System

ASKING = 8
"""Questions at the same time."""

STUCK = """
    SELECT 'job ' || id || ' ' || label || ' ' || state || ' ' || error FROM job WHERE state <> 'done'
"""

DOUBLED = """
    SELECT 'item twice ' || id FROM item GROUP BY id HAVING count(*) > 1
    UNION ALL
    SELECT 'place in a stream twice ' || stream || ' ' || stream_seq FROM item WHERE kind = 'event'
        GROUP BY scope_seq, stream, stream_seq HAVING count(*) > 1
    UNION ALL
    SELECT 'active fact twice ' || text FROM item WHERE kind <> 'event' AND status = 'active'
        GROUP BY scope_seq, digest HAVING count(*) > 1
    UNION ALL
    SELECT 'source twice ' || item.id FROM item, json_each(item.sources) AS source
        GROUP BY item.id, source.value HAVING count(*) > 1
    UNION ALL
    SELECT 'state that is not its newest version ' || item.id FROM item WHERE item.version <>
        (SELECT max(version) FROM item_version WHERE item_version.item_seq = item.seq)
"""
"""What is there more often than it was said."""

GAPS = """
    SELECT 'log of scope ' || scope.id || ': ' || count(*) || ' entries up to ' || scope.last_seq
        FROM scope JOIN item_version ON item_version.scope_seq = scope.seq
        GROUP BY scope.seq HAVING count(*) <> scope.last_seq OR max(log_seq) <> scope.last_seq
    UNION ALL
    SELECT 'no vector ' || item.id FROM item LEFT JOIN item_vector ON item_vector.item_seq = item.seq
        WHERE item.status <> 'deleted' AND item_vector.item_seq IS NULL
    UNION ALL
    SELECT 'nothing learned' WHERE NOT EXISTS (SELECT 1 FROM item WHERE kind <> 'event')
"""
"""What is missing where nothing may be."""


def faults(system: System, agents: Remembering) -> list[str]:
    """Return everything that is not as it was told."""
    found = [*agents.ledger.violations]
    found += _said(system.memory.database, STUCK, DOUBLED, GAPS)
    found += _handed_over(system, agents.gone)
    found += asyncio.run(_recalled(system, agents))
    return found


def _said(path: Path, *questions: str) -> list[str]:
    connection = open_database(path)
    try:
        return [str(row[0]) for question in questions for row in connection.execute(question).fetchall()]
    finally:
        connection.close()


def _handed_over(system: System, gone: Collection[str]) -> Iterator[str]:
    """Look for events that only one of the two databases has; what was deleted early need not be handed over."""
    here = Counter(_said(system.kernel.database, "SELECT id FROM memory_event"))
    there = Counter(_said(system.memory.database, "SELECT id FROM item WHERE kind = 'event'"))
    yield from (f"in one database only: {id_}" for id_ in (here - there) + (there - here) if id_ not in gone)


async def _recalled(system: System, agents: Remembering) -> list[str]:
    """Ask for every acknowledged memory, as whoever wrote it."""
    left = list(agents.ledger.of("memory").items())
    found: list[str] = []

    async def ask() -> None:
        callers = [Caller(system.kernel.port, key) for key in agents.keys]
        while left:
            name, told = left.pop()
            answer = await callers[agents.authors[name]].call("POST", "/api/recall", {"query": name, "limit": 5})
            found.extend(_judged(name, told.id, answer.json() if answer.status == 200 else str(answer), agents.gone))
        for caller in callers:
            caller.close()

    async with asyncio.TaskGroup() as group:
        for _ in range(ASKING):
            group.create_task(ask())
    return found


def _judged(name: str, id_: str, answer: Any, gone: dict[str, bool]) -> Iterator[str]:
    if isinstance(answer, str):
        yield f"{name}: {answer}"
        return
    if answer["missing"] or answer["pending"]:
        yield f"{name}: answered without {answer['missing']}, {answer['pending']} not handed over"
    hits = [hit["item"]["id"] for hit in answer["items"] if name in (hit["item"]["text"] or "")]
    if gone.get(id_) and hits:
        yield f"{name}: deleted, and recalled as {hits}"
    if id_ not in gone and hits != [id_]:
        yield f"{name}: kept as {id_}, and recalled as {hits}"
