"""Facts by rules: who, what, whom, and when."""

import re
from collections.abc import Iterator
from datetime import datetime
from functools import lru_cache
from typing import NamedTuple

from memroos_contracts.memory_items import ItemKind, Triple
from memroos_memory.derive import dates, phrases, relations
from memroos_memory.derive.procedures import procedures
from memroos_memory.derive.relations import DATE, Attribute, Rule, Time, Value, Whose
from memroos_memory.derive.sentences import clauses, readable, sentences
from memroos_memory.items.learned import Learned

MOST_FACTS = 64
"""Of one text."""


class _Subject(NamedTuple):
    name: str
    whose: Whose


class _When(NamedTuple):
    """The dates of a clause, which stands with a private character for each of them."""

    found: list[dates.Found]
    texts: list[str]
    spoken: datetime
    speaking: str


def learn(text: str, *, speaker: str, author: str, occurred_at: datetime) -> list[Learned]:
    """Return what a text teaches, in its order, each thing once, without its sources.

    "I" is the speaker or, where none is named, the author. Questions, suppositions and quotations teach nothing.

    Args:
        speaker: the name of who said it; may be empty.
        author: the principal it comes from.
        occurred_at: when it was said, as an aware time; "yesterday" counts from it.
    """
    speaking = " ".join((speaker or author).split())
    if not speaking or not text.strip():
        return []
    plain = readable(text)
    learned: dict[str, Learned] = {}
    for one in (*procedures(plain), *_facts(plain, speaking, occurred_at)):
        learned.setdefault(one.text, one)
        if len(learned) == MOST_FACTS:
            break
    return list(learned.values())


def _facts(plain: str, speaking: str, spoken: datetime) -> Iterator[Learned]:
    for sentence in sentences(plain):
        opening = ""
        for clause in clauses(phrases.without_opening(sentence)):
            masked, when = _masked(opening + phrases.without_opening(clause), spoken, speaking)
            opening = f"{clause} " if _ONLY_DATES.fullmatch(masked) else ""  # "Last week, I moved"
            yield from _attributes(masked, speaking, when)
            subject, rest = _subject(masked, speaking)
            if subject is not None:
                yield from _predicates(subject, rest, when)


# Dates step aside while a clause is read.

_BEFORE_DATE = re.compile(
    r"(?:\b(?:in|on|since|until|till|from|at|during|by|around|about|as of|back in)\s+)+(?:the )?$", re.IGNORECASE
)
_ONLY_DATES = re.compile(rf"(?:{DATE}[ ,]*)+")


def _masked(clause: str, spoken: datetime, speaking: str) -> tuple[str, _When]:
    """Return a clause with one private character instead of each date and the words that lead to it."""
    found = dates.find_dates(clause, reference=spoken)
    if not found:
        return clause, _When([], [], spoken, speaking)
    out, at = "", 0
    for number, one in enumerate(found):
        out += _BEFORE_DATE.sub("", clause[at : one.at]) + chr(0xE000 + number)
        at = one.to
    masked = " ".join((out + clause[at:]).split())
    opening = _ONLY_DATES.match(masked)
    if opening and opening.end() < len(masked):  # "Last week I moved": the date comes first
        masked = f"{masked[opening.end() :]} {opening[0].rstrip(' ,')}"
    return masked, _When(found, [clause[one.at : one.to] for one in found], spoken, speaking)


def _first(masked: str, when: _When) -> int | None:
    match = re.search(DATE, masked)
    return ord(match[0]) - 0xE000 if match and when.found else None


def _day(number: int, when: _When) -> str:
    """Return a date as it is kept: 8 May 2023, May 2023, 2023, or a day of every year where no year is named."""
    return phrases.said(when.found[number].stretch)


# Who it is about.

_SUBJECT = re.compile(
    rf"(?P<self>I|i)\s+|(?P<us>[Ww]e)\s+"
    rf"|(?:[Mm]y|[Oo]ur) (?P<kin>{relations.KIN})(?:,? (?P<kinname>{relations.NAME}),?)?\s+(?=[a-z])"
    rf"|(?P<kin2>Mom|Mum|Dad|Grandma|Grandpa)\s+(?=[a-z])"
    r"|(?:[Tt]he|[Oo]ur) (?P<thing>[\w-]+(?: [\w-]+){0,3}?) (?=(?:is|are|runs?|listens?|costs?) )"
    rf"|(?P<name>{relations.NAME})\s+(?=[a-z])"
)


def _subject(clause: str, speaking: str) -> tuple[_Subject | None, str]:
    """Return whom a clause is about, and what it says of them."""
    match = _SUBJECT.match(clause)
    if match is None:
        return None, ""
    rest = clause[match.end() :]
    if match["self"]:
        return _Subject(speaking, Whose.SELF), rest
    if match["us"]:
        return _Subject(speaking, Whose.US), rest
    if kin := match["kin"] or match["kin2"]:
        return _Subject(match["kinname"] or f"{speaking}'s {kin.lower()}", Whose.KIN), rest
    if name := match["name"]:
        return (_Subject(name, Whose.NAMED) if phrases.is_name(name) else None), rest
    return _Subject(match["thing"], Whose.THING), rest


_COORDINATED = re.compile(r",?\s+(?:and|but)\s+(?:(?:then|also|now|I|recently|finally|later)\s+)?")
_THIRD = re.compile(
    r"(?:lives|works|likes|loves|enjoys|hates|prefers|owns|has|is|speaks|plays|uses|knows|plans|studies)\b"
)
_BASE = re.compile(r"(?:live|work|like|love|enjoy|hate|prefer|own|have|am|are|speak|play|use|know|plan|study|do)\b")


def _agree(subject: _Subject, predicate: str) -> bool:
    """Tell whether the verb has the subject's form: "Kids love" is not about somebody called Kids."""
    if subject.whose in (Whose.SELF, Whose.US):
        return _THIRD.match(predicate) is None
    return subject.whose is Whose.THING or _BASE.match(predicate) is None


def _predicates(subject: _Subject, rest: str, when: _When) -> Iterator[Learned]:
    """Yield what a clause says about its subject; a second verb after "and" has the same subject."""
    pieces = _COORDINATED.split(rest)
    for number, piece in enumerate(pieces):
        if not _agree(subject, piece):
            continue
        more = [one for one in pieces[number + 1 :] if len(one.split()) <= 4]
        known: set[str] = set()
        for rule in relations.RULES:
            if subject.whose not in rule.whose or rule.relation in known or (rule.fallback and known):
                continue
            facts = list(_applied(rule, subject, piece, more, when))
            if facts:
                known.add(rule.relation)
            yield from facts


def _applied(rule: Rule, subject: _Subject, piece: str, more: list[str], when: _When) -> Iterator[Learned]:
    match = rule.pattern.match(piece)
    number = _first(piece, when)
    if match is None or (rule.dated and (number is None or when.found[number].stretch[1] <= when.spoken)):
        return
    groups = match.groupdict()
    verb = groups.get("v") or ""
    relation = _snake(verb) if rule.relation == "did" else rule.relation
    whose = "" if subject.whose in (Whose.SELF, Whose.US) else f"{when.speaking}'s"
    for raw in _values(rule, groups["o"] or groups.get("p") or "", more, when):
        value = phrases.third_person(raw, whose)
        says = rule.says.format(s=subject.name, o=value, v=verb)
        yield _fact(rule, Triple(subject.name, relation, value), says, subject.whose, (when, number))
        if relation in _ENDS:
            yield _ended(subject, relation, value, when.found[number].stretch[0] if number is not None else when.spoken)


_ENDS = {
    "no_longer_lives_in": ("lives_in", "{s} used to live in {o}"),
    "no_longer_works_at": ("works_at", "{s} used to work at {o}"),
}


def _ended(subject: _Subject, relation: str, value: str, at: datetime) -> Learned:
    """Return a state that is over, so that what was known of it ends."""
    relation, says = _ENDS[relation]
    return Learned(
        kind=ItemKind.STATE,
        text=says.format(s=subject.name, o=value),
        triple=Triple(subject.name, relation, value),
        confidence=0.8,
        valid_to=at,
        functional=True,
    )


def _values(rule: Rule, raw: str, more: list[str], when: _When) -> list[str]:
    if rule.value is Value.DAY:
        return [_day(ord(raw) - 0xE000, when)]
    if rule.value is Value.LIST:
        return phrases.listed(raw, [one for one in more if not _is_predicate(one)])
    value = phrases.thing(raw) if rule.value is Value.THING else phrases.plain(raw)
    return [value] if value else []


@lru_cache(maxsize=1_024)
def _is_predicate(piece: str) -> bool:
    return any(rule.pattern.match(piece) for rule in relations.RULES)


def _fact(rule: Rule, triple: Triple, says: str, whose: Whose, dated: tuple[_When, int | None]) -> Learned:
    when, number = dated
    since, until, says = _validity(rule.time, says, when, number)
    return Learned(
        kind=rule.kind,
        text=says,
        triple=triple,
        confidence=round(rule.confidence * (0.85 if whose is Whose.US else 1), 2),
        valid_from=since,
        valid_to=until,
        functional=rule.functional,
    )


def _validity(time: Time, says: str, when: _When, number: int | None) -> tuple[datetime | None, datetime | None, str]:
    """Return from when and until when a fact holds, and how it is said with its date.

    What happened holds from then on, and for good; a state from the date that is named.
    """
    if number is None:
        return None, None, says
    found = when.found[number]
    if time is not Time.STATE:
        return found.stretch[0], None, f"{says} ({phrases.said(found.stretch)})"
    if found.word in ("until", "till", "before", "prior to"):
        return None, found.stretch[0 if found.word in ("before", "prior to") else 1], says
    return found.stretch[0], None, says


def _snake(text: str) -> str:
    return "_".join(text.lower().split())


# Properties: "my email is", "Anna's birthday is", "the deadline of the report is".

_IS = r"(?:is|are|has changed to|changed to|has become|=|:)(?: (?:now|currently|still))?(?= |$)"
_OWNED = re.compile(
    rf"(?:(?P<my>[Mm]y|[Oo]ur)(?: (?P<kin>{relations.KIN})'s)?|(?P<name>{relations.NAME}?)(?:'s|(?<=s)')"
    rf"|[Tt]he (?P<thing>[\w-]+(?: [\w-]+){{0,3}})'s) (?P<attr>[\w -]{{2,40}}?) ?{_IS} ?(?P<value>.+)"
)
_OF = re.compile(
    r"(?:[Tt]he|[Oo]ur) (?P<attr>[\w -]{2,30}?) (?:of|for) (?:the |our |my )?"
    rf"(?P<thing>[\w'.-]+(?: [\w'.-]+){{0,4}}?) {_IS} ?(?P<value>.+)"
)
_REACHED = re.compile(r"[Yy]ou can (?:reach|call|text|email|contact) me (?:at|on|under|via) (?P<value>.+)")
_CALLED = re.compile(rf"[Mm]y (?P<kin>{relations.KIN}) is (?:named|called) (?P<value>{relations.NAME})")
_NAMED_KIN = re.compile(rf"[Mm]y (?P<kin>{relations.KIN})'s name is (?P<value>{relations.NAME})")
_WRITTEN_SMALL = re.compile(
    r"i (?:now |currently )?(?:live in|moved to|have moved to) "
    r"(?P<place>(?!an? |the |my |this |that |our |your |his |her |their |its |it\b|there\b|here\b|fear|hope|peace"
    r"|denial|poverty|next|another|more|using|other|new\Z)[a-z]{3,}(?: [a-z]{3,})?)$"
)
_CALL_ME = re.compile(rf"(?:[Pp]lease |[Jj]ust )?[Cc]all me (?P<value>{relations.NAME})$")
_SECRET = re.compile(
    r"\b(?:pass|pin\b|secret|token|key\b|cvv|ssn|credential|social security|credit card)", re.IGNORECASE
)


def _attributes(clause: str, speaking: str, when: _When) -> Iterator[Learned]:
    """Yield what a clause says of somebody's property. Secrets are not learned."""
    if match := _REACHED.match(clause):
        for name in ("email", "phone"):
            yield from _property(speaking, name, match["value"], when)
    elif match := _CALL_ME.match(clause):
        yield from _property(speaking, "nickname", match["value"], when)
    elif match := _CALLED.match(clause) or _NAMED_KIN.match(clause):
        yield from _property(speaking, match["kin"].split()[-1], match["value"], when)
    elif (match := _OWNED.match(clause) or _OF.match(clause)) and not _SECRET.search(match["attr"]):
        yield from _property(_owner(match, speaking), match["attr"], match["value"], when)
    elif match := _WRITTEN_SMALL.match(clause):
        yield _living(speaking, match["place"].title(), confidence=0.6)


def _owner(match: re.Match[str], speaking: str) -> str:
    groups = match.groupdict()
    if groups.get("kin"):
        return f"{speaking}'s {groups['kin'].lower()}"
    if groups.get("my"):
        return speaking
    return groups.get("name") or groups.get("thing") or ""


def _property(owner: str, name: str, value: str, when: _When) -> Iterator[Learned]:
    if not owner or not phrases.is_owner(owner):
        return
    for attribute in relations.ATTRIBUTES:
        named = attribute.name.match(name)
        if named and (match := attribute.value.match(value.strip())):
            yield _owned(attribute, owner, named["n"], match["o"], when)
            if town := relations.TOWN_OF_HOME.match(f"{named['n'].lower()}: {value.strip()}"):
                yield _living(owner, phrases.plain(town["o"]), confidence=0.8)
            return


def _living(owner: str, place: str, *, confidence: float) -> Learned:
    return Learned(
        kind=ItemKind.STATE,
        text=f"{owner} lives in {place}",
        triple=Triple(owner, "lives_in", place),
        confidence=confidence,
        functional=True,
    )


def _owned(attribute: Attribute, owner: str, name: str, value: str, when: _When) -> Learned:
    relation = attribute.relation or _snake(name.replace("favourite", "favorite").replace("-", "_"))
    value = _day(ord(value) - 0xE000, when) if re.fullmatch(DATE, value) else phrases.plain(value)
    if relation == "birthday":
        value = _birthday(value, when)
    return Learned(
        kind=attribute.kind,
        text=f"{owner}'s {relation.removeprefix('has_').replace('_', ' ')} is {value}",
        triple=Triple(owner, relation, value),
        confidence=attribute.confidence,
        functional=attribute.functional,
    )


def _birthday(value: str, when: _When) -> str:
    """Return a birthday without the year that was only supposed."""
    return value if any(re.search(r"\d{4}", text) for text in when.texts) else re.sub(r" \d{4}$", "", value)
