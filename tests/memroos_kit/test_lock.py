import os
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from memroos_kit.lock import AlreadyRunning, ProcessLock, find_holder, hold, is_held

HOLD = """
import pathlib, sys, time
from memroos_kit.lock import ProcessLock
lock = ProcessLock(pathlib.Path(sys.argv[1]), process="kernel").acquire()
lock.announce("http://127.0.0.1:7700")
print("held", flush=True)
time.sleep(60)
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "kernel.lock"


@pytest.fixture
def other(path: Path) -> Iterator["subprocess.Popen[str]"]:
    """Another process that holds the lock."""
    with subprocess.Popen([sys.executable, "-c", HOLD, str(path)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_a_second_process_is_refused_with_the_name_of_the_first(path: Path, other: "subprocess.Popen[str]") -> None:
    with pytest.raises(AlreadyRunning) as refused:
        ProcessLock(path, process="kernel").acquire()

    sentence = str(refused.value)
    assert f"process id {other.pid} on {os.uname().nodename} at http://127.0.0.1:7700" in sentence
    assert str(path.parent) in sentence
    assert refused.value.holder is not None
    assert refused.value.holder.pid == other.pid


def test_a_killed_holder_leaves_the_lock_free(path: Path, other: "subprocess.Popen[str]") -> None:
    other.send_signal(signal.SIGKILL)
    other.wait()

    assert find_holder(path) is None
    with ProcessLock(path, process="kernel"):
        holder = find_holder(path)

    assert holder is not None
    assert holder.pid == os.getpid()
    assert holder.address == ""


def test_a_released_lock_names_nobody(path: Path) -> None:
    lock = ProcessLock(path, process="kernel").acquire()
    lock.release()
    lock.release()

    assert not is_held(path)
    assert path.read_bytes() == b""


def test_a_child_process_does_not_keep_the_lock(path: Path) -> None:
    lock = ProcessLock(path, process="up").acquire()
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        lock.release()

        assert not is_held(path)
        child.communicate(b"\n")


def test_a_holder_that_has_not_said_who_it_is_is_still_a_holder(path: Path, other: "subprocess.Popen[str]") -> None:
    path.write_text("")

    with pytest.raises(AlreadyRunning, match="just starting"):
        find_holder(path)


def test_a_shorter_announcement_leaves_nothing_of_the_longer_one(path: Path) -> None:
    with ProcessLock(path, process="kernel") as lock:
        lock.announce("http://agents.example:7700")
        lock.announce("x")

        holder = find_holder(path)

    assert holder is not None
    assert holder.address == "x"


def test_the_file_and_its_folder_are_their_owners_alone(path: Path) -> None:
    with ProcessLock(path, process="kernel"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_a_lock_is_named_after_its_file_unless_told_otherwise(path: Path) -> None:
    with hold(path, address="http://127.0.0.1:7700"):
        holder = find_holder(path)

    assert holder is not None
    assert (holder.process, holder.address) == ("kernel", "http://127.0.0.1:7700")


def test_no_file_means_no_holder(path: Path) -> None:
    assert find_holder(path) is None


def test_looking_at_a_lock_does_not_refuse_a_start(path: Path) -> None:
    """Whoever looks takes the lock for an instant."""
    look = f"import pathlib, memroos_kit.lock as lock\nwhile True: lock.is_held(pathlib.Path({str(path)!r}))"
    ProcessLock(path, process="kernel").acquire().release()
    with subprocess.Popen([sys.executable, "-c", look]) as looker:
        for _ in range(200):
            ProcessLock(path, process="kernel").acquire().release()
        looker.kill()
