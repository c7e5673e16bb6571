"""Sentences as they are recognised again, whatever stands around them."""

import re
from hashlib import blake2b

from memroos_kit.text import words

LEAST_WORDS = 6
"""Shorter sentences are everybody's: that somebody says one says nothing about where it comes from."""

LEAST_SHARE = 0.7
"""Of a text's words, in sentences that were handed out: from here on the text is an echo."""

# Marks of the end that stand before a space; quotation marks, brackets and the like; marks of the end in East Asia.
_END = re.compile(
    r"[.!?;:\u2026]+(?=\s|$)|[\n\r\t\"\u201c\u201d\u201e\u00ab\u00bb()\[\]{}<>|]+|[\u3002\uff01\uff1f\uff1b\uff1a]+"
)
_HASH_BYTES = 8

LOOKED_AT = 16_000
"""Characters of a text: enough to tell where it comes from, and the writer is not held up by the longest."""


def sentences(text: str) -> list[tuple[int, int]]:
    """Return the sentences of a text: the hash of each one's words, 63 bit, and how many words it has.

    A sentence ends also where a quotation or a bracket begins or ends, so that what is put around a handed-out text
    does not hide it.
    """
    found = []
    for part in _END.split(text[:LOOKED_AT]):
        spoken = words.words_of(part)
        if spoken:
            digest = blake2b(" ".join(spoken).encode(), digest_size=_HASH_BYTES).digest()
            found.append((int.from_bytes(digest, "big") >> 1, len(spoken)))
    return found


def marks(text: str) -> list[int]:
    """Return the hashes under which a text is remembered as handed out."""
    return [digest for digest, length in sentences(text) if length >= LEAST_WORDS]


def is_echo(spoken: list[tuple[int, int]], marked: set[int]) -> bool:
    """Return whether most of what is said was handed out before."""
    total = sum(length for _, length in spoken)
    again = sum(length for digest, length in spoken if length >= LEAST_WORDS and digest in marked)
    return total > 0 and again >= LEAST_SHARE * total
