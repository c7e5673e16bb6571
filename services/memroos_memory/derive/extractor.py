"""Facts by a language model, through mem0.

What mem0 hides is told apart here: an answer that is empty because there is nothing to learn, and one that is nonsense.
Only the first is an answer; the second is a failure, and whoever asked comes back.
"""

import asyncio
import re
import threading
from collections.abc import Sequence
from datetime import datetime

import msgspec

from memroos_contracts.memory_errors import ModelFailed
from memroos_contracts.memory_items import ItemKind
from memroos_kit.text.words import words_to_find
from memroos_kit.threads import DaemonThreads
from memroos_memory.derive.answers import CutOff, Memory
from memroos_memory.derive.facts import learn
from memroos_memory.derive.scratch import Bench
from memroos_memory.embedders import mem0_setup
from memroos_memory.items.learned import Learned
from memroos_memory.settings import MemorySettings

QUESTIONS_AT_ONCE = 2
"""Questions to the model that may be open at the same time."""

_NOBODY = "\N{REPLACEMENT CHARACTER}"
GROUNDED, UNGROUNDED = 0.7, 0.4
"""Confidence in what shares a word with the turns it comes from, and in what does not."""

_INSTRUCTIONS = """\
Each message begins with its number in brackets, the time at which it was said, and the name of who said it.
That time is the Observation Date of the message: resolve "yesterday" and the like against it, and write the date out.
Name people by the names given; where a message says "I", it is the one named before the colon.
Give each memory a field "turns": the list of the numbers of the messages it comes from.
If there is nothing to remember, answer {"memory": []}."""


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
        self._settings = settings
        self._threads = DaemonThreads(QUESTIONS_AT_ONCE, name="memroos-model")
        self._local = threading.local()
        self._benches: list[Bench] = []

    async def extract(self, turns: Sequence[Turn], *, existing: Sequence[str] = ()) -> list[Learned]:
        """Return what the model finds in these turns and is not known yet, each with the turns it comes from.

        Args:
            turns: of one scope, in order.
            existing: what is known already, as texts; the model is told not to repeat it.

        Raises:
            ModelFailed: the endpoint does not answer in time, or answers nonsense.
        """
        said = [turn for turn in turns if turn.text.strip()]
        if not said:
            return []
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, self._extract, said, list(existing))

    async def close(self) -> None:
        """Let go of connections; questions that are open are given up."""
        self._threads.shutdown()
        for bench in self._benches:
            bench.close()

    def _extract(self, turns: Sequence[Turn], existing: Sequence[str]) -> list[Learned]:
        try:
            memories = self._asked(turns, existing)
        except CutOff as error:
            if len(turns) == 1:
                raise _failed("there is no room for its answer") from error
            half = len(turns) // 2
            return [*self._extract(turns[:half], existing), *self._extract(turns[half:], existing)]
        return [_learned(one, turns) for one in memories]

    def _bench(self) -> Bench:
        bench: Bench | None = getattr(self._local, "bench", None)
        if bench is None:
            bench = self._local.bench = Bench(self._settings)
            self._benches.append(bench)
        return bench

    def _asked(self, turns: Sequence[Turn], existing: Sequence[str]) -> list[Memory]:
        messages = [{"role": "user", "content": _message(number, turn)} for number, turn in enumerate(turns, 1)]
        try:
            return self._bench().ask(messages, _INSTRUCTIONS, existing)
        except (CutOff, ModelFailed):
            raise
        except Exception as error:
            # mem0's errors, its libraries', and whatever an endpoint provokes that answers in another language.
            raise _failed(mem0_setup.reason_of(_root(error))) from error


def _failed(reason: str) -> ModelFailed:
    return ModelFailed(f"The language model gave no usable answer: {reason}", reason=reason)


def _root(error: BaseException) -> BaseException:
    """Return what an endpoint's library raised, before others wrapped it."""
    while not hasattr(error, "status_code") and (deeper := error.__cause__ or error.__context__) is not None:
        error = deeper
    return error


def _message(number: int, turn: Turn) -> str:
    return f"[{number}] {turn.occurred_at:%Y-%m-%d %H:%M} {turn.speaker or 'somebody'}: {turn.text}"


def _learned(memory: Memory, turns: Sequence[Turn]) -> Learned:
    named = sorted({number for number in memory.turns if isinstance(number, int) and 0 < number <= len(turns)})
    words = set(words_to_find(memory.text))
    sources = [turns[number - 1] for number in named] or _closest(words, turns)
    text = " ".join(memory.text.split())
    speakers = {turn.speaker for turn in sources}
    if len(speakers) == 1 and (speaker := next(iter(speakers))):
        text = re.sub(r"\A(?:The )?[Uu]ser\b", lambda _: speaker, text)
    grounded = any(words & set(words_to_find(f"{turn.speaker} {turn.text}")) for turn in sources)
    told = Learned(
        text=text,
        kind=ItemKind.FACT,
        confidence=GROUNDED if grounded else UNGROUNDED,
        sources=tuple(turn.id for turn in sources),
    )
    return _with_triple(told, sources[-1])


def _closest(words: set[str], turns: Sequence[Turn]) -> list[Turn]:
    """Return the turns that share most words with a memory whose turns the model did not name; else all of them."""
    shared = [len(words & set(words_to_find(turn.text))) for turn in turns]
    most = max(shared)
    return [turn for turn, count in zip(turns, shared, strict=True) if count == most] if most else list(turns)


def _with_triple(told: Learned, turn: Turn) -> Learned:
    """Return a memory as a fact that can be compared, where the rules understand its sentence as one."""
    # Whoever says "I" in it is nobody: a memory is not told by the person whom it is about.
    understood = [
        one for one in learn(told.text, speaker="", author=_NOBODY, occurred_at=turn.occurred_at) if one.triple
    ]
    if len(understood) != 1 or _NOBODY in told.text or _NOBODY in understood[0].text:
        return told
    one = understood[0]
    return msgspec.structs.replace(
        told,
        kind=one.kind,
        triple=one.triple,
        functional=one.functional,
        valid_from=one.valid_from,
        valid_to=one.valid_to,
    )
