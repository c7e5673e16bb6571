"""What each operator means, in SQL and in the reference alike."""

from collections.abc import Iterator
from typing import Any

import pytest
from tests.memroos_memory.filters.wanted import HOSTILE, Table, make_row, views

from memroos_contracts.governance import Label, Sensitivity
from memroos_contracts.memory_filters import (
    And,
    Between,
    Contains,
    Eq,
    Exists,
    Filter,
    Gt,
    Gte,
    In,
    Lt,
    Lte,
    Ne,
    Not,
    NotIn,
    Or,
)
from memroos_memory import filters


@pytest.fixture(scope="module")
def table() -> Iterator[Table]:
    """The table in which SQL looks."""
    made = Table()
    yield made
    made.close()


def lets_through(table: Table, one: Filter, **item: Any) -> bool:
    """Whether an item passes, as SQL and the reference both say."""
    row = make_row(**item)
    table.hold([row])
    found = bool(table.find(one))
    assert filters.matches(one, views([row])[1]) is found
    return found


@pytest.mark.parametrize(
    ("one", "value", "expected"),
    [
        (Eq("data.x", 1), 1, True),
        (Eq("data.x", 1), 1.0, True),
        (Eq("data.x", 1), True, False),
        (Eq("data.x", True), 1, False),
        (Eq("data.x", False), 0, False),
        (Eq("data.x", True), True, True),
        (Eq("data.x", False), False, True),
        (Eq("data.x", "1"), 1, False),
        (Eq("data.x", "true"), True, False),
        (Ne("data.x", True), 1, True),
        (Ne("data.x", 1), "1", True),
        (Ne("data.x", 1), None, False),
        (Not(Eq("data.x", 1)), None, True),
        (In("data.x", (True, "a", 2)), True, True),
        (In("data.x", (True, "a", 2)), 2.0, True),
        (In("data.x", (True, "a", 2)), 1, False),
        (NotIn("data.x", (True, "a", 2)), 1, True),
        (NotIn("data.x", (True, "a", 2)), ["a"], True),
        (NotIn("data.x", (True, "a", 2)), None, False),
        (Eq("data.x", 0), -0.0, True),
        (Eq("data.x", 0.1 + 0.2), 0.1 + 0.2, True),
        (Eq("data.x", 0.3), 0.1 + 0.2, False),
        (Eq("data.x", 2**53), 2**53 + 1, False),
        (Eq("data.x", float(2**53)), 2**53 + 1, False),
        (Gt("data.x", 2**63 - 1), 2**64, True),
        (Gt("data.x", 1e300), 10**400, True),
        (Lt("data.x", -1e300), -(10**400), True),
        (Gt("data.x", 0), "1", False),
        (Gt("data.x", 0), True, False),
        (Between("data.x", 1, 2), 1, True),
        (Between("data.x", 1, 2), 2.0, True),
        (Between("data.x", 2, 1), 2, False),
        (Contains("data.x", "b"), "aBc", True),
        (Contains("data.x", "1"), 10, False),
        (Contains("data.x", "a"), ["a"], False),
        (Eq("data.x", "a"), ["a"], False),
        (Exists("data.x"), [], False),
        (Exists("data.x"), {}, False),
        (Exists("data.x"), "", False),
        (Exists("data.x"), "[]", True),
        (Exists("data.x"), [0], True),
        (Exists("data.x"), False, True),
        (Exists("data.x"), 0, True),
        (Exists("data.x", value=False), None, True),
    ],
)
def test_data_is_compared_as_what_it_is(table: Table, one: Filter, value: Any, expected: bool) -> None:
    assert lets_through(table, one, data={"x": value}) is expected


@pytest.mark.parametrize("data", [None, {}, {"y": 1}, {"X": 1}])
def test_data_that_is_not_there_equals_nothing_and_differs_from_nothing(table: Table, data: Any) -> None:
    assert not lets_through(table, Or((Eq("data.x", 1), Ne("data.x", 1), Gt("data.x", 0), Exists("data.x"))), data=data)
    assert lets_through(table, And((Not(Eq("data.x", 1)), Exists("data.x", value=False))), data=data)


def test_text_that_is_empty_is_no_value(table: Table) -> None:
    assert not lets_through(table, Or((Exists("speaker"), Ne("speaker", "Ann"), NotIn("speaker", ("Ann",)))))
    assert lets_through(table, Not(Eq("speaker", "Ann")))
    assert lets_through(table, Ne("speaker", "Ann"), speaker="Bob")


@pytest.mark.parametrize(("text", "expected"), [("ANN went", True), ("anna", True), ("Änn", False), ("AN N", False)])
def test_contains_takes_ascii_letters_in_either_case(table: Table, text: str, expected: bool) -> None:
    assert lets_through(table, Contains("text", "aNn"), text=text) is expected


def test_contains_leaves_other_letters_as_they_are(table: Table) -> None:
    assert lets_through(table, Contains("text", "Ä"), text="Änn")
    assert not lets_through(table, Contains("text", "ä"), text="Änn")


@pytest.mark.parametrize("at", ["2026-01-01T12:00:00Z", "2026-01-01T13:00:00+01:00", "2025-12-31T22:00:00-14:00"])
def test_an_instant_is_the_same_in_every_offset(table: Table, at: str) -> None:
    assert lets_through(table, And((Eq("occurred_at", at), Gte("occurred_at", at), Lte("occurred_at", at))))
    assert not lets_through(table, Or((Ne("occurred_at", at), Gt("occurred_at", at), Lt("occurred_at", at))))


def test_instants_are_compared_to_the_microsecond(table: Table) -> None:
    assert lets_through(table, Gt("occurred_at", "2026-01-01T11:59:59.999999Z"))
    assert lets_through(table, Lt("occurred_at", "2026-01-01T12:00:00.000001Z"))


def test_what_has_no_end_is_neither_before_nor_after(table: Table) -> None:
    at = "2026-01-01T00:00:00Z"
    assert not lets_through(
        table, Or((Lt("valid_to", at), Gte("valid_to", at), Ne("valid_to", at), Exists("valid_to")))
    )
    assert lets_through(table, Not(Lt("valid_to", at)))


def test_one_of_several_tags_is_enough(table: Table) -> None:
    label = Label(Sensitivity.CONFIDENTIAL, frozenset(("pii", "Draft")))
    assert lets_through(
        table,
        And((Eq("tag", "pii"), In("tag", ("x", "Draft")), Contains("tag", "dRA"), Exists("tag"), Ne("tag", "x"))),
        label=label,
    )
    assert not lets_through(table, Or((Ne("tag", "pii"), NotIn("tag", ("x", "pii")), Eq("tag", "draft"))), label=label)


def test_without_tags_nothing_equals_or_differs(table: Table) -> None:
    assert not lets_through(table, Or((Eq("tag", "a"), Ne("tag", "a"), NotIn("tag", ("a",)), Exists("tag"))))
    assert lets_through(table, Exists("tag", value=False))


def test_sensitivity_is_the_labels(table: Table) -> None:
    assert lets_through(table, Eq("sensitivity", "restricted"), label=Label(Sensitivity.RESTRICTED))
    assert lets_through(table, Eq("sensitivity", "internal"))


def test_a_flag_is_true_or_false(table: Table) -> None:
    assert lets_through(table, And((Eq("contested", True), Ne("echo", True))), contested=True)
    assert not lets_through(table, Or((Eq("contested", False), In("echo", (True,)))), contested=True)


@pytest.mark.parametrize("hostile", HOSTILE)
def test_hostile_text_does_nothing_but_compare(table: Table, hostile: str) -> None:
    for field in ("speaker", "data.x"):
        assert lets_through(table, Eq(field, hostile), **_with(field, hostile))
        assert lets_through(table, Contains(field, hostile), **_with(field, f"a{hostile}b"))
        assert not lets_through(table, Or((Eq(field, hostile), Contains(field, hostile))), **_with(field, "Ordinary"))
        assert not lets_through(table, In(field, (hostile, hostile)), **_with(field, "Ordinary"))


def test_values_stand_in_parameters_and_never_in_the_statement() -> None:
    marked = "m4rk'ed\""
    one = And((Eq("speaker", marked), Contains("data.m4rk", marked), NotIn("tag", (marked, "x")), Exists("data.m4rk")))

    compiled = filters.compile(one)

    assert "m4rk" not in compiled.sql
    assert marked in compiled.parameters.values()


def test_an_expression_stands_for_itself_whatever_is_beside_it(table: Table) -> None:
    compiled = filters.compile(Or((Exists("text"), Exists("speaker"))))

    assert compiled.sql.startswith("(")
    assert compiled.sql.endswith(")")


def test_the_largest_filter_fits_into_a_statement(table: Table) -> None:
    values = tuple(f"v{number}" for number in range(100))
    leaves = tuple(In("data.x", values) for _ in range(31))

    assert not lets_through(table, Or((Or(leaves), And(leaves[:30]))), data={"x": "w"})
    assert lets_through(table, Or((Or(leaves), And(leaves[:30]))), data={"x": "v99"})


def _with(field: str, value: str) -> dict[str, Any]:
    return {"data": {"x": value}} if field == "data.x" else {field: value}
