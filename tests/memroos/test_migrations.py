"""The kernel's migrations on a database that is in use: back to an earlier form and forward again, with rows in it."""

from pathlib import Path
from typing import Any

from alembic import command
from tests.actors import KERNEL, OPERATOR
from tests.memroos.broker.conftest import House
from tests.memroos.broker.worker.test_line import agent
from tests.memroos.push.conftest import HOOK, caller, db, gate, house, recent, sealer, shipped, terms, worker

from memroos import broker, push, registry
from memroos.governance import Gate
from memroos.push import service
from memroos.push.rules import Answer
from memroos.wiring import MIGRATIONS
from memroos_contracts.identity import Actor, AgentId
from memroos_contracts.push import NewPushConfig
from memroos_kit.db import Database, open_writer, sqlite3
from memroos_kit.db.migrate import configure, migrate

__all__ = ["agent", "caller", "db", "gate", "house", "recent", "sealer", "shipped", "terms", "worker"]

FIRST = "2026_11_21_first_tables"


def rows(path: Path, sql: str) -> list[tuple[Any, ...]]:
    connection = sqlite3.connect(path)
    try:
        return [tuple(row) for row in connection.execute(sql).fetchall()]
    finally:
        connection.close()


def take_back(path: Path, revision: str) -> None:
    engine = open_writer(path)
    config = configure(MIGRATIONS)
    with engine.connect() as connection:
        config.attributes["connection"] = connection
        with connection.begin():
            command.downgrade(config, revision)
    engine.dispose()


def test_work_that_stayed_inside_outlives_the_way_back_and_forth(  # noqa: PLR0917 - fixtures
    house: House, caller: Actor, worker: Actor, agent: AgentId, terms: push.Terms, gate: Gate, db_path: Path
) -> None:
    mine = house.send(caller, agent=worker.id)
    house.send(OPERATOR, agent=agent)  # on its way to a remote agent, which the first tables do not know
    made = house.db.write_now(
        caller, push.create_config, terms, mine.id, NewPushConfig(HOOK, credentials="c", scheme="B")
    )
    plan = push.Plan(attempts=3, backoff_s=1)
    house.db.write_now(KERNEL, service.report_try, made.id, 1, 2, Answer(error="no"), plan, dice=0.5)
    registered = house.db.read_now(OPERATOR, registry.get_agent, worker.id)
    house.db.close()
    waiting = rows(db_path, "SELECT * FROM delivery WHERE channel = 'inbox'")
    assert {channel for (channel,) in rows(db_path, "SELECT channel FROM delivery")} == {"inbox", "a2a"}

    take_back(db_path, FIRST)

    assert rows(db_path, "PRAGMA foreign_key_check") == []
    assert rows(db_path, "SELECT * FROM delivery") == waiting
    assert rows(db_path, "SELECT count(*) FROM task") == [(2,)]
    migrate(db_path, MIGRATIONS)
    assert rows(db_path, "PRAGMA foreign_key_check") == []
    assert rows(db_path, "SELECT * FROM delivery") == waiting
    assert rows(db_path, f"SELECT open, in_flight FROM agent_load WHERE agent_id = '{worker.id}'") == [(1, 1)]
    again = Database(db_path, authorizer=gate, clock=house.db.clock)
    assert again.read_now(KERNEL, broker.get_task, mine.id).accepted_generation == 2
    assert again.read_now(OPERATOR, registry.get_agent, worker.id) == registered
    again.close()
