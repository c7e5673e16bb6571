"""Keys over REST."""

from typing import Annotated

from litestar import Controller, delete, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter

from memroos import registry
from memroos.settings import Settings
from memroos_contracts.identity import Actor, KeyId
from memroos_contracts.pages import Page
from memroos_contracts.registry import KeyRotation, KeyView, NewKey, NewKeyView
from memroos_kit.db import Database
from memroos_kit.db.once import Idempotency, once_keeping

Db = NamedDependency[Database]
Caller = NamedDependency[Actor]
Once = NamedDependency[Idempotency | None]


class KeyController(Controller):
    """Keys of the workspace. A secret is shown once, in the answer that makes it."""

    path = "/api/keys"
    tags = ("keys",)

    @get("/", operation_id="listKeys")
    async def list_keys(
        self,
        db: Db,
        actor: Caller,
        limit: Annotated[int, QueryParameter(ge=1, le=100)] = 50,
        cursor: FromQuery[str | None] = None,
    ) -> Page[KeyView]:
        """List keys, newest first, without their secrets."""
        return await db.read(actor, registry.list_keys, limit=limit, cursor=cursor)

    @post("/", operation_id="createKey")
    async def create_key(self, data: JSONBody[NewKey], db: Db, actor: Caller, idempotency: Once) -> NewKeyView:
        """Make a key for a person, a service or an agent. Its secret is shown this one time."""
        keep = registry.without_secret
        return await db.write(actor, once_keeping, idempotency, NewKeyView, keep, registry.create_key, data)

    @post("/{key:str}/rotate", operation_id="rotateKey")
    async def rotate_key(
        self,
        key: FromPath[str],
        data: JSONBody[KeyRotation],
        db: Db,
        actor: Caller,
        idempotency: Once,
        settings: NamedDependency[Settings],
    ) -> NewKeyView:
        """Replace a key by a new one; the old one works for a while yet. An agent rotates the key it uses."""
        overlap_s = settings.key_overlap_s if data.overlap_s is None else data.overlap_s
        keep, verb = registry.without_secret, registry.rotate_key
        return await db.write(
            actor, once_keeping, idempotency, NewKeyView, keep, verb, KeyId(key), data, overlap_s=overlap_s
        )

    @delete("/{key:str}", operation_id="revokeKey", status_code=200)
    async def revoke_key(
        self, key: FromPath[str], db: Db, actor: Caller, reason: Annotated[str, QueryParameter(max_length=500)] = ""
    ) -> KeyView:
        """Make a key worthless at once; streams that were opened with it end."""
        return await db.write(actor, registry.revoke_key, KeyId(key), reason=reason)
