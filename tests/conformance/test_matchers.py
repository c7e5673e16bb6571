"""Each matcher says yes to the right body and no to a wrong one."""

from typing import Any

import pytest
from tests.conformance.matchers import MISSING, matches, mismatches, values_at

CASES: list[tuple[Any, Any, Any]] = [
    ({"type": "string"}, "", 1),
    ({"type": "number"}, 1.5, True),
    ({"type": "number"}, 0, "0"),
    ({"type": "boolean"}, False, 0),
    ({"type": "array"}, [], {}),
    ({"type": "object"}, {}, []),
    ({"type": "null"}, None, MISSING),
    ({"absent": True}, MISSING, None),
    ({"absent": False}, None, MISSING),
    ({"exists": True}, "", MISSING),
    ({"exists": True}, 0, None),
    ({"one_of": ["a", "b"]}, "b", "c"),
    ({"any_of": [{"absent": True}, {"type": "array", "count": 0}]}, [], [1]),
    ({"any_of": [{"absent": True}, {"type": "array", "count": 0}]}, MISSING, None),
    ({"all_of": [{"type": "string"}, {"contains": "x"}]}, "axb", "ab"),
    ({"count": 1}, [1], [1, 2]),
    ({"count_gte": 2}, [1, 2], [1]),
    ({"count_gte": 0}, [], MISSING),
    ({"count_lte": 2}, [1, 2], [1, 2, 3]),
    ({"matches": "^a.c$"}, "abc", "abcd"),
    ({"contains": "b"}, "abc", ["b"]),
    ({"starts_with": "1."}, "1.0", "0.1."),
    ({"items": {"id": {"exists": True}}}, [{"id": 1}, {"id": 2}], [{"id": 1}, {}]),
    ({"items": {"id": {"exists": True}}}, [], MISSING),
    ({"items": [{"id": "a"}]}, [{"id": "a"}, {}], [{}, {"id": "a"}]),
    ({"items": [{"id": "a"}]}, [{"id": "a"}], []),
    ({"task": {"status": {"state": "DONE"}}}, {"task": {"status": {"state": "DONE"}}}, {"task": {"status": {}}}),
    ({"type": {"type": "string"}}, {"type": "a/b"}, {"type": 1}),
    ({"type": {"type": "string"}}, {"type": "a/b"}, "a/b"),
    ({"a": 1, "b": 2}, {"a": 1, "b": 2, "c": 3}, {"a": 1, "b": 3}),
    (["a"], ["a", "b"], ["b", "a"]),
    (True, True, 1),
    (1, 1, "1"),
    ("1", "1", 1),
    (-32001, -32001, -32002),
]


@pytest.mark.parametrize(("expected", "right", "wrong"), CASES)
def test_a_matcher_takes_the_right_body_and_no_wrong_one(expected: Any, right: Any, wrong: Any) -> None:
    assert mismatches(expected, right) == []
    assert mismatches(expected, wrong) != []


def test_a_mismatch_says_where_it_is() -> None:
    (found,) = mismatches({"task": {"parts": {"items": {"text": "a"}}}}, {"task": {"parts": [{"text": "b"}]}})
    assert found == "body.task.parts[0].text is 'b', not 'a'"


def test_a_path_leads_to_every_value_there_is() -> None:
    body = {"a": [{"b": [1, 2]}, {"b": [3]}, {"c": 4}]}
    assert values_at("a[*].b[*]", body) == [1, 2, 3]
    assert values_at("a[1].b[0]", body) == [3]
    assert values_at("a[9].b", body) == values_at("a.b", body) == values_at("x", body) == []
    assert matches({"a": {"count": 3}}, body)
