"""A database that asks the real gate with the shipped policies."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from memroos import audit, events
from memroos.governance import Gate, Policy, Resumers
from memroos_contracts.governance import Action, ApprovalView
from memroos_kit.clock import ManualClock
from memroos_kit.db import Database, Tx


@pytest.fixture(scope="session")
def shipped() -> Policy:
    """The shipped policy set, parsed once."""
    return Policy.load()


@pytest.fixture
def resumed() -> list[ApprovalView]:
    """The answers that the resumer of `task.send` was called with."""
    return []


@pytest.fixture
def gate(shipped: Policy, resumed: list[ApprovalView]) -> Gate:
    """The gate of this test's database; a task that is held can go on."""

    def resume(tx: Tx, approval: ApprovalView) -> None:
        assert isinstance(tx, Tx)
        resumed.append(approval)

    resumers: Resumers = {Action.TASK_SEND: resume}
    return Gate(
        shipped, resumers=resumers, approval_ttl=timedelta(hours=24), decision_ttl=timedelta(hours=1), cache_size=64
    )


@pytest.fixture
def db(
    db_path: Path, clock: ManualClock, gate: Gate, ledger: audit.Ledger, notifier: events.Notifier
) -> Iterator[Database]:
    """A kernel database governed by the shipped policies."""
    database = Database(
        db_path,
        authorizer=gate,
        journals=[ledger, events.Log(notifier)],
        failures=audit.FailureRecorder(),
        clock=clock,
    )
    yield database
    database.close()
