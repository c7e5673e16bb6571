"""Who calls, which agent's endpoint was called, and what the call's headers say, for the SDK's call context."""

import re
from collections.abc import Callable, Sequence

import msgspec
from a2a.auth.user import User
from a2a.extensions.common import HTTP_EXTENSION_HEADER, get_requested_extensions
from a2a.server.context import ServerCallContext
from a2a.server.routes.common import ServerCallContextBuilder
from starlette.requests import Request

from memroos.web.a2a import versions
from memroos.web.a2a.errors import invalid
from memroos_contracts.identity import Actor

ACTOR = "actor"
AGENT = "agent"
CALL = "call"

LEGACY_EXTENSION_HEADER = "x-a2a-extensions"
"""What the header of the extensions was called in 0.3."""

WAIT_MAX_S = 3_600

_TAG = re.compile(r'(?:W/)?"(\d{1,18})"')
_WAIT = re.compile(r"wait=(\d{1,9})")


class Call(msgspec.Struct):
    """What a call says beside its message, in whatever binding it came."""

    version: str = versions.V1_0
    via: tuple[str, ...] = ()
    """The brokers it has passed (RFC 9110, section 7.6.3), each as the field has it."""
    traceparent: str = ""
    if_generation: int | None = None
    """Only where the task's generation is this one (`If-Match`)."""
    unless_generation: int | None = None
    """Only once the task's generation is another one (`If-None-Match`) ..."""
    wait_s: int = 0
    """... for which the caller waits so long, in seconds (`Prefer: wait=`, RFC 7240)."""
    activated: list[str] = []
    """Extensions that took effect; the door tells the caller."""


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
        """Return the context of one call.

        Raises:
            A2AError: a header cannot be understood.
        """
        headers = request.headers
        call = read_call(headers.getlist, version=version_of(request))
        request.scope["a2a_call"] = call
        return make_context(
            request.scope["actor"],
            call,
            agent=request.path_params.get("agent", ""),
            extensions=headers.getlist(HTTP_EXTENSION_HEADER) + headers.getlist(LEGACY_EXTENSION_HEADER),
        )


def version_of(request: Request) -> str:
    """Return the version an HTTP request is in.

    Raises:
        VersionNotSupportedError: it is not served here.
    """
    return versions.negotiate(request.headers.getlist(versions.HEADER), request.query_params.getlist("A2A-Version"))


def make_context(actor: Actor, call: Call, *, agent: str, extensions: Sequence[str]) -> ServerCallContext:
    """Return the context of one call, for any binding."""
    return ServerCallContext(
        user=Principal(actor),
        # The SDK reads the version out of the headers, and would not see the query parameter.
        state={"headers": {versions.HEADER: call.version}, ACTOR: actor, AGENT: agent, CALL: call},
        requested_extensions=get_requested_extensions(list(extensions)),
    )


def read_call(values: Callable[[str], Sequence[str]], *, version: str) -> Call:
    """Return what the headers of a call say.

    Args:
        values: gives all values of a header, or of a key of the metadata.

    Raises:
        InvalidParamsError: one of them cannot be understood.
    """
    traceparents = values("traceparent")
    return Call(
        version=version,
        via=tuple(hop for hop in _listed(values("via")) if hop),
        traceparent=traceparents[0] if len(traceparents) == 1 else "",  # two are none (W3C Trace Context, 3.2)
        if_generation=_generation("If-Match", values("if-match")),
        unless_generation=_generation("If-None-Match", values("if-none-match")),
        wait_s=_wait(values("prefer")),
        activated=[],
    )


def _listed(values: Sequence[str]) -> list[str]:
    return [item.strip() for value in values for item in value.split(",")]


def _generation(header: str, values: Sequence[str]) -> int | None:
    said = ",".join(values).strip()
    if said in {"", "*"}:  # there is always some generation
        return None
    found = _TAG.fullmatch(said)
    if found is None or (header == "If-Match" and said.startswith("W/")):
        raise invalid(f'{header} takes one generation in quotes, such as "3".', **{header: "is not one"})
    return int(found[1])


def _wait(values: Sequence[str]) -> int:
    """Return how long the caller would wait; preferences that nobody knows are ignored, as RFC 7240 has it."""
    for preference in _listed(values):
        if found := _WAIT.fullmatch(preference.replace(" ", "").lower()):
            return min(int(found[1]), WAIT_MAX_S)
    return 0
