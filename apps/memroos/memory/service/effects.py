"""Verbs around what the memory service is asked to change: the intention is on record before, the outcome after."""

from collections.abc import Callable
from typing import Any

import msgspec
from sqlalchemy import bindparam, insert, select, text

from memroos import audit
from memroos.memory.models import MemoryEffect
from memroos.memory.rules import readers
from memroos.memory.service.writing import Event
from memroos_contracts.audit import Fact, Outcome
from memroos_contracts.governance import Action, Asset
from memroos_contracts.identity import Actor, DecisionId
from memroos_kit.clock import to_micros
from memroos_kit.db import Hot, Read, Tx

INTENDED = "memory.change_intended"
LEFT_AT_ONCE = 100

_INTEND = Hot(insert(MemoryEffect))
_SETTLE = Hot(text("UPDATE memory_effect SET state = :state, settled_at = :at WHERE id = :id AND state = 'intended'"))
_LEFT = Hot(
    select(
        MemoryEffect.id,
        MemoryEffect.actor,
        MemoryEffect.event,
        MemoryEffect.asset,
        MemoryEffect.reader,
        MemoryEffect.decision_id,
    )
    .where(MemoryEffect.state == "intended", MemoryEffect.created_at < bindparam("before"))
    .order_by(MemoryEffect.created_at)
    .limit(bindparam("most"))
)


class Effect(msgspec.Struct, frozen=True):
    """A change that the memory service is about to be asked for."""

    id: str
    actor: Actor
    event: str
    """What it will be called in the ledger."""
    asset: Asset
    reader: str
    decision_id: str


class Change(msgspec.Struct, frozen=True):
    """What somebody wants to be changed."""

    action: Action
    event: Event
    """What it will be called in the ledger."""
    asset: Callable[[Read], Asset]
    facts: dict[str, Fact] = {}


def intend(tx: Tx, change: Change) -> Effect:
    """Decide whether a change may be asked for, and put the intention on record.

    Raises:
        Denied: policy does not let this actor do it.
    """
    asset = change.asset(tx)
    decision = tx.authorize(change.action, asset)
    effect = Effect(
        id=tx.new_id("mop"),
        actor=tx.actor,
        event=change.event.value,
        asset=asset,
        reader=readers.reader_of(tx.actor),
        decision_id=decision.id,
    )
    tx.execute(
        _INTEND,
        id=effect.id,
        workspace_id=tx.actor.workspace,
        actor=_text(effect.actor),
        action=change.action.value,
        event=effect.event,
        asset=_text(asset),
        reader=effect.reader,
        decision_id=effect.decision_id,
        state="intended",
        created_at=to_micros(tx.now),
        settled_at=None,
    )
    audit.record(
        tx,
        INTENDED,
        asset,
        outcome=Outcome.OK,
        decision_id=decision.id,
        operation=effect.id,
        change=effect.event,
        **change.facts,
    )
    return effect


def settle(tx: Tx, effect: Effect, outcome: Outcome, facts: dict[str, Fact]) -> None:
    """Put on record what came of a change; a second time changes nothing."""
    if not tx.execute(_SETTLE, id=effect.id, state=outcome.value, at=to_micros(tx.now)).rowcount:
        return
    audit.record(
        tx,
        effect.event,
        effect.asset,
        outcome=outcome,
        decision_id=DecisionId(effect.decision_id),
        operation=effect.id,
        **facts,
    )


def list_left(tx: Read, before: int) -> list[Effect]:
    """Return changes without an outcome that were intended before an instant, by a process that has ended."""
    rows = tx.execute(_LEFT, before=before, most=LEFT_AT_ONCE).fetchall()
    return [
        Effect(
            id=row[0],
            actor=msgspec.json.decode(row[1], type=Actor),
            event=row[2],
            asset=msgspec.json.decode(row[3], type=Asset),
            reader=row[4],
            decision_id=row[5],
        )
        for row in rows
    ]


def _text(value: Any) -> str:
    return msgspec.json.encode(value).decode()
