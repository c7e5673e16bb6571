"""The SDK's own client against a real kernel, authenticated, over all bindings and at both kinds of endpoint."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import grpc.aio
import httpx
import pytest
from a2a.client import AuthInterceptor, Client, ClientCallContext, ClientConfig, ClientFactory, CredentialService
from a2a.client.card_resolver import A2ACardResolver
from a2a.types import a2a_pb2 as pb
from a2a.utils import errors as sdk
from a2a.utils.constants import TransportProtocol
from google.protobuf.json_format import MessageToDict
from tests.flows.kernel import Agent, Kernel

from memroos_kit.ids import new_id

BINDINGS = [TransportProtocol.JSONRPC.value, TransportProtocol.HTTP_JSON.value, TransportProtocol.GRPC.value]
SUBMITTED, WORKING, COMPLETED, CANCELED, INPUT_REQUIRED, AUTH_REQUIRED = (
    pb.TASK_STATE_SUBMITTED,
    pb.TASK_STATE_WORKING,
    pb.TASK_STATE_COMPLETED,
    pb.TASK_STATE_CANCELED,
    pb.TASK_STATE_INPUT_REQUIRED,
    pb.TASK_STATE_AUTH_REQUIRED,
)


@pytest.fixture(scope="module")
def caller(kernel: Kernel) -> Agent:
    """Who sends: an agent with a key."""
    return kernel.create_agent("sdk-caller")


@pytest.fixture(scope="module")
def clerk(kernel: Kernel) -> Agent:
    """A REST agent that is reached by skill."""
    return kernel.create_agent("clerk", skills=("booking",))


@pytest.fixture(params=BINDINGS)
def binding(request: pytest.FixtureRequest) -> str:
    """Which binding the client speaks."""
    return str(request.param)


class Key(CredentialService):
    """Gives the same key for every scheme that a card names."""

    def __init__(self, key: str) -> None:
        self._key = key

    async def get_credentials(self, security_scheme_name: str, context: ClientCallContext | None) -> str | None:
        return self._key or None


@asynccontextmanager
async def client_at(
    kernel: Kernel, key: str, binding: str, path: str = "", *, streaming: bool = True
) -> AsyncIterator[Client]:
    """Return a client made from the card at an endpoint, as the SDK's documentation has it."""
    async with kernel.async_client(key) as http:
        card = await A2ACardResolver(http, f"{kernel.url}{path}").get_agent_card()
    async with kernel.async_client("") as http:
        config = ClientConfig(
            httpx_client=http,
            grpc_channel_factory=grpc.aio.insecure_channel,
            supported_protocol_bindings=[binding],
            streaming=streaming,
        )
        client = ClientFactory(config).create(card, interceptors=[AuthInterceptor(Key(key))])
        try:
            yield client
        finally:
            if binding == TransportProtocol.GRPC.value:
                await client.close()


def message(text: str, *, to: str = "", **words: Any) -> pb.SendMessageRequest:
    """Return a request; at the kernel's own endpoint `to` is a skill."""
    request = pb.SendMessageRequest(
        message=pb.Message(message_id=new_id("msg"), role=pb.ROLE_USER, parts=[pb.Part(text=text)], **words)
    )
    if to:
        request.message.metadata.update({"memroos.skill": to})
    return request


async def all_of(client: Client, request: pb.SendMessageRequest) -> list[pb.StreamResponse]:
    return [item async for item in client.send_message(request)]


def run(story: Callable[[], Awaitable[None]]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(30):
            await story()

    asyncio.run(bounded())


def kinds(items: list[pb.StreamResponse]) -> list[str]:
    return [str(item.WhichOneof("payload")) for item in items]


# -- one agent that answers at once ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("path", "skill"), [("", "echo"), ("/a2a/agents/echo", "")], ids=["kernel", "agent"])
def test_a_blocking_send_brings_the_finished_task(
    kernel: Kernel, caller: Agent, binding: str, path: str, skill: str
) -> None:
    async def story() -> None:
        async with client_at(kernel, caller.key, binding, path, streaming=False) as client:
            (answer,) = await all_of(client, message("hello", to=skill))
            task = answer.task
            assert task.status.state == COMPLETED
            assert [part.text for artifact in task.artifacts for part in artifact.parts] == ["hello"]
            assert [m.parts[0].text for m in task.history] == ["hello"]
            assert MessageToDict(task.metadata)["memroos"]["agent"] == "echo"

    run(story)


@pytest.mark.parametrize(("path", "skill"), [("", "echo"), ("/a2a/agents/echo", "")], ids=["kernel", "agent"])
def test_a_stream_begins_with_the_task_and_ends_with_its_end(
    kernel: Kernel, caller: Agent, binding: str, path: str, skill: str
) -> None:
    async def story() -> None:
        async with client_at(kernel, caller.key, binding, path) as client:
            items = await all_of(client, message("hello", to=skill))
            assert kinds(items) == ["task", "status_update", "artifact_update", "status_update"]
            assert [items[0].task.status.state, items[1].status_update.status.state] == [SUBMITTED, WORKING]
            assert items[2].artifact_update.artifact.parts[0].text == "hello"
            assert items[2].artifact_update.last_chunk
            assert items[3].status_update.status.state == COMPLETED
            assert {item.status_update.task_id for item in (items[1], items[3])} == {items[0].task.id}

    run(story)


def test_every_kind_of_part_comes_back_as_it_was(kernel: Kernel, caller: Agent, binding: str) -> None:
    parts = [
        pb.Part(text="grüße 🙂", media_type="text/plain"),
        pb.Part(raw=bytes(range(256)), filename="all.bin", media_type="application/octet-stream"),
        pb.Part(url="https://files.example/x", filename="x"),
    ]
    data = pb.Part()
    data.data.struct_value.update({"list": [1, "two", None, True, {"deep": []}], "empty": {}})

    async def story() -> None:
        async with client_at(kernel, caller.key, binding, "/a2a/agents/echo", streaming=False) as client:
            request = message("x")
            del request.message.parts[:]
            request.message.parts.extend([*parts, data])
            (answer,) = await all_of(client, request)
            assert list(answer.task.artifacts[0].parts) == [*parts, data]

    run(story)


def test_a_message_sent_again_is_the_same_task(kernel: Kernel, caller: Agent, binding: str) -> None:
    async def story() -> None:
        async with client_at(kernel, caller.key, binding, "/a2a/agents/echo", streaming=False) as client:
            request = message("only once")
            (first,) = await all_of(client, request)
            (again,) = await all_of(client, request)
            assert again.task == first.task

    run(story)


def test_a_finished_task_is_got_with_as_much_history_as_asked_for(kernel: Kernel, caller: Agent, binding: str) -> None:
    async def story() -> None:
        async with client_at(kernel, caller.key, binding, "/a2a/agents/echo", streaming=False) as client:
            (sent,) = await all_of(client, message("hello"))
            whole = await client.get_task(pb.GetTaskRequest(id=sent.task.id))
            bare = await client.get_task(pb.GetTaskRequest(id=sent.task.id, history_length=0))
            assert whole == sent.task
            assert (len(whole.history), len(bare.history)) == (1, 0)

    run(story)


def test_tasks_are_listed_page_by_page_and_by_filter(kernel: Kernel, binding: str) -> None:
    owner = kernel.create_agent(f"lister-{binding.lower().replace('+', '-')}")

    async def story() -> None:
        async with client_at(kernel, owner.key, binding, "/a2a/agents/echo", streaming=False) as client:
            sent = [
                (await all_of(client, message(f"task {n}", context_id=f"ctx-{n % 2}")))[0].task.id for n in range(5)
            ]
            seen: list[str] = []
            token = ""
            while True:
                page = await client.list_tasks(pb.ListTasksRequest(page_size=2, page_token=token))
                assert (page.total_size, page.page_size) == (5, 2)
                seen += [task.id for task in page.tasks]
                assert not any(task.artifacts or task.history for task in page.tasks)
                token = page.next_page_token
                if not token:
                    break
            assert seen == sent[::-1]

            one = await client.list_tasks(
                pb.ListTasksRequest(context_id="ctx-0", history_length=1, include_artifacts=True, status=COMPLETED)
            )
            assert sorted(task.id for task in one.tasks) == sorted(sent[::2])
            assert all(task.artifacts and task.history for task in one.tasks)
            none = await client.list_tasks(pb.ListTasksRequest(status=WORKING))
            assert (len(none.tasks), none.total_size) == (0, 0)
            recent = pb.ListTasksRequest()
            recent.status_timestamp_after.CopyFrom(one.tasks[0].status.timestamp)
            assert (await client.list_tasks(recent)).total_size == 1
            for wrong in (pb.ListTasksRequest(page_size=101), pb.ListTasksRequest(page_token="x")):
                with pytest.raises(sdk.InvalidParamsError):
                    await client.list_tasks(wrong)

    run(story)


# -- an agent that takes its time --------------------------------------------------------------------------------------


def test_a_conversation_goes_back_and_forth(kernel: Kernel, caller: Agent, clerk: Agent, binding: str) -> None:
    async def story() -> None:
        async with client_at(kernel, caller.key, binding) as client:
            asking = asyncio.ensure_future(all_of(client, message("Book a table.", to="booking")))
            first = await asyncio.to_thread(clerk.claim)
            await asyncio.to_thread(clerk.report, first, "ask", parts=[{"text": "For how many?"}])
            items = await asking
            task = items[0].task
            assert items[-1].status_update.status.state == INPUT_REQUIRED
            assert items[-1].status_update.status.message.parts[0].text == "For how many?"

            answering = asyncio.ensure_future(all_of(client, message("For four.", task_id=task.id)))
            second = await asyncio.to_thread(clerk.claim)
            assert second["message"]["parts"] == [{"text": "For four."}]
            assert [turn["parts"][0]["text"] for turn in second["history"]] == [
                "Book a table.",
                "For how many?",
                "For four.",
            ]
            artifact = {"artifact_id": "a", "parts": [{"text": "table 7"}]}
            await asyncio.to_thread(clerk.report, second, "artifact", artifact=artifact)
            await asyncio.to_thread(clerk.report, second, "complete", parts=[{"text": "Booked."}])
            items = await answering
            assert items[0].task.id == task.id
            assert items[-1].status_update.status.state == COMPLETED
            assert "artifact_update" in kinds(items)
            whole = await client.get_task(pb.GetTaskRequest(id=task.id))
            assert [m.parts[0].text for m in whole.history] == ["Book a table.", "For how many?", "For four."]
            assert whole.status.message.parts[0].text == "Booked."

    run(story)


def test_an_answer_sent_twice_is_given_once_and_its_stream_ends(
    kernel: Kernel, caller: Agent, clerk: Agent, binding: str
) -> None:
    async def story() -> None:
        async with client_at(kernel, caller.key, binding) as client:
            request = message("Book.", to="booking")
            asking = asyncio.ensure_future(all_of(client, request))
            first = await asyncio.to_thread(clerk.claim)
            await asyncio.to_thread(clerk.report, first, "ask", parts=[{"text": "When?"}])
            await asking
            again = await all_of(client, request)  # ends at once: the task waits for the caller
            assert [kinds(again), again[0].task.status.state] == [["task"], INPUT_REQUIRED]
            await client.cancel_task(pb.CancelTaskRequest(id=again[0].task.id))

    run(story)


def test_who_does_not_want_to_wait_gets_the_task_at_once(
    kernel: Kernel, caller: Agent, clerk: Agent, binding: str
) -> None:
    async def story() -> None:
        async with client_at(kernel, caller.key, binding, streaming=False) as client:
            request = message("Later.", to="booking")
            request.configuration.return_immediately = True
            (answer,) = await all_of(client, request)
            assert answer.task.status.state == SUBMITTED

            canceled = await client.cancel_task(pb.CancelTaskRequest(id=answer.task.id))
            again = await client.cancel_task(pb.CancelTaskRequest(id=answer.task.id))
            assert canceled.status.state == CANCELED
            assert again == canceled
            with pytest.raises(sdk.UnsupportedOperationError):
                await all_of(client, message("more", task_id=answer.task.id))

    run(story)


def test_two_subscribers_see_the_same_and_closing_one_ends_nothing(
    kernel: Kernel, caller: Agent, clerk: Agent, binding: str
) -> None:
    sent = {"skill": "booking", "parts": [{"text": "Watch me."}]}
    task_id = kernel.done("POST", "/api/tasks", sent, key=caller.key)["id"]

    async def story() -> None:
        async with client_at(kernel, caller.key, binding) as client:
            began = asyncio.Semaphore(0)

            async def watch(most: int) -> list[pb.StreamResponse]:
                items = []
                async for item in client.subscribe(pb.SubscribeToTaskRequest(id=task_id)):
                    items.append(item)
                    began.release()
                    if len(items) == most:
                        break
                return items

            watchers = [asyncio.ensure_future(watch(most)) for most in (99, 99, 1)]
            for _ in watchers:
                await began.acquire()
            claim = await asyncio.to_thread(clerk.claim)
            for n in range(3):
                await asyncio.to_thread(clerk.report, claim, "progress", parts=[{"text": f"step {n}"}])
            await asyncio.to_thread(clerk.report, claim, "complete")
            one, two, short = await asyncio.gather(*watchers)
            assert one == two
            assert kinds(short) == ["task"]
            assert one[0].task.status.state == SUBMITTED
            steps = [item.status_update.status for item in one[1:]]
            assert [s.state for s in steps] == [WORKING, WORKING, WORKING, WORKING, COMPLETED]
            assert [s.message.parts[0].text for s in steps[1:4]] == ["step 0", "step 1", "step 2"]
            with pytest.raises(sdk.UnsupportedOperationError):
                [item async for item in client.subscribe(pb.SubscribeToTaskRequest(id=task_id))]

    run(story)


def test_a_hold_shows_as_auth_required_and_the_same_stream_goes_on_after_the_answer(
    kernel: Kernel, caller: Agent, clerk: Agent, binding: str
) -> None:
    held = kernel.done(
        "POST",
        "/api/tasks",
        {"skill": "booking", "parts": [{"text": "secret"}], "label": {"sensitivity": "restricted"}},
        key=caller.key,
    )

    async def story() -> None:
        async with client_at(kernel, caller.key, binding) as client:
            items: list[pb.StreamResponse] = []
            answered = False
            async for item in client.subscribe(pb.SubscribeToTaskRequest(id=held["id"])):
                items.append(item)
                if not answered:
                    answered = True
                    assert item.task.status.state == AUTH_REQUIRED
                    approval = MessageToDict(item.task.status.message.metadata)["memroos"]["approval"]
                    assert approval == held["approval_id"]
                    await asyncio.to_thread(kernel.done, "POST", f"/api/approvals/{approval}/approve", {})
                    claim = await asyncio.to_thread(clerk.claim)
                    await asyncio.to_thread(clerk.report, claim, "complete")
            assert [i.status_update.status.state for i in items[1:]] == [SUBMITTED, WORKING, COMPLETED]

    run(story)


# -- what is refused ---------------------------------------------------------------------------------------------------


def test_errors_are_those_of_the_protocol(kernel: Kernel, caller: Agent, clerk: Agent, binding: str) -> None:
    stranger = kernel.create_agent(f"stranger-{binding.lower().replace('+', '-')}")
    mine = kernel.done("POST", "/api/tasks", {"agent": "echo", "parts": [{"text": "x"}]}, key=caller.key)

    async def story() -> None:
        async with client_at(kernel, stranger.key, binding) as client:
            for task_id in (mine["id"], "task_00000000000000000000000000", "nonsense"):
                with pytest.raises(sdk.TaskNotFoundError) as missing:
                    await client.get_task(pb.GetTaskRequest(id=task_id))
                assert str(missing.value) == f"There is no task {task_id}."
                with pytest.raises(sdk.TaskNotFoundError):
                    await client.cancel_task(pb.CancelTaskRequest(id=task_id))
                with pytest.raises(sdk.TaskNotFoundError):
                    [item async for item in client.subscribe(pb.SubscribeToTaskRequest(id=task_id))]
                with pytest.raises(sdk.TaskNotFoundError):
                    await all_of(client, message("hello", task_id=task_id))
            for wrong in (message("to nobody"), message("x", to="no-such-skill"), pb.SendMessageRequest()):
                with pytest.raises(sdk.InvalidParamsError):
                    await all_of(client, wrong)
            with pytest.raises(sdk.TaskNotFoundError):  # another tenant is nowhere
                await client.list_tasks(pb.ListTasksRequest(tenant="elsewhere"))
            assert (await client.list_tasks(pb.ListTasksRequest(tenant="default"))).total_size == 0
        async with client_at(kernel, caller.key, binding) as client:
            with pytest.raises(sdk.TaskNotCancelableError):
                await client.cancel_task(pb.CancelTaskRequest(id=mine["id"]))
            with pytest.raises(sdk.InvalidParamsError, match="not in the allow-list"):
                await client.create_task_push_notification_config(
                    pb.TaskPushNotificationConfig(task_id=mine["id"], url="https://hook.example")
                )

    run(story)


def test_a_task_is_not_found_at_the_endpoint_of_another_agent(
    kernel: Kernel, caller: Agent, clerk: Agent, binding: str
) -> None:
    mine = kernel.done("POST", "/api/tasks", {"agent": "echo", "parts": [{"text": "x"}]}, key=caller.key)

    async def story() -> None:
        async with client_at(kernel, caller.key, binding, "/a2a/agents/clerk") as client:
            with pytest.raises(sdk.TaskNotFoundError):
                await client.get_task(pb.GetTaskRequest(id=mine["id"]))
            assert mine["id"] not in {task.id for task in (await client.list_tasks(pb.ListTasksRequest())).tasks}

    run(story)


@pytest.mark.parametrize("key", ["", "mr_agent_0000000000000000_nothing"], ids=["none", "unknown"])
def test_a_key_that_is_not_valid_gets_nowhere(kernel: Kernel, binding: str, key: str) -> None:
    async def story() -> None:
        async with kernel.async_client("") as http:
            card = await A2ACardResolver(http, kernel.url).get_agent_card()  # the kernel's own card is public
            config = ClientConfig(
                httpx_client=http,
                grpc_channel_factory=grpc.aio.insecure_channel,
                supported_protocol_bindings=[binding],
                streaming=False,
            )
            client = ClientFactory(config).create(card, interceptors=[AuthInterceptor(Key(key))])
            with pytest.raises(sdk.A2AError) as refused:
                await client.get_task(pb.GetTaskRequest(id="x"))
            assert ("UNAUTHENTICATED" if binding == "GRPC" else "401") in str(refused.value)
            if binding == "GRPC":
                await client.close()

    run(story)


def test_cards_name_the_configured_address_whatever_host_was_asked(kernel: Kernel, clerk: Agent) -> None:
    for path in ("", "/a2a/agents/clerk"):
        card = kernel.call("GET", f"{path}/.well-known/agent-card.json", headers={"Host": "evil.example"})
        assert card.status_code == 200
        assert {i["url"] for i in card.json()["supportedInterfaces"]} == {
            f"{kernel.url}{path or '/a2a'}",
            kernel.grpc_address,
        }
        assert "evil" not in card.text
        again = httpx.get(
            f"{kernel.url}{path}/.well-known/agent-card.json",
            headers={**kernel.headers(), "If-None-Match": card.headers["etag"]},
            trust_env=False,
        )
        assert (again.status_code, again.content) == (304, b"")
