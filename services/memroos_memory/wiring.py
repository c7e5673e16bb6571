"""The memory service's process: builds its parts, puts them together, and runs them."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from litestar.di import Provide

from memroos_contracts.memory_errors import IndexUnavailable
from memroos_contracts.memory_work import IndexState
from memroos_kit import lock, log, server, service_key, tracing
from memroos_kit.clock import Clock, SystemClock
from memroos_kit.db import Database
from memroos_kit.db.migrate import migrate
from memroos_kit.service import Health, ServiceApp, create_app
from memroos_kit.stopping import Stopping
from memroos_memory import __version__, work
from memroos_memory.actor import SERVICE
from memroos_memory.derive import Extractor
from memroos_memory.echo import EchoMarks
from memroos_memory.graph import open_graph
from memroos_memory.items import DecidedByKernel
from memroos_memory.jobs import Bell
from memroos_memory.lexical import Postings
from memroos_memory.recall import Recall
from memroos_memory.settings import MemorySettings
from memroos_memory.web import CONTROLLERS, Entry, Intake, Standing

LOCK = "memory.lock"
MIGRATIONS = Path(__file__).parent / "migrations"
READERS = 2
WORKER_DIED_STATUS = 70  # EX_SOFTWARE

_log = log.get(__name__)


class MemoryService:
    """The parts of one memory service, built and not yet serving.

    Args:
        settings: how.
        clock: the time; tests bring their own.

    Raises:
        EmbedderFailed: what the embedder needs is not installed.
        WeakServiceKey: the kernel's key is too easy to guess.
        DatabaseNewer: the database is of a newer version of this program.
    """

    def __init__(self, settings: MemorySettings, *, clock: Clock | None = None) -> None:
        self.settings = settings
        self.stopping = Stopping()
        self.worker_died = False
        settings.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        given = settings.memory_key.reveal() if settings.memory_key is not None else None
        self.key = service_key.ensure(settings.memory_key_path, given)
        migrate(settings.database, MIGRATIONS)

        self.bell = Bell()
        self.db = Database(
            settings.database,
            authorizer=DecidedByKernel(),
            journals=[self.bell],
            clock=clock or SystemClock(),
            readers=READERS,
        )
        opened = work.open_vectors(self.db, settings)
        self.embedder, self.vectors, self._successor = opened.embedder, opened.vectors, opened.successor
        self.graph = open_graph(settings)
        self.echo = EchoMarks(self.db)
        self.extractor = Extractor(settings) if settings.model else None
        postings = Postings()
        self.recall = Recall(self.db, postings, self.embedder, self.vectors, self.graph, self.echo)
        self.worker = work.create_worker(
            work.Parts(
                db=self.db,
                bell=self.bell,
                embedder=self.embedder,
                vectors=self.vectors,
                graph=self.graph,
                extractor=self.extractor,
                settings=settings,
                more=work.whole_index_work(self.db, opened, self.graph, postings),
            )
        )
        self.standing = Standing(
            self.db,
            self.bell,
            self.vectors,
            self.graph,
            self.stopping,
            folder=settings.folder,
            model=settings.model,
        )
        self.app = self._app()

    def _app(self) -> ServiceApp:
        parts: dict[str, Any] = {
            "db": self.db,
            "recall": self.recall,
            "intake": Intake(self.db, self.echo, work.learns_by(self.settings)),
            "standing": self.standing,
            "embedder": self.embedder,
        }
        return create_app(
            Health("memory", __version__),
            route_handlers=CONTROLLERS,
            stopping=self.stopping,
            checks={"database": self._check_database},
            dispensable={"vector": self._check_vectors, "graph": self._check_graph},
            body_limit_bytes=self.settings.memory_body_limit_bytes,
            inside=lambda rest: Entry(rest, self.key),
            dependencies={name: Provide(_constant(part), sync_to_thread=False) for name, part in parts.items()},
            lifespan=[self._lifespan],
        )

    async def _check_database(self) -> None:
        await self.db.read(SERVICE, work.position)

    async def _check_vectors(self) -> None:
        _demand(self.vectors.state())

    async def _check_graph(self) -> None:
        _demand(await self.graph.state())

    @asynccontextmanager
    async def _lifespan(self, _: Any) -> AsyncIterator[None]:
        """Work while the app serves; end the waits, then the work, then the stores."""
        self.db.attach(asyncio.get_running_loop())
        try:
            async with asyncio.TaskGroup() as group:
                for task in self._workers():
                    group.create_task(task)
                yield
                self.stopping.set()
        except Exception:
            self.worker_died = True
            raise
        finally:
            self.stopping.set()  # a worker that died ends the process; whoever watches it starts it again
            await self.graph.close()
            if self.extractor is not None:
                await self.extractor.close()
            await asyncio.to_thread(self.close)

    def _workers(self) -> list[Coroutine[Any, Any, None]]:
        return [
            self.worker.run(self.stopping),
            self.echo.run(self.stopping),
            work.watch_indexes(self.db, self.vectors, self.graph, self.stopping),
        ]

    def close(self) -> None:
        """Close the stores and the database; may be repeated."""
        self.embedder.close()
        if self._successor is not None:
            self._successor.close()
        self.vectors.close()
        self.db.close()


def run_memory(settings: MemorySettings) -> None:
    """Serve until SIGTERM.

    Raises:
        AlreadyRunning: another memory service runs on this data directory.
        TracingRefused: spans are wanted, and cannot be made.
        SystemExit: one of the workers died, which ends the rest too; the log says of what.
    """
    log.configure(process="memory", level=settings.log_level, form=settings.log_format)
    settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (
        lock.hold(settings.data_dir / LOCK, process="memory") as held,
        tracing.exporting(settings.otel_endpoint, "memroos-memory", __version__),
    ):
        service = MemoryService(settings)
        server.run(
            service.app,
            host=settings.memory_host,
            port=settings.memory_port,
            stopping=service.stopping,
            grace_s=settings.shutdown_grace_s,
            ready=lambda host, port: held.announce(
                f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
            ),
        )
    if service.worker_died:
        raise SystemExit(WORKER_DIED_STATUS)


def _demand(state: IndexState) -> None:
    if not state.ready:
        raise IndexUnavailable(state.detail or "It is being made anew.", index=state.index)


def _constant(part: Any) -> Callable[[], Any]:
    return lambda: part
