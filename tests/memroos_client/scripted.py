"""A real HTTP server on loopback that answers as a test has written it down."""

import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import msgspec


@dataclass
class Request:
    """What the client sent."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Answer:
    """What the server says to one request."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    breaks: bool = False
    """Close the connection in the middle: after the status line, or after a stream's body."""
    delay_s: float = 0
    silent: bool = False
    """Close the connection without a word."""


def json(value: Any, status: int = 200) -> Answer:
    """Answer with JSON."""
    return Answer(status, msgspec.json.encode(value), {"content-type": "application/json"})


def problem(status: int, slug: str, detail: str = "", *, retry_after: str = "", **facts: Any) -> Answer:
    """Answer with a problem."""
    members = {"type": f"/problems/{slug}", "title": slug.title(), "status": status, "detail": detail, **facts}
    headers = {"content-type": "application/problem+json", **({"retry-after": retry_after} if retry_after else {})}
    return Answer(status, msgspec.json.encode(members), headers)


def stream(*pieces: bytes, breaks: bool = False) -> Answer:
    """Answer with server-sent events, then end the stream, or break it."""
    return Answer(200, b"".join(pieces), {"content-type": "text/event-stream"}, breaks=breaks)


class ScriptedKernel:
    """Answers requests one after the other as the script says, and notes what it was asked."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self._script: deque[Answer] = deque()
        self._server: ThreadingHTTPServer | None = None
        self.url = ""

    def answers(self, *answers: Answer) -> None:
        """Say these next."""
        self._script.extend(answers)

    @property
    def unsaid(self) -> int:
        """How much of the script is left."""
        return len(self._script)

    def take(self, request: Request) -> Answer:
        """Note a request and return what to say to it."""
        self.requests.append(request)
        return self._script.popleft() if self._script else problem(500, "internal-failure", "the script is over")

    @contextmanager
    def serving(self) -> Iterator["ScriptedKernel"]:
        """Serve on a free port of loopback."""
        kernel = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self) -> None:
                length = int(self.headers.get("content-length") or 0)
                names = {name.lower(): value for name, value in self.headers.items()}
                said = kernel.take(Request(self.command, self.path, names, self.rfile.read(length)))
                self.close_connection = said.silent or said.breaks or "event-stream" in str(said.headers)
                if said.silent:
                    return
                self.send_response(said.status)
                for name, value in said.headers.items():
                    self.send_header(name, value)
                if said.breaks:
                    self.send_header("content-length", str(len(said.body) + 1000))
                elif not self.close_connection:
                    self.send_header("content-length", str(len(said.body)))
                self.end_headers()
                time.sleep(said.delay_s)
                self.wfile.write(said.body)

            do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = answer  # noqa: N815 - the base class looks for these names

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name for it
                pass

        with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
            server.daemon_threads = True
            thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
            thread.start()
            self.url = f"http://127.0.0.1:{server.server_address[1]}"
            yield self
            server.shutdown()
            thread.join()
