"""The keys that sign the kernel's cards and webhooks. They are the process's: the first workspace's operators act."""

from datetime import timedelta

from memroos import audit
from memroos.operations.errors import CardKeysNotKept
from memroos_contracts.card_keys import CardKeyRotation, CardKeyState, CardKeysView, CardKeyView
from memroos_contracts.governance import Action, Asset
from memroos_contracts.identity import DEFAULT_WORKSPACE
from memroos_kit.db import Read, Tx
from memroos_kit.keyset import KeySet, SigningKey

ROTATED = "card_key.rotated"
KEYS = Asset(kind="card_key", id="all", workspace=DEFAULT_WORKSPACE)


def list_card_keys(tx: Read, keyset: KeySet) -> CardKeysView:
    """List the signing keys that are published, without their private halves.

    Raises:
        Denied: policy does not let this actor look.
    """
    tx.authorize(Action.KEY_READ, KEYS)
    return _view(keyset.published(tx.now))


def rotate_card_keys(tx: Tx, keyset: KeySet, rotation: CardKeyRotation) -> CardKeysView:
    """Sign with new keys from now on; the old public ones stay published for a while.

    The keys live in a file, not in the database, and change last: if the commit fails after that, the new keys sign
    already, and nothing is lost, since the old ones are still published.

    Raises:
        Denied: policy does not let this actor do it.
        CardKeysNotKept: the file cannot be written; the old keys go on signing.
    """
    tx.authorize(Action.KEY_ROTATE, KEYS)
    old = keyset.card_key[0]
    try:
        published = keyset.rotate(tx.now, overlap=timedelta(seconds=rotation.overlap_s))
    except OSError as error:
        raise CardKeysNotKept(reason=error.strerror or "I/O error") from error
    audit.record(tx, ROTATED, KEYS, old=old, new=keyset.card_key[0], overlap_s=rotation.overlap_s)
    return _view(published)


def _view(keys: tuple[SigningKey, ...]) -> CardKeysView:
    return CardKeysView(
        [
            CardKeyView(
                key.kid,
                key.use,
                CardKeyState.CURRENT if key.retired_at is None else CardKeyState.REPLACED,
                key.created_at,
                key.retired_at,
                key.published_until,
                key.jwk,
            )
            for key in keys
        ]
    )
