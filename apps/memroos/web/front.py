"""The front door: who calls, may this role come in, and which application answers.

Inside the edge (limits, headers, metrics) and outside of every application, so that nothing is served that has not
passed here.
"""

from collections.abc import Sequence

from memroos import registry
from memroos.web.a2a.routes import PREFIXES
from memroos_contracts.errors import MemroosError
from memroos_kit import edge
from memroos_kit.clock import Clock
from memroos_kit.edge import App, Receive, Scope, Send
from memroos_kit.limits import RateLimiter

TELLS_MORE_WITH_A_KEY = ("/.well-known/ai-catalog.json",)
PUBLIC = (
    "/healthz",
    "/readyz",
    "/.well-known/agent-card.json",
    "/.well-known/agent.json",
    "/.well-known/jwks.json",
    *TELLS_MORE_WITH_A_KEY,
)
PUBLIC_BELOW = ("/problems/",)


class Front:
    """Authenticates every request that is not for a public address, then hands it on.

    Args:
        rest: answers what is not A2A.
        a2a: answers below the addresses of `PREFIXES`.
        limiter: how fast a key may come.
    """

    def __init__(self, rest: App, a2a: App, keyring: registry.Keyring, limiter: RateLimiter, clock: Clock) -> None:
        self._rest = rest
        self._a2a = a2a
        self._keyring = keyring
        self._limiter = limiter
        self._clock = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._rest(scope, receive, send)
            return
        path: str = scope["path"]
        if not is_public(path) or (path in TELLS_MORE_WITH_A_KEY and _has_key(scope["headers"])):
            try:
                actor = self._keyring.authenticate(_bearer(scope["headers"]), self._clock.now())
                self._limiter.take(actor.key or actor.principal)
            except MemroosError as error:
                await edge.refuse(error, send)
                return
            scope["actor"] = actor
        if is_a2a(path):
            try:
                await self._a2a(scope, receive, send)
            except MemroosError as error:
                await edge.refuse(error, send)
        else:
            await self._rest(scope, receive, send)


def is_public(path: str) -> bool:
    """Whether an address answers without a key; the access table's public rows say the same."""
    return path in PUBLIC or path.startswith(PUBLIC_BELOW)


def is_a2a(path: str) -> bool:
    """Whether the A2A application answers here."""
    return any(path == prefix or path.startswith((f"{prefix}/", f"{prefix}:")) for prefix in PREFIXES)


def _has_key(headers: Sequence[tuple[bytes, bytes]]) -> bool:
    return any(name == b"authorization" for name, _ in headers)


def _bearer(headers: Sequence[tuple[bytes, bytes]]) -> str | None:
    """Return the key from `Authorization: Bearer <key>` (RFC 6750, 2.1), None where there is none, or more than one.

    With two, a proxy before us may have looked at the other one.
    """
    found = [value for name, value in headers if name == b"authorization"]
    if len(found) != 1:
        return None
    scheme, _, key = found[0].decode("latin-1").partition(" ")
    return key.strip() if scheme.lower() == "bearer" else None
