"""An event has one text form, the one of RFC 8785, whatever is in it."""

from enum import StrEnum
from typing import Any

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from memroos.audit.rules.body import (
    LARGEST_INT,
    LONGEST_TEXT,
    Body,
    actor_part,
    asset_part,
    check_facts,
    decision_event_id,
    decode,
    digest,
    encode,
)
from memroos_contracts.audit import AuditKind
from memroos_contracts.governance import Asset, Label, Sensitivity
from memroos_contracts.identity import Actor, AgentId, Role

text = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
ascii_names = st.text(st.characters(max_codepoint=127), max_size=10)
facts = st.dictionaries(
    ascii_names, text | st.integers(-LARGEST_INT, LARGEST_INT) | st.booleans() | st.none() | st.lists(text, max_size=3)
)
ESCAPES = "".join(map(chr, range(0x20))) + '"\\/\x7f\x80\xa0\u2028\u2029\ufeff\U0001f600ü'


def body(**changes: Any) -> Body:
    values: dict[str, Any] = {
        "action": "task.created",
        "actor": actor_part(Actor(Role.AGENT, "agt_1", agent=AgentId("agt_1"), on_behalf_of=("operator:key_1",))),
        "asset": asset_part(Asset("task", "task_1", label=Label(Sensitivity.RESTRICTED, frozenset({"pii", "a"})))),
        "at": 1_767_268_800_000_000,
        "decision": "dec_1",
        "facts": {},
        "id": "aud_1",
        "kind": AuditKind.OUTCOME,
        "outcome": "ok",
        "v": 1,
        "workspace": "default",
    }
    return Body(**{**values, **changes})


def as_dict(event: Body) -> dict[str, Any]:
    return {name: to_builtin(getattr(event, name)) for name in event.__struct_fields__}


def to_builtin(value: Any) -> Any:
    if hasattr(value, "__struct_fields__"):
        return as_dict(value)
    if isinstance(value, tuple):
        return list(value)
    return str(value) if isinstance(value, StrEnum) else value


@given(facts, text, text)
def test_the_form_is_that_of_rfc_8785(facts: dict[str, Any], action: str, subject: str) -> None:
    event = body(facts=facts, action=action, asset=asset_part(Asset("task", subject)))

    assert encode(event) == rfc8785.dumps(as_dict(event))


@pytest.mark.parametrize("character", ESCAPES)
def test_every_escape_is_that_of_rfc_8785(character: str) -> None:
    event = body(facts={"text": character}, action=character)

    assert encode(event) == rfc8785.dumps(as_dict(event))


@given(facts)
def test_a_body_is_read_back_as_it_was_written(facts: dict[str, Any]) -> None:
    event = body(facts=facts)

    assert decode(encode(event)) == event


def test_tags_have_one_order() -> None:
    assert body().asset.tags == ["a", "pii"]


class Colour(StrEnum):
    RED = "red"


@pytest.mark.parametrize(
    "value",
    ["text", "x" * LONGEST_TEXT, 0, -1, LARGEST_INT, -LARGEST_INT, True, None, [], ["a", "b"], Colour.RED],
)
def test_facts_with_one_text_form_are_taken(value: object) -> None:
    check_facts({"fact": value})


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (1.5, "is a float"),
        (float("nan"), "is a float"),
        (b"bytes", "is a bytes"),
        ({"nested": 1}, "is a dict"),
        (("a",), "is a tuple"),
        (LARGEST_INT + 1, "beyond 2"),
        (-LARGEST_INT - 1, "beyond 2"),
        ("x" * (LONGEST_TEXT + 1), "too long"),
        (["x" * (LONGEST_TEXT + 1)], "too long"),
        ([1], "list of something else"),
        (["a", 1.5], "list of something else"),
    ],
)
def test_facts_without_one_are_refused(value: object, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        check_facts({"fact": value})


def test_a_fact_is_named_in_ascii() -> None:
    with pytest.raises(ValueError, match="not named in ASCII"):
        check_facts({"größe": 1})


def test_the_event_of_a_decision_is_named_after_it() -> None:
    assert decision_event_id("dec_01KDWPVNG0841ZWZBNQ44F3780") == "aud_01KDWPVNG0841ZWZBNQ44F3780"


def test_a_digest_says_its_algorithm() -> None:
    empty = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

    assert digest("") == digest(b"") == empty
    assert digest("ü") == digest("ü".encode()) != empty
