"""One A2A task, followed over as many connections as it takes."""

from memroos_kit import environment  # isort: skip  # before the SDK is imported

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from typing import Any, cast

import httpx
from a2a.client import A2ACardResolver, A2AClientError, ClientConfig, ClientFactory
from a2a.client import Client as A2AClient
from a2a.types import a2a_pb2
from a2a.utils.errors import UnsupportedOperationError
from google.protobuf.json_format import MessageToDict

from memroos.demo.errors import Stopped
from memroos.demo.kernel import PATIENCE_S, PAUSE_S, Kernel
from memroos.demo.stage import printable
from memroos_contracts.broker import FINAL, TaskState

assert environment.PRESETS

_STATES = {a2a_pb2.TaskState.Value(f"TASK_STATE_{state.name}"): state for state in TaskState}


class Conversation:
    """One A2A task from the message to its end, seen as a stream over as many connections as it takes.

    Args:
        kernel: whose address is called.
        key: with which.
        message: what is sent; sending it twice is one task.
        show: told every new thing, once.
        check: called while nothing happens; raises to end it.
    """

    def __init__(
        self,
        kernel: Kernel,
        key: str,
        message: a2a_pb2.Message,
        *,
        show: Callable[[str], None],
        check: Callable[[], None],
    ) -> None:
        self.task = a2a_pb2.Task()
        self.approval_id = ""
        self.streamed = 0
        self._kernel = kernel
        self._key = key
        self._message = message
        self._show = show
        self._check = check
        self._shown: set[str] = set()
        self._quiet_since = time.monotonic()

    @property
    def over(self) -> bool:
        """Whether the task has ended."""
        return _STATES.get(self.task.status.state) in FINAL

    @property
    def state(self) -> str:
        """Where the task stands, in the kernel's words."""
        return _state(self.task.status)

    @property
    def facts(self) -> dict[str, Any]:
        """What the kernel says about the task beyond the protocol: who got it, and why."""
        return cast("dict[str, Any]", MessageToDict(self.task.metadata).get("memroos", {}))

    def artifact(self, artifact_id: str) -> a2a_pb2.Part:
        """Return the first part of a result.

        Raises:
            Stopped: the task did not bring it.
        """
        for artifact in self.task.artifacts:
            if artifact.artifact_id == artifact_id:
                return artifact.parts[0]
        raise Stopped(f"the task brought no {artifact_id}; it is {self.state}")

    def follow(self, *, until_held: bool = False) -> None:
        """Follow the task to its end, or until a person has to answer.

        Raises:
            A2AError: the kernel refuses.
            Stopped: nothing has happened for a long time.
        """
        self._quiet_since = time.monotonic()
        asyncio.run(self._follow(until_held=until_held))

    async def _follow(self, *, until_held: bool) -> None:
        while not self.over and not (until_held and self.approval_id):
            try:
                async with self._client() as client, aclosing(self._events(client)) as events:
                    async for event in events:
                        self._kernel.back()
                        self._take(event)
                        if until_held and self.approval_id:
                            return
            except A2AClientError as error:
                if not _is_passing(error):
                    raise
                if not isinstance(error.__cause__, httpx.ReadTimeout):
                    self._kernel.away(error)
            self._check()
            if time.monotonic() - self._quiet_since > PATIENCE_S:
                raise Stopped(f"nothing has happened for {PATIENCE_S:g} s")
            await asyncio.sleep(PAUSE_S)

    @asynccontextmanager
    async def _client(self) -> AsyncIterator[A2AClient]:
        """Connect as any A2A client does: by the kernel's card."""
        headers = {"Authorization": f"Bearer {self._key}"}
        async with httpx.AsyncClient(headers=headers, timeout=httpx.Timeout(10), trust_env=False) as http:
            card = await A2ACardResolver(http, self._kernel.url).get_agent_card()
            for interface in card.supported_interfaces:
                interface.url = f"{self._kernel.url}/a2a"  # the key goes nowhere but where it was given for
            yield ClientFactory(ClientConfig(httpx_client=http)).create(card)

    async def _events(self, client: A2AClient) -> AsyncGenerator[a2a_pb2.StreamResponse]:
        """Yield what one connection brings: of the new task, or of the one that is known."""
        if not self.task.id:
            request = a2a_pb2.SendMessageRequest(message=self._message)
            async for event in client.send_message(request):
                yield event
            return
        try:
            async for event in client.subscribe(a2a_pb2.SubscribeToTaskRequest(id=self.task.id)):
                yield event
        except UnsupportedOperationError:  # it has ended in between: nothing to follow, but to read
            yield a2a_pb2.StreamResponse(task=await client.get_task(a2a_pb2.GetTaskRequest(id=self.task.id)))

    def _take(self, event: a2a_pb2.StreamResponse) -> None:
        """Bring the task up to date, and show what is new."""
        if event.HasField("task"):
            self.task.CopyFrom(event.task)
            for artifact in event.task.artifacts:
                self._produced(artifact)
            self._moved(event.task.status)
        elif event.HasField("status_update"):
            self.streamed += 1
            self.task.status.CopyFrom(event.status_update.status)
            self._moved(event.status_update.status)
        elif event.HasField("artifact_update"):
            self.streamed += 1
            artifact = event.artifact_update.artifact
            kept = [one for one in self.task.artifacts if one.artifact_id != artifact.artifact_id]
            del self.task.artifacts[:]
            self.task.artifacts.extend([*kept, artifact])
            self._produced(artifact)

    def _moved(self, status: a2a_pb2.TaskStatus) -> None:
        words = " ".join(part.text for part in status.message.parts if part.text)
        for part in status.message.parts:
            if part.WhichOneof("content") == "data":
                self.approval_id = MessageToDict(part.data).get("approval", self.approval_id)
        self._new(f"{_state(status)}: {words}" if words else _state(status))

    def _produced(self, artifact: a2a_pb2.Artifact) -> None:
        size = sum(len(part.text.encode()) for part in artifact.parts)
        self._new(f"artifact {artifact.name}" + (f", {size:,} bytes" if size else ""))

    def _new(self, line: str) -> None:
        if line not in self._shown:
            self._shown.add(line)
            self._quiet_since = time.monotonic()
            self._show(f"   {printable(line)}")


def _state(status: a2a_pb2.TaskStatus) -> str:
    state = _STATES.get(status.state)
    return "unknown" if state is None else state.value


def _is_passing(error: A2AClientError) -> bool:
    """Whether a connection broke, in contrast to a refusal."""
    cause = error.__cause__
    if isinstance(cause, httpx.HTTPStatusError):
        return cause.response.status_code in {429, 503}
    return isinstance(cause, httpx.RequestError)
