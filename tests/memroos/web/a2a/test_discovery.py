"""What clients find before they talk: who has it already is told so, and nothing depends on what a request says."""

import asyncio
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount
from tests.actors import AUDITOR, OPERATOR, STRANGER

from memroos import registry
from memroos.web.a2a import Cards
from memroos.web.a2a.discovery import agent_routes, answer, public_routes
from memroos_contracts.errors import MemroosError, NotFound
from memroos_contracts.identity import Actor
from memroos_contracts.registry import AgentChange, AgentKind, AgentSkill, AgentState, NewAgent
from memroos_kit.clock import ManualClock
from memroos_kit.db import Database
from memroos_kit.keyset import KeySet

CARD = "/.well-known/agent-card.json"
WORKER = f"/a2a/agents/worker{CARD}"
CATALOG = "/.well-known/ai-catalog.json"


class Site:
    """The routes, reached as somebody."""

    def __init__(self, db: Database, clock: ManualClock, folder: Path) -> None:
        self.keyset = KeySet.ensure(folder, now=clock.now())
        cards = Cards("https://agents.example", "1", self.keyset, clock)
        self.actor: Actor | None = OPERATOR
        app = Starlette(
            routes=[*public_routes(cards, db), Mount("/a2a/agents/{agent}", routes=agent_routes(cards, db))],
            exception_handlers={MemroosError: _refused},
        )

        async def as_somebody(scope: Any, receive: Any, send: Any) -> None:
            await app({**scope, **({"actor": self.actor} if self.actor else {})}, receive, send)

        self._app = as_somebody

    def get(self, path: str, **headers: str) -> httpx.Response:
        """Ask for something; underscores in the names of headers are hyphens."""
        return self.ask("GET", path, {name.replace("_", "-"): value for name, value in headers.items()})

    def ask(self, method: str, path: str, headers: dict[str, str] | None = None) -> httpx.Response:
        """Make a request."""

        async def asking() -> httpx.Response:
            transport = httpx.ASGITransport(app=self._app)
            async with httpx.AsyncClient(transport=transport, base_url="http://evil.example") as client:
                return await client.request(method, path, headers=headers)

        return asyncio.run(asking())


def _refused(_: Request, error: Exception) -> Response:
    return Response(type(error).__name__, status_code=404 if isinstance(error, NotFound) else 403)


@pytest.fixture
def site(db: Database, clock: ManualClock, tmp_path: Path) -> Site:
    skill = AgentSkill(id="count", name="Count")
    db.write_now(
        OPERATOR,
        registry.create_agent,
        NewAgent(name="worker", kind=AgentKind.REST, state=AgentState.ACTIVE, skills=(skill,)),
    )
    return Site(db, clock, tmp_path / "keys")


@pytest.mark.parametrize("path", [CARD, "/.well-known/jwks.json", CATALOG, "/.well-known/agent.json"])
def test_what_is_public_is_found_without_a_key(site: Site, path: str) -> None:
    site.actor = None

    response = site.get(path)

    assert (response.status_code, response.headers["cache-control"].partition(",")[0]) == (200, "public")
    assert response.headers["etag"]


def test_an_agents_card_is_for_whoever_asked(site: Site) -> None:
    response = site.get(WORKER)

    assert response.headers["cache-control"] == "private, max-age=60"
    assert response.json()["name"] == "worker"


def test_the_old_address_of_a_card_has_the_same(site: Site) -> None:
    assert site.get("/.well-known/agent.json").content == site.get(CARD).content
    assert site.get("/a2a/agents/worker/.well-known/agent.json").content == site.get(WORKER).content


@pytest.mark.parametrize("path", [CARD, WORKER, CATALOG])
def test_no_address_comes_from_the_request(site: Site, path: str) -> None:
    response = site.get(path, x_forwarded_host="evil.example", forwarded="host=evil.example")

    assert "https://agents.example" in response.text
    assert "evil.example" not in response.text + str(response.headers)


@pytest.mark.parametrize("path", [CARD, WORKER])
@pytest.mark.parametrize("form", ["{}", '"other", {}', '"a,b" , {}', "*", ' "x",{} '])
def test_who_has_it_already_is_told_so(site: Site, path: str, form: str) -> None:
    etag = site.get(path).headers["etag"]

    response = site.get(path, if_none_match=form.format(etag))

    assert (response.status_code, response.content, response.headers["etag"]) == (304, b"", etag)


@pytest.mark.parametrize("tag", ['"other"', "{}x", "", "W/", '"'])
def test_who_has_another_gets_this_one(site: Site, tag: str) -> None:
    etag = site.get(CARD).headers["etag"].strip('W/"')

    assert site.get(CARD, if_none_match=tag.format(etag)).status_code == 200


def test_who_has_it_since_it_changed_is_told_so(site: Site, clock: ManualClock) -> None:
    changed = site.get(WORKER).headers["last-modified"]

    assert changed == "Thu, 01 Jan 2026 12:00:00 GMT"
    assert site.get(WORKER, if_modified_since=changed).status_code == 304
    assert site.get(WORKER, if_modified_since="Thu, 01 Jan 2026 11:59:59 GMT").status_code == 200


def test_a_tag_counts_more_than_a_date(site: Site) -> None:
    changed = site.get(WORKER).headers["last-modified"]

    assert site.get(WORKER, if_none_match='"other"', if_modified_since=changed).status_code == 200


@pytest.mark.parametrize(
    "date",
    ["yesterday", "", "Thu, 01 Jan 2026 12:00:00", "99999999999", "Mon, 01 Jan 99999999999999999999 00:00:00 GMT"],
)
def test_a_date_that_is_none_is_ignored(site: Site, date: str) -> None:
    assert site.get(WORKER, if_modified_since=date).status_code == 200


def test_the_last_second_of_the_calendar_is_a_date(site: Site) -> None:
    assert site.get(WORKER, if_modified_since="Fri, 31 Dec 9999 23:59:59 GMT").status_code == 304


def test_a_changed_agent_has_a_new_card(site: Site, db: Database, clock: ManualClock) -> None:
    before = site.get(WORKER).headers
    clock.advance(seconds=5)
    db.write_now(OPERATOR, registry.update_agent, "worker", AgentChange(title="The Worker"))

    response = site.get(WORKER, if_none_match=before["etag"], if_modified_since=before["last-modified"])

    assert (response.status_code, response.json()["name"]) == (200, "The Worker")
    assert response.headers["last-modified"] == "Thu, 01 Jan 2026 12:00:05 GMT"


def test_only_the_head_is_sent_where_only_that_is_asked_for(site: Site) -> None:
    whole, head = site.get(CARD), site.ask("HEAD", CARD)

    assert (head.status_code, head.headers["etag"]) == (200, whole.headers["etag"])
    assert head.headers["content-length"] == str(len(whole.content))


@pytest.mark.parametrize("path", [WORKER, "/a2a/agents/worker/upstream-card.json"])
def test_an_agent_of_another_workspace_is_unknown(site: Site, path: str) -> None:
    site.actor = STRANGER

    assert (site.get(path).status_code, site.get(path).text) == (404, "NotFound")


def test_an_agent_without_a_card_of_its_own_has_none_to_show(site: Site) -> None:
    assert site.get("/a2a/agents/worker/upstream-card.json").status_code == 404


def test_a_remote_agent_without_a_card_has_one_of_ours(site: Site, db: Database) -> None:
    there = NewAgent(name="far", kind=AgentKind.A2A, endpoint_url="https://far.example/rpc", state=AgentState.ACTIVE)
    db.write_now(OPERATOR, registry.create_agent, there)

    assert site.get(f"/a2a/agents/far{CARD}").status_code == 200
    assert site.get("/a2a/agents/far/upstream-card.json").status_code == 404


def test_a_catalogue_without_a_key_shows_the_kernel_alone(site: Site) -> None:
    site.actor = None

    response = site.get(CATALOG)

    assert [entry["displayName"] for entry in response.json()["entries"]] == ["MemRoOS"]
    assert (response.headers["content-type"], response.headers["vary"]) == (
        "application/ai-catalog+json",
        "Authorization",
    )


def test_a_catalogue_with_a_key_shows_what_the_caller_may_see(site: Site) -> None:
    site.actor = AUDITOR
    response = site.get(CATALOG)
    assert "urn:air:agents.example:agent:worker" in response.text
    assert response.headers["cache-control"] == "private, max-age=60"

    site.actor = STRANGER
    assert "worker" not in site.get(CATALOG).text


def test_a_rotation_shows_in_the_key_set_and_the_card(site: Site, clock: ManualClock) -> None:
    card, keys = site.get(CARD), site.get("/.well-known/jwks.json")
    site.keyset.rotate(clock.now())

    assert site.get(CARD, if_none_match=card.headers["etag"]).status_code == 200
    after = site.get("/.well-known/jwks.json", if_none_match=keys.headers["etag"])
    assert len(after.json()["keys"]) == 2 * len(keys.json()["keys"])
    assert "PRIVATE" not in after.text
    assert not any("d" in key for key in after.json()["keys"])


def test_a_body_is_its_own_tag_where_nothing_else_is() -> None:
    request = Request({"type": "http", "headers": []})

    assert answer(request, b"a").headers["etag"] != answer(request, b"b").headers["etag"]
    assert not answer(request, b"a").headers["etag"].startswith("W/")
    assert "last-modified" not in answer(request, b"a").headers
