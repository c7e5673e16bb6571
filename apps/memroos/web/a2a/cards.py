"""Agent cards: the kernel's own, and one for each agent that is reached through it."""

import hashlib

from a2a.types import a2a_pb2
from google.protobuf.json_format import MessageToDict
from starlette.responses import JSONResponse, Response

from memroos_contracts.registry import AgentSkill, AgentView

PROTOCOL_VERSION = "1.0"
_TEXT = ["text/plain", "application/json"]


class Cards:
    """Makes cards whose addresses come from the configured public address, never from a request.

    Args:
        public_url: the address under which clients reach the kernel, without a slash at the end.
        version: the kernel's version.
        max_age_s: how long a client may keep a card, in seconds.
    """

    def __init__(self, public_url: str, version: str, *, max_age_s: int = 60) -> None:
        self._url = public_url.rstrip("/")
        self._version = version
        self._max_age_s = max_age_s

    def kernel(self) -> a2a_pb2.AgentCard:
        """Return the kernel's card: it takes a message and finds the agent for it."""
        return self._card(
            name="MemRoOS",
            description="Routes a message to the agent that is named, or that offers the skill or tag asked for in the "
            "message's metadata (memroos.skill, memroos.tags).",
            path="/a2a",
            skills=[
                a2a_pb2.AgentSkill(
                    id="route",
                    name="Route to an agent",
                    description="Finds an agent by skill and tags, and brings it the message.",
                    tags=["routing"],
                )
            ],
        )

    def agent(self, agent: AgentView) -> a2a_pb2.AgentCard:
        """Return an agent's card: its skills, and an address at the kernel."""
        return self._card(
            name=agent.title or agent.name,
            description=agent.description or agent.title or agent.name,
            path=f"/a2a/agents/{agent.name}",
            skills=[_skill(skill) for skill in agent.skills],
        )

    def respond(self, card: a2a_pb2.AgentCard, if_none_match: str) -> Response:
        """Return a card as a response that can be revalidated."""
        response = JSONResponse({"skills": [], **MessageToDict(card)})  # required, also where there are none
        etag = f'"{hashlib.sha256(response.body).hexdigest()[:32]}"'
        headers = {"ETag": etag, "Cache-Control": f"max-age={self._max_age_s}"}
        if etag in if_none_match or if_none_match.strip() == "*":
            return Response(status_code=304, headers=headers)
        response.headers.update(headers)
        return response

    def _card(self, *, name: str, description: str, path: str, skills: list[a2a_pb2.AgentSkill]) -> a2a_pb2.AgentCard:
        url = f"{self._url}{path}"
        return a2a_pb2.AgentCard(
            name=name,
            description=description,
            version=self._version,
            supported_interfaces=[
                a2a_pb2.AgentInterface(url=url, protocol_binding=binding, protocol_version=PROTOCOL_VERSION)
                for binding in ("JSONRPC", "HTTP+JSON")
            ],
            capabilities=a2a_pb2.AgentCapabilities(streaming=True, push_notifications=False, extended_agent_card=False),
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
