# ruff: noqa: E501 - patterns: a form reads best on one line
"""Procedures by rules: how something is done, step by step, and standing orders."""

import re
from collections.abc import Iterator

from memroos_contracts.memory_items import ItemKind, Triple
from memroos_memory.items.learned import Learned

_MOST_STEPS = 30

_GOAL = re.compile(
    r"(?:^|(?<=[.!\n]))[ \t#*]*(?:(?:here is |this is )?how to|in order to|to|steps (?:to|for)|procedure (?:to|for)|runbook for) "
    r"(?P<goal>(?!(?:the|an?|our|your|my|be|no|this|that|these|all|me|you|us|him|her|them|any|each|it)\b)[a-z][\w'/-]*(?:[. ][\w'/-]+){0,12}?)(?: is)?\s*(?:[:\n]|,(?=\s*(?:you )?(?:first|start by|1[.)])))[ \t]*",
    re.IGNORECASE | re.MULTILINE,
)
_ITEM = re.compile(
    r"(?:^|(?<=\s))(?:\d{1,2}[.)]|[-*\u2022])\s+(?P<step>[^\n]{2,300}?)(?=\s*(?:\n|$)|\s+\d{1,2}[.)]\s)", re.MULTILINE
)
_STEP = re.compile(
    r"(?:^|[,;.]\s*(?:and\s+)?|\s+and\s+)(?:first(?:ly)?|second(?:ly)?|third(?:ly)?|then|next|after that|afterwards|finally|lastly)\b,?\s+(?:you\s+)?",
    re.IGNORECASE,
)
_ORDER = re.compile(
    r"(?:^|(?<=[.!\n]))[ \t]*(?P<order>(?:Always|Never) (?:run|use|check|ask|call|make sure|write|push|commit|deploy|restart"
    r"|test|verify|back up|send|start|stop|close|open|put|keep|add|delete|remove|update|merge|review|log|lock|turn|read|sign"
    r"|share|store|include|rebase|force|reply|answer|cite|format|validate|confirm|edit|touch|skip|ship|release)\b[^.!?\n]{3,200})(?=[.!\n]|$)",
    re.MULTILINE,
)


def procedures(text: str) -> Iterator[Learned]:
    """Yield the procedures a readable text explains, and the standing orders it gives."""
    for match in _GOAL.finditer(text):
        steps = _steps(text[match.end() : match.end() + 4_000], numbered="\n" in match[0] or ":" in match[0])
        if len(steps) > 1:
            goal = " ".join(match["goal"].split())
            told = "; ".join(f"{number}. {step}" for number, step in enumerate(steps, 1))
            yield Learned(
                kind=ItemKind.PROCEDURE, text=f"To {goal}: {told}", triple=Triple(goal, "how_to", told), confidence=0.8
            )
    for match in _ORDER.finditer(text):
        yield Learned(kind=ItemKind.PROCEDURE, text=" ".join(match["order"].split()), confidence=0.7)


def _steps(text: str, *, numbered: bool) -> list[str]:
    """Return the steps of a list, or of the sentence with its "first" and "then"."""
    paragraph = text.split("\n\n", 1)[0]
    items = [_tidy(match["step"]) for match in _ITEM.finditer(paragraph)] if numbered else []
    if len(items) > 1:
        return items[:_MOST_STEPS]
    sentence = re.split(r"[!?\n]|\.(?=\s+(?!(?:Then|Next|After|Finally|Lastly|Second)\b)[A-Z])", paragraph, maxsplit=1)[
        0
    ]
    parts = [_tidy(part) for part in _STEP.split(sentence)]
    return [part for part in parts if len(part) > 2][:_MOST_STEPS] if _STEP.search(sentence) else []


def _tidy(step: str) -> str:
    return " ".join(step.split()).strip(" ,.;")
