"""What every test may ask for: a clock that stands still and a kernel database with the real journals.

Actors are in `tests.actors`.
"""

import gc
import shutil
from collections.abc import Generator, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from memroos import audit, events
from memroos.wiring import MIGRATIONS
from memroos_contracts.errors import Denied
from memroos_contracts.governance import Action, Asset, Decision, Effect
from memroos_contracts.identity import ApprovalId, DecisionId
from memroos_kit.clock import ManualClock
from memroos_kit.db import Database, Tx
from memroos_kit.db.migrate import migrate

START = datetime(2026, 1, 1, 12, tzinfo=UTC)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Look for garbage neither while all test modules are imported nor, later, among what was: it stays.

    That is most of what there is, and a fifth of the time that tests without a process of their own would take.
    """
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


class Policy:
    """An authorizer that allows everything a test does not forbid, and records what it decides like the real one."""

    def __init__(self) -> None:
        self.effects: dict[Action, Effect] = {}
        self.asked: list[tuple[Action, Asset]] = []

    def deny(self, *actions: Action) -> None:
        """Let these actions be denied from now on."""
        self.effects |= dict.fromkeys(actions, Effect.DENY)

    def hold(self, *actions: Action) -> None:
        """Let these actions wait for a human from now on."""
        self.effects |= dict.fromkeys(actions, Effect.HOLD)

    def authorize(
        self,
        tx: Any,
        action: Action,
        asset: Asset,
        *,
        purpose: str,
        arguments: Mapping[str, Any] | None,
        holdable: bool,
    ) -> Decision:
        """Decide as the test says."""
        self.asked.append((action, asset))
        effect = self.effects.get(action, Effect.ALLOW)
        held = effect is Effect.HOLD and holdable
        decision = Decision(
            id=DecisionId(tx.new_id("dec") if isinstance(tx, Tx) else "dec_read"),
            effect=effect,
            action=action.value,
            asset=asset,
            purpose=purpose,
            policies=("test",),
            policy_hash="0" * 64,
            approval_id=ApprovalId(tx.new_id("apr")) if held else None,
        )
        tx.decisions.append(decision)
        audit.record_decision(tx, decision)
        if effect is Effect.DENY or (effect is Effect.HOLD and not holdable):
            raise Denied(action=action.value, decision=decision.id)
        return decision

    def permits(self, tx: Any, action: Action, asset: Asset, *, purpose: str) -> bool:
        """Tell what `authorize` would, without recording."""
        return self.effects.get(action) is not Effect.DENY


@pytest.fixture
def clock() -> ManualClock:
    """A clock that stands still until the test moves it."""
    return ManualClock(START)


@pytest.fixture
def policy() -> Policy:
    """What the database's authorizer decides; `policy.deny(Action.TASK_SEND)` changes it."""
    return Policy()


@pytest.fixture
def notifier() -> events.Notifier:
    """The notifier behind the database's event log; a test with an event loop attaches it."""
    return events.Notifier()


@pytest.fixture(scope="session")
def signer() -> audit.Signer:
    """The key that signs the ledger's heads in tests."""
    return audit.Signer("memroos/test", bytes(32))


@pytest.fixture
def ledger(signer: audit.Signer) -> audit.Ledger:
    """The journal behind the database's ledger."""
    return audit.Ledger(signer)


@pytest.fixture(scope="session")
def database_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty kernel database, made once per run."""
    path = tmp_path_factory.mktemp("template") / "conversations.db"
    create_tables(path)
    return path


@pytest.fixture
def db_path(database_template: Path, tmp_path: Path) -> Path:
    """The database file of this test."""
    return Path(shutil.copyfile(database_template, tmp_path / "conversations.db"))


@pytest.fixture
def db(
    db_path: Path, clock: ManualClock, policy: Policy, ledger: audit.Ledger, notifier: events.Notifier
) -> Iterator[Database]:
    """A kernel database in a real file, with every slice's tables, the ledger and the event log."""
    database = Database(
        db_path,
        authorizer=policy,
        journals=[ledger, events.Log(notifier)],
        failures=audit.FailureRecorder(),
        clock=clock,
    )
    yield database
    database.close()


def create_tables(path: Path) -> None:
    """Build an empty kernel database with the real migrations."""
    migrate(path, MIGRATIONS)
