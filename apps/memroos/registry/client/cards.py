"""Reading agent cards of A2A 1.0 and 0.3 that came from others: what is of use is taken, cleaned and cut to size.

A card is refused where its meaning is in doubt: it is no JSON object, says a thing twice, names a skill by something
that cannot be a name, or offers no way to its agent that can be used from here.
"""

import json
import math
import unicodedata
from collections.abc import Iterable, Iterator
from typing import Any

from a2a.types import AgentCard
from google.protobuf.json_format import MessageToDict, ParseDict, ParseError

from memroos.registry.errors import CardRefused
from memroos.registry.rules import Interface, Reading
from memroos_contracts.errors import MemroosError
from memroos_contracts.registry import AgentSkill
from memroos_kit.outbound import Guard

LARGEST_CARD = 262_144
MOST_SKILLS = 100
MOST_INTERFACES = 32
DEEPEST = 64
BINDINGS = ("JSONRPC", "HTTP+JSON", "GRPC")
_HIDDEN = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
"""Categories of characters that are not seen, or change how their neighbours are seen."""


def parse(body: bytes) -> dict[str, Any]:
    """Return a card as its owner wrote it.

    Raises:
        CardRefused: it is no JSON object, too large, too deep, or says a thing twice.
    """
    if len(body) > LARGEST_CARD:
        raise CardRefused(f"The card is larger than {LARGEST_CARD // 1024} KiB.")
    try:
        card = json.loads(
            body.decode("utf-8"), object_pairs_hook=_distinct, parse_constant=_number, parse_float=_number,
            parse_int=_whole_number,
        )  # fmt: skip
        json.dumps(card, ensure_ascii=False).encode()
    except UnicodeError as error:  # an escape may stand for half a character, which is no text either
        raise CardRefused("The card is not UTF-8.") from error
    except (ValueError, RecursionError) as error:
        reason = str(error) if isinstance(error, _Ambiguous) else "it is not JSON"
        raise CardRefused(f"The card cannot be read: {reason}.") from error
    if not isinstance(card, dict):
        raise CardRefused("The card is not a JSON object.")
    if _depth(card) > DEEPEST:
        raise CardRefused(f"The card is nested deeper than {DEEPEST} levels.")
    return card


def as_current(card: dict[str, Any]) -> AgentCard | None:
    """Return a card as one of A2A 1.0; None where it is an older one.

    Raises:
        CardRefused: it claims to be one and is not.
    """
    if "supportedInterfaces" not in card and "supported_interfaces" not in card:
        return None
    try:
        return ParseDict(card, AgentCard(), ignore_unknown_fields=True, max_recursion_depth=DEEPEST + 36)
    except (ParseError, ValueError, TypeError, AttributeError) as error:
        raise CardRefused(f"The card does not fit A2A 1.0: {clean(str(error), 200)}") from error


def read(card: dict[str, Any], current: AgentCard | None, guard: Guard) -> Reading:
    """Return what is of use in a card.

    Raises:
        CardRefused: something that has to be there is not, or cannot be taken as it is.
    """
    # What a signature covers is what is read: of a card of 1.0 its fields, not the text around them.
    told: dict[str, Any] = MessageToDict(current) if current is not None else card
    interfaces = _interfaces_of_current(told) if current is not None else _interfaces_of_older(told)
    return Reading(
        title=clean(told.get("name"), 200),
        description=clean(told.get("description"), 4000, lines=True),
        version=clean(told.get("version"), 64),
        skills=_skills(told),
        interface=_preferred(list(interfaces), guard),
    )


def clean(text: Any, longest: int, *, lines: bool = False) -> str:
    """Return a text without characters that hide something or turn others around, cut to size."""
    if not isinstance(text, str):
        return ""
    kept = (c for c in text[: longest * 4] if (lines and c == "\n") or unicodedata.category(c) not in _HIDDEN)
    return "".join(kept)[:longest].strip()


# -- interfaces -------------------------------------------------------------------------------------------------------


def _interfaces_of_current(card: dict[str, Any]) -> Iterator[Interface | str]:
    """Yield the interfaces in the agent's order, or what is wrong with one."""
    for one in _dicts(card.get("supportedInterfaces"))[:MOST_INTERFACES]:
        yield _interface(
            one.get("url"), one.get("protocolBinding"), one.get("protocolVersion", "1.0"), one.get("tenant", "")
        )


def _interfaces_of_older(card: dict[str, Any]) -> Iterator[Interface | str]:
    version = card.get("protocolVersion", "0.3")
    yield _interface(card.get("url"), card.get("preferredTransport", "JSONRPC"), version, "")
    for one in _dicts(card.get("additionalInterfaces"))[:MOST_INTERFACES]:
        yield _interface(one.get("url"), one.get("transport"), version, "")


def _interface(url: Any, binding: Any, version: Any, tenant: Any) -> Interface | str:
    if not all(isinstance(part, str) for part in (url, binding, version, tenant)) or not url:
        return "one has no address"
    if binding not in BINDINGS:
        return f"{clean(binding, 40)} is not spoken here"
    spoken = _spoken(version)
    if spoken is None:
        return f"A2A {clean(version, 16)} is not spoken here"
    if len(url) > 2000 or clean(tenant, 200) != tenant:
        return "an address or a tenant is too long or cannot be read"
    return Interface(url, binding, spoken, tenant)


def _spoken(version: str) -> Any:
    """Return the version that is spoken with an agent of this one; patches do not count, nor do minors after 1.0."""
    major, _, rest = version.partition(".")
    if major == "1":
        return "1.0"
    return "0.3" if major == "0" and rest.split(".")[0] == "3" else None


def _preferred(interfaces: list[Interface | str], guard: Guard) -> Interface:
    """Return the first interface that can be used and may be connected to.

    Raises:
        CardRefused: there is none; the sentence says what is wrong with each.
    """
    troubles = []
    for one in interfaces:
        if isinstance(one, Interface):
            try:
                guard.check(one.url if "://" in one.url or one.binding != "GRPC" else f"http://{one.url}")
            except MemroosError as error:
                troubles.append(error.detail)
            else:
                return one
        else:
            troubles.append(one)
    reasons = "; ".join(dict.fromkeys(troubles[:4])) or "it names none"
    raise CardRefused(f"The card offers no interface that can be used from here: {reasons}.")


# -- skills -----------------------------------------------------------------------------------------------------------


def _skills(card: dict[str, Any]) -> tuple[AgentSkill, ...]:
    listed = _dicts(card.get("skills"))
    if len(listed) > MOST_SKILLS:
        raise CardRefused(f"The card lists {len(listed)} skills; at most {MOST_SKILLS} are taken.")
    modes = _media_types(card.get("defaultInputModes")), _media_types(card.get("defaultOutputModes"))
    skills: dict[str, AgentSkill] = {}
    for one in listed:
        skill = _skill(one, *modes)
        if skills.setdefault(skill.id, skill) is not skill:
            raise CardRefused(f"The card has two skills with the id {skill.id}.")
    return tuple(skills.values())


def _skill(one: dict[str, Any], input_modes: tuple[str, ...], output_modes: tuple[str, ...]) -> AgentSkill:
    skill_id = one.get("id")
    if not isinstance(skill_id, str) or not 0 < len(skill_id) <= 64 or clean(skill_id, 64) != skill_id:
        raise CardRefused("A skill's id is 1 to 64 visible characters; one in the card is not.")
    return AgentSkill(
        id=skill_id,
        name=clean(one.get("name"), 128) or skill_id,
        description=clean(one.get("description"), 4000, lines=True),
        tags=_texts(one.get("tags"), 64, most=32),
        examples=_texts(one.get("examples"), 2000, most=16, lines=True),
        input_modes=_media_types(one.get("inputModes")) or input_modes,
        output_modes=_media_types(one.get("outputModes")) or output_modes,
    )


def _texts(listed: Any, longest: int, *, most: int, lines: bool = False) -> tuple[str, ...]:
    if not isinstance(listed, list):
        return ()
    cleaned = (clean(one, longest, lines=lines) for one in listed[: most * 2])
    return tuple(dict.fromkeys(one for one in cleaned if one))[:most]


def _media_types(listed: Any) -> tuple[str, ...]:
    return tuple(one for one in _texts(listed, 127, most=16) if len(one) >= 3)


def _dicts(listed: Any) -> list[dict[str, Any]]:
    return [one for one in listed if isinstance(one, dict)] if isinstance(listed, list) else []


# -- JSON -------------------------------------------------------------------------------------------------------------


class _Ambiguous(ValueError):
    """A JSON text that two readers could take for two things."""


def _distinct(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    listed = list(pairs)
    found = dict(listed)
    if len(found) != len(listed):
        raise _Ambiguous("a field is there twice")
    return found


def _number(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise _Ambiguous("it holds a number that is none, or too large")
    return number


def _whole_number(text: str) -> int:
    _number(text)
    return int(text)


def _depth(value: Any) -> int:
    """Return how deep a JSON value is nested; without recursion, which a hostile one could exhaust."""
    deepest, waiting = 0, [(value, 1)]
    while waiting:
        one, depth = waiting.pop()
        deepest = max(deepest, depth)
        if depth > DEEPEST:
            break
        inner = list(one.values()) if isinstance(one, dict) else one
        if isinstance(inner, list):
            waiting.extend((item, depth + 1) for item in inner)
    return deepest
