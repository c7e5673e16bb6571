import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.card_server import card_of, old_card_of

from memroos.registry import CardRefused
from memroos.registry.client import canonical, cards
from memroos.registry.rules import Interface, Reading
from memroos_contracts.registry import AgentSkill
from memroos_kit.outbound import Guard

GUARD = Guard(allow=["agent.example", "other.example"])
URL = "https://agent.example"
RPC = f"{URL}/rpc"


def read(card: Any, guard: Guard = GUARD) -> Reading:
    body = card if isinstance(card, bytes) else json.dumps(card).encode()
    parsed = cards.parse(body)
    return cards.read(parsed, cards.as_current(parsed), guard)


def test_a_card_of_today_is_read() -> None:
    skill = {
        "id": "watch", "name": "Watch", "description": "Watches.\nAll day.", "tags": ["birds", "birds", ""],
        "examples": ["Look!"], "outputModes": ["image/png"],
    }  # fmt: skip
    assert read(card_of(URL, skills=[skill])) == Reading(
        title="Albatross Watcher",
        description="Watches albatrosses.",
        version="1.0.0",
        skills=(
            AgentSkill(
                id="watch", name="Watch", description="Watches.\nAll day.", tags=("birds",), examples=("Look!",),
                input_modes=("text/plain",), output_modes=("image/png",),
            ),
        ),
        interface=Interface(RPC, "JSONRPC", "1.0"),
    )  # fmt: skip


def test_a_card_of_0_3_is_read() -> None:
    assert read(old_card_of(URL)).interface == Interface(RPC, "JSONRPC", "0.3")
    card = old_card_of(URL, preferredTransport="GRPC", url="agent.example:7710")
    assert read(card).interface == Interface("agent.example:7710", "GRPC", "0.3")


def interface(url: str = RPC, binding: str = "JSONRPC", version: str = "1.0", **more: str) -> dict[str, str]:
    return {"url": url, "protocolBinding": binding, "protocolVersion": version, **more}


@pytest.mark.parametrize(
    ("interfaces", "chosen"),
    [
        ([interface(binding="HTTP+JSON"), interface()], Interface(RPC, "HTTP+JSON", "1.0")),
        ([interface(version="0.3"), interface()], Interface(RPC, "JSONRPC", "0.3")),
        ([interface(version="2.0"), interface(version="1.4.2")], Interface(RPC, "JSONRPC", "1.0")),
        ([interface(binding="CARRIER-PIGEON"), interface()], Interface(RPC, "JSONRPC", "1.0")),
        ([interface(url="http://127.0.0.1/rpc"), interface()], Interface(RPC, "JSONRPC", "1.0")),
        ([interface(url="file:///etc/passwd"), interface()], Interface(RPC, "JSONRPC", "1.0")),
        ([interface(url=""), interface(tenant="blue")], Interface(RPC, "JSONRPC", "1.0", "blue")),
        ([interface(tenant="a\u202eb"), interface()], Interface(RPC, "JSONRPC", "1.0")),
        ([interface(url="agent.example:7710", binding="GRPC")], Interface("agent.example:7710", "GRPC", "1.0")),
        ([interface(url="127.0.0.1:7710", binding="GRPC"), interface()], Interface(RPC, "JSONRPC", "1.0")),
    ],
)
def test_the_agents_first_usable_interface_is_chosen(interfaces: list[Any], chosen: Interface) -> None:
    assert read(card_of(URL, supportedInterfaces=interfaces)).interface == chosen


def test_additional_interfaces_of_0_3_come_after_the_preferred_one() -> None:
    more = [
        {"url": "http://10.0.0.1/", "transport": "JSONRPC"},
        {"url": "https://other.example/", "transport": "HTTP+JSON"},
    ]
    card = old_card_of(URL, preferredTransport="SMOKE", additionalInterfaces=more)

    assert read(card).interface == Interface("https://other.example/", "HTTP+JSON", "0.3")


@pytest.mark.parametrize(
    ("card", "reason"),
    [
        (b"", "not JSON"),
        (b"[]", "not a JSON object"),
        (b"null", "not a JSON object"),
        (b"\xff\xfe", "not UTF-8"),
        (b'{"name": NaN}', "number that is none"),
        (b'{"name": 1e400}', "number that is none, or too large"),
        (b'{"name": ' + b"9" * 400 + b"}", "too large"),
        (b'{"name": "\\ud800"}', "not UTF-8"),
        (b'{"\\udfff": 1}', "not UTF-8"),
        (b'{"name": "a", "name": "b"}', "there twice"),
        (b"[" * 100_000, "not JSON"),
        (b'{"a":' * 70 + b"1" + b"}" * 70, "nested deeper"),
        (b'{"x":' + b"9" * 5000 + b"}", "too large"),
        (b" " * (cards.LARGEST_CARD + 1), "larger than 256 KiB"),
        ({}, "no interface"),
        (card_of(URL, supportedInterfaces=[]), "names none"),
        (card_of(URL, supportedInterfaces={"url": RPC}), "does not fit A2A 1.0"),
        (card_of(URL, supportedInterfaces=[7]), "does not fit A2A 1.0"),
        (card_of(URL, supportedInterfaces=[interface(url="https://evil.example")]), "not in the allow-list"),
        (card_of(URL, supportedInterfaces=[interface(url="http://169.254.169.254/")]), "credentials"),
        (card_of(URL, supportedInterfaces=[interface(version="0.2.6")]), "A2A 0.2.6 is not spoken"),
        (old_card_of(URL, protocolVersion="0.2.6"), "A2A 0.2.6 is not spoken"),
        (old_card_of(URL, url=7), "no interface"),
        (old_card_of(URL, url=None, additionalInterfaces=7), "no interface"),
        (card_of(URL, skills=[{"id": f"s{n}", "name": "s"} for n in range(5000)]), "lists 5000 skills"),
        (card_of(URL, skills=[{"id": "a", "name": "a"}, {"id": "a", "name": "b"}]), "two skills with the id a"),
        (card_of(URL, skills=[{"id": "", "name": "a"}]), "skill's id"),
        (card_of(URL, skills=[{"id": "a\u202eb", "name": "a"}]), "skill's id"),
        (card_of(URL, skills=[{"id": "a\r\nb", "name": "a"}]), "skill's id"),
        (card_of(URL, skills=[{"id": "x" * 65, "name": "a"}]), "skill's id"),
        (old_card_of(URL, skills=[{"name": "a"}]), "skill's id"),
    ],
)
def test_a_card_that_cannot_be_taken_is_refused_with_the_reason(card: Any, reason: str) -> None:
    with pytest.raises(CardRefused, match=reason):
        read(card)


def test_what_hides_or_turns_text_around_is_taken_out() -> None:
    reading = read(
        card_of(URL, name="\u202eevil\x1b[31m\u200b\U000e0041", description="a\x00b\r\nc", version="1\u2066")
    )

    assert (reading.title, reading.description, reading.version) == ("evil[31m", "ab\nc", "1")


def test_what_is_too_long_is_cut_to_what_is_kept_here() -> None:
    skill = {"id": "a", "name": "n" * 999, "tags": [f"{n}" * 40 for n in range(99)], "examples": ["e" * 9999] * 3}
    reading = read(card_of(URL, name="t" * 9999, description="d" * 9_999, skills=[skill]))

    assert (len(reading.title), len(reading.description)) == (200, 4000)
    assert (len(reading.skills[0].name), len(reading.skills[0].tags), len(reading.skills[0].examples)) == (128, 32, 1)
    assert max(map(len, reading.skills[0].tags)) <= 64


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=9), inner, max_size=5),
    max_leaves=20,
)


@given(st.sampled_from(sorted(card_of(URL)) + sorted(old_card_of(URL))), _JSON, st.booleans())
def test_no_field_whatever_it_holds_breaks_the_reading(field: str, odd: Any, older: bool) -> None:
    card = (old_card_of if older else card_of)(URL, **{field: odd})
    try:
        reading = read(card)
    except CardRefused:
        return
    assert reading.interface.url == RPC


@given(_JSON, st.booleans())
def test_no_odd_value_deep_inside_breaks_the_reading_or_its_canonical_forms(odd: Any, older: bool) -> None:
    extension = {"uri": "https://x.example", "params": {"x": odd}, "y": odd}
    card = (old_card_of if older else card_of)(URL, capabilities={"extensions": [extension]}, z=odd)
    try:
        parsed = cards.parse(json.dumps(card).encode())
        current = cards.as_current(parsed)
        reading = cards.read(parsed, current, GUARD)
    except CardRefused:
        return
    assert reading.interface.url == RPC
    assert all(isinstance(form, bytes) for form in canonical.forms_of(parsed, current))


@given(st.binary(max_size=200))
def test_no_bytes_break_the_reading(body: bytes) -> None:
    with pytest.raises(CardRefused):
        read(body)
