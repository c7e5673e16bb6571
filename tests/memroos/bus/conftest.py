"""Two agents and what they send each other."""

from collections.abc import Callable
from typing import Any

import pytest
from tests.actors import OPERATOR, agent_actor

from memroos import bus, registry
from memroos_contracts.bus import InboxMessageView
from memroos_contracts.identity import Actor
from memroos_contracts.registry import AgentKind, AgentState, NewAgent
from memroos_kit.db import Database

Send = Callable[..., InboxMessageView]


def register(db: Database, name: str) -> Actor:
    """Register an active agent and return it as an actor."""
    new = NewAgent(name=name, kind=AgentKind.REST, state=AgentState.ACTIVE)
    return agent_actor(db.write_now(OPERATOR, registry.create_agent, new).id)


@pytest.fixture
def planner(db: Database) -> Actor:
    """An agent that sends."""
    return register(db, "planner")


@pytest.fixture
def worker(db: Database) -> Actor:
    """An agent that receives."""
    return register(db, "worker")


@pytest.fixture
def send(db: Database, planner: Actor, worker: Actor) -> Send:
    """Send from the planner to the worker."""

    def send(context_id: str = "", **words: Any) -> InboxMessageView:
        return db.write_now(
            planner,
            bus.send,
            **{"to": worker.agent, "kind": "note", "body": {"n": 1}, "context_id": context_id} | words,
        )

    return send
