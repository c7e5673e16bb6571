"""A webhook as somebody else would run it: a real HTTP server on loopback that answers as a test says."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import msgspec


class Got(msgspec.Struct, frozen=True):
    """A request that came."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]

    @property
    def generation(self) -> int:
        return int(self.id.rpartition("_")[2])

    @property
    def json(self) -> Any:
        return msgspec.json.decode(self.body)


class Reply(msgspec.Struct, frozen=True):
    """How a request is answered."""

    status: int = 204
    headers: dict[str, str] = {}
    body: bytes = b""
    after_s: float = 0.0
    garbage: bytes = b""
    """Sent instead of an answer."""


class Receiver:
    """What came, and how it is answered; `answers` may be changed at any time."""

    def __init__(self, port: int, answers: Callable[[Got], Reply]) -> None:
        self.url = f"http://127.0.0.1:{port}/hook"
        self.answers = answers
        self.got: list[Got] = []

    @property
    def generations(self) -> list[int]:
        """In the order in which they came."""
        return [got.generation for got in self.got]

    def wait(self, done: Callable[[], object], timeout_s: float = 10) -> None:
        """Return when it is so."""
        until = time.monotonic() + timeout_s
        while not done():
            assert time.monotonic() < until, f"it never was so; came: {self.generations}"
            time.sleep(0.01)


class Hook(BaseHTTPRequestHandler):
    """Serves the requests of one receiver."""

    receiver: Receiver
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        length = int(self.headers.get("content-length", 0))
        body = self.rfile.read(length)
        if len(body) < length:  # the sender died meanwhile
            self.close_connection = True
            return
        got = Got(self.path, {name.lower(): value for name, value in self.headers.items()}, body)
        self.receiver.got.append(got)
        reply = self.receiver.answers(got)
        time.sleep(reply.after_s)
        if reply.garbage:
            self.wfile.write(reply.garbage)
            self.close_connection = True
            return
        self.send_response(reply.status)
        for name, value in reply.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(reply.body)))
        self.end_headers()
        self.wfile.write(reply.body)

    def do_GET(self) -> None:
        self.do_POST()

    def handle(self) -> None:
        try:
            super().handle()
        except OSError:  # the sender has gone away
            self.close_connection = True

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@contextmanager
def receiving(answers: Callable[[Got], Reply] = lambda _: Reply()) -> Iterator[Receiver]:
    """Run a receiver while the block runs."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler)
    receiver = Receiver(server.server_port, answers)
    server.RequestHandlerClass = type("OneHook", (Hook,), {"receiver": receiver})
    server.daemon_threads = True
    server.block_on_close = False
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield receiver
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
