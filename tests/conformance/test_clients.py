"""The suite's golden answers, given to the kernel's own client on the command line.

They are tests of clients, not of servers: a stub says what the suite writes down, and what the client prints is
compared.
"""

import json
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from a2a.utils.errors import JSON_RPC_ERROR_CODE_MAP
from tests.conformance import acts
from tests.conformance.matchers import mismatches

GOLDEN = [test for test in acts.load() if test.client_only]
COMMAND = [sys.executable, "-m", "memroos.cli", "a2a"]
ARGUMENTS = {"send_message": ["send", "hello", "--no-wait"], "get_task": ["get", "a-task"]}
NOT_RUN = {
    "CLIENT-PARSE-006": "4.1.6: a part holds text, raw, url or data; this answer has file and fileUrl instead",
    "CLIENT-AUTH-001": "should-level, about what a client keeps between calls; the command keeps nothing",
    "CLIENT-CAP-001": "should-level, with REST for a binding, which 4.4.6 does not know",
}


def refusal(printed: str) -> dict[str, Any]:
    """Return the error that a command printed as the protocol has it."""
    found = re.fullmatch(r"Error: The agent refuses, (\w+): (.*)\n", printed)
    assert found, printed
    codes = {kind.__name__.removesuffix("Error"): code for kind, code in JSON_RPC_ERROR_CODE_MAP.items()}
    return {"error": {"code": codes[found[1]], "message": found[2]}}


class Stub:
    """An agent that gives one answer to everything."""

    def __init__(self, answer: dict[str, Any]) -> None:
        stub = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self._say(stub.card())

            def do_POST(self) -> None:
                asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                self._say({**answer, "id": asked["id"]})

            def _say(self, body: dict[str, Any]) -> None:
                content = json.dumps(body).encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
                """Stay quiet."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def card(self) -> dict[str, Any]:
        """Return a card that leads here."""
        return {
            "name": "golden",
            "description": "Says one thing.",
            "version": "1",
            "supportedInterfaces": [{"url": self.url, "protocolBinding": "JSONRPC", "protocolVersion": "1.0"}],
            "capabilities": {},
            "defaultInputModes": ["text/plain"],
            "defaultOutputModes": ["text/plain"],
            "skills": [],
        }

    def start(self) -> None:
        """Begin to answer."""
        self._thread.start()

    def stop(self) -> None:
        """Answer no more."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture
def stubs() -> Iterator[list[Stub]]:
    """Stubs that are ended with the test."""
    made: list[Stub] = []
    yield made
    for stub in made:
        stub.stop()


@pytest.mark.skipif(not GOLDEN, reason=acts.ABSENT)
@pytest.mark.parametrize("test", [one for one in GOLDEN if one.id not in NOT_RUN], ids=lambda one: one.id)
def test_our_client_reads_what_the_suite_writes_down(test: acts.Test, stubs: list[Stub], tmp_path: Path) -> None:
    for step in test.steps:
        golden = step["client_response"]
        stubs.append(Stub(golden["wire_payload"]))
        stubs[-1].start()

        done = subprocess.run(
            [*COMMAND, *ARGUMENTS[golden["operation"]], "--url", stubs[-1].url, "--json"],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

        said = json.loads(done.stdout) if done.stdout else refusal(done.stderr)
        assert mismatches(step["expect_parsed"], said) == []


def test_every_golden_answer_that_is_left_out_is_one_of_the_suite() -> None:
    assert not GOLDEN or set(NOT_RUN) <= {test.id for test in GOLDEN}
