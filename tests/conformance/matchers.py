"""What a suite says about a body, compared with the body.

A mapping holds operators (`type`, `one_of`, `count_gte`, ...), which are about the value itself, and anything else,
which is about its members. A list is compared place by place, a scalar is compared as it is.
"""

import re
from collections.abc import Callable, Iterator
from typing import Any


class _Missing:
    def __repr__(self) -> str:
        return "nothing"


MISSING = _Missing()
"""What stands where a body has no such member."""

_TYPES: dict[str, Callable[[Any], bool]] = {
    "string": lambda value: isinstance(value, str),
    "number": lambda value: isinstance(value, int | float) and not isinstance(value, bool),
    "boolean": lambda value: isinstance(value, bool),
    "array": lambda value: isinstance(value, list),
    "object": lambda value: isinstance(value, dict),
    "null": lambda value: value is None,
}


def mismatches(expected: Any, actual: Any, where: str = "body") -> list[str]:
    """Return one sentence for each thing that is not as expected; none when all is well."""
    if isinstance(expected, dict):
        return [found for key, value in expected.items() for found in _of_key(key, value, actual, where)]
    if isinstance(expected, list):
        return _of_places(expected, actual, where)
    same = type(expected) is type(actual) or not isinstance(expected, bool)
    return [] if same and expected == actual else [f"{where} is {actual!r}, not {expected!r}"]


def matches(expected: Any, actual: Any) -> bool:
    """Return whether nothing differs."""
    return not mismatches(expected, actual)


def values_at(path: str, body: Any) -> list[Any]:
    """Return what a path such as `task.artifacts[*].parts[0]` leads to: each value there is."""
    found = [body]
    for name, place in re.findall(r"([^.\[\]]+)|\[(\*|\d+)\]", path):
        found = [value for here in found for value in _step(here, name, place)]
    return found


def _step(here: Any, name: str, place: str) -> list[Any]:
    if name:
        return [here[name]] if isinstance(here, dict) and name in here else []
    if not isinstance(here, list):
        return []
    return here if place == "*" else here[int(place) : int(place) + 1]


def _of_key(key: str, expected: Any, actual: Any, where: str) -> Iterator[str]:
    operator = _OPERATORS.get(key)
    if operator is not None and not (key == "type" and not isinstance(expected, str)):
        if (found := operator(expected, actual, where)) is not None:
            yield found
        return
    member = actual.get(key, MISSING) if isinstance(actual, dict) else MISSING
    yield from mismatches(expected, member, f"{where}.{key}")


def _of_places(expected: list[Any], actual: Any, where: str) -> list[str]:
    if not isinstance(actual, list) or len(actual) < len(expected):
        return [f"{where} is {actual!r}, not a list of at least {len(expected)}"]
    return [m for place, one in enumerate(expected) for m in mismatches(one, actual[place], f"{where}[{place}]")]


def _type(name: str, actual: Any, where: str) -> str | None:
    return None if _TYPES[name](actual) else f"{where} is {actual!r}, not of type {name}"


def _absent(wanted: bool, actual: Any, where: str) -> str | None:
    return None if (actual is MISSING) is wanted else f"{where} is {actual!r}, absent should be {wanted}"


def _exists(wanted: bool, actual: Any, where: str) -> str | None:
    there = actual is not MISSING and actual is not None
    return None if there is wanted else f"{where} is {actual!r}, exists should be {wanted}"


def _one_of(choices: list[Any], actual: Any, where: str) -> str | None:
    return None if any(matches(one, actual) for one in choices) else f"{where} is {actual!r}, none of {choices!r}"


def _all_of(conditions: list[Any], actual: Any, where: str) -> str | None:
    return "; ".join(m for one in conditions for m in mismatches(one, actual, where)) or None


def _count(fits: Callable[[int, int], bool], name: str) -> Callable[[int, Any, str], str | None]:
    def compare(wanted: int, actual: Any, where: str) -> str | None:
        if isinstance(actual, list) and fits(len(actual), wanted):
            return None
        return f"{where} is {actual!r}, {name} should be {wanted}"

    return compare


def _text(fits: Callable[[str, str], bool], name: str) -> Callable[[str, Any, str], str | None]:
    def compare(wanted: str, actual: Any, where: str) -> str | None:
        return None if isinstance(actual, str) and fits(actual, wanted) else f"{where} is {actual!r}, {name} {wanted!r}"

    return compare


def _items(expected: Any, actual: Any, where: str) -> str | None:
    """A mapping is about each member, a list about the first ones."""
    if isinstance(expected, list):
        return "; ".join(_of_places(expected, actual, where)) or None
    if not isinstance(actual, list):
        return f"{where} is {actual!r}, not a list"
    found = [m for place, one in enumerate(actual) for m in mismatches(expected, one, f"{where}[{place}]")]
    return "; ".join(found) or None


_OPERATORS: dict[str, Callable[[Any, Any, str], str | None]] = {
    "type": _type,
    "absent": _absent,
    "exists": _exists,
    "one_of": _one_of,
    "any_of": _one_of,
    "all_of": _all_of,
    "count": _count(lambda has, wanted: has == wanted, "count"),
    "count_gte": _count(lambda has, wanted: has >= wanted, "count_gte"),
    "count_lte": _count(lambda has, wanted: has <= wanted, "count_lte"),
    "matches": _text(lambda has, wanted: re.search(wanted, has) is not None, "should match"),
    "contains": _text(lambda has, wanted: wanted in has, "should contain"),
    "starts_with": _text(lambda has, wanted: has.startswith(wanted), "should start with"),
    "items": _items,
}
