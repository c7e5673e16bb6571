"""What the kernel hands over is kept at once, whatever becomes of it; work follows in the same transaction."""

import asyncio

from tests.memroos_memory.work.conftest import AGENT, SERVICE, Service, said

from memroos_contracts.identity import DEFAULT_WORKSPACE
from memroos_contracts.memory import Removal
from memroos_contracts.memory_work import JobLabel
from memroos_kit.db import Database
from memroos_memory import echo, work


def test_a_batch_becomes_one_job_of_each_kind_for_its_scope(service: Service) -> None:
    service.take(*(said(n, f"I live in city number {n}.") for n in range(1, 20)))

    assert service.labels() == [JobLabel.EMBED, JobLabel.GRAPH, JobLabel.DERIVE]
    assert len(service.events()) == 19


def test_scopes_have_jobs_of_their_own(service: Service) -> None:
    service.take(said(1, "I live in Oslo."), said(2, "I live in Rome.", author="agent:agt_b"))

    assert service.labels() == [JobLabel.EMBED, JobLabel.GRAPH, JobLabel.DERIVE]
    assert service.counts.waiting == 6


def test_events_that_come_one_by_one_wait_together(service: Service) -> None:
    for n in range(1, 20):
        service.take(said(n, f"I live in city number {n}."))

    assert service.labels() == [JobLabel.EMBED, JobLabel.GRAPH, JobLabel.DERIVE]
    service.do()
    assert (len(service.facts()), service.vectors) == (19, 38)


def test_an_event_handed_over_again_is_left_as_it_is(service: Service, db: Database) -> None:
    service.take(said(1, "I live in Oslo."))

    report = db.write_now(SERVICE, work.take_events, [said(1, "I live in Oslo."), said(2, "I like it here.")])

    assert (report.stored, report.known) == (1, 1)
    assert len(service.events()) == 2
    assert db.read_now(SERVICE, work.position) == 2


def test_noise_is_kept_and_found_and_teaches_nothing(service: Service) -> None:
    service.take(said(1, "ok"), said(2, "I live in Oslo."), said(3, "I live in Oslo."))
    service.do()

    assert [event.text for event in service.events()] == ["ok", "I live in Oslo.", "I live in Oslo."]
    assert service.vectors == 4
    (fact,) = service.facts()
    assert fact.sources == ("mem_00002",)


def test_what_recall_handed_out_is_not_learned_again_from_whoever_got_it(service: Service, db: Database) -> None:
    marks = echo.EchoMarks(db)
    marks.mark(DEFAULT_WORKSPACE, AGENT, ["As of last spring I live in Oslo with my two dogs."])

    service.take(said(1, "I was told: As of last spring I live in Oslo with my two dogs."), echo=marks)
    service.take(said(2, "As of last spring I live in Oslo with my two dogs.", author="agent:agt_b"), echo=marks)
    service.do()

    (event,) = service.events()
    assert event.echo
    assert service.facts() == []
    assert service.counts.waiting == 0


def test_an_echo_is_known_by_what_is_written_too(service: Service, db: Database) -> None:
    marks = echo.EchoMarks(db)
    marks.mark(DEFAULT_WORKSPACE, AGENT, ["As of last spring I live in Oslo with my two dogs."])
    asyncio.run(marks.flush())

    service.take(said(1, "As of last spring I live in Oslo with my two dogs."))

    assert service.events()[0].echo
    assert JobLabel.DERIVE not in service.labels()


def test_a_large_batch_is_taken_over_a_few_at_a_time_and_in_order(service: Service, db: Database) -> None:
    events = [said(n, f"I live in city number {n}.") for n in range(1, 81)]

    report = asyncio.run(work.ingest(db, events))

    assert (report.stored, report.known) == (80, 0)
    assert [event.id for event in service.events()] == [one.event.id for one in events]
    assert db.read_now(SERVICE, work.position) == 80
    assert asyncio.run(work.ingest(db, [])).stored == 0


def test_long_texts_are_taken_over_one_by_one(service: Service, db: Database) -> None:
    before = db.batches

    report = asyncio.run(work.ingest(db, [said(n, "long words " * 4_000) for n in range(1, 4)]))

    assert report.stored == 3
    assert db.batches - before == 3


def test_a_model_learns_where_there_is_one(service: Service) -> None:
    service.take(said(1, "I live in Oslo."), learn=JobLabel.EXTRACT)

    assert JobLabel.EXTRACT in service.labels()
    assert JobLabel.DERIVE not in service.labels()


def test_a_removed_event_leaves_the_indexes_with_all_that_rests_on_it(service: Service, db: Database) -> None:
    service.take(said(1, "I live in Oslo."), said(2, "I like it here."))
    service.do()
    assert asyncio.run(service.index.count()) == 3

    removal = Removal("mem_00001", DEFAULT_WORKSPACE, AGENT, position=3)
    for _ in range(2):
        db.write_now(SERVICE, work.take_removals, [removal])
    service.do()

    assert [event.id for event in service.events()] == ["mem_00002"]
    assert service.facts() == []
    assert asyncio.run(service.index.count()) == 1
    assert asyncio.run(service.graph.count()).relations == 0
    assert db.read_now(SERVICE, work.position) == 3
