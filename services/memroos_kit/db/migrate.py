"""Migrations: one alembic line per process, applied at start on the one writer connection.

A migration is one transaction: it is there as a whole or not at all. Foreign keys are off meanwhile, because alembic's
batch mode rebuilds tables, and are checked before the commit.
"""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Column, Connection, MetaData

from memroos_contracts.errors import ErrorKind, MemroosError
from memroos_kit.db import engine as engines

logging.getLogger("alembic").setLevel(logging.WARNING)  # what it did is ours to say


class DatabaseNewer(MemroosError):
    """The database was written by a newer version of this program.

    Start that version, or restore a backup made before the upgrade.

    Facts:
        found: the migration that the database is at.
        known: the newest one that this program knows.
    """

    kind = ErrorKind.CONFLICT


class ForeignKeysBroken(MemroosError):
    """A migration left rows that refer to nothing, and was taken back."""

    kind = ErrorKind.CONFLICT


def migrate(path: Path, scripts: Path) -> tuple[str | None, str]:
    """Bring a database to the newest version, making it if there is none.

    Args:
        path: the database file.
        scripts: the folder with `env.py` and `versions`.

    Returns:
        The version before (None for a new database) and after.

    Raises:
        DatabaseNewer: the database is of a version that this program does not know; nothing was changed.
        ForeignKeysBroken: the migration was taken back.
    """
    config = configure(scripts)
    engine = engines.open_writer(path)
    try:
        with engine.connect() as connection:
            before = current(connection)
            after = newest(config)
            if before is not None and before not in known(config):
                raise DatabaseNewer(
                    f"{path} is at migration {before}; this program knows up to {after}.", found=before, known=after
                )
            if before != after:
                _upgrade(config, connection)
            return before, after
    finally:
        engine.dispose()


def configure(scripts: Path) -> Config:
    """Return alembic's configuration for a folder of migrations."""
    config = Config()
    config.set_main_option("script_location", str(scripts).replace("%", "%%"))
    return config


def current(connection: Connection) -> str | None:
    """Return the version a database is at, None for a new one."""
    with connection.begin():
        return MigrationContext.configure(connection).get_current_revision()


def newest(config: Config) -> str:
    """Return the newest version that this program knows."""
    head = ScriptDirectory.from_config(config).get_current_head()
    assert head is not None
    return head


def known(config: Config) -> set[str]:
    """Return all versions that this program knows."""
    return {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}


def _upgrade(config: Config, connection: Connection) -> None:
    driver: Any = connection.connection.driver_connection
    driver.execute("PRAGMA foreign_keys=OFF")  # has no effect inside a transaction
    try:
        config.attributes["connection"] = connection
        with connection.begin():
            command.upgrade(config, "head")
            broken = driver.execute("PRAGMA foreign_key_check").fetchall()
            if broken:
                raise ForeignKeysBroken(f"{len(broken)} rows of {broken[0][0]} and others refer to nothing.")
    finally:
        driver.execute("PRAGMA foreign_keys=ON")


def run(context: Any, metadata: MetaData) -> None:
    """Run the migrations on the connection that was passed in; an `env.py` is this one call."""
    connection = context.config.attributes["connection"]
    context.configure(
        connection=connection,
        target_metadata=metadata,
        render_as_batch=True,
        transactional_ddl=True,
        include_object=comparable(connection, metadata),
        user_module_prefix="",
    )
    # The transaction is the caller's: it checks foreign keys before it commits.
    context.run_migrations()


def comparable(connection: Connection, metadata: MetaData) -> Callable[..., bool]:
    """Return the filter for what can be compared with the models.

    Left out are full-text indexes with the tables they keep, which no model has, and indexes over expressions such as
    `priority DESC`, which SQLite tells of as if they were over plain columns.
    """
    kinds = connection.exec_driver_sql("PRAGMA table_list").fetchall()
    theirs = {row[1] for row in kinds if row[2] in {"virtual", "shadow"}}
    expressions = {
        index.name
        for table in metadata.tables.values()
        for index in table.indexes
        if not all(isinstance(expression, Column) for expression in index.expressions)
    }

    def is_comparable(_: Any, name: str | None, kind: str, reflected: bool, __: Any) -> bool:
        if kind == "index":
            return name not in expressions
        return not (kind == "table" and reflected and name in theirs)

    return is_comparable
