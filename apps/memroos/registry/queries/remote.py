"""Reads about remote agents: how they are reached, how they are, the versions of their cards."""

from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import bindparam, func, or_, select
from sqlalchemy.orm import load_only

from memroos.registry import rules
from memroos.registry.models import Agent, AgentCard, RemoteAgent
from memroos.registry.queries import agents
from memroos_contracts.errors import NotFound
from memroos_contracts.governance import Action
from memroos_contracts.identity import AgentId, WorkspaceId
from memroos_contracts.pages import Page
from memroos_contracts.registry import (
    AgentKind,
    AgentState,
    AgentView,
    Breaker,
    CardVersionView,
    Health,
    RemoteAgentView,
    SignatureState,
)
from memroos_kit import cursors
from memroos_kit.clock import from_micros, to_micros
from memroos_kit.db import Hot, Read

_ANY = "*"
_DEFAULT_PAGE = 50


class Remote(msgspec.Struct, frozen=True):
    """A remote agent as those need it who call it."""

    agent: AgentView
    card: bytes
    """Its own card in force, verbatim JSON; empty for an agent that was registered without one."""
    interface_url: str
    protocol_binding: str
    """`JSONRPC`, `HTTP+JSON` or `GRPC`."""
    protocol_version: str
    """`1.0` or `0.3`."""
    tenant: str
    credential: bytes | None
    """Sealed, bound to the agent's id."""
    credential_origin: str
    """Where alone the credential may be shown."""
    breaker: Breaker
    breaker_until: datetime | None
    call_failures: int = 0
    """In a row; whoever calls reports success when this is not 0, and every failure."""
    card_digest: str = ""
    card_fetched_at: datetime | None = None


class Due(msgspec.Struct, frozen=True):
    """An agent whose card is to be looked at."""

    agent_id: AgentId
    workspace: WorkspaceId
    card_url: str
    etag: str
    pinned_keys: tuple[str, ...]
    credential: bytes | None
    credential_origin: str


_REMOTE = Hot(
    select(
        RemoteAgent.protocol_binding,
        RemoteAgent.protocol_version,
        RemoteAgent.tenant,
        RemoteAgent.credential,
        RemoteAgent.credential_origin,
        RemoteAgent.breaker_until,
        RemoteAgent.call_failures,
        AgentCard.body,
        AgentCard.digest,
        AgentCard.fetched_at,
    )
    .join(AgentCard, (AgentCard.agent_id == RemoteAgent.agent_id) & (AgentCard.version == RemoteAgent.card_version))
    .where(RemoteAgent.agent_id == bindparam("agent"))
)
_DUE_COLUMNS = (
    RemoteAgent.agent_id,
    RemoteAgent.workspace_id,
    RemoteAgent.card_url,
    RemoteAgent.etag,
    RemoteAgent.pinned_keys,
    RemoteAgent.credential,
    RemoteAgent.credential_origin,
)
_DUE = Hot(
    select(*_DUE_COLUMNS)
    .join(Agent, Agent.id == RemoteAgent.agent_id)
    .where(
        RemoteAgent.next_poll_at <= bindparam("now"),
        or_(Agent.state == bindparam("draft"), Agent.state == bindparam("active")),  # with others there is no contact
    )
    .order_by(RemoteAgent.next_poll_at)
    .limit(bindparam("most"))
)
_CARD = Hot(
    select(AgentCard.body, AgentCard.digest).where(
        AgentCard.agent_id == bindparam("agent"), AgentCard.version == bindparam("version")
    )
)

_decode_keys = msgspec.json.Decoder(tuple[str, ...]).decode


def get_remote(tx: Read, agent: str) -> Remote:
    """Return how a remote agent is reached; a point lookup that may run inline.

    An agent of kind a2a that was registered without a card is taken for one that speaks A2A 1.0 over JSON-RPC at its
    endpoint, which may be empty.

    Raises:
        NotFound: there is no such agent here, or work does not reach it by A2A.
    """
    view = agents.get_agent(tx, agent)
    row = tx.execute(_REMOTE, agent=view.id).fetchone()
    if row is None:
        if view.kind is not AgentKind.A2A:
            raise NotFound(kind_of_object="remote_agent", id=agent)
        return Remote(view, b"", view.endpoint_url, "JSONRPC", "1.0", "", None, "", Breaker.CLOSED, None)
    binding, version, tenant, credential, credential_origin, until, call_failures, body, digest, fetched_at = row
    breaker_until = None if until is None else from_micros(until)
    return Remote(
        agent=view,
        card=body,
        interface_url=view.endpoint_url,
        protocol_binding=binding,
        protocol_version=version,
        tenant=tenant,
        credential=credential,
        credential_origin=credential_origin,
        breaker=rules.decide_breaker(breaker_until, tx.now),
        breaker_until=breaker_until,
        call_failures=call_failures,
        card_digest=digest,
        card_fetched_at=from_micros(fetched_at),
    )


# -- for the doors ----------------------------------------------------------------------------------------------------


def read_remote_agent(tx: Read, agent: str) -> RemoteAgentView:
    """Return a remote agent to whoever may read agents.

    Raises:
        NotFound: there is none that this actor may know of.
        Denied: policy does not let this actor look.
    """
    row = find_remote_row(tx, agents.get_agent(tx, agent).id)
    if row is None:
        raise NotFound(kind_of_object="agent", id=agent)
    tx.authorize(Action.AGENT_READ, agents.agent_asset(row.agent_id))
    return remote_view(tx, row)


def list_remote_agents(
    tx: Read, *, health: Health | None = None, limit: int = _DEFAULT_PAGE, cursor: str | None = None
) -> Page[RemoteAgentView]:
    """List the remote agents of the actor's workspace, newest first.

    Raises:
        Denied: policy does not let this actor look.
        InvalidCursor: the cursor is of another listing.
    """
    tx.authorize(Action.AGENT_READ, agents.agent_asset(_ANY))
    listing = cursors.listing("remote_agents", health=health)
    query = select(RemoteAgent).where(RemoteAgent.workspace_id == tx.actor.workspace)
    if health is not None:
        query = query.where(RemoteAgent.health == health)
    if cursor is not None:
        query = query.where(RemoteAgent.agent_id < cursors.decode(listing, cursor, str)[0])
    rows = tx.session.scalars(query.order_by(RemoteAgent.agent_id.desc()).limit(limit + 1)).all()
    more = cursors.encode(listing, rows[limit - 1].agent_id) if len(rows) > limit else None
    return Page([remote_view(tx, row) for row in rows[:limit]], more)


def list_card_versions(
    tx: Read, agent: str, *, limit: int = _DEFAULT_PAGE, cursor: str | None = None
) -> Page[CardVersionView]:
    """List the versions of an agent's own card, newest first, without their bodies.

    Raises:
        NotFound: there is no such remote agent that this actor may know of.
        Denied: policy does not let this actor look.
        InvalidCursor: the cursor is of another listing.
    """
    agent_id = _readable(tx, agent)
    listing = cursors.listing("agent_cards", agent=agent_id)
    query = select(AgentCard).where(AgentCard.agent_id == agent_id).options(load_only(*_WITHOUT_BODY))
    if cursor is not None:
        query = query.where(AgentCard.version < cursors.decode(listing, cursor, int)[0])
    rows = tx.session.scalars(query.order_by(AgentCard.version.desc()).limit(limit + 1)).all()
    more = cursors.encode(listing, rows[limit - 1].version) if len(rows) > limit else None
    return Page([_version_view(row) for row in rows[:limit]], more)


def read_card(tx: Read, agent: str, version: int) -> tuple[bytes, str]:
    """Return one version of an agent's own card, verbatim, and its digest.

    Raises:
        NotFound: there is no such agent or version that this actor may know of.
        Denied: policy does not let this actor look.
    """
    agent_id = _readable(tx, agent)
    fits = 0 < version < 2**31  # a larger number is none that the table could hold
    row = tx.execute(_CARD, agent=agent_id, version=version).fetchone() if fits else None
    if row is None:
        raise NotFound(kind_of_object="agent_card", id=f"{agent}/{version}")
    return row[0], row[1]


def _readable(tx: Read, agent: str) -> AgentId:
    found = agents.get_agent(tx, agent)
    if found.kind is not AgentKind.A2A:
        raise NotFound(kind_of_object="agent", id=agent)
    tx.authorize(Action.AGENT_READ, agents.agent_asset(found.id))
    return found.id


_WITHOUT_BODY = (
    AgentCard.agent_id,
    AgentCard.version,
    AgentCard.digest,
    AgentCard.signature,
    AgentCard.signature_key,
    AgentCard.fetched_at,
)


def _version_view(row: AgentCard) -> CardVersionView:
    return CardVersionView(row.version, row.digest, row.signature, row.signature_key, row.fetched_at)


def remote_view(tx: Read, row: RemoteAgent) -> RemoteAgentView:
    """Return what others see of a remote agent; of its credential only that there is one."""
    agent = agents.get_agent(tx, row.agent_id)
    card = find_card(tx, row)
    return RemoteAgentView(
        agent=agent,
        card_url=row.card_url,
        interface_url=agent.endpoint_url,
        protocol_binding=row.protocol_binding,
        protocol_version=row.protocol_version,
        interval_s=row.interval_s,
        health=row.health,
        last_error=row.last_error,
        last_poll_at=row.last_poll_at,
        next_poll_at=row.next_poll_at,
        failures=row.failures,
        breaker=rules.decide_breaker(row.breaker_until, tx.now),
        breaker_until=row.breaker_until,
        has_credential=row.credential is not None,
        card_version=row.card_version,
        card_digest=card.digest if card else "",
        signature=card.signature if card else SignatureState.UNSIGNED,
        signature_key=card.signature_key if card else "",
    )


# -- rows, for change -------------------------------------------------------------------------------------------------


def find_remote_row(tx: Read, agent_id: str) -> RemoteAgent | None:
    """Return the row of a remote agent of the actor's workspace by its id, or None."""
    here = RemoteAgent.workspace_id == tx.actor.workspace
    return tx.session.scalar(select(RemoteAgent).where(RemoteAgent.agent_id == agent_id, here))


def find_card(tx: Read, row: RemoteAgent) -> AgentCard | None:
    """Return the version of an agent's card that is in force."""
    return tx.session.get(AgentCard, (row.agent_id, row.card_version))


def newest_card(tx: Read, agent_id: str) -> AgentCard | None:
    """Return the version of an agent's card that came last, taken or not."""
    query = select(AgentCard).where(AgentCard.agent_id == agent_id)
    return tx.session.scalar(query.order_by(AgentCard.version.desc()).limit(1))


def count_cards_since(tx: Read, agent_id: str, since: datetime) -> int:
    """Return how many versions of an agent's card have come since then."""
    query = select(func.count()).select_from(AgentCard)
    return tx.session.scalar(query.where(AgentCard.agent_id == agent_id, AgentCard.fetched_at >= since)) or 0


# -- for the worker ---------------------------------------------------------------------------------------------------


def find_due(tx: Read, *, most: int) -> list[Due]:
    """Return the agents of all workspaces whose cards are to be looked at by now, the longest overdue first."""
    states = {"draft": AgentState.DRAFT.value, "active": AgentState.ACTIVE.value}
    rows = tx.execute(_DUE, now=to_micros(tx.now), most=most, **states).fetchall()
    return [_due(row) for row in rows]


def get_due(tx: Read, agent: str) -> Due:
    """Return what is needed to look at one agent's card now.

    Raises:
        NotFound: there is no such remote agent.
    """
    row = find_remote_row(tx, agents.get_agent(tx, agent).id)
    if row is None:
        raise NotFound(kind_of_object="agent", id=agent)
    return Due(
        AgentId(row.agent_id), WorkspaceId(row.workspace_id), row.card_url, row.etag, tuple(row.pinned_keys),
        row.credential, row.credential_origin,
    )  # fmt: skip


def _due(row: Any) -> Due:
    agent_id, workspace, card_url, etag, pinned, credential, credential_origin = row
    return Due(agent_id, workspace, card_url, etag, _decode_keys(pinned), credential, credential_origin)
