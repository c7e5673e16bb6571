"""What happens to an event after it was taken over: gates, jobs, and the worker that does them.

Whoever changes items does it through `carry_out`, so that their vectors and their place in the graph follow.
"""

from memroos_memory.work.create import Parts, create_worker, learns_by
from memroos_memory.work.embedding import embedding, indexing
from memroos_memory.work.following import carry_out, correct, follow
from memroos_memory.work.graphing import entries_of, graphing
from memroos_memory.work.intake import ingest, position, take_events, take_removals
from memroos_memory.work.learning import deriving, extracting
from memroos_memory.work.reembed import Opened, open_vectors, reembedding, whole_index_work
from memroos_memory.work.reindex import ask_reindex, reindexing, watch_indexes
from memroos_memory.work.waiting import wait_idle
from memroos_memory.work.worker import Handle, HandleAll, Worker

__all__ = [
    "Handle",
    "HandleAll",
    "Opened",
    "Parts",
    "Worker",
    "ask_reindex",
    "carry_out",
    "correct",
    "create_worker",
    "deriving",
    "embedding",
    "entries_of",
    "extracting",
    "follow",
    "graphing",
    "indexing",
    "ingest",
    "learns_by",
    "open_vectors",
    "position",
    "reembedding",
    "reindexing",
    "take_events",
    "take_removals",
    "wait_idle",
    "watch_indexes",
    "whole_index_work",
]
