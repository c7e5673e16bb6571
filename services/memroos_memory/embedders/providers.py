"""Embedders elsewhere, through mem0's providers: any endpoint that speaks OpenAI's embeddings, Ollama, fastembed."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from memroos_contracts.memory_errors import EmbedderFailed
from memroos_memory.embedders import mem0_setup
from memroos_memory.embedders.ports import Vectors
from memroos_memory.settings import MemorySettings

OPENAI_MODEL = "text-embedding-3-small"
OLLAMA_MODEL = "nomic-embed-text"
FASTEMBED_MODEL = "BAAI/bge-small-en-v1.5"

TIMEOUT_S = 30.0
_FAULTS_OF_A_TEXT = frozenset((400, 413, 422))


class ProviderEncoder:
    """An embedder of mem0's."""

    def __init__(self, identity: str, dimension: int, provider: Any, *, batch: int) -> None:
        self.identity = identity
        self.dimension = dimension
        self.batch = batch
        self._provider = provider

    def encode(self, texts: Sequence[str]) -> Vectors:
        """Return one row for each text, as the provider gives it."""
        try:
            rows = self._provider.embed_batch(list(texts), "add")
        except Exception as error:
            reason = mem0_setup.reason_of(error)
            raise EmbedderFailed(f"The embedder failed: {reason}", reason=reason, away=_is_away(error)) from error
        if len({len(row) for row in rows}) > 1:
            raise EmbedderFailed("Vectors of several lengths came.", reason="length")
        return np.asarray(rows, np.float32).reshape(len(rows), -1)


def provider_encoder(settings: MemorySettings) -> ProviderEncoder:
    """Return the embedder that the settings name; nothing is asked of it yet.

    Raises:
        EmbedderFailed: what it needs is not installed.
    """
    mem0_setup.prepare(settings.folder)
    if settings.embedder == "fastembed":
        return _fastembed(settings)
    # Ollama speaks OpenAI's embeddings, too. Its own client would have to be installed, and mem0's provider for it
    # pulls a model that is not there, which takes minutes and is nobody's decision.
    ours = settings.embedder == "openai"
    model = settings.embedder_model or (OPENAI_MODEL if ours else OLLAMA_MODEL)
    config = {
        "model": model,
        "api_key": mem0_setup.key_of(settings.embedder_key),
        "openai_base_url": _base(settings.embedder_url, ours=ours),
        # Only these models can be asked for a length; other endpoints refuse the question.
        "embedding_dims": settings.embedder_dimension if model.startswith("text-embedding-3") else None,
    }
    provider = mem0_setup.part("mem0.utils.factory").EmbedderFactory.create("openai", config, None)
    provider.client = provider.client.with_options(timeout=TIMEOUT_S, max_retries=1)
    return ProviderEncoder(identity_of(settings), settings.embedder_dimension, provider, batch=64)


def _is_away(error: Exception) -> bool:
    """Whether an endpoint cannot be asked at the moment, whatever the text: unreachable, too busy, no valid key."""
    import openai  # noqa: PLC0415 - it takes half a second, and is needed with an endpoint only

    if isinstance(error, openai.APIStatusError):
        return error.status_code not in _FAULTS_OF_A_TEXT
    return isinstance(error, openai.APIConnectionError)


def identity_of(settings: MemorySettings) -> str:
    """Return the identity of the embedder elsewhere that the settings name."""
    usual = {"openai": OPENAI_MODEL, "ollama": OLLAMA_MODEL, "fastembed": FASTEMBED_MODEL}[settings.embedder]
    return f"{settings.embedder}/{settings.embedder_model or usual}/{settings.embedder_dimension}"


def _base(url: str, *, ours: bool) -> str:
    base = url.rstrip("/")
    return base if ours or base.endswith("/v1") else f"{base}/v1"


def _fastembed(settings: MemorySettings) -> ProviderEncoder:
    config = {"model": settings.embedder_model or FASTEMBED_MODEL, "embedding_dims": settings.embedder_dimension}
    try:
        provider = mem0_setup.part("mem0.utils.factory").EmbedderFactory.create("fastembed", config, None)
    except ImportError as error:
        raise EmbedderFailed(
            "The embedder 'fastembed' is not installed: `pip install fastembed`, or choose another MEMROOS_EMBEDDER.",
            reason="fastembed is not installed",
        ) from error
    return ProviderEncoder(identity_of(settings), settings.embedder_dimension, provider, batch=32)
