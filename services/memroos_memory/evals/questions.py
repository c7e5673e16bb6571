"""Question files: conversations of the past, and questions whose answers stand in known turns of them.

The shape is that of LoCoMo (A. Maharana et al., "Evaluating Very Long-Term Conversational Memory of LLM Agents", 2024):
a list of samples, each with `conversation` (sessions of turns, each with a `dia_id`) and `qa` (questions with a
`category` and, as `evidence`, the turns that hold the answer).
"""

import hashlib
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

CATEGORIES = {1: "multi-hop", 2: "temporal", 3: "open-domain", 4: "single-hop", 5: "adversarial"}
_SEPARATORS = re.compile(r"[;,\s]+")
_SESSION = re.compile(r"session_(\d+)")
_DATE = "%I:%M %p on %d %B, %Y"


class QuestionFileInvalid(ValueError):
    """The file does not have the shape of a question file; the sentence says where."""


class Turn(msgspec.Struct, frozen=True):
    """What somebody said."""

    id: str
    speaker: str
    text: str


class Session(msgspec.Struct, frozen=True):
    """Turns of one day, in order."""

    number: int
    at: datetime | None
    turns: tuple[Turn, ...]


class Question(msgspec.Struct, frozen=True):
    """A question, and the turns that hold its answer."""

    text: str
    category: str
    gold: frozenset[str]


class Conversation(msgspec.Struct, frozen=True):
    """Sessions between the same people, and what is asked about them."""

    id: str
    sessions: tuple[Session, ...]
    questions: tuple[Question, ...]

    @property
    def turns(self) -> tuple[Turn, ...]:
        """Return the turns of all sessions, in order."""
        return tuple(turn for session in self.sessions for turn in session.turns)


class QuestionFile(msgspec.Struct, frozen=True):
    """A file of conversations."""

    name: str
    digest: str
    """SHA-256 of its bytes, hex."""
    conversations: tuple[Conversation, ...]

    @property
    def turns(self) -> int:
        """Return how many turns there are in all."""
        return sum(len(conversation.turns) for conversation in self.conversations)


class _Said(msgspec.Struct, frozen=True):
    speaker: str
    dia_id: str
    text: str
    blip_caption: str = ""


class _Asked(msgspec.Struct, frozen=True):
    question: str
    category: int
    evidence: list[str]


class _Sample(msgspec.Struct, frozen=True):
    conversation: dict[str, Any]
    qa: list[_Asked]
    sample_id: str = ""


def load(path: Path) -> QuestionFile:
    """Read a question file.

    Questions none of whose evidence names a turn are left out.

    Raises:
        OSError: it cannot be read.
        QuestionFileInvalid: it has another shape.
    """
    content = path.read_bytes()
    try:
        samples = msgspec.json.decode(content, type=list[_Sample])
        conversations = tuple(_conversation(sample, number) for number, sample in enumerate(samples))
    except (msgspec.DecodeError, ValueError) as error:
        raise QuestionFileInvalid(f"{path} is no question file: {error}") from error
    return QuestionFile(path.stem, hashlib.sha256(content).hexdigest(), conversations)


def _conversation(sample: _Sample, number: int) -> Conversation:
    sessions = sorted(int(match[1]) for name in sample.conversation if (match := _SESSION.fullmatch(name)))
    found = tuple(_session(sample.conversation, session) for session in sessions)
    known = {turn.id for session in found for turn in session.turns}
    questions = (
        Question(asked.question, CATEGORIES.get(asked.category, f"category {asked.category}"), _gold(asked, known))
        for asked in sample.qa
    )
    return Conversation(sample.sample_id or str(number), found, tuple(one for one in questions if one.gold))


def _session(conversation: dict[str, Any], number: int) -> Session:
    said = msgspec.convert(conversation[f"session_{number}"], list[_Said])
    date = conversation.get(f"session_{number}_date_time")
    at = datetime.strptime(date, _DATE).replace(tzinfo=UTC) if date else None
    return Session(number, at, tuple(Turn(one.dia_id, one.speaker, _text(one)) for one in said))


def _text(said: _Said) -> str:
    """Return what was said, and what could be seen on the picture that was shown."""
    return f"{said.text} {said.blip_caption}".strip()


def _gold(asked: _Asked, known: set[str]) -> frozenset[str]:
    return frozenset(one for text in asked.evidence for one in _SEPARATORS.split(text) if one in known)
