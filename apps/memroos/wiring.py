"""The composition root: builds the kernel out of its parts; the only file that names concrete ones."""

import asyncio
import contextlib
import hashlib
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from litestar import Request
from litestar.di import Provide

from memroos import __version__, audit, broker, bus, events, governance, memory, operations, push, registry
from memroos.audit import worker as audit_worker
from memroos.events import worker as events_worker
from memroos.governance import worker as governance_worker
from memroos.registry import worker as registry_worker
from memroos.settings import Settings
from memroos.web import access, deps
from memroos.web.a2a import OPERATIONS as A2A_OPERATIONS
from memroos.web.a2a import Cards, create_a2a_app
from memroos.web.a2a.grpc import GrpcDoor
from memroos.web.a2a.operations import BrokerHandler
from memroos.web.a2a.push import encode as encode_notification
from memroos.web.catalog import Directory
from memroos.web.front import Front
from memroos.web.long_poll import LongPoll, LongPolls
from memroos.web.rest import CONTROLLERS
from memroos.web.streams import Streams
from memroos_contracts.broker import Message, TaskView
from memroos_contracts.errors import MemroosError
from memroos_contracts.governance import Action
from memroos_contracts.identity import service_actor
from memroos_contracts.registry import AgentKind, AgentSkill, AgentState, NewAgent
from memroos_kit import lock, log, outbound, server, service_key, tracing
from memroos_kit.clock import Clock, SystemClock
from memroos_kit.db import Database
from memroos_kit.db.migrate import migrate
from memroos_kit.db.once import forget_old
from memroos_kit.keyset import KeySet
from memroos_kit.limits import RateLimiter, StreamSlots
from memroos_kit.sealing import Sealer
from memroos_kit.service import Health, ServiceApp, create_app
from memroos_kit.stopping import Stopping

DATABASE = "conversations.db"
LOCK = "kernel.lock"
MIGRATIONS = Path(__file__).parent / "migrations"
KERNEL = service_actor("kernel")
SWEEP_S = 60.0
WORKER_DIED_STATUS = 70  # EX_SOFTWARE

ECHO = NewAgent(
    name="echo",
    kind=AgentKind.LOCAL,
    title="Echo",
    description="Answers with what it was sent. It lives inside the kernel, for first steps and measurements.",
    state=AgentState.ACTIVE,
    skills=(AgentSkill(id="echo", name="Echo", description="Sends the message back.", tags=("echo", "test")),),
    max_concurrency=256,
)

_log = log.get(__name__)


class Kernel:
    """The parts of one kernel process, built and not yet serving.

    Args:
        settings: how.
        clock: the time; tests bring their own.
    """

    def __init__(self, settings: Settings, *, clock: Clock | None = None) -> None:
        self.settings = settings
        self.clock = clock or SystemClock()
        self.started_at = self.clock.now()
        self.stopping = Stopping()
        self.worker_died = False
        self.path = settings.data_dir / DATABASE
        migrate(self.path, MIGRATIONS)

        self.notifier = events.Notifier(queue_size=settings.stream_queue)
        self.keyring = registry.Keyring()
        self.sealer = Sealer.ensure(settings.secrets_key_path)
        self.guard = outbound.Guard(
            allow=settings.outbound_allow,
            max_bytes=settings.outbound_max_bytes,
            timeout_s=settings.outbound_timeout_s,
        )
        self.keyset = KeySet.ensure(settings.data_dir, now=self.started_at)
        self.tails = broker.Tails()
        self.memory_bell = memory.Bell()
        self.ledger = audit.Ledger(
            audit.ensure_signer(settings.data_dir), seal_every=settings.seal_every, witness=settings.witness_file
        )
        self.gate = governance.Gate(
            governance.Policy.load(settings.policy_dir),
            resumers={Action.TASK_SEND: broker.answer_hold},
            approval_ttl=timedelta(seconds=settings.approval_ttl_s),
            decision_ttl=timedelta(seconds=settings.decision_ttl_s),
        )
        self.db = Database(
            self.path,
            authorizer=self.gate,
            journals=[
                self.ledger,
                self.tails,
                self.keyring,
                self.memory_bell,
                events.Log(self.notifier),
            ],  # whoever is woken finds the rest
            failures=audit.FailureRecorder(),
            clock=self.clock,
            queue_size=settings.write_queue,
            batch_max=settings.batch_max,
            readers=settings.read_threads,
        )
        self.memory_store = self._memory_store()
        self.handover = memory.HandOver(self.db, self.memory_store, self.memory_bell) if self.memory_store else None
        self.memory_service = memory.Service(self.db, self.memory_store, self.handover)
        self.recalls = memory.Recalls(self.memory_service)
        self.recollection = memory.Recollection(self.memory_service, self.recalls)
        self.looking_back = memory.LookingBack(self.db, self.recollection)
        self.remote_agents = registry.RemoteAgents(self.db, self.guard, self.sealer)
        self.tasks = broker.Tasks(self.db, self.tails)
        self.push_terms = push.Terms(self.guard, self.sealer)
        self.streams = Streams(
            StreamSlots(per_key=settings.streams_per_key),
            self.stopping,
            admits=lambda key: self.keyring.admits(key, self.clock.now()),
        )
        self.long_polls = LongPolls(self.db, self.notifier, self.streams, wait_max_s=settings.wait_max_s)
        self.cards = Cards(
            settings.base_url, __version__, self.keyset, self.clock, grpc_address=self._public_grpc_address
        )
        self.limits = broker.Limits(
            broker_id=self.broker_id,
            hops_max=settings.hops_max,
            open_tasks_per_caller=settings.open_tasks_per_caller,
            open_tasks_per_agent=settings.open_tasks_per_agent,
        )
        self._first_steps()
        self.app = self._app()

    @property
    def broker_id(self) -> str:
        """Our name among brokers, by which a loop is found: part of the digest of the ledger's public key."""
        return f"memroos-{hashlib.sha256(str(self.ledger.verifier).encode()).hexdigest()[:16]}"

    def _first_steps(self) -> None:
        """Make what every kernel has: the default workspace, the operator's key, the echo agent."""
        self.db.write_now(KERNEL, registry.ensure_default_workspace)
        key = self.settings.operator_api_key
        secret = key.reveal() if key is not None else self._operator_key_from_file()
        self.db.write_now(KERNEL, registry.ensure_operator_key, secret)
        self.db.write_now(KERNEL, registry.ensure_local_agent, ECHO)
        self.db.read_now(KERNEL, self.keyring.load)

    def _operator_key_from_file(self) -> str:
        secret, made = registry.read_or_create_operator_key(self.settings.operator_key_path, self.clock.now())
        if made:
            _log.info("operator key made", file=str(self.settings.operator_key_path))
        return secret

    def _memory_store(self) -> memory.HttpMemoryStore | None:
        """Return the way to the memory service, None where the operator wants none."""
        settings = self.settings
        if not settings.memory_url:
            return None
        given = settings.memory_key.reveal() if settings.memory_key is not None else None
        key = service_key.ensure(settings.memory_key_path, given)
        return memory.HttpMemoryStore(settings.memory_url, key, timeout_s=settings.memory_timeout_s)

    def _app(self) -> ServiceApp:
        settings = self.settings
        handler = BrokerHandler(
            self.db,
            self.tasks,
            self.notifier,
            self.streams,
            self.push_terms,
            self.cards,
            blocking_s=settings.wait_max_s,
            limits=self.limits,
            default_agent=settings.default_agent,
        )
        a2a = create_a2a_app(handler, self.cards, self.db)
        limiter = RateLimiter(per_minute=settings.requests_per_minute, burst=settings.request_burst)
        self.grpc_door = GrpcDoor(
            handler,
            self.keyring,
            limiter,
            self.clock,
            host=settings.host,
            port=settings.grpc_port,
            body_limit_bytes=settings.body_limit_bytes,
        )
        app = create_app(
            Health("kernel", __version__),
            route_handlers=CONTROLLERS,
            stopping=self.stopping,
            checks={"database": self._check_database},
            body_limit_bytes=settings.body_limit_bytes,
            inside=lambda rest: Front(rest, a2a, self.keyring, limiter, self.clock),
            guards=[deps.guard],
            dependencies=self._dependencies(),
            lifespan=[self._lifespan],
            openapi_config=None,
        )
        access.demand_complete([*_operations(app), *A2A_OPERATIONS])
        return app

    def _public_grpc_address(self) -> str:
        """Return where others reach the gRPC door, empty where there is none."""
        settings = self.settings
        if not settings.grpc:
            return ""
        host = urlsplit(settings.base_url).hostname or settings.host
        return settings.grpc_public_address or f"{f'[{host}]' if ':' in host else host}:{self.grpc_door.port}"

    def _dependencies(self) -> dict[str, Provide]:
        parts: dict[str, Any] = {
            "db": self.db,
            "tasks": self.tasks,
            "notifier": self.notifier,
            "gate": self.gate,
            "keyring": self.keyring,
            "ledger": self.ledger,
            "keyset": self.keyset,
            "directory": Directory(self.settings.base_url, __version__),
            "settings": self.settings,
            "open_streams": self.streams,
            "limits": self.limits,
            "push_terms": self.push_terms,
            "remote_agents": self.remote_agents,
            "process": operations.Process(self.db, __version__, self.started_at, self.handover),
            "recalls": self.recalls,
            "recollection": self.recollection,
            "memory_items": memory.Items(self.memory_service),
            "memory_upkeep": memory.Upkeep(self.memory_service),
        }
        return {
            **{name: Provide(_constant(part), sync_to_thread=False) for name, part in parts.items()},
            "long_poll": Provide(self._long_poll, sync_to_thread=False),
            "actor": Provide(deps.provide_actor),
            "idempotency": Provide(deps.provide_idempotency),
        }

    def _long_poll(self, request: Request[Any, Any, Any]) -> LongPoll:
        return self.long_polls.of(request.receive)

    async def _check_database(self) -> None:
        await self.db.read(KERNEL, registry.list_workspaces)

    @asynccontextmanager
    async def _lifespan(self, _: Any) -> AsyncIterator[None]:
        """Run the workers while the app serves; end the waits, then the workers, then the database."""
        loop = asyncio.get_running_loop()
        self.db.attach(loop)
        self.notifier.attach(loop)
        self.notifier.tap(self._heard)
        self.notifier.tap(self.looking_back.heard)
        try:
            with self.stopping.calling(self.notifier.close):
                async with asyncio.TaskGroup() as group:
                    for work in self._workers():
                        group.create_task(work)
                    if self.settings.grpc:
                        await self.grpc_door.start()
                        group.create_task(self._end_grpc())
                    yield
                    self.stopping.set()
        except Exception:
            self.worker_died = True
            raise
        finally:
            self.stopping.set()  # a worker that died ends the process; whoever watches it starts it again
            if self.memory_store is not None:
                await self.memory_store.close()
            await asyncio.to_thread(self.close)

    def _workers(self) -> list[Coroutine[Any, Any, None]]:
        db, stopping = self.db, self.stopping
        local = broker.LocalDeliveries(db, self.tasks, self.notifier, {ECHO.name: broker.EchoAgent()})
        retention = timedelta(days=self.settings.event_retention_days)
        pushes = push.PushDeliveries(
            db,
            self.tasks,
            self.notifier,
            self.push_terms,
            push.Plan(self.settings.push_attempts, self.settings.push_backoff_s),
            sign=self.keyset.sign_webhook,
            encode=encode_notification,
        )
        remote = broker.RemoteDeliveries(
            db,
            self.tasks,
            self.notifier,
            self.guard,
            self.sealer,
            terms=broker.Terms(
                broker_id=self.broker_id,
                silence_s=self.settings.remote_silence_s,
                poll_s=self.settings.remote_poll_s,
                most_events=self.settings.remote_events_max,
                most_bytes=self.settings.remote_bytes_max,
            ),
            remind=self._remind,
        )
        return [
            local.run(stopping),
            remote.run(stopping),
            pushes.run(stopping),
            broker.sweep(db, stopping),
            audit_worker.run(db, self.ledger, stopping, every_s=self.settings.seal_interval_s),
            events_worker.run(db, stopping, retention=retention),
            governance_worker.run(db, self.gate, stopping),
            registry_worker.run(db, self.keyring, stopping),
            self.remote_agents.run(stopping),
            bus.recover_forever(db, stopping),
            self._forget_idempotency(),
            self.looking_back.run(stopping),
            memory.tidy_up(db, self.memory_store, stopping, trace_days=self.settings.memory_trace_days),
            *([self.handover.run(stopping)] if self.handover is not None else []),
        ]

    async def _remind(self, task: TaskView, message: Message) -> str:
        """Return what a remote agent is reminded of; memory is asked as that agent, not as the kernel."""
        agent = memory.agent_actor(task.agent_id, task.workspace_id)
        text = broker.text_of(message.parts)
        return await self.recollection.remind(agent, task_id=task.id, purpose=task.purpose, text=text, label=task.label)

    async def _end_grpc(self) -> None:
        """Close the gRPC door as the server closes the others: calls get most of the grace, the rest is cut."""
        await self.stopping.wait()
        await self.grpc_door.stop(self.settings.shutdown_grace_s * 0.6)

    async def _forget_idempotency(self) -> None:
        """Forget old answers to repeated requests, a chunk at a time."""
        while not self.stopping.is_set():
            before = self.clock.now() - timedelta(seconds=self.settings.idempotency_ttl_s)
            try:
                while await self.db.write(KERNEL, forget_old, before):
                    pass
            except MemroosError as error:  # a full disk or a full queue: the next minute tries again
                _log.warning("old answers not forgotten", problem=error.slug())
            await self.stopping.first(self.stopping.wait(), timeout_s=SWEEP_S)

    def _heard(self, event: str, subject: str) -> None:
        if event in {registry.RegistryEvent.KEY_REVOKED, registry.RegistryEvent.KEY_SUSPENDED}:
            self.streams.end_key(subject)

    def close(self) -> None:
        """Finish what was accepted, sign it, and close the database."""
        with contextlib.suppress(MemroosError):  # a full disk keeps nobody from stopping
            self.db.write_now(KERNEL, audit.seal)
        self.db.close()


def run_kernel(settings: Settings) -> None:
    """Serve until SIGTERM.

    Raises:
        AlreadyRunning: another kernel runs on this data directory.
        TracingRefused: spans are wanted, and cannot be made.
        AddressTaken: something else is where gRPC is to be served.
        SystemExit: one of the workers died, which ends the rest too; the log says of what.
    """
    log.configure(process="kernel", level=settings.log_level, form=settings.log_format)
    settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (
        lock.hold(settings.data_dir / LOCK, process="kernel") as held,
        tracing.exporting(settings.otel_endpoint, "memroos-kernel", __version__),
    ):
        if settings.grpc:
            server.check_free(settings.host, settings.grpc_port)
        kernel = Kernel(settings)
        server.run(
            kernel.app,
            host=settings.host,
            port=settings.port,
            stopping=kernel.stopping,
            grace_s=settings.shutdown_grace_s,
            ready=lambda host, port: held.announce(listening_url(host, port)),
        )
    if kernel.worker_died:
        raise SystemExit(WORKER_DIED_STATUS)


def listening_url(host: str, port: int) -> str:
    """Return the address under which this machine reaches the kernel, whatever its public address is."""
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _operations(app: ServiceApp) -> set[str]:
    return {
        str(getattr(handler, "operation_id", None))
        for route in app.routes
        for handler in getattr(route, "route_handlers", ())
        if "OPTIONS" not in getattr(handler, "http_methods", ()) or len(handler.http_methods) > 1
    }


def _constant(part: Any) -> Callable[[], Any]:
    return lambda: part
