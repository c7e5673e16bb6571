# ruff: noqa: E501 - lists of words
"""Words of a sentence as values: where a phrase ends, what is too vague to be kept, what is a name."""

import re
from datetime import timedelta

from memroos_memory.derive.calendar import MONTHS, WEEKDAYS, Stretch

_MOST_WORDS = 9
_MARKS = "[\ue000-\ue03f]"

_OPENING = re.compile(
    r"(?:(?:hey|hi|hello|yes|yeah|yep|yup|no|nope|well|oh|ooh|wow|so|ok|okay|btw|by the way|also|actually|fyi|update|note"
    r"|reminder|honestly|anyway|in fact|unfortunately|fortunately|luckily|sadly|guess what|good news|great news|thanks"
    r"|thank you|sure|haha|lol|true|right|exactly|absolutely|definitely|for the record|just so you know|as you know"
    r"|(?:please |just )?(?:remember|note|know)|(?:just )?to let you know|(?:just )?a (?:quick )?(?:note|update)|and|but"
    r"|then|plus|now|currently|recently|finally|personally|hmm|ah|aw|cool|nice|great|first of all|first|besides|speaking of that)"
    r"(?: [A-Z][a-z]+(?=[,!.]))?(?:\s*[,:!.-]+\s*|\s+)(?:that\s+)?)",
    re.IGNORECASE,
)
_ADDRESSED = re.compile(r"[A-Z][a-z]+,\s+(?=(?:I|my|we)\b)")


def without_opening(sentence: str) -> str:
    """Return a sentence without "Well," and "By the way," and the name of who is addressed."""
    for _ in range(4):
        match = _OPENING.match(sentence) or _ADDRESSED.match(sentence)
        if match is None:
            break
        sentence = sentence[match.end() :]
    return sentence


_TAIL = re.compile(
    r"\s*(?:[;:(\u2047]|\s-\s|,(?=\s)|,?\s+(?:and|but|so|because|which|who|where|when|while|since|though|although|as|if"
    r"|that|after|before|until|than|for\sthe\sfirst\stime|together|too|either|lately|these\sdays|right\snow|now|again|any\s?more"
    r"|at\sthe\smoment|every\s\w+|each\s\w+|so\smuch|a\slot|very\smuch|as\swell|more\sthan|recently|already|instead\sof|due\sto"
    r"|thanks\sto|once|twice|\w+\stimes|all\sthe\stime|is|are|was|were|has|have|makes?|helps?|I|we|he|she|they|you)\b|"
    + _MARKS
    + ").*$"
)
_THAT = re.compile(r"(?:to|on|that)\s")
_VAGUE = re.compile(
    r"(?:it|this|that|these|those|them|him|her|you|your|yours|me|us|what|how|when|where|why|who|there|here|so|not|no|nothing"
    r"|something|anything|everything|someone|anyone|everyone|one|ones|some|all|both|each|any|more|most|much|many|too|very"
    r"|being able|to be|to see|to hear|to know|to say|to think|the way|the idea|the fact|the sound|the look|the thought"
    r"|getting|seeing|hearing|a lot|a bit|a few|lots|such|quite|just|well|his|its|their|others|things|stuff|up|out|off|on|in"
    r"|at|with|from|by|over|down|like)\b(?!\s(?-i:[A-Z]))",
    re.IGNORECASE,
)
_POINTS = re.compile(
    r"\b(?:it|its|this|that|these|those|them|him|her|here|there|one|ones|you|your|making sure|even more)\b"
    r"|\b(?:to|of|with|for|in|on|at|by|from|about|a|an|the|how|what|and|or|my|our|some|new)$",
    re.IGNORECASE,
)
_ONLY_KINDS = re.compile(
    r"(?:a|an|the)\s+(?:lot|bit|few|thing|way|good|great|fun|nice|time|while|day|one|chance|break)\b", re.IGNORECASE
)


def plain(raw: str) -> str:
    """Return a value without the punctuation around it."""
    return raw.replace('"', "").strip(" ,.;:!()'-\u2047")


def thing(raw: str) -> str:
    """Return the phrase at the beginning of a text, or an empty string where it says nothing by itself."""
    lead = _THAT.match(raw)  # "that the server moves", "to go": the first word may not end it
    at = lead.end() if lead else 0
    value = plain(raw[:at] + _TAIL.sub("", raw[at:], count=1))
    words = value.split()
    if not words or len(words) > _MOST_WORDS or _is_vague(value[at:]):
        return ""
    return value if any(character.isalpha() for character in value) and len(value) > 1 else ""


def _is_vague(value: str) -> bool:
    """Tell whether a phrase says nothing without what stands around it."""
    return any(pattern.match(value) for pattern in (_VAGUE, _ONLY_KINDS)) or _POINTS.search(value) is not None


_DEFINITE = re.compile(r"[Tt]he\s+(?![A-Z])")
_FIRST_PERSON = re.compile(r"\b(?:(?P<own>my|our)|(?P<me>me|us)|(?P<self>myself|ourselves))\b", re.IGNORECASE)


def listed(raw: str, more: list[str]) -> list[str]:
    """Return the phrases of an enumeration: "pizza, sushi and tacos". What only points at something is left out."""
    first, *rest = re.split(r",\s+(?:and\s+|or\s+)?|\s+(?:and|or|&)\s+", raw)
    head = thing(first)
    if not head or _DEFINITE.match(head):
        return []
    ended = plain(first) != head
    others = [] if ended else [one for one in (thing(part) for part in (*rest, *more)) if one]
    return [head, *(one for one in others if len(one.split()) <= 3 and not _DEFINITE.match(one))]


def third_person(value: str, whose: str) -> str:
    """Return a phrase of somebody who speaks of himself as others say it: "my car" is theirs.

    Args:
        whose: to whom "my" belongs where the sentence is about another: `Ann's`; empty: to whom it is about.
    """

    def other(match: re.Match[str]) -> str:
        if match["own"]:
            return whose or "their"
        if match["me"]:
            return whose.removesuffix("'s") or "them"
        return "themselves"

    return _FIRST_PERSON.sub(other, value)


_NOT_NAMES = frozenset((
    "i", "you", "he", "she", "it", "we", "they", "this", "that", "these", "those", "there", "here", "what", "who", "when",
    "where", "why", "how", "which", "everyone", "everybody", "nobody", "someone", "somebody", "anyone", "anybody", "people",
    "everything", "something", "nothing", "anything", "none", "all", "both", "each", "some", "many", "most", "one", "two",
    "a", "an", "the", "my", "your", "his", "her", "its", "our", "their", "no", "not", "yes", "yeah", "yep", "ok", "okay",
    "and", "but", "or", "so", "if", "as", "at", "in", "on", "to", "for", "from", "with", "by", "of", "about", "after",
    "before", "then", "now", "just", "also", "still", "always", "never", "maybe", "perhaps", "today", "tomorrow",
    "yesterday", "hey", "hi", "hello", "thanks", "thank", "wow", "well", "oh", "please", "sorry", "sure", "great", "good",
    "nice", "cool", "awesome", "amazing", "congrats", "congratulations", "let", "do", "does", "did", "is", "are", "was",
    "were", "am", "be", "has", "have", "had", "can", "could", "will", "would", "should", "may", "might", "must", "don",
    "won", "life", "love", "music", "work", "home", "time", "art", "nature", "glad", "happy", "sounds", "looks", "way",
    "definitely", "absolutely", "totally", "really", "exactly", "actually", "honestly", "any", "other", "another", "such",
    "more", "much", "new", "first", "last", "next", "since", "until", "while", "because", "though", "although", "to-do",
    "plus", "like", "same", "only", "even", "too", "dinner", "lunch", "breakfast", "god", "gosh", "hope", "todo", "note",
    "dear", "best", "regards", "cheers", "bye", "goodbye", "haha", "lol", "omg", "yay", "aw", "aww", "hmm", "ah", "ooh",
    *MONTHS, *WEEKDAYS,
))  # fmt: skip


def is_name(text: str) -> bool:
    """Tell whether a capitalised phrase at the beginning of a sentence can be a name."""
    words = text.split()
    first = words[0].lower().removesuffix("'s")
    if first in _NOT_NAMES or len(words[0]) < 2 or "'" in words[0]:
        return False
    return len(words) > 1 or not first.endswith(("ing", "ly"))


def is_common(word: str) -> bool:
    """Tell whether a word is capitalised only because a sentence begins with it, or is no name in any place."""
    return word.lower().removesuffix("'s") in _NOT_NAMES


def is_owner(text: str) -> bool:
    """Tell whether something can be said to have properties: not "it" or "this"."""
    return text.split(maxsplit=1)[0].lower() not in _NOT_NAMES or " " in text


def said(stretch: Stretch) -> str:
    """Return a stretch of time in words: 8 May 2023, May 2023, 2023, or its first and last day."""
    start, end = stretch
    last = end - timedelta(days=1)
    if last <= start:
        return _day(stretch)
    if (start.day, end.day) == (1, 1) and start.month == last.month and start.year == last.year:
        return f"{MONTHS[start.month - 1].title()} {start.year}"
    if (start.month, start.day, end.month, end.day) == (1, 1, 1, 1) and last.year == start.year:
        return str(start.year)
    return f"{_day(stretch)} to {_day((last, end))}"


def _day(stretch: Stretch) -> str:
    at = stretch[0]
    return f"{at.day} {MONTHS[at.month - 1].title()} {at.year}"
