import asyncio
import time
from typing import Any

import pytest
from tests.actors import KERNEL, OPERATOR
from tests.card_server import WELL_KNOWN, CardServer, card_of
from tests.memroos.registry.worker.conftest import OWNER, Operator, Rows, run
from tests.signing import Owner

from memroos import registry
from memroos.registry import CardRefused, CardUnavailable, RemoteAgents, queries, rules
from memroos_contracts.errors import InvalidRequest, NotFound
from memroos_contracts.registry import (
    AgentChange,
    AgentKind,
    AgentView,
    Breaker,
    Health,
    Liveness,
    NewAgent,
    RemoteAgentChange,
    SignatureState,
)
from memroos_kit.clock import ManualClock
from memroos_kit.db import Database
from memroos_kit.stopping import Stopping

# -- cards that change -------------------------------------------------------------------------------------------------


def test_a_changed_card_is_a_new_version_with_an_event(operator: Operator, server: CardServer, published: Rows) -> None:
    made = operator.add()
    server.serve(card_of(server.url, version="2.0.0", name="New", skills=[{"id": "dive", "name": "Dive"}]))

    seen = operator.refresh(made.agent.id)

    assert (seen.card_version, seen.agent.title, seen.agent.version) == (2, "New", made.agent.version + 1)
    assert [skill.id for skill in seen.agent.skills] == ["dive"]
    assert [one.id for one in operator.db.read_now(KERNEL, registry.find_agents, skill="dive")] == [made.agent.id]
    assert operator.cards(made.agent.id) == [(2, "unsigned"), (1, "unsigned")]
    type_, subject, data = published()[-1]
    assert (type_, subject, data["card_version"], data["same_version"]) == (
        "agent.card_changed",
        made.agent.id,
        2,
        False,
    )


def test_a_card_that_changes_under_the_same_version_is_marked(
    operator: Operator, server: CardServer, published: Rows
) -> None:
    made = operator.add().agent.id
    server.serve(card_of(server.url, description="Something else entirely."))

    operator.refresh(made)

    assert published()[-1][2]["same_version"] is True


def test_the_same_card_again_changes_nothing(operator: Operator, server: CardServer, published: Rows) -> None:
    made = operator.add()
    before = published()
    for server.tags in (True, False):
        assert operator.refresh(made.agent.id).card_version == 1

    assert published() == before
    assert "if-none-match" in server.asked[-2][1]
    assert operator.look(made.agent.id).agent.version == made.agent.version


def test_what_the_card_says_is_not_changed_by_hand(operator: Operator, db: Database) -> None:
    made = operator.add().agent.id

    for change in (AgentChange(skills=()), AgentChange(endpoint_url="https://x.example")):
        with pytest.raises(InvalidRequest):
            db.write_now(OPERATOR, registry.update_agent, made, change)
    assert db.write_now(OPERATOR, registry.update_agent, made, AgentChange(max_concurrency=2)).max_concurrency == 2


def test_a_card_that_never_stands_still_does_not_fill_the_disk(operator: Operator, server: CardServer) -> None:
    made = operator.add().agent.id
    for number in range(110):
        server.serve(card_of(server.url, version=str(number)))
        seen = operator.refresh(made)

    assert (seen.card_version, seen.health) == (100, Health.FAILING)
    assert "changes too often" in seen.last_error


# -- signatures --------------------------------------------------------------------------------------------------------


def test_the_first_key_that_verifies_a_card_is_pinned(operator: Operator, server: CardServer) -> None:
    server.files["/keys.json"] = OWNER.key_set
    server.serve(OWNER.sign(card_of(server.url), jku=f"{server.url}/keys.json"))
    made = operator.add()
    assert (made.signature, made.signature_key) == (SignatureState.VERIFIED, "key-1")

    thief = Owner()
    server.files["/keys.json"] = thief.key_set
    server.serve(thief.sign(card_of(server.url, name="Thief"), jku=f"{server.url}/keys.json"))
    seen = operator.refresh(made.agent.id)

    assert (seen.agent.title, seen.card_version, seen.signature) == ("Albatross Watcher", 1, SignatureState.VERIFIED)
    assert (seen.health, seen.agent.liveness) == (Health.FAILING, Liveness.SILENT)
    assert "not signed with a key pinned" in seen.last_error
    assert operator.cards(made.agent.id) == [(2, "invalid"), (1, "verified")]


def test_a_refused_card_is_kept_once_and_announced_once(
    operator: Operator, server: CardServer, published: Rows
) -> None:
    server.serve(OWNER.sign(card_of(server.url)))
    made = operator.add(pinned_keys=(OWNER.pin,)).agent.id
    server.serve(card_of(server.url))
    for _ in range(3):
        assert operator.refresh(made).last_error == "The card is not signed, and it was before or has to be."

    assert [type_ for type_, *_ in published()].count("agent.card_refused") == 1
    assert len(operator.cards(made)) == 2
    server.serve(OWNER.sign(card_of(server.url)))
    assert operator.refresh(made).signature is SignatureState.VERIFIED


def test_an_operator_lets_a_new_key_in_by_changing_the_pins(operator: Operator, server: CardServer) -> None:
    server.serve(OWNER.sign(card_of(server.url)))
    made = operator.add(pinned_keys=(OWNER.pin,)).agent.id
    heir = Owner("EdDSA", "key-2")
    server.serve(heir.sign(card_of(server.url, name="Heir")))
    assert operator.refresh(made).health is Health.FAILING

    seen = operator.change(made, pinned_keys=(heir.pin,))

    assert (seen.health, seen.agent.title, seen.signature_key) == (Health.HEALTHY, "Heir", "key-2")


def test_a_card_in_force_that_new_pins_do_not_cover_is_said_to_fail(operator: Operator) -> None:
    made = operator.add().agent.id

    assert operator.change(made, pinned_keys=(OWNER.pin,)).health is Health.FAILING
    assert operator.change(made, pinned_keys=()).health is Health.HEALTHY


def test_a_card_that_is_not_signed_as_demanded_registers_nothing(operator: Operator, server: CardServer) -> None:
    server.serve(Owner().sign(card_of(server.url)))
    with pytest.raises(CardRefused, match="not signed with a key pinned"):
        operator.add(pinned_keys=(OWNER.pin,))


def test_keys_from_another_server_do_not_count_and_are_not_asked_for(operator: Operator, server: CardServer) -> None:
    with CardServer() as other:
        other.files["/keys.json"] = OWNER.key_set
        server.serve(OWNER.sign(card_of(server.url), jku=f"{other.url}/keys.json"))
        made = operator.add()

        assert made.signature is SignatureState.UNVERIFIED
        assert other.asked == []


@pytest.mark.parametrize("keys", [b"{", b"[" * 50_000, {"keys": "x"}, b"x" * 100_000, None])
def test_a_key_set_that_cannot_be_had_leaves_the_card_unverified(
    operator: Operator, server: CardServer, keys: Any
) -> None:
    if keys is not None:
        server.files["/keys.json"] = keys
    server.serve(OWNER.sign(card_of(server.url), jku=f"{server.url}/keys.json"))

    assert operator.add().signature is SignatureState.UNVERIFIED


# -- looking from time to time -----------------------------------------------------------------------------------------


def test_a_card_is_looked_at_when_its_time_has_come(operator: Operator, clock: ManualClock, server: CardServer) -> None:
    made = operator.add(interval_s=60).agent.id
    clock.advance(seconds=50)
    assert operator.poll() == []

    clock.advance(seconds=20)
    assert operator.poll() == [made]
    assert operator.look(made).last_poll_at == clock.now()
    assert operator.poll() == []


def test_an_agent_that_goes_away_is_silent_looked_at_soon_and_found_again(
    operator: Operator, clock: ManualClock, server: CardServer, published: Rows
) -> None:
    made = operator.add(interval_s=60).agent.id
    seen_at, server.status = clock.now(), 503
    clock.advance(seconds=70)
    operator.poll()

    gone = operator.look(made)
    assert (gone.health, gone.failures, gone.agent.liveness) == (Health.FAILING, 1, Liveness.SILENT)
    assert gone.agent.last_seen_at == seen_at
    assert 4 <= (gone.next_poll_at - clock.now()).total_seconds() <= 6
    assert published()[-1][0] == "agent.silent"

    server.status = 200
    clock.advance(seconds=6)
    operator.poll()
    assert operator.look(made).agent.liveness is Liveness.LIVE
    assert published()[-1][0] == "agent.live"


def test_routing_sees_what_the_looks_saw(operator: Operator, server: CardServer, db: Database) -> None:
    made = operator.add().agent.id
    server.status = 500
    operator.refresh(made)

    assert [one.liveness for one in db.read_now(KERNEL, registry.find_agents, skill="watch")] == [Liveness.SILENT]


def test_the_breaker_opens_after_some_failures_tries_once_and_closes(
    operator: Operator, clock: ManualClock, server: CardServer, published: Rows
) -> None:
    made = operator.add().agent.id
    server.status = 500
    states = [operator.refresh(made).breaker for _ in range(4)]
    assert states == [Breaker.CLOSED, Breaker.CLOSED, Breaker.OPEN, Breaker.OPEN]
    until = operator.look(made).breaker_until
    assert until is not None
    assert (until - clock.now()).total_seconds() == 20

    clock.advance(seconds=20)
    assert operator.look(made).breaker is Breaker.HALF_OPEN
    server.status = 200
    assert operator.refresh(made).breaker is Breaker.CLOSED
    moves = [data["breaker"] for type_, _, data in published() if type_ == "agent.breaker_moved"]
    assert moves == ["open", "closed"]


def test_calls_that_fail_open_the_breaker_and_only_a_good_call_closes_it(
    operator: Operator, clock: ManualClock, db: Database
) -> None:
    made = operator.add().agent.id
    for _ in range(3):
        db.write_now(KERNEL, registry.report_remote, made, ok=False, error="refused\x1b[31m")
    remote = operator.remote(made)
    assert (remote.breaker, remote.call_failures) == (Breaker.OPEN, 3)
    assert operator.look(made).last_error == "refused?[31m"

    assert operator.refresh(made).breaker is Breaker.OPEN  # its card is well, its interface is not

    clock.advance(seconds=11)
    assert operator.remote(made).breaker is Breaker.HALF_OPEN
    db.write_now(KERNEL, registry.report_remote, made, ok=True)
    assert (operator.remote(made).breaker, operator.remote(made).call_failures) == (Breaker.CLOSED, 0)


def test_failed_calls_that_nobody_reports_on_any_more_are_forgotten(
    operator: Operator, clock: ManualClock, db: Database
) -> None:
    made = operator.add().agent.id
    for _ in range(3):
        db.write_now(KERNEL, registry.report_remote, made, ok=False, error="gone")
    clock.advance(seconds=300)
    assert operator.refresh(made).breaker is Breaker.HALF_OPEN

    clock.advance(seconds=20)
    assert operator.refresh(made).breaker is Breaker.CLOSED


def test_an_agent_that_was_registered_without_a_card_is_reached_at_its_endpoint(db: Database) -> None:
    made = db.write_now(OPERATOR, registry.create_agent, NewAgent(name="bare", kind=AgentKind.A2A))

    remote = db.read_now(OPERATOR, registry.get_remote, made.id)

    assert (remote.interface_url, remote.protocol_binding, remote.card) == ("", "JSONRPC", b"")
    assert db.read_now(OPERATOR, registry.list_card_versions, made.id).items == []
    with pytest.raises(NotFound):
        db.read_now(OPERATOR, registry.read_remote_agent, made.id)


def test_an_agent_of_another_kind_is_no_remote_one(db: Database, scout: AgentView) -> None:
    for ask in (registry.get_remote, registry.read_remote_agent, registry.list_card_versions):
        with pytest.raises(NotFound):
            db.read_now(OPERATOR, ask, scout.id)


def test_a_report_about_nobody_is_passed_over(db: Database) -> None:
    db.write_now(KERNEL, registry.report_remote, "agt_x", ok=False)


def test_with_an_agent_in_quarantine_there_is_no_contact_until_it_is_back(
    operator: Operator, clock: ManualClock, db: Database, server: CardServer
) -> None:
    made = operator.add().agent.id
    db.write_now(OPERATOR, registry.quarantine_agent, made, reason="odd")
    clock.advance(seconds=1000)
    assert operator.poll() == []

    db.write_now(OPERATOR, registry.activate_agent, made)
    assert operator.poll() == [made]


def test_a_look_by_what_is_no_longer_so_is_thrown_away(
    operator: Operator, db: Database, remotes: RemoteAgents, server: CardServer
) -> None:
    made = operator.add().agent.id
    due = db.read_now(KERNEL, queries.get_due, made)
    server.serve(card_of(server.url, name="Late"))
    operator.change(made, pinned_keys=(OWNER.pin,))

    run(lambda: remotes.step(due))

    assert operator.look(made).agent.title == "Albatross Watcher"


def test_a_new_address_is_taken_only_when_a_card_is_there(operator: Operator, server: CardServer) -> None:
    made = operator.add()
    with pytest.raises(CardUnavailable):
        operator.change(made.agent.id, card_url=f"{server.url}/nothing.json")
    assert operator.look(made.agent.id) == made

    with CardServer() as other:
        moved = operator.change(made.agent.id, card_url=other.url)
        assert (moved.card_url, moved.interface_url) == (other.url + WELL_KNOWN, f"{other.url}/rpc")


def test_a_change_for_another_version_is_refused(remotes: RemoteAgents, operator: Operator) -> None:
    made = operator.add()
    change = RemoteAgentChange(interval_s=5)

    with pytest.raises(registry.AgentChanged):
        run(lambda: remotes.change(OPERATOR, made.agent.id, change, version=99))
    assert run(lambda: remotes.change(OPERATOR, made.agent.id, change, version=made.agent.version)).interval_s == 5


def test_a_card_that_our_reading_trips_over_is_not_fetched_again_at_once(
    operator: Operator, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = operator.add().agent.id
    monkeypatch.setattr("memroos.registry.client.cards.parse", lambda _: 1 / 0)
    operator.server.serve({})
    clock.advance(seconds=100)
    assert operator.poll() == [made]

    assert operator.poll() == []
    assert operator.look(made).last_error == "The card cannot be read."


def test_slow_agents_delay_no_other_and_the_loop_ends_when_told(
    operator: Operator, remotes: RemoteAgents, clock: ManualClock, db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("memroos.registry.worker.remote.TICK_S", 0.02)
    with CardServer() as slow:
        crowd = [operator.add(card_url=slow.url).agent.id for _ in range(5)]
        quick = operator.add().agent.id
        slow.delay_s = 5
        clock.advance(seconds=1000)

        async def story() -> float:
            stopping = Stopping()
            began = time.monotonic()
            async with asyncio.TaskGroup() as group:
                group.create_task(remotes.run(stopping))
                while operator.look(quick).last_poll_at != clock.now():  # noqa: ASYNC110 - a row, not an event
                    await asyncio.sleep(0.01)
                stopping.set()
            return time.monotonic() - began

        assert run(story) < 3
    assert all(operator.look(one).last_poll_at != clock.now() for one in crowd)


def test_a_thousand_agents_are_not_looked_at_in_one_moment() -> None:
    waits = [rules.until_next_look(60, 0, n / 1000).total_seconds() for n in range(1000)]
    assert (min(waits), round(max(waits))) == (54, 66)
    assert rules.until_next_look(60, 50, 0.5).total_seconds() == 60
    assert rules.until_next_look(5, 3, 0.5).total_seconds() == 5
