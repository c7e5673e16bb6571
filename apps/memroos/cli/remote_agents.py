"""`memroos remote-agents`: agents elsewhere that are reached by A2A."""

import sys
from pathlib import Path

import click
from msgspec import UNSET, UnsetType

from memroos.cli.options import Kernel, OneOf, limit_option, page, pairs, remote
from memroos.cli.output import Column, when
from memroos_client.calls import remote_agents as calls
from memroos_contracts.registry import (
    AgentState,
    CardVersionView,
    Credential,
    Health,
    NewRemoteAgent,
    RemoteAgentChange,
    RemoteAgentView,
)

REMOTE_AGENTS: list[Column[RemoteAgentView]] = [
    Column("name", lambda one: one.agent.name),
    Column("state", lambda one: one.agent.state),
    Column("health", lambda one: one.health),
    Column("breaker", lambda one: one.breaker),
    Column("interface", lambda one: f"{one.protocol_binding} {one.protocol_version}"),
    Column("address", lambda one: one.interface_url, shrinks=True),
    Column("next look", lambda one: when(one.next_poll_at) if _is_looked_at(one) else ""),
    Column("error", lambda one: one.last_error, shrinks=True),
]
CARDS: list[Column[CardVersionView]] = [
    Column("version", lambda card: str(card.version)),
    Column("fetched", lambda card: when(card.fetched_at)),
    Column("signature", lambda card: card.signature),
    Column("key", lambda card: card.signature_key),
    Column("sha-256", lambda card: card.digest, shrinks=True),
]


def _is_looked_at(one: RemoteAgentView) -> bool:
    """Whether there is contact: with one in quarantine there is none, nor with one that is retired."""
    return one.agent.state in {AgentState.DRAFT, AgentState.ACTIVE}


_file = click.Path(path_type=Path, exists=True, dir_okay=False, allow_dash=True)

credential_options = (
    click.option(
        "--credential-file",
        type=_file,
        help="File with what is shown to the agent, - for standard input; kept encrypted, never shown again.",
    ),
    click.option("--scheme", default="Bearer", show_default=True, help="What stands before it in Authorization."),
    click.option("--header", default="", metavar="NAME", help="A header of its own for it, such as X-API-Key."),
)
pin_option = click.option(
    "--pin",
    "pins",
    multiple=True,
    type=_file,
    metavar="FILE",
    help="File with a public key (JWK) that the card has to be signed with. May be repeated.",
)


@click.group("remote-agents")
def remote_agents() -> None:
    """Register agents elsewhere, by their A2A cards, and look after them."""


@remote_agents.command("add")
@click.argument("card_url", metavar="URL")
@click.option("--name", help="Its name here; made from the card's when left out.")
@credential_options[0]
@credential_options[1]
@credential_options[2]
@pin_option
@click.option("--interval", "interval_s", type=click.IntRange(5, 86_400), default=60, show_default=True,
              metavar="SECONDS", help="How often its card is looked at.")  # fmt: skip
@click.option("--max-concurrency", type=click.IntRange(1), default=16, show_default=True,
              help="Most tasks at the same time.")  # fmt: skip
@click.option("--label", "labels", multiple=True, metavar="NAME=VALUE", help="A label. May be repeated.")
@click.option("--draft", is_flag=True, help="Register it without giving it work yet.")
@remote
def add_remote_agent(  # noqa: PLR0913, PLR0917 - one per option
    kernel: Kernel,
    card_url: str,
    name: str | None,
    credential_file: Path | None,
    scheme: str,
    header: str,
    pins: tuple[Path, ...],
    interval_s: int,
    max_concurrency: int,
    labels: tuple[str, ...],
    draft: bool,
) -> None:
    """Register the agent at URL.

    The URL is that of its card, or its own: then /.well-known/agent-card.json below that is read. The kernel has to be
    allowed to go there: see MEMROOS_OUTBOUND_ALLOW.
    """
    new = NewRemoteAgent(
        card_url=card_url,
        name=name,
        state=AgentState.DRAFT if draft else AgentState.ACTIVE,
        credential=None if credential_file is None else _credential(credential_file, scheme, header),
        interval_s=interval_s,
        max_concurrency=max_concurrency,
        labels=pairs(labels, "--label"),
        pinned_keys=tuple(map(_read, pins)),
    )
    _show(kernel, kernel.run(calls.add(new)))


@remote_agents.command("list")
@click.option("--health", type=OneOf(Health), help="Only agents whose last look gave this.")
@limit_option
@remote
def list_remote_agents(kernel: Kernel, health: Health | None, most: int) -> None:
    """List remote agents, the newest first."""
    call = calls.listing(health=health, limit=page(most))
    kernel.listing(call, REMOTE_AGENTS, most=most, empty="No remote agents.")


@remote_agents.command("show")
@click.argument("agent")
@remote
def show_remote_agent(kernel: Kernel, agent: str) -> None:
    """Show one remote agent."""
    _show(kernel, kernel.run(calls.get(agent)))


@remote_agents.command("update")
@click.argument("agent")
@click.option("--card-url", metavar="URL", help="Where its card is now.")
@click.option("--interval", "interval_s", type=click.IntRange(5, 86_400), metavar="SECONDS",
              help="How often its card is looked at.")  # fmt: skip
@credential_options[0]
@credential_options[1]
@credential_options[2]
@click.option("--no-credential", is_flag=True, help="Show it nothing any more.")
@pin_option
@click.option("--no-pins", is_flag=True, help="Forget the keys its card has to be signed with.")
@remote
def update_remote_agent(  # noqa: PLR0913, PLR0917 - one per option
    kernel: Kernel,
    agent: str,
    card_url: str | None,
    interval_s: int | None,
    credential_file: Path | None,
    scheme: str,
    header: str,
    no_credential: bool,
    pins: tuple[Path, ...],
    no_pins: bool,
) -> None:
    """Change how an agent is reached or has to sign.

    Its card is looked at in the new way at once.
    """
    if (credential_file and no_credential) or (pins and no_pins):
        raise click.UsageError("Either set it or take it away.")
    credential: Credential | UnsetType | None = None if no_credential else UNSET
    if credential_file is not None:
        credential = _credential(credential_file, scheme, header)
    change = RemoteAgentChange(
        card_url=UNSET if card_url is None else card_url,
        interval_s=UNSET if interval_s is None else interval_s,
        credential=credential,
        pinned_keys=tuple(map(_read, pins)) if pins or no_pins else UNSET,
    )
    _show(kernel, kernel.run(calls.update(agent, change)))


@remote_agents.command("refresh")
@click.argument("agent")
@remote
def refresh_remote_agent(kernel: Kernel, agent: str) -> None:
    """Look at an agent's card now."""
    _show(kernel, kernel.run(calls.refresh(agent)))


@remote_agents.command("cards")
@click.argument("agent")
@click.option("--version", type=click.IntRange(1), help="Print this version as the agent wrote it.")
@limit_option
@remote
def list_cards(kernel: Kernel, agent: str, version: int | None, most: int) -> None:
    """List the versions of an agent's card, the newest first.

    Refused ones are there too, marked invalid.
    """
    if version is not None:
        click.echo(bytes(kernel.run(calls.card(agent, version))))
        return
    kernel.listing(calls.cards(agent, limit=page(most)), CARDS, most=most, empty="No cards.")


@remote_agents.command("remove")
@click.argument("agent")
@click.option("--yes", is_flag=True, help="Do not ask.")
@remote
def remove_remote_agent(kernel: Kernel, agent: str, yes: bool) -> None:
    """Retire a remote agent for good.

    There is no contact any more, and its credential is forgotten. Its name stays taken.
    """
    if not yes:
        click.confirm(f"Retire {agent}? It cannot come back, and its name stays taken.", abort=True, err=True)
    retired = kernel.run(calls.remove(agent))
    kernel.out.facts(retired, [("name", retired.name), ("id", retired.id), ("state", retired.state)])


def _credential(file: Path, scheme: str, header: str) -> Credential:
    value = _read(file)
    if not value:
        raise click.UsageError(f"{file} holds no credential.")
    return Credential(value=value, scheme=scheme, header=header)


def _read(file: Path) -> str:
    try:
        return sys.stdin.read().strip() if str(file) == "-" else file.read_text("utf-8").strip()
    except (OSError, UnicodeError) as error:
        raise click.UsageError(f"{file} cannot be read as text.") from error


def _show(kernel: Kernel, one: RemoteAgentView) -> None:
    kernel.out.facts(
        one,
        [
            ("name", one.agent.name),
            ("id", one.agent.id),
            ("state", one.agent.state),
            ("title", one.agent.title),
            ("skills", ", ".join(skill.id for skill in one.agent.skills)),
            ("card", f"{one.card_url} (version {one.card_version})"),
            ("signature", " ".join(filter(None, (one.signature, one.signature_key)))),
            ("address", one.interface_url),
            ("interface", f"A2A {one.protocol_version} over {one.protocol_binding}"),
            ("credential", "kept" if one.has_credential else "none"),
            ("health", one.health),
            ("error", one.last_error),
            ("failures", str(one.failures or "")),
            ("breaker", one.breaker),
            ("until", when(one.breaker_until)),
            ("last look", when(one.last_poll_at)),
            ("next look", f"{when(one.next_poll_at)}, every {one.interval_s} s" if _is_looked_at(one) else ""),
        ],
    )
