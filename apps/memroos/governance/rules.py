"""What policy gets to see, how effects combine, what a digest covers: pure.

Cedar knows permit and forbid. The two effects it does not know are annotations on permits: `@effect("hold")` means yes,
after a person has agreed; `@effect("redact")` means yes, without the content. A forbid wins over everything, a hold
over a redaction, a redaction over a plain permit; where nothing permits, the answer is no.
"""

import hashlib
from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any, NamedTuple

import msgspec

from memroos_contracts.governance import Action, ApprovalState, Asset, DecisionRequest, Effect
from memroos_contracts.identity import Actor, Role

KERNEL_ACTIONS = frozenset(action.value for action in Action)


class GovernanceEvent(StrEnum):
    """What governance tells the ledger and the event log."""

    APPROVAL_CREATED = "approval.created"
    APPROVAL_READ = "approval.read"
    APPROVAL_APPROVED = "approval.approved"
    APPROVAL_REJECTED = "approval.rejected"
    APPROVAL_EXPIRED = "approval.expired"
    APPROVAL_WITHDRAWN = "approval.withdrawn"
    DECISION_ANSWERED = "decision.answered"
    DECISION_REPORTED = "decision.reported"


ANSWER_EVENT = {
    ApprovalState.APPROVED: GovernanceEvent.APPROVAL_APPROVED,
    ApprovalState.REJECTED: GovernanceEvent.APPROVAL_REJECTED,
    ApprovalState.EXPIRED: GovernanceEvent.APPROVAL_EXPIRED,
}


class OwnAction(NamedTuple):
    """What an agent does by itself: the part of a question that only `tool.use` has."""

    tool: str
    action: str


class Question(NamedTuple):
    """All that policy may look at, and so the key under which its answer is kept: attributes, never ids.

    `service` names a service; it is empty for all other roles.
    """

    role: str
    service: str
    scopes: frozenset[str]
    action: str
    kind: str
    is_own: bool
    is_assigned: bool
    same_workspace: bool
    state: str
    sensitivity: str
    tags: frozenset[str]
    purpose: str
    own_action: OwnAction | None


class Verdict(NamedTuple):
    """What the policies say to a question."""

    effect: Effect
    policies: tuple[str, ...]
    reason: str


def question(
    actor: Actor, action: str, asset: Asset, *, purpose: str = "", own_action: OwnAction | None = None
) -> Question:
    """Return what policy gets to see of an actor, an action and an asset.

    `on_behalf_of` plays no part: acting for somebody never adds rights.
    """
    # `_value_` instead of `value`, and text instead of enums: an enum's property and hash are Python calls, and this
    # runs for every decision.
    role = actor.role
    return Question(
        role._value_,
        actor.id if role is Role.SERVICE else "",
        actor.scopes,
        action,
        asset.kind,
        asset.owner != "" and asset.owner == actor.principal,
        asset.agent != "" and asset.agent == actor.agent,
        asset.workspace is None or asset.workspace == actor.workspace,
        asset.state,
        asset.label.sensitivity._value_,
        asset.label.tags,
        purpose,
        own_action,
    )


def scopes_allow(scopes: Collection[str], action: str) -> bool:
    """Say whether a key with these scopes may be used for an action.

    No scopes means no restriction. A scope is an action (`memory.read`) or, with a dot at its end, all actions of a
    noun (`task.`).
    """
    return not scopes or action in scopes or f"{action.partition('.')[0]}." in scopes


def decide_effect(permits: Iterable[Effect]) -> Effect:
    """Return the effect of several permits that all apply: the strictest wins."""
    effects = set(permits)
    for effect in (Effect.HOLD, Effect.REDACT, Effect.ALLOW):
        if effect in effects:
            return effect
    return Effect.DENY


def digest_of(action: str, asset: str, arguments: Mapping[str, Any], *, tool: str = "") -> str:
    """Return what an approval is bound to: SHA-256 over the JSON of action, asset, arguments and, if any, tool; hex.

    The JSON has sorted keys, no spaces and UTF-8 text, so that equal questions have equal digests.
    """
    body = {"action": action, "arguments": arguments, "asset": asset} | ({"tool": tool} if tool else {})
    return hashlib.sha256(msgspec.json.encode(body, order="sorted")).hexdigest()


def asset_of_own_action(actor: Actor, request: DecisionRequest) -> Asset:
    """Return what an agent's own action is about: the named thing, or the tool itself.

    Nothing outside the kernel is anybody's own as far as the kernel knows, so an agent cannot claim it. Its label is
    that of what the agent has seen: what goes out may carry it.
    """
    kind, colon, name = request.asset.partition(":")
    if not colon:
        kind, name = ("asset", request.asset) if request.asset else ("tool", request.tool)
    return Asset(kind=kind, id=name, agent=actor.agent or "", label=request.labels)


def effect_now(
    effect: Effect, answer: ApprovalState | None, expires_at: datetime, now: datetime, *, used: bool
) -> Effect:
    """Return how a decision about an agent's own action stands.

    Args:
        effect: what policy said.
        answer: how the approval it waited for was answered, None while it was not or where none was needed.
        expires_at: until when it waits or permits.
        used: whether an outcome was reported; what was used in time does not expire.
    """
    if effect is Effect.HOLD:
        if answer is None:
            return Effect.HOLD if now < expires_at else Effect.DENY
        if answer is not ApprovalState.APPROVED:
            return Effect.DENY
        effect = Effect.ALLOW
    if effect is Effect.DENY or used or now < expires_at:
        return effect
    return Effect.DENY


def was_permitted(effect: Effect, answer: ApprovalState | None) -> bool:
    """Say whether a decision permitted its action at some time, so that something may have come of it."""
    return effect in (Effect.ALLOW, Effect.REDACT) or (effect is Effect.HOLD and answer is ApprovalState.APPROVED)
