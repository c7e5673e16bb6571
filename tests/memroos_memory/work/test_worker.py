"""The worker does what is in line, at once, fairly, and ends without leaving anything behind."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta

import pytest
from tests.memroos_memory.work.conftest import SERVICE, VIEWER, Service, said

from memroos_contracts.errors import NotFound, StorageFull
from memroos_contracts.memory_errors import EmbedderFailed, IndexUnavailable, ModelFailed
from memroos_contracts.memory_work import JobLabel, JobState, WaitRequest
from memroos_kit.clock import ManualClock
from memroos_kit.db import Database, Tx
from memroos_kit.stopping import Stopping
from memroos_memory import jobs, work
from memroos_memory.jobs import Taken

SOON = jobs.Plan(attempts_max=3, backoff_s=0.0)


async def working(worker: work.Worker, story: Callable[[], Awaitable[None]]) -> None:
    """Let a worker work while a story is told."""
    stopping = Stopping()
    async with asyncio.TaskGroup() as group:
        group.create_task(worker.run(stopping))
        try:
            async with asyncio.timeout(10):
                await story()
        finally:
            stopping.set()


async def until(happened: Callable[[], bool]) -> None:
    """Look again and again until something has happened."""
    for _ in range(1_000):
        if happened():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it did not happen")


async def idle(db: Database, bell: jobs.Bell, wait_s: float = 10.0) -> None:
    report = await work.wait_idle(db, bell, VIEWER, WaitRequest(wait_s=wait_s), stopping=Stopping())
    assert report.idle, report


async def put(db: Database, label: JobLabel = JobLabel.DERIVE, scope_seq: int = 1) -> str:
    return await db.write(SERVICE, jobs.enqueue, label, scope_seq=scope_seq)


def test_a_running_worker_is_woken_by_what_comes_into_line(service: Service) -> None:
    async def story() -> None:
        await asyncio.sleep(0.05)
        started = asyncio.get_running_loop().time()
        await work.ingest(service.db, [said(n, f"I live in city {n}.") for n in range(1, 10)])
        await idle(service.db, service.bell)
        assert asyncio.get_running_loop().time() - started < 4.5, "it waited for its next look"

    asyncio.run(working(service.worker(), story))

    assert len(service.facts()) == 9
    assert service.vectors == 18
    assert asyncio.run(service.index.count()) == 18


def test_a_job_that_fails_is_tried_again_and_becomes_a_dead_letter_that_can_be_replayed(service: Service) -> None:
    tries: list[int] = []
    mended = False

    async def fails(job: Taken) -> None:
        tries.append(job.attempts)
        if not mended:
            raise EmbedderFailed("The embedder does not answer.", reason="refused")

    worker = work.Worker(service.db, {JobLabel.DERIVE: fails}, plan=SOON, bell=service.bell)
    service.take(said(1, "I live in Oslo."))

    async def story() -> None:
        nonlocal mended
        await until(lambda: service.counts.dead == 1)
        (dead,) = (await service.db.read(SERVICE, jobs.list_jobs, VIEWER, state=JobState.DEAD)).items
        assert (dead.attempts, dead.error) == (3, "The embedder does not answer. (refused)")
        mended = True
        await service.db.write(SERVICE, jobs.replay, VIEWER, dead.id)
        await until(lambda: service.db.read_now(SERVICE, jobs.get_job, VIEWER, dead.id).state is JobState.DONE)

    asyncio.run(working(worker, story))

    assert tries == [0, 1, 2, 0]


def test_a_foreign_error_is_not_shown_to_whoever_reads_the_line(service: Service) -> None:
    async def breaks(_: Taken) -> None:
        raise ValueError("the password is hunter2")

    service.take(said(1, "I live in Oslo."))
    worker = work.Worker(service.db, {JobLabel.DERIVE: breaks}, plan=jobs.Plan(attempts_max=1))

    asyncio.run(worker.step([JobLabel.DERIVE]))

    (dead,) = service.db.read_now(SERVICE, jobs.list_jobs, VIEWER, state=JobState.DEAD).items
    assert dead.error == "ValueError; the log says more."


def test_jobs_that_fail_together_are_tried_alone_so_one_bad_text_holds_up_nobody(service: Service) -> None:
    done: list[str] = []

    async def embed(taken: Sequence[Taken]) -> None:
        if any(job.scope_seq == 2 for job in taken):
            raise EmbedderFailed(reason="too long")
        done.extend(job.id for job in taken)

    async def story() -> None:
        worker = work.Worker(service.db, {}, together={JobLabel.EMBED: embed}, plan=SOON)
        good = [await put(service.db, JobLabel.EMBED, scope) for scope in (1, 2, 3)]
        await worker.step([JobLabel.EMBED])
        assert done == [good[0], good[2]]

    asyncio.run(story())

    assert service.counts.waiting == 1


AWAY = (
    IndexUnavailable("The graph's server does not answer.", index="graph"),
    EmbedderFailed("No connection.", reason="no connection", away=True),
    StorageFull(),
)


@pytest.mark.parametrize("error", AWAY, ids=lambda error: error.slug())
def test_an_outage_of_any_length_makes_no_dead_letters_and_what_waited_is_done_after_it(
    service: Service, clock: ManualClock, error: Exception
) -> None:
    asked = 0
    done: list[str] = []
    back = False

    async def follow(taken: Sequence[Taken]) -> None:
        nonlocal asked
        asked += 1
        if not back:
            raise error
        done.extend(job.id for job in taken)

    async def story() -> None:
        nonlocal back
        worker = work.Worker(service.db, {}, together={JobLabel.GRAPH: follow}, plan=jobs.Plan(attempts_max=2))
        waiting = {await put(service.db, JobLabel.GRAPH, scope) for scope in range(1, 21)}
        for _ in range(600):
            await worker.step([JobLabel.GRAPH])
            clock.advance(seconds=1)
        assert (service.counts.waiting, service.counts.dead) == (20, 0)
        assert asked < 120, "what is away is asked again and again"
        back = True
        clock.advance(seconds=30)
        while await worker.step([JobLabel.GRAPH]):
            clock.advance(seconds=30)
        assert set(done) == waiting

    asyncio.run(story())

    assert service.rows("SELECT DISTINCT state, attempts, error FROM job") == [("done", 0, "")]


def test_what_waits_for_something_away_says_so_and_other_work_of_its_lane_goes_on(service: Service) -> None:
    derived = asyncio.Event()

    async def away(taken: Sequence[Taken]) -> None:
        raise IndexUnavailable("The graph's server does not answer.", index="graph")

    async def derive(_: Taken) -> None:
        derived.set()

    async def story() -> None:
        service.take(said(1, "I live in Oslo."))
        await until(lambda: service.rows("SELECT error FROM job WHERE label = 'graph'") != [("",)])
        await derived.wait()
        waiting = (await service.db.read(SERVICE, jobs.list_jobs, VIEWER, state=JobState.WAITING)).items
        (graph,) = [job for job in waiting if job.label is JobLabel.GRAPH]
        assert (graph.attempts, graph.error) == (0, "The graph's server does not answer.")
        assert graph.not_before is not None

    handles = {JobLabel.DERIVE: derive}
    asyncio.run(working(work.Worker(service.db, handles, together={JobLabel.GRAPH: away}, bell=service.bell), story))


def test_a_job_that_alone_cannot_be_done_while_others_are_becomes_a_dead_letter(
    service: Service, clock: ManualClock
) -> None:
    async def follow(taken: Sequence[Taken]) -> None:
        if any(job.scope_seq == 2 for job in taken):
            raise IndexUnavailable("The index failed: such a point cannot be kept.", index="vector")

    async def story() -> None:
        worker = work.Worker(service.db, {}, together={JobLabel.VECTOR: follow}, plan=jobs.Plan(attempts_max=2))
        await put(service.db, JobLabel.VECTOR, 2)
        for _ in range(400):
            await put(service.db, JobLabel.VECTOR, 1)
            await worker.step([JobLabel.VECTOR])
            clock.advance(seconds=1)
            if service.counts.dead:
                return
        raise AssertionError("it is tried for ever")

    asyncio.run(story())


def test_a_model_that_does_not_answer_is_a_failure_that_counts(service: Service, clock: ManualClock) -> None:
    async def extract(_: Taken) -> None:
        raise ModelFailed("No answer.", reason="timeout")

    async def story() -> None:
        worker = work.Worker(service.db, {JobLabel.EXTRACT: extract}, plan=SOON)
        await put(service.db, JobLabel.EXTRACT)
        for _ in range(3):
            assert await worker.step([JobLabel.EXTRACT])
            clock.advance(seconds=1)

    asyncio.run(story())

    assert service.counts.dead == 1


def test_several_jobs_are_embedded_in_one_call(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []
    embedder = service.embedder.now()
    embed = embedder.embed

    async def counted(texts: Sequence[str]) -> object:
        calls.append(len(texts))
        return await embed(texts)

    monkeypatch.setattr(embedder, "embed", counted)
    for n in range(1, 11):
        service.take(said(n, f"I live in city {n}."))

    service.do([JobLabel.EMBED])

    assert calls == [10]


def test_a_worker_that_stops_gives_back_what_it_has_not_done(service: Service) -> None:
    begun = asyncio.Event()

    async def slow(_: Taken) -> None:
        begun.set()
        await asyncio.sleep(60)

    async def story() -> None:
        await put(service.db)
        await begun.wait()

    asyncio.run(working(work.Worker(service.db, {JobLabel.DERIVE: slow}, bell=service.bell), story))

    assert (service.counts.waiting, service.counts.running) == (1, 0)
    (job,) = service.db.write_now(SERVICE, jobs.take, limit=1, lease_s=1)
    assert job.attempts == 0


def test_what_was_running_when_the_process_died_is_done_by_the_next(service: Service) -> None:
    done: list[str] = []

    async def do(job: Taken) -> None:
        done.append(job.id)

    async def story() -> None:
        await until(lambda: service.counts.running + service.counts.waiting == 0)

    left = service.db.write_now(SERVICE, jobs.enqueue, JobLabel.DERIVE, scope_seq=1)
    service.db.write_now(SERVICE, jobs.take, limit=1, lease_s=3_600)

    asyncio.run(working(work.Worker(service.db, {JobLabel.DERIVE: do}), story))

    assert done == [left]


def test_slow_work_of_one_kind_does_not_hold_up_another(service: Service) -> None:
    embedded = asyncio.Event()

    async def model(_: Taken) -> None:
        await embedded.wait()

    async def embed(_: Taken) -> None:
        embedded.set()

    async def story() -> None:
        await put(service.db, JobLabel.EXTRACT)
        await asyncio.sleep(0.05)
        await put(service.db, JobLabel.EMBED)
        await until(lambda: service.counts.running + service.counts.waiting == 0)

    handles = {JobLabel.EXTRACT: model, JobLabel.EMBED: embed}
    asyncio.run(working(work.Worker(service.db, handles, bell=service.bell), story))


def test_a_full_disk_ends_no_worker(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []
    take = jobs.take
    full = 2

    def sometimes_full(*args: object, **kwargs: object) -> list[Taken]:
        nonlocal full
        full -= 1
        if full >= 0:
            raise StorageFull
        return take(*args, **kwargs)  # type: ignore[arg-type]  # passed on

    async def do(job: Taken) -> None:
        done.append(job.id)

    async def story() -> None:
        job_id = await put(service.db)
        await until(lambda: done == [job_id])

    monkeypatch.setattr(jobs, "take", sometimes_full)
    monkeypatch.setattr(work.worker, "AFTER_TROUBLE_S", 0.01)
    asyncio.run(working(work.Worker(service.db, {JobLabel.DERIVE: do}, bell=service.bell), story))


def test_waiting_says_what_is_left_when_the_time_is_over_and_knows_no_foreign_scope(service: Service) -> None:
    service.take(said(1, "I live in Oslo."))

    async def wait(scope_id: str | None) -> object:
        request = WaitRequest(wait_s=0.05, scope_id=scope_id)
        return await work.wait_idle(service.db, service.bell, VIEWER, request, stopping=Stopping())

    scope_id = service.events()[0].scope_id
    for asked in (None, scope_id):
        report = asyncio.run(wait(asked))
        assert (report.idle, report.jobs.waiting) == (False, 3)  # type: ignore[attr-defined]  # a WaitReport
    with pytest.raises(NotFound):
        asyncio.run(wait("scp_none"))
    service.do()
    assert asyncio.run(wait(scope_id)).idle  # type: ignore[attr-defined]


def test_whoever_waits_is_let_go_when_the_process_ends(service: Service) -> None:
    service.take(said(1, "I live in Oslo."))

    async def story() -> None:
        stopping = Stopping()
        request = WaitRequest(wait_s=60)
        async with asyncio.timeout(5), asyncio.TaskGroup() as group:
            waiting = group.create_task(work.wait_idle(service.db, service.bell, VIEWER, request, stopping=stopping))
            await asyncio.sleep(0.05)
            stopping.set()
        assert not waiting.result().idle

    asyncio.run(story())


def test_what_is_old_is_forgotten_while_the_worker_works_however_much_it_is(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    def much_is_done(tx: Tx) -> None:
        for _ in range(2_500):
            jobs.enqueue(tx, JobLabel.DERIVE, scope_seq=1)
        for job in jobs.take(tx, limit=2_500, lease_s=60):
            jobs.finish(tx, job)

    service.db.write_now(SERVICE, much_is_done)
    monkeypatch.setattr(work.worker, "KEEP_DONE", timedelta(seconds=-1))
    monkeypatch.setattr(work.worker, "UPKEEP_S", 0.01)

    async def story() -> None:
        await until(lambda: service.rows("SELECT count(*) FROM job") == [(0,)])

    asyncio.run(working(work.Worker(service.db, {}), story))


def test_the_lease_of_work_that_takes_long_is_extended(
    service: Service, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(work.worker, "UPKEEP_S", 0.01)
    ended: list[int] = []

    async def slow(job: Taken) -> None:
        for _ in range(4):
            clock.advance(seconds=50)
            await asyncio.sleep(0.05)
        ended.append(job.token)

    async def story() -> None:
        await put(service.db)
        await until(lambda: ended != [] and service.counts.running == 0)

    handles = {JobLabel.DERIVE: slow}
    asyncio.run(working(work.Worker(service.db, handles, bell=service.bell, lease_s=120), story))

    assert ended == [1]
    assert service.rows("SELECT state, attempts FROM job") == [("done", 0)]
