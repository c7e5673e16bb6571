"""Listings and counts."""

import pytest
from tests.actors import OPERATOR, STRANGER
from tests.conftest import Policy
from tests.memroos.bus.conftest import Send

from memroos import bus
from memroos_contracts.bus import InboxState
from memroos_contracts.errors import Denied, InvalidCursor, NotFound
from memroos_contracts.governance import Action
from memroos_contracts.identity import Actor, AgentId
from memroos_kit.db import Database


def test_a_listing_goes_on_where_its_cursor_stands_although_new_messages_came(
    db: Database, send: Send, worker: Actor
) -> None:
    ids = [send().id for _ in range(5)]
    inbox = AgentId(worker.id)

    first = db.read_now(worker, bus.list_messages, inbox, limit=2)
    send()
    second = db.read_now(worker, bus.list_messages, inbox, limit=2, cursor=first.next_cursor)
    third = db.read_now(worker, bus.list_messages, inbox, limit=2, cursor=second.next_cursor)

    assert [m.id for page in (first, second, third) for m in page.items] == ids[::-1]
    assert third.next_cursor is None


def test_a_cursor_belongs_to_its_filters(db: Database, send: Send, worker: Actor) -> None:
    send(), send()
    page = db.read_now(worker, bus.list_messages, AgentId(worker.id), limit=1)
    with pytest.raises(InvalidCursor):
        db.read_now(worker, bus.list_messages, AgentId(worker.id), state=InboxState.QUEUED, cursor=page.next_cursor)


def test_a_listing_shows_one_state(db: Database, send: Send, worker: Actor) -> None:
    first, second = send(), send()
    db.write_now(worker, bus.receive, AgentId(worker.id), max_messages=1, lease_s=60)
    for state, expected in ((InboxState.LEASED, first), (InboxState.QUEUED, second)):
        page = db.read_now(worker, bus.list_messages, AgentId(worker.id), state=state)
        assert [message.id for message in page.items] == [expected.id]


def test_agents_list_their_own_inbox_only_and_operators_those_of_their_workspace(
    db: Database, send: Send, planner: Actor, worker: Actor
) -> None:
    send()
    inbox = AgentId(worker.id)
    assert len(db.read_now(OPERATOR, bus.list_messages, inbox).items) == 1
    assert db.read_now(STRANGER, bus.list_messages, inbox).items == []
    for listing in (bus.list_messages, bus.list_dead):
        with pytest.raises(NotFound):
            db.read_now(planner, listing, inbox)


def test_dead_letters_are_listed_for_their_agent_and_for_the_workspace(
    db: Database, send: Send, planner: Actor, worker: Actor
) -> None:
    sent = send(max_attempts=1)
    (held,) = db.write_now(worker, bus.receive, AgentId(worker.id), max_messages=1, lease_s=60)
    db.write_now(worker, bus.nack, sent.id, held.fencing_token)
    for reader, count in ((worker, 1), (OPERATOR, 1), (planner, 0), (STRANGER, 0)):
        assert len(db.read_now(reader, bus.list_dead).items) == count


def test_who_may_not_look_gets_no_listing(db: Database, worker: Actor, policy: Policy) -> None:
    policy.deny(Action.INBOX_READ, Action.OPERATIONS_READ)
    with pytest.raises(Denied):
        db.read_now(worker, bus.list_messages, AgentId(worker.id))
    with pytest.raises(Denied):
        db.read_now(worker, bus.list_dead)
    with pytest.raises(Denied):
        db.read_now(OPERATOR, bus.inbox_stats)


def test_statistics_are_those_of_the_workspace(db: Database, send: Send, worker: Actor) -> None:
    oldest = send()
    send()
    db.write_now(worker, bus.receive, AgentId(worker.id), max_messages=1, lease_s=60)
    (stats,) = db.read_now(OPERATOR, bus.inbox_stats)
    assert (stats.agent_id, stats.queued, stats.leased, stats.dead) == (worker.agent, 1, 1, 0)
    assert stats.oldest_ready_at == oldest.created_at
    assert db.read_now(STRANGER, bus.inbox_stats) == []
