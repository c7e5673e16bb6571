"""What clients find before they talk: cards, the keys that verify them, the catalogue. All of it can be kept.

Answers carry `ETag`, `Last-Modified` where it is known, and how long they may be kept; whoever has one already is told
so (RFC 9110, 13; RFC 9111).
"""

import hashlib
import re
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from email.utils import format_datetime, parsedate_to_datetime
from typing import NamedTuple

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from memroos import registry
from memroos.web import access, catalog
from memroos.web.a2a.cards import KEY_SET_PATH, Cards
from memroos_contracts.errors import NotFound
from memroos_contracts.identity import Actor
from memroos_contracts.registry import AgentKind, AgentView
from memroos_kit.db import Database, Read

CARD_PATHS = ("/.well-known/agent-card.json", "/.well-known/agent.json")
"""Where a card is, and where it was before A2A 0.3."""
UPSTREAM_PATH = "/upstream-card.json"
MAX_AGE_S = 60
KEY_SET_MAX_AGE_S = 300

_TAG = re.compile(r'(?:W/)?("[^"]*")')

Endpoint = Callable[[Request], Awaitable[Response]]


def public_routes(cards: Cards, db: Database) -> list[BaseRoute]:
    """Return what answers without a key: the kernel's card, the keys, and the catalogue, which tells more with one."""

    async def kernel_card(request: Request) -> Response:
        served = cards.serve(cards.kernel())
        return answer(request, served.body, tag_of=served.content, changed_at=served.changed_at)

    async def key_set(request: Request) -> Response:
        return answer(request, cards.key_set(), max_age_s=KEY_SET_MAX_AGE_S, media_type="application/jwk-set+json")

    directory = catalog.Directory(cards.url, cards.version)

    async def ai_catalog(request: Request) -> Response:
        actor: Actor | None = request.scope.get("actor")
        body = directory.public() if actor is None else await db.read(actor, directory.visible)
        return answer(request, body, media_type=catalog.MEDIA_TYPE, private=actor is not None, vary="Authorization")

    return [
        *_at_card_paths(kernel_card),
        Route(catalog.PATH, ai_catalog, methods=["GET"]),
        Route(KEY_SET_PATH, key_set, methods=["GET"]),
    ]


def agent_routes(cards: Cards, db: Database) -> list[BaseRoute]:
    """Return what is below an agent's address: its card, and a remote agent's own card beside it."""

    async def agent_card(request: Request) -> Response:
        actor = _actor(request, "a2aAgentCard")
        found = await db.read(actor, find_card, request.path_params["agent"])
        served = cards.serve(cards.agent(found.agent, found.own_card), found.changed_at)
        return answer(request, served.body, tag_of=served.content, changed_at=served.changed_at, private=True)

    async def upstream_card(request: Request) -> Response:
        actor = _actor(request, "a2aUpstreamCard")
        name = request.path_params["agent"]
        found = await db.read(actor, find_card, name)
        if not found.own_card:
            raise NotFound("This agent has no card of its own.", kind_of_object="agent_card", id=name)
        return answer(request, found.own_card, changed_at=found.own_since, private=True)

    return [*_at_card_paths(agent_card), Route(UPSTREAM_PATH, upstream_card, methods=["GET"])]


class Found(NamedTuple):
    """An agent and, where it is a remote one that has a card, that card as it was fetched."""

    agent: AgentView
    own_card: bytes = b""
    own_since: datetime | None = None

    @property
    def changed_at(self) -> datetime:
        """When what we say of it last changed."""
        return max(self.agent.updated_at, self.own_since or self.agent.updated_at)


def find_card(tx: Read, agent: str) -> Found:
    """Return what an agent's card is made of.

    Raises:
        NotFound: there is no such agent here.
    """
    view = registry.get_agent(tx, agent)
    if view.kind is not AgentKind.A2A:
        return Found(view)
    try:
        remote = registry.get_remote(tx, agent)
    except NotFound:  # nobody said yet where it is
        return Found(view)
    return Found(view, remote.card, remote.card_fetched_at)


def answer(  # noqa: PLR0913 - what an answer is made of
    request: Request,
    body: bytes,
    *,
    tag_of: bytes | None = None,
    changed_at: datetime | None = None,
    max_age_s: int = MAX_AGE_S,
    media_type: str = "application/json",
    private: bool = False,
    vary: str = "",
) -> Response:
    """Return a body that may be kept, or say that the caller's copy is still good.

    Args:
        tag_of: what the body says, where it can be written in several ways that are equally good: a signature is never
            the same twice. Left out, the body itself.
        private: whether it is for this caller alone.
    """
    digest = hashlib.sha256(body if tag_of is None else tag_of).hexdigest()[:32]
    tag = f'"{digest}"' if tag_of is None else f'W/"{digest}"'
    headers = {"ETag": tag, "Cache-Control": f"{'private' if private else 'public'}, max-age={max_age_s}"}
    if changed_at is not None:
        headers["Last-Modified"] = format_datetime(changed_at, usegmt=True)
    if vary:
        headers["Vary"] = vary
    if _has_it(request, tag, changed_at):
        return Response(status_code=304, headers=headers)
    return Response(body, headers=headers, media_type=media_type)


def _has_it(request: Request, tag: str, changed_at: datetime | None) -> bool:
    """Say whether the caller's copy is still good; a tag counts more than a date (RFC 9110, 13.2.2)."""
    tags = request.headers.getlist("if-none-match")
    if tags:
        asked = ",".join(tags)
        return asked.strip() == "*" or tag.removeprefix("W/") in _TAG.findall(asked)
    since = request.headers.get("if-modified-since")
    if since is None or changed_at is None:
        return False
    try:
        known = parsedate_to_datetime(since)
    except (ValueError, OverflowError):
        return False
    if known.tzinfo is None:
        return False
    return changed_at - timedelta(seconds=1) < known  # dates in headers are whole seconds


def _actor(request: Request, operation: str) -> Actor:
    actor: Actor = request.scope["actor"]
    access.demand(operation, actor)
    return actor


def _at_card_paths(endpoint: Endpoint) -> list[BaseRoute]:
    return [Route(path, endpoint, methods=["GET"]) for path in CARD_PATHS]
