"""What tests of the memory service may ask for: its database in a real file."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from memroos_kit.clock import ManualClock
from memroos_kit.db import Database
from memroos_kit.db.migrate import migrate
from memroos_memory import items, migrations


def create_tables(path: Path) -> None:
    """Build an empty memory database with the real migrations."""
    migrate(path, Path(migrations.__file__).parent)


@pytest.fixture(scope="session")
def memory_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty memory database, made once per run."""
    path = tmp_path_factory.mktemp("template") / "memory.db"
    create_tables(path)
    return path


@pytest.fixture
def db_path(memory_template: Path, tmp_path: Path) -> Path:
    """The database file of this test."""
    return Path(shutil.copyfile(memory_template, tmp_path / "memory.db"))


@pytest.fixture
def db(db_path: Path, clock: ManualClock) -> Iterator[Database]:
    """A memory database in a real file."""
    database = Database(db_path, authorizer=items.DecidedByKernel(), clock=clock)
    yield database
    database.close()
