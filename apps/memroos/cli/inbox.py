"""`memroos inbox`: messages between agents."""

import sys
from pathlib import Path
from typing import Any

import click
import msgspec

from memroos.cli.options import Kernel, OneOf, limit_option, page, remote
from memroos.cli.output import Column, size, when
from memroos_client.calls import inbox as calls
from memroos_contracts.bus import InboxMessageView, InboxState, NewInboxMessage
from memroos_contracts.identity import AgentId

MESSAGES: list[Column[InboxMessageView]] = [
    Column("id", lambda message: message.id),
    Column("state", lambda message: message.state),
    Column("kind", lambda message: message.kind, shrinks=True),
    Column("from", lambda message: message.sender, shrinks=True),
    Column("tries", lambda message: f"{message.attempts}/{message.max_attempts}"),
    Column("size", lambda message: size(message.size_bytes)),
    Column("sent", lambda message: when(message.created_at)),
    Column("reason", lambda message: message.reason, shrinks=True),
]


@click.group()
def inbox() -> None:
    """Look into agents' inboxes."""


@inbox.command("list")
@click.argument("agent")
@click.option("--state", type=OneOf(InboxState), help="Only messages in this state.")
@limit_option
@remote
def list_messages(kernel: Kernel, agent: str, state: InboxState | None, most: int) -> None:
    """List the messages in an agent's inbox, the newest first."""
    call = calls.listing(kernel.agent_id(agent), state=state, limit=page(most))
    kernel.listing(call, MESSAGES, most=most, empty="No messages.")


@inbox.command("show")
@click.argument("message")
@remote
def show_message(kernel: Kernel, message: str) -> None:
    """Show a message with its content. The ledger keeps who read it."""
    found = kernel.run(calls.get(message))
    body = "left out by policy" if found.body is None else msgspec.json.format(msgspec.json.encode(found.body)).decode()
    kernel.out.facts(found, [*_facts(found.message), ("body", body)])


@inbox.command("send")
@click.argument("agent")
@click.argument("body")
@click.option("--kind", default="note", show_default=True, help="What it is, in the words of sender and receiver.")
@click.option("--context", default="", help="Messages of one context come in order, one at a time.")
@click.option("--priority", type=click.IntRange(0, 9), default=0, help="Higher comes first.")
@click.option("--delay-s", type=click.IntRange(0), default=0, help="Not earlier than this, in seconds from now.")
@click.option("--ttl-s", type=click.IntRange(1), help="Not later than this, in seconds from now.")
@remote
def send_message(  # noqa: PLR0913, PLR0917 - one per option
    kernel: Kernel, agent: str, body: str, kind: str, context: str, priority: int, delay_s: int, ttl_s: int | None
) -> None:
    """Put a message into an agent's inbox. BODY is a JSON object; `@FILE` reads a file, `-` standard input."""
    new = NewInboxMessage(
        to=AgentId(kernel.agent_id(agent)),
        kind=kind,
        body=_object(body),
        context_id=context,
        priority=priority,
        delay_s=delay_s,
        ttl_s=ttl_s,
    )
    _show(kernel, kernel.run(calls.send(new)))


@inbox.command("dead")
@click.option("--agent", default="", help="Only those of this agent.")
@limit_option
@remote
def list_dead(kernel: Kernel, agent: str, most: int) -> None:
    """List messages that were offered too often."""
    call = calls.dead(kernel.agent_id(agent), limit=page(most))
    kernel.listing(call, MESSAGES, most=most, empty="No dead letters.")


@inbox.command("requeue")
@click.argument("message")
@remote
def requeue_message(kernel: Kernel, message: str) -> None:
    """Offer a dead message again."""
    _show(kernel, kernel.run(calls.requeue(message)))


def _object(text: str) -> dict[str, Any]:
    try:
        if text == "-":
            text = sys.stdin.read()
        elif text.startswith("@"):
            text = Path(text[1:]).read_text("utf-8")
        return msgspec.json.decode(text, type=dict[str, Any])
    except (OSError, msgspec.DecodeError) as error:
        raise click.UsageError(f"BODY: no JSON object: {error}") from error


def _show(kernel: Kernel, message: InboxMessageView) -> None:
    kernel.out.facts(message, _facts(message))


def _facts(message: InboxMessageView) -> list[tuple[str, str]]:
    return [
        ("message", message.id),
        ("state", message.state),
        ("reason", message.reason),
        ("kind", message.kind),
        ("to", message.agent_id),
        ("from", message.sender),
        ("context", message.context_id),
        ("task", message.task_id or ""),
        ("answers", message.reply_to or ""),
        ("tries", f"{message.attempts} of {message.max_attempts}"),
        ("sent", when(message.created_at)),
        ("not before", when(message.not_before)),
        ("expires", when(message.expires_at)),
        ("leased until", when(message.lease_until)),
        ("settled", when(message.settled_at)),
        ("size", size(message.size_bytes)),
        ("digest", message.digest),
    ]
