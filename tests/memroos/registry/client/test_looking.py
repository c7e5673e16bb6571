import asyncio
from collections.abc import Sequence

import pytest
from tests.card_server import WELL_KNOWN, CardServer, card_of, old_card_of
from tests.disguises import DISGUISES

from memroos.registry import CardRefused, CardUnavailable, client
from memroos.registry.client import cards, looking
from memroos.registry.rules import Look
from memroos_contracts.errors import MemroosError
from memroos_kit.outbound import AddressRefused, Guard, ReplyRefused

OPEN = Guard(allow=["*"])
HERE = Guard(allow=["127.0.0.1"])


def find(guard: Guard, url: str) -> Look:
    return asyncio.run(client.find_card(guard, url))


@pytest.mark.parametrize("url", DISGUISES)
def test_no_disguise_of_an_address_gets_a_card_fetched(url: str) -> None:
    with pytest.raises(AddressRefused):
        find(OPEN, url)


@pytest.mark.parametrize("url", [url for url in DISGUISES if len(url) < 1000])
def test_no_disguise_of_an_address_gets_in_as_an_interface(url: str) -> None:
    newer = [{"url": url, "protocolBinding": binding, "protocolVersion": "1.0"} for binding in ("JSONRPC", "GRPC")]
    for card in (card_of("", supportedInterfaces=newer[:1]), old_card_of("", url=url)):
        with pytest.raises(CardRefused):
            cards.read(card, cards.as_current(card), OPEN)
    if url.startswith("http"):
        grpc = card_of("", supportedInterfaces=[newer[1], {**newer[1], "url": url.removeprefix("http://")}])
        with pytest.raises(CardRefused):
            cards.read(grpc, cards.as_current(grpc), OPEN)


def test_a_name_that_leads_inside_is_not_connected_to() -> None:
    with CardServer() as canary:
        with pytest.raises(AddressRefused, match="leads to a private or special address"):
            find(OPEN, f"http://localhost:{canary.port}/")
        assert canary.asked == []


def test_redirects_are_not_followed_on_any_hop() -> None:
    with CardServer() as server, CardServer("127.0.0.2") as canary:
        server.status, server.headers = 307, {"Location": canary.url + WELL_KNOWN}
        with pytest.raises(CardUnavailable, match="Redirects are not followed"):
            find(Guard(allow=["127.0.0.1", "127.0.0.2"]), server.url)
        assert canary.asked == []


def test_a_resolver_that_changes_its_mind_gets_us_nowhere() -> None:
    asked = 0

    async def lying(host: str, port: int) -> Sequence[str]:
        nonlocal asked
        asked += 1
        return ["127.0.0.1"] if asked % 2 else ["127.0.0.2"]

    with CardServer("127.0.0.1") as canary:
        guard = Guard(allow=["agent.test", "127.0.0.2"], resolver=lying)
        for _ in range(20):
            with pytest.raises(MemroosError):
                find(guard, f"http://agent.test:{canary.port}")
        assert canary.asked == []


@pytest.mark.parametrize(
    ("url", "addresses"),
    [
        ("http://a.example", ("http://a.example/.well-known/agent-card.json", "http://a.example")),
        ("http://a.example/x/", ("http://a.example/x/.well-known/agent-card.json", "http://a.example/x/")),
        ("http://a.example/x.json", ("http://a.example/x.json",)),
        ("http://a.example/.well-known/agent", ("http://a.example/.well-known/agent",)),
        ("http://a.example/card?id=7", ("http://a.example/card?id=7",)),
    ],
)
def test_a_card_is_looked_for_where_it_may_be(url: str, addresses: tuple[str, ...]) -> None:
    assert looking.addresses_of(url) == addresses


def test_a_card_that_is_too_large_is_not_read_to_its_end() -> None:
    with CardServer() as server:
        server.serve(b" " * 1_000_000)
        with pytest.raises(ReplyRefused):
            find(HERE, server.url)


def test_what_is_wrong_at_the_well_known_place_is_what_is_said() -> None:
    with CardServer() as server:
        server.serve(b"<html>")
        with pytest.raises(CardRefused, match="not JSON"):
            find(HERE, server.url)


@pytest.mark.parametrize("etag", ["x" * 500, '"\u00fc"', ""])
def test_an_odd_tag_is_not_kept(etag: str) -> None:
    with CardServer() as server:
        server.tags = False
        server.headers = {"ETag": etag} if etag else {}
        card = find(HERE, server.url).card

    assert card is not None
    assert card.etag == ""


def test_a_304_that_nobody_asked_for_is_no_card() -> None:
    with CardServer() as server:
        server.status = 304
        with pytest.raises(CardUnavailable, match="304"):
            find(HERE, server.url)
