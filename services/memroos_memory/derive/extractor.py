"""Facts by a language model, through mem0."""

from collections.abc import Sequence
from datetime import datetime

import msgspec

from memroos_contracts.memory_errors import ModelFailed
from memroos_memory.items.learned import Learned
from memroos_memory.settings import MemorySettings


class Turn(msgspec.Struct, frozen=True, kw_only=True):
    """Something that was said, as the model is told."""

    id: str
    """The event's."""
    text: str
    speaker: str
    occurred_at: datetime


class Extractor:
    """Asks a language model what follows from turns."""

    def __init__(self, settings: MemorySettings) -> None:
        """Take the endpoint from the settings; nothing is asked yet."""
        self.settings = settings

    async def extract(self, turns: Sequence[Turn], *, existing: Sequence[str] = ()) -> list[Learned]:
        """Return what the model finds in these turns and is not known yet, each with the turns it comes from.

        Args:
            turns: of one scope, in order.
            existing: what is known already, as texts; the model is told not to repeat it.

        Raises:
            ModelFailed: the endpoint does not answer, or answers nonsense.
        """
        raise ModelFailed("The language model is not configured.", reason="not configured")

    async def close(self) -> None:
        """Let go of connections."""
