"""The noise gate: from which texts nothing is learned. They are kept, indexed and found all the same."""

import math
import re
from collections import Counter

LEAST_WORDS = 2
LEAST_LETTERS = 6
LEAST_ENTROPY = 2.0
"""Bits per character. English has four; `hahahahahaha` has one."""

LONGEST_WORD = 40
"""Characters a word has on average at most; more is a key, a hash or an encoded file."""

LEAST_SHARE_OF_LETTERS = 0.4
"""Of all characters but spaces: below, it is a table of numbers, a drawing or a log."""

SMALL_TALK_CHARACTERS = 200
"""What begins with so much small talk goes on with it."""

SAMPLE = 4_000
"""Characters that are looked at."""

# Greetings, thanks and assent, and what stands between them: a short text of nothing else teaches nothing.
_SMALL_TALK = frozenset((
    "a", "all", "alright", "am", "and", "are", "bye", "cool", "day", "do", "evening", "fine", "for", "good", "goodbye",
    "great", "hello", "hey", "hi", "how", "i", "is", "it", "later", "lol", "morning", "much", "nice", "night", "no",
    "nope", "of", "oh", "ok", "okay", "please", "right", "see", "so", "soon", "sure", "thank", "thanks", "that", "the",
    "there", "thing", "this", "to", "too", "very", "wow", "welcome", "well", "what", "yeah", "yep", "yes", "you",
))  # fmt: skip

_WORD = re.compile(r"[^\W\d_]+")
# Written without spaces between words: each character tells as much as a word elsewhere.
_UNSPACED = re.compile("[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]")


def noise(text: str, *, before: str = "") -> str:
    """Return why nothing is to be learned from a text; empty where something may be.

    Args:
        text: what was said.
        before: what was said right before it by the same author; the same again is nothing new.
    """
    sample = text[:SAMPLE].strip()
    if before and sample == before[:SAMPLE].strip():
        return "nothing new"
    letters = sum(c.isalpha() for c in sample)
    unspaced = len(_UNSPACED.findall(sample))
    if unspaced < LEAST_LETTERS / 2 and (letters < LEAST_LETTERS or len(_WORD.findall(sample)) < LEAST_WORDS):
        return "too short"
    if all(word in _SMALL_TALK for word in _WORD.findall(sample[:SMALL_TALK_CHARACTERS].casefold())) and letters:
        return "small talk"
    visible = [c for c in sample if not c.isspace()]
    if letters < LEAST_SHARE_OF_LETTERS * len(visible):
        return "hardly any letters"
    if not unspaced and len(visible) > LONGEST_WORD * len(sample.split()):
        return "not made of words"
    if entropy(sample.casefold()) < LEAST_ENTROPY:
        return "repeats itself"
    return ""


def entropy(text: str) -> float:
    """Return how much a character of a text tells, in bits (Shannon 1948, section 6)."""
    total = len(text)
    return -sum(n / total * math.log2(n / total) for n in Counter(text).values()) if total else 0.0
