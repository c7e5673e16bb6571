"""Do a thing once, however often it is asked for.

The first answer is kept in the same transaction as the change, under the caller's key; a repeat with the same request
gets that answer and changes nothing. Two repeats at the same time are serialised by the one writer.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Any, Concatenate, ParamSpec, TypeVar

import msgspec
from sqlalchemy import Index, PrimaryKeyConstraint, String, Text, bindparam, insert, select, text
from sqlalchemy.orm import Mapped, mapped_column

from memroos_contracts.errors import IdempotencyConflict, InvalidRequest
from memroos_kit.clock import to_micros
from memroos_kit.db.base import Base
from memroos_kit.db.hot import Hot
from memroos_kit.db.tx import Read, Tx

P = ParamSpec("P")
T = TypeVar("T")

KEY_LENGTH_MAX = 200
FORGET_AT_ONCE = 500
"""Rows in one chunk: a few milliseconds of the writer's time."""


class IdempotencyRow(Base):
    """The first answer to a request that may be repeated. Written by hot statements only."""

    __tablename__ = "idempotency"
    __table_args__ = (
        PrimaryKeyConstraint("workspace_id", "principal", "operation", "key"),
        Index(None, "created_at"),
    )

    workspace_id: Mapped[str] = mapped_column(String(64))
    principal: Mapped[str] = mapped_column(String(128))
    operation: Mapped[str] = mapped_column(String(64))
    key: Mapped[str] = mapped_column(String(KEY_LENGTH_MAX))
    digest: Mapped[str] = mapped_column(String(64))
    result: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime]


_FIND = Hot(
    select(IdempotencyRow.digest, IdempotencyRow.result).where(
        IdempotencyRow.workspace_id == bindparam("workspace_id"),
        IdempotencyRow.principal == bindparam("principal"),
        IdempotencyRow.operation == bindparam("operation"),
        IdempotencyRow.key == bindparam("key"),
    )
)
_STORE = Hot(insert(IdempotencyRow))
_FORGET = Hot(
    text(
        "DELETE FROM idempotency WHERE rowid IN "
        "(SELECT rowid FROM idempotency WHERE created_at < :before ORDER BY created_at LIMIT :most)"
    )
)


class Idempotency(msgspec.Struct, frozen=True):
    """A caller's name for one request, so that a repeat is recognised.

    Raises:
        InvalidRequest: the key is not 1 to 200 visible ASCII characters.
    """

    key: str
    operation: str
    """The operation id of the route; the same key may be used for another operation."""
    digest: str
    """SHA-256 of the request, hex."""

    def __post_init__(self) -> None:
        """Refuse keys that could not be quoted in a header or a log line."""
        if not 1 <= len(self.key) <= KEY_LENGTH_MAX or not all("!" <= character <= "~" for character in self.key):
            raise InvalidRequest(
                f"An idempotency key has 1 to {KEY_LENGTH_MAX} visible ASCII characters.",
                fields={"idempotency_key": f"1 to {KEY_LENGTH_MAX} visible ASCII characters"},
            )


def once(
    tx: Tx,
    idempotency: Idempotency | None,
    returns: type[T],
    verb: Callable[Concatenate[Tx, P], T],
    *args: P.args,
    **kwargs: P.kwargs,
) -> T:
    """Run a verb, or return the answer that an earlier run with the same key gave.

    Args:
        idempotency: the caller's key; without one the verb just runs.
        returns: the type of the answer, to read a kept one back.

    Raises:
        IdempotencyConflict: the key was used for a different request.
    """
    return _once(tx, idempotency, returns, None, lambda: verb(tx, *args, **kwargs))


def kept(tx: Read, idempotency: Idempotency | None, returns: type[T]) -> T | None:
    """Return the answer that an earlier run with the same key gave, None where there was none.

    For work that has to do something before its verb, such as asking another host; the verb itself then runs by `once`.

    Raises:
        IdempotencyConflict: the key was used for a different request.
    """
    found = None if idempotency is None else _find(tx, idempotency)
    return None if found is None else msgspec.json.decode(found, type=returns)


def once_keeping(
    tx: Tx,
    idempotency: Idempotency | None,
    returns: type[T],
    keep: Callable[[T], T],
    verb: Callable[Concatenate[Tx, P], T],
    *args: P.args,
    **kwargs: P.kwargs,
) -> T:
    """Do as `once`, and keep only what `keep` makes of the answer; for answers with a secret that is shown once."""
    return _once(tx, idempotency, returns, keep, lambda: verb(tx, *args, **kwargs))


def forget_old(tx: Tx, before: datetime) -> int:
    """Forget a chunk of the answers kept before an instant; return how many, 0 when none are left.

    May be repeated.
    """
    return tx.execute(_FORGET, before=to_micros(before), most=FORGET_AT_ONCE).rowcount


def _once(
    tx: Tx, idempotency: Idempotency | None, returns: type[T], keep: Callable[[T], T] | None, run: Callable[[], T]
) -> T:
    if idempotency is None:
        return run()
    before = _find(tx, idempotency)
    if before is not None:
        return msgspec.json.decode(before, type=returns)

    answer = run()
    name = _name(tx, idempotency)
    result = msgspec.json.encode(keep(answer) if keep else answer).decode()
    tx.execute(_STORE, **name, digest=idempotency.digest, result=result, created_at=to_micros(tx.now))
    return answer


def _find(tx: Read, idempotency: Idempotency) -> str | None:
    """Return the answer that was kept, as JSON text."""
    found = tx.execute(_FIND, **_name(tx, idempotency)).fetchone()
    if found is None:
        return None
    if found[0] != idempotency.digest:
        raise IdempotencyConflict(idempotency_key=idempotency.key)
    return str(found[1])


def _name(tx: Read, idempotency: Idempotency) -> dict[str, Any]:
    return {
        "workspace_id": tx.actor.workspace,
        "principal": tx.actor.principal,
        "operation": idempotency.operation,
        "key": idempotency.key,
    }
