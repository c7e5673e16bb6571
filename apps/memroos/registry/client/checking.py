"""What somebody who has a card in hand can say about its signature; fetching is theirs."""

from collections.abc import Mapping

import msgspec

from memroos.registry import rules
from memroos.registry.client import canonical, cards, signatures


def key_sets_of(card: bytes, card_url: str) -> list[str]:
    """Return the key sets that a card's signatures name, as far as they lie on the card's own server.

    Raises:
        CardRefused: it is no card.
    """
    named = dict.fromkeys(one.key_set_url for one in signatures.read_signatures(cards.parse(card)))
    return [url for url in named if _is_beside(url, card_url)]


def check_card(card: bytes, key_sets: Mapping[str, bytes]) -> rules.Verdict:
    """Say what a card's signatures are worth.

    Args:
        card: the card as it was served.
        key_sets: what was found at the addresses of `key_sets_of`.

    Raises:
        CardRefused: it is no card.
    """
    parsed = cards.parse(card)
    offered = {url: _keys(body) for url, body in key_sets.items()}
    return signatures.judge(parsed, canonical.forms_of(parsed, cards.as_current(parsed)), pinned=(), offered=offered)


def _keys(body: bytes) -> list[signatures.Jwk]:
    try:
        return signatures.keys_in(msgspec.json.decode(body))
    except (msgspec.DecodeError, RecursionError):
        return []


def _is_beside(url: str, card_url: str) -> bool:
    try:
        return bool(url) and "://" in url and rules.origin(url) == rules.origin(card_url)
    except ValueError:
        return False
