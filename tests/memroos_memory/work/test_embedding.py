"""Vectors are made once for each text, whoever asks how often, and by the embedder that answers now."""

import asyncio
from collections.abc import Sequence

import pytest
from tests.memroos_memory.vectors.twin import PlainIndex
from tests.memroos_memory.work.conftest import SERVICE, VIEWER, Service, said

from memroos_contracts.memory_work import JobLabel
from memroos_memory import items, jobs
from memroos_memory.embedders import UnreachableEmbedder


@pytest.fixture
def embedded(service: Service, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The texts that were embedded."""
    texts: list[str] = []
    embedder = service.embedder.now()
    embed = embedder.embed

    async def counted(some: Sequence[str]) -> object:
        texts.extend(some)
        return await embed(some)

    monkeypatch.setattr(embedder, "embed", counted)
    return texts


def test_a_text_is_embedded_with_who_said_it_and_once(service: Service, embedded: list[str]) -> None:
    service.take(said(1, "I like it here."), said(2, "So do I.", speaker=""))
    service.do()
    service.db.write_now(SERVICE, jobs.enqueue, JobLabel.EMBED, scope_seq=1, items=[1, 2, 2, 999])
    service.do()

    assert embedded == ["Ann: I like it here.", "So do I."]


def test_what_was_removed_before_its_turn_is_not_embedded(service: Service, embedded: list[str]) -> None:
    service.take(said(1, "I like it here."))
    service.run(items.delete, VIEWER, "mem_00001", "", "")

    service.do()

    assert embedded == []
    assert service.counts.waiting == 0


def test_an_embedder_that_is_out_of_reach_makes_no_dead_letters(service: Service) -> None:
    service.take(said(1, "I like it here."))
    gone = UnreachableEmbedder("openai/some-model/32", 32)
    asyncio.run(service.embedder.switch(gone))

    service.do()

    assert (service.counts.waiting, service.counts.dead, service.vectors) == (0, 0, 0)


def test_vectors_of_another_embedder_never_come_into_the_index(service: Service) -> None:
    service.take(said(1, "I like it here."))
    service.index = PlainIndex(32, "somebody/else/32")

    service.do()

    assert asyncio.run(service.index.count()) == 0
    assert service.vectors == 1


def test_the_index_can_be_away_and_follows_later_without_embedding_again(
    service: Service, embedded: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    service.take(said(1, "I like it here."))

    async def away(*_: object, **__: object) -> None:
        raise ConnectionError

    with monkeypatch.context() as patched:
        patched.setattr(service.index, "upsert", away)
        service.do([JobLabel.EMBED, JobLabel.VECTOR])
    assert service.counts.waiting == 3  # the graph, facts, and the index

    service.db.write_now(SERVICE, jobs.enqueue, JobLabel.VECTOR, scope_seq=1, items=[1])
    service.do([JobLabel.VECTOR])

    assert asyncio.run(service.index.count()) == 1
    assert len(embedded) == 1
