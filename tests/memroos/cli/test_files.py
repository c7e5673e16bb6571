"""Commands that work on files, on what a real kernel has left behind."""

import shutil
import socket
import sys
from contextlib import closing
from pathlib import Path

import msgspec
import pytest
from tests.memroos.cli.conftest import Run

from memroos import supervisor, wiring
from memroos.cli import doctor
from memroos.cli.doctor import Check, Level
from memroos.settings import Settings
from memroos_kit import lock
from memroos_kit.sqlite import sqlite3


@pytest.fixture(scope="session")
def left_behind(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data directory of a kernel that was started and stopped."""
    path = tmp_path_factory.mktemp("kernel") / "data"
    path.mkdir(mode=0o700)
    wiring.Kernel(Settings(data_dir=path)).close()
    return path


@pytest.fixture
def data_dir(left_behind: Path, tmp_path: Path) -> Path:
    """A copy of it, for this test alone."""
    return Path(shutil.copytree(left_behind, tmp_path / "data"))


def tamper(data_dir: Path) -> None:
    """Change an event behind the ledger's back."""
    with closing(sqlite3.connect(data_dir / "conversations.db", isolation_level=None)) as connection:
        connection.execute("DROP TRIGGER audit_event_refuses_update")
        connection.execute("UPDATE audit_event SET body = replace(body, 'default', 'defaced') WHERE seq = 2")


def test_the_names_of_files_are_the_kernels_own() -> None:
    assert (supervisor.DATABASE, supervisor.KERNEL_LOCK) == (wiring.DATABASE, wiring.LOCK)
    assert doctor.MIGRATIONS == wiring.MIGRATIONS


# -- audit verify ----------------------------------------------------------------------------------------------------


def test_a_sound_ledger_verifies(run: Run) -> None:
    for_people, for_programs = run("audit", "verify"), run("audit", "verify", "--json")

    assert for_people.exit_code == 0
    assert "signatures  checked" in for_people.stdout
    assert msgspec.json.decode(for_programs.stdout)["ok"] is True
    assert "verifying ..." in for_people.stderr


def test_a_changed_event_is_named(run: Run, data_dir: Path) -> None:
    tamper(data_dir)

    result = run("audit", "verify")

    assert result.exit_code == 1
    assert "Error: Event 2 (aud_" in result.stderr


def test_any_database_can_be_verified(run: Run, data_dir: Path, tmp_path: Path) -> None:
    moved = data_dir.rename(tmp_path / "elsewhere")

    assert run("audit", "verify", str(moved / "conversations.db")).exit_code == 0
    assert run("audit", "verify", "--data-dir", str(moved)).exit_code == 0


def test_where_there_is_no_ledger_the_command_says_so(run: Run, tmp_path: Path) -> None:
    result = run("audit", "verify", str(tmp_path / "nothing.db"))

    assert result.exit_code == 1
    assert "There is no file" in result.stderr


def test_another_public_key_is_noticed(run: Run, tmp_path: Path) -> None:
    result = run("audit", "verify", "--public-key", "nonsense")

    assert result.exit_code == 1
    assert "public key" in result.stderr


# -- backup and restore ----------------------------------------------------------------------------------------------


def test_a_backup_holds_the_database_and_the_ledgers_key_and_says_that_it_is_secret(run: Run, tmp_path: Path) -> None:
    result = run("backup", "backups/today")

    assert result.exit_code == 0
    assert {path.name for path in (tmp_path / "backups/today").iterdir()} == {
        "conversations.db",
        "ledger.key",
        "ledger.pub",
        "manifest.json",
        "memory.key",
        "secrets.key",
        "signing.keys",
    }
    assert "keep it as you keep keys" in result.stdout


def test_a_backup_names_the_secrets_it_holds_and_the_one_it_does_not(run: Run, tmp_path: Path, data_dir: Path) -> None:
    within = run("backup", "within").stdout
    elsewhere = (data_dir / "secrets.key").rename(tmp_path / "apart.key")

    without = run("backup", "without", MEMROOS_SECRETS_KEY_FILE=str(elsewhere)).stdout

    assert "(ledger.key, signing.keys, secrets.key, memory.key)" in within
    assert "not in it" not in within
    assert "(ledger.key, signing.keys, memory.key)" in without
    assert f"webhooks is not in it: {elsewhere}." in " ".join(without.split())
    files = (tmp_path / "without").iterdir()
    assert {file.name for file in files} & {"secrets.key", "apart.key"} == set()


def test_what_was_restored_elsewhere_verifies(run: Run, tmp_path: Path) -> None:
    run("backup", "today")

    result = run("restore", "today", MEMROOS_DATA_DIR="practice")

    assert result.exit_code == 0, result.output
    assert run("audit", "verify", MEMROOS_DATA_DIR="practice").exit_code == 0
    assert not (tmp_path / "practice" / "operator.key").exists()


def test_a_restore_does_not_overwrite_unless_forced(run: Run, data_dir: Path) -> None:
    run("backup", "today")

    refused = run("restore", "today")
    forced = run("restore", "today", "--force", "--json")

    assert refused.exit_code == 1
    assert "`--force` moves it aside" in refused.stderr
    assert forced.exit_code == 0
    aside = Path(msgspec.json.decode(forced.stdout)["set_aside"])
    assert (aside / "conversations.db").exists()
    assert (data_dir / "operator.key").exists(), "who operates it does not change"


def test_a_restore_over_a_running_kernel_is_refused(run: Run, data_dir: Path) -> None:
    run("backup", "today")

    with lock.hold(data_dir / "kernel.lock", address="http://127.0.0.1:7700"):
        result = run("restore", "today", "--force")

    assert result.exit_code == 1
    assert "memroos down" in result.stderr


def test_a_damaged_backup_is_refused(run: Run, tmp_path: Path) -> None:
    run("backup", "today")
    (tmp_path / "today" / "ledger.pub").write_text("another")

    result = run("restore", "today", MEMROOS_DATA_DIR="practice")

    assert result.exit_code == 1
    assert "ledger.pub is not the file that was backed up" in result.stderr


def test_a_backup_that_cannot_be_made_says_why(run: Run) -> None:
    run("backup", "today")

    result = run("backup", "today")

    assert result.exit_code == 1
    assert "exists already" in result.stderr


# -- doctor ----------------------------------------------------------------------------------------------------------


def examine(data_dir: Path, port: int = 0) -> dict[str, Check]:
    return {check.name: check for check in doctor.examine(Settings(data_dir=data_dir, port=port, grpc_port=0))}


def test_a_sound_kernel_passes_every_check(run: Run) -> None:
    ports = {"MEMROOS_PORT": "0", "MEMROOS_GRPC_PORT": "0"}
    for_people, for_programs = run("doctor", **ports), run("doctor", "--json", **ports)

    assert for_people.exit_code == 0, for_people.output
    checks = msgspec.json.decode(for_programs.stdout)
    assert {check["level"] for check in checks} <= {"ok", "warn"}
    assert {"Python", "SQLite", "data directory", "disk", "lock", "database", "clock", "ledger"} <= {
        check["name"] for check in checks
    }


def test_a_fresh_machine_passes_every_check(tmp_path: Path) -> None:
    found = examine(tmp_path / "nothing")

    assert {check.level for check in found.values()} == {Level.OK}
    assert found["database"].found == "not there yet"


@pytest.mark.parametrize(("mode", "level"), [(0o700, Level.OK), (0o750, Level.WARN), (0o777, Level.FAIL)])
def test_the_data_directory_is_its_owners_alone(data_dir: Path, mode: int, level: Level) -> None:
    data_dir.chmod(mode)

    assert examine(data_dir)["data directory"].level is level


def test_a_data_directory_that_cannot_be_written_fails(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.access", lambda *_: False)  # root, who may run the tests, can write everywhere

    (check,) = doctor.check_data_dir(Settings(data_dir=data_dir))

    assert check.level is Level.FAIL
    assert check.found == f"{data_dir} cannot be written"


def test_the_database_is_its_owners_alone_whatever_the_directory_allows(tmp_path: Path) -> None:
    path = tmp_path / "shared"
    path.mkdir()
    path.chmod(0o755)

    kernel = wiring.Kernel(Settings(data_dir=path))
    modes = {file.name: file.stat().st_mode & 0o777 for file in path.glob("conversations.db*")}
    kernel.close()

    assert "conversations.db" in modes
    assert set(modes.values()) == {0o600}


@pytest.mark.parametrize(("file", "name"), [("operator.key", "operator's key"), ("ledger.key", "ledger's key")])
def test_a_key_that_others_may_read_fails(data_dir: Path, file: str, name: str) -> None:
    (data_dir / file).chmod(0o644)

    check = examine(data_dir)[name]

    assert check.level is Level.FAIL
    assert f"chmod 600 {data_dir / file}" in check.remedy


def test_a_lost_ledger_key_fails(data_dir: Path) -> None:
    (data_dir / "ledger.key").unlink()

    assert examine(data_dir)["ledger's key"].level is Level.FAIL


def test_a_stranger_at_the_address_fails(data_dir: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as stranger:
        check = examine(data_dir, stranger.getsockname()[1])["address"]

    assert check.level is Level.FAIL
    assert "MEMROOS_PORT" in check.remedy


def test_a_stranger_where_grpc_is_to_be_served_fails(data_dir: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as stranger:
        port = stranger.getsockname()[1]
        found = {check.name: check for check in doctor.examine(Settings(data_dir=data_dir, port=0, grpc_port=port))}

    assert found["gRPC address"].level is Level.FAIL
    assert "MEMROOS_GRPC_PORT" in found["gRPC address"].remedy


def test_spans_that_nobody_could_send_fail(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = Settings(data_dir=data_dir, otel_endpoint="http://127.0.0.1:4318")
    (found,) = doctor.check_tracing(wanted)
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace.export", None)  # the extra is not installed
    (missing,) = doctor.check_tracing(wanted)

    assert found.level is Level.OK
    assert missing.level is Level.FAIL
    assert "memroos[otel]" in missing.found
    assert list(doctor.check_tracing(Settings(data_dir=data_dir))) == []


def test_a_running_kernel_is_named(data_dir: Path) -> None:
    with lock.hold(data_dir / "kernel.lock", address="http://127.0.0.1:4711"):
        assert "http://127.0.0.1:4711" in examine(data_dir)["lock"].found


def test_a_database_of_a_newer_version_fails(data_dir: Path) -> None:
    with closing(sqlite3.connect(data_dir / "conversations.db", isolation_level=None)) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '2999_01_01_later'")

    check = examine(data_dir)["database"]

    assert check.level is Level.FAIL
    assert "2999_01_01_later" in check.found


def test_a_clock_that_went_back_fails(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.time", lambda: 1_700_000_000.0)

    assert examine(data_dir)["clock"].level is Level.FAIL


def test_a_changed_ledger_fails(run: Run, data_dir: Path) -> None:
    tamper(data_dir)

    result = run("doctor", MEMROOS_PORT="0", MEMROOS_GRPC_PORT="0")

    assert result.exit_code == 1
    assert "Event 2" in result.stdout
    assert "1 check failed" in result.stderr


def test_a_long_ledger_is_left_to_its_own_command(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "EVENTS_MAX", 1)

    assert "memroos audit verify" in examine(data_dir)["ledger"].remedy


@pytest.mark.parametrize(("free", "level"), [(10, Level.FAIL), (500_000_000, Level.WARN), (5_000_000_000, Level.OK)])
def test_room_on_the_disk(data_dir: Path, monkeypatch: pytest.MonkeyPatch, free: int, level: Level) -> None:
    class Usage:
        pass

    usage = Usage()
    usage.free = free  # type: ignore[attr-defined]
    monkeypatch.setattr("shutil.disk_usage", lambda _: usage)

    assert examine(data_dir)["disk"].level is level


def test_an_interrupted_restore_is_noticed(data_dir: Path) -> None:
    (data_dir / ".restore-1234").mkdir()

    assert examine(data_dir)["restore"].level is Level.WARN


def test_a_file_that_is_no_database_fails_and_the_rest_is_still_examined(data_dir: Path) -> None:
    (data_dir / "conversations.db").write_bytes(b"not a database at all" * 100)

    found = examine(data_dir)

    assert found["ledger"].level is Level.FAIL
    assert found["disk"].level is Level.OK
