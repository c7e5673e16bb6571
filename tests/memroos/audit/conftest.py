"""A ledger with something in it, and a way to change it behind its back."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.actors import OPERATOR

from memroos import audit
from memroos_contracts.errors import MemroosError
from memroos_contracts.governance import Action, Asset
from memroos_contracts.identity import AuditEventId
from memroos_kit.db import Database, Tx, sqlite3

TASK = Asset(kind="task", id="task_1", owner="agent:agt_01PLANNER")


class TaskFull(MemroosError):
    """The task takes no more."""


def create(tx: Tx, number: int = 0, *, fail: BaseException | None = None) -> AuditEventId:
    """Do something governed: one decision, one outcome."""
    tx.authorize(Action.TASK_SEND, TASK, purpose="to test")
    event = audit.record(tx, "task.created", TASK, number=number)
    if fail is not None:
        raise fail
    return event


def rows(path: Path, sql: str, *parameters: Any) -> list[tuple[Any, ...]]:
    """Read with a connection of its own."""
    connection = sqlite3.connect(str(path))
    try:
        return list(connection.execute(sql, parameters))
    finally:
        connection.close()


def tamper(path: Path, *statements: str) -> None:
    """Change the file as somebody would who owns it: the triggers go first."""
    connection = sqlite3.connect(str(path), isolation_level=None)
    for (name,) in list(connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'")):
        connection.execute(f"DROP TRIGGER {name}")
    for statement in statements:
        connection.execute(statement)
    connection.close()


Fill = Callable[[int], None]


@pytest.fixture
def fill(db: Database) -> Fill:
    """Do a number of governed actions, two events each, and sign a head after each five."""

    def fill(actions: int) -> None:
        for number in range(actions):
            db.write_now(OPERATOR, create, number)
            if number % 5 == 4:
                db.write_now(OPERATOR, audit.seal)

    return fill
