"""mem0 comes in quietly: no thread, no connection, no directory but ours."""

import subprocess
import sys
from pathlib import Path

import pytest

from memroos_memory.embedders import mem0_setup

QUIET = """
import socket, sys, threading
from pathlib import Path

asked = []
real = socket.getaddrinfo
socket.getaddrinfo = lambda *args, **kwargs: asked.append(args) or real(*args, **kwargs)
socket.socket.connect = lambda self, address: asked.append(address)

from memroos_memory.settings import MemorySettings
from memroos_memory.vectors import open_index
from memroos_memory.embedders import mem0_setup

index = open_index(MemorySettings(data_dir=Path(sys.argv[1])), 8, "test/x/8")
mem0_setup.part("mem0.memory.main")
names = sorted(thread.name for thread in threading.enumerate())
index.close()
telemetry = mem0_setup.part("mem0.memory.telemetry")
print(asked, names, telemetry.MEM0_TELEMETRY, telemetry._oss_telemetry_instance)
"""


def test_no_telemetry_thread_no_network_and_no_foreign_directory(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    data = tmp_path / "data"
    environment = {"HOME": str(home), "PATH": "/usr/bin:/bin"}

    done = subprocess.run(
        [sys.executable, "-c", QUIET, str(data)],
        capture_output=True,
        text=True,
        env=environment,
        timeout=60,
        check=True,
    )

    assert done.stdout.strip() == "[] ['MainThread'] False None", done.stdout + done.stderr
    assert list(home.iterdir()) == []
    assert (data / "memory" / "mem0").is_dir()


def test_mem0_cannot_be_reached_before_it_is_prepared() -> None:
    code = "from memroos_memory.embedders import mem0_setup; mem0_setup.part('mem0.memory.main')"

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)

    assert "RuntimeError: mem0 is used before it was prepared." in done.stderr


def test_mem0_imported_past_the_door_is_noticed(tmp_path: Path) -> None:
    code = (
        "import sys, types; from pathlib import Path; sys.modules['mem0'] = types.ModuleType('mem0')\n"
        f"from memroos_memory.embedders import mem0_setup; mem0_setup.prepare(Path({str(tmp_path)!r}))"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)

    assert "before its telemetry could be switched off" in done.stderr


def test_only_parts_of_mem0_come_through_its_door(tmp_path: Path) -> None:
    mem0_setup.prepare(tmp_path)

    with pytest.raises(ValueError, match="no part of mem0"):
        mem0_setup.part("openai")
