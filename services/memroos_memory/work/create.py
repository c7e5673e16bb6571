"""The worker, with all that it needs."""

from collections.abc import Mapping
from datetime import timedelta

import msgspec

from memroos_contracts.memory_work import JobLabel
from memroos_kit.db import Database, Tx
from memroos_memory import echo, jobs
from memroos_memory.derive import Extractor
from memroos_memory.embedders import CurrentEmbedder
from memroos_memory.graph import Graph
from memroos_memory.settings import MemorySettings
from memroos_memory.vectors import VectorIndex
from memroos_memory.work.embedding import embedding, indexing
from memroos_memory.work.graphing import graphing
from memroos_memory.work.learning import deriving, extracting
from memroos_memory.work.worker import Handle, HandleAll, Worker


class Parts(msgspec.Struct, frozen=True, kw_only=True):
    """What the work is done with."""

    db: Database
    bell: jobs.Bell
    embedder: CurrentEmbedder
    vectors: VectorIndex
    graph: Graph
    extractor: Extractor | None = None
    """Where a model is configured."""
    settings: MemorySettings = MemorySettings()
    more: Mapping[JobLabel, Handle] = {}
    """How other kinds of work are done: whole indexes."""


def learns_by(settings: MemorySettings) -> JobLabel:
    """Return which work finds facts: by a model where one is configured, by rules otherwise."""
    return JobLabel.EXTRACT if settings.model else JobLabel.DERIVE


def create_worker(parts: Parts) -> Worker:
    """Return the worker that does all that is in line."""
    settings = parts.settings
    by_rules = deriving(parts.db)
    handles: dict[JobLabel, Handle] = {
        JobLabel.DERIVE: by_rules,
        # What is left from when there was a model is learned by rules.
        JobLabel.EXTRACT: by_rules if parts.extractor is None else extracting(parts.db, parts.extractor),
        **parts.more,
    }
    together: dict[JobLabel, HandleAll] = {
        JobLabel.EMBED: embedding(parts.db, parts.embedder),
        JobLabel.VECTOR: indexing(parts.db, parts.vectors),
        JobLabel.GRAPH: graphing(parts.db, parts.graph),
    }

    def forget_echoes(tx: Tx) -> int:
        """Forget what was handed out long ago."""
        return echo.forget(tx, timedelta(days=settings.echo_days))

    return Worker(
        parts.db,
        handles,
        together=together,
        plan=jobs.Plan(attempts_max=settings.job_attempts, backoff_s=settings.job_backoff_s),
        lease_s=settings.job_lease_s,
        bell=parts.bell,
        upkeep=[forget_echoes],
    )
