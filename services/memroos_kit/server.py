"""Serving an app over HTTP: bounded request heads, and an end in time.

uvicorn waits for open connections before it exits, and an event stream never closes by itself. So the first SIGTERM
sets `Stopping`, which ends the streams; requests in flight get most of the grace; what is left is cut.
"""

import asyncio
import contextlib
import errno
import gc
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Generator
from typing import Any, cast

import uvicorn

from memroos_kit import log
from memroos_kit.stopping import Stopping

try:
    from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
except ImportError:  # no httptools here: h11 bounds the head by itself
    HttpToolsProtocol = None  # type: ignore[assignment,misc]
try:
    from uvloop import new_event_loop as _uv_loop
except ImportError:  # no uvloop on this platform
    _new_loop: Callable[[], asyncio.AbstractEventLoop] = asyncio.new_event_loop
else:
    _new_loop = _uv_loop

HEAD_MAX_BYTES = 65_536
HEAD_TIMEOUT_S = 10.0
KEEP_ALIVE_S = 30
BACKLOG = 2_048
CUT_OFF_STATUS = 75  # EX_TEMPFAIL: what was acknowledged is safe, what was in flight is not answered

_log = log.get(__name__)


class AddressTaken(OSError):
    """Nobody can listen there now; the sentence says where and why."""


def check_free(host: str, port: int) -> None:
    """Try whether one can listen there, for a server that only has a traceback to say it with.

    Raises:
        AddressTaken: one cannot.
    """
    try:
        socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET).close()
    except OSError as error:
        if error.errno not in {errno.EADDRINUSE, errno.EACCES, errno.EADDRNOTAVAIL}:
            return  # a host by name, say: the server knows better what to make of it
        where = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        raise AddressTaken(f"cannot listen at {where}: {os.strerror(error.errno).lower()}") from error


def run(
    app: Any,
    *,
    host: str,
    port: int,
    stopping: Stopping,
    grace_s: float = 5.0,
    ready: Callable[[str, int], object] | None = None,
) -> None:
    """Serve until SIGTERM or SIGINT, then end within the grace.

    Args:
        app: an ASGI app; its lifespan runs first and last.
        host: address to listen on.
        port: port to listen on, 0 for any.
        stopping: set at the first signal; setting it also ends the server.
        grace_s: seconds from the first signal to the end of the process, whatever still runs.
        ready: called with the address once requests are accepted.

    Raises:
        SystemExit: the app did not start, or the address is taken.
    """
    config = uvicorn.Config(
        app,
        host=host,
        port=port,
        http="h11" if HttpToolsProtocol is None else _BoundedHttp,
        ws="none",
        lifespan="on",
        interface="asgi3",
        log_config=None,
        log_level="warning",
        access_log=False,
        proxy_headers=False,
        server_header=False,
        backlog=BACKLOG,
        timeout_keep_alive=KEEP_ALIVE_S,
        h11_max_incomplete_event_size=HEAD_MAX_BYTES,
        # Requests in flight get most of the grace, the app's own end the rest. A float works; only the hint says int.
        timeout_graceful_shutdown=cast(int, grace_s * 0.6),
    )
    # What the start has made stays: the collector need not walk it again and again, 100 ms each time, with all waiting.
    gc.collect()
    gc.freeze()
    deadline = _Deadline(grace_s)
    server = _Server(config, stopping, ready, deadline)
    try:
        with stopping.calling(server.begin_exit), asyncio.Runner(loop_factory=_new_loop) as runner:
            runner.run(server.serve())
    finally:
        deadline.met()


class _Server(uvicorn.Server):
    """uvicorn with our own signals: first the streams end, then the server."""

    def __init__(
        self,
        config: uvicorn.Config,
        stopping: Stopping,
        ready: Callable[[str, int], object] | None,
        deadline: "_Deadline",
    ) -> None:
        super().__init__(config)
        self._stopping = stopping
        self._ready = ready
        self._deadline = deadline

    async def startup(self, sockets: list[Any] | None = None) -> None:
        """Start listening, then tell whoever asked."""
        await super().startup(sockets)
        if self.started:
            host, port = self.servers[0].sockets[0].getsockname()[:2]
            _log.info("server.ready", host=host, port=port)
            if self._ready is not None:
                self._ready(host, port)

    def begin_exit(self) -> None:
        """Stop accepting connections at the next tick; called when `Stopping` is set, by whomever."""
        _log.info("server.stopping", connections=len(self.server_state.connections))
        self._deadline.start()
        self.should_exit = True

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Take SIGTERM and SIGINT while serving, and give them back afterwards."""
        if threading.current_thread() is not threading.main_thread() or sys.platform == "win32":
            yield
            return
        loop = asyncio.get_running_loop()

        def on_signal(number: int, _: Any) -> None:
            self._deadline.start()  # here and not on the loop, which may be stuck
            loop.call_soon_threadsafe(self._on_signal, signal.Signals(number).name)

        before = {number: signal.signal(number, on_signal) for number in (signal.SIGTERM, signal.SIGINT)}
        try:
            yield
        finally:
            for number, taken in before.items():
                signal.signal(number, taken)

    def _on_signal(self, name: str) -> None:
        _log.info("server.signal", signal=name)
        if self._stopping.is_set():
            self.force_exit = True  # a second signal: do not wait for anybody
        self._stopping.set()


class _Deadline:
    """Ends the process when its grace is over, even if the loop is stuck or a thread does not return.

    Its thread waits from the start, because a signal may arrive where no thread can be started.
    """

    def __init__(self, grace_s: float) -> None:
        self._grace_s = grace_s
        self._started = threading.Event()
        self._met = threading.Event()
        threading.Thread(target=self._watch, name="deadline", daemon=True).start()

    def start(self) -> None:
        self._started.set()

    def met(self) -> None:
        self._met.set()
        self._started.set()

    def _watch(self) -> None:
        self._started.wait()
        if not self._met.wait(self._grace_s):
            _log.error("server.cut_off", grace_s=self._grace_s)
            os._exit(CUT_OFF_STATUS)


if HttpToolsProtocol is not None:

    class _BoundedHttp(HttpToolsProtocol):
        """uvicorn's protocol with a bound on the size of a request's head and on the time it takes to arrive.

        httptools keeps a head of any size in memory, and uvicorn waits for its end for ever.
        """

        _head_bytes = 0
        _in_head = True
        _head_timer: asyncio.TimerHandle | None = None

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            self._head_timer = self.loop.call_later(HEAD_TIMEOUT_S, self._refuse_head)

        def connection_lost(self, exc: Exception | None) -> None:
            self._head_arrived()
            super().connection_lost(exc)

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            if not self._in_head or self.transport.is_closing():
                return
            self._head_bytes += len(data)
            if self._head_bytes > HEAD_MAX_BYTES:
                self._refuse_head()
            elif self._head_timer is None:
                self._head_timer = self.loop.call_later(HEAD_TIMEOUT_S, self._refuse_head)

        def on_message_begin(self) -> None:
            self._in_head = True
            self._head_bytes = 0
            super().on_message_begin()

        def on_headers_complete(self) -> None:
            self._head_arrived()
            super().on_headers_complete()

        def _head_arrived(self) -> None:
            self._in_head = False
            if self._head_timer is not None:
                self._head_timer.cancel()
                self._head_timer = None

        def _refuse_head(self) -> None:
            if self.transport.is_closing():
                return
            if self._head_bytes and (self.cycle is None or self.cycle.response_complete):
                self.send_400_response("The request's head is too large or too slow.")
            else:
                self.transport.close()
