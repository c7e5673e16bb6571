"""The memory service's tables are what its migrations make, and can be taken back."""

from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from memroos_kit.db import open_writer, sqlite3
from memroos_kit.db.migrate import comparable, configure, migrate, newest
from memroos_memory import migrations
from memroos_memory.models import DDL, Base

MIGRATIONS = Path(migrations.__file__).parent


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "memory.db"
    migrate(path, MIGRATIONS)
    return path


def rows(path: Path, sql: str) -> list[tuple[Any, ...]]:
    connection = sqlite3.connect(path)
    try:
        return [tuple(row) for row in connection.execute(sql).fetchall()]
    finally:
        connection.close()


def schema(path: Path) -> set[str]:
    return {sql for (sql,) in rows(path, "SELECT sql FROM sqlite_master WHERE sql IS NOT NULL")}


def test_the_models_are_what_the_migrations_make(path: Path) -> None:
    engine = open_writer(path)

    with engine.connect() as connection:
        context = MigrationContext.configure(
            connection, opts={"include_object": comparable(connection, Base.metadata), "render_as_batch": True}
        )
        difference = compare_metadata(context, Base.metadata)
    engine.dispose()

    assert difference == []


def test_the_guards_and_the_index_over_the_words_are_what_the_models_say(path: Path) -> None:
    assert set(DDL) <= schema(path)


def test_every_table_is_taken_back_and_made_again(path: Path) -> None:
    made = schema(path)
    engine = open_writer(path)
    config = configure(MIGRATIONS)

    with engine.connect() as connection:
        config.attributes["connection"] = connection
        with connection.begin():
            command.downgrade(config, "base")
    engine.dispose()

    assert {name for (name,) in rows(path, "SELECT name FROM sqlite_master WHERE type = 'table'")} <= {
        "alembic_version",
        "sqlite_sequence",
        "sqlite_stat1",
    }
    assert migrate(path, MIGRATIONS) == (None, newest(config))
    assert schema(path) == made


@pytest.mark.parametrize("change", ["UPDATE item_version SET reason = 'another'", "DELETE FROM item_version"])
def test_the_log_refuses_to_change(path: Path, change: str) -> None:
    connection = sqlite3.connect(path)
    connection.execute("INSERT INTO item_version VALUES (1, 1, 1, 1, 'add', 'service:memory', '', '', 0, '{}')")

    with pytest.raises(sqlite3.IntegrityError, match="append-only"):
        connection.execute(change)
    connection.close()
