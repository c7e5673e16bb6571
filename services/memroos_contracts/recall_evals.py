"""The words of recall evaluations: a question file asked through recall, and how many right answers came back."""

from datetime import datetime
from typing import Annotated

import msgspec
from msgspec import Meta

from memroos_contracts.memory_items import Name

Share = Annotated[float, Meta(ge=0, le=1)]


class CategoryScore(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How one kind of question went; shares from 0 to 1."""

    questions: Annotated[int, Meta(ge=0)]
    recall_at_5: Share
    recall_at_10: Share


class NewRecallEval(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The outcome of one evaluation of one configuration."""

    file: Name
    file_digest: Name
    configuration: Name
    """What was measured: `recall`, `plain mem0`, `plain BM25`, or a name of one's own."""
    turns: Annotated[int, Meta(ge=0)]
    overall: CategoryScore
    categories: Annotated[dict[Name, CategoryScore], Meta(max_length=32)]
    query_p50_ms: float
    query_p95_ms: float
    ingest_per_s: float = 0.0
    run: Name = ""
    """What was measured together has the same."""
    note: Name = ""


class RecallEvalView(msgspec.Struct, frozen=True):
    """An evaluation that was kept."""

    id: str
    result: NewRecallEval
    embedder: str
    version: str
    at: datetime
    by: str
