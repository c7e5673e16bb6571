"""A second look at the best hits, by a model that reads question and text together."""

from collections.abc import Sequence
from typing import Protocol


class Reranker(Protocol):
    """Scores texts for a question."""

    async def score(self, question: str, texts: Sequence[str]) -> Sequence[float] | None:
        """Return how well each text answers the question, or None to leave the order as it is.

        Its scores are only compared with one another. Whoever fails says so with None.
        """
        ...
