"""Whatever is done to items, their vectors and their place in the graph follow."""

import asyncio

import pytest
from tests.memroos_memory.work.conftest import SERVICE, VIEWER, Service, said

from memroos_contracts.errors import NotFound
from memroos_contracts.memory_items import ItemChange, ItemStatus, RollbackRequest, Successor
from memroos_contracts.memory_work import JobLabel
from memroos_memory import items, work


def points(service: Service) -> int:
    return asyncio.run(service.index.count())


def relations(service: Service) -> int:
    return asyncio.run(service.graph.count()).relations


def found(service: Service, text: str) -> int:
    """The item that is nearest to a text."""

    async def search() -> int:
        (vector,) = await service.embedder.embed([text])
        return (await service.index.search(vector, [1], 1))[0][0]

    return asyncio.run(search())


def test_a_changed_text_is_found_by_its_new_words(service: Service) -> None:
    service.take(said(1, "I bought seven oranges."), said(2, "The train leaves at nine."))
    service.do()

    service.run(items.update, VIEWER, "mem_00001", ItemChange(text="The ferry is late again."))
    service.do()

    assert found(service, "Ann: The ferry is late again.") == service.seq(1)
    assert service.vectors == 2


def test_what_is_deleted_leaves_the_indexes_and_a_rollback_brings_it_back(service: Service) -> None:
    service.take(said(1, "I live in Oslo."))
    service.do()
    assert (points(service), relations(service)) == (2, 1)
    last = service.facts()[0].log_seq
    scope_id = service.facts()[0].scope_id

    service.run(items.delete, VIEWER, "mem_00001", "", "")
    service.do()
    assert (points(service), relations(service)) == (0, 0)

    service.run(items.rollback, VIEWER, scope_id, RollbackRequest(to_seq=last))
    service.do()
    assert (points(service), relations(service)) == (2, 1)


def test_a_fact_that_is_superseded_ends_in_the_graph_when_its_successor_begins(service: Service) -> None:
    service.take(said(1, "I live in Oslo."), said(3, "I live in Rome."))
    service.do()

    until = {one.object: one.valid_to for one in asyncio.run(service.graph.neighbours([1], ["Ann"]))}

    assert until == {"oslo": said(3, "").event.created_at, "rome": None}


def test_a_verb_that_fails_leaves_no_work_behind(service: Service) -> None:
    with pytest.raises(NotFound):
        service.run(items.delete, VIEWER, "mem_none", "", "")

    assert service.counts.waiting == 0


def test_the_same_said_again_needs_no_new_vectors(service: Service) -> None:
    service.take(said(1, "I live in Oslo."))
    service.do()
    service.take(said(2, "As I said: I live in Oslo."))
    service.do([JobLabel.DERIVE])

    assert service.facts()[0].seen_count == 2
    assert service.labels() == [JobLabel.EMBED, JobLabel.GRAPH]  # of the event


def statements(service: Service) -> set[str]:
    """What holds of what was learned."""
    return {fact.text or "" for fact in service.facts() if fact.status == "active"}


def correct(service: Service, text: str, operation: str = "") -> None:
    service.db.write_now(SERVICE, work.correct, VIEWER, "mem_00001", ItemChange(text=text), operation=operation)


def test_from_an_event_that_is_corrected_it_is_learned_what_it_says_now_and_not_what_it_said(service: Service) -> None:
    service.take(said(1, "I live in Oslo."))
    service.do()
    (before,) = service.facts()

    correct(service, "I live in Rome.", "op-1")
    correct(service, "I live in Rome.", "op-1")
    assert service.labels().count(JobLabel.DERIVE) == 1
    service.do()

    assert statements(service) == {"Ann lives in Rome"}
    assert [one.object for one in asyncio.run(service.graph.neighbours([1], ["Ann"]))] == ["rome"]
    assert (points(service), service.counts.waiting) == (2, 0)
    service.run(items.rollback, VIEWER, before.scope_id, RollbackRequest(to_seq=before.log_seq))
    service.do()
    assert statements(service) == {"Ann lives in Oslo"}
    assert service.events()[0].text == "I live in Oslo."


def test_what_others_said_too_or_somebody_said_by_hand_outlives_the_correction(service: Service) -> None:
    service.take(said(1, "I live in Oslo."), said(2, "As I said: I live in Oslo."))
    service.do()

    correct(service, "I bought seven oranges.")
    service.do()

    (fact,) = service.facts()
    assert (fact.text, fact.sources) == ("Ann lives in Oslo", ("mem_00002",))
    byhand = service.run(items.supersede, VIEWER, "mem_00001", Successor(text="Ann bought eight oranges."))
    correct(service, "I bought nine oranges.")
    assert service.db.read_now(SERVICE, items.get, VIEWER, byhand.id).status is ItemStatus.ACTIVE


def test_a_correction_that_says_nothing_new_or_only_how_sure_it_is_is_not_learned_from(service: Service) -> None:
    service.take(said(1, "I live in Oslo."))
    service.do()

    correct(service, "I live in Oslo.")
    service.db.write_now(SERVICE, work.correct, VIEWER, "mem_00001", ItemChange(confidence=0.5))
    assert JobLabel.DERIVE not in service.labels()
    correct(service, "ok")
    assert JobLabel.DERIVE not in service.labels()
    service.do()

    assert statements(service) == set()
