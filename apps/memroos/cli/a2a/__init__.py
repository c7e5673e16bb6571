"""`memroos a2a`: speak to any A2A agent, behind the kernel or anywhere else."""

import functools
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
from a2a.types import a2a_pb2
from google.protobuf.json_format import MessageToDict

from memroos.cli.a2a import cards, talking
from memroos.cli.a2a.connection import BINDINGS, Where, connected
from memroos.cli.a2a.showing import Show, text_of, word, write_json
from memroos.cli.options import pairs
from memroos.cli.output import Column, Output, printable

STATES = [name.removeprefix("TASK_STATE_").lower() for name in a2a_pb2.TaskState.keys()[1:]]
_EXIT_CODES = (
    "Exit codes: 0 completed, 1 failed, canceled, rejected or refused, 2 wrong usage, 3 nobody answers, 4 it waits for "
    "you (input or authorization), 5 it goes on, 130 Ctrl-C."
)

TASKS: list[Column[a2a_pb2.Task]] = [
    Column("id", lambda task: task.id),
    Column("state", lambda task: word(task.status.state)),
    Column("context", lambda task: task.context_id),
    Column("changed", lambda task: task.status.timestamp.ToJsonString()),
    Column("said", lambda task: text_of(task.status.message.parts).replace("\n", " "), shrinks=True),
]


@click.group(epilog=_EXIT_CODES)
def a2a() -> None:
    """Speak to A2A agents: those behind the kernel, or any other with --url.

    The kernel's key goes to the kernel only; for others, name one with --key-file or --header.
    """


def somewhere(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the server it talks to and whether to print JSON, and the options that say so."""

    @click.option("--url", default="", metavar="URL", help="An agent's base address or its card; else the kernel.")
    @click.option("--agent", default="", metavar="NAME", help="This agent behind the kernel.")
    @click.option("--binding", type=click.Choice(list(BINDINGS)), help="Else the one the card prefers.")
    @click.option("--version", type=click.Choice(["1.0", "0.3"]), help="Of A2A; else the latest offered.")
    @click.option(
        "--key-file",
        type=click.Path(path_type=Path, dir_okay=False),
        help="File with the key to use; for the kernel MEMROOS_API_KEY, else the operator's key, when left out.",
    )
    @click.option("--header", "headers", multiple=True, metavar="'NAME: VALUE'", help="Sent along. May be repeated.")
    @click.option("--json", "as_json", is_flag=True, help="Print JSON, in the protocol's names.")
    @functools.wraps(command)
    def run(headers: tuple[str, ...], as_json: bool, **kwargs: Any) -> None:
        names = ("url", "agent", "binding", "version", "key_file")
        said: dict[str, Any] = {name: kwargs.pop(name) or ("" if name != "key_file" else None) for name in names}
        command(Where(**said, headers=_headers(headers)), as_json, **kwargs)

    return run


def content(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options that say what is sent, and to which conversation."""
    for option in reversed(
        (
            click.argument("text", default=""),
            click.option("--file", "files", multiple=True, type=click.Path(path_type=Path, dir_okay=False),
                         help="Send this file, too. May be repeated."),
            click.option("--data", multiple=True, metavar="JSON", help="Send this value, too. May be repeated."),
            click.option("--skill", default="", help="Any agent behind the kernel with this skill."),
            click.option("--tag", "tags", multiple=True, help="... and with this tag. May be repeated."),
            click.option("--task", default="", help="Go on with this task."),
            click.option("--context", default="", help="The context it belongs to."),
            click.option("--metadata", multiple=True, metavar="NAME=VALUE", help="Of the message. May be repeated."),
        )
    ):  # fmt: skip
        command = option(command)
    return command


@a2a.command("send", epilog=_EXIT_CODES)
@content
@click.option("--no-wait", is_flag=True, help="Return once the agent has taken it; exit code 0.")
@somewhere
def send(where: Where, as_json: bool, no_wait: bool, **said: Any) -> None:
    """Send TEXT and wait for the end.

    `-` reads it from standard input. The end is also that the agent needs you: for input, or an authorization.
    """
    request = _request(**said)
    request.configuration.return_immediately = no_wait
    show = Show(as_json=as_json)
    talking.run(talking.send(where, request, show, streaming=False), where, lambda: talking.way_back(show, where))
    _end(show, where, code=0 if no_wait else show.code)


@a2a.command("stream", epilog=_EXIT_CODES)
@content
@somewhere
def stream(where: Where, as_json: bool, **said: Any) -> None:
    """Send TEXT and show what happens, as it happens.

    `-` reads it from standard input. A stream that breaks is taken up again.
    """
    show = Show(as_json=as_json)
    work = talking.send(where, _request(**said), show, streaming=True)
    talking.run(work, where, lambda: talking.way_back(show, where))
    _end(show, where, code=show.code)


@a2a.command("subscribe", epilog=_EXIT_CODES)
@click.argument("task")
@somewhere
def subscribe(where: Where, as_json: bool, task: str) -> None:
    """Show TASK as it is, then what happens to it until it ends."""
    show = Show(as_json=as_json)
    talking.run(talking.follow(where, task, show), where, lambda: talking.way_back(show, where))
    _end(show, where, code=show.code)


@a2a.command("get")
@click.argument("task")
@click.option("--history", type=click.IntRange(0), default=None, help="At most so many of its last messages.")
@somewhere
def get(where: Where, as_json: bool, task: str, history: int | None) -> None:
    """Show TASK with its messages and artifacts."""

    async def work() -> a2a_pb2.Task:
        request = a2a_pb2.GetTaskRequest(id=task)
        if history is not None:
            request.history_length = history
        async with connected(where) as agent:
            return await agent.client.get_task(request, context=agent.context)

    _show_task(talking.run(work(), where, lambda: "Nothing was changed."), as_json=as_json)


@a2a.command("cancel")
@click.argument("task")
@somewhere
def cancel(where: Where, as_json: bool, task: str) -> None:
    """End TASK before its time."""

    async def work() -> a2a_pb2.Task:
        async with connected(where) as agent:
            return await agent.client.cancel_task(a2a_pb2.CancelTaskRequest(id=task), context=agent.context)

    back = f"See what became of it: memroos a2a get {task}{where.options}"
    _show_task(talking.run(work(), where, lambda: back), as_json=as_json)


@a2a.command("list")
@click.option("--context", default="", help="Only tasks of this context.")
@click.option("--state", type=click.Choice(STATES), help="Only tasks in this state.")
@click.option("--limit", "most", type=click.IntRange(1), default=50, show_default=True, help="Most entries to show.")
@somewhere
def list_tasks(where: Where, as_json: bool, context: str, state: str | None, most: int) -> None:
    """List tasks, the last changed first."""

    async def work() -> list[a2a_pb2.Task]:
        request = a2a_pb2.ListTasksRequest(context_id=context, page_size=min(most, 100))
        if state:
            request.status = a2a_pb2.TaskState.Value(f"TASK_STATE_{state.upper()}")  # type: ignore[assignment]  # its stub says int
        found: list[a2a_pb2.Task] = []
        async with connected(where) as agent:
            while len(found) < most:
                page = await agent.client.list_tasks(request, context=agent.context)
                found += page.tasks
                request.page_token = page.next_page_token
                if not page.next_page_token:
                    break
        return found[:most]

    tasks = talking.run(work(), where, lambda: "Nothing was changed.")
    if as_json:
        Output(as_json=True).table([MessageToDict(task) for task in tasks], [], empty="")
    else:
        Output(as_json=False).table(tasks, TASKS, empty="No tasks.")


@a2a.command("card")
@click.option("--extended", is_flag=True, help="The extended card, which needs a key.")
@somewhere
def card(where: Where, as_json: bool, extended: bool) -> None:
    """Show an agent's card, and whether its signature fits. Exit code 1 says that it does not."""
    seen = talking.run(cards.look(where, extended=extended), where, lambda: "Nothing was changed.")
    cards.show(seen, as_json=as_json)


def _request(  # noqa: PLR0913 - one per option
    *,
    text: str,
    files: tuple[Path, ...],
    data: tuple[str, ...],
    skill: str,
    tags: tuple[str, ...],
    task: str,
    context: str,
    metadata: tuple[str, ...],
) -> a2a_pb2.SendMessageRequest:
    wish: dict[str, Any] = {**pairs(metadata, "--metadata")}
    wish |= {"memroos.skill": skill} if skill else {}
    wish |= {"memroos.tags": list(tags)} if tags else {}
    said = talking.Content(text, files, data)
    return a2a_pb2.SendMessageRequest(message=talking.make_message(said, task=task, context=context, wish=wish))


def _headers(texts: tuple[str, ...]) -> dict[str, str]:
    found: dict[str, str] = {}
    for text in texts:
        name, colon, value = text.partition(":")
        if not colon or not name.strip():
            raise click.UsageError(f"--header {text!r}: expected 'Name: value'.")
        found[name.strip()] = value.strip()
    return found


def _show_task(task: a2a_pb2.Task, *, as_json: bool) -> None:
    if as_json:
        write_json(task)
        return
    for message in task.history:
        role = "agent" if message.role == a2a_pb2.ROLE_AGENT else "user"
        click.echo(f"{click.style(role, bold=True)}: {text_of(message.parts)}")
    Show().take(a2a_pb2.StreamResponse(task=task))


def _end(show: Show, where: Where, *, code: int) -> None:
    """Say what can be done about a task that did not come to an end, and exit."""
    hint = ""
    if not show.answered and show.task_id:
        if code == 4:
            hint = f"It waits for you: memroos a2a send --task {printable(show.task_id)}{where.options} 'your answer'"
        elif code == 5 or not show.over:
            hint = talking.way_back(show, where)
    if hint:
        click.echo(hint, err=True)
    sys.exit(code)
