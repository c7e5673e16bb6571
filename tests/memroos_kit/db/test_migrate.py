"""Migrations: all of one or nothing of it, never on a newer database, and the models say what the tables are."""

from pathlib import Path
from textwrap import dedent

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from memroos.wiring import MIGRATIONS
from memroos_kit.db import Base, open_writer, sqlite3
from memroos_kit.db.migrate import DatabaseNewer, ForeignKeysBroken, comparable, configure, migrate, newest

ENV = """
from alembic import context
from sqlalchemy import MetaData
from memroos_kit.db.migrate import run

run(context, MetaData())
"""
FIRST = """
    op.execute("CREATE TABLE parent (id INTEGER PRIMARY KEY)")
    op.execute("CREATE TABLE child (id INTEGER PRIMARY KEY, parent_id INTEGER REFERENCES parent (id))")
    op.execute("INSERT INTO parent VALUES (1)")
    op.execute("INSERT INTO child VALUES (1, 1)")
"""


class Scripts:
    """A folder of migrations that grows as the test says."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._last: str | None = None
        (folder / "versions").mkdir(parents=True)
        (folder / "env.py").write_text(ENV)

    def add(self, name: str, upgrade: str) -> None:
        """Add a migration after the last one."""
        head = f"from alembic import op\nrevision = {name!r}\ndown_revision = {self._last!r}\n\ndef upgrade():\n"
        body = "".join(f"    {line}\n" for line in dedent(upgrade).strip().splitlines())
        (self.folder / "versions" / f"{name}.py").write_text(f"{head}{body}\ndef downgrade():\n    pass\n")
        self._last = name

    def drop(self, name: str) -> None:
        """Forget one, as an older program does that never knew it."""
        (self.folder / "versions" / f"{name}.py").unlink()


@pytest.fixture
def scripts(tmp_path: Path) -> Scripts:
    """Migrations with a first one."""
    made = Scripts(tmp_path / "migrations")
    made.add("first", FIRST)
    return made


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the database will be."""
    return tmp_path / "test.db"


def rows(path: Path, sql: str) -> list[tuple[object, ...]]:
    connection = sqlite3.connect(path)
    try:
        return [tuple(row) for row in connection.execute(sql).fetchall()]
    finally:
        connection.close()


def tables(path: Path) -> set[object]:
    return {name for (name,) in rows(path, "SELECT name FROM sqlite_master WHERE type = 'table'")}


def test_a_new_database_gets_all_migrations_and_a_current_one_none(path: Path, scripts: Scripts) -> None:
    scripts.add("second", 'op.execute("CREATE TABLE more (id INTEGER PRIMARY KEY)")')

    assert migrate(path, scripts.folder) == (None, "second")
    assert migrate(path, scripts.folder) == ("second", "second")
    assert {"parent", "child", "more"} <= tables(path)


def test_an_older_database_gets_what_it_lacks_and_keeps_its_rows(path: Path, scripts: Scripts) -> None:
    migrate(path, scripts.folder)
    scripts.add("second", "op.execute(\"ALTER TABLE parent ADD COLUMN name TEXT NOT NULL DEFAULT 'x'\")")

    assert migrate(path, scripts.folder) == ("first", "second")
    assert rows(path, "SELECT * FROM parent") == [(1, "x")]


def test_a_newer_database_is_refused_and_stays_as_it_is(path: Path, scripts: Scripts) -> None:
    scripts.add("future", 'op.execute("CREATE TABLE flying_car (id INTEGER PRIMARY KEY)")')
    migrate(path, scripts.folder)
    before = path.read_bytes()
    scripts.drop("future")

    with pytest.raises(DatabaseNewer) as refused:
        migrate(path, scripts.folder)

    assert refused.value.facts == {"found": "future", "known": "first"}
    assert path.read_bytes() == before


def test_a_migration_that_fails_in_the_middle_leaves_nothing(path: Path, scripts: Scripts) -> None:
    migrate(path, scripts.folder)
    scripts.add(
        "second",
        """
        op.execute("CREATE TABLE half (id INTEGER)")
        op.execute("DELETE FROM child")
        raise OSError("half way")
        """,
    )

    with pytest.raises(OSError, match="half way"):
        migrate(path, scripts.folder)

    assert "half" not in tables(path)
    assert rows(path, "SELECT version_num FROM alembic_version") == [("first",)]
    assert rows(path, "SELECT count(*) FROM child") == [(1,)]


def test_a_migration_that_breaks_references_is_taken_back(path: Path, scripts: Scripts) -> None:
    migrate(path, scripts.folder)
    scripts.add("second", 'op.execute("DELETE FROM parent")')

    with pytest.raises(ForeignKeysBroken):
        migrate(path, scripts.folder)

    assert rows(path, "SELECT * FROM parent") == [(1,)]
    assert rows(path, "SELECT version_num FROM alembic_version") == [("first",)]


def test_a_table_is_rebuilt_without_losing_what_refers_to_it(path: Path, scripts: Scripts) -> None:
    migrate(path, scripts.folder)
    scripts.add(
        "second",
        """
        op.execute("CREATE TABLE new_parent (id INTEGER PRIMARY KEY, name TEXT)")
        op.execute("INSERT INTO new_parent (id) SELECT id FROM parent")
        op.execute("DROP TABLE parent")
        op.execute("ALTER TABLE new_parent RENAME TO parent")
        """,
    )

    migrate(path, scripts.folder)

    assert rows(path, "SELECT * FROM child") == [(1, 1)]


# -- the kernel's own --------------------------------------------------------------------------------------------------


def test_the_models_are_what_the_migrations_make(path: Path) -> None:
    migrate(path, MIGRATIONS)
    engine = open_writer(path)

    with engine.connect() as connection:
        context = MigrationContext.configure(
            connection,
            opts={"include_object": comparable(connection, Base.metadata), "render_as_batch": True},
        )
        difference = compare_metadata(context, Base.metadata)
    engine.dispose()

    assert difference == []


def test_every_table_is_taken_back_and_made_again(path: Path) -> None:
    migrate(path, MIGRATIONS)
    made = tables(path)
    engine = open_writer(path)
    config = configure(MIGRATIONS)

    with engine.connect() as connection:
        config.attributes["connection"] = connection
        with connection.begin():
            command.downgrade(config, "base")
    engine.dispose()

    assert tables(path) <= {"alembic_version", "sqlite_sequence", "sqlite_stat1"}
    assert migrate(path, MIGRATIONS) == (None, newest(config))
    assert tables(path) == made


@pytest.mark.parametrize("table", ["audit_event", "task_event"])
def test_what_is_append_only_refuses_to_change(path: Path, table: str) -> None:
    migrate(path, MIGRATIONS)

    triggers = {name for (name,) in rows(path, f"SELECT name FROM sqlite_master WHERE tbl_name = '{table}'")}

    assert {f"{table}_refuses_update", f"{table}_refuses_delete"} <= triggers
