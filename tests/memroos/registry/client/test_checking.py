"""What a card's signature is worth to somebody who has the card in hand."""

import json

import pytest
from tests.card_server import card_of
from tests.signing import Owner

from memroos import registry
from memroos_contracts.registry import SignatureState

HERE = "https://agent.example/.well-known/agent-card.json"
KEYS = "https://agent.example/.well-known/jwks.json"


def signed(key: Owner, **changed: str) -> bytes:
    card = key.sign(card_of("https://agent.example"), jku=KEYS)
    return json.dumps({**card, **changed}).encode()


def test_a_card_is_checked_with_the_keys_of_its_own_server() -> None:
    key = Owner()
    card = signed(key)

    assert registry.key_sets_of(card, HERE) == [KEYS]
    verdict = registry.check_card(card, {KEYS: json.dumps(key.key_set).encode()})
    assert verdict.state is SignatureState.VERIFIED


def test_keys_on_another_server_prove_nothing() -> None:
    assert registry.key_sets_of(signed(Owner()), "https://other.example/.well-known/agent-card.json") == []


def test_a_changed_card_does_not_fit() -> None:
    key = Owner()
    verdict = registry.check_card(signed(key, description="x"), {KEYS: json.dumps(key.key_set).encode()})

    assert verdict.state is SignatureState.INVALID


@pytest.mark.parametrize("keys", [b"", b"{", b"[]", b'{"keys": 1}', b"[" * 10_000])
def test_a_key_set_that_is_none_leaves_the_signature_unverified(keys: bytes) -> None:
    assert registry.check_card(signed(Owner()), {KEYS: keys}).state is SignatureState.UNVERIFIED


def test_what_is_no_card_is_refused() -> None:
    with pytest.raises(registry.CardRefused):
        registry.check_card(b"[]", {})
