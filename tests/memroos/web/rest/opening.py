"""A request whose answer is read as it comes: the test client waits for the end, and a stream has none."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from tests.memroos.web.rest.serving import calling

from memroos_contracts.identity import Actor


class Answer:
    """An answer of the app, as its messages come."""

    def __init__(self, sent: asyncio.Queue[Any]) -> None:
        self._sent = sent
        self.start: dict[str, Any] = {}

    @property
    def status(self) -> int:
        return int(self.start["status"])

    @property
    def headers(self) -> dict[str, str]:
        return {name.decode(): value.decode() for name, value in self.start["headers"]}

    async def piece(self) -> bytes:
        """Return the next piece of the body; empty at the end."""
        message = await asyncio.wait_for(self._sent.get(), 5)
        return bytes(message.get("body", b""))


@asynccontextmanager
async def opened(
    app: Any, actor: Actor, query: str = "", *, path: str = "/api/events", **headers: str
) -> AsyncIterator[Answer]:
    """Ask for the stream over ASGI; the caller goes away at the end of the block."""
    sent: asyncio.Queue[Any] = asyncio.Queue()
    gone = asyncio.Event()
    requests = iter([{"type": "http.request", "body": b"", "more_body": False}])

    async def receive() -> Any:
        request = next(requests, None)
        if request is None:
            await gone.wait()
        return request or {"type": "http.disconnect"}

    named = calling(actor, **headers)
    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "GET", "scheme": "http",
        "path": path, "raw_path": path.encode(), "root_path": "", "query_string": query.encode(),
        "headers": [(name.lower().encode(), value.encode()) for name, value in named.items()],
        "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 2),
    }  # fmt: skip
    async with asyncio.TaskGroup() as group:
        task = group.create_task(app(scope, receive, sent.put))
        answer = Answer(sent)
        answer.start = await asyncio.wait_for(sent.get(), 5)
        try:
            yield answer
        finally:
            gone.set()
            await asyncio.wait([task], timeout=5)
            task.cancel()
