"""Entities by rules: names, titles, identifiers, addresses; normalised, so that the same is found again."""

import re
from collections.abc import Iterator

from memroos_memory.derive import phrases
from memroos_memory.derive.calendar import MONTHS, WEEKDAYS
from memroos_memory.derive.sentences import READ_CHARACTERS

MOST_ENTITIES = 64
_LONGEST = 120

_EXACT = (
    re.compile(r"https?://[^\s<>\"')\]]{3,200}|\bwww\.[^\s<>\"')\]]{3,200}", re.IGNORECASE),
    re.compile(r"\b[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63})+"),
    re.compile(r"(?<![\w#&])#[^\W\d_][\w-]{1,60}"),
    re.compile(r"(?<![\w@.])@[A-Za-z][\w-]{1,60}"),
    re.compile(r"\b[A-Z][A-Z0-9]{1,9}-\d{1,9}\b"),  # ABC-123
    re.compile(r"\b[a-z]{2,5}_[0-9A-Za-z]{8,40}\b"),  # tsk_01J9Z3
    re.compile(r"(?<!\w)#\d{1,9}\b"),
)
_TITLE = re.compile(r'"([^"\n]{2,80})"|(?<!\w)\'([A-Z][^\'\n]{1,79})\'(?!\w)')
_CAPITALISED = re.compile(
    r"(?<![\w'])(?:[A-Z\u00c0-\u00de][\w&'-]*)"
    r"(?:[ \t](?:(?:of|de|la|van|von|der|del|da|di|of the)[ \t])?"
    r"(?:(?!I\b)[A-Z\u00c0-\u00de][\w&'-]*|\d{1,3}\b(?![-.:]))){0,5}"
)
_HONORIFIC = re.compile(r"\b(?:Dr|Mr|Mrs|Ms|Prof)\.\s(?=[A-Z])")
_STARTS = re.compile(r"(?:^|[.!?\u2026:;\n]|[.!?]['\")]|[\u2047*>\u2022]|\d[.)])[\s\"'(*_-]*$")
_INNER_CAPITAL = re.compile(r"[a-z][A-Z]|[A-Z]{2,}|\d")
_LEADS = frozenset(("new", "great", "home", "good", "best", "first", "last", "big", "little", "old", "saint"))
_NEVER = frozenset((*MONTHS, *WEEKDAYS)) | frozenset(
    ("i", "the", "a", "an", "my", "your", "his", "her", "our", "their", "this", "that", "on", "in", "and")
)
_POSSESSIVE = re.compile(r"'s?$")


def entities(text: str) -> list[str]:
    """Return the entities a text names, normalised, each once, in its order.

    A capitalised word counts where no sentence begins with it, or where it stands capitalised elsewhere too.
    """
    text = text[:READ_CHARACTERS].replace("\u2019", "'").replace("\u201c", '"').replace("\u201d", '"')
    plain = _HONORIFIC.sub(lambda match: "\u00b7" * (len(match[0]) - 1) + " ", text)
    plain = _TITLE.sub(lambda match: match[0] if _is_speech(match) else " " * len(match[0]), plain)
    found = sorted((*_exact(text), *_titles(text), *_proper(plain)))
    names = dict.fromkeys(name for _, name in found if name)
    return list(names)[:MOST_ENTITIES]


def _normalised(name: str) -> str:
    """Return a name as it is compared: small letters, single blanks, no punctuation around it."""
    return " ".join(name.casefold().split()).strip(" .,;:!?'\"()")[:_LONGEST]


def _exact(text: str) -> Iterator[tuple[int, str]]:
    for pattern in _EXACT:
        for match in pattern.finditer(text):
            yield match.start(), _normalised(match[0].rstrip("/"))


def _titles(text: str) -> Iterator[tuple[int, str]]:
    for match in _TITLE.finditer(text):
        if not _is_speech(match):
            yield match.start(), _normalised(match[1] or match[2])


def _is_speech(quoted: re.Match[str]) -> bool:
    """Tell whether something in quotes is what somebody said, rather than a title."""
    inside = quoted[1] or quoted[2]
    return len(inside.split()) > 8 or inside.endswith((".", ",", "!", "?"))


def _proper(text: str) -> Iterator[tuple[int, str]]:
    """Yield capitalised names. What a sentence begins with counts if it is capitalised in another place, too."""
    inside: set[str] = set()
    doubtful: list[tuple[int, str, bool]] = []
    for match in _CAPITALISED.finditer(text):
        opens = _STARTS.search(text, max(0, match.start() - 12), match.start()) is not None
        at, name, cut = _without_common(match, opens=opens)
        if not name:
            continue
        opens = opens and not cut
        owned = name.endswith(("'s", "'"))
        name = _POSSESSIVE.sub("", name)
        sure = not opens or owned or " " in name or _INNER_CAPITAL.search(name) is not None
        if sure:
            inside.update((_normalised(name), *map(_normalised, name.split())))
        doubtful.append((at, name, sure))
    for at, name, sure in doubtful:
        if sure or _normalised(name) in inside:
            yield at, _normalised(name)


def _without_common(match: re.Match[str], *, opens: bool) -> tuple[int, str, bool]:
    """Return a capitalised phrase from its first word on that can be a name, and whether something was cut off."""
    words = match[0].split()
    at, cut = match.start(), False
    while words and _is_no_part(words, opens=opens):
        at += len(words[0]) + 1
        cut = True
        words = words[1:]
    if not words or words[0].isdigit() or len(words[0]) < 2 or "'" in words[0][:-2]:
        return at, "", cut
    return at, " ".join(words), cut


def _is_no_part(words: list[str], *, opens: bool) -> bool:
    first = words[0].lower()
    if len(words) > 1 and first in _LEADS and words[1][0].isupper() and words[1] != "I":
        return False
    return phrases.is_common(words[0]) if opens or first in _NEVER or len(words) == 1 else words[0][0].islower()
