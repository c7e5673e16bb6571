"""The scripts a newcomer runs first, against a Python that only notes what it is asked to do."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCRIPTS = [
    *sorted(path for path in (ROOT / "scripts").iterdir() if path.is_file() and path.suffix != ".py"),
    ROOT / ".ci" / "run",
]

FAKE_PYTHON = """#!/bin/sh
# Stands in for Python: notes venv and pip calls, and hands everything else to the real one.
case $* in
    -V) echo "Python {version}" ;;
    "-m venv "*) echo "venv" >>"{log}"; mkdir -p "$3/bin"; cp "$0" "$3/bin/python" ;;
    "-m pip --version") ;;
    "-m pip install"*)
        echo "$*" >>"{log}"
        sleep 0.2
        [ ! -f "{log}.hang" ] || sleep 60
        [ ! -f "{log}.fail" ] || exit 1
        for tool in memroos ruff lint-imports mypy; do
            printf '#!/bin/sh\\necho "%s $* in $PWD"\\n[ ! -f "{log}.%s" ]\\n' "$tool" "$tool" >"${{0%/*}}/$tool"
            chmod +x "${{0%/*}}/$tool"
        done
        ;;
    "-m pytest"*) echo "pytest $* ${{MEMROOS_TEST_BUDGET_S:-}}"; echo "== 1 passed in 0.1s ==" ;;
    *) {old}exec "{real}" "$@" ;;
esac
"""


@dataclass
class Checkout:
    """A folder with our scripts, a lock, and a Python that notes what it is asked to do."""

    folder: Path
    log: Path
    env: dict[str, str] = field(default_factory=dict)

    def python(self, name: str, *, version: str = "3.11.7", old: bool = False) -> Path:
        """Add a stand-in for Python and return where it is."""
        path = self.log.parent / "bin" / name
        path.parent.mkdir(exist_ok=True)
        refuses = "exit 1; " if old else ""
        path.write_text(FAKE_PYTHON.format(version=version, log=self.log, real=sys.executable, old=refuses))
        path.chmod(0o755)
        return path

    def start(self, *command: str, cwd: Path | None = None) -> "subprocess.Popen[str]":
        """Start one of the scripts, by default from a folder that is not the checkout."""
        return subprocess.Popen(
            ["sh", str(self.folder / command[0]), *command[1:]],
            cwd=cwd or self.log.parent,
            env={**os.environ, "PYTHON": str(self.log.parent / "bin" / "python"), **self.env},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def run(self, *command: str) -> "subprocess.CompletedProcess[str]":
        """Run one of the scripts to its end."""
        process = self.start(*command)
        out, err = process.communicate(timeout=30)
        return subprocess.CompletedProcess(command, process.returncode, out, err)

    def noted(self) -> list[str]:
        """Return what Python was asked to do since the last look."""
        lines = self.log.read_text().splitlines() if self.log.exists() else []
        self.log.unlink(missing_ok=True)
        return lines


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    folder = tmp_path / "a checkout"
    shutil.copytree(ROOT / "scripts", folder / "scripts")
    shutil.copytree(ROOT / ".ci", folder / ".ci")
    (folder / "requirements.lock").write_text("a==1\n")
    (folder / "pyproject.toml").write_text("[project]\n")
    here = Checkout(folder, tmp_path / "asked.log")
    here.python("python")
    return here


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_every_script_is_plain_shell(script: Path) -> None:
    parsed = subprocess.run(["sh", "-n", script], capture_output=True, text=True, check=False)

    assert parsed.returncode == 0, parsed.stderr
    if script.name != "_env.sh":
        assert script.read_text().startswith("#!/bin/sh\n")
        assert os.access(script, os.X_OK)


def test_the_first_start_installs_from_the_lock_and_runs_in_the_checkout(checkout: Checkout) -> None:
    started = checkout.run("scripts/up", "--detach", "two words")

    assert started.returncode == 0, started.stderr
    assert started.stdout == f"memroos up --detach two words in {checkout.folder}\n"
    venv, locked, project = checkout.noted()
    assert venv == "venv"
    assert "--require-hashes --no-deps -r" in locked
    assert "--no-deps --no-build-isolation --editable" in project


def test_the_second_start_installs_nothing(checkout: Checkout) -> None:
    checkout.run("scripts/up")
    checkout.noted()

    again = checkout.run("scripts/up")

    assert again.returncode == 0
    assert again.stderr == ""
    assert checkout.noted() == []


@pytest.mark.parametrize("file", ["requirements.lock", "pyproject.toml"])
def test_a_changed_lock_or_project_is_installed_into_the_same_venv(checkout: Checkout, file: str) -> None:
    checkout.run("scripts/up")
    checkout.noted()
    (checkout.folder / file).write_text("changed\n")

    checkout.run("scripts/up")

    assert [line.split()[0] for line in checkout.noted()] == ["-m", "-m"]


def test_another_python_makes_the_venv_anew(checkout: Checkout) -> None:
    checkout.run("scripts/up")
    checkout.noted()
    checkout.env["PYTHON"] = str(checkout.python("python3.13", version="3.13.0"))

    checkout.run("scripts/up")

    assert checkout.noted()[0] == "venv"


def test_a_moved_checkout_makes_the_venv_anew(checkout: Checkout) -> None:
    checkout.run("scripts/up")
    checkout.noted()
    checkout.folder = checkout.folder.rename(checkout.folder.with_name("moved"))

    started = checkout.run("scripts/up")

    assert started.stdout.endswith("/moved\n")
    assert checkout.noted()[0] == "venv"


def test_a_failed_install_says_so_and_the_next_start_finishes_it(checkout: Checkout) -> None:
    switch = checkout.log.with_name("asked.log.fail")
    switch.touch()
    failed = checkout.run("scripts/up")
    checkout.noted()
    switch.unlink()

    second = checkout.run("scripts/up")

    assert failed.returncode == 1
    assert "up: cannot install requirements.lock" in failed.stderr
    assert "memroos" not in failed.stdout
    assert second.returncode == 0
    assert len(checkout.noted()) == 2


def test_an_install_that_was_killed_is_not_trusted(checkout: Checkout) -> None:
    checkout.log.with_name("asked.log.hang").touch()
    killed = checkout.start("scripts/up")
    while not checkout.log.exists() or "--require-hashes" not in checkout.log.read_text():
        assert killed.poll() is None
        time.sleep(0.01)
    os.killpg(killed.pid, signal.SIGKILL)
    killed.communicate(timeout=30)
    checkout.log.with_name("asked.log.hang").unlink()
    checkout.noted()

    second = checkout.run("scripts/up")

    assert second.returncode == 0, second.stderr
    assert checkout.noted()[0] == "venv"
    assert checkout.run("scripts/up").stderr == ""


def test_two_at_once_install_once(checkout: Checkout) -> None:
    both = [checkout.start("scripts/up"), checkout.start("scripts/check", "types")]
    ends = [(process.communicate(timeout=30), process.returncode) for process in both]

    assert [code for _, code in ends] == [0, 0], ends
    assert len(checkout.noted()) == 3


def test_without_a_new_enough_python_the_start_says_what_to_do(checkout: Checkout) -> None:
    for name in ("python3", "python3.13", "python3.12", "python3.11", "python"):
        oldest = checkout.python(name, old=True)
    checkout.env = {"PYTHON": "", "PATH": f"{oldest.parent}{os.pathsep}{os.environ['PATH']}"}

    refused = checkout.run("scripts/up")

    assert refused.returncode == 1
    assert refused.stderr.startswith("up: no Python 3.11 or newer found")
    assert checkout.noted() == []


def test_a_named_python_that_is_too_old_is_refused(checkout: Checkout) -> None:
    checkout.env["PYTHON"] = str(checkout.python("python3.10", old=True))

    refused = checkout.run("scripts/check")

    assert refused.returncode == 1
    assert "is not a Python 3.11 or newer" in refused.stderr


def test_check_runs_every_step_and_ends_with_the_line_of_pytest(checkout: Checkout) -> None:
    done = checkout.run("scripts/check")

    assert done.returncode == 0, done.stderr
    headings = [line.split()[1].rstrip(":,") for line in done.stdout.splitlines() if line.startswith("== ")]
    steps = [name for name in ("format", "lint", "boundaries", "types") for _ in ("began", "passed")]
    assert headings == [*steps, "tests", "1"]
    assert "pytest -m pytest -m not long -n 3" in done.stdout
    assert done.stdout.splitlines()[-1] == "== 1 passed in 0.1s =="


def test_check_long_runs_the_long_tests_too_within_a_budget(checkout: Checkout) -> None:
    done = checkout.run("scripts/check", "--long", "tests")

    runs = [line for line in done.stdout.splitlines() if line.startswith("pytest")]
    assert [run.split("-m ", 2)[2].split(" --")[0].strip() for run in runs] == ["not long -n 3", "long 2400"]
    assert done.stdout.splitlines()[-1] == "== 1 passed in 0.1s =="


def test_check_stops_at_the_first_failure_and_names_it(checkout: Checkout) -> None:
    checkout.log.with_name("asked.log.mypy").touch()

    stopped = checkout.run("scripts/check")

    assert stopped.returncode == 1
    assert re.search(r"check: types failed after \d s: .venv/bin/mypy", stopped.stderr)
    assert "== tests" not in stopped.stdout


def test_check_refuses_a_step_it_does_not_know(checkout: Checkout) -> None:
    refused = checkout.run("scripts/check", "everything")

    assert refused.returncode == 1
    assert "unknown argument 'everything'" in refused.stderr
    assert checkout.noted() == []


def test_the_integration_run_is_the_check(checkout: Checkout) -> None:
    done = checkout.run(".ci/run")

    assert done.returncode == 0
    assert done.stdout.splitlines()[-1] == "== 1 passed in 0.1s =="
