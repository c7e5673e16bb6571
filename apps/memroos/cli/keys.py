"""`memroos keys`: who gets in."""

import os
from pathlib import Path

import click

from memroos.cli.failures import Failure
from memroos.cli.options import Kernel, OneOf, limit_option, page, remote
from memroos.cli.output import Column, when
from memroos_client.calls import keys as calls
from memroos_contracts.identity import Role
from memroos_contracts.registry import KeyRotation, KeyView, NewKey, NewKeyView

KEYS: list[Column[KeyView]] = [
    Column("id", lambda key: key.id),
    Column("role", lambda key: key.role),
    Column("state", lambda key: key.state),
    Column("name", lambda key: key.name, shrinks=True),
    Column("agent", lambda key: key.agent_id or ""),
    Column("ends in", lambda key: f"…{key.last4}" if key.last4 else ""),
    Column("expires", lambda key: when(key.expires_at)),
    Column("last used", lambda key: when(key.last_used_at)),
]

secret_option = click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write the key into this new file, readable by you only, instead of printing it.",
)


@click.group()
def keys() -> None:
    """Make, replace and revoke keys. A key is shown once; only its hash is kept."""


@keys.command("list")
@click.option("--agent", help="Only the keys of this agent.")
@limit_option
@remote
def list_keys(kernel: Kernel, agent: str | None, most: int) -> None:
    """List keys, without their secrets."""
    kernel.listing(calls.listing(agent=agent, limit=page(most)), KEYS, most=most, empty="No keys.")


@keys.command("create")
@click.option("--agent", default="", help="The agent that the key is for.")
@click.option("--role", type=OneOf(Role), help="Whose key it is, when not an agent's.")
@click.option("--name", default="", help="What to call it; for a service, the service's name.")
@click.option("--scope", "scopes", multiple=True, help="What it may be used for, such as task.send. May be repeated.")
@click.option("--expires-in-s", type=click.IntRange(1), help="How long it works, in seconds; for ever when left out.")
@secret_option
@remote
def create_key(  # noqa: PLR0913, PLR0917 - one per option
    kernel: Kernel,
    agent: str,
    role: Role | None,
    name: str,
    scopes: tuple[str, ...],
    expires_in_s: int | None,
    out: Path | None,
) -> None:
    """Make a key for an agent, a person or a service."""
    if bool(agent) == bool(role) and not (agent and role == Role.AGENT):
        raise click.UsageError("Say whose key it is: --agent NAME, or --role for a person or a service.")
    new = NewKey(Role(role or Role.AGENT), name, agent, scopes, expires_in_s)
    _hand_over(kernel, kernel.run(calls.create(new)), out)


@keys.command("rotate")
@click.argument("key")
@click.option("--overlap-s", type=click.IntRange(0), help="How long the old key still works, in seconds.")
@click.option("--expires-in-s", type=click.IntRange(1), help="How long the new key works, in seconds.")
@secret_option
@remote
def rotate_key(kernel: Kernel, key: str, overlap_s: int | None, expires_in_s: int | None, out: Path | None) -> None:
    """Make a key's successor. The old key works on for a while, so that nothing fails in between."""
    _hand_over(kernel, kernel.run(calls.rotate(key, KeyRotation(overlap_s, expires_in_s))), out)


@keys.command("revoke")
@click.argument("key")
@click.option("--reason", default="", help="Why; kept with the key.")
@remote
def revoke_key(kernel: Kernel, key: str, reason: str) -> None:
    """End a key at once. Streams that were opened with it end, too."""
    _show(kernel, kernel.run(calls.revoke(key, reason=reason)))


def _hand_over(kernel: Kernel, new: NewKeyView, out: Path | None) -> None:
    """Show a secret, this one time, or write it where only its owner can read it."""
    if not new.secret:
        raise Failure(
            f"The key {new.key.id} was made, but its secret was lost on the way and cannot be shown again.",
            f"Revoke it with `memroos keys revoke {new.key.id}` and make another.",
        )
    if out is None:
        kernel.out.facts(new, [("key", new.secret), *_facts(new.key)])
        kernel.out.say("\nThe key is shown this once. Give it to whoever it is for, and to nobody else.")
        return
    try:
        with os.fdopen(os.open(out, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as file:
            file.write(f"{new.secret}\n")
    except OSError as error:
        raise Failure(
            f"{out} cannot be written: {error.strerror}. The key {new.key.id} was made and is lost.",
            f"Revoke it with `memroos keys revoke {new.key.id}` and make another.",
        ) from error
    _show(kernel, new.key)
    kernel.out.say(f"\nThe key is in {out}.")


def _show(kernel: Kernel, key: KeyView) -> None:
    kernel.out.facts(key, _facts(key))


def _facts(key: KeyView) -> list[tuple[str, str]]:
    return [
        ("id", key.id),
        ("role", key.role),
        ("state", key.state),
        ("name", key.name),
        ("agent", key.agent_id or ""),
        ("scopes", ", ".join(key.scopes)),
        ("expires", when(key.expires_at)),
        ("revoked", when(key.revoked_at)),
        ("reason", key.revoke_reason),
        ("replaced by", key.replaced_by or ""),
    ]
