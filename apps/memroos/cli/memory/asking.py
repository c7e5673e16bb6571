"""`memroos memory remember`, `recall`, `context`: what memory is for."""

import sys
from datetime import datetime

import click

from memroos.cli.memory.options import (
    INSTANT,
    agent_option,
    as_of_option,
    filter_option,
    known_at_option,
    user_option,
)
from memroos.cli.options import Kernel, OneOf, remote
from memroos.cli.output import Column, printable, when
from memroos_client.calls import memory as calls
from memroos_contracts.memory import (
    ContextRequest,
    ContextResult,
    NewMemory,
    RecallItem,
    RecallRequest,
    RecallResult,
)
from memroos_contracts.memory_filters import Filter
from memroos_contracts.memory_items import ItemKind

HITS: list[Column[RecallItem]] = [
    Column("score", lambda hit: f"{hit.score:.2f}"),
    Column("said", lambda hit: when(hit.item.occurred_at or hit.item.recorded_at)),
    Column("by", lambda hit: hit.item.speaker or hit.item.author, shrinks=True),
    Column("text", lambda hit: hit.snippet, shrinks=True),
    Column("superseded by", lambda hit: hit.superseded_by),
    Column("id", lambda hit: hit.item.id),
]


@click.command("remember")
@click.argument("text")
@click.option("--stream", default="", help="A part of your own stream, such as `notes`.")
@click.option("--user", default="", metavar="ID", help="The person it is about.")
@click.option("--speaker", default="", help="Who said it, by name.")
@click.option("--occurred-at", type=INSTANT, metavar="TIME", help="When it was said; now when left out.")
@remote
def remember_command(
    kernel: Kernel, text: str, stream: str, user: str, speaker: str, occurred_at: datetime | None
) -> None:
    """Keep TEXT; `-` reads it from standard input. It can be recalled at once."""
    text = sys.stdin.read() if text == "-" else text
    kept = kernel.run(
        calls.write(NewMemory(text, stream=stream, user_id=user, speaker=speaker, occurred_at=occurred_at))
    )
    kernel.out.facts(kept, [("memory", kept.id), ("stream", kept.stream), ("kept", when(kept.created_at))])


@click.command("recall")
@click.argument("question")
@user_option
@agent_option
@click.option("--kind", "kinds", type=OneOf(ItemKind), multiple=True, help="Only items of this kind. May be repeated.")
@click.option("--since", type=INSTANT, metavar="TIME", help="Only what was said from then on.")
@click.option("--until", type=INSTANT, metavar="TIME", help="Only what was said before then.")
@filter_option
@as_of_option
@known_at_option
@click.option("--diversity", type=click.FloatRange(0, 1), default=0.0, help="How much repetition is put back.")
@click.option("--explain", is_flag=True, help="Show what each way of finding thought of each hit.")
@click.option("--limit", type=click.IntRange(1, 100), default=10, show_default=True, help="Most hits.")
@remote
def recall_command(  # noqa: PLR0913, PLR0917 - one per option
    kernel: Kernel,
    question: str,
    user: str,
    agent: str,
    kinds: tuple[ItemKind, ...],
    since: datetime | None,
    until: datetime | None,
    filter_: Filter | None,
    as_of: datetime | None,
    known_at: datetime | None,
    diversity: float,
    explain: bool,
    limit: int,
) -> None:
    """Find what answers QUESTION, best first. The ledger keeps what was given out to whom."""
    request = RecallRequest(
        question,
        limit=limit,
        item_kinds=kinds,
        agent_id=kernel.agent_id(agent) or None,
        user_id=user or None,
        since=since,
        until=until,
        filter=filter_,
        as_of=as_of,
        known_at=known_at,
        diversity=diversity,
        explain=explain,
    )
    found = kernel.run(calls.recall(request))
    if kernel.out.as_json:
        kernel.out.facts(found, [])
        return
    kernel.out.table(found.items, HITS, empty="Nothing that bears on the question.")
    if explain:
        _explain(kernel, found)
    _say_what_is_missing(found)


def _explain(kernel: Kernel, found: RecallResult) -> None:
    for hit in found.items:
        parts = [
            f"{arm} {part.part:+.2f} (rank {part.rank or '-'}, {part.score:.3f})"
            for arm, part in sorted(hit.arms.items(), key=lambda pair: -pair[1].part)
        ]
        words = [f"{word} {weight:.2f}" for word, weight in sorted(hit.lexical.items(), key=lambda pair: -pair[1])]
        kernel.out.say(f"\n{hit.item.id}: {', '.join(parts) or 'no parts were said'}")
        if words:
            kernel.out.say(f"  words: {printable(', '.join(words))}")
        for fact in hit.facts:
            kernel.out.say(f"  {fact.kind}: {printable(fact.text or '')} ({fact.id})")


@click.command("context")
@click.argument("question")
@user_option
@agent_option
@click.option("--budget", type=click.IntRange(16, 100_000), default=800, show_default=True, help="Most tokens.")
@click.option(
    "--format",
    "form",
    type=click.Choice(("text", "markdown", "xml")),
    default="text",
    show_default=True,
    help="Of the text.",
)
@click.option("--purpose", default="", help="What it is for; policy and the ledger see it.")
@remote
def context_command(  # noqa: PLR0913, PLR0917 - one per option
    kernel: Kernel, question: str, user: str, agent: str, budget: int, form: str, purpose: str
) -> None:
    """Print what answers QUESTION as a text for a prompt. It stays within a budget of tokens."""
    recall = RecallRequest(question, limit=50, agent_id=kernel.agent_id(agent) or None, user_id=user or None)
    request = ContextRequest(recall, token_budget=budget, format=form, purpose=purpose)  # type: ignore[arg-type]  # click has checked it
    found = kernel.run(calls.context(request))
    if kernel.out.as_json:
        kernel.out.facts(found, [])
        return
    for line in found.text.splitlines():
        click.echo(printable(line))
    click.echo(f"{found.tokens} of {found.token_budget} tokens, {found.left_out} hits left out", err=True)
    _say_what_is_missing(found)


def _say_what_is_missing(found: RecallResult | ContextResult) -> None:
    if found.missing:
        away = ", ".join(found.missing)
        click.echo(f"Not everything could be asked: {away} ({found.detail or 'not there'}).", err=True)
