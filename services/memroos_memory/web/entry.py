"""The service's door: only the kernel comes in, with its key."""

from memroos_contracts.errors import Unauthenticated
from memroos_kit import edge, service_key
from memroos_kit.edge import App, Receive, Scope, Send

PUBLIC = frozenset(("/healthz", "/readyz", "/metrics"))
"""What answers without the key: it says nothing of anybody's memory."""


class Entry:
    """Lets requests through that carry the key, and those for what is public.

    Args:
        app: answers what was let through.
        key: the kernel's.
    """

    def __init__(self, app: App, key: str) -> None:
        self._app = app
        self._key = key

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http" or scope["path"] in PUBLIC or self._fits(scope):
            await self._app(scope, receive, send)
            return
        await edge.refuse(Unauthenticated(), send)

    def _fits(self, scope: Scope) -> bool:
        found = [value for name, value in scope["headers"] if name == b"authorization"]
        return len(found) == 1 and service_key.fits(found[0].decode("latin-1"), self._key)
