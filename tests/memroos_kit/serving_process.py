"""A small process for the tests of the server: it prints its port when it is ready and `ended` when its app has."""

import asyncio
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from litestar import Litestar, Request, get, post
from litestar.params import FromQuery
from litestar.response import ServerSentEvent

from memroos_kit import log, server
from memroos_kit.service import Health, Stopping, create_app, run

STOPPING = Stopping()


@get("/stream", operation_id="stream", sync_to_thread=False)
def stream() -> ServerSentEvent:
    """Send one event, then nothing until the process ends."""

    async def source() -> AsyncIterator[str]:
        yield "hello"
        await asyncio.Event().wait()

    return ServerSentEvent(STOPPING.watch(source()))


@get("/deaf", operation_id="deaf", sync_to_thread=False)
def deaf() -> ServerSentEvent:
    """Be a stream that does not listen when the process ends."""

    async def source() -> AsyncIterator[str]:
        yield "hello"
        await asyncio.Event().wait()

    return ServerSentEvent(source())


@get("/slow", operation_id="slow")
async def slow(seconds: FromQuery[float]) -> str:
    """Answer late."""
    await asyncio.sleep(seconds)
    return "done"


@get("/stuck", operation_id="stuck", sync_to_thread=False)
def stuck() -> None:
    """Block the event loop for ever."""
    while True:
        time.sleep(1)


@post("/take", operation_id="take")
async def take(request: Request[Any, Any, Any]) -> int:
    """Read the whole body."""
    return len(await request.body())


@asynccontextmanager
async def lifespan(_: Litestar) -> AsyncIterator[None]:
    """Say when the app has ended in order."""
    yield
    print("ended", flush=True)


if __name__ == "__main__":
    grace_s, head_timeout_s = float(sys.argv[1]), float(sys.argv[2])
    server.HEAD_TIMEOUT_S = head_timeout_s
    log.configure(process="sample", form="json")
    app = create_app(
        Health(service="sample", version="1"),
        route_handlers=[stream, deaf, slow, stuck, take],
        stopping=STOPPING,
        lifespan=[lifespan],
    )
    run(
        app,
        host="127.0.0.1",
        port=0,
        stopping=STOPPING,
        grace_s=grace_s,
        ready=lambda _, port: print(port, flush=True),
    )
