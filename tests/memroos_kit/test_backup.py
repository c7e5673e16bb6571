import hashlib
import os
import shutil
import stat
import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path

import msgspec
import pytest

from memroos_kit import backup
from memroos_kit.backup import BackupDamaged, BackupFailed, RestoreRefused
from memroos_kit.lock import AlreadyRunning, ProcessLock
from memroos_kit.sqlite import sqlite3

WRITE = """
import sys, time
from memroos_kit.sqlite import sqlite3
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("PRAGMA synchronous=FULL")
print("writing", flush=True)
while True:
    connection.execute("BEGIN IMMEDIATE")
    connection.execute("INSERT INTO pair VALUES (1, randomblob(500))")
    connection.execute("INSERT INTO pair VALUES (-1, randomblob(500))")
    connection.execute("COMMIT")
"""


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data directory with a database, a secret and a public file."""
    folder = tmp_path / "data"
    folder.mkdir()
    with closing(sqlite3.connect(folder / "kernel.db", isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("CREATE TABLE pair (side INTEGER, filling BLOB)")
        connection.execute("CREATE INDEX pair_side ON pair (side)")
        for _ in range(50):
            connection.execute("INSERT INTO pair VALUES (1, randomblob(500)), (-1, randomblob(500))")
    (folder / "ledger.key").write_text("a secret")
    (folder / "ledger.key").chmod(0o600)
    (folder / "ledger.pub").write_text("no secret")
    return folder


@pytest.fixture
def archive(data: Path, tmp_path: Path) -> Path:
    """A backup of the data directory."""
    back_up(data, tmp_path / "backup")
    return tmp_path / "backup"


def back_up(data: Path, archive: Path) -> backup.Manifest:
    return backup.back_up(
        data / "kernel.db",
        archive,
        secret_files=[data / "ledger.key"],
        files=[data / "ledger.pub", data / "absent"],
        facts={"version": "0.1.0"},
    )


def lock_of(data: Path) -> ProcessLock:
    return ProcessLock(data / "kernel.lock", process="restore")


def rows(database: Path) -> list[tuple[int, bytes]]:
    with closing(sqlite3.connect(database)) as connection:
        return connection.execute("SELECT side, filling FROM pair ORDER BY rowid").fetchall()  # type: ignore[no-any-return]


def test_a_backup_comes_back_as_it_was(data: Path, archive: Path, tmp_path: Path) -> None:
    restored = backup.restore(archive, tmp_path / "new", lock=lock_of(tmp_path / "new"))

    assert restored.set_aside is None
    assert rows(tmp_path / "new" / "kernel.db") == rows(data / "kernel.db")
    assert (tmp_path / "new" / "ledger.key").read_text() == "a secret"
    assert (tmp_path / "new" / "ledger.pub").read_text() == "no secret"


def test_the_manifest_names_every_file_and_the_secret_ones(archive: Path) -> None:
    manifest = msgspec.json.decode((archive / "manifest.json").read_bytes(), type=backup.Manifest)

    assert [(file.name, file.secret) for file in manifest.files] == [
        ("kernel.db", False),
        ("ledger.key", True),
        ("ledger.pub", False),
    ]
    assert manifest.facts == {"version": "0.1.0"}
    assert all(len(file.sha256) == 64 for file in manifest.files)


def test_everything_in_a_backup_is_its_owners_alone(archive: Path) -> None:
    assert stat.S_IMODE(archive.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in archive.iterdir()} == {0o600}


def test_a_backup_under_writes_ends_and_holds_whole_transactions(data: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-c", WRITE, str(data / "kernel.db")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        writer.stdout.readline()

        back_up(data, tmp_path / "backup")

        assert writer.poll() is None, "the writer goes on"
        writer.kill()
    assert sum(side for side, _ in rows(tmp_path / "backup" / "kernel.db")) == 0


def test_progress_names_each_step_and_reaches_its_end(data: Path, tmp_path: Path) -> None:
    told: list[tuple[str, int, int]] = []

    backup.back_up(data / "kernel.db", tmp_path / "backup", progress=lambda *step: told.append(step))

    last = {phase: (done, total) for phase, done, total in told}
    assert set(last) == {"copying", "checking", "hashing kernel.db"}
    assert last["copying"][0] == last["copying"][1] > 0
    assert last["hashing kernel.db"] == ((tmp_path / "backup" / "kernel.db").stat().st_size,) * 2


def test_a_backup_never_replaces_another(data: Path, archive: Path) -> None:
    with pytest.raises(BackupFailed, match="exists already"):
        back_up(data, archive)


def test_without_a_database_there_is_no_backup(tmp_path: Path) -> None:
    with pytest.raises(BackupFailed, match="no database"):
        backup.back_up(tmp_path / "kernel.db", tmp_path / "backup")

    assert list(tmp_path.iterdir()) == []


def test_a_database_that_is_damaged_is_not_backed_up(data: Path, tmp_path: Path) -> None:
    damage_index(data / "kernel.db")

    with pytest.raises(BackupFailed, match="not a sound database"):
        back_up(data, tmp_path / "backup")

    assert [path.name for path in tmp_path.iterdir()] == ["data"]


def damage_index(database: Path) -> None:
    """Take rows out behind the index's back."""
    with closing(sqlite3.connect(database, isolation_level=None)) as connection:
        (root,) = connection.execute("SELECT rootpage FROM sqlite_schema WHERE name='pair_side'").fetchone()
        (size,) = connection.execute("PRAGMA page_size").fetchone()
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    content = bytearray(database.read_bytes())
    start = (root - 1) * size
    content[start + 3 : start + 5] = (0).to_bytes(2, "big")  # the root page of the index says that it has no cells
    database.write_bytes(content)


@pytest.mark.parametrize("name", ["kernel.db", "ledger.key", "ledger.pub"])
def test_a_changed_file_is_named_and_nothing_is_restored(archive: Path, tmp_path: Path, name: str) -> None:
    content = bytearray((archive / name).read_bytes())
    content[-1] ^= 1
    (archive / name).write_bytes(content)

    with pytest.raises(BackupDamaged, match=name):
        backup.restore(archive, tmp_path / "new", lock=lock_of(tmp_path / "new"))

    assert [path.name for path in (tmp_path / "new").iterdir()] == ["kernel.lock"]


def test_a_missing_file_is_named(archive: Path) -> None:
    (archive / "ledger.key").unlink()

    with pytest.raises(BackupDamaged, match=r"ledger\.key cannot be read"):
        backup.verify(archive)


def test_a_database_that_was_damaged_before_its_hash_was_taken_is_found(archive: Path) -> None:
    damage_index(archive / "kernel.db")
    manifest = msgspec.json.decode((archive / "manifest.json").read_bytes(), type=backup.Manifest)
    digest = hashlib.sha256((archive / "kernel.db").read_bytes()).hexdigest()
    files = [
        msgspec.structs.replace(file, sha256=digest) if file.name == "kernel.db" else file for file in manifest.files
    ]
    (archive / "manifest.json").write_bytes(msgspec.json.encode(msgspec.structs.replace(manifest, files=tuple(files))))

    with pytest.raises(BackupDamaged, match="not a sound database"):
        backup.verify(archive)


@pytest.mark.parametrize("name", ["../outside", "a/b", "..", "", "manifest.json"])
def test_a_manifest_cannot_reach_out_of_its_directory(archive: Path, name: str) -> None:
    manifest = msgspec.json.decode((archive / "manifest.json").read_bytes(), type=backup.Manifest)
    planted = msgspec.structs.replace(manifest.files[1], name=name)
    forged = msgspec.structs.replace(manifest, files=(*manifest.files, planted))
    (archive / "manifest.json").write_bytes(msgspec.json.encode(forged))

    with pytest.raises(BackupDamaged, match="cannot be in a backup"):
        backup.verify(archive)


def test_a_directory_that_is_no_backup_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BackupDamaged, match="is not a backup"):
        backup.verify(tmp_path)


def test_a_backup_of_another_format_is_refused(archive: Path) -> None:
    manifest = msgspec.json.decode((archive / "manifest.json").read_bytes(), type=backup.Manifest)
    (archive / "manifest.json").write_bytes(msgspec.json.encode(msgspec.structs.replace(manifest, format=2)))

    with pytest.raises(BackupDamaged, match="has format 2"):
        backup.verify(archive)


def test_a_restore_onto_a_running_kernel_is_refused(data: Path, archive: Path) -> None:
    with (
        ProcessLock(data / "kernel.lock", process="kernel"),
        pytest.raises(AlreadyRunning, match="kernel with process id"),
    ):
        backup.restore(archive, data, lock=lock_of(data), force=True)


def test_a_restore_onto_data_is_refused_and_changes_nothing(data: Path, archive: Path) -> None:
    before = (data / "kernel.db").read_bytes()

    with pytest.raises(RestoreRefused, match=r"kernel\.db"):
        backup.restore(archive, data, lock=lock_of(data))

    assert (data / "kernel.db").read_bytes() == before


def test_force_moves_what_was_there_aside(data: Path, archive: Path) -> None:
    with closing(sqlite3.connect(data / "kernel.db", isolation_level=None)) as connection:
        connection.execute("DELETE FROM pair")
    (data / "ledger.key").write_text("a newer secret")
    (data / "kernel.db-wal").write_bytes(b"left over")

    restored = backup.restore(archive, data, lock=lock_of(data), force=True)

    assert len(rows(data / "kernel.db")) == 100
    assert (data / "ledger.key").read_text() == "a secret"
    assert restored.set_aside is not None
    assert {path.name for path in restored.set_aside.iterdir()} == {
        "kernel.db",
        "kernel.db-wal",
        "ledger.key",
        "ledger.pub",
    }
    assert (restored.set_aside / "ledger.key").read_text() == "a newer secret"
    assert not [path for path in data.iterdir() if path.name.startswith(".restore")]


def test_a_process_that_starts_during_a_restore_is_refused(archive: Path, tmp_path: Path) -> None:
    new, refused = tmp_path / "new", threading.Event()

    def start(phase: str, _done: int, _total: int) -> None:
        if phase == "copying" and not refused.is_set():
            with pytest.raises(AlreadyRunning):
                ProcessLock(new / "kernel.lock", process="kernel").acquire()
            refused.set()

    backup.restore(archive, new, lock=lock_of(new), progress=start)

    assert refused.is_set()


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("mount"), reason="needs root for a small file system")
def test_a_disk_without_room_keeps_what_was_there(data: Path, archive: Path, tmp_path: Path) -> None:
    small = tmp_path / "small"
    small.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(small)], check=False).returncode:
        pytest.skip("no tmpfs here")
    try:
        (small / "kernel.db").write_text("what was there")

        with pytest.raises(RestoreRefused, match="No space left"):
            backup.restore(archive, small, lock=lock_of(small), force=True)

        assert (small / "kernel.db").read_text() == "what was there"
        with pytest.raises(BackupFailed):
            back_up(data, small / "backup")
        assert {path.name for path in small.iterdir()} == {"kernel.db", "kernel.lock"}
    finally:
        subprocess.run(["umount", str(small)], check=True)


# -- a system of several databases -------------------------------------------------------------------------------------


@pytest.fixture
def other(data: Path) -> Path:
    """The database of another process, in a folder of its own."""
    path = data / "memory" / "memory.db"
    path.parent.mkdir()
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("CREATE TABLE kept (what TEXT)")
        connection.execute("INSERT INTO kept VALUES ('this')")
    return path


def test_databases_of_other_processes_come_along_and_back(data: Path, other: Path, tmp_path: Path) -> None:
    (other.parent / "index").mkdir()
    manifest = backup.back_up(data / "kernel.db", tmp_path / "both", others=[other, data / "none" / "none.db"])

    restored = backup.restore(tmp_path / "both", data, lock=lock_of(data), force=True)

    assert manifest.others == ("memory.db",)
    with closing(sqlite3.connect(other)) as connection:
        assert connection.execute("SELECT what FROM kept").fetchall() == [("this",)]
    assert not (other.parent / "index").exists(), "what was derived from other data is not used"
    assert restored.set_aside is not None
    assert (restored.set_aside / "memory" / "index").exists()


def test_each_file_is_on_the_disk_before_the_database_that_all_belong_to(
    data: Path, other: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    backup.back_up(data / "kernel.db", tmp_path / "both", others=[other])
    synced: list[tuple[str, bool]] = []
    restored = tmp_path / "restored"
    restored.mkdir()
    monkeypatch.setattr(
        backup, "_sync_directory", lambda path: synced.append((path.name, (restored / "kernel.db").exists()))
    )

    backup.restore(tmp_path / "both", restored, lock=lock_of(restored))

    assert ("memory", False) in synced
    assert synced[-1] == ("restored", True)


def test_a_damaged_copy_of_another_database_is_found(data: Path, other: Path, tmp_path: Path) -> None:
    backup.back_up(data / "kernel.db", tmp_path / "both", others=[other])
    (tmp_path / "both" / "memory.db").write_bytes(b"something else")

    with pytest.raises(BackupDamaged, match=r"memory\.db"):
        backup.verify(tmp_path / "both")


def test_a_folder_that_leads_elsewhere_is_refused(archive: Path) -> None:
    manifest = backup.verify(archive)
    moved = msgspec.structs.replace(manifest.files[0], folder="..")
    changed = msgspec.structs.replace(manifest, files=(moved, *manifest.files[1:]))
    (archive / "manifest.json").write_bytes(msgspec.json.encode(changed))

    with pytest.raises(BackupDamaged, match="cannot be in a backup"):
        backup.verify(archive)
