"""A model that fails, always, at random, or with nonsense, over real HTTP: nothing is lost, and replay drains."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.memroos_memory.scripted_model import Mode, ScriptedModel, scripted_model
from tests.memroos_memory.work.conftest import SERVICE, VIEWER, Service, said

from memroos_contracts.memory_work import JobLabel, JobState, JobView
from memroos_memory import jobs, work
from memroos_memory.derive import Extractor
from memroos_memory.settings import MemorySettings

TEXTS = [f"Turn number {number} is about the weather of the day" for number in range(1, 21)]
PLAN = jobs.Plan(attempts_max=3, backoff_s=0.0)
LONGEST = 400

Ask = Callable[[ScriptedModel], None]


@pytest.fixture
def ask(service: Service, tmp_path: Path) -> Ask:
    """Work with a model until no job is waiting for it."""

    def until_nothing_waits(model: ScriptedModel) -> None:
        asyncio.run(_until_nothing_waits(service, model, tmp_path))

    return until_nothing_waits


async def _until_nothing_waits(service: Service, model: ScriptedModel, folder: Path) -> None:
    settings = MemorySettings(data_dir=folder, model="scripted", model_url=model.url, model_timeout_s=0.2)
    extractor = Extractor(settings)
    worker = work.Worker(service.db, {JobLabel.EXTRACT: work.extracting(service.db, extractor)}, plan=PLAN)
    try:
        for _ in range(LONGEST):
            if not await worker.step([JobLabel.EXTRACT]):
                return
    finally:
        await extractor.close()
    raise AssertionError("it never ends")


def take(service: Service) -> None:
    """Take over 20 events, a few at a time, so that there are several jobs."""
    for start in range(0, len(TEXTS), 5):
        part = [said(n, TEXTS[n - 1], stream=f"talk-{n % 3}") for n in range(start + 1, start + 6)]
        service.take(*part, learn=JobLabel.EXTRACT)


def assert_nothing_raw_is_lost(service: Service) -> None:
    events = service.events()
    assert sorted(event.text or "" for event in events) == sorted(TEXTS)
    assert {event.status for event in events} == {"active"}


def assert_all_is_learned_once(service: Service) -> None:
    assert_nothing_raw_is_lost(service)
    facts = service.facts()
    assert sorted(fact.text or "" for fact in facts) == sorted(f"Ann said: {text}" for text in TEXTS)
    assert {len(fact.sources) for fact in facts} == {1}
    assert {source for fact in facts for source in fact.sources} == {event.id for event in service.events()}
    assert {fact.seen_count for fact in facts} == {1}


def dead(service: Service) -> list[JobView]:
    return service.db.read_now(SERVICE, jobs.list_jobs, VIEWER, state=JobState.DEAD, limit=100).items


def waiting_for_a_model(service: Service) -> int:
    return service.labels().count(JobLabel.EXTRACT)


@pytest.mark.parametrize("mode", [Mode.FAILS, Mode.MALFORMED, Mode.WRONG_SCHEMA, Mode.BLANK, Mode.HANGS_UP])
def test_a_model_that_never_gives_an_answer_leaves_dead_letters_and_replay_drains_them(
    service: Service, ask: Ask, mode: Mode
) -> None:
    take(service)

    with scripted_model(mode) as model:
        ask(model)

        letters = dead(service)
        assert letters
        assert {letter.label for letter in letters} == {JobLabel.EXTRACT}
        assert all("language model" in letter.error for letter in letters)
        assert {letter.attempts for letter in letters} == {PLAN.attempts_max}
        assert service.facts() == []
        assert_nothing_raw_is_lost(service)

        model.mode = Mode.GOOD
        report = service.db.write_now(SERVICE, jobs.replay, VIEWER, None)
        assert report.replayed == len(letters)
        ask(model)

    assert dead(service) == []
    assert waiting_for_a_model(service) == 0
    assert_all_is_learned_once(service)


@pytest.mark.parametrize("seed", range(3))
def test_a_model_that_fails_at_random_learns_everything_once_in_the_end(service: Service, ask: Ask, seed: int) -> None:
    take(service)

    with scripted_model(Mode.FLAKY, seed=seed, fail_rate=0.6) as model:
        for _ in range(20):
            ask(model)
            if not dead(service):
                break
            assert_nothing_raw_is_lost(service)
            service.db.write_now(SERVICE, jobs.replay, VIEWER, None)

    assert model.failures > 0
    assert dead(service) == []
    assert_all_is_learned_once(service)


def test_a_model_that_answers_too_late_is_not_waited_for(service: Service, ask: Ask) -> None:
    service.take(said(1, TEXTS[0]), learn=JobLabel.EXTRACT)

    with scripted_model(Mode.SILENT) as model:
        ask(model)

        (letter,) = dead(service)
        assert "Timeout" in letter.error
        model.mode = Mode.GOOD
        service.db.write_now(SERVICE, jobs.replay, VIEWER, letter.id)
        ask(model)

    assert [fact.sources for fact in service.facts()] == [("mem_00001",)]


def test_a_model_that_finds_nothing_to_remember_leaves_no_dead_letter(service: Service, ask: Ask) -> None:
    take(service)

    with scripted_model(Mode.NOTHING) as model:
        ask(model)

    assert (dead(service), service.facts(), waiting_for_a_model(service)) == ([], [], 0)
    assert_nothing_raw_is_lost(service)


def test_an_answer_that_is_cut_off_costs_more_questions_and_no_fact(service: Service, ask: Ask) -> None:
    take(service)

    with scripted_model(Mode.TRUNCATED) as model:
        ask(model)

    assert dead(service) == []
    assert_all_is_learned_once(service)
