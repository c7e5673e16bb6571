"""The tutorial: every command of it is run, in its order, in one shell, as it stands on the page."""

import os
import re
import subprocess
import sys
from pathlib import Path

from tests.flows.service import free_port

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "tutorials" / "first-agent.md").read_text("utf-8")


def blocks(language: str) -> list[str]:
    """Return the blocks of a language, in their order."""
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, flags=re.MULTILINE | re.DOTALL)


def test_every_command_of_the_tutorial_works(tmp_path: Path) -> None:
    (tmp_path / ".venv").symlink_to(sys.prefix)
    (tmp_path / "docs").symlink_to(ROOT / "docs")
    (tmp_path / "scripts").mkdir()
    up = tmp_path / "scripts" / "up"  # the real one sees to .venv first, and has tests of its own
    up.write_text('#!/bin/sh\nexec .venv/bin/memroos up "$@"\n', "utf-8")
    up.chmod(0o755)
    port = str(free_port())
    end = "trap '.venv/bin/memroos down >&2 || true; kill $(jobs -p) 2>/dev/null || true' EXIT\n"
    script = "set -eux\n" + end + "\n".join(blocks("sh")).replace("7700", port) + "\ntrap - EXIT\n"
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("MEMROOS_")}

    done = subprocess.run(
        ["sh", "-c", script],
        cwd=tmp_path,
        env={**inherited, "MEMROOS_PORT": port, "MEMROOS_GRPC_PORT": str(free_port())},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    for promised in blocks("text"):
        assert promised in done.stdout
    assert "Hello again" in done.stdout
    assert not (tmp_path / "data" / "kernel.lock").read_bytes(), "the kernel still runs"


def test_the_page_shows_the_whole_example() -> None:
    [program] = blocks("python")

    assert program == (ROOT / "docs" / "examples" / "echo_agent.py").read_text("utf-8")
    assert f"an agent of {len(program.splitlines())} lines" in PAGE
