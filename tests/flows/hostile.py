"""An A2A agent that keeps no rule: it answers each message with what the message's first word tells it to.

It speaks just enough HTTP and JSON-RPC by hand, because no server would let it say most of this.
"""

import asyncio
import itertools
import json
import threading
from collections.abc import AsyncIterator, Callable
from typing import Any

Event = dict[str, Any]
Script = Callable[[str, str], AsyncIterator[bytes]]

HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n"
MANY = 100_000


def task(task_id: str, context: str, state: str = "SUBMITTED", **fields: Any) -> Event:
    return {"task": {"id": task_id, "contextId": context, "status": {"state": f"TASK_STATE_{state}"}, **fields}}


def status(task_id: str, context: str, state: str, **fields: Any) -> Event:
    return {
        "statusUpdate": {
            "taskId": task_id,
            "contextId": context,
            "status": {"state": f"TASK_STATE_{state}", "timestamp": "1970-01-01T00:00:00Z"},
            **fields,
        }
    }


def artifact(task_id: str, context: str, *texts: str, append: bool = False, **fields: Any) -> Event:
    made = {"artifactId": "a", "parts": [{"text": text} for text in texts], **fields}
    return {"artifactUpdate": {"taskId": task_id, "contextId": context, "artifact": made, "append": append}}


def message(**fields: Any) -> Event:
    return {"message": {"messageId": "m", "role": "ROLE_AGENT", "parts": [{"text": "Hello."}], **fields}}


def line(event: Any) -> bytes:
    return b"data: " + json.dumps({"jsonrpc": "2.0", "id": 1, "result": event}).encode() + b"\n\n"


def saying(*events: Callable[[str, str], Any]) -> Script:
    """Return a script that says these events and closes."""

    async def script(task_id: str, context: str) -> AsyncIterator[bytes]:
        yield HEAD
        for event in events:
            yield line(event(task_id, context))

    return script


def raw(*pieces: bytes) -> Script:
    """Return a script that sends these bytes and closes."""

    async def script(task_id: str, context: str) -> AsyncIterator[bytes]:
        yield HEAD
        yield line(task(task_id, context))
        for piece in pieces:
            yield piece

    return script


async def endless(task_id: str, context: str) -> AsyncIterator[bytes]:
    yield HEAD
    yield line(task(task_id, context))
    yield line(artifact(task_id, context, "begin"))
    for _ in range(MANY):
        yield line(artifact(task_id, context, "more", append=True))


async def endless_line(task_id: str, context: str) -> AsyncIterator[bytes]:
    yield HEAD
    yield line(task(task_id, context))
    yield b"data: "
    for _ in range(MANY):
        yield b"x" * 65_536


async def hanging(task_id: str, context: str) -> AsyncIterator[bytes]:
    await asyncio.sleep(3600)
    yield b""


async def packed(task_id: str, context: str) -> AsyncIterator[bytes]:
    yield HEAD.replace(b"\r\n\r\n", b"\r\ncontent-encoding: gzip\r\n\r\n")


async def nonsense(task_id: str, context: str) -> AsyncIterator[bytes]:
    yield b"\x00\x01\x02 this is no HTTP\r\n\r\n"


async def elsewhere(task_id: str, context: str) -> AsyncIterator[bytes]:
    yield b"HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n"


def _deep(depth: int) -> Any:
    return {"in": _deep(depth - 1)} if depth else 1


FAILING: dict[str, Script] = {
    "endless": endless,
    "endless-line": endless_line,
    "large-event": saying(task, lambda t, c: artifact(t, c, "x" * 5_000_000)),
    "other-task": saying(task, lambda _, c: status("somebody-elses", c, "COMPLETED")),
    "task-then-message": saying(task, lambda *_: message()),
    "message-then-task": saying(lambda *_: message(), task),
    "unknown-artifact": saying(task, lambda t, c: artifact(t, c, "rest", append=True)),
    "no-json": raw(b"data: {\n\n"),
    "no-response": raw(b"data: [1, 2]\n\n"),
    "no-event": saying(task, lambda *_: {}),
    "wrong-type": saying(task, lambda *_: {"statusUpdate": {"taskId": 7, "status": []}}),
    "unknown-state": saying(task, lambda t, c: status(t, c, "DREAMING")),
    "no-state": saying(task, lambda t, c: {"statusUpdate": {"taskId": t, "contextId": c}}),
    "no-id": saying(lambda _, c: task("", c)),
    "long-id": saying(lambda _, c: task("x" * 1000, c)),
    "empty-part": saying(task, lambda t, c: artifact_of(t, c, [{}])),
    "nested": saying(task, lambda t, c: status(t, c, "WORKING", metadata=_deep(60))),
    "not-utf8": raw(b"data: \xff\xfe\n\n"),
    "packed": packed,
}
"""What no agent may say; the task fails and tells why."""


def artifact_of(task_id: str, context: str, parts: list[Any]) -> Event:
    return {
        "artifactUpdate": {"taskId": task_id, "contextId": context, "artifact": {"artifactId": "a", "parts": parts}}
    }


OTHER: dict[str, Script] = {
    "late": saying(
        task,
        lambda t, c: status(t, c, "COMPLETED"),
        lambda t, c: status(t, c, "WORKING"),
        lambda t, c: artifact(t, c, "too late"),
        lambda t, c: status(t, c, "FAILED"),
    ),
    "hanging": hanging,
    "nonsense": nonsense,
    "elsewhere": elsewhere,
    "separators": raw(
        'data: {"jsonrpc":"2.0","result":{"statusUpdate":{"taskId":"$","contextId":"c","status":'
        '{"state":"TASK_STATE_COMPLETED","message":{"messageId":"m","role":"ROLE_AGENT",'
        '"parts":[{"text":"one\u2028two\u0085three"}]}}}}}\n\n'.encode()
    ),
    "fine": saying(task, lambda t, c: artifact(t, c, "ok"), lambda t, c: status(t, c, "COMPLETED")),
}


class HostileAgent:
    """The agent on loopback, in a thread of its own; a context manager."""

    def __init__(self) -> None:
        self.port = 0
        self.calls: list[str] = []
        self._numbers = itertools.count(1)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def __enter__(self) -> "HostileAgent":
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result(10)
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._stop(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _stop(self) -> None:
        self._server.close()
        mine = [one for one in asyncio.all_tasks() if one is not asyncio.current_task()]
        for one in mine:
            one.cancel()
        await asyncio.gather(*mine, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            request = await self._request(reader)
            self.calls.append(request["method"])
            async for piece in self._answer(request):
                writer.write(piece)
                await writer.drain()
        except (OSError, EOFError):
            pass
        finally:
            writer.close()

    async def _request(self, reader: asyncio.StreamReader) -> Any:
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        length = int(head.split(b"content-length:")[1].split(b"\r\n")[0])
        return json.loads(await reader.readexactly(length))

    async def _answer(self, request: Any) -> AsyncIterator[bytes]:
        said = request["params"].get("message")
        if request["method"] != "SendStreamingMessage":
            error = {"jsonrpc": "2.0", "id": 1, "error": {"code": -32001, "message": "What task?"}}
            body = json.dumps(error).encode()
            yield b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\n"
            yield b"content-length: %d\r\n\r\n%s" % (len(body), body)
            return
        word = said["parts"][0]["text"].split()[0]
        task_id = f"{word}-{next(self._numbers)}"
        async for piece in (FAILING | OTHER)[word](task_id, said["contextId"]):
            yield piece.replace(b'"$"', json.dumps(task_id).encode())
