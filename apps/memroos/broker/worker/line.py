"""The line to one remote agent: its connections, its breaker, and how many of its tasks run."""

import asyncio
import random
from collections import deque
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import msgspec
import structlog

from memroos import registry
from memroos.broker import client
from memroos.broker.queries import Outgoing
from memroos.broker.tails import Tasks
from memroos_contracts.broker import Message, TaskView
from memroos_contracts.errors import MemroosError
from memroos_contracts.identity import Actor, AgentId, DeliveryId, TaskId
from memroos_contracts.registry import AgentState, Breaker
from memroos_kit import tracing
from memroos_kit.db import Database
from memroos_kit.outbound import Guard
from memroos_kit.sealing import Sealer
from memroos_kit.stopping import Stopping

_log = structlog.get_logger(__name__)

REFRESH_S = 5.0
"""How old what is known of an agent may be, in seconds: its address, its credentials, its breaker."""

REPORT_S = 1.0
"""How often failures of one agent are reported, in seconds: a hundred tasks that fail at once are one failure."""


class Terms(msgspec.Struct, frozen=True):
    """How remote agents are treated."""

    broker_id: str
    """Our name in `via`."""
    silence_s: float = 600.0
    """How long an agent may stay unreachable while it has a task."""
    poll_s: float = 5.0
    """How often a task is asked for where its agent does not stream."""
    quiet_s: float = 60.0
    """How long a stream may be silent before it counts as broken."""
    most_events: int = 20_000
    """How many events a task may have; an agent that never ends is failed."""
    most_bytes: int = 64 * 1024 * 1024
    """How much an agent may say in one task, in bytes."""
    longest_event: int = 4 * 1024 * 1024


Remind = Callable[[TaskView, Message], Awaitable[str]]
"""Returns what a task's agent is reminded of; empty for nothing. It never fails, and never takes long."""


class Office:
    """What every errand needs."""

    def __init__(  # noqa: PLR0913, PLR0917 - the parts of an office
        self,
        db: Database,
        tasks: Tasks,
        guard: Guard,
        sealer: Sealer,
        stopping: Stopping,
        terms: Terms,
        remind: Remind | None = None,
    ) -> None:
        self.db = db
        self.tasks = tasks
        self.guard = guard
        self.sealer = sealer
        self.stopping = stopping
        self.terms = terms
        self.remind = remind


class Line:
    """One agent as those see it who bring it tasks.

    Args:
        agent_id: which.
        actor: the kernel in the agent's workspace.
    """

    def __init__(self, office: Office, agent_id: AgentId, actor: Actor) -> None:
        self.queue: deque[Outgoing] = deque()
        self.doubtful: set[DeliveryId] = set()
        """What may have been sent before the kernel was started."""
        self.running: set[TaskId] = set()
        self.down_since: float | None = None
        self._office = office
        self._agent_id = agent_id
        self._actor = actor
        self._remote: registry.Remote | None = None
        self._read_at = -REFRESH_S
        self._interface: tuple[registry.Remote, client.Interface] | None = None
        self._client: client.RemoteClient | None = None
        self._old: list[client.RemoteClient] = []
        self._reported_at = -REPORT_S
        self._failing = False
        self._unary = False
        self._news = asyncio.Event()

    @property
    def name(self) -> str:
        """The agent's name, as far as it is known."""
        return self._remote.agent.name if self._remote is not None else "The agent"

    def room(self) -> int:
        """Return how many more of its tasks may run.

        Raises:
            MemroosError: the agent is gone, or what is known of it cannot be read.
        """
        agent = self._known().agent
        return agent.max_concurrency - len(self.running) if agent.state is AgentState.ACTIVE else 0

    def connect(self) -> client.RemoteClient:
        """Return the connections to the agent as it is reached now.

        Raises:
            MemroosError: the agent is gone, or its credentials cannot be read.
        """
        remote = self._known()
        if self._interface is None or self._interface[0] is not remote:
            self._interface = (remote, self._interface_of(remote))
        interface = self._interface[1]
        if self._client is None or self._client.interface != interface:
            if self._client is not None:
                self._old.append(self._client)  # streams still run on it; it is closed with the line
            terms = self._office.terms
            self._client = client.RemoteClient(
                self._office.guard, interface, silence_s=terms.quiet_s, longest_event=terms.longest_event
            )
        return self._client

    def _interface_of(self, remote: registry.Remote) -> client.Interface:
        return client.Interface(
            url=remote.interface_url,
            binding=remote.protocol_binding,
            version=remote.protocol_version,
            tenant=remote.tenant,
            streaming=_streams(remote.card),
            headers=registry.headers_of(remote, self._office.sealer),
        )

    @contextmanager
    def calling(self, task: TaskView, extensions: tuple[str, ...]) -> Iterator[client.Call]:
        """Measure a delivery, and yield what goes along with it."""
        remote, facts = self._known(), {}
        if tracing.is_on():
            agent, place = remote.agent, urlsplit(remote.interface_url)
            facts = tracing.invocation(
                agent_id=agent.id, agent_name=agent.name, context_id=task.context_id, task_id=task.id
            )
            facts[tracing.SERVER_ADDRESS] = place.hostname or remote.interface_url.partition(":")[0]
        with tracing.span(
            tracing.INVOKE_AGENT, parent=task.traceparent, kind=tracing.CLIENT, attributes=facts
        ) as traceparent:
            yield self.call(task, extensions, traceparent=traceparent)

    def call(self, task: TaskView, extensions: tuple[str, ...] = (), *, traceparent: str = "") -> client.Call:
        """Return what goes along with a call about a task."""
        ours = f"1.1 {self._office.terms.broker_id}"
        return client.Call(
            via=", ".join([*(hop if " " in hop else f"1.1 {hop}" for hop in task.via), ours]),
            traceparent=traceparent or tracing.child(task.traceparent),
            extensions=extensions,
        )

    def streams(self) -> bool:
        """Whether the agent streams, as its card says and as it has shown."""
        return self.connect().interface.streaming and not self._unary

    def cannot_stream(self) -> None:
        """The agent has refused a stream."""
        self._unary = True

    def blocked_s(self) -> float:
        """Return for how long no calls are tried, because the last ones failed."""
        remote = self._known()
        if remote.breaker is not Breaker.OPEN or remote.breaker_until is None:
            return 0.0
        return float(max(0.0, (remote.breaker_until - self._office.db.clock.now()).total_seconds()))

    async def went_well(self) -> None:
        """The agent answered."""
        self.down_since = None
        if self._failing:
            self._failing = False
            await self._report(ok=True)

    async def failed(self, error: Exception) -> None:
        """The agent could not be reached."""
        now = asyncio.get_running_loop().time()
        self.down_since = self.down_since or now
        self._failing = True
        if now - self._reported_at >= REPORT_S:
            self._reported_at = now
            await self._report(ok=False, error=str(error)[:500])

    async def _report(self, *, ok: bool, error: str = "") -> None:
        try:
            await self._office.db.write(self._actor, registry.report_remote, self._agent_id, ok=ok, error=error)
        except MemroosError as problem:  # a full disk does not end a task; the breaker learns of it later
            _log.warning("remote agent's state not kept", agent=self._agent_id, problem=problem.slug())
        self._read_at = -REFRESH_S

    def backoff_s(self, failures: int) -> float:
        """Return how long to wait after some failures in a row: longer each time, never all at once."""
        delay = min(30.0, 0.1 * 2.0 ** min(failures, 10)) * random.uniform(0.5, 1.0)  # noqa: S311 - it spreads, it hides nothing
        return min(delay, max(0.5, self._office.terms.silence_s / 4))

    def forget(self) -> None:
        """Something about the agent has changed: read it anew, and let those try who wait for it."""
        self._read_at = -REFRESH_S
        self._news.set()
        self._news = asyncio.Event()

    def news(self) -> asyncio.Event:
        """Return what is set with the next change of what is known of the agent."""
        return self._news

    async def close(self) -> None:
        """Close the connections."""
        for one in (*self._old, self._client):
            if one is not None:
                await one.close()

    def _known(self) -> registry.Remote:
        now = asyncio.get_running_loop().time()
        if self._remote is None or now - self._read_at >= REFRESH_S:
            self._remote = self._office.db.read_inline(self._actor, registry.get_remote, self._agent_id)
            self._read_at = now
            self._failing = self._failing or self._remote.call_failures > 0  # also those before a restart
        return self._remote


def _streams(card: bytes) -> bool:
    """Whether a card says that its agent streams; an agent without a card is tried."""
    if not card:
        return True
    try:
        found = _decode(card).capabilities.streaming
    except msgspec.MsgspecError:
        return False
    return bool(found)


class _Capabilities(msgspec.Struct):
    streaming: bool | None = None


class _Card(msgspec.Struct):
    capabilities: _Capabilities = msgspec.field(default_factory=_Capabilities)


_decode = msgspec.json.Decoder(_Card).decode
