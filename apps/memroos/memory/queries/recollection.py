"""Reads for recollection: policies, and the tasks on record."""

from typing import Any, NamedTuple

import msgspec
from sqlalchemy import String, bindparam, func, literal_column, or_, select

from memroos.memory.models import MemoryEvent, RecollectionPolicy
from memroos.memory.queries.events import is_there
from memroos_contracts.governance import Action, Asset
from memroos_contracts.memory import MemoryKind
from memroos_contracts.pages import Page
from memroos_contracts.recollection import RecollectionPolicyView, RecollectionRule
from memroos_kit.clock import from_micros
from memroos_kit.db import Hot, Read

POLICIES_MAX = 1_000

_P, _E = RecollectionPolicy, MemoryEvent
_policy = select(_P.id, _P.agent_id, _P.purpose, _P.rule, _P.version, _P.updated_at, _P.updated_by)
_here = _P.workspace_id == bindparam("workspace")
_LIST = Hot(_policy.where(_here).order_by(_P.agent_id, _P.purpose).limit(POLICIES_MAX))
_BY_ID = Hot(_policy.where(_here, _P.id == bindparam("id")))
_HOLDING = Hot(
    _policy.where(
        _here,
        or_(_P.agent_id == literal_column("''"), _P.agent_id == bindparam("agent")),
        or_(_P.purpose == literal_column("''"), _P.purpose == bindparam("purpose")),
    )
)
_FOR = Hot(_policy.where(_here, _P.agent_id == bindparam("agent"), _P.purpose == bindparam("purpose")))
_first = (
    select(func.min(_E.seq).label("seq"))
    .where(
        _E.workspace_id == bindparam("workspace"),
        _E.task_id != "",
        _E.agent_id != "",
        _E.kind == MemoryKind.MESSAGE,
        or_(bindparam("agent", type_=String).is_(None), _E.agent_id == bindparam("agent")),
    )
    .group_by(_E.task_id)
    .subquery()
)
_TASKS = Hot(
    select(_E.task_id, _E.agent_id, _E.text)
    .join(_first, _first.c.seq == _E.seq)
    .where(is_there)
    .order_by(_E.seq.desc())
    .limit(bindparam("most"))
)
_SAID = Hot(
    select(_E.text).where(
        _E.task_id == bindparam("task"), _E.workspace_id == bindparam("workspace"), _E.author == bindparam("author")
    )
)
_TEXT = Hot(select(_E.text).where(_E.id == bindparam("id"), _E.workspace_id == bindparam("workspace"), is_there))


class RecordedTask(NamedTuple):
    """A task as the log of events has it."""

    task_id: str
    agent_id: str
    text: str


def list_policies(tx: Read) -> Page[RecollectionPolicyView]:
    """List the workspace's policies.

    Raises:
        Denied: policy does not let this actor see them.
    """
    tx.authorize(Action.MEMORY_LIST, Asset(kind="memory", id="recollection-policies"))
    return Page(load_policies(tx))


def load_policies(tx: Read) -> list[RecollectionPolicyView]:
    """Return the workspace's policies."""
    return [_view(row) for row in tx.execute(_LIST, workspace=tx.actor.workspace).fetchall()]


def list_holding(tx: Read, agent_id: str, purpose: str) -> list[RecollectionPolicyView]:
    """Return the policies that hold for an agent and a purpose, four at the most; the most particular one counts."""
    where = {"workspace": tx.actor.workspace, "agent": agent_id, "purpose": purpose}
    return [_view(row) for row in tx.execute(_HOLDING, **where).fetchall()]


def find_policy(tx: Read, policy_id: str) -> RecollectionPolicyView | None:
    """Return a policy of the workspace."""
    found = tx.execute(_BY_ID, workspace=tx.actor.workspace, id=policy_id).fetchone()
    return None if found is None else _view(found)


def find_policy_for(tx: Read, agent_id: str, purpose: str) -> RecollectionPolicyView | None:
    """Return the policy for exactly this agent and purpose."""
    found = tx.execute(_FOR, workspace=tx.actor.workspace, agent=agent_id, purpose=purpose).fetchone()
    return None if found is None else _view(found)


def list_recorded_tasks(tx: Read, *, agent_id: str | None, most: int) -> list[RecordedTask]:
    """Return the latest tasks with the message they began with, the newest first.

    Raises:
        Denied: policy does not let this actor look at them.
    """
    tx.authorize(Action.MEMORY_OPERATE, Asset(kind="memory", id="recollection-policies"))
    rows = tx.execute(_TASKS, workspace=tx.actor.workspace, agent=agent_id, most=most).fetchall()
    return [RecordedTask(*row) for row in rows]


def list_said(tx: Read, task_id: str, agent_id: str) -> list[str]:
    """Return what an agent said in a task."""
    author = f"agent:{agent_id}"
    return [text for (text,) in tx.execute(_SAID, task=task_id, workspace=tx.actor.workspace, author=author).fetchall()]


def find_text(tx: Read, event_id: str) -> str:
    """Return an event's text; empty where it is none, or was removed."""
    found = tx.execute(_TEXT, id=event_id, workspace=tx.actor.workspace).fetchone()
    return "" if found is None else str(found[0])


def _view(row: Any) -> RecollectionPolicyView:
    policy_id, agent_id, purpose, rule, version, updated_at, updated_by = row
    return RecollectionPolicyView(
        id=policy_id,
        agent_id=agent_id,
        purpose=purpose,
        rule=msgspec.json.decode(rule, type=RecollectionRule),
        version=version,
        updated_at=from_micros(updated_at),
        updated_by=updated_by,
    )
