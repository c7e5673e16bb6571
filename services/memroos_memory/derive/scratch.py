"""What mem0's extraction runs on here: a store that forgets, no vectors, no history.

mem0 wants a vector store, an embedder and a history database before it asks a model. What it extracts is kept by us, so
these have nothing to keep: the store answers every search with what is known already, which the model is not to repeat.
"""

import hashlib
from collections.abc import Sequence
from typing import Any, NamedTuple

from memroos_contracts.memory_errors import ModelFailed
from memroos_memory.derive import answers
from memroos_memory.derive.answers import CutOff, Memory
from memroos_memory.embedders import mem0_setup
from memroos_memory.settings import MemorySettings

SCOPE = "extraction"
_PROVIDER = "memroos_scratch"
_ANSWER_TOKENS = 4_000


class _Hit(NamedTuple):
    """Something that is known, as mem0 reads it."""

    id: str
    score: float
    payload: dict[str, Any]


class ScratchStore:
    """A vector store of mem0's interface that holds what is known for the length of one question."""

    def __init__(self) -> None:
        self.known: list[_Hit] = []

    def know(self, texts: Sequence[str]) -> None:
        """Hold these texts, and nothing else."""
        self.known = [
            _Hit(
                str(number), 1.0, {"data": text, "hash": hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()}
            )
            for number, text in enumerate(texts)
        ]

    def search(self, **_: Any) -> list[_Hit]:
        """Return all that is known: it was chosen before."""
        return self.known

    def insert(self, **_: Any) -> None:
        """Take what was extracted; it is read from the answer."""

    def keyword_search(self, **_: Any) -> None:
        """There is none."""

    def list(self, **_: Any) -> list[_Hit]:
        """Return nothing: no entities are kept."""
        return []


class ScratchEmbedder:
    """An embedder that embeds nothing, because nothing is searched by it."""

    def __init__(self, config: Any = None) -> None:
        self.config = config

    def embed(self, _text: str, _action: str = "") -> list[float]:
        """Return a vector of nothing."""
        return [0.0]

    def embed_batch(self, texts: Sequence[str], _action: str = "") -> list[list[float]]:
        """Return a vector of nothing for each text."""
        return [[0.0] for _ in texts]


class _NoHistory:
    """mem0's history, which nobody reads."""

    def get_last_messages(self, *_: Any, **__: Any) -> list[Any]:
        return []

    def save_messages(self, *_: Any, **__: Any) -> None: ...

    def batch_add_history(self, *_: Any, **__: Any) -> None: ...

    def close(self) -> None: ...


class _Collection:
    """The scratch store's configuration."""

    collection_name = SCOPE

    def model_dump(self) -> dict[str, Any]:
        return {}


class Bench:
    """A place to extract at: mem0 with a model, for one question at a time."""

    def __init__(self, settings: MemorySettings) -> None:
        mem0_setup.prepare(settings.folder)
        main = mem0_setup.part("mem0.memory.main")
        factory = mem0_setup.part("mem0.utils.factory")
        spacy = mem0_setup.part("mem0.utils.spacy_models")
        spacy._load_failed_full = spacy._load_failed_lemma = True  # noqa: SLF001 - it would download a model
        factory.EmbedderFactory.provider_to_class[_PROVIDER] = f"{__name__}.ScratchEmbedder"
        factory.VectorStoreFactory.provider_to_class[_PROVIDER] = f"{__name__}.ScratchStore"
        self._memory = main.Memory(self._config(settings))
        self._memory.db.close()
        self._memory.db = _NoHistory()
        llm = self._memory.llm
        # Retries are the job's business. The address is set again, because mem0 prefers one of the environment's.
        llm.client = llm.client.with_options(
            base_url=settings.model_url,
            api_key=mem0_setup.key_of(settings.model_key),
            timeout=settings.model_timeout_s,
            max_retries=0,
        )
        self._generate = llm.generate_response
        llm.generate_response = self._answer
        self._memories: list[Memory] = []
        self._cut_off = False

    def ask(self, messages: Sequence[dict[str, str]], instructions: str, known: Sequence[str]) -> list[Memory]:
        """Return what is to be remembered of messages, by the model, without what is known.

        Raises:
            CutOff: the answer was too long.
            ModelFailed: it is nonsense.
            Exception: whatever mem0 raises where the endpoint does not answer.
        """
        self._memory.vector_store.know(known)
        try:
            found = self._memory.add(list(messages), run_id=SCOPE, infer=True, prompt=instructions)
        except Exception as error:  # noqa: BLE001 - mem0 wraps what `_answer` raises in an error of its own
            raise error.__cause__ if isinstance(error.__cause__, CutOff | ModelFailed) else error from None
        new = {one["memory"] for one in found["results"]}
        return list({one.text: one for one in self._memories if one.text in new}.values())

    def close(self) -> None:
        """Let go of the connections."""
        self._memory.llm.client.close()

    def _config(self, settings: MemorySettings) -> Any:
        base = mem0_setup.part("mem0.configs.base")
        own: dict[str, Any] = {
            "model": settings.model,
            "api_key": mem0_setup.key_of(settings.model_key),
            "openai_base_url": settings.model_url,
            "max_tokens": _ANSWER_TOKENS,
            "response_callback": self._heard,
        }
        # Built without validation: mem0 knows providers by a fixed list of names.
        return base.MemoryConfig.model_construct(
            vector_store=base.VectorStoreConfig.model_construct(provider=_PROVIDER, config=_Collection()),
            embedder=base.EmbedderConfig.model_construct(provider=_PROVIDER, config={}),
            llm=base.LlmConfig.model_construct(provider="openai", config=own),
            history_db_path=":memory:",
            reranker=None,
            version="v1.1",
            custom_instructions=None,
        )

    def _answer(self, **question: Any) -> str:
        """Ask the model, and give mem0 what can be read of its answer."""
        self._cut_off = False
        answer = self._generate(**question)
        if self._cut_off:
            raise CutOff
        self._memories = answers.read(answer)
        return answers.written(self._memories)

    def _heard(self, _llm: Any, response: Any, _params: Any) -> None:
        self._cut_off = response.choices[0].finish_reason == "length"
