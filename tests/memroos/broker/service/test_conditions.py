"""What a message or a cancel is held to beside policy: its way, the task's generation, how much is open already."""

from typing import Any

import msgspec
import pytest
from tests.actors import KERNEL, OPERATOR
from tests.memroos.broker.conftest import RESTRICTED, House, report, text_of

from memroos import broker, registry
from memroos.broker import service
from memroos_contracts.broker import EventKind, TaskState
from memroos_contracts.errors import ErrorKind, InvalidRequest
from memroos_contracts.identity import Actor
from memroos_contracts.registry import AgentKind, AgentSkill, AgentState, Breaker, Liveness, NewAgent

US = "memroos-0123456789abcdef"
FAR = ("1.1 edge.example", "1.1 memroos-fedcba9876543210")


def limited(**limits: Any) -> broker.Limits:
    return broker.Limits(broker_id=US, **limits)


@pytest.fixture
def remote(house: House) -> str:
    """An agent that is reached by A2A."""
    new = NewAgent(
        name="far-away",
        kind=AgentKind.A2A,
        state=AgentState.ACTIVE,
        endpoint_url="http://127.0.0.1:9/a2a",
        skills=(AgentSkill(id="travel", name="Travel"),),
    )
    return house.db.write_now(OPERATOR, registry.create_agent, new).id


# -- the way it came -----------------------------------------------------------------------------------------------


def test_a_task_knows_the_way_and_the_trace_of_its_message(house: House, caller: Actor, worker: Actor) -> None:
    task = house.send(caller, via=FAR, traceparent="00-aa-bb-01", limits=limited())

    assert (house.see(task).via, house.see(task).traceparent) == (FAR, "00-aa-bb-01")


@pytest.mark.parametrize("hop", [f"1.1 {US}", US, f"HTTP/1.1 {US} (MemRoOS)"])
def test_a_message_that_was_here_before_is_a_loop(house: House, caller: Actor, worker: Actor, hop: str) -> None:
    with pytest.raises(broker.RoutingLoop):
        house.send(caller, via=(*FAR, hop), limits=limited())

    assert house.query("SELECT id FROM task") == []


def test_a_follow_up_that_was_here_before_is_a_loop_too(house: House, caller: Actor, worker: Actor) -> None:
    task = house.send(caller)

    with pytest.raises(broker.RoutingLoop):
        house.send(caller, "more", task_id=task.id, via=(f"1.1 {US}",), limits=limited())

    assert house.see(task) == task


def test_a_message_comes_through_as_many_brokers_as_it_may(house: House, caller: Actor, worker: Actor) -> None:
    house.send(caller, via=FAR, limits=limited(hops_max=2))

    with pytest.raises(broker.TooManyHops) as refused:
        house.send(caller, via=(*FAR, "1.1 another"), limits=limited(hops_max=2))

    assert refused.value.facts["limit"] == 2


def test_the_extensions_of_a_message_go_with_it_and_not_into_it(house: House, caller: Actor, worker: Actor) -> None:
    said, _ = house.log(house.send(caller, extensions=("https://example.com/ext/v1",)))

    assert said.message is not None
    assert said.message.metadata is None
    assert said.metadata == {service.EXTENSIONS: ["https://example.com/ext/v1"]}


# -- the generation ------------------------------------------------------------------------------------------------


def test_a_message_for_a_task_that_has_moved_on_is_refused_and_changes_nothing(
    house: House, caller: Actor, worker: Actor
) -> None:
    task = house.send(caller)
    house.claim(worker)
    moved = house.see(task)

    with pytest.raises(broker.TaskGenerationMismatch) as refused:
        house.send(caller, "more", task_id=task.id, if_generation=task.generation)

    assert refused.value.facts == {"task": task.id, "generation": moved.generation, "expected": task.generation}
    assert house.see(task) == moved


def test_the_same_conditional_message_again_is_not_held_to_the_generation_it_made(
    house: House, caller: Actor, worker: Actor
) -> None:
    task = house.send(caller)
    words = {"message_id": "msg_1", "task_id": task.id, "if_generation": task.generation}

    after = house.send(caller, "more", **words)

    assert house.send(caller, "more", **words) == after


def test_a_new_task_has_no_generation_to_be_held_to(house: House, caller: Actor, worker: Actor) -> None:
    with pytest.raises(InvalidRequest):
        house.send(caller, if_generation=1)


def test_a_task_is_canceled_only_as_it_was_seen(house: House, caller: Actor, worker: Actor) -> None:
    task = house.send(caller)
    house.claim(worker)

    with pytest.raises(broker.TaskGenerationMismatch):
        house.db.write_now(caller, broker.cancel_task, task.id, if_generation=task.generation)
    canceled = house.db.write_now(caller, broker.cancel_task, task.id, if_generation=house.see(task).generation)

    assert canceled.state is TaskState.CANCELED
    assert house.db.write_now(caller, broker.cancel_task, task.id, if_generation=1) == canceled  # it is as wished


# -- how much is open ----------------------------------------------------------------------------------------------


def test_a_caller_has_as_many_open_tasks_as_it_may(house: House, caller: Actor, worker: Actor) -> None:
    limits = limited(open_tasks_per_caller=2)
    first, _ = house.send(caller, limits=limits), house.send(caller, limits=limits, label=RESTRICTED)  # one held

    with pytest.raises(broker.TooManyOpenTasks) as refused:
        house.send(caller, limits=limits)
    house.send(house.register("another"), limits=limits)
    house.send(caller, "more", task_id=first.id, limits=limits)  # goes on with one that is open
    claim = house.claim(worker)
    house.db.write_now(worker, broker.complete_task, claim.task.id, report(claim))

    assert refused.value.kind is ErrorKind.LIMITED
    assert refused.value.facts == {"limit": 2, "scope": "caller"}
    assert refused.value.retry_after_s
    assert claim.task.id == first.id
    assert house.send(caller, limits=limits).state is TaskState.SUBMITTED


def test_an_agent_has_as_many_open_tasks_as_it_may_whoever_sent_them(
    house: House, caller: Actor, worker: Actor
) -> None:
    limits = limited(open_tasks_per_agent=2)
    house.send(caller, limits=limits)
    second = house.send(house.register("another"), limits=limits)

    with pytest.raises(broker.TooManyOpenTasks) as refused:
        house.send(caller, limits=limits)
    house.db.write_now(OPERATOR, broker.cancel_task, second.id)

    assert refused.value.facts["scope"] == "agent"
    assert house.send(caller, limits=limits).state is TaskState.SUBMITTED


def test_the_same_message_again_is_its_task_however_much_is_open(house: House, caller: Actor, worker: Actor) -> None:
    task = house.send(caller, message_id="msg_1", limits=limited(open_tasks_per_caller=1))

    assert house.send(caller, message_id="msg_1", limits=limited(open_tasks_per_caller=1)).id == task.id


# -- agents that are reached by A2A --------------------------------------------------------------------------------


def test_a_message_for_a_remote_agent_waits_in_the_outbox_and_is_not_accepted_yet(
    house: House, caller: Actor, worker: Actor, remote: str
) -> None:
    task = house.send(caller, agent="far-away")

    assert (task.state, task.accepted_generation) == (TaskState.SUBMITTED, 0)
    assert house.query("SELECT channel, state FROM delivery") == [("a2a", "waiting")]
    assert house.send(caller).accepted_generation == 2  # an inbox takes it at once


@pytest.mark.parametrize(("reason", "said"), [("", None), ("It rained.", "It rained.")])
def test_cancelling_between_a_caller_and_a_remote_agent_adds_no_words_of_our_own(
    house: House, caller: Actor, remote: str, reason: str, said: str | None
) -> None:
    task = house.send(caller, agent="far-away")

    house.db.write_now(caller, broker.cancel_task, task.id, reason=reason)

    last = house.log(task)[-1]
    assert (last.kind, last.state, text_of(last) or None) == (EventKind.STATUS, TaskState.CANCELED, said)
    assert house.query("SELECT state FROM remote_task") == [("canceling",)]  # whatever was on its way is called back


def test_an_agent_that_is_not_tried_any_more_counts_as_silent(
    house: House, caller: Actor, remote: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    house.register("near-by", skills=("travel",))
    views = {agent.name: agent for agent in house.db.read_now(KERNEL, registry.find_agents, skill="travel")}
    healthy = [
        type(view)(**{name: getattr(view, name) for name in view.__struct_fields__} | {"liveness": liveness})
        for view, liveness in ((views["far-away"], Liveness.LIVE), (views["near-by"], Liveness.UNKNOWN))
    ]
    monkeypatch.setattr(registry, "find_agents", lambda *_, **__: healthy)

    before = house.send(caller, skill="travel")
    get_remote = registry.get_remote

    def broken(tx: Any, agent: str) -> registry.Remote:
        return msgspec.structs.replace(get_remote(tx, agent), breaker=Breaker.OPEN)

    monkeypatch.setattr(registry, "get_remote", broken)
    after = house.send(caller, skill="travel")

    assert (before.agent, after.agent) == ("far-away", "near-by")
    assert after.route_reason == "skill travel: near-by of 2 candidates (silent, 0 in flight)"


# -- what is left of an agent --------------------------------------------------------------------------------------


def test_what_a_retired_agent_leaves_behind_fails_and_says_why(house: House, caller: Actor, worker: Actor) -> None:
    task, other = house.send(caller), house.send(caller, agent=house.register("other").id)
    house.db.write_now(OPERATOR, registry.retire_agent, "worker", reason="too old")

    for one in (task, other, task):
        house.db.write_now(KERNEL, service.fail_left_behind, one.id)

    assert house.see(task).state is TaskState.FAILED
    assert text_of(house.log(task)[-1]) == "worker was retired before it had finished this."
    assert house.see(other).state is TaskState.SUBMITTED
    assert house.audited()[-1] == "task.failed"
    assert house.audited().count("task.failed") == 1


def test_limits_that_nobody_set_limit_nothing(house: House, caller: Actor, worker: Actor) -> None:
    assert house.send(caller, via=tuple(f"1.1 broker-{n}" for n in range(50))).state is TaskState.SUBMITTED
