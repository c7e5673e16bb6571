from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from tests.actors import AGENT, OPERATOR, agent_actor
from tests.memroos.web.rest.serving import Client, calling, serving

from memroos import registry
from memroos.web.rest.heartbeat import HeartbeatController
from memroos_contracts.registry import AgentKind, AgentState, AgentView, NewAgent
from memroos_kit.clock import ManualClock
from memroos_kit.db import Database


@pytest.fixture
def client(db: Database) -> Iterator[Client]:
    with serving(db, HeartbeatController) as client:
        yield client


@pytest.fixture
def scout(db: Database) -> AgentView:
    return db.write_now(OPERATOR, registry.create_agent, NewAgent("scout", AgentKind.REST, state=AgentState.ACTIVE))


def test_an_agent_says_that_it_is_there(client: Client, db: Database, clock: ManualClock, scout: AgentView) -> None:
    body = {"status": "busy", "load": 0.75, "version": "1.2", "interval_s": 5, "working_on": ["task_01X"]}

    answer = client.post("/api/heartbeat", json=body, headers=calling(agent_actor(scout.id)))

    assert answer.status_code == 200
    said = answer.json()
    assert (said["agent_id"], said["state"], said["liveness"]) == (scout.id, "active", "live")
    assert datetime.fromisoformat(said["silent_at"]) == clock.now() + timedelta(seconds=15)
    seen = db.read_now(OPERATOR, registry.get_agent, scout.id)
    assert (seen.status, seen.load, seen.last_seen_at) == ("busy", 0.75, clock.now())


def test_an_empty_heartbeat_is_one(client: Client, scout: AgentView) -> None:
    assert client.post("/api/heartbeat", json={}, headers=calling(agent_actor(scout.id))).status_code == 200


@pytest.mark.parametrize(
    "body",
    [
        {"load": 1.5},
        {"load": -1},
        {"load": "high"},
        {"interval_s": 0},
        {"interval_s": 3601},
        {"status": "x" * 65},
        {"working_on": ["x"] * 101},
        {"agent_id": "agt_1"},
    ],
)
def test_bad_input_is_no_heartbeat(client: Client, db: Database, scout: AgentView, body: dict[str, Any]) -> None:
    answer = client.post("/api/heartbeat", json=body, headers=calling(agent_actor(scout.id)))

    assert answer.status_code == 422
    assert db.read_now(OPERATOR, registry.get_agent, scout.id).last_seen_at is None


def test_only_agents_have_heartbeats(client: Client) -> None:
    assert client.post("/api/heartbeat", json={}, headers=calling(OPERATOR)).status_code == 403
    assert client.post("/api/heartbeat", json={}).status_code == 401


def test_an_agent_that_is_not_there_has_none(client: Client) -> None:
    assert client.post("/api/heartbeat", json={}, headers=calling(AGENT)).status_code == 404
