"""A remote agent that survives kill -9: it keeps its tasks in a file and goes on where it was.

Built from the A2A SDK's server parts. It answers a message with numbered chunks of one artifact, and with a word now
and then, so that whoever follows it can tell what was lost and what came twice.

    python tests/crash/durable_agent.py --port 9000 --file tasks.db
"""

import argparse
import asyncio

import uvicorn
from a2a.server.agent_execution import AgentExecutor, RequestContext
from a2a.server.context import ServerCallContext
from a2a.server.events import EventQueue
from a2a.server.request_handlers import DefaultRequestHandlerV2
from a2a.server.routes import create_agent_card_routes, create_jsonrpc_routes
from a2a.server.tasks import InMemoryTaskStore, TaskUpdater
from a2a.types import a2a_pb2 as pb
from starlette.applications import Starlette

from memroos_kit.db import sqlite3

CHUNKS = 20
WORD_EVERY = 5
PAUSE_S = 0.02
ENDS = {pb.TASK_STATE_COMPLETED, pb.TASK_STATE_FAILED, pb.TASK_STATE_CANCELED, pb.TASK_STATE_REJECTED}


class FileTaskStore(InMemoryTaskStore):
    """The SDK's store, with a file behind it."""

    def __init__(self, path: str) -> None:
        super().__init__()
        self._file = sqlite3.connect(path, isolation_level=None)
        self._file.execute("PRAGMA journal_mode=WAL")
        self._file.execute("PRAGMA synchronous=OFF")  # it is killed; the machine is not
        self._file.execute("CREATE TABLE IF NOT EXISTS task (id TEXT PRIMARY KEY, body BLOB)")

    async def load(self) -> list[pb.Task]:
        """Read what was kept, and return what was not finished."""
        unfinished = []
        for (body,) in self._file.execute("SELECT body FROM task").fetchall():
            task = pb.Task.FromString(body)
            await super().save(task, ServerCallContext())
            if task.status.state not in ENDS:
                unfinished.append(task)
        return unfinished

    async def save(self, task: pb.Task, context: ServerCallContext) -> None:
        """Keep a task before anybody hears of it."""
        self._file.execute("INSERT OR REPLACE INTO task VALUES (?, ?)", (task.id, task.SerializeToString()))
        await super().save(task, context)


class Counting(AgentExecutor):
    """Sends chunks 0 to n, from where the task is."""

    async def execute(self, context: RequestContext, event_queue: EventQueue) -> None:
        """Answer a message, or go on with a task that was not finished."""
        task = context.current_task
        if task is None:
            assert context.message is not None
            task = pb.Task(id=context.task_id, context_id=context.context_id, history=[context.message])
            task.status.state = pb.TASK_STATE_SUBMITTED
            task.status.timestamp.GetCurrentTime()
            await event_queue.enqueue_event(task)
        updater = TaskUpdater(event_queue, task.id, task.context_id)
        said = {message.message_id for message in task.history} | {task.status.message.message_id}
        done = len(task.artifacts[0].parts) if task.artifacts else 0
        for number in range(done, CHUNKS):
            word = f"{task.id}-{number // WORD_EVERY}"
            if number % WORD_EVERY == 0 and word not in said:
                words = pb.Message(message_id=word, role=pb.ROLE_AGENT, parts=[pb.Part(text=f"at {number}")])
                await updater.update_status(pb.TASK_STATE_WORKING, words)
            await asyncio.sleep(PAUSE_S)
            await updater.add_artifact(
                [pb.Part(text=f"{number} ")], artifact_id="count", append=number > 0, last_chunk=number == CHUNKS - 1
            )
        words = pb.Message(message_id=f"{task.id}-end", role=pb.ROLE_AGENT, parts=[pb.Part(text="That was all.")])
        await updater.update_status(pb.TASK_STATE_COMPLETED, words)

    async def cancel(self, context: RequestContext, event_queue: EventQueue) -> None:
        """Stop."""
        await TaskUpdater(event_queue, context.task_id or "", context.context_id or "").cancel()


def card(port: int) -> pb.AgentCard:
    """Return the agent's card."""
    made = pb.AgentCard(
        name="durable",
        description="Counts, whatever happens to it.",
        version="1.0.0",
        default_input_modes=["text/plain"],
        default_output_modes=["text/plain"],
        capabilities=pb.AgentCapabilities(streaming=True),
    )
    made.skills.add(id="count", name="Count", description="Counts to nineteen.", tags=["count"])
    made.supported_interfaces.add(url=f"http://127.0.0.1:{port}/", protocol_binding="JSONRPC", protocol_version="1.0")
    return made


async def serve(port: int, path: str) -> None:
    """Serve, and go on with what was not finished."""
    store = FileTaskStore(path)
    unfinished = await store.load()
    requests = DefaultRequestHandlerV2(Counting(), store, card(port))

    async def go_on(task: pb.Task) -> None:
        again = pb.Message(
            message_id=f"{task.id}-again",
            role=pb.ROLE_USER,
            task_id=task.id,
            context_id=task.context_id,
            parts=[pb.Part(text="Go on.")],
        )
        async for _ in requests.on_message_send_stream(pb.SendMessageRequest(message=again), ServerCallContext()):
            pass

    routes = [*create_agent_card_routes(card(port)), *create_jsonrpc_routes(requests, "/")]
    config = uvicorn.Config(Starlette(routes=routes), host="127.0.0.1", port=port, log_level="error", access_log=False)
    async with asyncio.TaskGroup() as group:
        for task in unfinished:
            group.create_task(go_on(task))
        await uvicorn.Server(config).serve()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--file", required=True)
    chosen = parser.parse_args()
    asyncio.run(serve(chosen.port, chosen.file))
