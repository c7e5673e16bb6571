"""Extensions: the agent's card says which there are, and which a caller must ask for."""

import json
from typing import Any

import pytest
from a2a.utils import errors as sdk

from memroos.web.a2a.extensions import settle


def card(*extensions: dict[str, Any]) -> bytes:
    return json.dumps({"name": "x", "capabilities": {"streaming": True, "extensions": list(extensions)}}).encode()


KNOWN = {"uri": "urn:known"}
DEMANDED = {"uri": "urn:demanded", "required": True, "params": {"a": 1}}


@pytest.mark.parametrize(
    ("requested", "settled"),
    [
        (set(), ()),
        ({"urn:known"}, ("urn:known",)),
        ({"urn:unknown"}, ()),
        ({"urn:unknown", "urn:known"}, ("urn:known",)),
    ],
)
def test_what_the_agent_knows_takes_effect_if_it_is_asked_for(requested: set[str], settled: tuple[str, ...]) -> None:
    assert settle(card(KNOWN), requested) == settled


def test_what_the_agent_demands_has_to_be_asked_for() -> None:
    with pytest.raises(sdk.ExtensionSupportRequiredError, match="urn:demanded") as refused:
        settle(card(KNOWN, DEMANDED), {"urn:known"})

    assert refused.value.data == {"extensions": "urn:demanded"}
    assert settle(card(DEMANDED, KNOWN), {"urn:known", "urn:demanded"}) == ("urn:demanded", "urn:known")


@pytest.mark.parametrize(
    "body",
    [b"", b"{}", b"no json", b'{"capabilities": []}', b'{"capabilities": {"extensions": 7}}', card({"required": True})],
)
def test_a_card_that_declares_nothing_demands_nothing(body: bytes) -> None:
    assert settle(body, {"urn:known"}) == ()
