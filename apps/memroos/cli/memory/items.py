"""`memroos memory list`, `show`, `history`, `update`, `supersede`, `delete`: what is remembered, and every version."""

from datetime import datetime

import click

from memroos.cli.memory.options import (
    INSTANT,
    agent_option,
    as_of_option,
    filter_option,
    known_at_option,
    reason_option,
    user_option,
)
from memroos.cli.options import Kernel, OneOf, limit_option, page, remote
from memroos.cli.output import Column, when
from memroos_client.calls import memory as calls
from memroos_contracts.memory_filters import Filter
from memroos_contracts.memory_items import (
    ItemChange,
    ItemKind,
    ItemQuery,
    ItemStatus,
    ItemView,
    Successor,
    VersionView,
)


def _status(item: ItemView) -> str:
    return f"{item.status}{', contested' * item.contested}{', echo' * item.echo}"


ITEMS: list[Column[ItemView]] = [
    Column("id", lambda item: item.id),
    Column("kind", lambda item: item.kind),
    Column("status", _status),
    Column("since", lambda item: when(item.valid_from or item.occurred_at)),
    Column("by", lambda item: item.speaker or item.author, shrinks=True),
    Column("text", lambda item: item.text or "", shrinks=True),
]
VERSIONS: list[Column[VersionView]] = [
    Column("version", lambda version: str(version.item.version)),
    Column("log", lambda version: str(version.item.log_seq)),
    Column("change", lambda version: version.change),
    Column("at", lambda version: when(version.item.recorded_at)),
    Column("by", lambda version: version.actor, shrinks=True),
    Column("text", lambda version: version.item.text or "", shrinks=True),
    Column("reason", lambda version: version.reason, shrinks=True),
]


@click.command("list")
@user_option
@agent_option
@click.option("--scope", default=None, metavar="ID", help="Only what stands in this scope's log.")
@click.option("--kind", "kinds", type=OneOf(ItemKind), multiple=True, help="Only items of this kind. May be repeated.")
@click.option("--superseded", is_flag=True, help="Also what something newer replaces.")
@filter_option
@as_of_option
@known_at_option
@limit_option
@remote
def list_command(  # noqa: PLR0913, PLR0917 - one per option
    kernel: Kernel,
    user: str,
    agent: str,
    scope: str | None,
    kinds: tuple[ItemKind, ...],
    superseded: bool,
    filter_: Filter | None,
    as_of: datetime | None,
    known_at: datetime | None,
    most: int,
) -> None:
    """List what is remembered, oldest first."""
    wanted = ItemQuery(
        filter=filter_,
        kinds=kinds,
        statuses=(ItemStatus.ACTIVE, ItemStatus.SUPERSEDED) if superseded else (ItemStatus.ACTIVE,),
        scope_id=scope,
        user_id=user or None,
        agent_id=kernel.agent_id(agent) or None,
        as_of=as_of,
        known_at=known_at,
        limit=page(most),
    )
    kernel.listing(calls.items(wanted), ITEMS, most=most, empty="Nothing is remembered.")


@click.command("show")
@click.argument("item")
@remote
def show_command(kernel: Kernel, item: str) -> None:
    """Show one item as it stands. The ledger keeps who read it."""
    _show(kernel, kernel.run(calls.item(item)))


@click.command("history")
@click.argument("item")
@limit_option
@remote
def history_command(kernel: Kernel, item: str, most: int) -> None:
    """Show an item's versions, oldest first."""
    kernel.listing(calls.history(item, limit=page(most)), VERSIONS, most=most, empty="It has no versions.")


@click.command("update")
@click.argument("item")
@click.option("--text", default=None, help="What it says from now on.")
@click.option("--confidence", type=click.FloatRange(0, 1), default=None, help="How sure it is.")
@click.option("--valid-from", type=INSTANT, metavar="TIME", help="Since when it holds.")
@click.option("--valid-to", type=INSTANT, metavar="TIME", help="Until when it held.")
@click.option("--if-version", type=click.IntRange(1), default=None, help="Refuse when it is at another version.")
@reason_option
@remote
def update_command(  # noqa: PLR0913, PLR0917 - one per option
    kernel: Kernel,
    item: str,
    text: str | None,
    confidence: float | None,
    valid_from: datetime | None,
    valid_to: datetime | None,
    if_version: int | None,
    reason: str,
) -> None:
    """Change an item; the version before stays in its history."""
    if text is None and confidence is None and valid_from is None and valid_to is None:
        raise click.UsageError("Say what is to change: --text, --confidence, --valid-from or --valid-to.")
    change = ItemChange(
        text=text,
        confidence=confidence,
        valid_from=valid_from,
        valid_to=valid_to,
        if_version=if_version,
        reason=reason,
    )
    _show(kernel, kernel.run(calls.update(item, change)))


@click.command("supersede")
@click.argument("item")
@click.option("--text", default=None, help="What holds instead.")
@click.option("--by", default=None, metavar="ITEM", help="The item that holds instead.")
@click.option("--valid-from", type=INSTANT, metavar="TIME", help="From when; now when left out.")
@reason_option
@remote
def supersede_command(
    kernel: Kernel, item: str, text: str | None, by: str | None, valid_from: datetime | None, reason: str
) -> None:
    """Say what holds instead of an item, and show that."""
    if (text is None) == (by is None):
        raise click.UsageError("Say what holds instead: --text or --by.")
    successor = Successor(text=text, item_id=by, valid_from=valid_from, reason=reason)
    _show(kernel, kernel.run(calls.supersede(item, successor)))


@click.command("delete")
@click.argument("memory")
@reason_option
@remote
def delete_command(kernel: Kernel, memory: str, reason: str) -> None:
    """Take an event or an item out of everything that reads memory. A rollback of its scope brings an item back."""
    kernel.run(calls.delete(memory, reason=reason))
    kernel.out.facts({"deleted": memory}, [("deleted", memory)])


def _show(kernel: Kernel, item: ItemView) -> None:
    triple = item.triple
    kernel.out.facts(
        item,
        [
            ("item", item.id),
            ("kind", f"{item.kind}{f' ({item.event_kind})' if item.event_kind else ''}"),
            ("text", item.text or ""),
            ("says", f"{triple.subject} {triple.relation} {triple.object}" if triple else ""),
            ("status", _status(item)),
            ("echo", "it repeats what recall had handed out to its author; nothing is learned from it" * item.echo),
            ("superseded by", item.superseded_by),
            ("supersedes", item.supersedes),
            ("contested by", ", ".join(item.contradicts)),
            ("speaker", item.speaker),
            ("author", item.author),
            ("user", item.user_id),
            ("stream", f"{item.stream} {item.stream_seq}" if item.stream else ""),
            ("sources", "\n".join(item.sources)),
            ("said", when(item.occurred_at)),
            ("holds from", when(item.valid_from)),
            ("holds until", when(item.valid_to)),
            ("confidence", f"{item.confidence:.2f}" if item.confidence < 1 else ""),
            ("seen", f"{item.seen_count} times" if item.seen_count > 1 else ""),
            ("label", f"{item.label.sensitivity}{''.join(f', {tag}' for tag in item.label.tags)}"),
            ("recorded", when(item.recorded_at)),
            ("version", f"{item.version}, entry {item.log_seq} of {item.scope_id}"),
        ],
    )
