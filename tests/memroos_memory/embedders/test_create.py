"""An embedder is known again by its identity, and can be replaced while it is in use."""

import asyncio
from pathlib import Path

import pytest

from memroos_contracts.errors import Stopping
from memroos_contracts.memory_errors import EmbedderFailed
from memroos_memory.embedders import CurrentEmbedder, create_embedder, embedder_of
from memroos_memory.settings import MemorySettings

HASH = MemorySettings(embedder="hash", embedder_dimension=16)


def test_an_earlier_embedder_inside_the_process_is_made_again() -> None:
    embedder = embedder_of("hash/words/16", MemorySettings())

    assert (embedder.identity, embedder.dimension) == ("hash/words/16", 16)
    assert asyncio.run(embedder.embed(["a"])).shape == (1, 16)
    embedder.close()


def test_an_earlier_embedder_elsewhere_is_asked_where_the_settings_still_say(tmp_path: Path) -> None:
    now = MemorySettings(data_dir=tmp_path, embedder="openai", embedder_url="http://127.0.0.1:9/v1", embedder_model="b")

    embedder = embedder_of("openai/org/a/16", now)

    assert (embedder.identity, embedder.dimension) == ("openai/org/a/16", 16)
    embedder.close()


@pytest.mark.parametrize("identity", ["openai/m/16", "embedded/another-model/16", "fastembed/m/16"])
def test_an_earlier_embedder_out_of_reach_says_so(identity: str, tmp_path: Path) -> None:
    settings = MemorySettings(data_dir=tmp_path, embedder="fastembed" if "fastembed" in identity else "hash")

    embedder = embedder_of(identity, settings)

    with pytest.raises(EmbedderFailed, match="not configured any more"):
        asyncio.run(embedder.embed(["a"]))

    assert (embedder.identity, embedder.dimension) == (identity, 16)
    assert asyncio.run(embedder.embed([])).shape == (0, 16)
    embedder.close()


def test_an_embedder_is_replaced_while_it_is_in_use() -> None:
    async def story() -> None:
        first, second = create_embedder(HASH), embedder_of("hash/words/8", HASH)
        current = CurrentEmbedder(first)
        assert (await current.embed(["a"])).shape == (1, 16)

        await current.switch(second)

        assert (current.identity, current.dimension) == ("hash/words/8", 8)
        assert current.now() is second
        assert (await current.embed(["a"])).shape == (1, 8)
        with pytest.raises(Stopping):
            await first.embed(["b"])
        current.close()

    asyncio.run(story())
