"""`memroos memory`: the memory service's own process, and what people do with memory.

A subcommand's module is imported when it is used: none but the process itself loads a server, and none but
evaluations what they compare with.
"""

import importlib

import click

from memroos.cli.failures import Failure

COMMANDS: dict[str, tuple[str, str]] = {
    "serve": ("process", "Run the memory service alone, in the foreground."),
    "remember": ("asking", "Keep something."),
    "recall": ("asking", "Find what answers a question."),
    "context": ("asking", "Get an answer as a text that fits a budget of tokens."),
    "list": ("items", "List what is remembered."),
    "show": ("items", "Show one item."),
    "history": ("items", "Show an item's versions."),
    "update": ("items", "Change an item."),
    "supersede": ("items", "Say what holds instead of an item."),
    "delete": ("items", "Take something out of memory."),
    "scopes": ("scopes", "List the scopes of memory."),
    "rollback": ("scopes", "Take a scope back to an entry of its log."),
    "inventory": ("scopes", "Show how much is remembered for whom."),
    "traces": ("scopes", "Show what memory handed out to whom."),
    "recollection": ("recollection", "Say what agents are reminded of unasked."),
    "stats": ("work", "Show how memory stands."),
    "jobs": ("work", "List the service's work."),
    "dead-letters": ("work", "List the work that could not be done."),
    "replay": ("work", "Put dead letters back into line."),
    "reindex": ("work", "Make indexes anew out of the truth."),
    "wait": ("work", "Wait until the work is done."),
    "eval": ("evaluation", "Measure recall with a question file."),
    "evals": ("evals", "Compare evaluations over time."),
}
"""Each subcommand's module, and what `memroos memory --help` says about it."""


class Subcommands(click.Group):
    """A group that imports a subcommand's module when it is used."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Return the names of all subcommands, in the order in which they are shown."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Import a subcommand."""
        if cmd_name not in COMMANDS:
            return None
        try:
            module = importlib.import_module(f"{__name__}.{COMMANDS[cmd_name][0]}")
        except RuntimeError as error:  # no SQLite library that is safe to use; the sentence says what to install
            raise Failure(str(error)) from error
        command: click.Command = getattr(module, f"{cmd_name.replace('-', '_')}_command")
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """Show all subcommands, importing none."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])


@click.group(cls=Subcommands, invoke_without_command=True)
@click.option("--supervised", is_flag=True, hidden=True, help="Stop when standard input ends: `memroos up` is gone.")
@click.pass_context
def memory(context: click.Context, supervised: bool) -> None:
    """Remember, recall, and look after memory. Without a subcommand: run the memory service, as `serve` does."""
    if context.invoked_subcommand is None:
        serve = memory.get_command(context, "serve")
        assert serve is not None
        context.invoke(serve, supervised=supervised)
