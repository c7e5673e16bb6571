"""The memory service as the routers see it: there or not, and asked for changes on record."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

from memroos.memory.client import HttpMemoryStore
from memroos.memory.errors import MemoryOutcomeUnknown
from memroos.memory.rules import readers
from memroos.memory.service import effects
from memroos.memory.service.effects import Change, Effect
from memroos.memory.worker.handover import HandOver
from memroos_contracts.audit import Fact, Outcome
from memroos_contracts.errors import MemroosError
from memroos_contracts.identity import Actor
from memroos_contracts.memory_errors import MemoryServiceUnavailable
from memroos_contracts.memory_items import Viewer
from memroos_kit.db import Database, Tx
from memroos_kit.db.once import Idempotency, kept, once

T = TypeVar("T")

NONE_CONFIGURED = "No memory service is configured (MEMROOS_MEMORY_URL is empty)."


class Service:
    """The memory service, and the hand-over to it; both None where none is configured."""

    def __init__(self, db: Database, store: HttpMemoryStore | None, handover: HandOver | None) -> None:
        self.db = db
        self.handover = handover
        self._store = store

    @property
    def is_configured(self) -> bool:
        """Whether there is one at all."""
        return self._store is not None

    @property
    def store(self) -> HttpMemoryStore:
        """The service.

        Raises:
            MemoryServiceUnavailable: none is configured.
        """
        if self._store is None:
            raise MemoryServiceUnavailable(NONE_CONFIGURED)
        return self._store

    async def caught_up(self, timeout_s: float) -> bool:
        """Wait until the service has what is in the log now; not while it is known to be away."""
        handover = self.handover
        return handover is not None and handover.standing.since is None and await handover.caught_up(timeout_s)

    async def change(  # noqa: PLR0913 - what is asked, how, and what is kept of it
        self,
        actor: Actor,
        change: Change,
        ask: Callable[[str], Awaitable[T]],
        returns: type[T],
        *,
        facts: Callable[[T], dict[str, Fact]],
        idempotency: Idempotency | None = None,
        follow: Callable[[Tx, T], None] | None = None,
    ) -> T:
        """Ask the service for a change: the intention is on record before, the outcome before anybody hears of it.

        Args:
            ask: asks for it, under an operation's id.
            facts: what the ledger keeps of the result.
            follow: what changes in the kernel with it.

        Raises:
            Denied: policy does not let this actor do it; the service was not asked.
            MemoryOutcomeUnknown: the service was asked, and did not answer.
            MemroosError: the service refused; nothing changed.
        """
        before = await self.db.read(actor, kept, idempotency, returns)
        if before is not None:
            return before
        effect = await self.db.write(actor, effects.intend, change)
        try:
            result = await ask(effect.id)
        except MemoryOutcomeUnknown:
            await self.db.write(actor, effects.settle, effect, Outcome.UNKNOWN, {})
            raise
        except MemroosError as error:
            await self.db.write(actor, effects.settle, effect, Outcome.FAILED, {"problem": error.slug()})
            raise
        return await self.db.write(actor, once, idempotency, returns, _done, effect, result, facts(result), follow)


def viewer_of(actor: Actor) -> Viewer:
    """Return on whose behalf the service is asked: taken from the key, never from a request."""
    return Viewer(actor.workspace, readers.reader_of(actor), actor.principal)


def _done(tx: Tx, effect: Effect, result: T, facts: dict[str, Fact], follow: Callable[[Tx, T], None] | None) -> T:
    effects.settle(tx, effect, Outcome.OK, facts)
    if follow is not None:
        follow(tx, result)
    return result
