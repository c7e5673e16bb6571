"""One conversation with an agent: a message out, what comes back shown, over as many connections as it takes."""

import asyncio
import mimetypes
import sys
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar

import click
import httpx
import msgspec
from a2a.client.errors import A2AClientError
from a2a.types import a2a_pb2
from a2a.utils.errors import UnsupportedOperationError
from google.protobuf.json_format import ParseDict, ParseError
from google.protobuf.struct_pb2 import Value

from memroos.cli.a2a.connection import Agent, Where, connected, failures, is_passing
from memroos.cli.a2a.showing import Show
from memroos.cli.failures import Failure
from memroos_kit.ids import new_id

T = TypeVar("T")

INTERRUPTED = 130
"""Exit code after Ctrl-C, as shells have it."""
RECONNECT_S = 30.0
PAUSE_S = 0.5
LARGEST_FILE = 16 * 1024 * 1024


class Content(msgspec.Struct, frozen=True):
    """What is sent, as the options say it."""

    text: str = ""
    files: tuple[Path, ...] = ()
    data: tuple[str, ...] = ()


def make_message(content: Content, *, task: str = "", context: str = "", wish: dict[str, Any]) -> a2a_pb2.Message:
    """Return the message.

    Raises:
        UsageError: there is nothing in it, or data is no JSON.
        Failure: a file cannot be read.
    """
    text = sys.stdin.read() if content.text == "-" else content.text
    parts = [a2a_pb2.Part(text=text)] if text else []
    parts += [_file_part(path) for path in content.files]
    parts += [_data_part(one) for one in content.data]
    if not parts:
        raise click.UsageError("Say something: a text, `-` for standard input, --file or --data.")
    message = a2a_pb2.Message(
        message_id=new_id("msg"), role=a2a_pb2.ROLE_USER, parts=parts, task_id=task, context_id=context
    )
    if wish:
        message.metadata.update(wish)
    return message


def _file_part(path: Path) -> a2a_pb2.Part:
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise Failure(f"{path} cannot be read: {error.strerror}.") from error
    if len(raw) > LARGEST_FILE:
        raise Failure(f"{path} is larger than {LARGEST_FILE // 1024**2} MiB.", "Send an address instead.")
    kind = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    return a2a_pb2.Part(raw=raw, filename=path.name, media_type=kind)


def _data_part(text: str) -> a2a_pb2.Part:
    try:
        value = ParseDict(msgspec.json.decode(text), Value())
    except (msgspec.DecodeError, ParseError, UnicodeError) as error:
        raise click.UsageError(f"--data {text!r} is no JSON: {error}.") from error
    return a2a_pb2.Part(data=value, media_type="application/json")


def run(work: Coroutine[Any, Any, T], where: Where, on_interrupt: Callable[[], str]) -> T:
    """Do something over the network and say failures as such; Ctrl-C ends our part of it, not the task."""
    try:
        with failures(where):
            return asyncio.run(work)
    except KeyboardInterrupt:
        click.echo(f"\n{on_interrupt()}", err=True)
        raise SystemExit(INTERRUPTED) from None


def way_back(show: Show, where: Where) -> str:
    """Return how to get back to a task that goes on without us."""
    if not show.task_id:
        return f"If the message arrived, its task goes on: memroos a2a list{where.options}"
    return f"The task goes on. To get back: memroos a2a subscribe {show.task_id}{where.options}"


async def send(where: Where, request: a2a_pb2.SendMessageRequest, show: Show, *, streaming: bool) -> None:
    """Send a message and show what comes of it; a stream that breaks is taken up again."""
    broken = False
    async with connected(where, streaming=streaming) as agent:
        try:
            async for item in agent.client.send_message(request, context=agent.context):
                show.take(item)
        except A2AClientError as error:
            if not (streaming and show.task_id and is_passing(error)):
                raise
            broken = True
    if broken:
        await follow(where, show.task_id, show)


async def follow(where: Where, task_id: str, show: Show) -> None:
    """Show a task as it is and what happens to it, over as many connections as it takes."""
    loop = asyncio.get_running_loop()
    last_seen, told_at = loop.time(), 0.0
    while True:
        try:
            async with connected(where) as agent:
                async for item in _events(agent, task_id):
                    last_seen = loop.time()
                    show.take(item)
        except (A2AClientError, httpx.TransportError) as error:
            if not (is_passing(error) and show.task_id) or loop.time() - last_seen > RECONNECT_S:
                raise
        else:
            return
        if told_at < last_seen:
            click.echo("... the connection broke; trying again", err=True)
            told_at = loop.time()
        await asyncio.sleep(PAUSE_S)


async def _events(agent: Agent, task_id: str) -> AsyncIterator[a2a_pb2.StreamResponse]:
    try:
        async for item in agent.client.subscribe(a2a_pb2.SubscribeToTaskRequest(id=task_id), context=agent.context):
            yield item
    except UnsupportedOperationError:  # it has ended, or the agent does not stream: show it as it is
        task = await agent.client.get_task(a2a_pb2.GetTaskRequest(id=task_id), context=agent.context)
        yield a2a_pb2.StreamResponse(task=task)
