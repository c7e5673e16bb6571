"""What is found, in which order, and by whom."""

import re
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from tests.actors import AGENT, OPERATOR, STRANGER, VIEWER
from tests.conftest import Policy

from memroos import registry
from memroos.web.catalog import Directory, visible_agents
from memroos_contracts.catalog import CatalogListing, CatalogQuery, CatalogSearch
from memroos_contracts.errors import Denied, InvalidCursor, InvalidRequest
from memroos_contracts.governance import Action
from memroos_contracts.identity import Actor
from memroos_contracts.registry import AgentKind, AgentSkill, AgentState, NewAgent
from memroos_kit.clock import ManualClock
from memroos_kit.db import Database

DIRECTORY = Directory("https://agents.example/", "1.2.3")
URN = re.compile(r"urn:air:[a-zA-Z0-9.-]+(:[a-zA-Z0-9._-]+)+")
"""What the specification's schema asks of an identifier."""

Add = Callable[..., None]


@pytest.fixture
def add(db: Database) -> Add:
    def make(name: str, *, state: AgentState = AgentState.ACTIVE, actor: Actor = OPERATOR, **facts: Any) -> None:
        db.write_now(actor, registry.create_agent, NewAgent(name=name, kind=AgentKind.REST, state=state, **facts))

    return make


def skill(name: str, *, tags: tuple[str, ...] = (), examples: tuple[str, ...] = ()) -> AgentSkill:
    return AgentSkill(id=name, name=name, tags=tags, examples=examples)


def search(db: Database, text: str, *, actor: Actor = OPERATOR, filter: Any = None, **more: Any) -> list[str]:  # noqa: A002
    wish = CatalogSearch(CatalogQuery(text, filter or {}), **more)
    return [entry.identifier.rpartition(":")[2] for entry in db.read_now(actor, DIRECTORY.search, wish).results]


def browse(db: Database, *, actor: Actor = OPERATOR, **wish: Any) -> CatalogListing:
    return db.read_now(actor, DIRECTORY.browse, **wish)


def names(listing: CatalogListing) -> list[str]:
    return [entry.identifier.rpartition(":")[2] for entry in listing.items]


def test_the_catalogue_is_what_the_specification_asks_for(db: Database, add: Add) -> None:
    add("counter", title="Counter", skills=(skill("count", tags=("numbers",), examples=("Count.", "Count on.")),))

    made = msgspec.to_builtins(DIRECTORY.catalog(db.read_now(OPERATOR, visible_agents)))

    assert made["specVersion"] == "1.0"
    assert made["host"] == {"displayName": "MemRoOS", "identifier": "agents.example"}
    assert all(URN.fullmatch(entry["identifier"]) for entry in made["entries"])
    assert len({entry["identifier"] for entry in made["entries"]}) == len(made["entries"])
    counter = made["entries"][-1]
    assert counter == {
        "identifier": "urn:air:agents.example:agent:counter",
        "displayName": "Counter",
        "type": "application/a2a-agent-card+json",
        "url": "https://agents.example/a2a/agents/counter/.well-known/agent-card.json",
        "tags": ("numbers",),
        "capabilities": ("count",),
        "representativeQueries": ("Count.", "Count on."),
        "version": "1.2.3",
        "updatedAt": "2026-01-01T12:00:00.000Z",
    }


def test_without_a_key_the_kernel_stands_alone() -> None:
    (entry,) = DIRECTORY.catalog(None).entries

    assert (entry.identifier, entry.url) == (
        "urn:air:agents.example:broker:memroos",
        "https://agents.example/.well-known/agent-card.json",
    )


def test_with_a_key_the_catalogue_says_where_to_search() -> None:
    found = DIRECTORY.catalog([]).entries

    assert [(entry.type, entry.url) for entry in found[1:]] == [
        ("application/ai-registry+json", "https://agents.example/api/catalog")
    ]


@pytest.mark.parametrize("url", ["http://[::1]:7700", "http://127.0.0.1:7700", "http://localhost", "https://a.b/c"])
def test_every_address_makes_valid_identifiers(url: str) -> None:
    assert all(URN.fullmatch(entry.identifier) for entry in Directory(url, "1").catalog([]).entries)


def test_one_or_more_than_five_examples_are_no_representative_queries(db: Database, add: Add) -> None:
    add("one", skills=(skill("a", examples=("Only this.",)),))
    add("many", skills=(skill("a", examples=tuple(str(n) for n in range(9))),))

    one, many = DIRECTORY.catalog(db.read_now(OPERATOR, visible_agents)).entries[2:]

    assert (one.representative_queries, len(many.representative_queries)) == ((), 5)


def test_only_active_agents_of_the_own_workspace_are_seen(db: Database, add: Add) -> None:
    add("mine")
    add("draft", state=AgentState.DRAFT)
    add("theirs", actor=STRANGER)

    assert names(browse(db)) == ["memroos", "mine"]
    assert names(browse(db, actor=STRANGER)) == ["memroos", "theirs"]
    assert search(db, "mine draft theirs") == ["mine"]


@pytest.mark.parametrize("actor", [OPERATOR, VIEWER, AGENT])
def test_who_may_not_see_peers_sees_nothing(db: Database, policy: Policy, actor: Actor) -> None:
    policy.deny(Action.PEER_READ)

    with pytest.raises(Denied):
        browse(db, actor=actor)
    with pytest.raises(Denied):
        search(db, "x", actor=actor)
    with pytest.raises(Denied):
        db.read_now(actor, visible_agents)


# -- search ------------------------------------------------------------------------------------------------------------


def test_what_it_is_called_counts_more_than_what_is_said_of_it(db: Database, add: Add) -> None:
    add("talker", description="Will gladly tell you about weather.")
    add("forecaster", skills=(skill("weather"),))

    assert search(db, "weather") == ["forecaster", "talker"]


def test_more_words_that_fit_count_more(db: Database, add: Add) -> None:
    add("a", skills=(skill("x", tags=("weather",)),))
    add("b", skills=(skill("y", tags=("weather", "paris")),))

    assert search(db, "Weather, Paris?") == ["b", "a"]


def test_examples_are_searched_too(db: Database, add: Add) -> None:
    add("a", skills=(skill("x", examples=("Book me a flight to Tokyo.",)),))

    assert search(db, "tokyo") == ["a"]


@pytest.mark.parametrize("text", ["albatross", "?!", "  "])
def test_what_nobody_does_is_not_found(db: Database, add: Add, text: str) -> None:
    add("a", skills=(skill("x"),))

    assert search(db, text) == []


def test_scores_are_whole_numbers_from_1_to_100_and_name_their_source(db: Database, add: Add) -> None:
    add("a", title="weather", description="Paris.")
    wish = CatalogSearch(CatalogQuery("weather " + "nothing " * 60))

    (low,) = db.read_now(OPERATOR, DIRECTORY.search, wish).results
    (high,) = db.read_now(OPERATOR, DIRECTORY.search, CatalogSearch(CatalogQuery("weather"))).results

    assert (low.score, high.score, high.source) == (2, 100, "https://agents.example/api/catalog")


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ({"tags": "red"}, ["a"]),
        ({"tags": ["red", "blue"]}, ["a", "b"]),
        ({"tags": ["red", "blue"], "capabilities": "y"}, ["b"]),
        ({"type": "application/mcp-server-card+json"}, []),
        ({"trustManifest.attestations.type": "SOC2"}, []),
        ({"tags": []}, []),
    ],
)
def test_a_filter_leaves_what_has_one_of_the_values_in_each_field(
    db: Database, add: Add, wanted: Any, found: list[str]
) -> None:
    add("a", skills=(skill("x", tags=("red", "paint")),))
    add("b", skills=(skill("y", tags=("blue", "paint")),))

    assert search(db, "paint", filter=wanted) == found


def test_pages_of_a_search_leave_nothing_out(db: Database, add: Add) -> None:
    for n in range(7):
        add(f"a{n}", description="paint" if n % 2 else "", skills=(skill("paint" if n < 3 else "brush"),))
    whole = search(db, "paint")
    found, token = [], ""
    for _ in range(9):
        page = db.read_now(
            OPERATOR, DIRECTORY.search, CatalogSearch(CatalogQuery("paint"), page_size=2, page_token=token)
        )
        found += [entry.identifier.rpartition(":")[2] for entry in page.results]
        token = page.page_token
        if not token:
            break

    assert found == whole
    assert len(whole) == 5


def test_a_token_is_for_the_search_that_gave_it(db: Database, add: Add) -> None:
    add("a", title="paint")
    add("b", title="paint")
    page = db.read_now(OPERATOR, DIRECTORY.search, CatalogSearch(CatalogQuery("paint"), page_size=1))

    with pytest.raises(InvalidCursor):
        search(db, "brush", page_token=page.page_token)
    with pytest.raises(InvalidCursor):
        search(db, "paint", filter={"tags": "x"}, page_token=page.page_token)
    with pytest.raises(InvalidCursor):
        browse(db, page_token=page.page_token)


# -- listing -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("order", "found"),
    [
        ("", ["a", "b", "memroos"]),
        ("identifier", ["a", "b", "memroos"]),
        ("displayName DESC", ["memroos", "b", "a"]),
        ("updatedAt", ["memroos", "b", "a"]),
        ("updatedAt desc", ["a", "b", "memroos"]),
    ],
)
def test_listings_have_a_fixed_order(db: Database, add: Add, clock: ManualClock, order: str, found: list[str]) -> None:
    add("b", title="Bee")
    clock.advance(seconds=1)
    add("a", title="Ant")

    assert names(browse(db, order_by=order)) == found


@pytest.mark.parametrize(
    ("where", "found"),
    [
        ("", ["a", "b", "memroos"]),
        ("tags = 'red'", ["a"]),
        ("tags != 'red'", ["b", "memroos"]),
        ("displayName > 'Ant' AND tags='blue'", ["b"]),
        ("  displayName <= 'Ant'", ["a"]),
        ("updatedAt >= '2026'", ["a", "b"]),
        ("updatedAt < '2026'", []),
        ("description = 'this AND that'", ["b"]),
    ],
)
def test_conditions_are_all_met(db: Database, add: Add, where: str, found: list[str]) -> None:
    add("a", title="Ant", skills=(skill("x", tags=("red",)),))
    add("b", title="Bee", description="this AND that", skills=(skill("y", tags=("blue",)),))

    listing = browse(db, where=where)

    assert (names(listing), listing.total) == (found, len(found))


@pytest.mark.parametrize(
    "where",
    [
        "tags",
        "tags = ",
        "tags = red",
        "tags = 'a' OR tags = 'b'",
        "tags = 'a' AND",
        "nothing = 'a'",
        "AND",
        "tags ~ 'a'",
    ],
)
def test_a_filter_that_cannot_be_understood_is_refused(db: Database, where: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        browse(db, where=where)

    assert "filter" in str(caught.value.facts["fields"])


@pytest.mark.parametrize("order", ["tags", "displayName SIDEWAYS", "url", "__class__"])
def test_an_order_that_there_is_not_is_refused(db: Database, order: str) -> None:
    with pytest.raises(InvalidRequest):
        browse(db, order_by=order)


@pytest.mark.parametrize("order", ["", "displayName DESC", "updatedAt DESC"])
def test_pages_of_a_listing_leave_nothing_out(db: Database, add: Add, order: str) -> None:
    for n in range(5):
        add(f"a{n}", title="All the same")
    whole = names(browse(db, order_by=order, page_size=100))
    found, token = [], ""
    for _ in range(9):
        page = browse(db, order_by=order, page_size=2, page_token=token)
        found += names(page)
        token = page.page_token
        if not token:
            break

    assert (found, page.total) == (whole, 6)
