"""An agent's card, and whether it is signed by who serves it."""

import msgspec
from a2a.types import a2a_pb2
from google.protobuf.json_format import MessageToDict

from memroos import registry
from memroos.cli.a2a.connection import Card, Where, connected, fetch_card, open_http
from memroos.cli.a2a.showing import line_of
from memroos.cli.failures import Failure
from memroos.cli.output import Output
from memroos_contracts.errors import MemroosError
from memroos_contracts.registry import SignatureState

LARGEST_KEY_SET = 65_536

_VERDICTS = {
    SignatureState.VERIFIED: "fits, by key {key} of the server itself",
    SignatureState.UNSIGNED: "none",
    SignatureState.UNVERIFIED: "not checked: its key {key} is not published on the card's own server",
    SignatureState.INVALID: "DOES NOT FIT the card (key {key})",
}


class Seen(msgspec.Struct, frozen=True):
    """A card, and what its signature is worth."""

    card: Card
    state: SignatureState
    key_id: str


async def look(where: Where, *, extended: bool) -> Seen:
    """Fetch a card and check its signature with the keys that the same server publishes.

    Raises:
        Failure: there is none, or it cannot be read.
    """
    if extended:
        async with connected(where) as agent:
            request = a2a_pb2.GetExtendedAgentCardRequest()
            read = await agent.client.get_extended_agent_card(request, context=agent.context)
            card = Card(agent.card.url, line_of(read), read)
    else:
        async with open_http(where) as http:
            card = await fetch_card(http, where)
    verdict = await _verdict(where, card)
    return Seen(card, verdict[0], verdict[1])


async def _verdict(where: Where, card: Card) -> tuple[SignatureState, str]:
    try:
        async with open_http(where) as http:
            found: dict[str, bytes] = {}
            for url in registry.key_sets_of(card.body, card.url)[:2]:
                answer = await http.get(url, timeout=10)
                if answer.status_code == 200 and len(answer.content) <= LARGEST_KEY_SET:
                    found[url] = answer.content
        verdict = registry.check_card(card.body, found)
    except MemroosError as error:
        raise Failure(str(error)) from error
    return verdict.state, verdict.key_id


def show(seen: Seen, *, as_json: bool) -> None:
    """Print a card.

    Raises:
        Failure: its signature does not fit.
    """
    out, card = Output(as_json=as_json), seen.card.read
    if as_json:
        signature = {"state": seen.state, "keyId": seen.key_id}
        out.facts({"url": seen.card.url, "signature": signature, "card": msgspec.json.decode(seen.card.body)}, [])
    else:
        out.facts(card, [*_facts(seen), *((f"skill {skill.id}", _skill(skill)) for skill in card.skills)])
    if seen.state is SignatureState.INVALID:
        raise Failure("The card's signature does not fit the card.", "Somebody changed one of them; do not trust it.")


def _facts(seen: Seen) -> list[tuple[str, str]]:
    card = seen.card.read
    able = card.capabilities
    can = {
        "streaming": able.streaming,
        "push notifications": able.push_notifications,
        "extended card": able.extended_agent_card,
    }
    return [
        ("name", card.name),
        ("says", card.description),
        ("version", card.version),
        ("by", card.provider.organization),
        ("card", seen.card.url),
        ("signature", _VERDICTS[seen.state].format(key=seen.key_id or "without a name")),
        ("reached at", "\n".join(_interface(one) for one in card.supported_interfaces)),
        ("can", ", ".join(name for name, there in can.items() if there) or "answer"),
        ("extensions", "\n".join(f"{one.uri}{' (required)' if one.required else ''}" for one in able.extensions)),
        ("lets in with", ", ".join(MessageToDict(card).get("securitySchemes", {}))),
        ("takes", ", ".join(card.default_input_modes)),
        ("gives", ", ".join(card.default_output_modes)),
    ]


def _interface(one: a2a_pb2.AgentInterface) -> str:
    return f"{one.url} ({one.protocol_binding} {one.protocol_version or '1.0'})"


def _skill(skill: a2a_pb2.AgentSkill) -> str:
    tags = f" [{', '.join(skill.tags)}]" if skill.tags else ""
    return f"{skill.description or skill.name}{tags}"
