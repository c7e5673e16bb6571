"""What tests see in the database after the fact."""

import json
from typing import Any, NamedTuple

from sqlalchemy import select, text
from tests.actors import KERNEL

from memroos.governance.models import Approval
from memroos.governance.queries import approval_view
from memroos_contracts.governance import ApprovalView
from memroos_kit.db import Database, Read


class Recorded(NamedTuple):
    """An event of the ledger."""

    kind: str
    action: str
    asset: str
    actor: str
    decision: str | None
    outcome: str
    facts: dict[str, Any]


class Published(NamedTuple):
    """An event of the log."""

    type: str
    subject: str
    owner: str
    agent: str
    data: dict[str, Any]


def ledger_of(db: Database) -> list[Recorded]:
    """Return the whole ledger."""

    def query(tx: Read) -> list[Recorded]:
        rows = tx.session.execute(
            text("SELECT kind, action, asset, actor, decision_id, outcome, body FROM audit_event ORDER BY seq")
        )
        return [Recorded._make([*row[:6], json.loads(row[6])["facts"]]) for row in rows]

    return db.read_now(KERNEL, query)


def events_of(db: Database) -> list[Published]:
    """Return the whole event log."""

    def query(tx: Read) -> list[Published]:
        rows = tx.session.execute(text('SELECT type, subject, owner, agent, data FROM event ORDER BY "offset"'))
        return [Published._make([*row[:4], json.loads(row[4])]) for row in rows]

    return db.read_now(KERNEL, query)


def approvals_of(db: Database) -> list[ApprovalView]:
    """Return all approvals, newest first."""

    def query(tx: Read) -> list[ApprovalView]:
        return [approval_view(row) for row in tx.session.scalars(select(Approval).order_by(Approval.id.desc()))]

    return db.read_now(KERNEL, query)
