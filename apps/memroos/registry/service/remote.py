"""Verbs about remote agents: register by card, take what a look at the card gave, move the breaker.

The network is not here: whoever looks (`worker.remote`) brings a `rules.Look`, and one verb makes of it what it means.
"""

import json
import random
from datetime import timedelta
from typing import Any

import msgspec

from memroos import audit, events
from memroos.registry import queries, rules
from memroos.registry.errors import AgentChanged, AgentNameTaken, AgentRetired, CardRefused
from memroos.registry.models import Agent, AgentCard, RemoteAgent
from memroos.registry.rules import RegistryEvent
from memroos.registry.service import agents
from memroos_contracts.errors import InvalidRequest, NotFound
from memroos_contracts.governance import Action
from memroos_contracts.identity import AgentId
from memroos_contracts.registry import (
    AgentKind,
    AgentState,
    AgentView,
    Breaker,
    Credential,
    Health,
    NewAgent,
    NewRemoteAgent,
    RemoteAgentChange,
    RemoteAgentView,
    SignatureState,
)
from memroos_kit.db import Read, Tx
from memroos_kit.sealing import Sealer

DAY = timedelta(days=1)


# -- for the doors ----------------------------------------------------------------------------------------------------


def permit_registration(tx: Read, state: AgentState) -> None:
    """Ask policy before anything is fetched at a caller's wish.

    Raises:
        Denied: policy does not let this actor register agents, or activate one.
    """
    asset = queries.agent_asset("*")
    tx.authorize(Action.AGENT_CREATE, asset)
    if state is AgentState.ACTIVE:
        tx.authorize(Action.AGENT_ACTIVATE, asset)


def permit_change(tx: Read, agent: str) -> queries.Due:
    """Ask policy before a remote agent's card is fetched again, and return what that takes.

    Raises:
        NotFound: there is no such remote agent.
        Denied: policy does not let this actor change it.
        AgentRetired: there is no contact with it any more.
    """
    found = queries.get_agent(tx, agent)
    due = queries.get_due(tx, found.id)
    tx.authorize(Action.AGENT_UPDATE, queries.agent_asset(found.id))
    if found.state is AgentState.RETIRED:
        raise AgentRetired(agent=found.id)
    return due


def add_remote_agent(tx: Tx, new: NewRemoteAgent, look: rules.Look, sealer: Sealer) -> RemoteAgentView:
    """Register a remote agent from its card.

    Raises:
        Denied: policy does not let this actor register agents, or activate this one.
        CardRefused: the card is not signed as it has to be.
        InvalidRequest: a name is needed, or the parts do not fit together.
        AgentNameTaken: the workspace has, or had, an agent of this name.
    """
    card = look.card
    if card is None or card.verdict.refusal:
        raise CardRefused(card.verdict.refusal if card else look.error, url=look.card_url)
    name = new.name or _free_name(tx, card.reading.title)
    profile = _as_new_agent(name, new, card.reading)
    problems = {k: v for k, v in rules.problems_of_new(profile).items() if k != "endpoint_url"}  # gRPC has no scheme
    made = agents.register(tx, profile, problems)
    row = RemoteAgent(
        agent_id=made.id,
        workspace_id=tx.actor.workspace,
        card_url=look.card_url,
        interval_s=new.interval_s,
        health=Health.UNKNOWN,
        last_error="",
        last_poll_at=None,
        next_poll_at=tx.now,
        seen_at=None,
        failures=0,
        call_failures=0,
        breaker_until=None,
        credential=_sealed(new.credential, made.id, sealer),
        credential_origin="",
        pinned_keys=list(new.pinned_keys),
        etag="",
        card_version=0,
        protocol_binding="",
        protocol_version="",
        tenant="",
    )
    _keep(tx, row, card, card.verdict.state)
    _put_in_force(tx, row, card)
    tx.session.add(row)
    _looked(tx, row, error="")
    tx.session.flush()
    return queries.remote_view(tx, row)


def change_remote_agent(
    tx: Tx,
    agent: str,
    change: RemoteAgentChange,
    sealer: Sealer,
    *,
    look: rules.Look | None = None,
    version: int | None = None,
) -> RemoteAgentView:
    """Change where a remote agent's card is, how often it is looked at, what is shown to it, or how it has to sign.

    A card at a new address is put in force at once: what is shown to the agent from now on never goes to where it was
    before. The next look, at once, judges the card anew.

    Args:
        agent: its id or name.
        look: what was found at a new `change.card_url`.
        version: the version of the agent that the change was made for; None means whichever it has now.

    Raises:
        NotFound: there is no such remote agent.
        Denied: policy does not let this actor change it.
        AgentRetired: it takes no more changes.
        AgentChanged: somebody else was faster.
        CardRefused: the card at the new address cannot take the place of the one in force.
    """
    row, profile = _load(tx, agent)
    tx.authorize(Action.AGENT_UPDATE, queries.agent_asset(row.agent_id))
    if profile.state is AgentState.RETIRED:
        raise AgentRetired(agent=row.agent_id)
    if version is not None and version != profile.version:
        raise AgentChanged(agent=row.agent_id, version=profile.version)
    fields = [name for name, value in msgspec.structs.asdict(change).items() if value is not msgspec.UNSET]
    if change.interval_s is not msgspec.UNSET:
        row.interval_s = change.interval_s
    if change.credential is not msgspec.UNSET:
        row.credential = _sealed(change.credential, row.agent_id, sealer)
        row.credential_origin = ""
    if change.pinned_keys is not msgspec.UNSET:
        row.pinned_keys = list(change.pinned_keys)
    if look is not None:
        _move(tx, row, profile, look)
    row.etag, row.next_poll_at = "", tx.now
    agents.touch(tx, profile)
    agents.announce(tx, profile, RegistryEvent.AGENT_UPDATED, fields=sorted(fields))
    tx.session.flush()
    return queries.remote_view(tx, row)


def retire_remote_agent(tx: Tx, agent: str, *, reason: str = "") -> AgentView:
    """Shut a remote agent out for good: no contact any more, its credential is forgotten. A repeat changes nothing.

    Raises:
        NotFound: there is no such remote agent.
        Denied: policy does not let this actor retire it.
    """
    _load(tx, agent)
    return agents.retire_agent(tx, agent, reason=reason)


# -- what looks and calls gave ----------------------------------------------------------------------------------------


def take_look(tx: Tx, agent: str, look: rules.Look) -> RemoteAgentView:
    """Take what a look at an agent's card gave: a new card, the same one, or none.

    For the worker and for whoever may ask for a look: policy was asked before the look. May be repeated: the same card
    changes nothing twice. A look that was made for another address, or judged by other keys than the agent has now, is
    thrown away, and the next one is due at once.

    Raises:
        NotFound: there is no such remote agent.
    """
    row, profile = _load(tx, agent)
    if look.card_url != row.card_url or list(look.pinned_keys) != row.pinned_keys:
        row.next_poll_at = tx.now
    elif profile.state is not AgentState.RETIRED:
        refusal = look.error or (_take_card(tx, row, profile, look.card) if look.card else "")
        _looked(tx, row, error=refusal)
    tx.session.flush()
    return queries.remote_view(tx, row)


def report_remote(tx: Tx, agent_id: str, *, ok: bool, error: str = "") -> None:
    """Take down how a call to a remote agent went; after some failures in a row no calls are tried for a while.

    Call it for each failed call, and for a good one where the agent has `call_failures`. An agent that is not looked
    at, or gone, is passed over.
    """
    row = queries.find_remote_row(tx, agent_id)
    if row is None:
        return
    if ok:
        row.call_failures = 0
    else:
        row.call_failures += 1
        row.last_error = rules.shown(error) or row.last_error
    _move_breaker(tx, row, failed=not ok)
    tx.session.flush()


def _move(tx: Tx, row: RemoteAgent, profile: Agent, look: rules.Look) -> None:
    """Put the card at a new address in force; its agent is where a credential is shown from now on."""
    if list(look.pinned_keys) != row.pinned_keys:
        raise AgentChanged(agent=row.agent_id, version=profile.version)
    row.card_url, row.credential_origin = look.card_url, ""
    refusal = _take_card(tx, row, profile, look.card) if look.card else look.error
    if refusal:
        raise CardRefused(refusal, url=look.card_url)


def _take_card(tx: Tx, row: RemoteAgent, profile: Agent, card: rules.Card) -> str:
    """Put a card in force, or keep it as refused; return why it was not taken."""
    current, newest = queries.find_card(tx, row), queries.newest_card(tx, row.agent_id)
    assert current is not None
    assert newest is not None
    known = (current.digest, current.signature, current.signature_key)
    if not card.verdict.refusal and known == (card.digest, card.verdict.state, card.verdict.key_id):
        # The interface in force stays, even where another allow-list lets us prefer another one of the same card.
        row.etag, row.credential_origin = card.etag, row.credential_origin or rules.origin(profile.endpoint_url)
        return ""
    if not (refusal := _refusal(row, card)):
        if queries.count_cards_since(tx, row.agent_id, tx.now - DAY) >= rules.CARDS_PER_DAY:
            return f"The card changes too often: more than {rules.CARDS_PER_DAY} versions in a day."
        before = json.loads(current.body)  # read as it was before it was kept
        _keep(tx, row, card, card.verdict.state)
        _put_in_force(tx, row, card)
        _apply(tx, profile, card.reading)
        said_before = str(before.get("version", ""))
        same = rules.shown(said_before) == rules.shown(card.reading.version) and current.digest != card.digest
        facts = {"card_version": row.card_version, "digest": card.digest, "same_version": same,
                 "signature": card.verdict.state.value}  # fmt: skip
        agents.announce(tx, profile, RegistryEvent.AGENT_CARD_CHANGED, **facts)
        return ""
    if (newest.digest, newest.signature) == (card.digest, SignatureState.INVALID):
        return refusal
    if queries.count_cards_since(tx, row.agent_id, tx.now - DAY) < rules.CARDS_PER_DAY:
        refused = _keep(tx, row, card, SignatureState.INVALID)
        facts = {"card_version": refused.version, "digest": card.digest, "reason": refusal}
        agents.announce(tx, profile, RegistryEvent.AGENT_CARD_REFUSED, **facts)
    return refusal


def _refusal(row: RemoteAgent, card: rules.Card) -> str:
    """Return why a card may not take the place of the one in force; empty where it may."""
    if card.verdict.refusal:
        return card.verdict.refusal
    moved = rules.origin(card.reading.interface.url) != row.credential_origin
    if row.credential is not None and row.credential_origin and moved and not row.pinned_keys:
        return (
            "The card moves the agent's interface to another server. Its credential would go there: set the card's "
            "address or the credential again to allow it, or pin the key that the card is signed with."
        )
    return ""


def _keep(tx: Tx, row: RemoteAgent, card: rules.Card, state: SignatureState) -> AgentCard:
    """Store a version of a card, taken or not."""
    newest = queries.newest_card(tx, row.agent_id)
    kept = AgentCard(
        agent_id=row.agent_id,
        version=newest.version + 1 if newest else 1,
        workspace_id=row.workspace_id,
        digest=card.digest,
        body=card.body,
        signature=state,
        signature_key=card.verdict.key_id,
        fetched_at=tx.now,
    )
    tx.session.add(kept)
    tx.session.flush()
    return kept


def _put_in_force(tx: Tx, row: RemoteAgent, card: rules.Card) -> None:
    newest = queries.newest_card(tx, row.agent_id)
    assert newest is not None
    interface = card.reading.interface
    row.card_version, row.etag = newest.version, card.etag
    row.protocol_binding, row.protocol_version, row.tenant = interface.binding, interface.version, interface.tenant
    row.credential_origin = rules.origin(interface.url)
    if not row.pinned_keys and card.verdict.key:
        row.pinned_keys = [card.verdict.key]


def _apply(tx: Tx, profile: Agent, reading: rules.Reading) -> None:
    """Bring what the registry says of an agent in line with its card."""
    profile.title, profile.description = reading.title, reading.description
    profile.endpoint_url = reading.interface.url
    agents.write_skills(tx, profile, reading.skills)
    agents.touch(tx, profile)


def _looked(tx: Tx, row: RemoteAgent, *, error: str) -> None:
    """Take down how a look went, and when the next one is due."""
    before = row.health
    row.last_poll_at = tx.now
    row.failures = row.failures + 1 if error else 0
    row.health = Health.FAILING if error else Health.HEALTHY
    row.last_error = rules.shown(error)
    if not error:
        row.seen_at = tx.now
        if row.breaker_until is not None and row.breaker_until + rules.FORGOTTEN_AFTER < tx.now:
            row.call_failures = 0  # whoever reported them has not been heard of since, and may have been restarted
    chance = random.random()  # noqa: S311 - spreads load, guards nothing
    row.next_poll_at = tx.now + rules.until_next_look(row.interval_s, row.failures, chance)
    _move_breaker(tx, row, failed=bool(error))
    if before is not row.health:
        event = RegistryEvent.AGENT_SILENT if error else RegistryEvent.AGENT_LIVE
        facts = {"error": row.last_error} if error else {}
        _announce(tx, row, event, **facts)


def _move_breaker(tx: Tx, row: RemoteAgent, *, failed: bool) -> None:
    """Let calls through, stop them for a while, or leave it at that."""
    was_open, failures = row.breaker_until is not None, max(row.failures, row.call_failures)
    if not failed and failures < rules.BREAKER_AFTER:
        row.breaker_until = None
    elif failed and (pause := rules.pause_after(failures)) is not None:
        row.breaker_until = max(tx.now + pause, row.breaker_until or tx.now)
    if was_open is (row.breaker_until is None):
        moved = Breaker.CLOSED if was_open else Breaker.OPEN
        _announce(tx, row, RegistryEvent.AGENT_BREAKER_MOVED, breaker=moved.value)


def _free_name(tx: Read, title: str) -> str:
    """Return a name made from a card's title that nobody has here yet.

    Raises:
        InvalidRequest: nothing of the title can stand in a name.
    """
    stem = rules.name_from(title)
    if not stem:
        raise InvalidRequest(fields={"name": "its card's name has no letters or digits to make one from; give one"})
    for number in range(1, 100):
        name = stem if number == 1 else f"{stem[:60].rstrip('-')}-{number}"
        if name not in rules.RESERVED_AGENTS and queries.find_agent(tx, name) is None:
            return name
    raise AgentNameTaken(name=stem)


def _as_new_agent(name: str, new: NewRemoteAgent, reading: rules.Reading) -> NewAgent:
    return NewAgent(
        name=name,
        kind=AgentKind.A2A,
        title=reading.title,
        description=reading.description,
        state=new.state,
        skills=reading.skills,
        endpoint_url=reading.interface.url,
        max_concurrency=new.max_concurrency,
        labels=new.labels,
        capabilities=new.capabilities,
    )


def _sealed(credential: Credential | None, agent_id: AgentId | str, sealer: Sealer) -> bytes | None:
    if credential is None:
        return None
    return sealer.seal(msgspec.json.encode(credential).decode(), bound_to=agent_id)


def _load(tx: Tx, agent: str) -> tuple[RemoteAgent, Agent]:
    profile = queries.load_agent(tx, agent)
    row = queries.find_remote_row(tx, profile.id)
    if row is None:
        raise NotFound(kind_of_object="agent", id=agent)
    return row, profile


def _announce(tx: Tx, row: RemoteAgent, event: RegistryEvent, **facts: Any) -> None:
    audit.record(tx, event, queries.agent_asset(row.agent_id), **facts)
    events.publish(tx, event, subject=row.agent_id, data={"agent": row.agent_id, **facts}, agent=row.agent_id)
