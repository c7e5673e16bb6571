"""Who calls, and which agent's endpoint was called, for the SDK's call context."""

from a2a.auth.user import User
from a2a.extensions.common import HTTP_EXTENSION_HEADER, get_requested_extensions
from a2a.server.context import ServerCallContext
from a2a.server.routes.common import ServerCallContextBuilder
from starlette.requests import Request

from memroos_contracts.identity import Actor

ACTOR = "actor"
AGENT = "agent"


class Principal(User):
    """The authenticated actor, as the SDK wants to see a user."""

    def __init__(self, actor: Actor) -> None:
        self.actor = actor

    @property
    def is_authenticated(self) -> bool:
        """Always: nobody gets here without a key."""
        return True

    @property
    def user_name(self) -> str:
        """The principal."""
        return self.actor.principal


class ContextBuilder(ServerCallContextBuilder):
    """Builds the call context from the actor that authentication left in the request's scope."""

    def build(self, request: Request) -> ServerCallContext:
        """Return the context of one call."""
        actor: Actor = request.scope["actor"]
        return ServerCallContext(
            user=Principal(actor),
            state={
                "headers": dict(request.headers),
                ACTOR: actor,
                AGENT: request.path_params.get("agent", ""),
            },
            requested_extensions=get_requested_extensions(request.headers.getlist(HTTP_EXTENSION_HEADER)),
        )
