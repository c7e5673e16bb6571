"""What a language model answers, before anybody relies on it.

mem0 takes nonsense for an empty answer, and takes its time with some of it: its patterns go back and forth over what is
odd enough. So an answer is read here first, strictly in its shape and in one go, and mem0 is given what was read.
"""

import json
from collections.abc import Sequence
from typing import Any

import msgspec

from memroos_contracts.memory_errors import ModelFailed

LONGEST_ANSWER = 400_000
LONGEST_MEMORY = 2_000


class CutOff(Exception):
    """The model had no room to end its answer."""


class Memory(msgspec.Struct):
    """Something to remember, as a model says it."""

    text: str
    turns: list[Any] = []
    """Numbers of messages, if the model keeps to what it was told."""


class _Answer(msgspec.Struct):
    memory: list[Memory]


def read(answer: object) -> list[Memory]:
    """Return what a model answered; words and code blocks around it, and what it thought before, do not count.

    Raises:
        ModelFailed: it is empty, enormous, no JSON, of another shape, or has memories without a text.
    """
    if not isinstance(answer, str) or not answer.strip():
        raise _nonsense("it is empty")
    if len(answer) > LONGEST_ANSWER:
        raise _nonsense("it is enormous")
    said = answer.rpartition("</think>")[2]
    try:
        plain = json.loads(said[said.find("{") : said.rfind("}") + 1], strict=False)
        memories = msgspec.convert(plain, _Answer).memory
    except (ValueError, RecursionError) as error:  # msgspec's errors are ValueErrors
        raise _nonsense("it has not the shape that was asked for") from error
    if any(not 0 < len(one.text.strip()) <= LONGEST_MEMORY for one in memories):
        raise _nonsense("a memory has no text, or too much of it")
    return memories


def written(memories: Sequence[Memory]) -> str:
    """Return memories as mem0 reads them."""
    return msgspec.json.encode({"memory": [{"text": one.text} for one in memories]}).decode()


def _nonsense(reason: str) -> ModelFailed:
    return ModelFailed(f"The language model answered nonsense: {reason}.", reason=reason)
