"""What a question asks for, as far as its words tell."""

import re
from datetime import datetime
from typing import NamedTuple

from memroos_contracts.memory import RecallRequest
from memroos_kit.text.words import words_to_find
from memroos_memory import derive

_LATEST = re.compile(
    r"\b(?:latest|newest|most\s+recent(?:ly)?|recent(?:ly)?|last\s+time|last\s+thing|current(?:ly)?|right\s+now|nowadays"
    r"|these\s+days|at\s+the\s+moment|so\s+far)\b",
    re.IGNORECASE,
)


class Question(NamedTuple):
    """A question, taken apart."""

    text: str
    words: tuple[str, ...]
    """As they are indexed, each once."""
    entities: tuple[str, ...]
    spans: tuple[derive.Span, ...]
    """The stretches of time that it names."""
    before: bool
    """Whether it is about what was, rather than what is."""
    latest: bool
    """Whether it is about what was said or happened last."""


def take_apart(request: RecallRequest, now: datetime) -> Question:
    """Return what a question asks for; "yesterday" counts from its reference time."""
    text = request.query
    return Question(
        text=text,
        words=tuple(words_to_find(text)),
        entities=tuple(derive.entities(text)),
        spans=tuple(derive.spans(text, reference=request.reference_time or now)),
        before=derive.asks_before(text),
        latest=_LATEST.search(text) is not None,
    )
