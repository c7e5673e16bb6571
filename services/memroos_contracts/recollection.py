"""The words of recollection: memory that is offered without being asked, at the start of a task."""

from datetime import datetime
from typing import Annotated

import msgspec
from msgspec import Meta

from memroos_contracts.governance import Sensitivity
from memroos_contracts.memory import Arm
from memroos_contracts.memory_items import ItemKind, Name


class RecollectionRule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What an agent is reminded of when a task for some purpose begins."""

    enabled: bool = True
    limit: Annotated[int, Meta(ge=1, le=50)] = 8
    token_budget: Annotated[int, Meta(ge=16, le=100_000)] = 4_000
    """The context's budget of tokens as a whole."""
    share: Annotated[float, Meta(gt=0, le=1)] = 0.2
    """How much of it memory may take."""
    sensitivity_max: Sensitivity = Sensitivity.INTERNAL
    """Nothing above this enters."""
    forbidden_tags: Annotated[tuple[Name, ...], Meta(max_length=32)] = ("secret",)
    kinds: Annotated[tuple[ItemKind, ...], Meta(max_length=8)] = ()
    min_score: float = 0.0
    """It abstains from hits below this."""
    min_words: Annotated[int, Meta(ge=0, le=100)] = 3
    """It abstains from messages shorter than this."""


class RecollectionPolicyView(msgspec.Struct, frozen=True):
    """A rule and for whom it holds; the most particular one counts."""

    id: str
    agent_id: str
    """Empty: every agent."""
    purpose: str
    """Empty: every purpose."""
    rule: RecollectionRule
    version: int
    updated_at: datetime
    updated_by: str


class NewRecollectionPolicy(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A rule for an agent and a purpose; it replaces the one that was there for the two."""

    rule: RecollectionRule
    agent_id: Name = ""
    purpose: Name = ""


class TraceHit(msgspec.Struct, frozen=True):
    """What was handed out, without its text."""

    item_id: str
    score: float
    tokens: int
    used: bool = False
    """Whether words of it came back in what the agent said afterwards."""


class MemoryTraceView(msgspec.Struct, frozen=True, kw_only=True):
    """That memory was handed out, to whom, and what came of it."""

    id: str
    cause: str
    """`recall`, `context` or `recollection`."""
    actor: str
    agent_id: str = ""
    task_id: str = ""
    purpose: str = ""
    policy_id: str = ""
    query_digest: str
    query: str | None = None
    """The question, for those who run the workspace; None where its label does not allow that."""
    arms: tuple[Arm, ...] = ()
    missing: tuple[Arm, ...] = ()
    hits: list[TraceHit] = []
    tokens: int = 0
    abstained: str = ""
    """Why nothing was handed out."""
    took_ms: float = 0.0
    at: datetime


class DryRunRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A rule to try on recorded tasks."""

    rule: RecollectionRule
    agent_id: Name = ""
    tasks: Annotated[int, Meta(ge=1, le=100)] = 20
    """How many of the latest."""


class DryRunRow(msgspec.Struct, frozen=True):
    """What one recorded task would have been given."""

    task_id: str
    agent_id: str
    items: list[str]
    """Ids."""
    tokens: int
    abstained: str


class DryRunReport(msgspec.Struct, frozen=True):
    """What a rule would have done; nothing was handed out."""

    tasks: list[DryRunRow]
    reminded: int
    tokens: int
