"""A scripted language model: a server that speaks OpenAI's chat completions and embeddings, and misbehaves on demand.

It answers an extraction with one memory for each numbered message of the prompt, so that a test knows what to expect.
"""

import hashlib
import json
import random
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

_MESSAGE = re.compile(r"\[(\d+)\] \d{4}-\d\d-\d\d \d\d:\d\d ([^:\n]+): ([^\n]+)")
_NEW = re.compile(r"## New Messages\n(.*?)\n## ", re.DOTALL)


class Mode(Enum):
    """How the model behaves."""

    GOOD = "good"
    FAILS = "fails"  # at every call
    FLAKY = "flaky"  # at random, by a seed
    SILENT = "silent"  # answers too late
    HANGS_UP = "hangs_up"  # closes the connection in the middle
    MALFORMED = "malformed"  # no JSON
    TRUNCATED = "truncated"  # JSON that was cut off, whenever there is more than one message
    WRONG_SCHEMA = "wrong_schema"  # JSON of another shape
    WRONG_ITEMS = "wrong_items"  # the right list, of the wrong things
    BLANK = "blank"  # an empty string
    NOTHING = "nothing"  # well-formed: there is nothing to remember
    NO_CHOICES = "no_choices"  # not even a completion


class ScriptedModel:
    """The server, in a thread; real HTTP over loopback."""

    def __init__(self, mode: Mode = Mode.GOOD, *, seed: int = 0, fail_rate: float = 0.5) -> None:
        self.mode = mode
        self.fail_rate = fail_rate
        self.calls = 0
        self.failures = 0
        self.requests: list[dict[str, Any]] = []
        self.keys: set[str] = set()
        self.always: tuple[int, bytes] | None = None
        """An answer to everything, whatever the mode."""
        self.released = threading.Event()
        """Set it, and those who wait for a silent model are let go."""
        self._random = random.Random(seed)
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)

    @property
    def url(self) -> str:
        """The base address, as the settings want it."""
        return f"http://127.0.0.1:{self.port}/v1"

    @property
    def port(self) -> int:
        """The port it listens on."""
        return self._server.server_address[1]

    def start(self) -> None:
        """Answer from now on."""
        self._thread.start()

    def stop(self) -> None:
        """Answer no more."""
        self.released.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def answer(self, path: str, body: dict[str, Any]) -> tuple[int, bytes] | None:
        """Return what a request gets; None: nothing at all."""
        with self._lock:
            self.calls += 1
            self.requests.append(body)
            unlucky = self._random.random() < self.fail_rate
        if self.always is not None:
            return self.always
        mode = self.mode
        if mode is Mode.FAILS or (mode is Mode.FLAKY and unlucky):
            with self._lock:
                self.failures += 1
            return 500, b'{"error": {"message": "the model is out of order"}}'
        if mode is Mode.SILENT:
            self.released.wait(30)
            return None
        if mode is Mode.HANGS_UP:
            return None
        if path.endswith("/embeddings"):
            return 200, json.dumps(_embeddings(body)).encode()
        content, reason = _content(mode, body)
        return 200, json.dumps(_completion(content, reason) if mode is not Mode.NO_CHOICES else {"id": "x"}).encode()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        model = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                model.keys.add(self.headers.get("Authorization", ""))
                answer = model.answer(self.path, body)
                if answer is None:
                    self.close_connection = True
                    return
                self.send_response(answer[0])
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(answer[1])))
                self.end_headers()
                self.wfile.write(answer[1])

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name of its base class
                """Keep quiet."""

        return Handler


@contextmanager
def scripted_model(mode: Mode = Mode.GOOD, *, seed: int = 0, fail_rate: float = 0.5) -> Iterator[ScriptedModel]:
    """Run a scripted model for the length of a block."""
    model = ScriptedModel(mode, seed=seed, fail_rate=fail_rate)
    model.start()
    try:
        yield model
    finally:
        model.stop()


def remembered(number: int, speaker: str, text: str) -> dict[str, Any]:
    """Return what the good model remembers of a message."""
    return {"id": str(number - 1), "text": f"{speaker} said: {text}", "turns": [number]}


def _memories(body: dict[str, Any]) -> list[dict[str, Any]]:
    prompt = body["messages"][-1]["content"]
    new = _NEW.search(prompt)
    said = _MESSAGE.findall((new[1] if new else prompt).replace("\\n", "\n"))
    return [remembered(int(number), speaker, text.rstrip('"')) for number, speaker, text in said]


def _content(mode: Mode, body: dict[str, Any]) -> tuple[str, str]:
    good = json.dumps({"memory": _memories(body)})
    if mode is Mode.TRUNCATED and len(_memories(body)) > 1:
        return good[: len(good) // 2], "length"
    return {
        Mode.MALFORMED: "I am sorry, I cannot do that. {memory: [",
        Mode.WRONG_SCHEMA: json.dumps({"facts": ["somebody said something"]}),
        Mode.WRONG_ITEMS: json.dumps({"memory": [{"text": 5}, {"fact": "x"}]}),
        Mode.BLANK: "",
        Mode.NOTHING: json.dumps({"memory": []}),
    }.get(mode, good), "stop"


def _completion(content: str, reason: str) -> dict[str, Any]:
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": "scripted",
        "choices": [
            {"index": 0, "finish_reason": reason, "message": {"role": "assistant", "content": content}},
        ],
        "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
    }


def _embeddings(body: dict[str, Any]) -> dict[str, Any]:
    texts = body["input"] if isinstance(body["input"], list) else [body["input"]]
    rows = [
        {"object": "embedding", "index": at, "embedding": vector_of(text, body.get("dimensions") or 384)}
        for at, text in enumerate(texts)
    ]
    return {
        "object": "list",
        "data": rows,
        "model": body.get("model", ""),
        "usage": {"prompt_tokens": 1, "total_tokens": 1},
    }


def vector_of(text: str, dimension: int) -> list[float]:
    """Return the vector of a text: the same for the same text, another for another."""
    source = random.Random(hashlib.sha256(text.encode()).digest())
    return [source.uniform(-1, 1) for _ in range(dimension)]
