"""What a question is about."""

import pytest

from memroos_memory.derive import asks_before


@pytest.mark.parametrize(
    "question",
    ["Where did I live before?", "What was my previous address?", "Who used to be my boss?", "my old phone number",
     "What was her former job?", "Where did Anna live before Munich?", "What was it originally?",
     "Where do I no longer work?", "What did I do earlier?", "Where had she lived before she moved?"],
)  # fmt: skip
def test_a_question_about_what_was_is_known_by_its_words(question: str) -> None:
    assert asks_before(question)


@pytest.mark.parametrize(
    "question",
    ["Where do I live?", "How old is Anna?", "What happened before 8 May?", "Is she 5 years old?",
     "Who won before May 2023?", "What is my address?", "", "Is he old enough?", "What are my plans?"],
)  # fmt: skip
def test_a_question_about_what_is_or_about_a_date_is_not_about_what_was(question: str) -> None:
    assert not asks_before(question)
