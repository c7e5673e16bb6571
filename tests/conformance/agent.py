"""An agent that does what the first word of a message tells it to: the agent that conformance tests need.

It is built from the A2A SDK's server parts and nothing of the kernel's, so that what comes through the kernel can be
compared with what comes from the agent itself. As a process:

    python tests/conformance/agent.py --port 9000 --bindings jsonrpc,rest,grpc --capabilities all --version 1.0

It prints `ready <address>` when it answers. `GET /seen` lists what headers reached it, oldest first.
"""

import argparse
import asyncio
import base64
import itertools
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any

import grpc
import httpx
import uvicorn
from a2a.compat.v0_3 import a2a_v0_3_pb2_grpc
from a2a.compat.v0_3.grpc_handler import CompatGrpcHandler
from a2a.server.agent_execution import AgentExecutor, RequestContext
from a2a.server.context import ServerCallContext
from a2a.server.events import Event, EventQueue
from a2a.server.id_generator import IDGenerator, IDGeneratorContext
from a2a.server.request_handlers import DefaultRequestHandlerV2
from a2a.server.request_handlers.grpc_handler import GrpcHandler
from a2a.server.request_handlers.response_helpers import agent_card_to_dict
from a2a.server.routes import create_agent_card_routes, create_jsonrpc_routes, create_rest_routes
from a2a.server.tasks import (
    BasePushNotificationSender,
    InMemoryPushNotificationConfigStore,
    InMemoryTaskStore,
    TaskUpdater,
)
from a2a.types import a2a_pb2 as pb
from a2a.types import a2a_pb2_grpc
from a2a.utils.errors import ContentTypeNotSupportedError
from google.protobuf.json_format import MessageToDict, ParseDict
from google.protobuf.struct_pb2 import Value
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

CARD_PATH = "/.well-known/agent-card.json"
SEEN_PATH = "/seen"
BINDINGS = {"jsonrpc": "JSONRPC", "rest": "HTTP+JSON", "grpc": "GRPC"}
_PDF = base64.b64decode("JVBERi0xLjQ=")


class Behaviours(AgentExecutor):
    """One method per behaviour; an unknown word is answered like `tck-complete-task`.

    Args:
        pause_s: how long it rests between two events, so that others can come in between.
        long_s: how long a long-running task takes.
    """

    def __init__(self, *, pause_s: float, long_s: float) -> None:
        self._pause_s = pause_s
        self._long_s = long_s
        self._by_word: dict[str, Callable[[Turn], Awaitable[None]]] = {
            "tck-task-failure": self._fail,
            "tck-reject-task": self._reject,
            "tck-input-required": self._ask_for_input,
            "tck-multi-turn": self._converse,
            "tck-auth-required": self._ask_for_authorization,
            "tck-auth-continues": self._go_on_without_an_answer,
            "tck-cancel": self._wait_for_ever,
            "tck-long-running": self._take_long,
            "tck-artifact-text": self._return_text,
            "tck-artifact-data": self._return_data,
            "tck-artifact-file": self._return_file,
            "tck-artifact-file-url": self._return_file_url,
            "tck-stream-basic": self._stream,
            "tck-stream-chunked": self._stream_chunks,
            "tck-stream-001": self._stream,
            "tck-stream-002": self._stream,
            "tck-stream-003": self._stream_chunks,
            "tck-complete-task": self._complete,
        }

    async def execute(self, context: RequestContext, event_queue: EventQueue) -> None:
        """Answer one message."""
        text = context.get_user_input()
        word = text.split(maxsplit=1)[0] if text.strip() else ""
        message = context.message
        assert message is not None
        if context.current_task is None and word == "tck-message-response":
            said = pb.Message(message_id=f"said-{message.message_id}", role=pb.ROLE_AGENT)
            said.context_id = context.context_id or ""  # 3.4.1: a context that was made up is told
            said.parts.add(text="Said, and no task was made.")
            said.metadata.update({"mood": "calm"})
            await event_queue.enqueue_event(said)
            return
        turn = await Turn.begin(context, event_queue, word)
        await self._by_word.get(turn.word, self._complete)(turn)

    async def cancel(self, context: RequestContext, event_queue: EventQueue) -> None:
        """Stop, whatever it does."""
        await TaskUpdater(event_queue, context.task_id or "", context.context_id or "").cancel()

    async def _rest(self) -> None:
        await asyncio.sleep(self._pause_s)

    async def _complete(self, turn: "Turn") -> None:
        await turn.updater.start_work()
        await turn.updater.add_artifact([text_part(turn.text)], artifact_id="answer", name="answer")
        await turn.updater.complete()

    async def _fail(self, turn: "Turn") -> None:
        await turn.updater.start_work()
        await turn.updater.failed(turn.saying("It did not work."))

    async def _reject(self, turn: "Turn") -> None:
        await turn.updater.reject(turn.saying("Not by me."))

    async def _ask_for_input(self, turn: "Turn") -> None:
        if turn.first:
            await turn.updater.start_work()
            await turn.updater.requires_input(turn.saying("Which one?"))
        else:
            await self._complete(turn)

    async def _converse(self, turn: "Turn") -> None:
        """Ask again until somebody says done; silent, so that the history holds what the caller said alone."""
        if turn.text.strip() == "done":
            await self._complete(turn)
        else:
            await turn.updater.start_work()
            await turn.updater.requires_input()

    async def _ask_for_authorization(self, turn: "Turn") -> None:
        if turn.first:
            await turn.updater.start_work()
            await turn.updater.requires_auth(turn.saying("I need to be let in."))
        else:
            await self._complete(turn)

    async def _go_on_without_an_answer(self, turn: "Turn") -> None:
        """Be authorized by some other way than a message, and go on."""
        await turn.updater.requires_auth(turn.saying("I wait for the door to open."))
        await asyncio.sleep(self._long_s / 2)
        await self._complete(turn)

    async def _wait_for_ever(self, turn: "Turn") -> None:
        await turn.updater.start_work()
        await asyncio.Event().wait()

    async def _take_long(self, turn: "Turn") -> None:
        await turn.updater.start_work()
        for step in range(1, 5):
            await asyncio.sleep(self._long_s / 4)
            await turn.updater.update_status(
                pb.TASK_STATE_WORKING, turn.saying(f"Step {step} of 4."), metadata={"event.step": step}
            )
        await turn.updater.add_artifact([text_part("It took long.")], artifact_id="answer", name="answer")
        await turn.updater.complete()

    async def _return_text(self, turn: "Turn") -> None:
        await self._return(turn, text_part("Words.", media_type="text/plain"))

    async def _return_data(self, turn: "Turn") -> None:
        data = ParseDict({"temperature": 72.5, "unit": "fahrenheit", "tags": ["a", None, True]}, Value())
        await self._return(turn, pb.Part(data=data, media_type="application/json"))

    async def _return_file(self, turn: "Turn") -> None:
        await self._return(turn, pb.Part(raw=_PDF, filename="report.pdf", media_type="application/pdf"))

    async def _return_file_url(self, turn: "Turn") -> None:
        where = "https://files.example/report.pdf"
        await self._return(turn, pb.Part(url=where, filename="report.pdf", media_type="application/pdf"))

    async def _return(self, turn: "Turn", part: pb.Part) -> None:
        await turn.updater.start_work()
        await turn.updater.add_artifact([part], artifact_id="answer", name="answer", metadata={"kind": turn.word})
        await turn.updater.complete()

    async def _stream(self, turn: "Turn") -> None:
        await self._rest()
        await turn.updater.start_work(turn.saying("I begin."))
        await self._rest()
        await turn.updater.add_artifact([text_part("Here it is.")], artifact_id="answer", last_chunk=True)
        await self._rest()
        await turn.updater.complete(turn.saying("That was all."))

    async def _stream_chunks(self, turn: "Turn") -> None:
        await self._rest()
        await turn.updater.update_status(pb.TASK_STATE_WORKING, metadata={"event.chunks": 4})
        for number in range(4):
            await self._rest()
            await turn.updater.add_artifact(
                [text_part(f"chunk {number}. ")],
                artifact_id="answer",
                name="in pieces",
                metadata={"number": number},
                append=number > 0,
                last_chunk=number == 3,
            )
        await turn.updater.complete()


class Turn:
    """One message and what is needed to answer it."""

    def __init__(self, context: RequestContext, queue: EventQueue, *, word: str, first: bool) -> None:
        self.word = word
        self.first = first
        self.text = context.get_user_input()
        answered = context.message.message_id if context.message else ""
        self.updater = TaskUpdater(
            queue, context.task_id or "", context.context_id or "", message_id_generator=NumberedIds(answered)
        )

    @classmethod
    async def begin(cls, context: RequestContext, queue: EventQueue, word: str) -> "Turn":
        """Make the task if there is none yet; a task keeps the behaviour that it began with."""
        if (task := context.current_task) is not None:
            return cls(context, queue, word=MessageToDict(task.metadata).get("behaviour", ""), first=False)
        message = context.message
        assert message is not None
        task = pb.Task(id=context.task_id, context_id=context.context_id, history=[message])
        task.status.state = pb.TASK_STATE_SUBMITTED
        task.status.timestamp.GetCurrentTime()
        task.metadata.update({"behaviour": word})
        await queue.enqueue_event(task)
        return cls(context, queue, word=word, first=True)

    def saying(self, text: str) -> pb.Message:
        """Return a message of the agent's about this task."""
        return self.updater.new_agent_message([text_part(text)])


class NumberedIds(IDGenerator):
    """Ids that follow from what is answered, so that two runs of one story can be compared."""

    def __init__(self, answered: str) -> None:
        self._answered = answered
        self._number = itertools.count(1)

    def generate(self, context: IDGeneratorContext) -> str:
        """Return the next one."""
        return f"{self._answered}-answer-{next(self._number)}"


def text_part(text: str, *, media_type: str = "") -> pb.Part:
    """Return a part of text."""
    return pb.Part(text=text, media_type=media_type)


class Requests(DefaultRequestHandlerV2):
    """The SDK's handler, with an agent that refuses a content type that nobody knows."""

    async def on_message_send(self, params: pb.SendMessageRequest, context: ServerCallContext) -> pb.Message | pb.Task:
        """Send."""
        refuse_unknown_types(params.message)
        answer: pb.Message | pb.Task = await super().on_message_send(params, context)
        return answer

    async def on_message_send_stream(
        self, params: pb.SendMessageRequest, context: ServerCallContext
    ) -> AsyncGenerator[Event, None]:
        """Send and stream."""
        refuse_unknown_types(params.message)
        async for event in super().on_message_send_stream(params, context):
            yield event


def refuse_unknown_types(message: pb.Message) -> None:
    """Raise ContentTypeNotSupportedError for a part that calls itself unsupported."""
    for part in message.parts:
        named = [part.media_type, str(MessageToDict(part.metadata).get("contentType", ""))]
        if any("unsupported" in kind for kind in named):
            raise ContentTypeNotSupportedError(message="This agent takes text, JSON and PDF.")


class Agent:
    """The agent on loopback: its card, its doors, and the headers that came through them.

    Args:
        port: where JSON-RPC and HTTP+JSON are served; gRPC is at `grpc_port`.
        bindings: names of `BINDINGS`, the preferred one first.
        version: `1.0`, `0.3` (nothing else is understood), or `both`.
        all_on: whether streaming, push notifications and the extended card are offered.
        key: who calls has to show this bearer token; empty lets everybody in.
    """

    def __init__(
        self,
        *,
        port: int,
        grpc_port: int = 0,
        bindings: tuple[str, ...] = ("jsonrpc", "rest"),
        version: str = "1.0",
        all_on: bool = True,
        key: str = "",
        pause_s: float = 0.02,
        long_s: float = 2.0,
        name: str = "behaviours",
    ) -> None:
        self.port = port
        self.grpc_port = grpc_port
        self.seen: list[dict[str, Any]] = []
        self._bindings = bindings
        self._version = version
        self._key = key
        self._name = name
        self._all_on = all_on
        self._push = InMemoryPushNotificationConfigStore()
        self._http = httpx.AsyncClient(timeout=10, trust_env=False)
        self._requests = Requests(
            Behaviours(pause_s=pause_s, long_s=long_s),
            InMemoryTaskStore(),
            self.card(),
            push_config_store=self._push,
            push_sender=BasePushNotificationSender(self._http, self._push),
            extended_agent_card=self.card(extended=True) if all_on else None,
        )

    def card(self, *, extended: bool = False) -> pb.AgentCard:
        """Return the agent's card."""
        card = pb.AgentCard(
            name=self._name,
            description="Does what the first word of a message tells it to.",
            version="1.0.0",
            default_input_modes=["text/plain", "application/json", "application/pdf"],
            default_output_modes=["text/plain", "application/json", "application/pdf"],
            capabilities=pb.AgentCapabilities(
                streaming=self._all_on, push_notifications=self._all_on, extended_agent_card=self._all_on
            ),
        )
        card.skills.add(id="behave", name="Behave", description="Behaves as asked.", tags=["conformance"])
        if extended:
            card.skills.add(id="behave-more", name="Behave more", description="For those with a key.", tags=["more"])
        for version in ("1.0", "0.3") if self._version == "both" else (self._version,):
            for binding in self._bindings:
                card.supported_interfaces.add(
                    url=f"127.0.0.1:{self.grpc_port}" if binding == "grpc" else f"http://127.0.0.1:{self.port}",
                    protocol_binding=BINDINGS[binding],
                    protocol_version=version,
                )
        if self._key:
            bearer = card.security_schemes["bearer"].http_auth_security_scheme
            bearer.scheme = "Bearer"
            card.security_requirements.add().schemes["bearer"].SetInParent()
        return card

    def app(self) -> ASGIApp:
        """Return the HTTP doors."""

        async def seen(_: Request) -> JSONResponse:
            return JSONResponse(self.seen)

        async def old_card(_: Request) -> JSONResponse:
            return JSONResponse(
                {k: v for k, v in agent_card_to_dict(self.card()).items() if k != "supportedInterfaces"}
            )

        old = self._version in ("0.3", "both")
        routes: list[Any] = [Route(SEEN_PATH, seen)]
        routes += [Route(CARD_PATH, old_card)] if self._version == "0.3" else create_agent_card_routes(self.card())
        if "jsonrpc" in self._bindings:
            routes += create_jsonrpc_routes(self._requests, "/", enable_v0_3_compat=old)
        if "rest" in self._bindings:
            routes += create_rest_routes(self._requests, enable_v0_3_compat=old)
        return self._guarded(Starlette(routes=routes))

    def _guarded(self, app: ASGIApp) -> ASGIApp:
        """Write down what comes, and let in who has the key and speaks the version."""

        async def guard(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] != "http" or scope["path"] == SEEN_PATH:
                return await app(scope, receive, send)
            headers = {name.decode(): value.decode("latin-1") for name, value in scope["headers"]}
            self.seen.append({"method": scope["method"], "path": scope["path"], "headers": headers})
            if scope["path"] != CARD_PATH and not self._let_in(headers):
                refusal = JSONResponse({"title": "Who are you?"}, status_code=401)
                return await refusal(scope, receive, send)
            if self._version == "0.3" and headers.get("a2a-version", "0.3") != "0.3":
                error = {"code": -32009, "message": "only 0.3 is understood"}
                return await JSONResponse({"jsonrpc": "2.0", "id": None, "error": error})(scope, receive, send)
            return await app(scope, receive, send)

        return guard

    def _let_in(self, headers: dict[str, str]) -> bool:
        return not self._key or headers.get("authorization") == f"Bearer {self._key}"

    def _grpc_server(self) -> grpc.aio.Server:
        server = grpc.aio.server(interceptors=[_Watch(self)])
        if self._version in ("1.0", "both"):
            a2a_pb2_grpc.add_A2AServiceServicer_to_server(  # type: ignore[no-untyped-call]
                GrpcHandler(self._requests), server
            )
        if self._version in ("0.3", "both"):
            old = CompatGrpcHandler(self._requests)
            a2a_v0_3_pb2_grpc.add_A2AServiceServicer_to_server(old, server)  # type: ignore[no-untyped-call]
        server.add_insecure_port(f"127.0.0.1:{self.grpc_port}")
        return server

    async def serve(self) -> None:
        """Serve until told to stop; say so when it begins."""
        config = uvicorn.Config(
            self.app(),
            host="127.0.0.1",
            port=self.port,
            log_level="error",
            access_log=False,
            lifespan="off",
            timeout_graceful_shutdown=1,
        )
        doors = self._grpc_server() if "grpc" in self._bindings else None
        try:
            if doors is not None:
                await doors.start()
            await _HttpServer(config).serve()
        finally:
            if doors is not None:
                await doors.stop(0)
            await self._requests.aclose()
            await self._http.aclose()


class _HttpServer(uvicorn.Server):
    """Says when it can be called."""

    async def startup(self, sockets: Any = None) -> None:
        """Listen."""
        await super().startup(sockets)
        print(f"ready http://127.0.0.1:{self.config.port}", flush=True)


class _Watch(grpc.aio.ServerInterceptor):
    """The same guard as over HTTP, for gRPC."""

    def __init__(self, agent: Agent) -> None:
        self._agent = agent

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Any]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Any:
        """Write down one call."""
        details = handler_call_details
        headers = {name: str(value) for name, value in details.invocation_metadata or ()}
        self._agent.seen.append({"method": "GRPC", "path": details.method, "headers": headers})
        if self._agent._let_in(headers):
            return await continuation(details)

        async def refuse(_: Any, context: Any) -> None:
            await context.abort(grpc.StatusCode.UNAUTHENTICATED, "Who are you?")

        return grpc.unary_unary_rpc_method_handler(refuse)


def main() -> None:
    """Read the command line and serve."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--grpc-port", type=int, default=0, help="where gRPC is served; the port after --port")
    parser.add_argument("--bindings", default="jsonrpc,rest", help="of jsonrpc, rest and grpc; the preferred one first")
    parser.add_argument("--version", choices=["1.0", "0.3", "both"], default="1.0")
    parser.add_argument("--capabilities", choices=["all", "none"], default="all")
    parser.add_argument("--key", default="", help="the bearer token that callers have to show")
    parser.add_argument("--pause-s", type=float, default=0.02, help="rest between two events of a stream")
    parser.add_argument("--long-s", type=float, default=2.0, help="how long a long-running task takes")
    parser.add_argument("--name", default="behaviours")
    chosen = parser.parse_args()
    asyncio.run(_serve(chosen))


async def _serve(chosen: argparse.Namespace) -> None:
    await Agent(
        port=chosen.port,
        grpc_port=chosen.grpc_port or chosen.port + 1,
        bindings=tuple(chosen.bindings.split(",")),
        version=chosen.version,
        all_on=chosen.capabilities == "all",
        key=chosen.key,
        pause_s=chosen.pause_s,
        long_s=chosen.long_s,
        name=chosen.name,
    ).serve()


if __name__ == "__main__":
    main()
