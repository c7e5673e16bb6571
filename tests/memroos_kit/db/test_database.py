"""What a read that policy refuses leaves behind."""

import asyncio

import pytest
from sqlalchemy import text
from tests.actors import AGENT, KERNEL
from tests.conftest import Policy

from memroos_contracts.errors import Denied
from memroos_contracts.governance import Action, Asset
from memroos_kit.db import Database, Read


def look(tx: Read) -> str:
    tx.authorize(Action.AUDIT_READ, Asset("ledger", "audit"))
    return "seen"


def outcomes(tx: Read) -> list[tuple[str, str, str]]:
    rows = tx.session.execute(text("SELECT actor, action, outcome FROM audit_event WHERE kind = 'outcome'"))
    return [(row[0], row[1], row[2]) for row in rows]


REFUSED = [(AGENT.principal, "audit.read", "denied")]


def test_a_refused_read_is_on_record_before_its_caller_hears_of_it(db: Database, policy: Policy) -> None:
    policy.deny(Action.AUDIT_READ)

    with pytest.raises(Denied):
        db.read_now(AGENT, look)

    assert db.read_now(KERNEL, outcomes) == REFUSED


def test_so_is_one_that_a_door_waits_for(db: Database, policy: Policy) -> None:
    policy.deny(Action.AUDIT_READ)

    with pytest.raises(Denied):
        asyncio.run(db.read(AGENT, look))

    assert db.read_now(KERNEL, outcomes) == REFUSED


def test_a_refused_point_lookup_is_put_on_record_too(db: Database, policy: Policy) -> None:
    policy.deny(Action.AUDIT_READ)

    with pytest.raises(Denied):
        db.read_inline(AGENT, look)

    db.write_now(KERNEL, lambda _: None)  # behind it in the writer's queue
    assert db.read_now(KERNEL, outcomes) == REFUSED


def test_a_permitted_read_writes_nothing(db: Database) -> None:
    assert db.read_now(AGENT, look) == db.read_inline(AGENT, look) == "seen"

    assert db.read_now(KERNEL, outcomes) == []
