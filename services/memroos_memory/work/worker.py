"""Does what is in line, until told to stop."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import timedelta
from typing import NamedTuple

from memroos_contracts import errors
from memroos_contracts.errors import MemroosError
from memroos_contracts.memory_errors import EmbedderFailed, IndexUnavailable
from memroos_contracts.memory_work import JobLabel
from memroos_kit import log
from memroos_kit.clock import to_micros
from memroos_kit.db import Database, Tx
from memroos_kit.stopping import Stopping
from memroos_memory import jobs
from memroos_memory.actor import SERVICE
from memroos_memory.jobs import Taken

Handle = Callable[[Taken], Awaitable[None]]
"""Does one job; raises where it cannot. It may be done again, so it is safe to repeat."""

HandleAll = Callable[[Sequence[Taken]], Awaitable[None]]
"""Does several jobs of one kind at once: all of them, or it raises; then each is tried alone."""

LONGEST_REST_S = 5.0
AFTER_TROUBLE_S = 1.0
KEEP_DONE = timedelta(minutes=10)
UPKEEP_S = 30.0
BETWEEN_CHUNKS_S = 0.02
"""So that others get their turn at the writer while much is forgotten."""

_log = log.get(__name__)


class Lane(NamedTuple):
    """Kinds of work that wait for each other, and for no others."""

    labels: tuple[JobLabel, ...]
    at_once: int
    """Jobs that are taken together."""


class _Away(NamedTuple):
    """What a kind of work needs is away: it is not tried again before an instant, in microseconds."""

    times: int
    until: int


LANES = (
    Lane((JobLabel.EMBED,), 16),
    Lane((JobLabel.VECTOR, JobLabel.DERIVE, JobLabel.GRAPH), 16),
    Lane((JobLabel.EXTRACT,), 4),
    Lane((JobLabel.REINDEX, JobLabel.REEMBED), 1),
)


class Worker:
    """Takes jobs out of the line and does them.

    The only one over its database: what is running when it starts was interrupted.

    Args:
        db: the service's database.
        handles: how each kind of work is done, one job at a time.
        together: how several jobs of a kind are done at once.
        plan: how often a job is tried.
        lease_s: how long a job is held; a living handler's is extended.
        bell: rings when jobs come into line; without one the worker looks every few seconds, or when it is woken.
        upkeep: verbs that forget some of what is old and say how much, called now and then until there is no more.
    """

    def __init__(  # noqa: PLR0913 - a composition root's constructor
        self,
        db: Database,
        handles: Mapping[JobLabel, Handle],
        *,
        together: Mapping[JobLabel, HandleAll] | None = None,
        plan: jobs.Plan | None = None,
        lease_s: float = 120.0,
        bell: jobs.Bell | None = None,
        upkeep: Sequence[Callable[[Tx], int]] = (),
    ) -> None:
        self._db = db
        self._handles = handles
        self._together = together or {}
        self._plan = plan or jobs.Plan()
        self._lease_s = lease_s
        self._bell = bell
        self._upkeep = upkeep
        self._held: dict[tuple[int, int], Taken] = {}
        self._away: dict[JobLabel, _Away] = {}
        self._turns = jobs.Turns()
        self._lines: list[asyncio.Event] = []
        self._loop: asyncio.AbstractEventLoop | None = None

    def wake(self) -> None:
        """Look at the line now; from any thread."""
        loop = self._loop
        if loop is not None and not loop.is_closed():
            loop.call_soon_threadsafe(self._look)

    def _look(self) -> None:
        for line in self._lines:
            line.set()

    async def run(self, stopping: Stopping) -> None:
        """Work until told to stop; what is not done then is given back."""
        self._loop = asyncio.get_running_loop()
        await self._recover(stopping)
        doing = [lane for lane in map(self._known, LANES) if lane.labels]
        self._lines = [asyncio.Event() for _ in doing]
        bell = self._bell or jobs.Bell()
        with bell.calling(self.wake):
            async with asyncio.TaskGroup() as group:
                for lane, line in zip(doing, self._lines, strict=True):
                    group.create_task(self._work(lane, line, stopping))
                group.create_task(self._keep(stopping))

    async def step(self, labels: Sequence[JobLabel], limit: int = 16) -> int:
        """Take what is due of some kinds and do it; return how many jobs that were. For tests and commands."""
        taken = await self._take(Lane(tuple(labels), limit))
        await self._do_all(taken)
        return len(taken)

    def _known(self, lane: Lane) -> Lane:
        labels = tuple(label for label in lane.labels if label in self._handles or label in self._together)
        return lane._replace(labels=labels)

    async def _recover(self, stopping: Stopping) -> None:
        while not stopping.is_set():
            try:
                while await self._db.write(SERVICE, jobs.recover_interrupted):
                    pass
            except Exception:  # noqa: BLE001 - a full disk at the start: nothing is taken before this is done
                _log.exception("work.recovery_failed")
                await stopping.first(stopping.wait(), timeout_s=AFTER_TROUBLE_S)
            else:
                return

    async def _work(self, lane: Lane, line: asyncio.Event, stopping: Stopping) -> None:
        while not stopping.is_set():
            line.clear()
            rest = 0.0
            try:
                taken = await self._take(lane)
                if taken:
                    await stopping.first(self._do_all(taken))
                else:
                    rest = await self._rest(lane)
            except Exception:  # noqa: BLE001 - the loop outlives a full disk; what is in line stays there
                _log.exception("work.failed", labels=list(lane.labels))
                line.clear()
                rest = AFTER_TROUBLE_S
            finally:
                await self._give_back(lane)
            if rest:
                await stopping.first(line.wait(), timeout_s=rest)

    async def _take(self, lane: Lane) -> list[Taken]:
        labels = self._labels_to_try(lane)
        if not labels:
            return []
        taken = await self._db.write(
            SERVICE, jobs.take, limit=lane.at_once, lease_s=self._lease_s, labels=labels, turns=self._turns
        )
        self._held |= {(job.seq, job.token): job for job in taken}
        return taken

    async def _rest(self, lane: Lane) -> float:
        """Return how long there is nothing to do."""
        labels = self._labels_to_try(lane)
        due = [self._away[label].until for label in lane.labels if label not in labels]
        next_due = await self._db.read(SERVICE, jobs.next_due, labels) if labels else None
        if next_due is not None:
            due.append(next_due)
        if not due:
            return LONGEST_REST_S
        return min(LONGEST_REST_S, max(0.01, (min(due) - self._now()) / 1_000_000))

    def _labels_to_try(self, lane: Lane) -> tuple[JobLabel, ...]:
        """Return the kinds of work that nothing is known to be away for."""
        now = self._now()
        return tuple(label for label in lane.labels if label not in self._away or self._away[label].until <= now)

    def _now(self) -> int:
        return to_micros(self._db.clock.now())

    # -- doing ---------------------------------------------------------------------------------------------------

    async def _do_all(self, taken: Sequence[Taken]) -> None:
        """Do jobs: those of a kind together where that is possible, others by scope side by side."""
        for label in dict.fromkeys(job.label for job in taken):
            some = [job for job in taken if job.label is label]
            served: set[JobLabel] = set()
            if len(some) > 1 and label in self._together:
                error = await self._try_together(label, some)
                if error is None:
                    continue
                if is_outage(error):  # one is tried alone, for the others: it may be what cannot be done
                    first, some = some[:1], some[1:]
                    if not await self._do_in_turn(first, served):
                        await self._put_off(some, error)
                        continue
            scopes = {job.scope_seq: [one for one in some if one.scope_seq == job.scope_seq] for job in some}
            async with asyncio.TaskGroup() as group:
                for own in scopes.values():
                    group.create_task(self._do_in_turn(own, served))

    async def _try_together(self, label: JobLabel, some: Sequence[Taken]) -> Exception | None:
        try:
            await self._together[label](some)
        except Exception as error:  # noqa: BLE001 - one of them may be at fault: each is tried alone
            _log.debug("work.not_together", label=label, jobs=len(some), reason=_said(error))
            return error
        await self._db.write(SERVICE, _finish_all, some)
        self._answered(label)
        for job in some:
            self._held.pop((job.seq, job.token), None)
        return None

    async def _do_in_turn(self, own: Sequence[Taken], served: set[JobLabel]) -> bool:
        """Do jobs one after the other; return False where what they need is away, and the rest was put off.

        Args:
            own: of one kind.
            served: their kind, once one of them was done: then nothing is away, and the job is at fault that says so.
        """
        for at, job in enumerate(own):
            try:
                await self._do(job)
            except Exception as error:  # noqa: BLE001 - whatever breaks, the job is tried again or becomes a dead letter
                if is_outage(error) and job.label not in served:
                    await self._put_off(own[at:], error)
                    return False
                await self._settle(job, error)
            else:
                served.add(job.label)
                await self._settle(job, None)
        return True

    async def _do(self, job: Taken) -> None:
        if job.label in self._handles:
            await self._handles[job.label](job)
        else:
            await self._together[job.label]([job])

    async def _settle(self, job: Taken, error: Exception | None) -> None:
        """Write down how a job ended; one that its handler finished already is left so."""
        if error is None:
            await self._db.write(SERVICE, jobs.finish, job)
            self._answered(job.label)
        elif not isinstance(error, jobs.LeaseLost):
            if not isinstance(error, MemroosError):
                _log.error("work.broke", job=job.id, label=job.label, exc_info=error)
            if await self._db.write(SERVICE, jobs.fail, job, _said(error), self._plan):
                _log.warning("work.dead_letter", job=job.id, label=job.label, reason=_said(error))
        self._held.pop((job.seq, job.token), None)

    async def _put_off(self, some: Sequence[Taken], error: Exception) -> None:
        """Put jobs back until what is away may be back, and take no others of their kind meanwhile."""
        if not some:
            return
        times = self._closed(some[0].label, error)
        await self._db.write(SERVICE, jobs.put_off, some, _said(error), self._plan, outages=times)
        for job in some:
            self._held.pop((job.seq, job.token), None)

    def _closed(self, label: JobLabel, error: Exception) -> int:
        """Take note that what a kind of work needs is away; return how often in a row it was."""
        away = self._away.get(label)
        now = self._now()
        if away is not None and away.until > now:  # of another scope, a moment ago
            return away.times
        times = 1 if away is None else away.times + 1
        pause = jobs.pause_of_outage(self._plan, times)
        self._away[label] = _Away(times, now + int(pause.total_seconds() * 1_000_000))
        if times == 1:
            _log.warning("work.waits", label=label, reason=_said(error))
        return times

    def _answered(self, label: JobLabel) -> None:
        away = self._away.pop(label, None)
        if away is not None:
            _log.info("work.goes_on", label=label, outages=away.times)

    # -- upkeep --------------------------------------------------------------------------------------------------

    async def _give_back(self, lane: Lane) -> None:
        """Give back what was taken and not done, because the process ends or the disk is full."""
        rest = [job for job in self._held.values() if job.label in lane.labels]
        if not rest:
            return
        try:
            await self._db.write(SERVICE, jobs.release, rest)
        except Exception:  # noqa: BLE001 - they stay held, and are given back later, or the next start finds them
            _log.warning("work.not_given_back", jobs=len(rest))
            return
        for job in rest:
            self._held.pop((job.seq, job.token), None)

    async def _keep(self, stopping: Stopping) -> None:
        """Extend the leases of what is being done, recover those that ran out, forget what is old."""
        pause = min(UPKEEP_S, self._lease_s / 3)
        while not stopping.is_set():
            await stopping.first(stopping.wait(), timeout_s=pause)
            try:
                await self._db.write(SERVICE, jobs.extend, list(self._held.values()), lease_s=self._lease_s)
                await self._db.write(SERVICE, jobs.recover_expired, self._plan)
                for verb in (_forget_done, *self._upkeep):
                    while await self._db.write(SERVICE, verb) and not stopping.is_set():
                        await stopping.first(stopping.wait(), timeout_s=BETWEEN_CHUNKS_S)
            except Exception:  # noqa: BLE001 - the loop outlives a full disk
                _log.exception("work.upkeep_failed")


def _forget_done(tx: Tx) -> int:
    return jobs.forget_done(tx, KEEP_DONE)


def _finish_all(tx: Tx, some: Sequence[Taken]) -> None:
    for job in some:
        jobs.finish(tx, job)


def is_outage(error: Exception) -> bool:
    """Whether something else is away, which is no fault of the job that noticed it: such a job waits."""
    if isinstance(error, EmbedderFailed):
        return bool(error.facts.get("away"))
    return isinstance(error, IndexUnavailable | errors.StorageFull | errors.Stopping)


def _said(error: Exception) -> str:
    """Return what to write down about a failure: our own words, or the kind of a foreign one; the log has the rest."""
    if isinstance(error, MemroosError):
        reason = error.facts.get("reason")
        return f"{error.detail} ({reason})" if reason and str(reason) not in error.detail else error.detail
    return f"{type(error).__name__}; the log says more."
