"""Fetching agent cards, through the guard: no redirects, small answers, little time."""

import asyncio
import hashlib
import re
from collections.abc import Mapping
from urllib.parse import urlsplit

import httpx
import msgspec
from a2a.types import AgentCard

from memroos.registry import rules
from memroos.registry.client import canonical, cards, signatures
from memroos.registry.client.signatures import Jwk
from memroos.registry.errors import CardRefused, CardUnavailable
from memroos_contracts.errors import MemroosError
from memroos_kit.outbound import Guard

WELL_KNOWN = "/.well-known/agent-card.json"
LONGEST_LOOK_S = 10.0
LARGEST_KEY_SET = 65_536
MOST_KEY_SETS = 2
LONGEST_ETAG = 200
_VISIBLE = re.compile(r"[\x21-\x7e]+(?: [\x21-\x7e]+)*")


class Fetched(msgspec.Struct, frozen=True):
    """An answer to a request for a card; None where it is what it was."""

    body: bytes | None
    etag: str = ""


def addresses_of(card_url: str) -> tuple[str, ...]:
    """Return where a card may be: at the address itself, or for an agent's address at the well-known place below it."""
    parts = urlsplit(card_url)
    if parts.path.endswith(".json") or "/.well-known/" in parts.path or parts.query or parts.fragment:
        return (card_url,)
    return (card_url.rstrip("/") + WELL_KNOWN, card_url)


async def find_card(
    guard: Guard, card_url: str, *, pinned_keys: tuple[str, ...] = (), headers: Mapping[str, str] | None = None
) -> rules.Look:
    """Look for a card at an address that somebody named.

    Raises:
        AddressRefused: the guard does not let us go there.
        NameUnresolved: the host has no address now.
        ReplyRefused: the answer is too large or too slow.
        CardUnavailable: nobody answers there, or not with a card.
        CardRefused: what is there cannot be taken.
    """
    guard.check(card_url)  # before anything else reads it
    first, *others = addresses_of(card_url)
    try:
        return await look(guard, first, pinned_keys=pinned_keys, headers=headers)
    except (CardUnavailable, CardRefused):
        if not others:
            raise
        try:
            return await look(guard, others[0], pinned_keys=pinned_keys, headers=headers)
        except (CardUnavailable, CardRefused):
            pass  # what is wrong at the well-known place says more than that an agent's address is no card
        raise


async def look(
    guard: Guard,
    card_url: str,
    *,
    etag: str = "",
    pinned_keys: tuple[str, ...] = (),
    headers: Mapping[str, str] | None = None,
) -> rules.Look:
    """Fetch a card and say what it means. A card that is not signed as it has to be comes with its refusal.

    Args:
        guard: where we may go.
        card_url: where the card is.
        etag: what it was tagged with when it was fetched before.
        pinned_keys: the keys it has to be signed with, where there are any.
        headers: what is shown where the card asks for a credential.

    Raises:
        AddressRefused, NameUnresolved, ReplyRefused, CardUnavailable, CardRefused: as `find_card` says.
    """
    async with guard.client(max_bytes=cards.LARGEST_CARD, timeout_s=LONGEST_LOOK_S) as http:
        fetched = await _fetch(http, card_url, etag, headers or {})
        if fetched.body is None:
            return rules.Look(card_url, pinned_keys)
        # Off the loop: a card of this size may take some milliseconds to read.
        card, current, reading = await asyncio.to_thread(_read, fetched.body, guard)
        offered = {} if pinned_keys else await _key_sets(http, card_url, signatures.read_signatures(card))
    verdict = await asyncio.to_thread(_judge, card, current, pinned_keys, offered)
    digest = hashlib.sha256(fetched.body).hexdigest()
    return rules.Look(card_url, pinned_keys, rules.Card(fetched.body, digest, reading, verdict, fetched.etag))


def _read(body: bytes, guard: Guard) -> tuple[dict[str, object], AgentCard | None, rules.Reading]:
    card = cards.parse(body)
    current = cards.as_current(card)
    return card, current, cards.read(card, current, guard)


def _judge(
    card: dict[str, object],
    current: AgentCard | None,
    pinned_keys: tuple[str, ...],
    offered: Mapping[str, list[Jwk]],
) -> rules.Verdict:
    pinned = [signatures.parse_key(text) for text in pinned_keys]
    return signatures.judge(card, canonical.forms_of(card, current), pinned=pinned, offered=offered)


async def _fetch(http: httpx.AsyncClient, card_url: str, etag: str, credential: Mapping[str, str]) -> Fetched:
    asking = {"Accept": "application/json"} | ({"If-None-Match": etag} if etag else {})
    answer = await _get(http, card_url, asking)
    if answer.status_code in (401, 403) and credential:
        answer = await _get(http, card_url, asking | dict(credential))
    if answer.status_code == 304 and etag:
        return Fetched(None)
    if answer.status_code != 200:
        moved = " Redirects are not followed: name the address itself." if answer.is_redirect else ""
        raise CardUnavailable(f"The card's address answers with status {answer.status_code}.{moved}", url=card_url)
    said = answer.headers.get("etag", "")
    usable = len(said) <= LONGEST_ETAG and _VISIBLE.fullmatch(said)
    return Fetched(answer.content, said if usable else "")


async def _get(http: httpx.AsyncClient, url: str, headers: Mapping[str, str]) -> httpx.Response:
    try:
        return await http.get(url, headers=headers)
    except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:  # ValueError: a header that cannot be sent
        raise CardUnavailable(f"Nobody answers at the card's address ({type(error).__name__}).", url=url) from error


async def _key_sets(http: httpx.AsyncClient, card_url: str, found: list[signatures.Signature]) -> dict[str, list[Jwk]]:
    """Fetch the key sets that a card's signatures name, as far as they lie on the card's own server."""
    urls = dict.fromkeys(one.key_set_url for one in found if _is_beside(one.key_set_url, card_url))
    return {url: await _key_set(http, url) for url in list(urls)[:MOST_KEY_SETS]}


async def _key_set(http: httpx.AsyncClient, url: str) -> list[Jwk]:
    """Return the keys of a set; none where it cannot be had: the signature then stays unverified."""
    try:
        answer = await _get(http, url, {"Accept": "application/json"})
        if answer.status_code != 200 or len(answer.content) > LARGEST_KEY_SET:
            return []
        return signatures.keys_in(msgspec.json.decode(answer.content))
    except (MemroosError, msgspec.DecodeError, RecursionError):
        return []


def _is_beside(url: str, card_url: str) -> bool:
    try:
        return bool(url) and "://" in url and rules.origin(url) == rules.origin(card_url)
    except ValueError:
        return False
