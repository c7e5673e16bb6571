"""Verbs about keys: make, replace, revoke, end."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import select, update

from memroos import audit, events
from memroos.registry import keyring, queries, rules
from memroos.registry.errors import (
    AgentRetired,
    KeyNotActive,
    LastOperatorKey,
    OperatorKeyRevoked,
    ScopeTooWide,
    WeakKey,
)
from memroos.registry.models import ApiKey
from memroos.registry.rules import RegistryEvent
from memroos_contracts.errors import InvalidRequest
from memroos_contracts.governance import Action, Asset
from memroos_contracts.identity import DEFAULT_WORKSPACE, AgentId, KeyId, Role, WorkspaceId
from memroos_contracts.registry import AgentState, KeyRotation, KeyState, KeyView, NewKey, NewKeyView
from memroos_kit.db import Tx

OVERLAP_S = 3600
LONGEST_OVERLAP_S = 2_592_000
EXPIRED_AT_ONCE = 50
"""Keys in one step: some milliseconds of the writer's time."""

_CONFIGURED = "operator key from the settings"


class Holder(NamedTuple):
    """Whose a key is."""

    workspace: WorkspaceId
    agent: AgentId | None = None


class _Fresh(NamedTuple):
    """A key that is being made."""

    id: KeyId
    secret: str


def create_key(tx: Tx, new: NewKey) -> NewKeyView:
    """Make a key. Its secret is in the answer and nowhere else.

    Raises:
        NotFound: there is no such agent.
        Denied: policy does not let this actor make keys.
        InvalidRequest: role, agent, name and scopes do not fit together.
        ScopeTooWide: the key would reach further than the actor's own.
        AgentRetired: the agent takes no more keys.
    """
    agent = queries.get_agent(tx, new.agent) if new.role is Role.AGENT and new.agent else None
    key_id = KeyId(tx.new_id("key"))
    tx.authorize(Action.KEY_CREATE, Asset(kind="key", id=key_id, agent=agent.id if agent else ""))
    problems = rules.problems_of_new_key(new)
    if problems:
        raise InvalidRequest(fields=problems)
    if not rules.are_within(new.scopes, tx.actor.scopes):
        raise ScopeTooWide(scopes=sorted(tx.actor.scopes))
    if agent is not None and agent.state is AgentState.RETIRED:
        raise AgentRetired(agent=agent.id)

    ends = None if new.expires_in_s is None else tx.now + timedelta(seconds=new.expires_in_s)
    holder = Holder(tx.actor.workspace, None if agent is None else agent.id)
    return _issue(tx, key_id, new, holder, ends)


def create_first_operator_key(tx: Tx, workspace: WorkspaceId) -> NewKeyView:
    """Make the key by which a new workspace is entered; creating the workspace is what was decided on."""
    new = NewKey(role=Role.OPERATOR, name="first operator")
    return _issue(tx, KeyId(tx.new_id("key")), new, Holder(workspace), None)


def rotate_key(tx: Tx, key_id: KeyId, rotation: KeyRotation, *, overlap_s: int = OVERLAP_S) -> NewKeyView:
    """Replace a key by a new one with the same rights; the old one works for a while yet, so that nothing fails.

    The new key ends when the old one would have, unless an operator says otherwise: nobody prolongs his own access.
    An agent can rotate the key it uses and no other.

    Args:
        overlap_s: how long the old key still works where the rotation does not say, in seconds.

    Raises:
        NotFound: there is no such key for this actor.
        Denied: policy does not let this actor rotate it.
        InvalidRequest: the overlap is out of range, or an agent asks for another end.
        KeyNotActive: it is expired, revoked or replaced already.
        ScopeTooWide: the key reaches further than the actor's own.
    """
    old = queries.load_key(tx, key_id)
    tx.authorize(Action.KEY_ROTATE, queries.key_asset(old))
    overlap_s = overlap_s if rotation.overlap_s is None else rotation.overlap_s
    if not 0 <= overlap_s <= LONGEST_OVERLAP_S:
        raise InvalidRequest(fields={"overlap_s": f"0 to {LONGEST_OVERLAP_S}"})
    if rotation.expires_in_s is not None and tx.actor.role is not Role.OPERATOR:
        raise InvalidRequest(fields={"expires_in_s": "only an operator may set it; leave it out"})
    _check_active(tx, old)
    # The caller gets the new secret, so it must not get more than it has.
    if not rules.are_within(old.scopes, tx.actor.scopes):
        raise ScopeTooWide(scopes=sorted(tx.actor.scopes))

    ends = old.expires_at if rotation.expires_in_s is None else tx.now + timedelta(seconds=rotation.expires_in_s)
    new_id = KeyId(tx.new_id("key"))
    secret = keyring.new_key(old.role, new_id)
    like_old = NewKey(role=old.role, name=old.name, scopes=tuple(old.scopes))
    holder = Holder(tx.actor.workspace, None if old.agent_id is None else AgentId(old.agent_id))
    new = _add(tx, _Fresh(new_id, secret), like_old, holder, ends)
    old.replaced_by = new.id
    old.expires_at = rules.earliest(old.expires_at, tx.now + timedelta(seconds=overlap_s))
    keyring.admit(tx, old)
    _announce(tx, old, RegistryEvent.KEY_ROTATED, replaced_by=new.id, overlap_s=overlap_s)
    return NewKeyView(queries.key_view(new, tx.now), secret)


def revoke_key(tx: Tx, key_id: KeyId, *, reason: str = "") -> KeyView:
    """Make a key worthless at once; streams that were opened with it end. A repeat changes nothing.

    Raises:
        NotFound: there is no such key for this actor.
        Denied: policy does not let this actor revoke it.
        LastOperatorKey: nobody could operate the workspace any more.
    """
    key = queries.load_key(tx, key_id)
    tx.authorize(Action.KEY_REVOKE, queries.key_asset(key), purpose=reason)
    if key.revoked_at is not None:
        audit.record(tx, RegistryEvent.KEY_REVOKED, queries.key_asset(key), changed=False)
        return queries.key_view(key, tx.now)
    if key.role is Role.OPERATOR and not queries.has_operator_key(tx, tx.actor.workspace, beside=key_id):
        raise LastOperatorKey(key=key.id)

    _revoke(tx, key, reason)
    return queries.key_view(key, tx.now)


def revoke_keys(tx: Tx, agent: str, *, reason: str) -> None:
    """Revoke every key of an agent."""
    for key in tx.session.scalars(select(ApiKey).where(ApiKey.agent_id == agent, ApiKey.revoked_at.is_(None))):
        _revoke(tx, key, reason)


def suspend_keys(tx: Tx, agent: str) -> None:
    """Say of every key of an agent that it is refused for now, so that streams opened with it end."""
    for key in tx.session.scalars(select(ApiKey).where(ApiKey.agent_id == agent, ApiKey.revoked_at.is_(None))):
        _publish(tx, key, RegistryEvent.KEY_SUSPENDED, {})


def end_expired_keys(tx: Tx) -> int:
    """Revoke the keys of the actor's workspace whose time is over, so that streams end with them; return how many.

    The step of a worker: 0 means none are left. May be repeated. Requests are refused from the instant of expiry
    already; this ends what was open.
    """
    expired = (
        select(ApiKey)
        .where(ApiKey.workspace_id == tx.actor.workspace, ApiKey.revoked_at.is_(None), ApiKey.expires_at <= tx.now)
        .order_by(ApiKey.expires_at)
        .limit(EXPIRED_AT_ONCE)
    )
    keys = tx.session.scalars(expired).all()
    for key in keys:
        _revoke(tx, key, "expired")
    return len(keys)


def mark_keys_used(tx: Tx, used: Mapping[KeyId, datetime]) -> None:
    """Note when keys were last used. For the worker; not worth a ledger entry. May be repeated."""
    if used:
        tx.session.execute(update(ApiKey), [{"id": key, "last_used_at": at} for key, at in used.items()])


def ensure_operator_key(tx: Tx, secret: str) -> KeyView:
    """Let the operator in with the key from the settings, or from its file; for the start of the kernel.

    A key that was set before and is not any more is revoked: changing the setting is how that key is changed. May be
    repeated. Nobody outside reaches this, so policy is not asked.

    Raises:
        WeakKey: it is too easy to guess.
        OperatorKeyRevoked: somebody revoked this key, or let it expire, and there is no other.
    """
    weakness = rules.find_weakness(secret)
    if weakness is not None:
        raise WeakKey(f"The operator key is not good enough: {weakness}.")
    digest = rules.digest(secret)
    key = tx.session.scalar(select(ApiKey).where(ApiKey.digest == digest))
    if key is None:
        said = rules.read_key(secret)
        key_id = KeyId(tx.new_id("key")) if said is None else said[1]
        new = NewKey(role=Role.OPERATOR, name=_CONFIGURED)
        key = _add(tx, _Fresh(key_id, secret), new, Holder(DEFAULT_WORKSPACE), None)
        key.configured = True
        _announce(tx, key, RegistryEvent.KEY_CREATED, role=key.role, agent="")
    elif rules.decide_key_state(key.expires_at, key.revoked_at, tx.now) is not KeyState.ACTIVE and (
        not queries.has_operator_key(tx, DEFAULT_WORKSPACE, beside=KeyId(key.id))
    ):
        raise OperatorKeyRevoked(key=key.id)
    former = select(ApiKey).where(ApiKey.configured.is_(True), ApiKey.revoked_at.is_(None), ApiKey.id != key.id)
    for row in tx.session.scalars(former):
        _revoke(tx, row, "another operator key is set")
    return queries.key_view(key, tx.now)


def without_secret(view: NewKeyView) -> NewKeyView:
    """Return what may be kept of the answer to a new key, for `once_keeping`."""
    return msgspec.structs.replace(view, secret="")


def _issue(tx: Tx, key_id: KeyId, new: NewKey, holder: Holder, expires_at: datetime | None) -> NewKeyView:
    fresh = _Fresh(key_id, keyring.new_key(new.role, key_id))
    key = _add(tx, fresh, new, holder, expires_at)
    _announce(tx, key, RegistryEvent.KEY_CREATED, role=key.role, agent=key.agent_id or "")
    return NewKeyView(queries.key_view(key, tx.now), fresh.secret)


def _add(tx: Tx, fresh: _Fresh, new: NewKey, holder: Holder, expires_at: datetime | None) -> ApiKey:
    key = ApiKey(
        id=fresh.id,
        workspace_id=holder.workspace,
        digest=rules.digest(fresh.secret),
        last4=fresh.secret[-4:],
        name=new.name,
        role=new.role,
        agent_id=holder.agent,
        scopes=sorted(set(new.scopes)),
        configured=False,
        created_at=tx.now,
        created_by=tx.actor.principal,
        expires_at=expires_at,
        revoke_reason="",
    )
    tx.session.add(key)
    tx.session.flush()
    keyring.admit(tx, key)
    return key


def _check_active(tx: Tx, key: ApiKey) -> None:
    state = rules.decide_key_state(key.expires_at, key.revoked_at, tx.now)
    if state is not KeyState.ACTIVE or key.replaced_by is not None:
        raise KeyNotActive(key=key.id, state=state, replaced_by=key.replaced_by)


def _revoke(tx: Tx, key: ApiKey, reason: str) -> None:
    key.revoked_at, key.revoke_reason = tx.now, reason
    keyring.announce(tx, keyring.Removed(key.digest))
    _announce(tx, key, RegistryEvent.KEY_REVOKED, reason=reason)


def _announce(tx: Tx, key: ApiKey, event: RegistryEvent, **facts: Any) -> None:
    """Tell the ledger and the event log, in the same transaction as the change."""
    audit.record(tx, event, queries.key_asset(key), **facts)
    _publish(tx, key, event, facts)


def _publish(tx: Tx, key: ApiKey, event: RegistryEvent, facts: Mapping[str, Any]) -> None:
    asset = queries.key_asset(key)
    data = {"key": key.id, **facts}
    events.publish(tx, event, subject=key.id, data=data, owner=asset.owner, agent=asset.agent)
