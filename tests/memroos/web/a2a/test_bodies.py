"""Bodies that the SDK could not read are refused before it tries."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memroos.web.a2a import bodies
from memroos.web.a2a.bodies import DEEPEST, find_fault

JSON: Any = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.text()),
    lambda inner: st.one_of(st.lists(inner), st.dictionaries(st.text(), inner)),
    max_leaves=30,
)


def depth_of(value: Any) -> int:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    return 0 if inner is None else 1 + max((depth_of(item) for item in inner), default=0)


@given(JSON)
def test_the_depth_of_any_json_is_told_right(value: Any) -> None:
    body = json.dumps(value, ensure_ascii=False).encode(errors="replace")

    assert bodies._depth(body) == depth_of(value)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", ""),
        (b"{}", ""),
        (b'{"text": "' + b"[" * 500 + b'"}', ""),
        (b"[" * DEEPEST + b"]" * DEEPEST, ""),
        (b"[]," * 500, ""),
        (b"[" * (DEEPEST + 1), "deeper"),
        (b'{"a":' * 200, "deeper"),
        (b'"\xff"', "UTF-8"),
        (b'{"id": "\\ud800"}', "surrogate"),
        (b'["\\uDfff\\ud800"]', "surrogate"),
        (b'["\\ud83d\\ude00", "\\\\ud800"]', ""),
        (b'"\\ud800', ""),
    ],
)
def test_only_what_cannot_be_read_is_refused(body: bytes, words: str) -> None:
    fault = find_fault(body)

    assert (words in fault) if words else fault == ""


@pytest.mark.timeout(20)
def test_a_string_that_never_ends_is_looked_at_once() -> None:
    assert "deeper" in find_fault(b"{" * (DEEPEST + 1) + b'"' + b'\\"' * 500_000)
