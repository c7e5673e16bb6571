"""How text becomes words to search for, and a passage to show.

The same analysis serves documents and questions, in the database and in memory, so a word is found wherever it stands.
"""

import re
import unicodedata
from functools import lru_cache

from memroos_kit.text.porter import stem

INDEXED_WORDS_MAX = 2_000
"""Words of one text that can be searched for: about twelve pages. What follows is kept, but not found."""

QUERY_WORDS_MAX = 24
"""Words of one question that are looked up; the longest pasted text stays affordable."""

SNIPPET_WORDS = 32

_WORD = re.compile(r"[^\W_]+")
_LONGEST_WORD = 64
_SNIPPET_LENGTH = SNIPPET_WORDS * _LONGEST_WORD
# Scripts written without spaces: their words are pairs of neighbouring characters.
_UNSPACED = re.compile("[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]")
_STOP = frozenset((
    "a", "about", "an", "and", "any", "are", "as", "at", "be", "been", "but", "by", "can", "could", "did", "do", "does",
    "for", "from", "had", "has", "have", "he", "her", "him", "his", "how", "i", "if", "in", "into", "is", "it", "its",
    "me", "my", "no", "not", "of", "on", "or", "our", "she", "should", "so", "that", "the", "their", "them", "then",
    "there", "they", "this", "to", "us", "was", "we", "were", "what", "when", "where", "which", "who", "why", "will",
    "with", "would", "you", "your",
))  # fmt: skip


@lru_cache(maxsize=65_536)
def _forms(word: str) -> tuple[str, ...]:
    """Return a written word as it is indexed: without accents and case, as its stem, or in pairs of characters."""
    decomposed = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", word).casefold())
    plain = "".join(c for c in decomposed if not unicodedata.combining(c) and (c.isalnum()))[:_LONGEST_WORD]
    if not plain:
        return ()
    if _UNSPACED.search(plain):
        return tuple(plain[at : at + 2] for at in range(max(1, len(plain) - 1)))
    return (stem(plain),) if plain.isascii() and plain.isalpha() else (plain,)


def words_of(text: str) -> list[str]:
    """Return a text's words as they are indexed, in order, at most 2,000."""
    words: list[str] = []
    for match in _WORD.finditer(text):
        words += _forms(match[0])
        if len(words) >= INDEXED_WORDS_MAX:
            break
    return words[:INDEXED_WORDS_MAX]


def words_to_find(query: str) -> list[str]:
    """Return the words of a question that are worth looking up, each once; small words only if there are no others."""
    written = [match[0] for match in _WORD.finditer(query)]
    chosen = [word for word in written if word.casefold() not in _STOP] or written
    forms = dict.fromkeys(form for word in chosen for form in _forms(word))
    return list(forms)[:QUERY_WORDS_MAX]


def snippet(text: str, found: frozenset[str]) -> str:
    """Return the passage of about 32 words in which most of the found words stand, in its middle."""
    matches = list(_WORD.finditer(text))[:INDEXED_WORDS_MAX]
    if len(matches) <= SNIPPET_WORDS:
        return text.strip()[:_SNIPPET_LENGTH]
    start = _densest([not found.isdisjoint(_forms(match[0])) for match in matches])
    end = start + SNIPPET_WORDS
    passage = text[matches[start].start() : matches[end - 1].end()][:_SNIPPET_LENGTH]
    return f"{'… ' if start else ''}{passage}{' …' if end < len(matches) else ''}"


def _densest(hits: list[bool]) -> int:
    """Return where the window with most hits begins, moved so that these stand in its middle."""
    last = len(hits) - SNIPPET_WORDS
    count = best = sum(hits[:SNIPPET_WORDS])
    start = 0
    for at in range(1, last + 1):
        count += hits[at + SNIPPET_WORDS - 1] - hits[at - 1]
        if count > best:
            best, start = count, at
    inside = [at for at in range(start, start + SNIPPET_WORDS) if hits[at]] or [0]
    return min(last, max(0, (inside[0] + inside[-1] - SNIPPET_WORDS) // 2 + 1))
