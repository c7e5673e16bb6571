"""What recall is compared with: BM25 over turns, and mem0 as it comes, with the same embedder.

Both get each turn as one document, with who said it, and answer with turns, best first.
"""

import asyncio
import logging
import os
from collections import Counter
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

from memroos_kit.text.bm25 import ScopeStats, bm25
from memroos_kit.text.words import words_of, words_to_find
from memroos_memory.embedders import Embedder, mem0_setup, text_of
from memroos_memory.evals.questions import Turn

_USER = "somebody"
_NOWHERE = "http://127.0.0.1:9/v1"


class Plain(Protocol):
    """Something that finds turns of one conversation."""

    def rank(self, question: str, most: int) -> tuple[str, ...]:
        """Return turns by how well they answer a question, best first."""
        ...


class PlainBm25:
    """BM25 over one conversation's turns.

    Args:
        turns: of one conversation.
    """

    def __init__(self, turns: Sequence[Turn]) -> None:
        self._ids = [turn.id for turn in turns]
        self._documents = [words_of(text_of(turn.speaker, turn.text)) for turn in turns]
        self._having = Counter(word for document in self._documents for word in set(document))
        self._scope = ScopeStats(len(turns), sum(map(len, self._documents)))

    def rank(self, question: str, most: int) -> tuple[str, ...]:
        """Return turns by their score; those without any of the question's words are not among them."""
        frequencies = {word: self._having[word] for word in words_to_find(question) if self._having[word]}
        scores = [sum(bm25(document, frequencies, self._scope).values()) for document in self._documents]
        order = sorted(range(len(scores)), key=lambda at: -scores[at])
        return tuple(self._ids[at] for at in order[:most] if scores[at] > 0)


class PlainMem0(AbstractContextManager["PlainMem0"]):
    """mem0 over one conversation's turns, nothing inferred, in its own embedded store.

    Args:
        turns: of one conversation.
        embedder: the same that recall uses.
        folder: for its store; it is made, and what mem0 keeps for itself is beside it.
    """

    def __init__(self, turns: Sequence[Turn], embedder: Embedder, folder: Path) -> None:
        self._runner = asyncio.Runner()
        self._memory = _create(_Given(embedder, self._runner), folder)
        self._turns: dict[str, str] = {}
        for turn in turns:
            added = self._memory.add(text_of(turn.speaker, turn.text), user_id=_USER, infer=False)
            self._turns[added["results"][0]["id"]] = turn.id

    def rank(self, question: str, most: int) -> tuple[str, ...]:
        """Return turns as mem0's search ranks them."""
        found = self._memory.search(question, top_k=most, filters={"user_id": _USER}, threshold=0.0)
        return tuple(self._turns[hit["id"]] for hit in found["results"])

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._memory.vector_store.client.close()
        self._memory.db.close()
        self._runner.close()


class _Given:
    """Our embedder, as mem0 calls one."""

    def __init__(self, embedder: Embedder, runner: asyncio.Runner) -> None:
        self.config = None
        self._embedder = embedder
        self._runner = runner

    def embed(self, text: str, memory_action: str | None = None) -> list[float]:  # noqa: ARG002 - mem0's signature
        """Return the vector of a text."""
        return self.embed_batch([text])[0]

    def embed_batch(self, texts: Sequence[str], memory_action: str = "add") -> list[list[float]]:  # noqa: ARG002
        """Return the vectors of texts."""
        rows: list[list[float]] = self._runner.run(self._embedder.embed(list(texts))).tolist()
        return rows


def _create(given: _Given, folder: Path) -> Any:
    mem0_setup.prepare(folder.parent)
    folder.mkdir()
    main = mem0_setup.part("mem0.memory.main")
    base = mem0_setup.part("mem0.configs.base")
    logging.getLogger("mem0").setLevel(logging.ERROR)  # it says with each search what it does without
    dimension = given._embedder.dimension  # noqa: SLF001 - the same module
    config = base.MemoryConfig(
        vector_store={
            "provider": "qdrant",
            "config": {
                "path": os.fspath(folder / "qdrant"),
                "on_disk": True,
                "collection_name": "plain",
                "embedding_model_dims": dimension,
            },
        },
        history_db_path=os.fspath(folder / "history.db"),
        llm={"provider": "openai", "config": {"api_key": "none", "openai_base_url": _NOWHERE}},  # never asked
        embedder={"provider": "openai", "config": {"api_key": "none", "openai_base_url": _NOWHERE}},
    )
    memory = main.Memory(config)
    memory.embedding_model = given
    return memory
