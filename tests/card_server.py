"""An agent's web server, as far as cards go: on loopback, in a thread, changeable while it runs."""

import hashlib
import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

WELL_KNOWN = "/.well-known/agent-card.json"


def card_of(url: str, /, **fields: Any) -> dict[str, Any]:
    """Return a card of A2A 1.0 for an agent at this address."""
    return {
        "name": "Albatross Watcher",
        "description": "Watches albatrosses.",
        "version": "1.0.0",
        "supportedInterfaces": [{"url": f"{url}/rpc", "protocolBinding": "JSONRPC", "protocolVersion": "1.0"}],
        "capabilities": {"streaming": True},
        "defaultInputModes": ["text/plain"],
        "defaultOutputModes": ["text/plain"],
        "skills": [{"id": "watch", "name": "Watch", "description": "Watches.", "tags": ["birds"]}],
        **fields,
    }


def old_card_of(url: str, /, **fields: Any) -> dict[str, Any]:
    """Return a card of A2A 0.3 for an agent at this address."""
    return {
        "name": "Old Watcher",
        "description": "Watches since long ago.",
        "version": "0.9",
        "protocolVersion": "0.3.0",
        "url": f"{url}/rpc",
        "capabilities": {"streaming": True},
        "defaultInputModes": ["text/plain"],
        "defaultOutputModes": ["text/plain"],
        "skills": [{"id": "watch", "name": "Watch", "description": "Watches.", "tags": ["birds"]}],
        **fields,
    }


class _Server(ThreadingHTTPServer):
    request_queue_size = 128
    daemon_threads = True

    def handle_error(self, *_: Any) -> None:
        """Say nothing of a caller that went away."""


class CardServer:
    """Serves files, the card first; a context manager.

    Attributes:
        files: what is served, by path; bytes as they are, all else as JSON.
        status: what is answered instead of 200.
        demands: a header without which the answer is 401.
        delay_s: how long it thinks.
        asked: the path and headers of each request.
    """

    def __init__(self, host: str = "127.0.0.1") -> None:
        self.files: dict[str, Any] = {}
        self.status = 200
        self.headers: dict[str, str] = {}
        self.demands: tuple[str, str] | None = None
        self.delay_s = 0.0
        self.tags = True
        self.asked: list[tuple[str, dict[str, str]]] = []
        self._host = host

    def __enter__(self) -> Self:
        outer = self

        class Answering(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                outer.answer(self)

            def log_message(self, *_: Any) -> None:
                pass

        self._server = _Server((self._host, 0), Answering)
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        self.serve(card_of(self.url))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self._server.server_address[1])

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://{self._host}:{self.port}"

    def serve(self, card: Any) -> None:
        """Serve this card from now on."""
        self.files[WELL_KNOWN] = card

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        """Answer one request."""
        headers = {name.lower(): value for name, value in request.headers.items()}
        self.asked.append((request.path, headers))
        time.sleep(self.delay_s)
        file = self.files.get(request.path)
        body = file if isinstance(file, bytes) else json.dumps(file).encode()
        etag = f'"{hashlib.sha256(body).hexdigest()[:16]}"'
        status = self.status
        if self.demands is not None and headers.get(self.demands[0]) != self.demands[1]:
            status = 401
        elif status == 200 and file is None:
            status = 404
        elif status == 200 and self.tags and headers.get("if-none-match") == etag:
            status = 304
        body = body if status == 200 else b""
        request.send_response(status)
        for name, value in {
            "Content-Type": "application/json",
            "Content-Length": str(len(body)),
            **self.headers,
        }.items():
            request.send_header(name, value)
        if self.tags:
            request.send_header("ETag", etag)
        request.end_headers()
        request.wfile.write(body)
