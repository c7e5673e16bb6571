import json
from typing import Any

import pytest
from a2a.types import AgentCard
from a2a.utils.signing import create_agent_card_signer
from cryptography.hazmat.primitives import serialization
from google.protobuf.json_format import MessageToDict, ParseDict
from hypothesis import given
from hypothesis import strategies as st
from tests.card_server import card_of, old_card_of
from tests.signing import Owner, b64, sign_with_nothing, sign_with_secret

from memroos.registry.client import canonical, cards, signatures
from memroos.registry.rules import Verdict
from memroos_contracts.registry import SignatureState

CARD = card_of("https://agent.example", description="", documentationUrl="")
OWNERS = {alg: Owner(alg) for alg in ("ES256", "EdDSA", "RS256")}
OWNER, STRANGER = OWNERS["ES256"], Owner("ES256")


def judge(card: dict[str, Any], *pins: Owner, offered: dict[str, list[Any]] | None = None) -> Verdict:
    current = cards.as_current(card)
    pinned = [signatures.parse_key(pin.pin) for pin in pins]
    return signatures.judge(card, canonical.forms_of(card, current), pinned=pinned, offered=offered or {})


@pytest.mark.parametrize("alg", OWNERS)
def test_a_card_signed_with_the_pinned_key_is_verified(alg: str) -> None:
    verdict = judge(OWNERS[alg].sign(CARD), OWNERS[alg])

    assert (verdict.state, verdict.key_id, verdict.refusal) == (SignatureState.VERIFIED, "key-1", "")


@pytest.mark.parametrize("alg", OWNERS)
def test_a_card_changed_after_it_was_signed_is_refused(alg: str) -> None:
    forged = {**OWNERS[alg].sign(CARD), "name": "Somebody else"}

    verdict = judge(forged, OWNERS[alg])

    assert verdict.state is SignatureState.INVALID
    assert verdict.refusal


@pytest.mark.parametrize("field", ["url", "protocolBinding"])
def test_no_interface_can_be_slipped_under_a_signature(field: str) -> None:
    forged = json.loads(json.dumps(OWNER.sign(CARD)))
    forged["supportedInterfaces"][0][field] = "https://evil.example"

    assert judge(forged, OWNER).state is SignatureState.INVALID


def test_the_address_of_an_older_card_is_signed_too() -> None:
    signed = OWNER.sign(old_card_of("https://agent.example"))

    assert judge(signed, OWNER).state is SignatureState.VERIFIED
    assert judge({**signed, "url": "https://evil.example"}, OWNER).state is SignatureState.INVALID


def test_the_form_of_the_specification_keeps_what_is_required_and_what_was_set() -> None:
    form = canonical.by_presence(ParseDict(CARD, AgentCard()))

    assert form["description"] == ""  # required
    assert form["documentationUrl"] == ""  # optional, and set
    assert "iconUrl" not in form
    assert "tenant" not in form["supportedInterfaces"][0]
    assert form["capabilities"] == {"streaming": True}
    signed = OWNER.sign(CARD, form=next(canonical.forms_of(CARD, ParseDict(CARD, AgentCard()))))
    assert judge(signed, OWNER).state is SignatureState.VERIFIED


def test_a_card_signed_with_the_official_sdk_is_verified() -> None:
    secret = OWNER.key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    sign = create_agent_card_signer(secret, {"kid": "key-1", "alg": "ES256", "jku": None, "typ": "JOSE"})
    sdk = MessageToDict(sign(ParseDict(card_of("https://agent.example"), AgentCard())))

    assert judge(sdk, OWNER).state is SignatureState.VERIFIED
    assert judge({**sdk, "name": "x"}, OWNER).state is SignatureState.INVALID


@pytest.mark.parametrize(
    "card",
    [
        CARD,
        STRANGER.sign(CARD),
        sign_with_nothing(CARD),
        sign_with_secret(CARD, OWNER.pin.encode()),
        sign_with_secret(CARD, OWNER.key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)),
        OWNER.sign(CARD, crit=["x"], x=1),
        OWNER.sign(CARD, b64=False),
        OWNERS["EdDSA"].sign(CARD, alg="ES256"),
        {**CARD, "signatures": [{"protected": "%%%", "signature": "AA"}]},
        {**CARD, "signatures": [{"protected": b64(b"[" * 100_000), "signature": "AA"}]},
        {**CARD, "signatures": [{"protected": b64(b'{"alg":["ES256"]}'), "signature": "AA"}]},
        {**CARD, "signatures": [{"protected": b64(b'{"alg":"ES256","kid":7}'), "signature": "AA"}]},
    ],
    ids=["none at all", "another key", "alg none", "hmac with the jwk", "hmac with the pem", "crit", "b64",
         "alg of another key", "no base64", "deep header", "odd alg", "odd kid"],
)  # fmt: skip
def test_nothing_else_passes_for_a_pinned_key(card: dict[str, Any]) -> None:
    verdict = judge(card, OWNER)

    assert verdict.state is SignatureState.INVALID
    assert verdict.refusal


@pytest.mark.parametrize("card", [sign_with_nothing(CARD), sign_with_secret(CARD, b"x"), {**CARD, "signatures": ["x"]}])
def test_a_signature_that_proves_nothing_is_refused_without_pins_too(card: dict[str, Any]) -> None:
    assert judge(card).refusal


def test_without_pins_a_key_that_the_card_names_verifies_it() -> None:
    signed = OWNER.sign(CARD, jku="https://agent.example/keys")

    verdict = judge(signed, offered={"https://agent.example/keys": [STRANGER.jwk | {"kid": "other"}, OWNER.jwk]})

    assert verdict.state is SignatureState.VERIFIED
    assert signatures.parse_key(verdict.key)["x"] == OWNER.jwk["x"]


def test_a_key_of_that_name_that_does_not_fit_shows_a_forgery() -> None:
    signed = OWNER.sign(CARD, jku="https://agent.example/keys")

    assert judge(signed, offered={"https://agent.example/keys": [STRANGER.jwk]}).state is SignatureState.INVALID


def test_without_any_key_a_signature_stays_unverified_and_the_card_is_taken() -> None:
    assert judge(OWNER.sign(CARD)) == Verdict(SignatureState.UNVERIFIED, "key-1")
    unknown = {**CARD, "signatures": [{"protected": b64(b'{"alg":"PS256"}'), "signature": "AA"}]}
    assert judge(unknown) == Verdict(SignatureState.UNVERIFIED)
    assert judge(CARD) == Verdict(SignatureState.UNSIGNED)


def test_one_good_signature_of_many_is_enough_but_only_a_few_are_looked_at() -> None:
    good = OWNER.sign(CARD)["signatures"]
    bad = STRANGER.sign(CARD)["signatures"]

    assert judge({**CARD, "signatures": bad * 3 + good}, OWNER).state is SignatureState.VERIFIED
    assert judge({**CARD, "signatures": bad * 100 + good}, OWNER).state is SignatureState.INVALID


@pytest.mark.parametrize(
    ("key", "problem"),
    [
        ("{", "not JSON"),
        ("[1]", "not a JWK"),
        ('{"kty": "oct", "k": "c2VjcmV0"}', "private or secret"),
        (json.dumps(OWNER.jwk | {"d": "AA"}), "private or secret"),
        (json.dumps(OWNER.jwk | {"crv": "P-384"}), "no key for"),
        (json.dumps(OWNER.jwk | {"x": "AA"}), "no key for"),
        (json.dumps(OWNER.jwk | {"x": 7}), "no key for"),
        (Owner("RS256", rsa_bits=1024).pin, "no key for"),
        ("[" * 10_000, "not JSON"),
    ],
)
def test_what_is_no_good_public_key_cannot_be_pinned(key: str, problem: str) -> None:
    assert problem in signatures.find_key_problem(key)


def test_of_a_key_set_the_usable_keys_are_taken() -> None:
    assert [k["kid"] for k in signatures.keys_in({"keys": [7, {"kty": "oct", "k": "x"}, OWNER.jwk]})] == ["key-1"]
    assert signatures.keys_in({"keys": 7}) == signatures.keys_in(None) == []
    assert len(signatures.keys_in({"keys": [OWNER.jwk] * 1000})) == signatures.MOST_KEYS


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=8),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=9), inner, max_size=4),
        max_leaves=12,
    )
)
def test_no_signatures_whatever_they_are_break_the_judgement(odd: Any) -> None:
    for card in ({**CARD, "signatures": odd}, {**CARD, "signatures": [odd]}):
        verdict = signatures.judge(card, [b"{}"], pinned=[OWNER.jwk], offered={})
        assert verdict.state is SignatureState.INVALID
