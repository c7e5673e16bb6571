"""Vectors of hashed words: the same everywhere, near where words are common."""

import numpy as np

from memroos_memory.embedders.hashing import HashEncoder


def test_common_words_make_texts_near() -> None:
    dog, dogs, cat = HashEncoder(256).encode(["the big dog barks", "big dogs bark", "a small cat sleeps"])

    assert dog @ dogs > 2 * abs(dog @ cat)


def test_a_text_without_words_has_a_vector_too() -> None:
    rows = HashEncoder(8).encode(["", "...", "word"])

    assert (np.linalg.norm(rows, axis=1) > 0).all()


def test_the_vector_of_a_word_never_changes() -> None:
    (row,) = HashEncoder(8).encode(["word"])

    assert row.tolist() == [0, 0, 1, 0, 0, 0, 0, 0]
