"""Both clients against a real server, by the same tests."""

import asyncio
import itertools
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, TypeVar

import msgspec
import pytest
from tests.memroos_client.scripted import Answer, ScriptedKernel, json, problem, stream

from memroos_client import AsyncClient, Call, Client, ProblemError, Retries, Stream, UnexpectedAnswer, Unreachable
from memroos_client.calls import agents, events, inbox, keys, tasks
from memroos_client.calls.events import Reset
from memroos_contracts.broker import Part, SendRequest, TaskEvent
from memroos_contracts.bus import Deliveries
from memroos_contracts.events import EventView
from memroos_contracts.identity import Role, WorkspaceId
from memroos_contracts.pages import Page
from memroos_contracts.registry import AgentChange, AgentKind, AgentView, NewAgent, NewKey, PeerView

T = TypeVar("T")
KEY = "mr_operator_test"
QUICK = Retries(most=3, first_s=0.001, longest_s=0.01, patience_s=2)


class Sync:
    """The waiting client."""

    def __init__(self, url: str, retries: Retries = QUICK, timeout_s: float = 5) -> None:
        self._client: Callable[[], Client] = lambda: Client(url, KEY, retries=retries, timeout_s=timeout_s)

    def run(self, call: Call[T]) -> T:
        with self._client() as client:
            return client.run(call)

    def pages(self, call: Any) -> list[Any]:
        with self._client() as client:
            return list(client.pages(call))

    def stream(self, stream: Stream[T], *, most: int = 1000) -> list[T]:
        with self._client() as client:
            return list(itertools.islice(client.stream(stream), most))


class Awaiting:
    """The awaiting client, behind the same face."""

    def __init__(self, url: str, retries: Retries = QUICK, timeout_s: float = 5) -> None:
        self._client: Callable[[], AsyncClient] = lambda: AsyncClient(url, KEY, retries=retries, timeout_s=timeout_s)

    def run(self, call: Call[T]) -> T:
        async def run() -> T:
            async with self._client() as client:
                return await client.run(call)

        return asyncio.run(run())

    def pages(self, call: Any) -> list[Any]:
        async def pages() -> list[Any]:
            async with self._client() as client:
                return [item async for item in client.pages(call)]

        return asyncio.run(pages())

    def stream(self, stream: Stream[T], *, most: int = 1000) -> list[T]:
        async def read() -> list[T]:
            items: list[T] = []
            async with self._client() as client:
                source = client.stream(stream)
                async for item in source:
                    items.append(item)
                    if len(items) == most:
                        break
                await source.aclose()  # type: ignore[attr-defined]  # it is a generator
            return items

        return asyncio.run(read())


@pytest.fixture(params=[Sync, Awaiting], ids=["sync", "async"])
def kind(request: pytest.FixtureRequest) -> type[Sync] | type[Awaiting]:
    """Which of the two clients."""
    return request.param  # type: ignore[no-any-return]


@pytest.fixture
def client(kind: type[Sync] | type[Awaiting], kernel: ScriptedKernel) -> Sync | Awaiting:
    return kind(kernel.url)


AnyClient = Sync | Awaiting


def an_agent() -> dict[str, Any]:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    return msgspec.to_builtins(  # type: ignore[no-any-return]
        {
            "id": "agt_1", "workspace_id": "default", "name": "scout", "title": "", "description": "", "kind": "rest",
            "state": "draft", "state_reason": "", "version": 3, "skills": [], "endpoint_url": "", "max_concurrency": 1,
            "labels": {}, "liveness": "unknown", "last_seen_at": None, "status": "", "load": 0, "created_at": now,
            "updated_at": now, "created_by": "operator:key_1",
        }
    )  # fmt: skip


def an_event(offset: int) -> bytes:
    event = EventView(
        offset, f"evt_{offset}", WorkspaceId("default"), "task.created", "task_1", {}, "", "", datetime.now(UTC)
    )
    return b"id: %d\nevent: task.created\ndata: %b\n\n" % (offset, msgspec.json.encode(event))


def a_task_event(generation: int, state: str) -> bytes:
    body = {"generation": generation, "kind": "status", "at": "2026-01-01T00:00:00Z", "state": state}
    return b"id: %d\nevent: status\ndata: %b\n\n" % (generation, msgspec.json.encode(body))


def a_peer(name: str) -> dict[str, Any]:
    return {"id": f"agt_{name}", "name": name, "title": "", "skills": [], "liveness": "live"}


# -- one request -----------------------------------------------------------------------------------------------------


def test_a_call_brings_a_typed_answer(kernel: ScriptedKernel, client: AnyClient) -> None:
    kernel.answers(json({**an_agent(), "a_later_field": 1}, 201))

    agent = client.run(agents.create(NewAgent("scout", AgentKind.REST)))

    assert isinstance(agent, AgentView)
    assert agent.version == 3
    (request,) = kernel.requests
    assert (request.method, request.target) == ("POST", "/api/agents")
    assert request.headers["authorization"] == f"Bearer {KEY}"
    assert msgspec.json.decode(request.body)["name"] == "scout"


def test_a_name_cannot_leave_its_part_of_the_path(kernel: ScriptedKernel, client: AnyClient) -> None:
    kernel.answers(json(an_agent()))

    client.run(agents.get("../keys?x=1#y"))

    assert kernel.requests[0].target == "/api/agents/..%2Fkeys%3Fx%3D1%23y"


def test_a_change_names_the_version_it_was_made_for(kernel: ScriptedKernel, client: AnyClient) -> None:
    kernel.answers(json(an_agent()))

    client.run(agents.update("scout", AgentChange(title="Scout"), version=3))

    assert kernel.requests[0].headers["if-match"] == '"3"'
    assert msgspec.json.decode(kernel.requests[0].body) == {"title": "Scout"}


def test_nothing_to_claim_is_none(kernel: ScriptedKernel, client: AnyClient) -> None:
    kernel.answers(Answer(204))

    assert client.run(tasks.claim()) is None


def test_nothing_where_something_was_promised_is_an_error(kernel: ScriptedKernel, client: AnyClient) -> None:
    kernel.answers(Answer(204))

    with pytest.raises(UnexpectedAnswer, match="with nothing"):
        client.run(agents.get("scout"))


def test_an_answer_of_another_form_is_an_error(kernel: ScriptedKernel, client: AnyClient) -> None:
    kernel.answers(json({"hello": "world"}))

    with pytest.raises(UnexpectedAnswer, match="GET /api/agents/scout"):
        client.run(agents.get("scout"))


def test_a_redirection_is_not_followed(kernel: ScriptedKernel, client: AnyClient) -> None:
    kernel.answers(Answer(302, headers={"location": "/api/agents/other"}))

    with pytest.raises(UnexpectedAnswer, match="leads elsewhere"):
        client.run(agents.get("scout"))

    assert len(kernel.requests) == 1


def test_a_problem_keeps_what_it_says(kernel: ScriptedKernel, client: AnyClient) -> None:
    kernel.answers(problem(404, "not-found", "No agent is called scout.", kind_of_object="agent", id="scout"))

    with pytest.raises(ProblemError, match=r"^No agent is called scout\.$") as refused:
        client.run(agents.get("scout"))

    error = refused.value
    assert (error.slug, error.status, error.title) == ("not-found", 404, "Not-Found")
    assert error.facts == {"kind_of_object": "agent", "id": "scout"}


def test_a_refusal_that_is_no_problem_still_has_its_status(kernel: ScriptedKernel, client: AnyClient) -> None:
    kernel.answers(Answer(502, b"<html>bad gateway</html>"))

    with pytest.raises(ProblemError, match="status 502") as refused:
        client.run(agents.get("scout"))

    assert refused.value.slug == ""


# -- repeating -------------------------------------------------------------------------------------------------------


def test_a_read_is_repeated_over_a_broken_connection(kernel: ScriptedKernel, client: AnyClient) -> None:
    kernel.answers(Answer(silent=True), Answer(200, b"{", breaks=True), json(an_agent()))

    assert client.run(agents.get("scout")).name == "scout"

    assert kernel.unsaid == 0


def test_a_creation_is_repeated_under_the_same_key(kernel: ScriptedKernel, client: AnyClient) -> None:
    kernel.answers(Answer(silent=True), problem(503, "overloaded"), json(an_agent(), 201))

    client.run(agents.create(NewAgent("scout", AgentKind.REST)))

    sent = {request.headers["idempotency-key"] for request in kernel.requests}
    assert len(kernel.requests) == 3
    assert len(sent) == 1


def test_two_creations_have_two_keys(kernel: ScriptedKernel, client: AnyClient) -> None:
    kernel.answers(json(an_agent(), 201), json(an_agent(), 201))

    client.run(agents.create(NewAgent("scout", AgentKind.REST)))
    client.run(agents.create(NewAgent("scout", AgentKind.REST)))

    assert len({request.headers["idempotency-key"] for request in kernel.requests}) == 2


def test_a_call_without_a_key_is_never_sent_twice(kernel: ScriptedKernel, client: AnyClient) -> None:
    kernel.answers(Answer(silent=True), json(an_agent()))

    with pytest.raises(Unreachable):
        client.run(agents.activate("scout"))

    assert len(kernel.requests) == 1


def test_a_refusal_is_not_repeated(kernel: ScriptedKernel, client: AnyClient) -> None:
    kernel.answers(problem(403, "denied"), json(an_agent()))

    with pytest.raises(ProblemError):
        client.run(agents.get("scout"))

    assert len(kernel.requests) == 1


def test_retry_after_is_honoured(kernel: ScriptedKernel, client: AnyClient) -> None:
    kernel.answers(problem(429, "too-many-requests", retry_after="1"), json(an_agent()))
    loop_time = datetime.now(UTC)

    client.run(agents.get("scout"))

    assert (datetime.now(UTC) - loop_time).total_seconds() >= 1


def test_a_longer_pause_than_ones_patience_is_an_error_at_once(kernel: ScriptedKernel, client: AnyClient) -> None:
    kernel.answers(problem(429, "too-many-requests", retry_after="3600"), json(an_agent()))

    with pytest.raises(ProblemError) as refused:
        client.run(agents.get("scout"))

    assert refused.value.retry_after_s == 3600
    assert len(kernel.requests) == 1


def test_repeating_ends(kernel: ScriptedKernel, client: AnyClient) -> None:
    kernel.answers(*[problem(503, "overloaded")] * 10)

    with pytest.raises(ProblemError):
        client.run(agents.get("scout"))

    assert len(kernel.requests) == 1 + QUICK.most


def test_nobody_listening_is_said_with_the_address(kind: type[Sync] | type[Awaiting]) -> None:
    with pytest.raises(Unreachable, match=r"http://127\.0\.0\.1:9 cannot be reached: nobody answers there"):
        kind("http://127.0.0.1:9").run(agents.get("scout"))


@pytest.mark.parametrize(
    "url", ["127.0.0.1:7700", "ftp://x", "", "http://", "http://x:99999", "http://x:y", "http://x:0"]
)
def test_an_address_has_to_be_one(kind: type[Sync] | type[Awaiting], url: str) -> None:
    with pytest.raises(ValueError, match="is not an http or https address"):
        kind(url).run(agents.get("scout"))


# -- listings --------------------------------------------------------------------------------------------------------


def test_pages_follow_the_cursor_with_the_same_filters(kernel: ScriptedKernel, client: AnyClient) -> None:
    kernel.answers(
        json({"items": [a_peer("a"), a_peer("b")], "next_cursor": "c+/1"}),
        json({"items": [], "next_cursor": "c2"}),
        json({"items": [a_peer("c")], "next_cursor": None}),
    )

    peers = client.pages(agents.peers(limit=2))

    assert [peer.name for peer in peers] == ["a", "b", "c"]
    assert all(isinstance(peer, PeerView) for peer in peers)
    assert [request.target for request in kernel.requests] == [
        "/api/agent-peers?limit=2",
        "/api/agent-peers?limit=2&cursor=c%2B%2F1",
        "/api/agent-peers?limit=2&cursor=c2",
    ]


def test_a_page_that_fails_is_asked_for_again(kernel: ScriptedKernel, client: AnyClient) -> None:
    kernel.answers(
        json({"items": [a_peer("a")], "next_cursor": "c1"}),
        problem(503, "overloaded"),
        json(Page([a_peer("b")])),
    )

    assert [peer.name for peer in client.pages(agents.peers())] == ["a", "b"]


# -- waiting ---------------------------------------------------------------------------------------------------------


def test_a_long_poll_outlasts_the_clients_own_patience(
    kind: type[Sync] | type[Awaiting], kernel: ScriptedKernel
) -> None:
    kernel.answers(*[Answer(200, b'{"items":[]}', delay_s=0.5)] * 2)

    assert kind(kernel.url, timeout_s=0.1).run(inbox.receive(wait_s=5)) == Deliveries([])
    with pytest.raises(Unreachable, match="no answer in time"):
        kind(kernel.url, timeout_s=0.1, retries=Retries(most=0)).run(inbox.receive())


# -- streams ---------------------------------------------------------------------------------------------------------


def test_a_stream_ends_with_its_last_item(kernel: ScriptedKernel, client: AnyClient) -> None:
    kernel.answers(stream(a_task_event(1, "submitted"), a_task_event(2, "working"), a_task_event(3, "completed")))

    seen = client.stream(tasks.follow("task_1"))

    assert [event.generation for event in seen] == [1, 2, 3]
    assert all(isinstance(event, TaskEvent) for event in seen)
    assert kernel.requests[0].headers["accept"] == "text/event-stream"
    assert "last-event-id" not in kernel.requests[0].headers


def test_a_stream_goes_on_where_it_broke(kernel: ScriptedKernel, client: AnyClient) -> None:
    kernel.answers(
        stream(a_task_event(1, "submitted"), a_task_event(2, "working"), b"id: 3\ndata: {", breaks=True),
        Answer(silent=True),
        problem(503, "stopping"),
        stream(a_task_event(3, "working")),
        stream(b": keep-alive\nid: 5\n\n"),
        stream(a_task_event(6, "completed")),
    )

    seen = client.stream(tasks.follow("task_1"))

    assert [event.generation for event in seen] == [1, 2, 3, 6]
    assert [request.headers.get("last-event-id") for request in kernel.requests] == [None, "2", "2", "2", "3", "5"]


def test_a_stream_can_begin_in_the_middle(kernel: ScriptedKernel, client: AnyClient) -> None:
    kernel.answers(stream(a_task_event(6, "canceled")))

    client.stream(tasks.follow("task_1", after=5))

    assert kernel.requests[0].headers["last-event-id"] == "5"


def test_a_reset_is_an_item_of_its_own(kernel: ScriptedKernel, client: AnyClient) -> None:
    kernel.answers(stream(b'id: 40\nevent: reset\ndata: {"oldest":41}\n\n', an_event(41)))

    first, second = client.stream(events.follow(types=["task", "key.revoked"], subject="task_1", after=3), most=2)

    assert first == Reset(oldest=41)
    assert isinstance(second, EventView)
    assert kernel.requests[0].target == "/api/events?type=task&type=key.revoked&subject=task_1"


def test_a_refused_stream_is_a_problem(kernel: ScriptedKernel, client: AnyClient) -> None:
    kernel.answers(problem(404, "not-found", "No such task."))

    with pytest.raises(ProblemError, match="No such task"):
        client.stream(tasks.follow("task_1"))


def test_a_stream_that_is_told_not_to_come_back_does_not(kernel: ScriptedKernel, client: AnyClient) -> None:
    kernel.answers(stream(a_task_event(1, "working")), Answer(204))

    assert len(client.stream(tasks.follow("task_1"))) == 1


def test_a_stream_that_ends_again_and_again_is_given_up(kernel: ScriptedKernel, client: AnyClient) -> None:
    kernel.answers(*[stream()] * 10)

    with pytest.raises(Unreachable, match="again and again"):
        client.stream(tasks.follow("task_1"))

    assert len(kernel.requests) == 1 + QUICK.most


def test_each_message_renews_the_patience(kernel: ScriptedKernel, client: AnyClient) -> None:
    kernel.answers(*[stream(an_event(offset)) for offset in range(1, 11)])

    seen = client.stream(events.follow(), most=10)

    assert len(seen) == 10


# -- what a call is --------------------------------------------------------------------------------------------------


def test_running_the_same_value_again_is_a_repeat(kernel: ScriptedKernel, client: AnyClient) -> None:
    call = tasks.send(SendRequest(parts=[Part(text="hello")], agent="echo"), wait_s=3)
    kernel.answers(problem(422, "invalid-request"), problem(422, "invalid-request"))

    for _ in range(2):
        with pytest.raises(ProblemError):
            client.run(call)

    first, second = kernel.requests
    assert first.headers["idempotency-key"] == second.headers["idempotency-key"] == call.idempotency_key
    assert first.target == "/api/tasks?wait_s=3"


def test_ones_own_idempotency_key_is_used() -> None:
    assert keys.create(NewKey(Role.VIEWER), idempotency_key="mine").idempotency_key == "mine"
