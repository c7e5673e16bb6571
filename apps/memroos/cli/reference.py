"""The reference page of all commands, written from what they say of themselves."""

import inspect
from collections.abc import Iterator

import click

from memroos.cli import COMMANDS, cli

REFERENCE = "docs/reference/cli.md"


def render_reference() -> str:
    """Write the reference page as Markdown."""
    lines = [
        "# Commands",
        "",
        "`memroos` is the operator's tool. It talks to the kernel over HTTP; `audit verify`, `backup`, `restore` and",
        "`doctor` work on the files. Exit codes: 0 done, 1 failed, 2 wrong usage, 3 the kernel cannot be reached.",
        "Errors go to standard error. Lists print a JSON array with `--json`, streams a line of JSON for each entry.",
        "",
        "Which kernel: `--url`, else `MEMROOS_URL`, else the one on this machine. As whom: `--key-file`, else",
        "`MEMROOS_API_KEY` (or `MEMROOS_API_KEY_FILE`), else the operator's key of this machine's kernel. There are no",
        "colours where standard output is no terminal, with `--no-color`, and where `NO_COLOR` is set.",
        "",
        "`--help` on any command says what stands here.",
    ]
    context = click.Context(cli, info_name="memroos")
    for heading, section in COMMANDS.items():
        lines += ["", f"## {heading}"]
        for name in section:
            command = cli.get_command(context, name)
            assert command is not None
            lines += _describe(command, click.Context(command, info_name=name, parent=context))
    return "\n".join(lines) + "\n"


def _describe(command: click.Command, context: click.Context) -> Iterator[str]:
    usage = " ".join([context.command_path, *command.collect_usage_pieces(context)])
    yield from ("", f"### {context.command_path}", "", f"`{usage}`", "")
    yield from _paragraphs(inspect.cleandoc(command.help or ""))  # Python 3.13 has done it, older ones have not
    options = [record for param in command.get_params(context) if (record := _option(param, context))]
    if options:
        yield from ("", "| option | |", "|---|---|", *(f"| {name} | {text} |" for name, text in options))
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            inner = command.get_command(context, name)
            assert inner is not None
            yield from _describe(inner, click.Context(inner, info_name=name, parent=context))


def _paragraphs(text: str) -> Iterator[str]:
    """Keep paragraphs; a block that click leaves as it is stays one."""
    for i, paragraph in enumerate(text.split("\n\n")):
        if i:
            yield ""
        if paragraph.startswith("\b\n"):
            yield from ("```text", *paragraph.removeprefix("\b\n").splitlines(), "```")
        else:
            yield " ".join(paragraph.split())


def _option(param: click.Parameter, context: click.Context) -> tuple[str, str] | None:
    if not isinstance(param, click.Option) or "--help" in param.opts:
        return None
    record = param.get_help_record(context)
    if record is None:
        return None
    name, text = (part.replace("|", "\\|") for part in record)
    return f"`{name}`", " ".join(text.split())


if __name__ == "__main__":
    click.echo(render_reference(), nl=False)
