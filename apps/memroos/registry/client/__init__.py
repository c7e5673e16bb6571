"""The way out to remote agents' cards, and what is shown to the agents themselves."""

from memroos.registry.client.checking import check_card, key_sets_of
from memroos.registry.client.credentials import card_headers, headers, headers_of
from memroos.registry.client.looking import find_card, look
from memroos.registry.client.signatures import find_key_problem

__all__ = [
    "card_headers",
    "check_card",
    "find_card",
    "find_key_problem",
    "headers",
    "headers_of",
    "key_sets_of",
    "look",
]
