"""Porter's stemmer: M. F. Porter, "An algorithm for suffix stripping", Program 14(3), 1980, with the two
departures of his own later code (`bli` and `logi` in step 2).

The names of the steps and the conditions are the paper's: `m` counts vowel-consonant sequences, `*v*` asks for a
vowel, `*d` for a double consonant, `*o` for consonant-vowel-consonant where the last is not w, x or y.
"""

from functools import lru_cache
from itertools import pairwise

_STEP_2 = (
    ("ational", "ate"), ("tional", "tion"), ("enci", "ence"), ("anci", "ance"), ("izer", "ize"), ("bli", "ble"),
    ("alli", "al"), ("entli", "ent"), ("eli", "e"), ("ousli", "ous"), ("ization", "ize"), ("ation", "ate"),
    ("ator", "ate"), ("alism", "al"), ("iveness", "ive"), ("fulness", "ful"), ("ousness", "ous"), ("aliti", "al"),
    ("iviti", "ive"), ("biliti", "ble"), ("logi", "log"),
)  # fmt: skip
_STEP_3 = (
    ("icate", "ic"), ("ative", ""), ("alize", "al"), ("iciti", "ic"), ("ical", "ic"), ("ful", ""), ("ness", ""),
)  # fmt: skip
_STEP_4 = (
    "al", "ance", "ence", "er", "ic", "able", "ible", "ant", "ement", "ment", "ent", "ion", "ou", "ism", "ate", "iti",
    "ous", "ive", "ize",
)  # fmt: skip


def _is_consonant(word: str, at: int) -> bool:
    letter = word[at]
    if letter in "aeiou":
        return False
    return letter != "y" or at == 0 or not _is_consonant(word, at - 1)


def _measure(stem: str) -> int:
    shape = [_is_consonant(stem, at) for at in range(len(stem))]
    return sum(1 for before, here in pairwise(shape) if here and not before)


def _has_vowel(stem: str) -> bool:
    return any(not _is_consonant(stem, at) for at in range(len(stem)))


def _ends_double(word: str) -> bool:
    return len(word) > 1 and word[-1] == word[-2] and _is_consonant(word, len(word) - 1)


def _ends_cvc(word: str) -> bool:
    end = len(word) - 1
    return (
        end >= 2
        and _is_consonant(word, end)
        and not _is_consonant(word, end - 1)
        and _is_consonant(word, end - 2)
        and word[end] not in "wxy"
    )


def _plural(word: str) -> str:
    for suffix, new in (("sses", "ss"), ("ies", "i"), ("ss", "ss"), ("s", "")):
        if word.endswith(suffix):
            return word[: -len(suffix)] + new
    return word


def _past(word: str) -> str:
    if word.endswith("eed"):
        return word[:-1] if _measure(word[:-3]) > 0 else word
    for suffix in ("ed", "ing"):
        stem = word.removesuffix(suffix)
        if stem != word:
            return _repair(stem) if _has_vowel(stem) else word
    return word


def _repair(stem: str) -> str:
    if stem.endswith(("at", "bl", "iz")):
        return stem + "e"
    if _ends_double(stem) and stem[-1] not in "lsz":
        return stem[:-1]
    return stem + "e" if _measure(stem) == 1 and _ends_cvc(stem) else stem


def _replace(word: str, endings: tuple[tuple[str, str], ...]) -> str:
    found = [(suffix, new) for suffix, new in endings if word.endswith(suffix)]
    if not found:
        return word
    suffix, new = max(found, key=lambda pair: len(pair[0]))
    stem = word[: -len(suffix)]
    return stem + new if _measure(stem) > 0 else word


def _strip(word: str) -> str:
    found = [suffix for suffix in _STEP_4 if word.endswith(suffix)]
    if not found:
        return word
    suffix = max(found, key=len)
    stem = word[: -len(suffix)]
    fits = _measure(stem) > 1 and (suffix != "ion" or stem.endswith(("s", "t")))
    return stem if fits else word


def _tidy(word: str) -> str:
    if word.endswith("e"):
        stem = word[:-1]
        measure = _measure(stem)
        if measure > 1 or (measure == 1 and not _ends_cvc(stem)):
            word = stem
    return word[:-1] if word.endswith("ll") and _measure(word) > 1 else word


@lru_cache(maxsize=65_536)
def stem(word: str) -> str:
    """Return the stem of an English word in lower case; words of one or two letters stay as they are."""
    if len(word) <= 2:
        return word
    word = _past(_plural(word))
    if word.endswith("y") and _has_vowel(word[:-1]):
        word = word[:-1] + "i"
    return _tidy(_strip(_replace(_replace(word, _STEP_2), _STEP_3)))
