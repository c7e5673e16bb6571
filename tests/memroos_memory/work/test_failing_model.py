"""A model that fails, hangs or answers nonsense loses nothing; once it is well, a replay learns all that was missed."""

import asyncio
from collections.abc import Iterator

import pytest
from tests.memroos_memory.scripted_model import Mode, ScriptedModel, scripted_model
from tests.memroos_memory.work.conftest import SERVICE, VIEWER, Service, said

from memroos_contracts.memory_work import JobCounts, JobLabel, JobState
from memroos_memory import jobs, work
from memroos_memory.derive import Extractor
from memroos_memory.settings import MemorySettings

EVENTS = 5
PLAN = jobs.Plan(attempts_max=2, backoff_s=0.0)
TIRED = {Mode.SILENT: 0.1}
"""Longest wait for an answer, where that matters."""


@pytest.fixture(scope="module")
def model() -> Iterator[ScriptedModel]:
    with scripted_model() as model:
        yield model


class Learning:
    """A worker that learns by a model."""

    def __init__(self, service: Service, model: ScriptedModel, *, wait_s: float = 10.0) -> None:
        self.service = service
        folder = service.db.path.parent
        self.settings = MemorySettings(data_dir=folder, model="scripted", model_url=model.url, model_timeout_s=wait_s)

    def work(self) -> None:
        """Work until nothing is due."""
        asyncio.run(self._work())

    async def _work(self) -> None:
        extractor = Extractor(self.settings)
        handles = {JobLabel.EXTRACT: work.extracting(self.service.db, extractor)}
        worker = work.Worker(self.service.db, handles, plan=PLAN)
        while await worker.step([JobLabel.EXTRACT]):
            pass
        await extractor.close()


def say(service: Service) -> None:
    """Four agents say something."""
    for n in range(1, EVENTS + 1):
        words = f"Today I planted tree number {n} in the garden."
        service.take(said(n, words, author=f"agent:agt_{n % 4}"), learn=JobLabel.EXTRACT)


def sources(service: Service) -> list[str]:
    """From which events something was learned; all readers' together, with repetitions."""
    query = "SELECT sources FROM item WHERE kind <> 'event' ORDER BY id"
    found = service.rows(query)
    return sorted(source for (one,) in found for source in one.strip("[]").replace('"', "").split(","))


@pytest.mark.parametrize("mode", [Mode.FAILS, Mode.SILENT, Mode.FLAKY, Mode.WRONG_ITEMS, Mode.NO_CHOICES])
def test_whatever_a_model_does_nothing_is_lost_and_a_replay_drains(
    service: Service, model: ScriptedModel, mode: Mode
) -> None:
    model.mode = mode
    say(service)

    Learning(service, model, wait_s=TIRED.get(mode, 10.0)).work()

    service.do([JobLabel.EMBED, JobLabel.VECTOR, JobLabel.GRAPH])
    assert service.counts.waiting == service.counts.running == 0
    assert [text for (text,) in service.rows("SELECT text FROM item WHERE kind = 'event' ORDER BY seq")] == [
        f"Today I planted tree number {n} in the garden." for n in range(1, EVENTS + 1)
    ]
    dead = service.counts.dead
    missing = EVENTS - len(set(sources(service)))
    assert (dead > 0) == (missing > 0)
    if mode is not Mode.FLAKY:
        assert dead == EVENTS
        shown = service.db.read_now(SERVICE, jobs.list_jobs, VIEWER, state=JobState.DEAD).items
        assert all(job.error and job.attempts == PLAN.attempts_max for job in shown)

    model.mode = Mode.GOOD
    service.replay_all()
    Learning(service, model).work()
    service.do([JobLabel.EMBED, JobLabel.VECTOR, JobLabel.GRAPH])

    assert service.counts == JobCounts(0, 0, 0)
    assert sources(service) == [f"mem_{n:05}" for n in range(1, EVENTS + 1)]


def test_a_model_that_is_not_there_at_all_loses_nothing(service: Service) -> None:
    with scripted_model() as gone:
        pass
    say(service)

    Learning(service, gone).work()

    assert service.counts.dead == EVENTS
