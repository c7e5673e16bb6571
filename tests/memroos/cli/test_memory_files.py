"""What belongs to the memory service, in backups and in the doctor's eyes."""

import shutil
import socket
from contextlib import closing
from pathlib import Path

import msgspec
import pytest
from tests.memroos.cli.conftest import Run

from memroos.settings import Settings
from memroos.wiring import Kernel
from memroos_kit import lock
from memroos_kit.db.migrate import migrate
from memroos_kit.sqlite import sqlite3
from memroos_memory.wiring import MIGRATIONS


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What is left when a kernel and a memory service have run."""
    path = tmp_path_factory.mktemp("template")
    Kernel(Settings(data_dir=path)).close()
    (path / "memory").mkdir(mode=0o700)
    migrate(path / "memory" / "memory.db", MIGRATIONS)
    return path


@pytest.fixture
def data_dir(template: Path, tmp_path: Path) -> Path:
    """A data directory in which both have run."""
    path = Path(shutil.copytree(template, tmp_path / "data"))
    path.chmod(0o700)
    return path


def test_a_backup_brings_the_memory_services_database_back(run: Run, data_dir: Path, tmp_path: Path) -> None:
    with closing(sqlite3.connect(data_dir / "memory" / "memory.db", isolation_level=None)) as connection:
        connection.execute("INSERT INTO intake VALUES ('kernel', 42)")
    assert run("backup", "kept").exit_code == 0

    restored = run("restore", "kept", "--data-dir", str(tmp_path / "other"))

    assert restored.exit_code == 0, restored.stderr
    with closing(sqlite3.connect(tmp_path / "other" / "memory" / "memory.db")) as connection:
        assert connection.execute("SELECT position FROM intake").fetchall() == [(42,)]
    assert (tmp_path / "other" / "memory.key").read_text() == (data_dir / "memory.key").read_text()


def test_nothing_is_restored_under_a_running_memory_service(run: Run, data_dir: Path) -> None:
    run("backup", "kept")

    with lock.hold(data_dir / "memory.lock"):
        refused = run("restore", "kept", "--force")

    assert refused.exit_code == 1
    assert "memory with process id" in refused.stderr


def test_the_doctor_sees_who_is_in_the_memory_services_place(run: Run) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        result = run("doctor", "--json", MEMROOS_MEMORY_PORT=str(other.getsockname()[1]), MEMROOS_PORT="0")

    found = {check["name"]: check for check in msgspec.json.decode(result.stdout)}
    assert found["memory address"]["level"] == "fail"
    assert "MEMROOS_MEMORY_PORT" in found["memory address"]["remedy"]
    assert found["memory database"]["level"] == "ok"
