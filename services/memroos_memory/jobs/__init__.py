"""The line of work: leases, priorities, retries, dead letters, and fairness between scopes."""

from memroos_memory.jobs.bell import Bell
from memroos_memory.jobs.line import (
    Turns,
    enqueue,
    enqueue_items,
    extend,
    fail,
    finish,
    forget_done,
    next_due,
    pause_of_outage,
    progress,
    put_off,
    recover_expired,
    recover_interrupted,
    release,
    take,
)
from memroos_memory.jobs.listing import counts, counts_of, get_job, list_jobs, replay
from memroos_memory.jobs.rules import INTERRUPTED_MAX, OUTAGE_MAX_S
from memroos_memory.jobs.words import PRIORITY, LeaseLost, Plan, Taken

__all__ = [
    "INTERRUPTED_MAX",
    "OUTAGE_MAX_S",
    "PRIORITY",
    "Bell",
    "LeaseLost",
    "Plan",
    "Taken",
    "Turns",
    "counts",
    "counts_of",
    "enqueue",
    "enqueue_items",
    "extend",
    "fail",
    "finish",
    "forget_done",
    "get_job",
    "list_jobs",
    "next_due",
    "pause_of_outage",
    "progress",
    "put_off",
    "recover_expired",
    "recover_interrupted",
    "release",
    "replay",
    "take",
]
