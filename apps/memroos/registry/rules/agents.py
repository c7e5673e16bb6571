"""Decisions about agents and keys, pure: the same facts always give the same answer."""

import hashlib
import re
import unicodedata
import zlib
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from urllib.parse import urlsplit

from memroos_contracts.governance import Action
from memroos_contracts.identity import DEFAULT_WORKSPACE, AgentId, KeyId, Role, WorkspaceId
from memroos_contracts.registry import AgentKind, AgentSkill, AgentState, KeyState, Liveness, NewAgent, NewKey


class RegistryEvent(StrEnum):
    """What the registry tells the ledger and the event log."""

    WORKSPACE_CREATED = "workspace.created"
    AGENT_CREATED = "agent.created"
    AGENT_UPDATED = "agent.updated"
    AGENT_ACTIVATED = "agent.activated"
    AGENT_QUARANTINED = "agent.quarantined"
    AGENT_RETIRED = "agent.retired"
    AGENT_LIVE = "agent.live"
    AGENT_SILENT = "agent.silent"
    AGENT_CARD_CHANGED = "agent.card_changed"
    AGENT_CARD_REFUSED = "agent.card_refused"
    AGENT_BREAKER_MOVED = "agent.breaker_moved"
    KEY_CREATED = "key.created"
    KEY_ROTATED = "key.rotated"
    KEY_SUSPENDED = "key.suspended"
    KEY_REVOKED = "key.revoked"


MISSED_BEATS = 3
"""An agent is silent after this many intervals without a heartbeat: one may get lost, two may be late."""

SHORTEST_OPERATOR_KEY = 32
LONGEST_KEY = 512
FEWEST_DISTINCT_CHARACTERS = 10

RESERVED_SERVICES = frozenset({"kernel"})
"""Names under which the system itself acts; no key may be made for them."""

RESERVED_AGENTS = frozenset({str(DEFAULT_WORKSPACE)})
"""Names that no agent may have: where an agent is reached by its name as tenant, they mean something else."""

_MOVES: dict[AgentState, frozenset[AgentState]] = {
    AgentState.DRAFT: frozenset({AgentState.ACTIVE, AgentState.QUARANTINED, AgentState.RETIRED}),
    AgentState.ACTIVE: frozenset({AgentState.QUARANTINED, AgentState.RETIRED}),
    AgentState.QUARANTINED: frozenset({AgentState.ACTIVE, AgentState.RETIRED}),
    AgentState.RETIRED: frozenset(),
}
_NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,62}[a-z0-9])?")
_CONTROL = re.compile(r"[\x00-\x20\x7f]")


# -- agents and workspaces -------------------------------------------------------------------------------------------


def can_move(state: AgentState, wanted: AgentState) -> bool:
    """Say whether an agent may go from one state to another."""
    return wanted in _MOVES[state]


def is_admitted(state: AgentState) -> bool:
    """Say whether the keys of an agent in this state open the door."""
    return state in (AgentState.DRAFT, AgentState.ACTIVE)


def is_name(name: str) -> bool:
    """Say whether this can name an agent or a workspace: it stands in addresses, and never looks like an id."""
    return _NAME.fullmatch(name) is not None


def name_from(title: str) -> str:
    """Return a name that can be read out of a title; empty where there are neither letters nor digits in it."""
    plain = unicodedata.normalize("NFKD", title).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:64].rstrip("-")


def can_see_workspaces(home: WorkspaceId) -> bool:
    """Say whether operators of this workspace may create others and see them all: those of the default one may."""
    return home == DEFAULT_WORKSPACE


def problems_of_new(new: NewAgent) -> dict[str, str]:
    """Return what is wrong with a new agent, by field."""
    problems = problems_of_profile(new.kind, new.skills, new.endpoint_url)
    if not is_name(new.name):
        problems["name"] = "1 to 64 lower-case letters, digits and hyphens; a hyphen neither first nor last"
    elif new.name in RESERVED_AGENTS:
        problems["name"] = "the default workspace's name, which as a tenant means the kernel's own endpoint"
    if new.state not in (AgentState.DRAFT, AgentState.ACTIVE):
        problems["state"] = "a new agent is draft or active"
    return problems


def problems_of_profile(kind: AgentKind, skills: Sequence[AgentSkill], endpoint_url: str) -> dict[str, str]:
    """Return what is wrong with the parts of an agent that may change, by field."""
    problems = {}
    if len({skill.id for skill in skills}) != len(skills):
        problems["skills"] = "two skills have the same id"
    if kind is not AgentKind.A2A and endpoint_url:
        problems["endpoint_url"] = "only agents of kind a2a have an endpoint"
    elif endpoint_url and not is_endpoint(endpoint_url):
        problems["endpoint_url"] = "an http or https address with a host, without user, password or fragment"
    return problems


def is_endpoint(url: str) -> bool:
    """Say whether this has the form of an A2A endpoint. Whether it may be called is for the outbound guard to say."""
    if _CONTROL.search(url):
        return False
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018 - raises where the port is not a number below 65536
    except ValueError:
        return False
    return (
        parts.scheme in ("http", "https")
        and bool(parts.hostname)
        and not (parts.username is not None or parts.password is not None or "#" in url)
    )


def offers(skills: Iterable[AgentSkill], skill: str | None, tags: Collection[str]) -> bool:
    """Say whether one of these skills is the one asked for and carries all the tags.

    The tags have to stand on one skill: an agent that searches, and also translates into German, has no German search.
    """
    if skill is None and not tags:
        return True
    return any((skill is None or s.id == skill) and set(tags) <= set(s.tags) for s in skills)


def decide_liveness(kind: AgentKind, last_seen_at: datetime | None, interval_s: int, now: datetime) -> Liveness:
    """Return whether an agent counts as there. What runs inside the kernel is there while the kernel is."""
    if kind is AgentKind.LOCAL:
        return Liveness.LIVE
    if last_seen_at is None:
        return Liveness.UNKNOWN
    return Liveness.LIVE if now < silent_at(last_seen_at, interval_s) else Liveness.SILENT


def silent_at(last_seen_at: datetime, interval_s: int) -> datetime:
    """Return the instant from which an agent counts as silent."""
    return last_seen_at + timedelta(seconds=MISSED_BEATS * interval_s)


# -- keys ------------------------------------------------------------------------------------------------------------

# mr_<role>_<keyid>_<secret><checksum>: the prefix lets scanners find leaked keys, the checksum lets us refuse a typing
# error or a random string before anything is looked up. The secret has 256 bits, so a plain SHA-256 at rest suffices.

KEY_PREFIX = "mr_"
_BASE62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_PAIRS = [a + b for a in _BASE62 for b in _BASE62]
_SECRET_CHARS = 43  # 62**43 > 2**256
_SUM_CHARS = 6  # 62**6 > 2**32
_KEY = re.compile(rf"mr_([a-z]+)_([0-9A-Z]{{26}})_[0-9A-Za-z]{{{_SECRET_CHARS + _SUM_CHARS}}}")


def compose_key(role: Role, key_id: KeyId, secret: int) -> str:
    """Return the bearer form of a key.

    Args:
        secret: 256 random bits.
    """
    body = f"{KEY_PREFIX}{role}_{key_id.removeprefix('key_')}_{_base62(secret, _SECRET_CHARS)}"
    return body + _checksum(body)


def read_key(bearer: str) -> tuple[Role, KeyId] | None:
    """Return what a key of our form says of itself, None where the form or the checksum does not fit."""
    match = _KEY.fullmatch(bearer)
    if match is None or not is_plausible(bearer) or match[1] not in list(Role):
        return None
    return Role(match[1]), KeyId(f"key_{match[2]}")


def is_plausible(bearer: str) -> bool:
    """Say whether it is worth looking this up. Cheap: it stands before every request."""
    if not bearer.isascii() or len(bearer) > LONGEST_KEY:
        return False
    if not bearer.startswith(KEY_PREFIX):
        return True  # an operator key that somebody chose
    return bearer[-_SUM_CHARS:] == _checksum(bearer[:-_SUM_CHARS])


def digest(bearer: str) -> bytes:
    """Return the SHA-256 under which a key is stored and looked up, never the key itself."""
    return hashlib.sha256(bearer.encode()).digest()


def _checksum(body: str) -> str:
    value = zlib.crc32(body.encode())
    high, low = divmod(value, 14_776_336)  # 62**4
    middle, last = divmod(low, 3_844)
    return _PAIRS[high] + _PAIRS[middle] + _PAIRS[last]


def _base62(value: int, width: int) -> str:
    digits = []
    for _ in range(width):
        value, digit = divmod(value, 62)
        digits.append(_BASE62[digit])
    return "".join(reversed(digits))


def find_weakness(key: str) -> str | None:
    """Return why a chosen operator key is not good enough, None where it is."""
    if len(key) < SHORTEST_OPERATOR_KEY:
        return f"it has {len(key)} characters; at least {SHORTEST_OPERATOR_KEY} are needed"
    if len(key) > LONGEST_KEY:
        return f"it is longer than {LONGEST_KEY} characters"
    if not all("!" <= c <= "~" for c in key):
        return "it contains spaces or characters outside ASCII, which cannot travel in a header"
    if len(set(key)) < FEWEST_DISTINCT_CHARACTERS:
        return f"it has fewer than {FEWEST_DISTINCT_CHARACTERS} different characters"
    if key.startswith(KEY_PREFIX):
        said = read_key(key)
        if said is None:
            return f"it begins with {KEY_PREFIX} but its checksum does not fit: a character may be missing"
        if said[0] is not Role.OPERATOR:
            return f"it is a key for the role {said[0]}"
    return None


def decide_key_state(expires_at: datetime | None, revoked_at: datetime | None, now: datetime) -> KeyState:
    """Return whether a key opens the door at this instant."""
    if revoked_at is not None:
        return KeyState.REVOKED
    if expires_at is not None and expires_at <= now:
        return KeyState.EXPIRED
    return KeyState.ACTIVE


def actor_id(role: Role, key_id: KeyId, name: str, agent: AgentId | None) -> str:
    """Return who acts with a key: the agent, the service of that name, or for people the key itself."""
    if agent is not None:
        return agent
    return name if role is Role.SERVICE else key_id


def earliest(*instants: datetime | None) -> datetime | None:
    """Return the first of some ends, where None means never."""
    return min((instant for instant in instants if instant is not None), default=None)


def problems_of_new_key(new: NewKey) -> dict[str, str]:
    """Return what is wrong with a new key, by field."""
    problems = problems_of_scopes(new.scopes)
    if (new.role is Role.AGENT) != bool(new.agent):
        problems["agent"] = "a key of the role agent names its agent, and no other key does"
    if new.role is Role.SERVICE and (not is_name(new.name) or new.name in RESERVED_SERVICES):
        problems["name"] = "the service's name: lower-case letters, digits and hyphens, and none of the system's own"
    return problems


def problems_of_scopes(scopes: Iterable[str]) -> dict[str, str]:
    """Return which scopes mean nothing."""
    unknown = sorted(scope for scope in scopes if not is_scope(scope))
    return {"scopes": f"no action is meant by {', '.join(unknown)}"} if unknown else {}


# -- scopes ----------------------------------------------------------------------------------------------------------


def scope_allows(scopes: Collection[str], action: str) -> bool:
    """Say whether a key with these scopes may be used for an action.

    No scopes means no restriction. A scope is an action (`memory.read`) or, with a dot at its end, all actions of a
    noun (`task.`).
    """
    return not scopes or action in scopes or f"{action.partition('.')[0]}." in scopes


def is_scope(scope: str) -> bool:
    """Say whether a scope means any action at all."""
    return any(scope_allows((scope,), action) for action in Action)


def are_within(inner: Collection[str], outer: Collection[str]) -> bool:
    """Say whether scopes allow nothing that others do not: a key gives away no more than it has itself."""
    if not outer:
        return True
    return bool(inner) and all(scope_allows(outer, scope) for scope in inner)
