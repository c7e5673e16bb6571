"""The command line as a whole: help, completion, the reference page."""

import subprocess
import sys
from pathlib import Path

import click
import pytest
from tests.memroos.cli.conftest import Run

from memroos.cli import COMMANDS, cli
from memroos.cli.reference import REFERENCE, render_reference

ROOT = Path(__file__).parents[3]
NAMES = [name for section in COMMANDS.values() for name in section]
HEAVY = ("litestar", "sqlalchemy", "httpx", "cedarpy", "a2a", "cryptography")


def every_command(group: click.Command, context: click.Context) -> dict[str, click.Command]:
    found = {context.command_path: group}
    if isinstance(group, click.Group):
        for name in group.list_commands(context):
            inner = group.get_command(context, name)
            assert inner is not None
            found |= every_command(inner, click.Context(inner, info_name=name, parent=context))
    return found


ALL = every_command(cli, click.Context(cli, info_name="memroos"))


def test_help_loads_no_server_and_no_client() -> None:
    look = f"""
import sys
sys.argv = ["memroos", "--help"]
from memroos.cli import main
try: main()
except SystemExit: pass
print([name for name in {HEAVY!r} if name in sys.modules])
"""
    printed = subprocess.run([sys.executable, "-c", look], capture_output=True, text=True, check=True).stdout

    assert printed.splitlines()[-1] == "[]"


def test_a_client_command_loads_no_server() -> None:
    server = ("litestar", "sqlalchemy", "a2a", "cedarpy")
    look = f"import sys, memroos.cli.tasks; print([name for name in {server!r} if name in sys.modules])"
    printed = subprocess.run([sys.executable, "-c", look], capture_output=True, text=True, check=True).stdout

    assert printed == "[]\n"


@pytest.mark.parametrize("name", NAMES)
def test_the_overview_says_of_a_command_what_it_says_itself(name: str) -> None:
    section = next(section for section in COMMANDS.values() if name in section)
    command = ALL[f"memroos {name}"]

    assert command.name == name
    assert command.help
    assert section[name].help[0].isupper()
    assert section[name].help.endswith(".")


@pytest.mark.parametrize("path", sorted(ALL))
def test_every_command_and_every_option_explains_itself(path: str) -> None:
    command = ALL[path]

    assert command.help
    for param in command.params:
        if isinstance(param, click.Option) and not param.hidden:
            assert param.help, param.name


@pytest.mark.parametrize("path", sorted(path for path in ALL if path.count(" ") > 1))
def test_what_a_group_says_of_a_command_is_a_whole_sentence(path: str) -> None:
    assert not ALL[path].get_short_help_str(64).endswith("...")


def test_every_command_answers_help(run: Run) -> None:
    for path in ALL:
        assert run(*path.split()[1:], "--help").exit_code == 0, path


def test_the_reference_page_is_current() -> None:
    assert (ROOT / REFERENCE).read_text("utf-8") == render_reference(), "python -m memroos.cli.reference > " + REFERENCE


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_gets_its_completion(run: Run, shell: str) -> None:
    result = run("completion", shell)

    assert result.exit_code == 0
    assert "_MEMROOS_COMPLETE" in result.stdout


def test_completion_knows_commands_and_states(run: Run) -> None:
    words = {"COMP_WORDS": "memroos agents list --state ", "COMP_CWORD": "4", "_MEMROOS_COMPLETE": "bash_complete"}
    result = run(**words)

    assert "plain,quarantined" in result.stdout


def test_an_unknown_command_is_wrong_usage(run: Run) -> None:
    result = run("agnets")

    assert result.exit_code == 2
    assert "agnets" in result.stderr


def test_the_version_is_told(run: Run) -> None:
    assert run("--version").stdout.startswith("memroos, version ")


def test_the_module_runs_too() -> None:
    told = subprocess.run(
        [sys.executable, "-m", "memroos.cli", "--version"], capture_output=True, text=True, check=True
    )

    assert told.stdout.startswith("memroos, version ")
