"""The calls about memory against a real server."""

import asyncio

import msgspec
from tests.memroos_client.scripted import ScriptedKernel, json

from memroos_client import AsyncClient, Client
from memroos_client.calls import memory
from memroos_contracts.memory import NewMemories, NewMemory, RecallRequest
from memroos_contracts.memory_items import ItemQuery, RollbackRequest, Successor
from memroos_contracts.memory_work import JobState, ReindexRequest, WaitRequest
from memroos_contracts.recollection import DryRunRequest, RecollectionRule

KEY = "mr_operator_test"
NOTHING_FOUND = {"items": [], "arms": ["lexical"], "missing": ["vector"], "detail": "away"}


def test_whatever_creates_something_is_recognised_when_it_is_repeated() -> None:
    creations = [
        memory.write(NewMemory("a")),
        memory.write_all(NewMemories((NewMemory("a"),))),
        memory.supersede("itm_1", Successor(text="b")),
        memory.rollback("scp_1", RollbackRequest(0)),
        memory.replay(),
        memory.reindex(ReindexRequest()),
    ]

    keys = {call.idempotency_key for call in creations}

    assert len(keys) == len(creations)
    assert None not in keys


def test_a_name_cannot_leave_its_part_of_the_address() -> None:
    assert memory.item("../evals").path == "/api/memory/items/..%2Fevals"
    assert memory.delete("a/b", reason="why").path == "/api/memory/a%2Fb"


def test_a_listing_whose_question_is_in_the_body_goes_through_its_pages() -> None:
    with ScriptedKernel().serving() as kernel, Client(kernel.url, KEY) as client:
        kernel.answers(json({"items": [], "next_cursor": "c1"}), json({"items": [], "next_cursor": None}))
        assert list(client.pages(memory.items(ItemQuery(user_id="ann")))) == []

    bodies = [msgspec.json.decode(request.body) for request in kernel.requests]
    assert [(body["user_id"], body["cursor"]) for body in bodies] == [("ann", None), ("ann", "c1")]


def test_recall_is_the_same_for_programs_that_await() -> None:
    async def ask(url: str) -> object:
        async with AsyncClient(url, KEY) as client:
            return await client.run(memory.recall(RecallRequest("where is the key")))

    with ScriptedKernel().serving() as kernel, Client(kernel.url, KEY) as client:
        kernel.answers(json(NOTHING_FOUND), json(NOTHING_FOUND))
        assert asyncio.run(ask(kernel.url)) == client.run(memory.recall(RecallRequest("where is the key")))
    assert kernel.requests[0].target == kernel.requests[1].target == "/api/recall"


def test_a_wait_is_given_the_time_it_asks_for() -> None:
    assert memory.wait(WaitRequest(wait_s=42)).wait_s == 42


def test_filters_that_are_left_out_are_not_sent() -> None:
    assert memory.jobs(state=JobState.DEAD).query == {"state": "dead"}
    assert memory.traces(task="task_1").query == {"task_id": "task_1"}
    assert memory.replay("job_1").body == {"job_id": "job_1"}
    assert memory.replay().body == {}
    assert memory.try_recollection(DryRunRequest(RecollectionRule())).path.endswith("/recollection-policies/dry-run")
