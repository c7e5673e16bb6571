"""The keys that sign the kernel's cards and webhooks."""

from memroos_client.call import Call, new_key, path
from memroos_contracts.card_keys import CardKeyRotation, CardKeysView


def listing() -> Call[CardKeysView]:
    """List the keys that are published, those that sign now first."""
    return Call(method="GET", path=path("card-keys"), returns=CardKeysView)


def rotate(rotation: CardKeyRotation | None = None, *, idempotency_key: str | None = None) -> Call[CardKeysView]:
    """Sign with new keys from now on; the old ones stay published for a while."""
    return Call(
        method="POST",
        path=path("card-keys", "rotate"),
        body=rotation or CardKeyRotation(),
        idempotency_key=idempotency_key or new_key(),
        returns=CardKeysView,
    )
