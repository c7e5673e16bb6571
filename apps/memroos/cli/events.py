"""`memroos events`: what happens."""

import click
import msgspec

from memroos.cli.options import Kernel, limit_option, page, remote
from memroos.cli.output import Column, printable, when
from memroos_client.calls import events as calls
from memroos_client.calls.events import Reset
from memroos_contracts.events import EventView

EVENTS: list[Column[EventView]] = [
    Column("offset", lambda event: str(event.offset)),
    Column("at", lambda event: when(event.at)),
    Column("type", lambda event: event.type),
    Column("subject", lambda event: event.subject),
    Column("data", lambda event: msgspec.json.encode(event.data).decode() if event.data else "", shrinks=True),
]

type_option = click.option(
    "--type", "types", multiple=True, help="Only events of this type; `task` takes every task.*. May be repeated."
)
subject_option = click.option("--subject", default="", help="Only events about this, such as a task's id.")


@click.group()
def events() -> None:
    """See what happens. The log keeps events for some days; the ledger keeps everything."""


@events.command("list")
@type_option
@subject_option
@click.option("--after", type=click.IntRange(0), default=0, help="Begin behind this offset.")
@limit_option
@remote
def list_events(kernel: Kernel, types: tuple[str, ...], subject: str, after: int, most: int) -> None:
    """List events, the oldest first."""
    call = calls.log(types=types, subject=subject, after=after or None, limit=page(most))
    kernel.listing(call, EVENTS, most=most, empty="No events.")


@events.command("tail")
@type_option
@subject_option
@click.option(
    "-n", "last", type=click.IntRange(0), default=10, show_default=True, help="Look at so many of the newest."
)
@click.option("--follow", "-f", is_flag=True, help="Go on with what happens; Ctrl-C ends it.")
@remote
def tail_events(kernel: Kernel, types: tuple[str, ...], subject: str, last: int, follow: bool) -> None:
    """Show the newest events, each on a line of its own."""
    log = kernel.run(calls.log(limit=1))
    at = max(log.newest - last, log.oldest - 1, 0)
    while at < log.newest:
        stretch = kernel.run(calls.log(types=types, subject=subject, after=at, limit=100))
        for event in stretch.items:
            kernel.out.line(event, _line(event))
        if stretch.next_cursor is None or not stretch.items:
            break
        at = stretch.items[-1].offset
    if not follow:
        return
    for item in kernel.stream(calls.follow(types=types, subject=subject, after=log.newest)):
        if isinstance(item, Reset):
            click.echo(f"Events before {item.oldest} are no longer kept.", err=True)
        else:
            kernel.out.line(item, _line(item))


def _line(event: EventView) -> str:
    data = msgspec.json.encode(event.data).decode() if event.data else ""
    return printable(f"{when(event.at)}  {event.offset:>8}  {event.type:<24}  {event.subject}  {data}".rstrip())
