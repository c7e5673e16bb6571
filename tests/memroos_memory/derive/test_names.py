"""Which entities a text names."""

import pytest

from memroos_memory.derive import entities


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("When did Caroline go to the LGBTQ support group?", ["caroline", "lgbtq"]),
        ("I moved to New York City with Anna.", ["new york city", "anna"]),
        ("New York is big", ["new york"]),
        ("Hey Mel! Good to see you! How have you been?", ["mel"]),
        ("Thanks, Caroline! I'm off.", ["caroline"]),
        ("Caroline's sister lives in Berlin", ["caroline", "berlin"]),
        ("The Lord of the Rings is great", ["lord of the rings"]),
        ("He watched \"Little Women\" and 'Home Alone' yesterday", ["little women", "home alone"]),
        ("Did John's wife visit London in May?", ["john", "london"]),
        ("Dr. Smith met Mr. Jones", ["smith", "jones"]),
        ("\u00c9mile Zola wrote it", ["\u00e9mile zola"]),
        # identifiers and addresses
        ("see ABC-123 and #42", ["abc-123", "#42"]),
        ("mail ann@example.org, or @bob, about #release", ["ann@example.org", "@bob", "#release"]),
        ("read https://a.example.org/x/ (soon)", ["https://a.example.org/x"]),
        ("task tsk_01J9Z3ABCD is done", ["tsk_01j9z3abcd"]),
        ("we use GitHub and Python 3.11", ["github", "python"]),
    ],
)
def test_names_are_found_and_written_as_they_are_compared(text: str, expected: list[str]) -> None:
    assert entities(text) == expected


@pytest.mark.parametrize(
    "text",
    ["", "nothing at all", "Painting is fun.", "Yes. Exactly. Wow!", "I think I will.", "On Monday in May 2023",
     "Where is it?", 'She said "I am on my way."'],
)  # fmt: skip
def test_a_capital_at_the_beginning_of_a_sentence_is_no_name(text: str) -> None:
    assert entities(text) == []


def test_a_word_that_is_capitalised_elsewhere_counts_at_the_beginning_too() -> None:
    assert entities("Postgres is slow. We tuned it.") == []
    assert entities("Postgres is slow. We tuned Postgres.") == ["postgres"]


def test_the_same_name_is_named_once_however_it_is_written() -> None:
    assert entities("I saw Anna. She met ANNA and Anna's dog.") == ["anna"]
