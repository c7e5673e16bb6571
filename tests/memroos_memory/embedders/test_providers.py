"""Embedders elsewhere: any endpoint that speaks OpenAI's embeddings, and what it answers when it does not."""

import asyncio
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from memroos_contracts.memory_errors import EmbedderFailed, WrongDimension
from memroos_kit.settings import Secret
from memroos_memory.embedders import Vectors, create_embedder
from memroos_memory.settings import MemorySettings


class Endpoint:
    """A server that speaks OpenAI's embeddings, with vectors that say how long each text is."""

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []
        self.keys: list[str] = []
        self.paths: list[str] = []
        self.status = 200
        self.dimension = 4
        self.last: float | str = 0.0
        endpoint = self

        class Door(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                endpoint.asked.append(asked)
                endpoint.keys.append(self.headers["Authorization"])
                endpoint.paths.append(self.path)
                rest = [*[0.0] * (endpoint.dimension - 3), endpoint.last]
                rows = [[len(text), 1.0, *rest] for text in asked["input"]]
                data = [{"object": "embedding", "index": at, "embedding": row} for at, row in enumerate(rows)]
                usage = {"prompt_tokens": 1, "total_tokens": 1}
                body = {"object": "list", "data": data[::-1], "model": asked["model"], "usage": usage}
                answer = json.dumps(body if endpoint.status == 200 else {"error": {"message": "no"}}).encode()
                self.send_response(endpoint.status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Door)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http://127.0.0.1:{self._server.server_port}"

    def close(self) -> None:
        """Stop answering."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    """A server that speaks OpenAI's embeddings."""
    made = Endpoint()
    yield made
    made.close()


def embedded(settings: MemorySettings, *texts: str) -> Vectors:
    embedder = create_embedder(settings)
    try:
        return asyncio.run(embedder.embed(texts))
    finally:
        embedder.close()


def test_an_openai_endpoint_is_asked_in_one_request(endpoint: Endpoint, tmp_path: Path) -> None:
    settings = MemorySettings(
        data_dir=tmp_path,
        embedder="openai",
        embedder_url=f"{endpoint.url}/v1",
        embedder_model="any-model",
        embedder_dimension=4,
        embedder_key=Secret("sk-test"),
    )

    rows = embedded(settings, "a", "bbb")

    assert np.allclose(rows[:, 0] / rows[:, 1], [1, 3])
    assert len(endpoint.asked) == 1
    assert endpoint.asked[0]["model"] == "any-model"
    assert "dimensions" not in endpoint.asked[0]
    assert endpoint.keys == ["Bearer sk-test"]


def test_a_length_is_asked_for_where_the_model_can_shorten(endpoint: Endpoint, tmp_path: Path) -> None:
    settings = MemorySettings(
        data_dir=tmp_path, embedder="openai", embedder_url=f"{endpoint.url}/v1", embedder_dimension=8
    )
    endpoint.dimension = 8

    embedded(settings, "a")

    assert endpoint.asked[0]["dimensions"] == 8
    assert endpoint.asked[0]["model"] == "text-embedding-3-small"


def test_ollama_is_asked_where_it_speaks_the_same(endpoint: Endpoint, tmp_path: Path) -> None:
    settings = MemorySettings(data_dir=tmp_path, embedder="ollama", embedder_url=endpoint.url, embedder_dimension=8)
    endpoint.dimension = 8
    embedder = create_embedder(settings)

    asyncio.run(embedder.embed(["a"]))
    embedder.close()

    assert endpoint.paths == ["/v1/embeddings"]
    assert embedder.identity == "ollama/nomic-embed-text/8"


def test_an_endpoint_with_another_dimension_is_told_apart(endpoint: Endpoint, tmp_path: Path) -> None:
    settings = MemorySettings(
        data_dir=tmp_path, embedder="openai", embedder_url=f"{endpoint.url}/v1", embedder_model="m"
    )

    with pytest.raises(WrongDimension, match="MEMROOS_EMBEDDER_DIMENSION"):
        embedded(settings, "a")


def test_an_endpoint_that_refuses_is_a_failure_without_the_key_in_it(endpoint: Endpoint, tmp_path: Path) -> None:
    endpoint.status = 401
    settings = MemorySettings(
        data_dir=tmp_path,
        embedder="openai",
        embedder_url=f"{endpoint.url}/v1",
        embedder_model="m",
        embedder_key=Secret("sk-secret-key"),
    )

    with pytest.raises(EmbedderFailed) as failed:
        embedded(settings, "a")

    assert failed.value.detail == "The embedder failed: AuthenticationError (401)"  # and nothing that the server said
    assert "sk-secret" not in failed.value.detail


def test_an_endpoint_that_answers_in_words_is_a_failure_without_them(endpoint: Endpoint, tmp_path: Path) -> None:
    endpoint.last = "what was said"
    settings = MemorySettings(
        data_dir=tmp_path, embedder="openai", embedder_url=f"{endpoint.url}/v1", embedder_model="m"
    )

    with pytest.raises(EmbedderFailed) as failed:
        embedded(settings, "a")

    assert failed.value.detail == "The embedder failed: ValueError"


@pytest.mark.parametrize(("status", "away"), [(401, True), (404, True), (503, True), (400, False), (413, False)])
def test_an_endpoint_that_is_away_is_told_from_one_that_refuses_a_text(
    endpoint: Endpoint, tmp_path: Path, status: int, away: bool
) -> None:
    endpoint.status = status
    settings = MemorySettings(
        data_dir=tmp_path, embedder="openai", embedder_url=f"{endpoint.url}/v1", embedder_model="m"
    )

    with pytest.raises(EmbedderFailed) as failed:
        embedded(settings, *(f"text {n}" for n in range(65)))

    assert failed.value.facts["away"] is away


def test_an_endpoint_that_is_not_there_is_away_and_asked_once_for_a_batch(tmp_path: Path) -> None:
    gone = Endpoint()
    settings = MemorySettings(data_dir=tmp_path, embedder="openai", embedder_url=gone.url, embedder_model="m")
    gone.close()

    with pytest.raises(EmbedderFailed) as failed:
        embedded(settings, "a")

    assert failed.value.facts["away"] is True


def test_fastembed_says_how_to_install_it(tmp_path: Path) -> None:
    with pytest.raises(EmbedderFailed, match="pip install fastembed"):
        create_embedder(MemorySettings(data_dir=tmp_path, embedder="fastembed"))
