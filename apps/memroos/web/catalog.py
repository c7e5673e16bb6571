"""The catalogue of what can be reached here, and search over it, as far as the caller may see.

AI Catalog 1.0 at `/.well-known/ai-catalog.json`; searched and listed as Agentic Resource Discovery (ARD) 0.5 says.
"""

import re
from collections.abc import Callable, Iterable
from operator import eq, ge, gt, le, lt, ne
from typing import Any
from urllib.parse import urlsplit

import msgspec

from memroos import registry
from memroos_contracts.catalog import (
    AGENT_CARD,
    REGISTRY,
    Catalog,
    CatalogEntry,
    CatalogFindings,
    CatalogHost,
    CatalogListing,
    CatalogSearch,
    FoundEntry,
)
from memroos_contracts.errors import InvalidRequest
from memroos_contracts.governance import Action, Asset
from memroos_contracts.registry import AgentSkill, AgentView
from memroos_kit import cursors
from memroos_kit.db import Read

SPEC_VERSION = "1.0"
MEDIA_TYPE = "application/ai-catalog+json"
NAME = "MemRoOS"
SAYS = (
    "Routes a message to the agent that is named, or that offers the skill or tag asked for in the message's metadata "
    "(memroos.skill, memroos.tags)."
)
ROUTING = AgentSkill(
    id="route",
    name="Route to an agent",
    description="Finds an agent by skill and tags, and brings it the message.",
    tags=("routing",),
)
"""What the kernel says of itself, here and in its card."""

PATH = "/.well-known/ai-catalog.json"
SEARCH_PATH = "/api/catalog"

_QUERIES_FEWEST, _QUERIES_MOST = 2, 5
_WORDS_MOST = 64
_WORD = re.compile(r"\w+")
_CONDITION = re.compile(r"([A-Za-z]\w{0,63})\s*(=|!=|<=|>=|<|>)\s*'([^']{0,500})'(?:\s+AND\s+(?=\S)|$)")
_COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {"=": eq, "!=": ne, "<": lt, ">": gt, "<=": le, ">=": ge}
_ORDERS = {"displayName": "display_name", "identifier": "identifier", "updatedAt": "updated_at"}
_HEAVY, _LIGHT = 4, 1


def visible_agents(tx: Read) -> list[AgentView]:
    """Return the active agents that the actor may know of.

    Raises:
        Denied: policy does not let this actor look.
    """
    tx.authorize(Action.PEER_READ, Asset(kind="peer", id="*"))
    return registry.find_agents(tx)


class Directory:
    """Makes the catalogue out of what the registry knows.

    Args:
        url: the address under which clients reach the kernel, without a slash at the end.
        version: the kernel's version.
    """

    def __init__(self, url: str, version: str) -> None:
        self._url = url.rstrip("/")
        self._version = version
        # An address in brackets has no place in a URN (RFC 8141, 2).
        self.host = (urlsplit(url).hostname or "localhost").replace(":", ".")
        self._source = f"{self._url}{SEARCH_PATH}"

    def catalog(self, agents: Iterable[AgentView] | None) -> Catalog:
        """Return the catalogue.

        Args:
            agents: what the caller may see; None for a caller without a key, who sees the kernel alone.
        """
        entries = [self._kernel()]
        if agents is not None:
            entries += [self._registry(), *(self._agent(agent) for agent in agents)]
        return Catalog(SPEC_VERSION, CatalogHost(NAME, self.host), entries)

    def public(self) -> bytes:
        """Return the catalogue that everybody may see, encoded."""
        return msgspec.json.encode(self.catalog(None))

    def visible(self, tx: Read) -> bytes:
        """Return the catalogue as far as the actor may see, encoded.

        Raises:
            Denied: policy does not let this actor look.
        """
        return msgspec.json.encode(self.catalog(visible_agents(tx)))

    def search(self, tx: Read, wish: CatalogSearch) -> CatalogFindings:
        """Find agents by words and by what their entries say, the best first.

        Raises:
            Denied: policy does not let this actor look.
            InvalidCursor: the page token is of another search.
        """
        words = [word.lower() for word in _WORD.findall(wish.query.text)[:_WORDS_MOST]]
        found = [
            FoundEntry(**msgspec.structs.asdict(entry), score=score, source=self._source)
            for entry, text in self._seen(tx)
            if _fits(entry, wish.query.filter) and (score := _score(words, entry, text))
        ]
        found.sort(key=lambda entry: (-entry.score, entry.identifier))
        kind = cursors.listing("catalog.search", text=wish.query.text, filter=sorted(wish.query.filter.items()))
        if wish.page_token:
            score, identifier = cursors.decode(kind, wish.page_token, int, str)
            found = [entry for entry in found if (-entry.score, entry.identifier) > (-score, identifier)]
        page, more = found[: wish.page_size], len(found) > wish.page_size
        return CatalogFindings(page, cursors.encode(kind, page[-1].score, page[-1].identifier) if more else "")

    def browse(
        self, tx: Read, *, where: str = "", order_by: str = "", page_size: int = 20, page_token: str = ""
    ) -> CatalogListing:
        """List agents in a fixed order.

        Args:
            where: conditions such as `tags = 'research' AND updatedAt > '2026-01-01'`.
            order_by: `displayName` (also when left out), `identifier` or `updatedAt`; `DESC` behind it turns it round.

        Raises:
            Denied: policy does not let this actor look.
            InvalidRequest: the filter or the order cannot be understood.
            InvalidCursor: the page token is of another listing.
        """
        conditions, (field, descending) = _conditions(where), _order(order_by)
        found = [entry for entry, _ in self._seen(tx) if all(_meets(entry, *one) for one in conditions)]

        def place(entry: CatalogEntry) -> tuple[str, str]:
            return getattr(entry, field), entry.identifier

        found.sort(key=place, reverse=descending)
        total, kind = len(found), cursors.listing("catalog", filter=where, order=f"{field} {descending}")
        if page_token:
            last = tuple(cursors.decode(kind, page_token, str, str))
            found = [entry for entry in found if (place(entry) < last if descending else place(entry) > last)]
        page, more = found[:page_size], len(found) > page_size
        return CatalogListing(page, total, cursors.encode(kind, *place(page[-1])) if more else "")

    # -- entries ---------------------------------------------------------------------------------------------------

    def _seen(self, tx: Read) -> list[tuple[CatalogEntry, str]]:
        """Return the entries of all agents that the actor may see, and the kernel's, each with what is said of it."""
        agents = [(self._agent(agent), _text(agent)) for agent in visible_agents(tx)]
        return [(self._kernel(), ""), *agents]

    def _kernel(self) -> CatalogEntry:
        return CatalogEntry(
            identifier=self._urn("broker", "memroos"),
            display_name=NAME,
            type=AGENT_CARD,
            url=f"{self._url}/.well-known/agent-card.json",
            description=SAYS,
            tags=ROUTING.tags,
            capabilities=(ROUTING.id,),
            version=self._version,
        )

    def _registry(self) -> CatalogEntry:
        return CatalogEntry(
            identifier=self._urn("registry", "memroos"),
            display_name="Search over the agents here",
            type=REGISTRY,
            url=self._source,
        )

    def _agent(self, agent: AgentView) -> CatalogEntry:
        queries = tuple(example for skill in agent.skills for example in skill.examples)[:_QUERIES_MOST]
        return CatalogEntry(
            identifier=self._urn("agent", agent.name),
            display_name=agent.title or agent.name,
            type=AGENT_CARD,
            url=f"{self._url}/a2a/agents/{agent.name}/.well-known/agent-card.json",
            description=agent.description,
            tags=tuple(dict.fromkeys(tag for skill in agent.skills for tag in skill.tags)),
            capabilities=tuple(skill.id for skill in agent.skills),
            representative_queries=queries if len(queries) >= _QUERIES_FEWEST else (),
            version=self._version,
            updated_at=agent.updated_at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        )

    def _urn(self, namespace: str, name: str) -> str:
        return f"urn:air:{self.host}:{namespace}:{name}"


# -- finding -----------------------------------------------------------------------------------------------------------


def _text(agent: AgentView) -> str:
    said = [agent.name, agent.description]
    for skill in agent.skills:
        said += [skill.description, *skill.examples]
    return " ".join(said)


def _score(words: list[str], entry: CatalogEntry, text: str) -> int:
    """Return how well an entry fits, 0 to 100: names, tags and skills count more than what is said around them."""
    named = set(_words(" ".join((entry.display_name, *entry.tags, *entry.capabilities))))
    said = set(_words(f"{entry.description} {text}"))
    points = sum(_HEAVY if word in named else _LIGHT if word in said else 0 for word in words)
    return min(100, round(100 * points / (_HEAVY * len(words))) or 1) if points else 0


def _words(text: str) -> list[str]:
    return [word.lower() for word in _WORD.findall(text.replace("_", " "))]


def _fits(entry: CatalogEntry, wanted: dict[str, str | list[str]]) -> bool:
    """Say whether in each field one of the wanted values stands."""
    return all(
        set(_values(entry, field)) & set([values] if isinstance(values, str) else values)
        for field, values in wanted.items()
    )


def _meets(entry: CatalogEntry, field: str, comparison: str, value: str) -> bool:
    found = _values(entry, field)
    if comparison == "!=":
        return value not in found
    return any(_COMPARISONS[comparison](one, value) for one in found)


def _values(entry: CatalogEntry, field: str) -> list[str]:
    value = msgspec.to_builtins(entry).get(field, [])
    return list(value) if isinstance(value, list | tuple) else [str(value)]


def _conditions(where: str) -> list[tuple[str, str, str]]:
    found: list[tuple[str, str, str]] = []
    rest = where.strip()
    while rest:
        one = _CONDITION.match(rest)
        if one is None or one[1] not in CatalogEntry.__struct_encode_fields__:
            fields = ", ".join(CatalogEntry.__struct_encode_fields__)
            raise InvalidRequest(
                "The filter cannot be understood.",
                fields={"filter": f"conditions such as tags = 'research', joined by AND; fields: {fields}"},
            )
        found.append((one[1], one[2], one[3]))
        rest = rest[one.end() :]
    return found


def _order(order_by: str) -> tuple[str, bool]:
    field, _, direction = (order_by.strip() or "displayName").partition(" ")
    if field not in _ORDERS or direction.strip().upper() not in {"", "ASC", "DESC"}:
        raise InvalidRequest(
            "The order cannot be understood.", fields={"orderBy": f"{', '.join(_ORDERS)}, with DESC behind it or not"}
        )
    return _ORDERS[field], direction.strip().upper() == "DESC"
