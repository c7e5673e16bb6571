"""Reminders: who gets them, what is recorded of them, and that a task never waits for one."""

import asyncio
from typing import Any

import httpx
import pytest
from tests.actors import AGENT, KERNEL, OPERATOR, OTHER_AGENT, STRANGER, agent_actor
from tests.conftest import Policy
from tests.memroos.memory.conftest import Remember
from tests.memroos.memory.router.conftest import House

from memroos import memory, registry
from memroos.memory.queries.traces import list_traces
from memroos_contracts.errors import Denied, NotFound
from memroos_contracts.governance import Action, Label, Sensitivity
from memroos_contracts.identity import Actor
from memroos_contracts.recollection import (
    DryRunRequest,
    MemoryTraceView,
    NewRecollectionPolicy,
    RecollectionPolicyView,
    RecollectionRule,
)
from memroos_contracts.registry import AgentKind, AgentState, NewAgent
from memroos_kit.db import Database
from memroos_kit.stopping import Stopping

ASKED = "Please write about the harbour crane"


def register(db: Database, name: str, operator: Actor = OPERATOR) -> Actor:
    """Register an agent, as a policy can only be for one that is there."""
    new = NewAgent(name=name, kind=AgentKind.REST, state=AgentState.ACTIVE)
    return agent_actor(db.write_now(operator, registry.create_agent, new).id, operator.workspace)


def put(house: House, agent: str = "", purpose: str = "", **rule: Any) -> RecollectionPolicyView:
    new = NewRecollectionPolicy(RecollectionRule(**rule), agent, purpose)
    return house.db.write_now(OPERATOR, memory.put_policy, new)


def remind(
    house: House, text: str = ASKED, actor: Actor = AGENT, task: str = "task_1", purpose: str = "", **more: Any
) -> str:
    async def work(routers: Any) -> str:
        return str(await routers.recollection.remind(actor, task_id=task, purpose=purpose, text=text, **more))

    return house.run(work)


def traces(house: House) -> list[MemoryTraceView]:
    return house.db.read_now(OPERATOR, list_traces, limit=10).items


def say(db: Database, actor: Actor, text: str, *, task: str, agent: str) -> str:
    """Keep a message of a task, as the broker does."""
    words = {"stream": f"context:{task}", "kind": "message", "text": text, "agent_id": agent, "task_id": task}
    return db.write_now(actor, memory.append_event, **words, owner=OPERATOR.principal).id  # type: ignore[arg-type]


def test_without_a_policy_nobody_is_reminded_and_nothing_is_recorded(house: House, remember: Remember) -> None:
    remember("The harbour crane was repaired.")
    assert remind(house) == ""
    assert traces(house) == []
    assert "recall" not in house.twin.paths()


def test_what_a_private_task_asks_for_is_kept_in_no_trace(house: House, remember: Remember) -> None:
    remember("The harbour crane was repaired.")
    put(house)
    remind(house, label=Label(Sensitivity.RESTRICTED))
    (trace,) = traces(house)
    assert (trace.query, len(trace.hits)) == (None, 1)


def test_an_agent_is_reminded_of_its_own_and_it_is_on_record(house: House, remember: Remember) -> None:
    writer = register(house.db, "writer")
    kept = remember("The harbour crane was repaired in May.", actor=writer)
    remember("The harbour crane of another", actor=OTHER_AGENT)
    policy = put(house, agent=writer.id)
    text = remind(house, actor=writer)
    assert "repaired in May" in text
    assert "another" not in text
    (trace,) = traces(house)
    assert (trace.cause, trace.task_id, trace.policy_id) == ("recollection", "task_1", policy.id)
    assert [hit.item_id for hit in trace.hits] == [kept.id]
    assert trace.tokens == -(-len(text) // 4)


def test_a_policy_of_another_agent_or_purpose_does_not_hold(house: House, remember: Remember) -> None:
    remember("The harbour crane was repaired.")
    put(house, agent=register(house.db, "other").id)
    put(house, purpose="report")
    assert remind(house) == ""
    assert "crane" in remind(house, purpose="report")


def test_an_agents_own_policy_counts_before_everybodys(house: House, remember: Remember) -> None:
    writer = register(house.db, "writer")
    for actor in (AGENT, writer):
        remember("The harbour crane was repaired.", actor=actor)
    put(house)
    put(house, purpose="report")
    put(house, agent=writer.id, enabled=False)
    assert "crane" in remind(house)
    assert remind(house, actor=writer, purpose="report") == ""
    assert traces(house)[0].abstained == "the policy is not enabled"
    put(house, agent=writer.id, purpose="report")
    assert "crane" in remind(house, actor=writer, purpose="report")


def test_a_policy_is_for_an_agent_that_is_there(house: House) -> None:
    writer, strange = register(house.db, "writer"), register(house.db, "strange", STRANGER)
    assert put(house, agent="writer").agent_id == writer.id  # by its name, as everywhere
    for unknown in ("agt_01NOBODY", "nobody", strange.id):
        with pytest.raises(NotFound):
            put(house, agent=unknown)


def test_an_agent_gets_none_of_the_questions_back_that_it_was_asked_before(house: House, remember: Remember) -> None:
    kept = remember("The harbour crane was repaired in May.")
    say(house.db, OPERATOR, "Who repaired the harbour crane?", task="task_0", agent=AGENT.id)
    put(house)
    assert "Who" not in remind(house, "When was the harbour crane repaired?")
    assert [hit.item_id for hit in traces(house)[0].hits] == [kept.id]


def test_a_memory_that_does_not_fit_is_not_said_to_be_missing(house: House, remember: Remember) -> None:
    remember("The harbour crane " + "and its long story " * 20)
    say(house.db, OPERATOR, ASKED, task="task_0", agent=AGENT.id)
    small = RecollectionRule(token_budget=100, share=0.2)
    why = "what bears on the task does not fit into 20 tokens"
    put(house, token_budget=small.token_budget, share=small.share)
    assert remind(house) == ""
    assert traces(house)[0].abstained == why
    tried = house.run(lambda routers: routers.recollection.try_rule(OPERATOR, DryRunRequest(small)))
    assert [row.abstained for row in tried.tasks] == [why]


def test_memory_takes_no_more_than_its_share(house: House, remember: Remember) -> None:
    for number in range(30):
        remember(f"The harbour crane number {number} has its own long story to tell.")
    put(house, limit=50, token_budget=400, share=0.25)
    assert 0 < -(-len(remind(house)) // 4) <= 100
    put(house, limit=2, token_budget=4_000, share=1.0)
    assert remind(house).count("\n") == 2


def test_what_is_labelled_too_high_stays_out(house: House, remember: Remember) -> None:
    remember("The confidential harbour crane", label=Label(Sensitivity.CONFIDENTIAL))
    put(house)
    assert remind(house) == ""
    assert "may enter" in traces(house)[0].abstained
    assert remind(house, "Something else entirely, please") == ""
    assert traces(house)[0].abstained == "nothing bears on the task"


@pytest.mark.parametrize("away", [httpx.ReadTimeout("slow"), httpx.ConnectError("no")])
def test_a_task_does_not_wait_for_a_service_that_is_away(house: House, remember: Remember, away: Exception) -> None:
    remember("The harbour crane was repaired.")
    put(house)
    house.twin.away = away
    assert "repaired" in remind(house)
    assert traces(house)[0].arms == ("episodic",)


def test_why_nobody_was_reminded_is_on_record(house: House, remember: Remember, policy: Policy) -> None:
    remember("The harbour crane was repaired.")
    put(house)
    assert remind(house, "short") == ""
    assert "fewer than 3 words" in traces(house)[0].abstained
    policy.deny(Action.MEMORY_RECALL)
    assert remind(house) == ""
    assert len(traces(house)) == 1


def test_a_policy_is_replaced_by_the_next_for_the_same_and_deleted_once(house: House) -> None:
    first, second = put(house, limit=3), put(house, limit=5)
    assert (first.id, first.version) == (second.id, second.version - 1)
    assert [one.rule.limit for one in house.db.read_now(OPERATOR, memory.list_policies).items] == [5]
    with pytest.raises(NotFound):
        house.db.write_now(STRANGER, memory.delete_policy, first.id)
    house.db.write_now(OPERATOR, memory.delete_policy, first.id)
    with pytest.raises(NotFound):
        house.db.write_now(OPERATOR, memory.delete_policy, first.id)


def test_who_may_not_steer_memory_sets_no_policy(house: House, policy: Policy) -> None:
    policy.deny(Action.MEMORY_OPERATE)
    with pytest.raises(Denied):
        put(house)
    with pytest.raises(Denied):
        house.run(lambda routers: routers.recollection.try_rule(OPERATOR, DryRunRequest(RecollectionRule())))
    assert house.db.read_now(OPERATOR, memory.list_policies).items == []


def test_a_rule_is_tried_on_recorded_tasks_and_leaves_nothing_behind(house: House, remember: Remember) -> None:
    kept = remember("The harbour crane was repaired in May.")
    say(house.db, OPERATOR, ASKED, task="task_1", agent=AGENT.id)
    say(house.db, OPERATOR, "Hello there", task="task_2", agent=AGENT.id)
    say(house.db, OPERATOR, "And now something else entirely", task="task_3", agent=OTHER_AGENT.id)

    async def work(routers: Any) -> Any:
        return await routers.recollection.try_rule(OPERATOR, DryRunRequest(RecollectionRule(), agent_id=AGENT.id))

    report = house.run(work)
    assert [row.task_id for row in report.tasks] == ["task_2", "task_1"]
    assert [row.items for row in report.tasks] == [[], [kept.id]]
    assert (report.reminded, report.tokens) == (1, report.tasks[1].tokens)
    assert traces(house) == []
    asked = [body for path, body in house.twin.asked if path == "recall"]
    assert {(body["reader"], body["principal"]) for body in asked} == {(AGENT.principal, "")}


def test_what_came_back_in_what_the_agent_said_counts_as_used(house: House, remember: Remember) -> None:
    used = remember("The harbour crane was repaired in Rotterdam by Jansen.")
    unused = remember("The harbour crane is painted yellow and green.")
    put(house)
    remind(house)
    say(house.db, AGENT, "It was repaired in Rotterdam by Jansen.", task="task_1", agent=AGENT.id)

    async def work(routers: Any) -> None:
        stop = Stopping()
        looking = memory.LookingBack(house.db, routers.recollection)
        looking.heard("task.working", "task_1")
        looking.heard("task.completed", "task_1")
        looking.heard("task.completed", "task_unknown")
        await looking.step()
        stop.set()

    house.run(work)
    (trace,) = traces(house)
    assert {hit.item_id: hit.used for hit in trace.hits} == {used.id: True, unused.id: False}


def test_a_look_that_a_crash_cut_short_is_taken_after_the_start(house: House, remember: Remember) -> None:
    remember("The harbour crane was repaired in Rotterdam by Jansen.")
    put(house)
    remind(house)
    say(house.db, AGENT, "It was repaired in Rotterdam by Jansen.", task="task_1", agent=AGENT.id)

    async def work(routers: Any) -> None:
        stop = Stopping()
        async with asyncio.TaskGroup() as group:
            group.create_task(memory.LookingBack(house.db, routers.recollection).run(stop))
            async with asyncio.timeout(5):
                while not house.db.read_now(KERNEL, list_traces, limit=1).items[0].hits[0].used:  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
            stop.set()

    house.run(work)
