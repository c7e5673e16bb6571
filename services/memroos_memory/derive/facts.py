"""Facts by rules: who, what, whom, and when."""

from datetime import datetime

from memroos_memory.items.learned import Learned


def learn(text: str, *, speaker: str, author: str, occurred_at: datetime) -> list[Learned]:
    """Return what a text teaches, in its order."""
    return []
