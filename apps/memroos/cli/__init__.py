"""The operator's command `memroos`.

A client over HTTP, except for what must work on files: `audit verify`, `backup`, `restore`, `doctor`. A command's
module is imported when it is used, so that `memroos --help` answers at once and a client command does not load a
server. Exit codes: 1 failed, 2 wrong usage, 3 the kernel cannot be reached.
"""

import importlib
from typing import NamedTuple

import click

from memroos import __version__
from memroos.cli.failures import Failure


class Entry(NamedTuple):
    """Where a command is, and what `memroos --help` says about it."""

    module: str
    attribute: str
    help: str


COMMANDS: dict[str, dict[str, Entry]] = {
    "Run": {
        "up": Entry("up", "up", "Start everything and keep it running."),
        "down": Entry("up", "down", "Stop what `up` started."),
        "status": Entry("up", "status", "Show what runs and how it stands."),
        "kernel": Entry("kernel", "kernel", "Run the kernel alone, in the foreground."),
        "demo": Entry("demo", "demo", "Let two agents do a piece of work, and watch."),
    },
    "Look and act": {
        "agents": Entry("agents", "agents", "Register agents and look after them."),
        "remote-agents": Entry("remote_agents", "remote_agents", "Register agents elsewhere, by their A2A cards."),
        "keys": Entry("keys", "keys", "Make, replace and revoke keys."),
        "card-keys": Entry("card_keys", "card_keys", "See and replace what cards are signed with."),
        "a2a": Entry("a2a", "a2a", "Speak to any A2A agent."),
        "tasks": Entry("tasks", "tasks", "Send tasks to agents and follow them."),
        "push": Entry("push", "push", "See who is notified of tasks, and send again."),
        "inbox": Entry("inbox", "inbox", "Look into agents' inboxes."),
        "approvals": Entry("approvals", "approvals", "Answer what waits for a person."),
        "events": Entry("events", "events", "See what happens."),
        "memory": Entry("memory", "memory", "Remember, recall, and look after memory; alone, run its service."),
        "audit": Entry("audit", "audit", "Read and verify the ledger."),
    },
    "Look after the data": {
        "backup": Entry("backup", "backup", "Back the data up, also while the kernel runs."),
        "restore": Entry("backup", "restore", "Put a backup back."),
        "doctor": Entry("doctor", "doctor", "Check this machine, the settings and the files."),
    },
    "Other": {
        "completion": Entry("completion", "completion", "Print the completion script of a shell."),
    },
}
"""Every command, under the heading where `memroos --help` shows it."""


class Commands(click.Group):
    """A group that imports a command's module when the command is used."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Return the names of all commands, in the order in which they are shown."""
        return [name for section in COMMANDS.values() for name in section]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Import a command."""
        entry = next((section[cmd_name] for section in COMMANDS.values() if cmd_name in section), None)
        if entry is None:
            return None
        try:
            module = importlib.import_module(f"memroos.cli.{entry.module}")
        except RuntimeError as error:  # no SQLite library that is safe to use; the sentence says what to install
            raise Failure(str(error)) from error
        command: click.Command = getattr(module, entry.attribute)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """Show all commands under their headings, importing none."""
        for heading, section in COMMANDS.items():
            with formatter.section(heading):
                formatter.write_dl([(name, entry.help) for name, entry in section.items()])


@click.group(
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    epilog="Exit codes: 0 done, 1 failed, 2 wrong usage, 3 the kernel cannot be reached.",
)
@click.version_option(__version__, prog_name="memroos")
@click.option("--no-color", is_flag=True, help="No colours; NO_COLOR in the environment says the same.")
@click.option("--no-color-env", envvar="NO_COLOR", default="", hidden=True)
@click.pass_context
def cli(context: click.Context, no_color: bool, no_color_env: str) -> None:
    """An operating system for agents: identity, routing, memory, governance and a ledger that can be verified."""
    if no_color or no_color_env:
        context.color = False


def main() -> None:
    """Run the command line."""
    cli(prog_name="memroos", auto_envvar_prefix=None)
