"""Writing memories in tests."""

from collections.abc import Callable
from typing import Any

import pytest
from tests.actors import AGENT

from memroos import memory
from memroos_contracts.identity import Actor
from memroos_contracts.memory import MemoryEventView, MemoryKind
from memroos_kit.db import Database

Remember = Callable[..., MemoryEventView]


@pytest.fixture
def remember(db: Database) -> Remember:
    """Let an actor keep a memory in its own stream."""

    def remember(text: str, actor: Actor = AGENT, **others: Any) -> MemoryEventView:
        given = {"stream": actor.principal, "kind": MemoryKind.MEMORY, "text": text} | others
        return db.write_now(actor, memory.remember, **given)

    return remember
