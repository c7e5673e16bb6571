"""A kernel whose measured verbs do not reach the storage: the first answer of each is given again and again.

Same server, edge, front door, authentication, decoding, route, translation and encoding; what is left out is the
decision, the change and the ledger. It is the reference for the cost of a governed action.

Run as a prefix to the kernel's own command, whose words it ignores.
"""

from collections.abc import Callable
from typing import Any

from memroos import broker, bus, wiring
from memroos.settings import Settings
from memroos_contracts.identity import Actor
from memroos_kit.db import Database
from memroos_kit.service import ServiceApp
from memroos_kit.settings import load

WRITES = {bus.send, broker.send_message}
READS = {broker.detail}


class Remembering(Database):
    """A database that asks the real one, of which it is another face, once for each measured verb."""

    def __init__(self, real: Database) -> None:
        self.__dict__ = real.__dict__
        self._answers: dict[Callable[..., Any], Any] = {}

    async def write(self, actor: Actor, verb: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Run a verb, or return what it returned the first time."""
        if verb not in self._answers:
            answer = await super().write(actor, verb, *args, **kwargs)
            if verb not in WRITES:
                return answer
            self._answers[verb] = answer
        return self._answers[verb]

    def read_inline(self, actor: Actor, query: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Run a query, or return what it returned the first time."""
        if query not in self._answers:
            answer = super().read_inline(actor, query, *args, **kwargs)
            if query not in READS:
                return answer
            self._answers[query] = answer
        return self._answers[query]


class NullKernel(wiring.Kernel):
    """The kernel without the cost of what it does."""

    def _app(self) -> ServiceApp:
        self.db = Remembering(self.db)
        return super()._app()


if __name__ == "__main__":
    wiring.Kernel = NullKernel  # type: ignore[misc]  # the one place that makes it
    wiring.run_kernel(load(Settings))
