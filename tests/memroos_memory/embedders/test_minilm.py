"""The embedded model gives the published vectors, whatever stands beside a text."""

import os
import subprocess
import sys
from collections.abc import Iterator

import numpy as np
import pytest

from memroos_memory.embedders import QueuedEmbedder, create_embedder, text_of
from memroos_memory.embedders.minilm import MiniLmEncoder
from memroos_memory.settings import MemorySettings

# The first numbers of the two example sentences on the model's card.
PUBLISHED = {
    "This is an example sentence": (6.7657e-02, 6.3496e-02, 4.8713e-02, 7.9305e-02, 3.7448e-02),
    "Each sentence is converted": (8.6439e-02, 1.0276e-01, 5.3946e-03, 2.0444e-03, -9.9633e-03),
}
TEXTS = ["", "a", "Ann: I moved to Lisbon.", "words " * 60, "東京に住んでいます", "one\ntwo\0three", *PUBLISHED]


@pytest.fixture(scope="module")
def encoder() -> MiniLmEncoder:
    """The model, loaded once."""
    return MiniLmEncoder()


def test_the_vectors_are_the_published_ones(encoder: MiniLmEncoder) -> None:
    rows = encoder.encode(list(PUBLISHED))

    assert np.allclose(rows[:, :5], list(PUBLISHED.values()), atol=2e-6)


def test_order_and_company_do_not_change_a_vector(encoder: MiniLmEncoder) -> None:
    together = encoder.encode(TEXTS)
    backwards = encoder.encode(TEXTS[::-1])[::-1]
    alone = np.concatenate([encoder.encode([text]) for text in TEXTS])

    assert np.abs(together - alone).max() < 1e-5
    assert np.abs(together - backwards).max() < 1e-5


def test_vectors_have_length_one_and_the_declared_dimension(encoder: MiniLmEncoder) -> None:
    rows = encoder.encode(TEXTS)

    assert rows.shape == (len(TEXTS), encoder.dimension)
    assert rows.dtype == np.float32
    assert np.allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-6)


def test_what_comes_after_256_tokens_does_not_count(encoder: MiniLmEncoder) -> None:
    long, longer = encoder.encode(["dog " * 300, "dog " * 300 + "cat " * 300])

    assert np.abs(long - longer).max() < 1e-6


def test_similar_meanings_are_nearer_than_similar_letters(encoder: MiniLmEncoder) -> None:
    question, near, far = encoder.encode(["Where does she live?", "Her home is in Lisbon.", "Where does he lie?"])

    assert question @ near > 0.2
    assert near @ question > near @ far


@pytest.fixture
def embedder() -> Iterator[QueuedEmbedder]:
    """The embedder of the default settings."""
    made = create_embedder(MemorySettings())
    yield made
    made.close()


def test_the_default_embedder_is_the_embedded_one(embedder: QueuedEmbedder) -> None:
    assert embedder.identity == "embedded/all-MiniLM-L6-v2/384"
    assert embedder.dimension == 384


def test_who_says_something_belongs_to_what_is_embedded() -> None:
    assert text_of("Ann", "I moved.") == "Ann: I moved."
    assert text_of("", "I moved.") == "I moved."


def test_linear_algebra_leaves_the_other_cores_alone() -> None:
    code = "import memroos_memory.embedders, os; print(os.environ['OPENBLAS_NUM_THREADS'])"
    environment = {name: value for name, value in os.environ.items() if name != "OPENBLAS_NUM_THREADS"}

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True)

    assert done.stdout.strip() == "1"
