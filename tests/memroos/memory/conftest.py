"""Writing memories in tests."""

from collections.abc import Callable
from typing import Any

import pytest
from tests.actors import AGENT

from memroos import memory
from memroos.memory import queries
from memroos.memory.rules import readers
from memroos_contracts.identity import Actor
from memroos_contracts.memory import MemoryEventView, MemoryKind, RecallQuery, RecallRequest, RecallResult
from memroos_kit.db import Database, Tx

Remember = Callable[..., MemoryEventView]


def recall(tx: Tx, request: RecallRequest) -> RecallResult:
    """Recall as doors do while no memory service runs, in one transaction."""
    query = RecallQuery(tx.actor.workspace, readers.reader_of(tx.actor), request)
    return memory.disclose(tx, request, queries.search(tx, query))


@pytest.fixture
def remember(db: Database) -> Remember:
    """Let an actor keep a memory in its own stream."""

    def remember(text: str, actor: Actor = AGENT, **others: Any) -> MemoryEventView:
        given = {"stream": actor.principal, "kind": MemoryKind.MEMORY, "text": text} | others
        return db.write_now(actor, memory.remember, **given)

    return remember
