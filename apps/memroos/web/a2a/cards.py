"""Agent cards: the kernel's own, and one for each agent that is reached through it, signed with the kernel's key.

One body serves clients of A2A 1.0 and 0.3: it has the fields of both.
"""

from collections.abc import Callable, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any

import msgspec
from a2a.client.card_resolver import parse_agent_card
from a2a.compat.v0_3.conversions import to_compat_agent_card
from a2a.types import a2a_pb2
from google.protobuf.json_format import MessageToDict, ParseError

from memroos.web import catalog
from memroos.web.a2a.signing import CardSigner, forms_of, to_json, write
from memroos_contracts.registry import AgentSkill, AgentView, Capabilities
from memroos_kit.clock import Clock
from memroos_kit.keyset import KeySet

V1_0, V0_3 = "1.0", "0.3"
KEY_SET_PATH = "/.well-known/jwks.json"
_TEXT = ["text/plain", "application/json"]
_TAKES_ANYTHING = Capabilities()


def no_grpc() -> str:
    """Say that there is no gRPC door."""
    return ""


class Served(msgspec.Struct, frozen=True):
    """A card as it is served."""

    body: bytes
    content: bytes
    """What it says, without its signatures, and by which key it is signed: the same content, the same card."""
    changed_at: datetime


class Cards:
    """Makes cards whose addresses come from the configured public address, never from a request.

    Args:
        public_url: the address under which clients reach the kernel, without a slash at the end.
        version: the kernel's version.
        clock: the time; the kernel's own part of the cards is what it is since they were made.
        grpc_address: gives the `host:port` of the gRPC door, which may be known only when it is open; empty for none.
    """

    def __init__(
        self,
        public_url: str,
        version: str,
        keyset: KeySet,
        clock: Clock,
        *,
        grpc_address: Callable[[], str] = no_grpc,
    ) -> None:
        self.url = public_url.rstrip("/")
        self.version = version
        self._signer = CardSigner(keyset, f"{self.url}{KEY_SET_PATH}")
        self._keyset = keyset
        self._clock = clock
        self._started_at = clock.now()
        self._write = lru_cache(maxsize=1_024)(self._write_anew)
        self._sign = lru_cache(maxsize=64)(self._sign_anew)
        self._grpc_address = grpc_address

    def kernel(self) -> a2a_pb2.AgentCard:
        """Return the kernel's card: it takes a message and finds the agent for it."""
        return self._card(
            name=catalog.NAME,
            description=catalog.SAYS,
            interfaces=self._interfaces("/a2a"),
            skills=[_skill(catalog.ROUTING)],
        )

    def extended_kernel(self, agents: Sequence[AgentView]) -> a2a_pb2.AgentCard:
        """Return the kernel's card with what these agents can do, signed."""
        card = self.kernel()
        card.skills.extend(_offered(agents))
        return self._signed(card)

    def agent(self, agent: AgentView, upstream: bytes = b"") -> a2a_pb2.AgentCard:
        """Return an agent's card: its skills, and an address at the kernel.

        Args:
            upstream: a remote agent's own card. What clients must know to talk to it is taken over: its version, its
                extensions and the kinds of content it takes and gives. Where it is and how one gets in there is not.
        """
        card = self._card(
            name=agent.title or agent.name,
            description=agent.description or agent.title or agent.name,
            interfaces=self._interfaces(f"/a2a/agents/{agent.name}", agent=agent.name),
            skills=[_skill(skill) for skill in agent.skills],
            capabilities=agent.capabilities,
        )
        own = read_card(upstream)
        if own is not None:
            card.version = own.version or self.version
            card.capabilities.extensions.extend(own.capabilities.extensions)
            card.default_input_modes[:] = own.default_input_modes or _TEXT
            card.default_output_modes[:] = own.default_output_modes or _TEXT
        return card

    def extended_agent(self, agent: AgentView, upstream: bytes = b"") -> a2a_pb2.AgentCard:
        """Return an agent's card with what its own card says of who made it, signed."""
        card, own = self.agent(agent, upstream), read_card(upstream)
        if own is not None:
            for field in ("documentation_url", "icon_url"):
                if own.HasField(field):
                    setattr(card, field, getattr(own, field))
            if own.HasField("provider"):
                card.provider.CopyFrom(own.provider)
        return self._signed(card)

    def serve(self, card: a2a_pb2.AgentCard, changed_at: datetime | None = None) -> Served:
        """Return a card as it goes out, signed.

        Args:
            changed_at: when its content last changed, where that may be after the kernel's start.
        """
        body, content = self._write(self._signer.key_id, card.SerializeToString(deterministic=True))
        since = max(changed_at or self._started_at, self._started_at, self._signer.since)
        return Served(body, content, since)

    def _write_anew(self, key_id: str, packed: bytes) -> tuple[bytes, bytes]:
        """Return a card as JSON in the words of both versions, signed, and what it says: work for a millisecond."""
        card = a2a_pb2.AgentCard.FromString(packed)
        written = to_json(card)
        for name, value in _as_0_3(card).items():
            _merge(written, name, value)
        forms = forms_of(card, written)
        signatures = [MessageToDict(signature) for signature in self._signer.sign(forms)]
        return write({**written, "signatures": signatures}), b"\n".join((key_id.encode(), *forms))

    def key_set(self) -> bytes:
        """Return the public keys that verify the cards and the webhooks, as a JSON Web Key Set."""
        return write(self._keyset.jwks(self._clock.now()))

    def _signed(self, card: a2a_pb2.AgentCard) -> a2a_pb2.AgentCard:
        """Sign a card for the SDK to write, which has three ways to do that."""
        card.signatures.extend(self._sign(self._signer.key_id, card.SerializeToString(deterministic=True)))
        return card

    def _sign_anew(self, _: str, packed: bytes) -> tuple[a2a_pb2.AgentCardSignature, ...]:
        """Return the signatures of a card: work for 30 milliseconds where a hundred agents are on it."""
        card = a2a_pb2.AgentCard.FromString(packed)
        return self._signer.sign(forms_of(card, MessageToDict(card), _as_0_3(card)))

    def _interfaces(self, path: str, *, agent: str = "") -> list[a2a_pb2.AgentInterface]:
        """Return where an endpoint is reached, the preferred way first."""
        url, grpc = f"{self.url}{path}", self._grpc_address()
        found = [("JSONRPC", url, V1_0, ""), ("HTTP+JSON", url, V1_0, "")]
        if grpc:
            found.append(("GRPC", grpc, V1_0, agent))
        found += [("JSONRPC", url, V0_3, ""), ("HTTP+JSON", url, V0_3, "")]
        if grpc and not agent:  # calls in 0.3 cannot say which agent they are for
            found.append(("GRPC", grpc, V0_3, ""))
        return [
            a2a_pb2.AgentInterface(url=where, protocol_binding=binding, protocol_version=version, tenant=tenant)
            for binding, where, version, tenant in found
        ]

    def _card(
        self,
        *,
        name: str,
        description: str,
        interfaces: list[a2a_pb2.AgentInterface],
        skills: list[a2a_pb2.AgentSkill],
        capabilities: Capabilities = _TAKES_ANYTHING,
    ) -> a2a_pb2.AgentCard:
        return a2a_pb2.AgentCard(
            name=name,
            description=description,
            version=self.version,
            supported_interfaces=interfaces,
            capabilities=a2a_pb2.AgentCapabilities(
                streaming=capabilities.streaming,
                push_notifications=capabilities.push_notifications,
                extended_agent_card=capabilities.extended_agent_card,
            ),
            default_input_modes=_TEXT,
            default_output_modes=_TEXT,
            skills=skills,
            security_schemes={
                "bearer": a2a_pb2.SecurityScheme(
                    http_auth_security_scheme=a2a_pb2.HTTPAuthSecurityScheme(
                        scheme="Bearer", description="A key that an operator made for you."
                    )
                )
            },
            security_requirements=[a2a_pb2.SecurityRequirement(schemes={"bearer": a2a_pb2.StringList()})],
        )


@lru_cache(maxsize=256)
def read_card(body: bytes) -> a2a_pb2.AgentCard | None:
    """Return a remote agent's own card, None where there is none, or none that can be read. Not to be changed."""
    if not body:
        return None
    try:
        return parse_agent_card(msgspec.json.decode(body))
    except (msgspec.DecodeError, ParseError):
        return None


def _as_0_3(card: a2a_pb2.AgentCard) -> dict[str, Any]:
    """Return a card in the words of A2A 0.3."""
    written: dict[str, Any] = to_compat_agent_card(card).model_dump(mode="json", by_alias=True, exclude_none=True)
    return written


def _merge(into: Any, name: str, value: Any) -> None:
    """Add the fields that 0.3 has and 1.0 has not; what both have stays as 1.0 writes it."""
    if name not in into:
        into[name] = value
    elif isinstance(value, dict) and isinstance(into[name], dict):
        for key, item in value.items():
            _merge(into[name], key, item)
    elif isinstance(value, list) and isinstance(into[name], list):
        for mine, other in zip(into[name], value, strict=False):
            if isinstance(mine, dict) and isinstance(other, dict):
                for key, item in other.items():
                    _merge(mine, key, item)


def _offered(agents: Sequence[AgentView]) -> list[a2a_pb2.AgentSkill]:
    """Return what several agents can do; a skill that more than one has is listed once, since routing is by skill."""
    found: dict[str, tuple[a2a_pb2.AgentSkill, list[str]]] = {}
    for agent in agents:
        for skill in agent.skills:
            listed, names = found.setdefault(skill.id, (_skill(skill), []))
            names.append(agent.name)
            listed.tags.extend(tag for tag in skill.tags if tag not in listed.tags)
    for listed, names in found.values():
        listed.description = f"{listed.description}\nOffered by: {', '.join(names)}."
    return [listed for listed, _ in found.values()]


def _skill(skill: AgentSkill) -> a2a_pb2.AgentSkill:
    return a2a_pb2.AgentSkill(
        id=skill.id,
        name=skill.name,
        description=skill.description or skill.name,
        tags=list(skill.tags) or [skill.id],
        examples=list(skill.examples),
        input_modes=list(skill.input_modes),
        output_modes=list(skill.output_modes),
    )
