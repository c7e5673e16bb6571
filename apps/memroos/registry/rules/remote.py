"""Decisions about remote agents, pure: what a look at a card means, when to look again, whether calls are tried."""

import re
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Literal
from urllib.parse import urlsplit

import msgspec

from memroos_contracts.registry import AgentSkill, Breaker, Credential, Health, Liveness, SignatureState

BREAKER_AFTER = 3
"""Failures in a row, of looks or of calls, after which calls are not tried for a while: one may be an accident."""

FIRST_PAUSE_S = 10
LONGEST_PAUSE_S = 300
FORGOTTEN_AFTER = timedelta(seconds=LONGEST_PAUSE_S)
"""Failed calls do not count any more when this long after the breaker's pause nothing was reported."""
FIRST_RECHECK_S = 5
"""After a failed look the next one comes soon, so that a restart is noticed before the usual interval is over."""

CARDS_PER_DAY = 100
"""Versions of one agent's card that are kept per day: they are never deleted, so a card that changes all the time must
not fill the disk."""

LONGEST_ERROR = 500
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110, 5.6.2
_VISIBLE = re.compile(r"[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?")
_TAKEN_HEADERS = frozenset(
    {"accept", "accept-encoding", "connection", "content-length", "content-type", "cookie", "expect", "host",
     "if-none-match", "te", "trailer", "traceparent", "transfer-encoding", "upgrade", "via"}
)  # fmt: skip
"""Headers that say something of the request itself."""


class Interface(msgspec.Struct, frozen=True):
    """One way to reach an agent."""

    url: str
    binding: Literal["JSONRPC", "HTTP+JSON", "GRPC"]
    version: Literal["1.0", "0.3"]
    tenant: str = ""


class Reading(msgspec.Struct, frozen=True):
    """What a card says, cleaned and within our limits."""

    title: str
    description: str
    version: str
    """The card's own word for its version."""
    skills: tuple[AgentSkill, ...]
    interface: Interface
    """The agent's preferred one among those that can be used from here."""


class Verdict(msgspec.Struct, frozen=True):
    """What is known of a card's signature, and whether the card may be taken."""

    state: SignatureState
    key_id: str = ""
    key: str = ""
    """The public key it was verified with (JWK, as JSON text)."""
    refusal: str = ""
    """Why the card is not taken; empty where it is."""


class Card(msgspec.Struct, frozen=True):
    """A card as it was fetched, and what it means."""

    body: bytes
    digest: str
    """SHA-256 of the body, hex."""
    reading: Reading
    verdict: Verdict
    etag: str = ""


class Look(msgspec.Struct, frozen=True):
    """What came of one look at an agent's card; without card and error it is what it was."""

    card_url: str
    """Where it was looked for."""
    pinned_keys: tuple[str, ...] = ()
    """The keys it was judged by."""
    card: Card | None = None
    error: str = ""


# -- what is stated ---------------------------------------------------------------------------------------------------


def problems_of_remote(
    credential: Credential | None, pinned_keys: Sequence[str], find_key_problem: Callable[[str], str]
) -> dict[str, str]:
    """Return what is wrong with what an operator states of a remote agent, by field.

    Args:
        credential: what is to be shown to it.
        pinned_keys: what its card has to be signed with.
        find_key_problem: says what is wrong with a key; nothing where it is good.
    """
    problems = {}
    for key in pinned_keys:
        if problem := find_key_problem(key):
            problems["pinned_keys"] = problem
    if credential is not None:
        if credential.header and not _is_free_header(credential.header):
            problems["credential.header"] = "the name of a header of its own, such as X-API-Key"
        if credential.scheme and not _TOKEN.fullmatch(credential.scheme):
            problems["credential.scheme"] = "one word, such as Bearer"
        if not _VISIBLE.fullmatch(credential.value):
            problems["credential.value"] = "visible ASCII, without spaces at its ends: it travels in a header"
    return problems


def _is_free_header(name: str) -> bool:
    return (
        _TOKEN.fullmatch(name) is not None
        and name.lower() not in _TAKEN_HEADERS
        and not name.lower().startswith("a2a-")
    )


# -- when to look again -----------------------------------------------------------------------------------------------


def until_next_look(interval_s: int, failures: int, chance: float) -> timedelta:
    """Return how long to wait before the next look at a card.

    Args:
        interval_s: the agent's interval.
        failures: looks that failed in a row.
        chance: a random number between 0 and 1; it spreads the looks by a tenth, so that agents that were registered
            together, or found unreachable together, are not all looked at in one moment.
    """
    wait_s = float(interval_s)
    if failures:
        wait_s = min(wait_s, FIRST_RECHECK_S * 2.0 ** min(failures - 1, 20))
    return timedelta(seconds=wait_s * (0.9 + 0.2 * chance))


# -- the breaker ------------------------------------------------------------------------------------------------------


def pause_after(failures: int) -> timedelta | None:
    """Return for how long no calls are tried after this many failures in a row; None where they go on."""
    if failures < BREAKER_AFTER:
        return None
    return timedelta(seconds=min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2.0 ** min(failures - BREAKER_AFTER, 20)))


def decide_breaker(until: datetime | None, now: datetime) -> Breaker:
    """Return whether calls are tried: after the pause one try decides."""
    if until is None:
        return Breaker.CLOSED
    return Breaker.OPEN if now < until else Breaker.HALF_OPEN


def liveness_of(health: Health) -> Liveness:
    """Return whether an agent counts as there, by what the last look at its card gave."""
    return {Health.UNKNOWN: Liveness.UNKNOWN, Health.HEALTHY: Liveness.LIVE, Health.FAILING: Liveness.SILENT}[health]


# -- where things are -------------------------------------------------------------------------------------------------


def origin(url: str) -> str:
    """Return scheme, host and port of an address; the schemeless `host:port` of gRPC counts as TLS-less http."""
    parts = urlsplit(url if "://" in url else f"http://{url}")
    port = parts.port or {"http": 80, "https": 443}.get(parts.scheme, 0)
    return f"{parts.scheme}://{parts.hostname}:{port}"


def shown(text: str) -> str:
    """Return what another side said, short and harmless enough for a log, a page and a terminal."""
    return "".join(c if c.isprintable() else "?" for c in text[:LONGEST_ERROR])
