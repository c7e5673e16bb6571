"""The line before an embedder: together what comes together, questions first, and every failure told to its asker."""

import asyncio
import threading
from collections.abc import Iterator, Sequence

import numpy as np
import pytest

from memroos_contracts.errors import Stopping
from memroos_contracts.memory_errors import EmbedderFailed, WrongDimension
from memroos_memory.embedders import QueuedEmbedder, Vectors


class Scripted:
    """An encoder that waits when it is told to, and fails at some texts."""

    identity = "test/scripted/4"
    dimension = 4
    batch = 8

    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        self.go = threading.Event()
        self.go.set()
        self.begun = threading.Event()
        self.answer: Vectors | None = None

    def encode(self, texts: Sequence[str]) -> Vectors:
        """Give each text the length of its words, after having been let go."""
        self.batches.append(list(texts))
        self.begun.set()
        assert self.go.wait(5)
        if "bad" in texts:
            raise OSError("the wire broke")
        if self.answer is not None:
            return self.answer
        return np.array([[len(text), 1, 0, 0] for text in texts], np.float32)


@pytest.fixture
def encoder() -> Scripted:
    """What the line is before."""
    return Scripted()


@pytest.fixture
def embedder(encoder: Scripted) -> Iterator[QueuedEmbedder]:
    """The line."""
    made = QueuedEmbedder(encoder)
    yield made
    encoder.go.set()
    made.close()


async def held_up(encoder: Scripted, embedder: QueuedEmbedder) -> asyncio.Future[Vectors]:
    """Let the embedder's thread be busy with something."""
    encoder.go.clear()
    busy = asyncio.ensure_future(embedder.embed(["busy"]))
    await asyncio.to_thread(encoder.begun.wait, 5)
    return busy


def test_rows_have_length_one_in_the_order_of_their_texts(embedder: QueuedEmbedder) -> None:
    lengths = [(7 * n) % 20 + 1 for n in range(20)]

    rows = asyncio.run(embedder.embed(["x" * length for length in lengths]))

    assert np.allclose(np.linalg.norm(rows, axis=1), 1)
    assert np.allclose(rows[:, 0] / rows[:, 1], lengths)


def test_small_requests_that_wait_are_embedded_together(encoder: Scripted, embedder: QueuedEmbedder) -> None:
    async def story() -> None:
        busy = await held_up(encoder, embedder)
        asked = [asyncio.ensure_future(embedder.embed([word])) for word in ("a", "bb", "ccc")]
        await asyncio.sleep(0)
        encoder.go.set()
        await asyncio.gather(busy, *asked)

    asyncio.run(story())

    assert encoder.batches == [["busy"], ["a", "bb", "ccc"]]


def test_a_question_does_not_wait_for_a_long_list(encoder: Scripted, embedder: QueuedEmbedder) -> None:
    async def story() -> None:
        busy = await held_up(encoder, embedder)
        long = asyncio.ensure_future(embedder.embed([f"list {n}" for n in range(24)]))
        await asyncio.sleep(0)
        question = asyncio.ensure_future(embedder.embed(["question"]))
        await asyncio.sleep(0)
        encoder.go.set()
        await asyncio.gather(busy, long, question)

    asyncio.run(story())

    assert encoder.batches[1] == ["question"]
    assert [len(batch) for batch in encoder.batches[2:]] == [8, 8, 8]


def test_a_question_asked_again_is_not_embedded_again(encoder: Scripted, embedder: QueuedEmbedder) -> None:
    async def story() -> tuple[Vectors, Vectors]:
        first = await embedder.embed(["question"])
        kept = first.copy()
        first[:] = 0  # whoever has an answer may do with it what they like
        return kept, await embedder.embed(["question"])

    kept, again = asyncio.run(story())

    assert np.array_equal(kept, again)
    assert encoder.batches == [["question"]]


def test_one_bad_text_fails_alone(encoder: Scripted, embedder: QueuedEmbedder) -> None:
    async def story() -> list[Vectors | BaseException]:
        busy = await held_up(encoder, embedder)
        asked = [asyncio.ensure_future(embedder.embed([word])) for word in ("good", "bad", "better")]
        await asyncio.sleep(0)
        encoder.go.set()
        await busy
        return await asyncio.gather(*asked, return_exceptions=True)

    good, bad, better = asyncio.run(story())

    assert isinstance(bad, EmbedderFailed)
    assert bad.facts["reason"] == "OSError"  # and none of its words, which may repeat the text
    assert "wire" not in bad.detail
    assert isinstance(good, np.ndarray)
    assert isinstance(better, np.ndarray)


def test_vectors_of_another_length_are_refused(encoder: Scripted, embedder: QueuedEmbedder) -> None:
    encoder.answer = np.ones((1, 3), np.float32)

    with pytest.raises(WrongDimension) as refused:
        asyncio.run(embedder.embed(["a"]))

    assert refused.value.facts == {"got": 3, "wanted": 4}


@pytest.mark.parametrize(
    "answer",
    [np.zeros((1, 4)), np.full((1, 4), np.nan), np.full((1, 4), 1e30), np.ones((2, 4)), np.ones(4)],
    ids=["zero", "nan", "enormous", "two", "flat"],
)
def test_what_is_no_vector_for_each_text_is_a_failure(
    encoder: Scripted, embedder: QueuedEmbedder, answer: Vectors
) -> None:
    encoder.answer = answer

    with pytest.raises(EmbedderFailed):
        asyncio.run(embedder.embed(["a"]))


def test_a_request_nobody_waits_for_is_not_begun(encoder: Scripted, embedder: QueuedEmbedder) -> None:
    async def story() -> None:
        busy = await held_up(encoder, embedder)
        left = asyncio.ensure_future(embedder.embed([f"left {n}" for n in range(20)]))
        await asyncio.sleep(0)
        left.cancel()
        with pytest.raises(asyncio.CancelledError):
            await left
        encoder.go.set()
        await busy
        await embedder.embed(["next"])

    asyncio.run(story())

    assert encoder.batches == [["busy"], ["next"]]


def test_nothing_asked_is_nothing_answered(encoder: Scripted, embedder: QueuedEmbedder) -> None:
    assert asyncio.run(embedder.embed([])).shape == (0, 4)
    assert encoder.batches == []


def test_a_closed_line_refuses_what_waits_and_what_comes(encoder: Scripted, embedder: QueuedEmbedder) -> None:
    async def story() -> None:
        busy = await held_up(encoder, embedder)
        waiting = asyncio.ensure_future(embedder.embed(["waiting"]))
        await asyncio.sleep(0)
        closing = asyncio.ensure_future(asyncio.to_thread(embedder.close))
        with pytest.raises(Stopping):
            await waiting
        with pytest.raises(Stopping):
            await embedder.embed(["late"])
        encoder.go.set()
        await asyncio.gather(busy, closing)
        embedder.close()

    asyncio.run(story())
