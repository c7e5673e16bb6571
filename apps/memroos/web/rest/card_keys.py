"""The keys that sign cards and webhooks, over REST."""

from litestar import Controller, get, post
from litestar.di import NamedDependency
from litestar.params import JSONBody

from memroos import operations
from memroos_contracts.card_keys import CardKeyRotation, CardKeysView
from memroos_contracts.identity import Actor
from memroos_kit.db import Database
from memroos_kit.db.once import Idempotency, once
from memroos_kit.keyset import KeySet

Db = NamedDependency[Database]
Caller = NamedDependency[Actor]


class CardKeyController(Controller):
    """Signing keys. Their public halves are published at `/.well-known/jwks.json`."""

    path = "/api/card-keys"
    tags = ("card-keys",)

    @get("/", operation_id="listCardKeys")
    async def list_card_keys(self, db: Db, actor: Caller, keyset: NamedDependency[KeySet]) -> CardKeysView:
        """List the keys that are published, those that sign now first."""
        return await db.read(actor, operations.list_card_keys, keyset)

    @post("/rotate", operation_id="rotateCardKeys", status_code=200)
    async def rotate_card_keys(
        self,
        data: JSONBody[CardKeyRotation],
        db: Db,
        actor: Caller,
        idempotency: NamedDependency[Idempotency | None],
        keyset: NamedDependency[KeySet],
    ) -> CardKeysView:
        """Sign with new keys from now on; the old ones stay published for a while."""
        return await db.write(actor, once, idempotency, CardKeysView, operations.rotate_card_keys, keyset, data)
