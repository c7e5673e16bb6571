"""`memroos memory stats`, `jobs`, `dead-letters`, `replay`, `reindex`, `wait`: the service's own work."""

import time

import click

from memroos.cli.failures import Failure
from memroos.cli.options import Kernel, OneOf, limit_option, page, remote
from memroos.cli.output import Column, Progress, size, when
from memroos_client.calls import memory as calls
from memroos_contracts.memory_work import (
    Index,
    JobState,
    JobView,
    MemoryStats,
    ReindexRequest,
    WaitReport,
    WaitRequest,
)


def _done(job: JobView) -> str:
    """Say how far it is; of work on a whole index, in percent."""
    if not job.items:
        return ""
    return f"{job.done}/{job.items}" if job.scope_id else f"{job.done} %"


JOBS: list[Column[JobView]] = [
    Column("id", lambda job: job.id),
    Column("what", lambda job: job.label),
    Column("state", lambda job: job.state),
    Column("done", _done),
    Column("attempts", lambda job: str(job.attempts)),
    Column("changed", lambda job: when(job.updated_at)),
    Column("error", lambda job: job.error, shrinks=True),
]
_LONGEST_WAIT_S = 60.0
_LOOK_EVERY_S = 0.2


@click.command("stats")
@remote
def stats_command(kernel: Kernel) -> None:
    """Show how memory stands. Exit 1 says that the memory service does not answer."""
    stats = kernel.run(calls.stats())
    kernel.out.facts(stats, _facts(stats))
    if not stats.ready:
        raise Failure("The memory service is not ready.", stats.detail or "`memroos status` shows what runs.")


def _facts(stats: MemoryStats) -> list[tuple[str, str]]:
    jobs = stats.jobs
    return [
        ("ready", "yes" if stats.ready else "no"),
        ("detail", stats.detail),
        ("items", f"{stats.items} in {stats.scopes} scopes"),
        ("kinds", ", ".join(f"{count} {kind}" for kind, count in stats.by_kind.items() if count)),
        ("superseded", str(stats.superseded or "")),
        ("contested", str(stats.contested or "")),
        ("jobs", f"{jobs.waiting} waiting, {jobs.running} running, {jobs.dead} dead" if jobs else ""),
        ("not yet handed over", str(stats.pending or "")),
        (
            "indexes",
            "\n".join(
                f"{one.index}: {'ready' if one.ready else 'not ready'}, {one.items} items"
                f"{f' ({one.detail})' if one.detail else ''}"
                for one in stats.indexes
            ),
        ),
        (
            "embedders",
            "\n".join(f"{one.identity}: {one.state}, {one.vectors} vectors" for one in stats.embedders),
        ),
        ("ways of finding", ", ".join(stats.arms)),
        ("facts by", stats.model or "rules"),
        ("on disk", f"{size(stats.database_bytes)}, indexes {size(stats.index_bytes)}"),
    ]


@click.command("jobs")
@click.option("--state", type=OneOf(JobState), help="Only jobs in this state.")
@limit_option
@remote
def jobs_command(kernel: Kernel, state: JobState | None, most: int) -> None:
    """List the service's work, the newest first."""
    kernel.listing(calls.jobs(state=state, limit=page(most)), JOBS, most=most, empty="No work.")


@click.command("dead-letters")
@limit_option
@remote
def dead_letters_command(kernel: Kernel, most: int) -> None:
    """List the work that could not be done. `replay` puts it back into line."""
    call = calls.jobs(state=JobState.DEAD, limit=page(most))
    kernel.listing(call, JOBS, most=most, empty="No dead letters.")


@click.command("replay")
@click.argument("job", default="")
@remote
def replay_command(kernel: Kernel, job: str) -> None:
    """Put the dead letter JOB back into line, or all of them."""
    report = kernel.run(calls.replay(job))
    kernel.out.facts(report, [("put back", str(report.replayed))])


@click.command("reindex")
@click.argument("indexes", nargs=-1, type=OneOf(Index))
@click.option("--detach", is_flag=True, help="Return at once; `memroos memory jobs` shows how far it is.")
@remote
def reindex_command(kernel: Kernel, indexes: tuple[Index, ...], detach: bool) -> None:
    """Make INDEXES anew out of the truth, or all of them. They are lexical, vector and graph, and answer meanwhile."""
    job = kernel.run(calls.reindex(ReindexRequest(indexes)))
    if not detach:
        job = _follow(kernel, job)
    kernel.out.facts(
        job,
        [
            ("job", job.id),
            ("state", job.state),
            ("done", _done(job)),
            ("error", job.error),
        ],
    )
    if job.state is JobState.DEAD:
        raise Failure("The indexes could not be made anew.", f"`memroos memory replay {job.id}` tries again.")


def _follow(kernel: Kernel, job: JobView) -> JobView:
    progress = Progress()
    try:
        while job.state not in (JobState.DONE, JobState.DEAD):
            progress("making indexes anew", job.done, job.items)
            time.sleep(_LOOK_EVERY_S)
            job = kernel.run(calls.job(job.id))
    finally:
        progress.end()
    return job


@click.command("wait")
@click.option("--timeout-s", type=click.FloatRange(0), default=60.0, show_default=True, help="Longest wait.")
@click.option("--scope", default=None, metavar="ID", help="Only for the work of this scope.")
@remote
def wait_command(kernel: Kernel, timeout_s: float, scope: str | None) -> None:
    """Wait until everything is handed over and worked off. Exit 1 says that it was not in time."""
    report = wait_idle(kernel, timeout_s=timeout_s, scope=scope)
    jobs = report.jobs
    kernel.out.facts(
        report,
        [
            ("idle", "yes" if report.idle else "no"),
            ("jobs", f"{jobs.waiting} waiting, {jobs.running} running, {jobs.dead} dead"),
            ("not yet handed over", str(report.pending or "")),
        ],
    )
    if not report.idle:
        raise Failure("There is still work to do.", "`memroos memory jobs` shows it.")


def wait_idle(
    kernel: Kernel, *, timeout_s: float, scope: str | None = None, progress: Progress | None = None
) -> WaitReport:
    """Wait until the memory service has nothing to do, or the time is over."""
    until = time.monotonic() + timeout_s
    most = 0
    while True:
        left = until - time.monotonic()
        step_s = min(max(left, 0.0), _LONGEST_WAIT_S if progress is None else 1.0)
        report = kernel.run(calls.wait(WaitRequest(wait_s=step_s, scope_id=scope)))
        if report.idle or time.monotonic() >= until:
            return report
        if progress is not None:
            still = report.pending + report.jobs.waiting + report.jobs.running
            most = max(most, still)
            progress("working it off", most - still, most)
