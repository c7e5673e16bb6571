"""A client of one remote agent's interface."""

import asyncio
import ipaddress
import math
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import TypeVar

import grpc
import httpx
import msgspec
from a2a.client.client import ClientCallContext
from a2a.client.transports.base import ClientTransport
from a2a.client.transports.grpc import GrpcTransport
from a2a.compat.v0_3.grpc_transport import CompatGrpcTransport
from a2a.compat.v0_3.jsonrpc_transport import CompatJsonRpcTransport
from a2a.compat.v0_3.rest_transport import CompatRestTransport
from a2a.types import a2a_pb2
from google.protobuf.message import Message as Proto

from memroos.broker import rules
from memroos.broker.client import convert
from memroos.broker.client.bounds import bound_events
from memroos.broker.client.errors import remote_errors
from memroos.broker.client.wire import JsonRpcWire, RestWire
from memroos_contracts.broker import Message
from memroos_kit.outbound import Guard

LONGEST_EVENT = 4 * 1024 * 1024
"""Largest single event or answer of an agent, in bytes."""

PAGES = 5
"""How many pages of a context's tasks are looked through for a message."""

CONNECT_S = 5.0
STREAMS = 1_000
"""How many connections one agent may be talked to on; its concurrency limits them before."""

_HTTP: dict[tuple[str, bool], type[JsonRpcWire | RestWire | CompatJsonRpcTransport | CompatRestTransport]] = {
    ("JSONRPC", False): JsonRpcWire,
    ("JSONRPC", True): CompatJsonRpcTransport,
    ("HTTP+JSON", False): RestWire,
    ("HTTP+JSON", True): CompatRestTransport,
}


Request = TypeVar("Request", bound=Proto)


class Interface(msgspec.Struct, frozen=True):
    """Where and how an agent is reached, and what it is shown to let us in."""

    url: str
    binding: str
    version: str
    tenant: str = ""
    streaming: bool = True
    headers: dict[str, str] = {}
    """Credentials, sent with every call."""

    def __repr__(self) -> str:
        """Say nothing that is secret: this may stand in a log."""
        return f"Interface(url={self.url!r}, binding={self.binding!r}, version={self.version!r})"


class Call(msgspec.Struct, frozen=True):
    """What goes along with one call: the brokers on its way, its trace, the extensions asked for."""

    via: str = ""
    traceparent: str = ""
    extensions: tuple[str, ...] = ()


class RemoteClient:
    """Speaks to one agent over its interface; connections are kept and shared by all its tasks.

    Args:
        guard: decides where a connection may lead.
        silence_s: how long a stream may be quiet; one that is alive says so from time to time.
        longest_event: largest event or answer taken, in bytes.
    """

    def __init__(
        self, guard: Guard, interface: Interface, *, silence_s: float = 60.0, longest_event: int = LONGEST_EVENT
    ) -> None:
        self.interface = interface
        self._guard = guard
        self._silence_s = silence_s
        self._longest = longest_event
        self._http: httpx.AsyncClient | None = None
        self._channel: grpc.aio.Channel | None = None
        self._transport: ClientTransport | None = None
        self._connecting = asyncio.Lock()

    def stream(self, message: Message, call: Call) -> AsyncGenerator[rules.Item]:
        """Send a message and yield what the agent says to it until it closes the stream.

        Raises:
            RemoteError: it could not be sent, was refused, or the stream broke.
        """
        return self._told(self._addressed(a2a_pb2.SendMessageRequest(message=convert.message_to(message))), call)

    def subscribe(self, remote_id: str, call: Call) -> AsyncGenerator[rules.Item]:
        """Yield the task as it is, then what the agent says about it until it closes the stream.

        Raises:
            RemoteError: the task is unknown or over, or the stream broke.
        """
        return self._told(self._addressed(a2a_pb2.SubscribeToTaskRequest(id=remote_id)), call)

    async def _told(
        self, request: a2a_pb2.SendMessageRequest | a2a_pb2.SubscribeToTaskRequest, call: Call
    ) -> AsyncGenerator[rules.Item]:
        """Yield what the agent says in answer to a request for a stream."""
        with remote_errors():
            transport = await self._connected()
            context = self._context(call)
            if isinstance(transport, JsonRpcWire | RestWire):
                answers = transport.items(request, context)
            elif isinstance(request, a2a_pb2.SendMessageRequest):
                answers = self._items(transport.send_message_streaming(request, context=context))
            else:
                answers = self._items(transport.subscribe(request, context=context))
            async with aclosing(answers) as items:
                async for item in items:
                    yield item

    async def send(self, message: Message, call: Call) -> rules.Item:
        """Send a message and return how the agent took it, without waiting for more.

        Raises:
            RemoteError: it could not be sent or was refused.
        """
        request = self._addressed(
            a2a_pb2.SendMessageRequest(
                message=convert.message_to(message),
                configuration=a2a_pb2.SendMessageConfiguration(return_immediately=True),
            )
        )
        with remote_errors():
            transport = await self._connected()
            async with self._patience():
                return convert.item_from(await transport.send_message(request, context=self._context(call)))

    async def get(self, remote_id: str, call: Call) -> rules.Snapshot:
        """Return a task as the agent shows it.

        Raises:
            RemoteError: the task is unknown, or no answer came.
        """
        request = self._addressed(a2a_pb2.GetTaskRequest(id=remote_id))
        with remote_errors():
            transport = await self._connected()
            async with self._patience():
                return convert.snapshot_from(await transport.get_task(request, context=self._context(call)))

    async def find(self, context_id: str, message_id: str, call: Call) -> rules.Snapshot | None:
        """Return the task of a context whose history holds a message, or None.

        Raises:
            RemoteError: the agent does not list tasks, or no answer came.
        """
        request = self._addressed(
            a2a_pb2.ListTasksRequest(context_id=context_id, page_size=100, history_length=100, include_artifacts=True)
        )
        with remote_errors():
            transport = await self._connected()
            for _ in range(PAGES):
                async with self._patience():
                    page = await transport.list_tasks(request, context=self._context(call))
                for task in page.tasks:
                    if any(message.message_id == message_id for message in task.history):
                        return convert.snapshot_from(task)
                if not page.next_page_token:
                    break
                request.page_token = page.next_page_token
        return None

    async def cancel(self, remote_id: str, call: Call) -> None:
        """Ask the agent to end a task.

        Raises:
            RemoteError: it is unknown, over, or no answer came.
        """
        request = self._addressed(a2a_pb2.CancelTaskRequest(id=remote_id))
        with remote_errors():
            transport = await self._connected()
            async with self._patience():
                await transport.cancel_task(request, context=self._context(call))

    async def close(self) -> None:
        """Close its connections."""
        self._transport = None
        if self._http is not None:
            await self._http.aclose()
        if self._channel is not None:
            await self._channel.close()

    async def _items(self, answers: AsyncIterator[a2a_pb2.StreamResponse]) -> AsyncGenerator[rules.Item]:
        # Over HTTP the connection itself is watched, so that a server's signs of life count.
        quiet_s = self._silence_s if self.interface.binding == "GRPC" else None
        while True:
            try:
                async with asyncio.timeout(quiet_s):
                    answer = await anext(answers)
            except StopAsyncIteration:
                return
            yield convert.item_from(answer)

    def _patience(self) -> asyncio.Timeout:
        return asyncio.timeout(self._silence_s)

    def _addressed(self, request: Request) -> Request:
        request.tenant = self.interface.tenant  # type: ignore[attr-defined]  # each of the requests has one
        return request

    def _context(self, call: Call) -> ClientCallContext:
        headers = {"via": call.via, "traceparent": call.traceparent, "A2A-Extensions": ",".join(call.extensions)}
        return ClientCallContext(
            service_parameters={name: text for name, text in headers.items() if text} | self.interface.headers
        )

    async def _connected(self) -> ClientTransport:
        async with self._connecting:
            return await self._connect()

    async def _connect(self) -> ClientTransport:
        if self._channel is not None and self._channel.get_state() is grpc.ChannelConnectivity.TRANSIENT_FAILURE:
            await self._channel.close()  # the name may lead elsewhere by now
            self._transport = None
        if self._transport is None:
            old = self.interface.version.startswith("0.")
            if self.interface.binding == "GRPC":
                self._channel = await self._open_channel()
                self._transport = (CompatGrpcTransport if old else GrpcTransport)(self._channel, None)
            else:
                self._http = self._open_http(old=old)
                kind = _HTTP[self.interface.binding, old]
                self._transport = kind(self._http, a2a_pb2.AgentCard(), self.interface.url)
        return self._transport

    def _open_http(self, *, old: bool) -> httpx.AsyncClient:
        client = self._guard.client(max_bytes=math.inf, timeout_s=math.inf, connections=STREAMS)
        client.timeout = httpx.Timeout(self._silence_s, connect=CONNECT_S)
        client.headers["A2A-Version"] = "0.3" if old else "1.0"
        client.event_hooks = {"response": [bound_events(self._longest)]}
        return client

    async def _open_channel(self) -> grpc.aio.Channel:
        """Connect to the very address that was judged; the name stays what the certificate is checked against."""
        url = self.interface.url
        bare = "://" not in url
        scheme, _, rest = ("", "", url) if bare else url.partition("://")
        secure = scheme in {"https", "grpcs"}
        target = self._guard.check(f"{'https' if secure else 'http'}://{rest}")
        address = (await self._guard.pin(target))[0]
        if bare and not address.is_private:
            secure = True  # credentials do not cross the open net in the clear
        kind = "ipv6" if isinstance(address, ipaddress.IPv6Address) else "ipv4"
        place = f"[{address}]" if kind == "ipv6" else str(address)
        options = [
            ("grpc.default_authority", target.host),
            ("grpc.enable_http_proxy", 0),
            ("grpc.max_receive_message_length", self._longest),
            ("grpc.use_local_subchannel_pool", 1),
        ]
        if not secure:
            return grpc.aio.insecure_channel(f"{kind}:{place}:{target.port}", options=options)
        return grpc.aio.secure_channel(
            f"{kind}:{place}:{target.port}",
            grpc.ssl_channel_credentials(),
            options=[*options, ("grpc.ssl_target_name_override", target.host)],
        )
