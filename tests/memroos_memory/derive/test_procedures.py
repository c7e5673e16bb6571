"""Which texts explain how something is done."""

from datetime import UTC, datetime

import pytest

from memroos_contracts.memory_items import ItemKind
from memroos_memory.derive import learn
from memroos_memory.items import Learned

AT = datetime(2023, 5, 8, tzinfo=UTC)


def procedures(text: str) -> list[Learned]:
    found = learn(text, speaker="Ann", author="", occurred_at=AT)
    return [one for one in found if one.kind is ItemKind.PROCEDURE]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "To deploy the site: first run the tests, then build the image, and finally push it.",
            "To deploy the site: 1. run the tests; 2. build the image; 3. push it",
        ),
        (
            "How to make tea:\n1. Boil water\n2. Add leaves\n3. Wait",
            "To make tea: 1. Boil water; 2. Add leaves; 3. Wait",
        ),
        ("Steps to reset a node:\n- drain it\n- restart it", "To reset a node: 1. drain it; 2. restart it"),
        (
            "In order to release, first tag the commit. Then push the tag.",
            "To release: 1. tag the commit; 2. push the tag",
        ),
        ("Ok. Always run the tests before you push.", "Always run the tests before you push"),
        ("Never push to main on a Friday.", "Never push to main on a Friday"),
    ],
)
def test_a_procedure_is_learned_step_by_step(text: str, expected: str) -> None:
    (one,) = procedures(text)

    assert one.text == expected
    assert not one.functional


@pytest.mark.parametrize(
    "text",
    ["To be honest: I am tired.", "To Anna: thanks!", "Always happy to help!", "Never mind.", "To deploy: ask Bob.",
     "First I ate, then I slept.", "To use this library: you first need to go through the following steps.",
     "To the ledger: first the name, then the number.", "To no longer rush, first rest, then rush."],
)  # fmt: skip
def test_what_has_no_steps_is_no_procedure(text: str) -> None:
    assert procedures(text) == []
