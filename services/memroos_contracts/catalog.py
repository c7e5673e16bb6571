"""The words of discovery: AI Catalog 1.0, and the search over it of Agentic Resource Discovery (ARD) 0.5.

Their names are in camel case and pages go by `pageToken`, because clients of those specifications read them.
"""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

AGENT_CARD = "application/a2a-agent-card+json"
REGISTRY = "application/ai-registry+json"

PageSize = Annotated[int, Meta(ge=1, le=100)]
Value = Annotated[str, Meta(max_length=500)]
Values = Value | Annotated[list[Value], Meta(max_length=32)]


class CatalogEntry(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True, kw_only=True):
    """One thing that can be found."""

    identifier: str
    """`urn:air:<host>:<namespace>:<name>`."""
    display_name: str
    type: str
    """The media type of what is at `url`."""
    url: str
    description: str = ""
    tags: tuple[str, ...] = ()
    capabilities: tuple[str, ...] = ()
    """The ids of its skills."""
    representative_queries: tuple[str, ...] = ()
    """What one could ask it, two to five."""
    version: str = ""
    updated_at: str = ""
    """RFC 3339."""


class CatalogHost(msgspec.Struct, frozen=True, rename="camel"):
    """Who publishes a catalogue."""

    display_name: str
    identifier: str


class Catalog(msgspec.Struct, frozen=True, rename="camel"):
    """An AI Catalog."""

    spec_version: str
    host: CatalogHost
    entries: list[CatalogEntry]


class CatalogQuery(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """What is looked for."""

    text: Annotated[str, Meta(min_length=1, max_length=1000)]
    filter: Annotated[dict[Annotated[str, Meta(max_length=64)], Values], Meta(max_length=16)] = {}
    """Fields of an entry and the values they may have; all fields have to fit."""


class CatalogSearch(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """A search."""

    query: CatalogQuery
    federation: Literal["auto", "referrals", "none"] = "auto"
    """Taken and without effect: the kernel asks no other registries."""
    page_size: PageSize = 10
    page_token: Annotated[str, Meta(max_length=2000)] = ""


class FoundEntry(CatalogEntry, frozen=True, rename="camel", omit_defaults=True, kw_only=True):
    """An entry that fits a search."""

    score: int
    """How well it fits, 1 to 100; it says nothing of trust."""
    source: str
    """The registry that knows of it."""


class CatalogFindings(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """What a search found, the best first."""

    results: list[FoundEntry]
    page_token: str = ""
    """Pass it for the next page; left out at the end."""


class CatalogListing(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """Part of the catalogue."""

    items: list[CatalogEntry]
    total: int
    page_token: str = ""
    """Pass it for the next page; left out at the end."""
