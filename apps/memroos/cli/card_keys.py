"""`memroos card-keys`: what cards and webhooks are signed with."""

import click

from memroos.cli.options import Kernel, remote
from memroos.cli.output import Column, when
from memroos_client.calls import card_keys as calls
from memroos_contracts.card_keys import CardKeyRotation, CardKeyView

KEYS: list[Column[CardKeyView]] = [
    Column("id", lambda key: key.id),
    Column("use", lambda key: key.use),
    Column("state", lambda key: key.state),
    Column("algorithm", lambda key: key.public_key.get("alg", "")),
    Column("made", lambda key: when(key.created_at)),
    Column("published until", lambda key: when(key.published_until)),
]


@click.group("card-keys")
def card_keys() -> None:
    """See and replace the keys that sign agent cards and webhooks."""


@card_keys.command("list")
@remote
def list_card_keys(kernel: Kernel) -> None:
    """List the keys that are published, those that sign now first."""
    kernel.out.table(kernel.run(calls.listing()).items, KEYS, empty="No keys.")


@card_keys.command("rotate")
@click.option(
    "--overlap-s",
    type=click.IntRange(0, 31_536_000),
    default=CardKeyRotation().overlap_s,
    show_default=True,
    help="How long the old public keys stay published, in seconds.",
)
@remote
def rotate_card_keys(kernel: Kernel, overlap_s: int) -> None:
    """Sign with new keys from now on. The old public keys stay published for a while, so that nothing fails."""
    kernel.out.table(kernel.run(calls.rotate(CardKeyRotation(overlap_s))).items, KEYS, empty="No keys.")
