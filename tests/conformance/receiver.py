"""A webhook on loopback that keeps what it is sent."""

import json
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple, Self


class Notice(NamedTuple):
    """One notification as it came."""

    path: str
    headers: dict[str, str]
    body: Any


class Receiver:
    """Listens on a free port while the block lasts; answers 204."""

    def __init__(self) -> None:
        self.notices: list[Notice] = []
        received = self.notices

        class Hook(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                content = self.rfile.read(int(self.headers["Content-Length"]))
                headers = {name.lower(): value for name, value in self.headers.items()}
                received.append(Notice(self.path, headers, json.loads(content)))
                self.send_response(204)
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
                """Stay quiet."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Hook)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def at(self, path: str) -> list[Notice]:
        """Return what came to one path, oldest first."""
        return [notice for notice in self.notices if notice.path == path]

    def wait(self, path: str, enough: Callable[[list[Notice]], bool], *, timeout_s: float = 20.0) -> list[Notice]:
        """Wait until enough has come to a path, and return it."""
        until = time.monotonic() + timeout_s
        while not enough(self.at(path)):
            assert time.monotonic() < until, f"not enough came: {self.at(path)}"
            time.sleep(0.02)
        return self.at(path)
