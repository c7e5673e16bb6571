"""A viewer sees, counts and replays the jobs of its own scopes, and no others."""

import pytest
from sqlalchemy import text
from tests.cursors import assert_says_nothing_of_others

from memroos_contracts.errors import InvalidCursor, NotFound
from memroos_contracts.identity import WorkspaceId
from memroos_contracts.memory_items import Viewer
from memroos_contracts.memory_work import JobCounts, JobLabel, JobState
from memroos_kit.clock import ManualClock
from memroos_kit.db import Database, Hot, Tx
from memroos_memory import jobs
from memroos_memory.actor import SERVICE

ONCE = jobs.Plan(attempts_max=1)
ANN = Viewer(WorkspaceId("ws_a"), "agent:ann", "agent:ann")
RUNS_A = Viewer(WorkspaceId("ws_a"), "", "operator:a")
RUNS_B = Viewer(WorkspaceId("ws_b"), "", "operator:b")

_SCOPE = Hot(text(
    "INSERT INTO scope (seq, id, workspace_id, readers, private, user_id, last_seq, items, created_at)"
    " VALUES (:seq, 'scp_' || :seq, :workspace, '[]', 0, 'user ' || :seq, 0, 0, 0)"
))  # fmt: skip
_READER = Hot(text("INSERT INTO scope_reader (workspace_id, reader, scope_seq) VALUES (:workspace, :reader, :seq)"))


@pytest.fixture
def scoped(db: Database) -> Database:
    """Scope 1 is Ann's, in workspace a; 2 is private there; 3 is in workspace b."""

    def make(tx: Tx) -> None:
        for seq, workspace, readers in (
            (1, "ws_a", ("agent:ann", "")),
            (2, "ws_a", ("agent:bob",)),
            (3, "ws_b", ("",)),
        ):
            tx.execute(_SCOPE, seq=seq, workspace=workspace)
            for reader in readers:
                tx.execute(_READER, seq=seq, workspace=workspace, reader=reader)

    db.write_now(SERVICE, make)
    return db


def put(db: Database, scope_seq: int, label: JobLabel = JobLabel.DERIVE, **more: object) -> str:
    return db.write_now(SERVICE, jobs.enqueue, label, scope_seq=scope_seq, **more)  # type: ignore[arg-type]


def kill(db: Database) -> None:
    for job in db.write_now(SERVICE, jobs.take, limit=100, lease_s=1):
        db.write_now(SERVICE, jobs.fail, job, "the model does not answer", ONCE)


def test_foreign_jobs_are_neither_listed_nor_found_nor_counted_nor_replayed(scoped: Database) -> None:
    own, private, foreign = put(scoped, 1), put(scoped, 2), put(scoped, 3)
    kill(scoped)

    for viewer, seen in ((ANN, {own}), (RUNS_A, {own}), (RUNS_B, {foreign})):
        assert {job.id for job in scoped.read_now(SERVICE, jobs.list_jobs, viewer).items} == seen
        assert scoped.read_now(SERVICE, jobs.counts_of, viewer) == JobCounts(0, 0, 1)
    for hidden in (private, foreign, "job_none"):
        with pytest.raises(NotFound):
            scoped.read_now(SERVICE, jobs.get_job, ANN, hidden)
        with pytest.raises(NotFound):
            scoped.write_now(SERVICE, jobs.replay, ANN, hidden)
    assert scoped.write_now(SERVICE, jobs.replay, ANN).replayed == 1
    assert scoped.read_now(SERVICE, jobs.counts) == JobCounts(1, 0, 2)
    assert scoped.read_now(SERVICE, jobs.counts, [2, 3]) == JobCounts(0, 0, 2)


def test_work_on_an_index_is_seen_by_those_who_asked_for_it_without_the_size_of_the_whole(scoped: Database) -> None:
    job_id = put(scoped, 0, JobLabel.REINDEX, payload={"workspace": "ws_a"})
    (job,) = scoped.write_now(SERVICE, jobs.take, limit=1, lease_s=60)
    scoped.write_now(SERVICE, jobs.progress, job, 123, total=456)

    seen = scoped.read_now(SERVICE, jobs.get_job, RUNS_A, job_id)

    assert (seen.state, seen.items, seen.done) == (JobState.RUNNING, 100, 26)
    for viewer in (ANN, RUNS_B):
        with pytest.raises(NotFound):
            scoped.read_now(SERVICE, jobs.get_job, viewer, job_id)


def test_pages_follow_each_other_without_gap_and_a_cursor_fits_its_own_listing_only(scoped: Database) -> None:
    made = [put(scoped, 1) for _ in range(5)]
    found: list[str] = []
    cursor = None

    while True:
        page = scoped.read_now(SERVICE, jobs.list_jobs, ANN, cursor=cursor, limit=2)
        found += [job.id for job in page.items]
        cursor = page.next_cursor or cursor
        assert_says_nothing_of_others(cursor)
        if page.next_cursor is None:
            break

    assert found == made[::-1]
    with pytest.raises(InvalidCursor):
        scoped.read_now(SERVICE, jobs.list_jobs, RUNS_A, cursor=cursor)
    with pytest.raises(InvalidCursor):
        scoped.read_now(SERVICE, jobs.list_jobs, ANN, cursor=cursor, state=JobState.DEAD)


def test_a_dead_letter_says_why_and_a_replay_gives_it_all_its_attempts(scoped: Database, clock: ManualClock) -> None:
    job_id = put(scoped, 1, items=(1, 2))
    put(scoped, 1)
    kill(scoped)
    (dead,) = [j for j in scoped.read_now(SERVICE, jobs.list_jobs, ANN, state=JobState.DEAD).items if j.id == job_id]
    assert (dead.error, dead.attempts, dead.items, dead.scope_id) == ("the model does not answer", 1, 2, "scp_1")

    assert scoped.write_now(SERVICE, jobs.replay, ANN, job_id).replayed == 1
    assert scoped.write_now(SERVICE, jobs.replay, ANN, job_id).replayed == 0

    (again,) = scoped.write_now(SERVICE, jobs.take, limit=10, lease_s=60)
    assert (again.id, again.attempts) == (job_id, 0)
