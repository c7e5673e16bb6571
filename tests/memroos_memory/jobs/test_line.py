"""Work is handed out fairly, held for a while, tried again, and never lost."""

from collections import Counter
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text

from memroos_contracts.identity import DEFAULT_WORKSPACE
from memroos_contracts.memory_items import Viewer
from memroos_contracts.memory_work import JobLabel
from memroos_kit.clock import ManualClock
from memroos_kit.db import Database, Hot, Read, Tx
from memroos_memory import jobs
from memroos_memory.actor import SERVICE

PLAN = jobs.Plan(attempts_max=3, backoff_s=2.0, jitter=lambda: 0.0)
_STATE = Hot(text("SELECT state, attempts, error FROM job WHERE id = :id"))
_DEAD = Hot(text("SELECT items, attempts FROM job WHERE state = 'dead'"))


def put(db: Database, label: JobLabel = JobLabel.EMBED, scope_seq: int = 1, **more: Any) -> str:
    return db.write_now(SERVICE, jobs.enqueue, label, scope_seq=scope_seq, **more)


def add(db: Database, items: Sequence[int], label: JobLabel = JobLabel.EMBED, *, scope_seq: int = 1) -> None:
    db.write_now(SERVICE, jobs.enqueue_items, label, scope_seq, list(items))


def take(db: Database, limit: int = 10, **more: Any) -> list[jobs.Taken]:
    return db.write_now(SERVICE, jobs.take, limit=limit, lease_s=60, **more)


def fail(db: Database, job: jobs.Taken, error: str = "no answer") -> bool:
    return db.write_now(SERVICE, jobs.fail, job, error, PLAN)


def state(db: Database, job_id: str) -> tuple[str, int, str]:
    def query(tx: Read) -> tuple[str, int, str]:
        return tuple(tx.execute(_STATE, id=job_id).fetchone())

    return db.read_now(SERVICE, query)


def test_a_job_is_held_by_one_and_done_once(db: Database) -> None:
    job_id = put(db, items=(4, 5), payload={"why": "new"})

    (job,) = take(db)
    assert (job.id, job.items, job.payload, job.attempts) == (job_id, (4, 5), {"why": "new"}, 0)
    assert take(db) == []
    assert db.write_now(SERVICE, jobs.finish, job)
    assert not db.write_now(SERVICE, jobs.finish, job)
    assert state(db, job_id) == ("done", 0, "")


def test_many_items_become_several_jobs(db: Database) -> None:
    add(db, range(300))

    assert [len(job.items) for job in take(db)] == [128, 128, 44]


def test_items_join_those_of_their_scope_that_wait_for_the_same_work(db: Database) -> None:
    add(db, [1, 2])
    add(db, [2, 3])
    add(db, [4], scope_seq=2)
    add(db, [5], JobLabel.GRAPH)

    assert {(job.label, job.scope_seq): job.items for job in take(db)} == {
        (JobLabel.EMBED, 1): (1, 2, 3),
        (JobLabel.EMBED, 2): (4,),
        (JobLabel.GRAPH, 1): (5,),
    }


def test_a_job_in_which_many_items_came_together_stays_short(db: Database) -> None:
    for item in range(70):
        add(db, [item])

    assert [job.items for job in take(db)] == [tuple(range(32)), tuple(range(32, 64)), tuple(range(64, 70))]


def test_new_items_do_not_share_the_fate_of_a_job_that_runs_failed_or_was_given_back(
    db: Database, clock: ManualClock
) -> None:
    add(db, [1])
    (running,) = take(db)
    add(db, [2])
    fail(db, running)
    add(db, [3])
    db.write_now(SERVICE, jobs.release, take(db))
    add(db, [4])
    clock.advance(seconds=3)

    assert sorted(job.items for job in take(db)) == [(1,), (2, 3), (4,)]


def test_work_that_a_model_is_paid_for_stays_as_it_was_put_into_line(db: Database) -> None:
    add(db, [1], JobLabel.EXTRACT)
    add(db, [2], JobLabel.EXTRACT)

    assert [job.items for job in take(db)] == [(1,), (2,)]


def test_a_job_that_fails_comes_back_in_halves_until_what_is_at_fault_is_alone(
    db: Database, clock: ManualClock
) -> None:
    plan = jobs.Plan(attempts_max=8, backoff_s=1.0, jitter=lambda: 0.0)
    add(db, range(100))
    done: list[int] = []

    for _ in range(8):
        for job in take(db):
            if 41 in job.items[job.done :]:
                db.write_now(SERVICE, jobs.fail, job, "not this one", plan)
            else:
                done.extend(job.items)
                db.write_now(SERVICE, jobs.finish, job)
        clock.advance(seconds=200)

    assert sorted(done) == [item for item in range(100) if item != 41]
    assert db.read_now(SERVICE, lambda tx: tx.execute(_DEAD).fetchall()) == [("[41]", 8)]


def test_a_job_that_fails_half_way_is_cut_in_what_is_left_of_it(db: Database, clock: ManualClock) -> None:
    add(db, range(6))
    (job,) = take(db)
    db.write_now(SERVICE, jobs.progress, job, 2)
    fail(db, job)
    clock.advance(seconds=3)

    assert [(job.items, job.done) for job in take(db)] == [((0, 1, 2, 3), 2), ((4, 5), 0)]


def test_a_job_for_a_model_is_not_cut_when_it_fails(db: Database, clock: ManualClock) -> None:
    add(db, range(6), JobLabel.EXTRACT)
    fail(db, take(db)[0])
    clock.advance(seconds=3)

    assert [len(job.items) for job in take(db)] == [6]


def test_a_job_that_was_put_into_line_by_a_verb_that_failed_is_not_there(db: Database) -> None:
    def broken(tx: Tx) -> None:
        jobs.enqueue(tx, JobLabel.EMBED, scope_seq=1)
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        db.write_now(SERVICE, broken)

    assert take(db) == []


def test_whoever_lost_the_lease_can_neither_finish_nor_fail_nor_go_on(db: Database, clock: ManualClock) -> None:
    job_id = put(db)
    (slow,) = take(db)
    clock.advance(seconds=61)
    assert db.write_now(SERVICE, jobs.recover_expired, PLAN) == 1
    clock.advance(seconds=3)
    (quick,) = take(db)

    assert quick.token > slow.token
    assert not db.write_now(SERVICE, jobs.finish, slow)
    assert not fail(db, slow)
    with pytest.raises(jobs.LeaseLost):
        db.write_now(SERVICE, jobs.progress, slow, 1)
    db.write_now(SERVICE, jobs.release, [slow])
    assert state(db, job_id)[0] == "running"
    assert db.write_now(SERVICE, jobs.finish, quick)


def test_a_lease_that_runs_out_counts_as_a_failure_and_one_that_is_extended_does_not_run_out(
    db: Database, clock: ManualClock
) -> None:
    silent, alive = put(db), put(db)
    _, second = take(db)
    clock.advance(seconds=50)
    db.write_now(SERVICE, jobs.extend, [second], lease_s=60)
    clock.advance(seconds=20)

    db.write_now(SERVICE, jobs.recover_expired, PLAN)

    assert state(db, silent)[:2] == ("waiting", 1)
    assert state(db, alive)[:2] == ("running", 0)


def test_one_scope_with_ten_thousand_jobs_does_not_starve_another(db: Database) -> None:
    def flood(tx: Tx) -> None:
        for _ in range(10_000):
            jobs.enqueue(tx, JobLabel.EMBED, scope_seq=1)

    db.write_now(SERVICE, flood)
    for scope in (2, 3):
        for _ in range(4):
            put(db, scope_seq=scope)
    turns = jobs.Turns()

    served = [job.scope_seq for _ in range(6) for job in take(db, 2, turns=turns)]

    assert Counter(served) == {1: 4, 2: 4, 3: 4}


def test_scopes_come_in_turn_although_one_is_taken_at_a_time(db: Database) -> None:
    for scope in (1, 1, 1, 5, 5, 9):
        put(db, scope_seq=scope)
    turns = jobs.Turns()

    assert [take(db, 1, turns=turns)[0].scope_seq for _ in range(6)] == [1, 5, 9, 1, 5, 1]


def test_what_is_urgent_comes_first_and_each_kind_of_work_can_be_asked_for_alone(db: Database) -> None:
    put(db, JobLabel.REINDEX, payload={"workspace": "ws"})
    put(db, JobLabel.DERIVE)
    put(db, JobLabel.EMBED)
    put(db, JobLabel.DERIVE, priority=1)

    assert [job.label for job in take(db, labels=[JobLabel.REINDEX])] == [JobLabel.REINDEX]
    assert [job.label for job in take(db)] == [JobLabel.DERIVE, JobLabel.EMBED, JobLabel.DERIVE]


def test_a_failed_job_rests_longer_each_time_and_is_dead_in_the_end(db: Database, clock: ManualClock) -> None:
    job_id = put(db)

    (job,) = take(db)
    assert not fail(db, job)
    clock.advance(seconds=1.9)
    assert take(db) == []
    clock.advance(seconds=0.2)
    (job,) = take(db)
    assert not fail(db, job)
    clock.advance(seconds=3.9)
    assert take(db) == []
    clock.advance(seconds=0.2)
    (job,) = take(db)

    assert fail(db, job, "still no answer")
    clock.advance(days=30)
    assert take(db) == []
    assert state(db, job_id) == ("dead", 3, "still no answer")


def test_a_scope_whose_jobs_rest_does_not_hold_up_the_others(db: Database) -> None:
    for _ in range(3):
        put(db, scope_seq=1)
    for job in take(db):
        fail(db, job)
    waiting = put(db, scope_seq=2)

    assert [job.id for job in take(db, 1)] == [waiting]


def test_what_was_running_when_the_process_ended_goes_on_at_once_and_where_it_was(db: Database) -> None:
    job_id = put(db, items=(1, 2, 3))
    (job,) = take(db)
    db.write_now(SERVICE, jobs.progress, job, 2)

    assert db.write_now(SERVICE, jobs.recover_interrupted) == 1

    (again,) = take(db)
    assert (again.id, again.done, again.attempts) == (job_id, 2, 0)
    assert again.token > job.token


def test_a_job_that_ends_the_process_again_and_again_is_dead_in_the_end(db: Database) -> None:
    job_id = put(db)

    for _ in range(jobs.INTERRUPTED_MAX):
        assert state(db, job_id)[0] == "waiting"
        take(db)
        db.write_now(SERVICE, jobs.recover_interrupted)

    assert state(db, job_id)[0] == "dead"


def test_the_line_says_when_the_next_job_is_due(db: Database, clock: ManualClock) -> None:
    assert db.read_now(SERVICE, jobs.next_due, [JobLabel.EMBED]) is None
    put(db)
    (job,) = take(db)
    fail(db, job)

    due = db.read_now(SERVICE, jobs.next_due, [JobLabel.EMBED, JobLabel.DERIVE])

    assert due == int((clock.now() + timedelta(seconds=2)).timestamp() * 1_000_000)


def test_what_was_done_long_ago_is_forgotten_and_what_is_dead_is_not(db: Database, clock: ManualClock) -> None:
    done, dead, waiting = put(db), put(db), put(db)
    rebuilt = put(db, JobLabel.REINDEX, scope_seq=0, payload={"workspace": "ws"})
    first, second, _, index = take(db)
    for job in (first, index):
        db.write_now(SERVICE, jobs.finish, job)
    db.write_now(SERVICE, jobs.fail, second, "no", jobs.Plan(attempts_max=1))
    clock.advance(hours=2)

    assert db.write_now(SERVICE, jobs.forget_done, timedelta(hours=1)) == 1
    with pytest.raises(TypeError):
        state(db, done)
    assert state(db, rebuilt)[0] == "done"
    assert state(db, dead)[0] == "dead"
    assert state(db, waiting)[0] == "running"


def test_a_job_that_is_put_off_waits_longer_each_time_up_to_half_a_minute_and_counts_no_failure(
    db: Database, clock: ManualClock
) -> None:
    job_id = put(db)
    for outages, pause in ((1, 2), (2, 4), (3, 8), (30, 30)):
        db.write_now(SERVICE, jobs.put_off, take(db), "The graph is away.", PLAN, outages=outages)
        assert state(db, job_id)[:2] == ("waiting", 0)
        clock.advance(seconds=pause - 0.1)
        assert not take(db)
        clock.advance(seconds=0.2)


def test_what_was_put_off_or_given_back_a_thousand_times_is_not_dead_after_one_interruption(
    db: Database, clock: ManualClock
) -> None:
    job_id = put(db)
    for _ in range(jobs.INTERRUPTED_MAX):
        db.write_now(SERVICE, jobs.release, take(db))
        db.write_now(SERVICE, jobs.put_off, take(db), "The graph is away.", PLAN, outages=1)
        clock.advance(seconds=3)
    take(db)

    db.write_now(SERVICE, jobs.recover_interrupted)

    assert state(db, job_id)[0] == "waiting"


def test_a_dead_letter_that_ended_the_process_has_all_its_chances_again_once_it_is_replayed(db: Database) -> None:
    job_id = put(db, JobLabel.REINDEX, scope_seq=0, payload={"workspace": DEFAULT_WORKSPACE})
    for _ in range(jobs.INTERRUPTED_MAX):
        take(db)
        db.write_now(SERVICE, jobs.recover_interrupted)
    db.write_now(SERVICE, jobs.replay, Viewer(DEFAULT_WORKSPACE, "", "operator:key_1"), job_id)

    take(db)
    db.write_now(SERVICE, jobs.recover_interrupted)

    assert state(db, job_id)[0] == "waiting"
