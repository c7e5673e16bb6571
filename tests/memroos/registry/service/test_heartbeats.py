from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from tests.actors import KERNEL, OPERATOR, STRANGER, agent_actor
from tests.conftest import Policy

from memroos import registry
from memroos.registry import AgentKeyNeeded, AgentRetired, service
from memroos_contracts.errors import Denied, NotFound
from memroos_contracts.governance import Action
from memroos_contracts.identity import WorkspaceId
from memroos_contracts.registry import AgentKind, AgentView, Heartbeat, Liveness, NewAgent
from memroos_kit.clock import ManualClock
from memroos_kit.db import Database

Rows = Callable[[], list[tuple[Any, ...]]]


def events_about(published: Rows, agent: str) -> list[str]:
    return [type_ for type_, subject, _ in published() if subject == agent and type_ in {"agent.live", "agent.silent"}]


def test_a_heartbeat_makes_an_agent_live_until_three_are_missing(
    db: Database, clock: ManualClock, scout: AgentView
) -> None:
    seen = db.write_now(
        agent_actor(scout.id), registry.record_heartbeat, Heartbeat(status="idle", load=0.5, interval_s=10)
    )

    assert (seen.agent_id, seen.liveness, seen.at) == (scout.id, Liveness.LIVE, clock.now())
    assert seen.silent_at == clock.now() + timedelta(seconds=30)
    clock.advance(seconds=29.999)
    found = db.read_now(OPERATOR, registry.get_agent, scout.id)
    assert (found.liveness, found.status, found.load, found.last_seen_at) == (Liveness.LIVE, "idle", 0.5, seen.at)
    clock.advance(seconds=0.001)
    assert db.read_now(OPERATOR, registry.get_agent, scout.id).liveness is Liveness.SILENT


def test_the_ledger_hears_of_changes_and_not_of_every_heartbeat(
    db: Database, clock: ManualClock, scout: AgentView, outcomes: Rows, published: Rows, policy: Policy
) -> None:
    policy.asked.clear()
    for _ in range(5):
        db.write_now(agent_actor(scout.id), registry.record_heartbeat, Heartbeat())
        clock.advance(seconds=30)

    assert [row[0] for row in outcomes() if row[0] != "agent.created"] == ["agent.activated", "agent.live"]
    assert [action for action, _ in policy.asked] == [Action.AGENT_HEARTBEAT]
    assert events_about(published, scout.id) == ["agent.live"]


def test_silence_and_return_are_told_once_each(
    db: Database, clock: ManualClock, scout: AgentView, published: Rows, outcomes: Rows
) -> None:
    me = agent_actor(scout.id)
    db.write_now(me, registry.record_heartbeat, Heartbeat(interval_s=10))
    clock.advance(seconds=29)
    assert db.write_now(KERNEL, service.announce_silent_agents) == 0
    clock.advance(seconds=1)

    assert db.write_now(KERNEL, service.announce_silent_agents) == 1
    assert db.write_now(KERNEL, service.announce_silent_agents) == 0
    db.write_now(me, registry.record_heartbeat, Heartbeat(interval_s=10))
    clock.advance(seconds=30)
    assert db.write_now(KERNEL, service.announce_silent_agents) == 1

    assert events_about(published, scout.id) == ["agent.live", "agent.silent", "agent.live", "agent.silent"]
    assert outcomes()[-1] == ("agent.silent", "ok", False)


def test_a_retired_agent_does_not_fall_silent(
    db: Database, clock: ManualClock, scout: AgentView, published: Rows
) -> None:
    db.write_now(agent_actor(scout.id), registry.record_heartbeat, Heartbeat())
    db.write_now(OPERATOR, registry.retire_agent, scout.id)
    clock.advance(hours=1)

    assert db.write_now(KERNEL, service.announce_silent_agents) == 0
    assert db.read_now(OPERATOR, registry.get_agent, scout.id).liveness is Liveness.UNKNOWN
    assert events_about(published, scout.id) == ["agent.live"]


def test_a_heartbeat_that_comes_after_retirement_is_refused(db: Database, scout: AgentView) -> None:
    db.write_now(OPERATOR, registry.retire_agent, scout.id)

    with pytest.raises(AgentRetired):
        db.write_now(agent_actor(scout.id), registry.record_heartbeat, Heartbeat())


def test_one_that_is_no_agent_has_no_heartbeat(db: Database) -> None:
    with pytest.raises(AgentKeyNeeded):
        db.write_now(OPERATOR, registry.record_heartbeat, Heartbeat())


def test_an_agent_has_no_heartbeat_in_another_workspace(db: Database, scout: AgentView) -> None:
    with pytest.raises(NotFound):
        db.write_now(agent_actor(scout.id, WorkspaceId("elsewhere")), registry.record_heartbeat, Heartbeat())


@pytest.mark.parametrize("known", [False, True])
def test_a_denied_heartbeat_does_not_count_and_is_recorded(
    db: Database, policy: Policy, clock: ManualClock, scout: AgentView, outcomes: Rows, known: bool
) -> None:
    me = agent_actor(scout.id)
    if known:
        db.write_now(me, registry.record_heartbeat, Heartbeat())
    before = db.read_now(OPERATOR, registry.get_agent, scout.id).last_seen_at
    policy.deny(Action.AGENT_HEARTBEAT)
    clock.advance(seconds=1)

    with pytest.raises(Denied):
        db.write_now(me, registry.record_heartbeat, Heartbeat())

    assert db.read_now(OPERATOR, registry.get_agent, scout.id).last_seen_at == before
    assert outcomes()[-1] == ("agent.heartbeat", "denied", True)


def test_silence_is_told_in_the_agents_own_workspace(db: Database, clock: ManualClock) -> None:
    theirs = db.write_now(STRANGER, registry.create_agent, NewAgent("scout", AgentKind.REST))
    db.write_now(agent_actor(theirs.id, STRANGER.workspace), registry.record_heartbeat, Heartbeat())
    clock.advance(hours=1)

    assert db.write_now(KERNEL, service.announce_silent_agents) == 0
    assert db.write_now(STRANGER, service.announce_silent_agents) == 1


def test_a_local_agent_is_live_without_heartbeats(db: Database, clock: ManualClock) -> None:
    local = db.write_now(KERNEL, registry.ensure_local_agent, NewAgent("echo", AgentKind.LOCAL))
    db.write_now(agent_actor(local.id), registry.record_heartbeat, Heartbeat(interval_s=1))
    clock.advance(hours=1)

    assert db.read_now(OPERATOR, registry.get_agent, local.id).liveness is Liveness.LIVE
