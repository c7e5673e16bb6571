"""Verbs of recollection: policies, and that somebody was reminded of something."""

from collections.abc import Sequence

import msgspec
from sqlalchemy import insert, text

from memroos import audit, registry
from memroos.memory.models import RecollectionPolicy
from memroos.memory.queries import recollection as queries
from memroos.memory.rules import answers
from memroos.memory.rules import recollection as rules
from memroos.memory.service import removing, traces
from memroos.memory.service.traces import Handout
from memroos.memory.service.writing import Event
from memroos_contracts import prompts
from memroos_contracts.errors import InvalidRequest, NotFound
from memroos_contracts.governance import INTERNAL, Action, Asset, Effect, Label
from memroos_contracts.labels import join
from memroos_contracts.memory import Arm, RecallItem
from memroos_contracts.recollection import (
    MemoryTraceView,
    NewRecollectionPolicy,
    RecollectionPolicyView,
)
from memroos_kit.clock import to_micros
from memroos_kit.db import Hot, Tx

CAUSE = "recollection"

_ADD = Hot(insert(RecollectionPolicy))
_CHANGE = Hot(
    text(
        "UPDATE recollection_policy SET rule = :rule, version = :version, updated_at = :at, updated_by = :by"
        " WHERE id = :id"
    )
)
_DELETE = Hot(text("DELETE FROM recollection_policy WHERE id = :id"))


class Reminder(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody is about to be reminded of, and why."""

    policy: RecollectionPolicyView
    task_id: str
    query: str
    label: Label = INTERNAL
    """Of what is asked with."""
    found: int = 0
    """How many hits there were."""
    hits: Sequence[RecallItem] = ()
    """Those that may enter."""
    arms: Sequence[Arm] = ()
    missing: Sequence[Arm] = ()
    abstained: str = ""
    took_s: float = 0.0


def put_policy(tx: Tx, new: NewRecollectionPolicy) -> RecollectionPolicyView:
    """Set the rule for an agent and a purpose, in place of the one before; it holds from the next task on.

    Raises:
        Denied: policy does not let this actor set it.
        InvalidRequest: there are as many as there may be.
        NotFound: there is no such agent here.
    """
    agent_id = registry.get_agent(tx, new.agent_id).id if new.agent_id else ""
    before = queries.find_policy_for(tx, agent_id, new.purpose)
    policy_id = before.id if before is not None else tx.new_id("rcp")
    tx.authorize(Action.MEMORY_OPERATE, _asset(policy_id))
    rule = msgspec.json.encode(new.rule, order="sorted").decode()
    version = before.version + 1 if before is not None else 1
    stamp = {"at": to_micros(tx.now), "by": tx.actor.principal}
    if before is not None:
        tx.execute(_CHANGE, id=policy_id, rule=rule, version=version, **stamp)
    else:
        if len(queries.load_policies(tx)) >= queries.POLICIES_MAX:
            raise InvalidRequest(f"There may be {queries.POLICIES_MAX} recollection policies; delete one first.")
        tx.execute(
            _ADD,
            id=policy_id,
            workspace_id=tx.actor.workspace,
            agent_id=agent_id,
            purpose=new.purpose,
            rule=rule,
            version=version,
            updated_at=stamp["at"],
            updated_by=stamp["by"],
        )
    audit.record(
        tx, Event.POLICY_SET.value, _asset(policy_id), agent=agent_id, version=version, rule=audit.digest(rule)
    )
    found = queries.find_policy(tx, policy_id)
    assert found is not None
    return found


def delete_policy(tx: Tx, policy_id: str) -> None:
    """Take a rule away.

    Raises:
        Denied: policy does not let this actor.
        NotFound: there is none of this id here.
    """
    if queries.find_policy(tx, policy_id) is None:
        raise NotFound(kind_of_object="recollection_policy", id=policy_id)
    tx.authorize(Action.MEMORY_OPERATE, _asset(policy_id))
    tx.execute(_DELETE, id=policy_id)
    audit.record(tx, Event.POLICY_DELETED.value, _asset(policy_id))


def remind(tx: Tx, reminder: Reminder) -> str:
    """Return the text an agent is reminded by, and record that it was; without what was removed meanwhile.

    Raises:
        Denied: policy does not let this agent have it.
    """
    hidden = removing.find_hidden(tx, answers.ids_of(reminder.hits))
    hits = answers.visible_hits(reminder.hits, hidden)
    rule = reminder.policy.rule
    written, taken = prompts.write(hits[: rule.limit], budget=rules.budget(rule), form="text")
    label = join(answers.labels_of(taken))
    asset = removing.asset_of(tx, "*", label)
    decision = tx.authorize(Action.MEMORY_RECALL, asset, purpose=reminder.policy.purpose)
    abstained = reminder.abstained or ("" if taken else rules.why_nothing(rule, reminder.found, len(hits)))
    if decision.effect is Effect.REDACT:
        written, taken, abstained = "", [], "policy leaves out what it says"
    if taken:
        audit.record(
            tx,
            Event.RECALLED.value,
            asset,
            query=audit.digest(reminder.query),
            memories=[hit.item.id for hit in taken],
            task=reminder.task_id,
            policy=reminder.policy.id,
        )
    handout = Handout(
        cause=CAUSE,
        query=reminder.query,
        task_id=reminder.task_id,
        purpose=reminder.policy.purpose,
        policy_id=reminder.policy.id,
        arms=reminder.arms,
        missing=reminder.missing,
        hits=taken,
        tokens=prompts.tokens_of(written),
        abstained=abstained,
        took_s=reminder.took_s,
    )
    traces.keep_trace(tx, handout, join([label, reminder.label]))
    return written


def mark_used(tx: Tx, trace: MemoryTraceView, used: frozenset[str]) -> None:
    """Note which memories came back in what the agent said; may be repeated."""
    hits = [msgspec.structs.replace(hit, used=hit.used or hit.item_id in used) for hit in trace.hits]
    if hits != trace.hits:
        traces.mark_used(tx, trace.id, hits)


def _asset(policy_id: str) -> Asset:
    return Asset(kind="recollection_policy", id=policy_id)
