import asyncio

import numpy as np
import pytest
from tests.memroos_memory.recall.conftest import Asked
from tests.memroos_memory.recall.corpora import MEMORIES, RELATED, UNRELATED

from memroos_memory.embedders import QueuedEmbedder
from memroos_memory.recall import floor

Vectors = dict[str, tuple[float, ...]]


@pytest.fixture(scope="module")
def vectors(model: QueuedEmbedder) -> Vectors:
    """The questions' vectors, made once."""
    questions = [*UNRELATED, *(question for asked in RELATED.values() for question in asked)]
    made = asyncio.run(model.embed(questions))
    return {question: tuple(vector.tolist()) for question, vector in zip(questions, made, strict=True)}


def test_the_questions_are_as_many_as_is_said() -> None:
    assert len(set(UNRELATED)) == 50
    assert sum(len(questions) for questions in RELATED.values()) == 50


@pytest.mark.parametrize("subject", [*MEMORIES])
def test_a_question_about_something_else_finds_nothing_and_one_about_it_does(
    memory: Asked, vectors: Vectors, subject: str
) -> None:
    memory.hear(MEMORIES[subject])

    answered = [question for question in UNRELATED if memory.ids(question, vector=vectors[question])]
    silent = [question for question in RELATED[subject] if not memory.ids(question, vector=vectors[question])]

    assert answered == []
    assert silent == []


def test_three_memories_together_answer_no_more(memory: Asked, vectors: Vectors) -> None:
    for subject, turns in MEMORIES.items():
        memory.hear(turns, stream=subject)

    assert [question for question in UNRELATED if memory.ids(question, vector=vectors[question])] == []
    silent = [
        question
        for asked in RELATED.values()
        for question in asked
        if not memory.ids(question, vector=vectors[question])
    ]
    assert len(silent) <= 2, silent


def test_without_a_floor_the_best_is_given_whatever_it_is(memory: Asked) -> None:
    memory.hear(MEMORIES["garden"])

    assert memory.ids(UNRELATED[0]) == []
    assert len(memory.ids(UNRELATED[0], floor=False)) == 10


def test_the_best_of_many_has_to_be_nearer_than_the_best_of_few() -> None:
    assert floor.threshold(16) < floor.threshold(1_000) <= floor.threshold(10**9) == floor.HIGHEST


def test_without_vectors_a_part_of_the_words_is_enough() -> None:
    assert floor.passed(None, np.array([0.5], np.float32), 100)
    assert not floor.passed(None, np.array([0.3], np.float32), 100)
    assert not floor.passed(None, np.zeros(0, np.float32), 100)
