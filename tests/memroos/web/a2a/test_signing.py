"""What is signed is verified by who follows the specification, by the SDK, and by who takes the JSON as it is."""

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jwt
import pytest
import rfc8785
from a2a.client.card_resolver import parse_agent_card
from a2a.types import a2a_pb2 as pb
from a2a.utils.signing import SignatureVerificationError, create_signature_verifier
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from hypothesis import given
from hypothesis import strategies as st

from memroos.web.a2a.signing import KEPT, CardSigner, forms_of, to_json
from memroos_kit.clock import ManualClock
from memroos_kit.keyset import OVERLAP, KeySet

WHERE = "https://agents.example/.well-known/jwks.json"


@pytest.fixture
def keyset(tmp_path: Path, clock: ManualClock) -> KeySet:
    return KeySet.ensure(tmp_path, now=clock.now())


@pytest.fixture
def signer(keyset: KeySet) -> CardSigner:
    return CardSigner(keyset, WHERE)


def card(**more: Any) -> pb.AgentCard:
    return pb.AgentCard(
        **{
            "name": "Zoë",
            "description": "Counts — slowly.",
            "version": "1",
            "supported_interfaces": [
                pb.AgentInterface(url="https://x.example", protocol_binding="JSONRPC", protocol_version="1.0")
            ],
            "capabilities": pb.AgentCapabilities(streaming=False),
            "default_input_modes": ["text/plain"],
            "default_output_modes": ["text/plain"],
            "security_requirements": [pb.SecurityRequirement(schemes={"bearer": pb.StringList()})],
            **more,
        }
    )


def by_hand(keys: dict[str, Any], signature: dict[str, Any] | pb.AgentCardSignature, content: Any) -> None:
    """Verify a signature with nothing of ours and nothing of the SDK's; RFC 7515, 5.2, with RFC 7518, 3.4.

    Raises:
        InvalidSignature: it does not fit the content.
    """
    protected, value = (
        (signature["protected"], signature["signature"])
        if isinstance(signature, dict)
        else (signature.protected, signature.signature)
    )
    header = json.loads(base64.urlsafe_b64decode(protected + "=="))
    key = next(key for key in keys["keys"] if key["kid"] == header["kid"])
    x, y = (int.from_bytes(base64.urlsafe_b64decode(key[name] + "=")) for name in ("x", "y"))
    public = ec.EllipticCurvePublicNumbers(x, y, ec.SECP256R1()).public_key()
    raw = base64.urlsafe_b64decode(value + "==")
    assert len(raw) == 64
    der = encode_dss_signature(int.from_bytes(raw[:32]), int.from_bytes(raw[32:]))
    payload = base64.urlsafe_b64encode(rfc8785.dumps(content)).rstrip(b"=").decode()
    public.verify(der, f"{protected}.{payload}".encode(), ec.ECDSA(hashes.SHA256()))


def sdk_verifier(keyset: KeySet) -> Callable[[pb.AgentCard], None]:
    keys = {key["kid"]: jwt.PyJWK(key) for key in keyset.jwks()["keys"]}
    return create_signature_verifier(lambda kid, _: keys[kid or ""], ["ES256"])


def test_the_header_says_how_it_is_signed_and_where_the_key_is(signer: CardSigner, keyset: KeySet) -> None:
    (signature,) = signer.sign([b"{}"])

    header = json.loads(base64.urlsafe_b64decode(signature.protected + "=="))
    assert header == {"alg": "ES256", "typ": "JOSE", "kid": keyset.card_key[0], "jku": WHERE}
    assert "=" not in signature.protected + signature.signature


def test_the_form_of_the_specification_comes_first_and_verifies_by_hand(signer: CardSigner, keyset: KeySet) -> None:
    made = card()

    first = signer.sign(forms_of(made))[0]

    by_hand(
        keyset.jwks(),
        first,
        {
            "name": "Zoë",
            "description": "Counts — slowly.",
            "version": "1",
            "supportedInterfaces": [
                {"url": "https://x.example", "protocolBinding": "JSONRPC", "protocolVersion": "1.0"}
            ],
            "capabilities": {"streaming": False},
            "defaultInputModes": ["text/plain"],
            "defaultOutputModes": ["text/plain"],
            "securityRequirements": [{"schemes": {"bearer": {}}}],
            "skills": [],
        },
    )


def test_the_sdk_verifies_it_too(signer: CardSigner, keyset: KeySet) -> None:
    made = card()
    made.signatures.extend(signer.sign(forms_of(made)))

    sdk_verifier(keyset)(made)


def test_the_json_as_it_goes_out_is_one_of_the_forms(signer: CardSigner, keyset: KeySet) -> None:
    written = {**to_json(card()), "url": "https://x.example", "security": [{"bearer": []}]}

    signatures = signer.sign(forms_of(card(), written))

    by_hand(keyset.jwks(), signatures[-1], written)


def test_forms_that_are_the_same_are_signed_once(signer: CardSigner) -> None:
    skill = pb.AgentSkill(id="a", name="A", description="A.", tags=["a"])
    made = card(skills=[skill], security_requirements=[])

    assert len(signer.sign(forms_of(made, to_json(made)))) == 1


def test_required_fields_are_written_also_where_they_are_empty() -> None:
    written = to_json(pb.AgentCard(skills=[pb.AgentSkill(id="a")]))

    assert written["name"] == ""
    assert written["supportedInterfaces"] == []
    assert written["capabilities"] == {}
    assert written["skills"] == [{"id": "a", "name": "", "description": "", "tags": []}]
    assert not {"provider", "documentationUrl", "securitySchemes", "signatures"} & written.keys()


def test_what_may_be_unset_is_written_only_where_it_is_set() -> None:
    written = to_json(pb.AgentCard(capabilities=pb.AgentCapabilities(streaming=False), icon_url=""))

    assert written["capabilities"] == {"streaming": False}
    assert written["iconUrl"] == ""


@pytest.mark.parametrize(
    "change",
    [
        lambda made: made.supported_interfaces[0].ClearField("protocol_binding"),
        lambda made: setattr(made.supported_interfaces[0], "url", "https://evil.example"),
        lambda made: setattr(made.capabilities, "streaming", True),
        lambda made: made.default_input_modes.append("x/y"),
        lambda made: setattr(made, "description", "Counts - slowly."),
    ],
)
def test_a_changed_card_does_not_verify(
    signer: CardSigner, keyset: KeySet, change: Callable[[pb.AgentCard], None]
) -> None:
    made = card()
    signatures = signer.sign(forms_of(made))
    change(made)

    for signature in signatures:
        with pytest.raises(InvalidSignature):
            by_hand(keyset.jwks(), signature, to_json(made))
    made.signatures.extend(signatures)
    with pytest.raises(SignatureVerificationError):
        sdk_verifier(keyset)(made)


def test_the_same_content_is_signed_once(signer: CardSigner) -> None:
    assert signer.sign([b"a", b"b"]) == signer.sign([b"a", b"b"])  # ES256 is never the same twice


def test_other_content_is_signed_anew(signer: CardSigner) -> None:
    first = signer.sign([b"a"])

    assert signer.sign([b"b"]) != first


def test_a_new_key_signs_anew_and_the_old_signature_still_verifies(
    signer: CardSigner, keyset: KeySet, clock: ManualClock
) -> None:
    made = card()
    made.signatures.extend(signer.sign(forms_of(made)))
    keyset.rotate(clock.now())

    again = signer.sign(forms_of(made))

    assert json.loads(base64.urlsafe_b64decode(again[0].protected + "=="))["kid"] == keyset.card_key[0]
    sdk_verifier(keyset)(made)
    by_hand(keyset.jwks(clock.now()), made.signatures[0], to_json(card()))


def test_an_old_signature_cannot_be_verified_when_the_overlap_is_over(
    signer: CardSigner, keyset: KeySet, clock: ManualClock
) -> None:
    signature = signer.sign(forms_of(card()))[0]
    keyset.rotate(clock.now())

    with pytest.raises(StopIteration):
        by_hand(keyset.jwks(clock.now() + OVERLAP), signature, to_json(card()))


def test_what_is_kept_is_bounded(signer: CardSigner) -> None:
    first = signer.sign([b"0"])
    for n in range(1, KEPT + 1):
        signer.sign([str(n).encode()])

    assert signer.sign([b"0"]) != first


texts = st.text(st.characters(codec="utf-8"), max_size=20)
skills = st.builds(
    pb.AgentSkill,
    id=texts,
    name=texts,
    description=texts,
    tags=st.lists(texts, max_size=2),
    examples=st.lists(texts, max_size=2),
)


@given(name=texts, made=st.lists(skills, max_size=2), streaming=st.none() | st.booleans())
def test_every_card_verifies_after_it_went_through_json(
    tmp_path_factory: pytest.TempPathFactory, name: str, made: list[pb.AgentSkill], streaming: bool | None
) -> None:
    keyset = KeySet.ensure(tmp_path_factory.getbasetemp() / "signing")
    wanted = card(name=name, skills=made, capabilities=pb.AgentCapabilities(streaming=streaming))
    written = to_json(wanted)

    signatures = CardSigner(keyset, WHERE).sign(forms_of(wanted, written))

    by_hand(keyset.jwks(), signatures[0], json.loads(json.dumps(written)))
    read = parse_agent_card(json.loads(json.dumps(written)))
    read.signatures.extend(signatures)
    sdk_verifier(keyset)(read)
