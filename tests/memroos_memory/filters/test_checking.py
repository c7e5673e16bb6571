"""What is refused, and what the refusal says."""

import msgspec
import pytest

from memroos_contracts.memory_errors import FilterRefused
from memroos_contracts.memory_filters import (
    FILTER_DEPTH_MAX,
    FILTER_NODES_MAX,
    IDENTITY_FIELDS,
    And,
    Between,
    Contains,
    Eq,
    Exists,
    Filter,
    Gt,
    In,
    Lt,
    Ne,
    Not,
    NotIn,
    Or,
)
from memroos_memory import filters

HERE = Exists("speaker")


def refusal(one: Filter) -> FilterRefused:
    """Return what is said about a filter that cannot be honoured; compiling it says the same."""
    with pytest.raises(FilterRefused) as checked:
        filters.check(one)
    with pytest.raises(FilterRefused) as compiled:
        filters.compile(one)
    assert compiled.value.detail == checked.value.detail
    return checked.value


@pytest.mark.parametrize("field", sorted(IDENTITY_FIELDS))
def test_whose_a_memory_is_cannot_be_asked_for(field: str) -> None:
    refused = refusal(And((HERE, Or((Not(Eq(field, "*")), HERE)))))

    assert refused.facts["field"] == field
    assert "beside the filter" in refused.detail


@pytest.mark.parametrize("field", ["user_id.x", "scope.readers", "owner.id"])
def test_not_even_as_a_part_of_something(field: str) -> None:
    assert "whose a memory is" in refusal(Exists(field)).detail


@pytest.mark.parametrize(
    "field",
    [
        "colour",
        "speaker.name",
        "data",
        "data.",
        "data.a.b",
        "data.a'b",
        'data."',
        "kind\n",
        "data.x\n",
        "",
        "data." + "x" * 65,
    ],
)
def test_an_unknown_field_is_refused_with_those_there_are(field: str) -> None:
    refused = refusal(Exists(field))

    assert refused.facts["field"] == field
    assert "data.<name>" in refused.detail
    assert "occurred_at" in refused.detail


@pytest.mark.parametrize(
    "one",
    [
        Eq("speaker", 1),
        Eq("speaker", True),
        Ne("confidence", "high"),
        Eq("confidence", True),
        Eq("seen_count", "1"),
        Eq("contested", 1),
        Eq("contested", "true"),
        Eq("occurred_at", 1_700_000_000),
        In("speaker", ("Ann", 1)),
        NotIn("echo", (True, 0)),
        Gt("confidence", False),
        Between("seen_count", 1, "2"),
    ],
)
def test_a_value_of_another_type_than_the_field_is_refused(one: Filter) -> None:
    assert "can be compared with" in refusal(one).detail


@pytest.mark.parametrize(
    "one", [Gt("speaker", "A"), Between("kind", "event", "fact"), Lt("contested", True), Gt("tag", "a")]
)
def test_what_has_no_order_is_not_compared_by_it(one: Filter) -> None:
    assert "no less and no greater" in refusal(one).detail


@pytest.mark.parametrize("one", [Gt("data.due", "2026-01-01"), Lt("data.done", True), Between("data.x", 1, "2")])
def test_data_has_an_order_among_numbers_only(one: Filter) -> None:
    assert "than a number only" in refusal(one).detail


@pytest.mark.parametrize("field", ["confidence", "occurred_at", "echo"])
def test_only_text_contains_text(field: str) -> None:
    assert "is not text" in refusal(Contains(field, "x")).detail


@pytest.mark.parametrize(
    "at",
    ["yesterday", "2026-02-30T00:00:00Z", "2026-01-01", "2026-01-01T00:00:00", "2026-01-01T25:00:00Z", "2026", "1e9",
     "Z" * 500],
)  # fmt: skip
def test_a_date_that_is_none_is_refused_with_one_that_is(at: str) -> None:
    for one in (Eq("occurred_at", at), Lt("valid_to", at), In("recorded_at", (at,)), Between("valid_from", at, at)):
        assert "like 2026-01-31T12:00:00Z" in refusal(one).detail


@pytest.mark.parametrize("at", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59.999999-14:00"])
def test_an_instant_at_the_edge_of_time_is_none_the_less_one(at: str) -> None:
    filters.check(Lt("occurred_at", at))

    assert isinstance(filters.compile(Lt("occurred_at", at)).parameters["filter_0"], int)


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("field", ["confidence", "data.x"])
def test_what_is_no_number_is_not_compared(field: str, number: float) -> None:
    for one in (Eq(field, number), Gt(field, number), In(field, (1, number)), Between(field, 0, number)):
        assert "not a number" in refusal(one).detail


@pytest.mark.parametrize("number", [2**63, -(2**63), 10**30, 10**400])
def test_an_integer_of_more_than_64_bits_is_refused(number: int) -> None:
    for one in (Eq("seen_count", number), Gt("data.x", number)):
        assert "64 bits" in refusal(one).detail


def test_empty_text_is_refused_because_it_is_no_value() -> None:
    for one in (Eq("speaker", ""), NotIn("data.x", ("a", "")), Contains("text", "")):
        assert "'exists'" in refusal(one).detail


def test_text_that_no_database_takes_is_refused() -> None:
    for one in (Eq("speaker", "\ud800"), Contains("data.x", "a\udfff")):
        assert "not valid Unicode" in refusal(one).detail


@pytest.mark.parametrize("field", ["kind", "event_kind", "status", "sensitivity"])
def test_a_word_that_a_field_never_holds_is_refused_with_those_it_may(field: str) -> None:
    refused = refusal(In(field, ("rumour",)))

    assert "'rumour'; it is one of " in refused.detail


def test_an_empty_list_is_refused() -> None:
    for one in (And(()), Or(()), In("speaker", ()), NotIn("data.x", ())):
        assert "empty list" in refusal(one).detail


def test_a_filter_of_the_largest_size_is_taken_and_one_more_operator_is_not() -> None:
    filters.check(Or((And((HERE,) * 31), And((HERE,) * 30))))

    assert FILTER_NODES_MAX == 64
    assert "more than 64 operators" in refusal(Or((And((HERE,) * 31), And((HERE,) * 31)))).detail


def test_a_filter_of_the_largest_depth_is_taken_and_a_deeper_one_is_not() -> None:
    one: Filter = HERE
    for _ in range(FILTER_DEPTH_MAX - 1):
        one = Not(one)
    filters.check(one)

    assert "nested deeper than 8" in refusal(Not(one)).detail


def test_a_monstrous_filter_is_refused_before_it_is_followed() -> None:
    one: Filter = HERE
    for _ in range(100_000):
        one = Not(one)
    try:
        assert "nested deeper" in refusal(one).detail
    finally:
        while isinstance(one, Not):  # without this its end would be deep recursion, too
            one = one.of


def test_what_a_caller_writes_as_json_is_what_is_checked() -> None:
    one = msgspec.json.decode(b'{"op": "not", "of": {"op": "eq", "field": "user_id", "value": "*"}}', type=Filter)

    assert refusal(one).facts["field"] == "user_id"
