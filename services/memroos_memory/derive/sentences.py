"""Texts as sentences and clauses that may be taken at their word.

What is asked, supposed, wished or quoted is left out: it says nothing about how things are.
"""

import re
from collections.abc import Iterator

READ_CHARACTERS = 16_000
"""What follows in a text is not read for facts and entities; it is kept and found all the same."""

_LONGEST_SENTENCE = 400
_MOST_SENTENCES = 300

_FENCE = re.compile(r"```.*?(?:```|\Z)|^[ \t]*>.*$", re.DOTALL | re.MULTILINE)
_CURLY = str.maketrans({"\u2019": "'", "\u2018": "'", "\u201c": '"', "\u201d": '"', "\u00a0": " ", "\u2014": "-"})
_PRIVATE = re.compile("[\ue000-\uf8ff]")  # dates stand as such characters while a sentence is read
_QUOTED = re.compile(r'"[^"\n]{1,400}"|(?<!\w)\'[^\'\n]{0,400}[.,!?]\'(?!\w)')
_SAID = re.compile(
    r"\b(?:I|you|he|she|we|they|it|my|your|is|are|am|was|were|has|have|do|does)\b|[.!?,]\"", re.IGNORECASE
)
_ABBREVIATED = re.compile(r"(?:\b(?:Mr|Mrs|Ms|Dr|Prof|St|Sr|Jr|vs|etc|e\.g|i\.e|approx|No|Inc|Ltd|Co|[A-Z]))\.$")
_END = re.compile(r"[.!?\u2026]+[\"')\]]*(?=\s|$)|\n+")
_REPORTED = re.compile(
    r"\b(?:said|says|wrote|writes|told \w+|claim(?:s|ed)?|replied|answered|asked|quote[ds]?|stated)\s*[:,]"
)
_QUESTION = re.compile(r"\?|,\s*(?:right|correct|isn't it|don't I|no|eh|yes)\s*[.!]?\s*$", re.IGNORECASE)

_SUPPOSED = re.compile(
    r"""
    \b(?: if | unless | whether | would | could | might | should | must | wish(?:es|ed)? | imagin(?:e|es|ed|ing)
      | suppos(?:e|es|ed|ing|edly) | pretend(?:s|ed|ing)? | maybe | perhaps | probably | possibly | presumably
      | hypothetical(?:ly)? | alleged(?:ly)? | joking | kidding | guess(?:ing)? | (?:day)?dream(?:t|ed|ing|s)?
      | almost | nearly | as\ though | let's\ say | for\ example | for\ instance | e\.g | apparently | not\ sure
      | rumou?r(?:s|ed)? | seem(?:s|ed)? | thought | assum(?:e|es|ed|ing) | hop(?:e|es|ed|ing) | lied | lying
      | fiction(?:al)? | otherwise | doubt | wonder(?:ing)? | I'd | he'd | she'd | we'd | they'd | you'd | someday
      | one\ day | in\ (?:my|the|this|a|our)\ (?:story|novel|book|game|film|movie|play|scenario|example|past\ life)
    )\b
    """,
    re.IGNORECASE | re.VERBOSE,
)
_MAY = re.compile(r"\b\w+ may (?!\d)")  # "May" with a capital is a month

_CONTRACTED = (
    (re.compile(r"\b(I)'m\b", re.IGNORECASE), r"\1 am"),
    (re.compile(r"\b(we|you|they)'re\b", re.IGNORECASE), r"\1 are"),
    (re.compile(r"\b(he|she|it|that|there|here|who|name)'s\b", re.IGNORECASE), r"\1 is"),
    (re.compile(r"\b(I|we|you|they)'ve\b", re.IGNORECASE), r"\1 have"),
    (re.compile(r"\b(\w+)'ll\b", re.IGNORECASE), r"\1 will"),
    (re.compile(r"\bcan't\b|\bcannot\b", re.IGNORECASE), "can not"),
    (re.compile(r"\bwon't\b", re.IGNORECASE), "will not"),
    (re.compile(r"(?<=\w)n't\b", re.IGNORECASE), " not"),
    (re.compile(r"\bgonna\b", re.IGNORECASE), "going to"),
)

_CLAUSE = re.compile(
    r"\s*[;]\s+|\s+-+\s+|\s*\u2013\s+"
    r"|,?\s+(?:and|but|so|because|though|although|plus)\s+(?=(?:I|i|we|my|our)\s|[A-Z][\w'-]+\s+(?:is|has|[a-z]+s)\s)"
    r"|,\s+(?=(?:I|i|we|my|our)\s)"
)


def readable(text: str) -> str:
    """Return a text without code, quoted lines and what others are quoted with; straight quotes, plain blanks."""
    text = _PRIVATE.sub(" ", text[:READ_CHARACTERS].translate(_CURLY))
    text = _FENCE.sub("\n", text)
    return _QUOTED.sub(lambda match: "\u2047" if _SAID.search(match[0]) else match[0], text)


def sentences(text: str) -> Iterator[str]:
    """Yield the sentences of a readable text that state something, contractions written out."""
    count, start = 0, 0
    for match in _END.finditer(text):
        if match[0] == "." and _ABBREVIATED.search(text, max(start, match.end() - 8), match.end()):
            continue
        if stated := _stated(text[start : match.end()]):
            yield stated
        start = match.end()
        count += 1
        if count == _MOST_SENTENCES:
            return
    if stated := _stated(text[start:]):
        yield stated


def _stated(sentence: str) -> str:
    """Return a sentence as it can be read by rules; empty for a question, a supposition, or what is too long."""
    if len(sentence) > _LONGEST_SENTENCE:
        return ""
    sentence = " ".join(sentence.split())
    if not sentence or _QUESTION.search(sentence) or _SUPPOSED.search(sentence) or _MAY.search(sentence):
        return ""
    if _REPORTED.search(sentence):
        return ""
    for pattern, full in _CONTRACTED:
        sentence = pattern.sub(full, sentence)
    return sentence.rstrip(" .!\u2026)")


def clauses(sentence: str) -> list[str]:
    """Return the main clauses of a sentence: what follows "and I", "but my", a semicolon."""
    return [clause for clause in _CLAUSE.split(sentence) if clause]
