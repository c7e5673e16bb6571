"""A database whose keys the keyring follows, and looks at what was announced."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.actors import OPERATOR
from tests.conftest import Policy

from memroos import audit, events, registry
from memroos_contracts.identity import Role
from memroos_contracts.registry import AgentKind, AgentState, AgentView, NewAgent, NewKey, NewKeyView
from memroos_kit.clock import ManualClock
from memroos_kit.db import Database, Journal, sqlite3

Rows = Callable[[], list[tuple[Any, ...]]]


@pytest.fixture
def keyring() -> registry.Keyring:
    """The keyring that follows the database."""
    return registry.Keyring()


@pytest.fixture
def db(
    db_path: Path,
    clock: ManualClock,
    policy: Policy,
    ledger: audit.Ledger,
    notifier: events.Notifier,
    keyring: registry.Keyring,
) -> Iterator[Database]:
    """A kernel database with the ledger, the event log and the keyring."""
    journals: list[Journal] = [ledger, events.Log(notifier), keyring]
    database = Database(db_path, authorizer=policy, journals=journals, failures=audit.FailureRecorder(), clock=clock)
    yield database
    database.close()


@pytest.fixture
def outcomes(db: Database) -> Rows:
    """What the ledger says came of things: event, outcome, whether a decision stands behind it, in order."""

    def look() -> list[tuple[Any, ...]]:
        rows = _rows(db, "SELECT action, outcome, decision_id FROM audit_event WHERE kind = 'outcome' ORDER BY seq")
        return [(action, outcome, decision is not None) for action, outcome, decision in rows]

    return look


@pytest.fixture
def facts(db: Database) -> Callable[[], dict[str, Any]]:
    """The facts of the ledger's last outcome."""

    def look() -> dict[str, Any]:
        rows = _rows(db, "SELECT body FROM audit_event WHERE kind = 'outcome' ORDER BY seq DESC LIMIT 1")
        found: dict[str, Any] = json.loads(rows[0][0])["facts"]
        return found

    return look


@pytest.fixture
def published(db: Database) -> Rows:
    """What the event log says: type, subject and data, in order."""

    def look() -> list[tuple[Any, ...]]:
        rows = _rows(db, 'SELECT type, subject, data FROM event ORDER BY "offset"')
        return [(type_, subject, json.loads(data)) for type_, subject, data in rows]

    return look


@pytest.fixture
def scout(db: Database) -> AgentView:
    """An active agent."""
    return db.write_now(
        OPERATOR, registry.create_agent, NewAgent(name="scout", kind=AgentKind.REST, state=AgentState.ACTIVE)
    )


@pytest.fixture
def scouts_key(db: Database, scout: AgentView) -> NewKeyView:
    """A key of that agent."""
    return db.write_now(OPERATOR, registry.create_key, NewKey(role=Role.AGENT, agent=scout.id, name="first"))


def _rows(db: Database, sql: str) -> list[tuple[Any, ...]]:
    connection = sqlite3.connect(str(db.path))
    try:
        return list(connection.execute(sql).fetchall())
    finally:
        connection.close()
