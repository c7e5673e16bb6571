"""The typed client's calls about memory, each against a real kernel and a real memory service."""

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from tests.flows.memory import System

from memroos_client import AsyncClient, Client, ProblemError
from memroos_client.calls import memory
from memroos_contracts.memory import ContextRequest, NewMemories, NewMemory, RecallRequest
from memroos_contracts.memory_items import (
    ItemChange,
    ItemKind,
    ItemQuery,
    ItemStatus,
    RollbackRequest,
    Successor,
)
from memroos_contracts.memory_work import JobState, ReindexRequest, WaitRequest
from memroos_contracts.recall_evals import CategoryScore, NewRecallEval
from memroos_contracts.recollection import DryRunRequest, NewRecollectionPolicy, RecollectionRule


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """A kernel and a memory service."""
    with System(tmp_path_factory.mktemp("system")) as running:
        yield running


@pytest.fixture
def client(system: System) -> Iterator[Client]:
    """The operator's client."""
    with Client(system.kernel.url, system.kernel.operator_key) as running:
        yield running


def idle(client: Client) -> None:
    assert client.run(memory.wait(WaitRequest(wait_s=30))).idle


def test_a_memory_lives_from_its_first_word_to_its_end(client: Client) -> None:
    kept = client.run(memory.write_all(NewMemories((
        NewMemory("I live in Oslo.", speaker="Ann", user_id="ann", occurred_at=datetime(2025, 3, 1, tzinfo=UTC)),
        NewMemory("I live in Bergen now.", speaker="Ann", user_id="ann", occurred_at=datetime(2025, 9, 1, tzinfo=UTC)),
    ))))  # fmt: skip
    idle(client)
    first = kept.items[0].id

    found = client.run(memory.recall(RecallRequest("Where does Ann live?", user_id="ann", explain=True)))
    text = client.run(memory.context(ContextRequest(RecallRequest("Where does Ann live?", user_id="ann"))))
    states = list(client.pages(memory.items(ItemQuery(kinds=(ItemKind.STATE,), statuses=tuple(ItemStatus), limit=1))))
    events = list(client.pages(memory.items(ItemQuery(kinds=(ItemKind.EVENT,), user_id="ann", limit=1))))

    assert found.items[0].arms
    assert "Bergen" in text.text
    assert {state.status for state in states} >= {ItemStatus.SUPERSEDED, ItemStatus.ACTIVE}
    assert [event.id for event in events] == [event.id for event in kept.items]
    assert client.run(memory.get(first)).text == "I live in Oslo."
    assert client.run(memory.own()).items
    assert client.run(memory.listing(kept.items[0].stream)).items[0].id == first

    (scope,) = [one for one in client.pages(memory.scopes()) if one.user_id == "ann"]
    changed = client.run(memory.update(first, ItemChange(text="I lived in Oslo.", reason="tense")))
    successor = client.run(memory.supersede(first, Successor(text="Ann left Oslo.")))
    back = client.run(memory.rollback(scope.id, RollbackRequest(scope.last_seq, reason="try again")))

    assert (changed.text, changed.version) == ("I lived in Oslo.", 2)
    assert successor.supersedes == first
    assert {first, successor.id} <= set(back.changed)
    assert client.run(memory.item(first)).text == "I live in Oslo."
    history = list(client.pages(memory.history(first)))
    assert [version.change for version in history] == ["add", "update", "supersede", "rollback"]

    client.run(memory.delete(first, reason="enough"))
    with pytest.raises(ProblemError):
        client.run(memory.get(first))


def test_the_services_work_can_be_seen_and_begun(client: Client) -> None:
    job = client.run(memory.reindex(ReindexRequest()))
    idle(client)

    assert client.run(memory.job(job.id)).state is JobState.DONE
    assert job.id in {one.id for one in client.pages(memory.jobs(state=JobState.DONE, limit=2))}
    assert client.run(memory.replay()).replayed == 0
    assert client.run(memory.stats()).ready
    assert [row.user_id for row in client.pages(memory.inventory())] == ["ann"]


def test_evaluations_policies_and_traces_are_kept(client: Client) -> None:
    score = CategoryScore(1, 1.0, 1.0)
    result = NewRecallEval("f", "d", "recall", 1, score, {}, 1.0, 2.0)
    rule = RecollectionRule(limit=3)

    kept = client.run(memory.keep_eval(result))
    policy = client.run(memory.put_recollection_policy(NewRecollectionPolicy(rule)))

    assert [view.id for view in client.pages(memory.evals())] == [kept.id]
    assert kept.embedder.startswith("hash/")
    assert policy.id in {one.id for one in client.pages(memory.recollection_policies())}
    assert client.run(memory.try_recollection(DryRunRequest(rule))).reminded == 0
    assert {trace.cause for trace in client.pages(memory.traces())} >= {"recall", "context"}
    client.run(memory.delete_recollection_policy(policy.id))
    assert policy.id not in {one.id for one in client.pages(memory.recollection_policies())}


def test_programs_that_await_get_the_same(system: System, client: Client) -> None:
    async def both() -> tuple[object, object]:
        async with AsyncClient(system.kernel.url, system.kernel.operator_key) as awaiting:
            return await awaiting.run(memory.scopes()), await awaiting.run(memory.evals())

    assert asyncio.run(both()) == (client.run(memory.scopes()), client.run(memory.evals()))
