"""The look at the database after a drill finds what it is there to find."""

from pathlib import Path
from typing import Any

import pytest
from tests.actors import AGENT, OPERATOR
from tests.crash.audit_of import faults
from tests.crash.told import Deed, Ledger

from memroos import bus, registry
from memroos_contracts.registry import AgentKind, AgentState, NewAgent
from memroos_kit.db import Database, sqlite3

NOTE = Deed("message", "note-1")


@pytest.fixture
def told(db: Database) -> Ledger:
    """One acknowledged message, in the database and in the ledger of what was told."""
    agent = db.write_now(OPERATOR, registry.create_agent, NewAgent("reader", AgentKind.REST, state=AgentState.ACTIVE))
    sent = db.write_now(AGENT, bus.send, to=agent.id, kind="note", body={"deed": NOTE.name})
    ledger = Ledger()
    ledger.acknowledge(NOTE, sent.id)
    return ledger


def test_a_sound_database_has_no_faults(db: Database, told: Ledger) -> None:
    assert faults(db.path, told, settled=False) == []


def test_what_has_not_ended_is_stuck(db: Database, told: Ledger) -> None:
    assert any(fault.startswith("stuck: inbox") for fault in faults(db.path, told))


def test_an_acknowledged_message_that_is_gone_is_lost(db: Database, told: Ledger) -> None:
    _behind_its_back(db.path, "DELETE FROM inbox_message")

    assert any(fault.startswith("lost: message") for fault in faults(db.path, told, settled=False))


def test_an_end_that_was_told_and_is_not_there_is_lost(db: Database, told: Ledger) -> None:
    told.end("acked", told.told[NOTE].id)

    assert any(fault.startswith("lost: the ack") for fault in faults(db.path, told, settled=False))


def test_a_change_without_its_outcome_is_half_done(db: Database, told: Ledger) -> None:
    _behind_its_back(
        db.path,
        "DROP TRIGGER audit_event_refuses_delete",
        "DELETE FROM audit_event WHERE action = 'inbox.sent'",
    )

    assert any(fault.startswith("half done: message") for fault in faults(db.path, told, settled=False))


def test_a_change_without_its_decision_is_half_done(db: Database, told: Ledger) -> None:
    _behind_its_back(
        db.path,
        "DROP TRIGGER audit_event_refuses_delete",
        "DELETE FROM audit_event WHERE action = 'inbox.send' AND kind = 'decision'",
    )

    found = faults(db.path, told, settled=False)
    assert any(fault.startswith("half done: message") for fault in found)
    assert any(fault.startswith("gap: ledger") for fault in found)


def test_a_message_that_is_there_twice_is_doubled(db: Database, told: Ledger) -> None:
    to = next(iter(_rows(db.path, "SELECT agent_id FROM inbox_message")))[0]
    db.write_now(AGENT, bus.send, to=to, kind="note", body={"deed": NOTE.name})

    assert "doubled: note note-1" in faults(db.path, told, settled=False)


def test_another_answer_to_the_same_deed_is_a_violation(told: Ledger) -> None:
    told.acknowledge(NOTE, "msg_another")

    assert len(told.violations) == 1


def _behind_its_back(path: Path, *statements: str) -> None:
    connection = sqlite3.connect(str(path), isolation_level=None)
    for statement in statements:
        connection.execute(statement)
    connection.close()


def _rows(path: Path, question: str) -> list[Any]:
    connection = sqlite3.connect(str(path))
    try:
        return list(connection.execute(question).fetchall())
    finally:
        connection.close()
