"""The client: what the service says, what it does not say, and that it is away."""

import asyncio
from typing import Any

import httpx
import pytest
from tests.memroos.memory.service_twin import ServiceTwin, learned

from memroos.memory import MemoryOutcomeUnknown
from memroos_contracts.errors import InvalidCursor, MemroosError, NotFound, StorageFull, TooLarge
from memroos_contracts.identity import DEFAULT_WORKSPACE
from memroos_contracts.memory_errors import FilterRefused, ItemChanged, ItemGone, MemoryServiceUnavailable
from memroos_contracts.memory_items import ItemChange, ItemQuery, Viewer
from memroos_kit import problems

VIEWER = Viewer(DEFAULT_WORKSPACE, "agent:agt_1", "agent:agt_1")


@pytest.fixture
def twin() -> ServiceTwin:
    return ServiceTwin()


def failing(twin: ServiceTwin, method: str, *arguments: Any, **options: Any) -> MemroosError:
    async def call() -> None:
        store = twin.store(**options)
        try:
            await getattr(store, method)(*arguments)
        finally:
            await store.close()

    with pytest.raises(MemroosError) as caught:
        asyncio.run(call())
    return caught.value


@pytest.mark.parametrize(
    "error",
    [
        NotFound(kind_of_object="memory", id="itm_1"),
        ItemGone(id="itm_1"),
        ItemChanged("It is at 3.", id="itm_1", version=3),
        FilterRefused("No.", field="user_id", reason="identity"),
        InvalidCursor(),
        TooLarge(limit_bytes=5),
        StorageFull(retry_after_s=7),
    ],
)
def test_what_concerns_the_caller_is_passed_on_as_it_was_said(twin: ServiceTwin, error: MemroosError) -> None:
    said = problems.problem(error)
    twin.answers["items/list"] = httpx.Response(said.status, content=said.body(), headers=said.headers())
    found = failing(twin, "list_items", VIEWER, ItemQuery())
    assert type(found) is type(error)
    assert (found.detail, found.facts, found.retry_after_s) == (error.detail, error.facts, error.retry_after_s)


@pytest.mark.parametrize(
    "answer",
    [
        httpx.Response(401, json={"type": "/problems/unauthenticated"}),
        httpx.Response(403, json={"type": "/problems/denied"}),
        httpx.Response(404, text="not here"),
        httpx.Response(500, json={"type": "/problems/internal-failure", "detail": "secret path"}),
        httpx.Response(503, json={"type": "/problems/stopping"}),
        httpx.Response(200, text="<html>"),
        httpx.Response(200, json={"unexpected": 1}),
        httpx.Response(302, headers={"location": "http://elsewhere/"}),
        httpx.Response(400, content=b"\xff{"),
    ],
)
def test_what_no_caller_can_do_anything_about_means_that_the_service_is_away(
    twin: ServiceTwin, answer: httpx.Response
) -> None:
    twin.answers["items/list"] = answer
    error = failing(twin, "list_items", VIEWER, ItemQuery())
    assert type(error) is MemoryServiceUnavailable
    assert "secret" not in error.detail


@pytest.mark.parametrize(
    "broken", [httpx.ReadTimeout("slow"), httpx.ReadError("cut"), httpx.Response(500), httpx.Response(200, text="{")]
)
def test_a_change_without_an_answer_may_have_been_made(twin: ServiceTwin, broken: httpx.Response | Exception) -> None:
    twin.answers["items/update"] = broken
    error = failing(twin, "update_item", VIEWER, "itm_1", ItemChange(text="t"), "mop_1")
    assert type(error) is MemoryOutcomeUnknown
    assert error.facts["operation"] == "mop_1"


@pytest.mark.parametrize("broken", [httpx.ConnectError("no"), httpx.ConnectTimeout("no"), httpx.PoolTimeout("no")])
def test_a_change_that_never_left_was_not_made(twin: ServiceTwin, broken: Exception) -> None:
    twin.answers["items/update"] = broken
    error = failing(twin, "update_item", VIEWER, "itm_1", ItemChange(text="t"), "mop_1")
    assert type(error) is MemoryServiceUnavailable


def test_the_key_goes_with_each_request_and_on_whose_behalf_it_is(twin: ServiceTwin) -> None:
    twin.items["itm_1"] = learned("itm_1", "mem_1", author="agent:agt_1")

    async def call() -> str:
        store = twin.store()
        found = await store.get_item(VIEWER, "itm_1")
        await store.close()
        again = await store.get_item(VIEWER, "itm_1")  # closed is not the end
        await store.close()
        assert again == found
        return found.id

    assert asyncio.run(call()) == "itm_1"
    assert twin.asked[0][1]["viewer"] == {
        "workspace_id": "default",
        "reader": "agent:agt_1",
        "principal": "agent:agt_1",
    }
