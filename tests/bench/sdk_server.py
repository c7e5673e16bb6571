"""The A2A SDK's own server with an agent that does what the kernel's echo agent does.

Its default request handler and its JSON-RPC routes on Starlette and uvicorn, with the task store that is asked for.
"""

import argparse
from typing import Any

import uvicorn
from a2a.helpers.proto_helpers import new_task_from_user_message
from a2a.server.agent_execution import AgentExecutor, RequestContext
from a2a.server.events import EventQueue
from a2a.server.request_handlers import DefaultRequestHandler
from a2a.server.routes import create_agent_card_routes, create_jsonrpc_routes
from a2a.server.tasks import InMemoryTaskStore, TaskUpdater
from a2a.types import a2a_pb2
from starlette.applications import Starlette


class Echo(AgentExecutor):
    """Works, returns the message's parts as an artifact, and is done."""

    async def execute(self, context: RequestContext, event_queue: EventQueue) -> None:
        """Do one task."""
        message = context.message
        assert message is not None
        task = context.current_task or new_task_from_user_message(message)
        await event_queue.enqueue_event(task)
        updater = TaskUpdater(event_queue, task.id, task.context_id)
        await updater.start_work()
        await updater.add_artifact(list(message.parts), artifact_id="echo", name="echo", last_chunk=True)
        await updater.complete()

    async def cancel(self, context: RequestContext, event_queue: EventQueue) -> None:
        """Nothing runs long enough."""


def main() -> None:
    """Serve until told to stop."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--database", default="", help="an SQLite file for its database task store; none: in memory")
    parser.add_argument("--durable", action="store_true", help="WAL and synchronous=FULL, as the kernel has it")
    chosen = parser.parse_args()
    store: Any = database_store(chosen.database, durable=chosen.durable) if chosen.database else InMemoryTaskStore()
    own = card(chosen.port)
    handler = DefaultRequestHandler(agent_executor=Echo(), task_store=store, agent_card=own)
    app = Starlette(routes=[*create_agent_card_routes(own), *create_jsonrpc_routes(handler, "/")])
    uvicorn.run(app, host="127.0.0.1", port=chosen.port, log_level="error", access_log=False)


def database_store(path: str, *, durable: bool) -> Any:
    """Return the SDK's database store on SQLite."""
    from a2a.server.tasks import DatabaseTaskStore
    from sqlalchemy import event
    from sqlalchemy.ext.asyncio import create_async_engine

    engine = create_async_engine(f"sqlite+aiosqlite:///{path}")
    if durable:

        @event.listens_for(engine.sync_engine, "connect")
        def pragmas(connection: Any, _: Any) -> None:
            cursor = connection.cursor()
            cursor.execute("PRAGMA journal_mode=WAL")
            cursor.execute("PRAGMA synchronous=FULL")
            cursor.close()

    return DatabaseTaskStore(engine)


def card(port: int) -> a2a_pb2.AgentCard:
    """Return the agent's card."""
    address = a2a_pb2.AgentInterface(
        url=f"http://127.0.0.1:{port}/", protocol_binding="JSONRPC", protocol_version="1.0"
    )
    skill = a2a_pb2.AgentSkill(id="echo", name="Echo", description="Sends the message back.", tags=["echo"])
    return a2a_pb2.AgentCard(
        name="echo",
        description="Answers with what it was sent.",
        version="1",
        supported_interfaces=[address],
        capabilities=a2a_pb2.AgentCapabilities(streaming=True),
        default_input_modes=["text/plain"],
        default_output_modes=["text/plain"],
        skills=[skill],
    )


if __name__ == "__main__":
    main()
