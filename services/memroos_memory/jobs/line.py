"""The line of work: what comes into it, who takes what out of it, and how that ends.

Work is done at least once. A lease is given with a token; whoever lost the lease can neither finish nor fail the job.
A verb that does a job's work in the database calls `finish` in the same transaction: done and finished are then one.
"""

from collections.abc import Collection, Iterable, Sequence
from datetime import timedelta
from typing import Any

import msgspec

from memroos_contracts.memory_work import JobLabel
from memroos_kit.clock import to_micros
from memroos_kit.db import Read, Tx
from memroos_memory.jobs import rules
from memroos_memory.jobs import statements as sql
from memroos_memory.jobs.bell import JOURNAL
from memroos_memory.jobs.words import PER_ITEM, PRIORITY, LeaseLost, Plan, Taken

SCOPES_MAX = 256
"""Scopes that are looked at for one taking; the next begins after them."""

ERROR_CHARACTERS = 500

ITEMS_MAX = 128
"""Items of one job; more become several."""

GATHERED_MAX = 32
"""Items that come together in a job that waits. It bounds how long others wait while one such job is done."""


class Turns:
    """Whose turn it is: the scope that was served last, by kind of work. Lost with the process, at no harm."""

    def __init__(self) -> None:
        self.last: dict[tuple[JobLabel, int], int] = {}


def enqueue(
    tx: Tx,
    label: JobLabel,
    *,
    scope_seq: int = 0,
    items: Sequence[int] = (),
    payload: dict[str, Any] | None = None,
    priority: int | None = None,
) -> str:
    """Put a job into line, in the transaction of what it follows from; return its id.

    Args:
        label: what it does.
        scope_seq: whose it is; 0 for work on a whole index. Such a job names its workspace in the payload.
        items: what it is about, by `seq`.
        payload: what else its work needs to know.
        priority: its place; the label's own where left out.
    """
    job_id = tx.new_id("job")
    tx.execute(
        sql.INSERT,
        id=job_id,
        label=label.value,
        priority=PRIORITY[label] if priority is None else priority,
        scope_seq=scope_seq,
        state="waiting",
        items=msgspec.json.encode(items).decode(),
        payload=None if payload is None else msgspec.json.encode(payload).decode(),
        done=0,
        attempts=0,
        error="",
        not_before=to_micros(tx.now),
        lease_until=None,
        token=0,
        created_at=to_micros(tx.now),
        updated_at=to_micros(tx.now),
    )
    _announce(tx)
    return job_id


def enqueue_items(tx: Tx, label: JobLabel, scope_seq: int, items: Sequence[int]) -> None:
    """Put work on items of a scope into line: with what waits there for the same work already, or as jobs of its own.

    So a line that grows, because much comes in a little for each of many scopes, grows in longer jobs, not in more.
    """
    if label in PER_ITEM:
        items = _gather(tx, label, scope_seq, items)
    for start in range(0, len(items), ITEMS_MAX):
        enqueue(tx, label, scope_seq=scope_seq, items=items[start : start + ITEMS_MAX])


def _gather(tx: Tx, label: JobLabel, scope_seq: int, items: Sequence[int]) -> Sequence[int]:
    """Add items to the newest job that waits for its first try, as far as there is room; return the others."""
    row = tx.execute(sql.NEWEST, label=label.value, priority=PRIORITY[label], scope=scope_seq).fetchone()
    if row is None:
        return items
    seq, there = row[0], msgspec.json.decode(row[1], type=list[int])
    room = max(0, GATHERED_MAX - len(there))
    together = list(dict.fromkeys((*there, *items[:room])))
    tx.execute(sql.GATHER, seq=seq, items=msgspec.json.encode(together).decode(), now=to_micros(tx.now))
    return items[room:]


def take(
    tx: Tx,
    *,
    limit: int,
    lease_s: float,
    labels: Collection[JobLabel] = tuple(JobLabel),
    turns: Turns | None = None,
) -> list[Taken]:
    """Hand out what is due: the most urgent first, and within that one of each scope in turn.

    Args:
        limit: how many at most.
        lease_s: how long they are held; after that somebody else gets them.
        labels: which kinds of work are asked for.
        turns: where the last taking ended; it is moved on.
    """
    turns = turns or Turns()
    chosen: list[int] = []
    for level in sorted(_levels(tx, labels)):
        if len(chosen) >= limit:
            break
        chosen += _due(tx, level, limit - len(chosen), turns)
    until = to_micros(tx.now + timedelta(seconds=lease_s))
    return [_taken(tx.execute(sql.LEASE, seq=seq, until=until, now=to_micros(tx.now)).fetchone()) for seq in chosen]


def _levels(tx: Read, labels: Collection[JobLabel]) -> Iterable[tuple[int, JobLabel]]:
    for label in labels:
        row = tx.execute(sql.LEVEL, label=label.value, after=-(2**62)).fetchone()
        while row is not None:
            yield row[0], label
            row = tx.execute(sql.LEVEL, label=label.value, after=row[0]).fetchone()


def _due(tx: Read, level: tuple[int, JobLabel], most: int, turns: Turns) -> list[int]:
    """Return what is due at one level, one of each scope in turn, beginning after the scope that was served last."""
    priority, label = level
    of_level: dict[str, Any] = {"label": label.value, "priority": priority}
    last = turns.last.get((label, priority), -1)
    after = [row[0] for row in tx.execute(sql.SCOPES, **of_level, after=last, most=SCOPES_MAX).fetchall()]
    around = tx.execute(sql.SCOPES, **of_level, after=-1, most=SCOPES_MAX).fetchall() if len(after) < SCOPES_MAX else []
    lines: dict[int, list[int]] = {}
    for scope in dict.fromkeys((*after, *(row[0] for row in around))):
        due = tx.execute(sql.DUE, **of_level, scope=scope, now=to_micros(tx.now), most=most).fetchall()
        if due:
            lines[scope] = [row[0] for row in due]
        turns.last[label, priority] = scope
        if len(lines) == most:
            break
    chosen = rules.in_turn(lines, most)
    if chosen:
        turns.last[label, priority] = chosen[-1][0]
    return [seq for _, seq in chosen]


def finish(tx: Tx, job: Taken) -> bool:
    """Say that a job is done; return False where somebody else has it by now, and nothing may be done for it.

    Called first in the verb that does the job's work, it makes sure that the work is done once.
    """
    held = tx.execute(sql.FINISH, seq=job.seq, token=job.token, now=to_micros(tx.now)).rowcount == 1
    if held:
        _announce(tx)
    return held


def progress(tx: Tx, job: Taken, done: int, *, total: int | None = None, lease_s: float = 120.0) -> None:
    """Write down how far a job is, and hold it from now on for a full lease again.

    Args:
        job: as it was taken.
        done: how far it is; whoever takes it after a crash finds this in `Taken.done`.
        total: how much there is, where that is not the number of its items.
        lease_s: the lease.

    Raises:
        LeaseLost: somebody else has it by now; stop.
    """
    until = to_micros(tx.now + timedelta(seconds=lease_s))
    now = to_micros(tx.now)
    held = tx.execute(sql.PROGRESS, seq=job.seq, token=job.token, done=done, total=total, until=until, now=now)
    if held.rowcount != 1:
        raise LeaseLost(job.id)
    _announce(tx)


def extend(tx: Tx, jobs: Sequence[Taken], *, lease_s: float) -> None:
    """Hold jobs for a full lease from now on; those that were lost stay lost."""
    until = to_micros(tx.now + timedelta(seconds=lease_s))
    tx.execute_many(sql.EXTEND, [{"seq": job.seq, "token": job.token, "until": until} for job in jobs])


def fail(tx: Tx, job: Taken, error: str, plan: Plan) -> bool:
    """Put a job that failed back into line, after a pause; after enough attempts it is a dead letter.

    Of many items one may be at fault: they come back as two jobs, again and again, until that one is alone.

    Returns:
        Whether it is dead now. False also where somebody else has it by now.
    """
    attempts = job.attempts + 1
    dead = attempts >= plan.attempts_max
    pause = rules.backoff(attempts, first_s=plan.backoff_s, jitter=plan.jitter())
    if not _put_back(tx, job, error, dead=dead, pause=pause):
        return False
    if not dead and job.label in PER_ITEM:
        _cut(tx, job)
    return dead


def _cut(tx: Tx, job: Taken) -> None:
    """Put the second half of what a job has not done into a job that failed as often, and is tried when it is."""
    (done,) = tx.execute(sql.DONE, seq=job.seq).fetchone()  # as far as it came since it was taken
    half = done + (len(job.items) - done + 1) // 2
    if half >= len(job.items):
        return
    first, second = (msgspec.json.encode(some).decode() for some in (job.items[:half], job.items[half:]))
    tx.execute(sql.CUT, seq=job.seq, items=first)
    tx.execute(sql.OTHER_HALF, seq=job.seq, id=tx.new_id("job"), items=second)


def put_off(tx: Tx, jobs: Sequence[Taken], error: str, plan: Plan, *, outages: int) -> None:
    """Put jobs back into line whose turn comes when something is back that is away now; no failure of theirs.

    Args:
        jobs: as they were taken.
        error: what is away.
        plan: how long the first pause is.
        outages: how often it was found away, in a row, from 1.
    """
    row: dict[str, Any] = {"error": error[:ERROR_CHARACTERS], "now": to_micros(tx.now)}
    for job in jobs:
        again = to_micros(tx.now + pause_of_outage(plan, outages))  # of each its own, so that they come back mixed
        tx.execute(sql.PUT_OFF, **row, seq=job.seq, token=job.token, not_before=again)
    _announce(tx)


def pause_of_outage(plan: Plan, outages: int) -> timedelta:
    """Return how long it is waited before something that was found away so often in a row is asked again."""
    return rules.backoff(outages, first_s=plan.backoff_s, jitter=plan.jitter(), most_s=rules.OUTAGE_MAX_S)


def release(tx: Tx, jobs: Sequence[Taken]) -> None:
    """Give jobs back that were not done, as if they had never been taken."""
    tx.execute_many(sql.RELEASE, [{"seq": job.seq, "token": job.token, "now": to_micros(tx.now)} for job in jobs])
    _announce(tx)


def recover_expired(tx: Tx, plan: Plan, *, most: int = 500) -> int:
    """Put jobs back whose lease ran out: a failure like any other; return how many there were."""
    rows = tx.execute(sql.EXPIRED, now=to_micros(tx.now), most=most).fetchall()
    for row in rows:
        fail(tx, _taken(row), "Nobody said anything until the lease ended.", plan)
    return len(rows)


def recover_interrupted(tx: Tx, *, most: int = 500) -> int:
    """Put back what was running when the process ended; return how many there were. To be called before any taking.

    It was not the job's fault, so it is no failure; but a job that is cut off again and again may be what ends the
    process, and becomes a dead letter.
    """
    rows = tx.execute(sql.RUNNING, most=most).fetchall()
    for row in rows:
        job = _taken(row)
        times = int(job.payload.get("interrupted", 0)) + 1
        dead = times >= rules.INTERRUPTED_MAX
        tx.execute(
            sql.INTERRUPTED,
            seq=job.seq,
            token=job.token,
            state="dead" if dead else "waiting",
            error="The process ended while this was done, again and again." if dead else "",
            times=times,
            now=to_micros(tx.now),
        )
        _announce(tx)
    return len(rows)


def forget_done(tx: Tx, older_than: timedelta, *, most: int = 1_000) -> int:
    """Delete the oldest rows of jobs that are done; return how many, which may be 0 where none is old enough.

    Work on whole indexes is remembered for a day longer.
    """
    before = tx.now - older_than
    of_index = to_micros(before - timedelta(days=1))
    return tx.execute(sql.FORGET, before=to_micros(before), before_of_index=of_index, most=most).rowcount


def next_due(tx: Read, labels: Collection[JobLabel]) -> int | None:
    """Return when the next waiting job may be taken, in microseconds; None where none waits."""
    due = [tx.execute(sql.NEXT_DUE, label=label.value).fetchone()[0] for label in labels]
    return min((at for at in due if at is not None), default=None)


def _put_back(tx: Tx, job: Taken, error: str, *, dead: bool, pause: timedelta) -> bool:
    held = tx.execute(
        sql.FAIL,
        seq=job.seq,
        token=job.token,
        state="dead" if dead else "waiting",
        error=error[:ERROR_CHARACTERS],
        not_before=to_micros(tx.now + pause),
        now=to_micros(tx.now),
    )
    _announce(tx)
    return held.rowcount == 1


def _taken(row: Sequence[Any]) -> Taken:
    seq, id_, label, scope_seq, items, payload, done, attempts, token = row
    return Taken(
        seq,
        id_,
        JobLabel(label),
        scope_seq,
        msgspec.json.decode(items, type=tuple[int, ...]),
        {} if payload is None else msgspec.json.decode(payload),
        done,
        attempts,
        token,
    )


def _announce(tx: Tx) -> None:
    entries = tx.journal(JOURNAL)
    if not entries:
        entries.append(None)  # one is enough: the bell rings once per commit
