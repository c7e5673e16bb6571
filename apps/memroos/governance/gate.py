"""The gate that every verb passes: ask the policies, record the answer, hold for a human where they say so."""

import threading
from collections import OrderedDict
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import msgspec

from memroos import audit
from memroos.governance import approvals, rules
from memroos.governance.approvals import Resumers, Terms
from memroos.governance.policy import Policy
from memroos.governance.rules import OwnAction, Question, Verdict
from memroos_contracts.errors import Denied
from memroos_contracts.governance import Action, Asset, Decision, DecisionRequest, Effect, Json
from memroos_contracts.identity import ApprovalId, DecisionId
from memroos_kit.db import Read, Tx

NO_ID = DecisionId("")
"""Of a decision about a read: it is made, but not recorded."""

REDACTABLE = frozenset(
    {
        Action.APPROVAL_READ,
        Action.INBOX_READ,
        Action.INBOX_RECEIVE,
        Action.MEMORY_READ,
        Action.MEMORY_RECALL,
    }
)
"""The actions whose verbs know how to leave content out."""

_NO_WAIT = "It needs approval, and this cannot wait for one."
_NO_REDACTION = "Only its state may be seen, and this shows its content."


class Gate:
    """Decides whether an actor may do something; the port `memroos_contracts.governance.Authorizer`.

    Args:
        policy: the set in effect; `use` changes it.
        resumers: for each action whose verb can wait: what goes on after the answer. Wiring fills it.
        approval_ttl: how long an approval waits for an answer.
        decision_ttl: how long an agent may act on a decision about its own action.
        redactable: the actions whose verbs leave content out when told to; for others a redaction is a denial.
        cache_size: how many different questions keep their answer.
    """

    def __init__(
        self,
        policy: Policy,
        *,
        resumers: Resumers | None = None,
        approval_ttl: timedelta = timedelta(days=1),
        decision_ttl: timedelta = timedelta(hours=1),
        redactable: frozenset[Action] = REDACTABLE,
        cache_size: int = 4096,
    ) -> None:
        self.terms = Terms(
            approval_ttl=approval_ttl, decision_ttl=decision_ttl, resumers={} if resumers is None else resumers
        )
        self._redactable = redactable | {Action.TOOL_USE}  # there the agent itself is told to leave it out
        self._cache_size = cache_size
        self._cache = _Cache(policy, cache_size)

    @property
    def policy(self) -> Policy:
        """The policy set in effect."""
        return self._cache.policy

    def use(self, policy: Policy) -> None:
        """Put another policy set into effect, and forget the answers of the old one."""
        self._cache = _Cache(policy, self._cache_size)

    @property
    def hits(self) -> int:
        """How many decisions were answered from the cache since the policy set took effect."""
        return self._cache.hits

    @property
    def misses(self) -> int:
        """How many were evaluated since then."""
        return self._cache.misses

    def authorize(
        self,
        tx: Read,
        action: Action,
        asset: Asset,
        *,
        purpose: str = "",
        arguments: Mapping[str, Any] | None = None,
        holdable: bool = False,
    ) -> Decision:
        """Return the decision; in a `Tx` it is recorded, in a `Read` it is only made.

        Raises:
            Denied: policy says no, says `hold` where the verb cannot wait, or `redact` where it cannot leave out.
        """
        cache = self._cache  # one set for the whole decision, also if another takes effect meanwhile
        verdict, cached = cache.answer(rules.question(tx.actor, action._value_, asset, purpose=purpose))
        if verdict.effect is Effect.HOLD and not (holdable and isinstance(tx, Tx)):
            verdict = verdict._replace(effect=Effect.DENY, reason=_NO_WAIT)
        elif verdict.effect is Effect.REDACT and action not in self._redactable:
            verdict = verdict._replace(effect=Effect.DENY, reason=_NO_REDACTION)

        decision = Decision(
            id=DecisionId(tx.new_id("dec")) if isinstance(tx, Tx) else NO_ID,
            effect=verdict.effect,
            action=action._value_,
            asset=asset,
            purpose=purpose,
            policies=verdict.policies,
            policy_hash=cache.policy.hash,
            reason=verdict.reason,
            cached=cached,
        )
        if isinstance(tx, Tx):
            decision = self._record(tx, decision, resumes=action, arguments=arguments)
        else:
            tx.decisions.append(decision)
        if decision.effect is Effect.DENY:
            raise Denied(verdict.reason, action=decision.action, decision=decision.id or None)
        return decision

    def permits(self, tx: Read, action: Action, asset: Asset, *, purpose: str = "") -> bool:
        """Say whether `authorize` might not deny this, perhaps after a human's answer; records nothing."""
        effect = self._cache.answer(rules.question(tx.actor, action._value_, asset, purpose=purpose))[0].effect
        return effect is not Effect.DENY and (effect is not Effect.REDACT or action in self._redactable)

    def decide_own_action(self, tx: Tx, request: DecisionRequest) -> Decision:
        """Return and record the decision about something the actor does by itself; a denial is an answer here."""
        asset = rules.asset_of_own_action(tx.actor, request)
        own_action = OwnAction(tool=request.tool, action=request.action)
        question = rules.question(
            tx.actor, Action.TOOL_USE.value, asset, purpose=request.purpose, own_action=own_action
        )
        cache = self._cache
        verdict, cached = cache.answer(question)
        decision = Decision(
            id=DecisionId(tx.new_id("dec")),
            effect=verdict.effect,
            action=request.action,
            asset=asset,
            purpose=request.purpose,
            policies=verdict.policies,
            policy_hash=cache.policy.hash,
            reason=verdict.reason,
            cached=cached,
        )
        return self._record(tx, decision, resumes=Action.TOOL_USE, arguments=request.arguments, tool=request.tool)

    def _record(
        self, tx: Tx, decision: Decision, *, resumes: Action, arguments: Mapping[str, Any] | None, tool: str = ""
    ) -> Decision:
        """Give the decision to the ledger; one that holds names its approval, which is opened where none waits."""
        if decision.effect is not Effect.HOLD:
            _keep(tx, decision)
            return decision

        if resumes is not Action.TOOL_USE and resumes not in self.terms.resumers:
            raise LookupError(f"{resumes} can be held, but no resumer is registered for it")
        plain: dict[str, Json] = msgspec.to_builtins(dict(arguments or {}))
        digest = rules.digest_of(decision.action, str(decision.asset), plain, tool=tool)
        waiting = approvals.find_open(tx, digest, self.terms)
        decision = msgspec.structs.replace(decision, approval_id=waiting or ApprovalId(tx.new_id("apr")))
        _keep(tx, decision)
        if waiting is None:
            approvals.open_for(tx, decision, resumes=resumes, arguments=plain, digest=digest, terms=self.terms)
        return decision


def _keep(tx: Tx, decision: Decision) -> None:
    tx.decisions.append(decision)
    audit.record_decision(tx, decision)


class _Cache:
    """The answers of one policy set, the least recently used forgotten first. Several threads ask it."""

    __slots__ = ("_answers", "_lock", "_size", "hits", "misses", "policy")

    def __init__(self, policy: Policy, size: int) -> None:
        self.policy = policy
        self.hits = 0
        self.misses = 0
        self._size = size
        self._answers: OrderedDict[Question, Verdict] = OrderedDict()
        self._lock = threading.Lock()

    def answer(self, question: Question) -> tuple[Verdict, bool]:
        """Return the verdict, and whether it was known already."""
        key = self.policy.key(question)
        with self._lock:
            known = self._answers.get(key)
            if known is not None:
                self._answers.move_to_end(key)
                self.hits += 1
                return known, True
        verdict = self.policy.evaluate(key)
        with self._lock:
            self.misses += 1
            self._answers[key] = verdict
            if len(self._answers) > self._size:
                self._answers.popitem(last=False)
        return verdict, False
