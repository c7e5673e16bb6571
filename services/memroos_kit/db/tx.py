"""The unit of work: what a verb or a query may touch."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.orm import Session

from memroos_contracts.governance import Action, Asset, Authorizer, Decision
from memroos_contracts.identity import Actor
from memroos_kit.db.hot import Cursor, Hot
from memroos_kit.ids import IdSource


class Read:
    """A snapshot of the database at one instant, for one actor.

    Attributes:
        actor: who asks.
        now: the instant of this unit of work; there is no other clock in the domain.
        can_wait: whether a verb that waits for a human may do so here.
    """

    __slots__ = ("_authorizer", "_connection", "_cursor", "_session", "actor", "can_wait", "decisions", "now")

    def __init__(
        self, connection: Connection, cursor: Cursor, actor: Actor, now: datetime, authorizer: Authorizer
    ) -> None:
        self.actor = actor
        self.now = now
        self.can_wait = False
        self.decisions: list[Decision] = []
        self._connection = connection
        self._cursor = cursor
        self._authorizer = authorizer
        self._session: Session | None = None

    @property
    def session(self) -> Session:
        """The ORM session of this unit of work, made at first use."""
        if self._session is None:
            # A savepoint of its own: a failing flush may roll that back, never the transaction that others share.
            self._session = Session(self._connection, join_transaction_mode="create_savepoint", expire_on_commit=False)
        return self._session

    def execute(self, hot: Hot, /, **parameters: Any) -> Cursor:
        """Run a compiled statement on the driver's cursor; fetch before the next call."""
        self._cursor.execute(hot.sql, hot.bind(parameters))
        return self._cursor

    def authorize(
        self,
        action: Action,
        asset: Asset,
        *,
        purpose: str = "",
        arguments: Mapping[str, Any] | None = None,
        holdable: bool = False,
    ) -> Decision:
        """Ask policy whether this actor may do this; the decision is recorded with the outcome.

        Args:
            action: what is about to happen.
            asset: what it happens to.
            purpose: why, as the caller states it or the task carries it.
            arguments: what an approval would be bound to.
            holdable: whether the verb can wait for a human; where it cannot, a hold is a denial.

        Raises:
            Denied: policy says no.
        """
        holdable = holdable and self.can_wait
        return self._authorizer.authorize(self, action, asset, purpose=purpose, arguments=arguments, holdable=holdable)

    def permits(self, action: Action, asset: Asset, *, purpose: str = "") -> bool:
        """Whether policy would let this actor do this; for choosing among assets, before `authorize` decides."""
        return self._authorizer.permits(self, action, asset, purpose=purpose)

    def finish(self, *, keep: bool) -> None:
        """Flush and close the session; called by the database, never by a verb."""
        if self._session is None:
            return
        try:
            if keep:
                self._session.commit()
            else:
                self._session.rollback()
        finally:
            self._session.close()
            self._session = None


class Tx(Read):
    """A unit of work that changes something.

    It runs in a savepoint of its own; what it changed is durable when its caller is answered.
    """

    __slots__ = ("_callbacks", "_ids", "_journals")

    def __init__(
        self,
        connection: Connection,
        cursor: Cursor,
        actor: Actor,
        now: datetime,
        authorizer: Authorizer,
        ids: IdSource,
    ) -> None:
        super().__init__(connection, cursor, actor, now, authorizer)
        self.can_wait = True
        self._ids = ids
        self._journals: dict[str, list[Any]] = {}
        self._callbacks: list[tuple[Callable[..., None], tuple[Any, ...]]] = []

    def execute_many(self, hot: Hot, /, rows: list[dict[str, Any]]) -> None:
        """Run a compiled statement for each row."""
        self._cursor.executemany(hot.sql, [hot.bind(row) for row in rows])

    def new_id(self, prefix: str) -> str:
        """Return a new sortable id, such as `task_01J...`."""
        return self._ids.new(prefix, self.now)

    def journal(self, name: str) -> list[Any]:
        """Return this operation's entries for a journal; they are written before COMMIT if it succeeds."""
        return self._journals.setdefault(name, [])

    def after_commit(self, callback: Callable[..., None], *args: Any) -> None:
        """Call back after the COMMIT, on the event loop where there is one; for wake-ups and caches, must not fail."""
        self._callbacks.append((callback, args))
