"""The same stories through every A2A door, each binding in each version: what comes back is the same."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import grpc
import pytest
from a2a.types import a2a_pb2 as pb
from google.protobuf.json_format import MessageToDict
from tests.flows.a2a_doors import doors
from tests.flows.a2a_grpc_door import details_of
from tests.flows.a2a_words import Door, Refused
from tests.flows.kernel import Agent, Kernel

from memroos_kit.ids import new_id

MISSING = "task_01ARZ3NDEKTSV4RRFFQ69G5FAV"


@pytest.fixture(scope="module")
def kernel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kernel]:
    """A kernel that would call a webhook."""
    with Kernel(tmp_path_factory.mktemp("kernel"), settings={"outbound_allow": "127.0.0.1"}) as running:
        yield running


@pytest.fixture(scope="module")
def caller(kernel: Kernel) -> Agent:
    """Who sends."""
    return kernel.create_agent("doors-caller")


@pytest.fixture(scope="module")
def clerk(kernel: Kernel) -> Agent:
    """Who works."""
    return kernel.create_agent("doors-clerk", skills=("filing",))


class World:
    """Who takes part in a story."""

    def __init__(self, kernel: Kernel, caller: Agent, clerk: Agent) -> None:
        self.kernel = kernel
        self._caller = caller
        self._clerk = clerk

    async def hold(self) -> Any:
        """Have the caller send what waits for an operator."""
        body = {"skill": "filing", "parts": [{"text": "secret"}], "label": {"sensitivity": "restricted"}}
        return await asyncio.to_thread(self.kernel.done, "POST", "/api/tasks", body, key=self._caller.key)

    async def approve(self, approval: str) -> None:
        await asyncio.to_thread(self.kernel.done, "POST", f"/api/approvals/{approval}/approve", {})

    async def claim(self) -> Any:
        return await asyncio.to_thread(self._clerk.claim)

    async def report(self, claim: Any, deed: str, **fields: Any) -> None:
        response = await asyncio.to_thread(self._clerk.report, claim, deed, **fields)
        assert response.is_success, response.text


def message(text: str, *, skill: str = "echo", **words: Any) -> pb.Message:
    said = pb.Message(message_id=new_id("msg"), role=pb.ROLE_USER, parts=[pb.Part(text=text)], **words)
    if skill:
        said.metadata.update({"memroos.skill": skill})
    return said


def texts(parts: Any) -> list[str]:
    # Sorted: protocol buffers keep no order in an object.
    return [part.text or json.dumps(MessageToDict(part), sort_keys=True) for part in parts]


def of_status(status: pb.TaskStatus) -> tuple[Any, ...]:
    assert status.HasField("timestamp")
    return (pb.TaskState.Name(status.state), texts(status.message.parts))


def of_task(task: pb.Task) -> dict[str, Any]:
    """Return what a task says, without what differs from one task to the next."""
    assert task.id.startswith("task_")
    assert task.context_id
    return {
        "status": of_status(task.status),
        "history": [(pb.Role.Name(said.role), texts(said.parts)) for said in task.history],
        "artifacts": [(made.name, texts(made.parts)) for made in task.artifacts],
    }


def of_item(item: pb.StreamResponse) -> tuple[str, Any]:
    match item.WhichOneof("payload"):
        case "task":
            return "task", of_task(item.task)
        case "status_update":
            return "status", of_status(item.status_update.status)
        case "artifact_update":
            made = item.artifact_update
            return "artifact", (texts(made.artifact.parts), made.append, made.last_chunk)
    raise AssertionError(item)


async def all_of(items: AsyncIterator[pb.StreamResponse]) -> list[Any]:
    return [of_item(item) async for item in items]


async def refusal(attempt: Awaitable[Any]) -> tuple[str, str]:
    with pytest.raises(Refused) as refused:
        await attempt
    return refused.value.reason, refused.value.message


# -- the stories: each takes a door and returns what came back ---------------------------------------------------------


async def blocking_send(door: Door, _: World) -> Any:
    task = await door.send(message("hello"))
    return of_task(task), of_task(await door.get(task.id))


async def content_of_every_kind(door: Door, _: World) -> Any:
    said = message("words")
    said.parts.append(pb.Part(raw=b"\x00\xff", media_type="application/octet-stream", filename="a.bin"))
    said.parts.append(pb.Part(url="https://files.example/x", media_type="text/plain"))
    said.parts.add().data.struct_value.update({"n": 1.5, "deep": {"list": [1.0, "two", None, True]}})
    return of_task(await door.send(said))


async def send_without_waiting(door: Door, world: World) -> Any:
    task = await door.send(message("later", skill="filing"), return_immediately=True)
    claim = await world.claim()
    await world.report(claim, "complete", parts=[{"text": "done"}])
    return of_task(task), of_task(await door.get(task.id))


async def stream_of_an_echo(door: Door, _: World) -> Any:
    return await all_of(door.stream(message("flow")))


async def stream_with_chunks(door: Door, world: World) -> Any:
    async with asyncio.TaskGroup() as group:
        items = group.create_task(all_of(door.stream(message("chunks", skill="filing"))))
        claim = await world.claim()
        await world.report(claim, "progress", parts=[{"text": "begun"}])
        for text, append, last in (("a", False, False), ("b", True, False), ("c", True, True)):
            await world.report(
                claim,
                "artifact",
                artifact={"artifact_id": "x", "name": "file", "parts": [{"text": text}]},
                append=append,
                last_chunk=last,
            )
        await world.report(claim, "complete", parts=[{"text": "done"}])
    return items.result()


async def several_turns(door: Door, world: World) -> Any:
    async with asyncio.TaskGroup() as group:
        asked = group.create_task(door.send(message("book", skill="filing")))
        claim = await world.claim()
        await world.report(claim, "ask", parts=[{"text": "when?"}])
    task = asked.result()
    async with asyncio.TaskGroup() as group:
        answered = group.create_task(door.send(message("now", skill="", task_id=task.id)))
        again = await world.claim()
        await world.report(again, "complete", parts=[{"text": "booked"}])
    assert (answered.result().id, answered.result().context_id) == (task.id, task.context_id)
    return of_task(task), of_task(answered.result())


async def stream_until_asked(door: Door, world: World) -> Any:
    async with asyncio.TaskGroup() as group:
        items = group.create_task(all_of(door.stream(message("ask me", skill="filing"))))
        claim = await world.claim()
        await world.report(claim, "ask", parts=[{"text": "what?"}])
    return items.result()


async def subscribe_and_cancel(door: Door, world: World) -> Any:
    task = await door.send(message("long", skill="filing"), return_immediately=True)
    items = door.subscribe(task.id)
    first = of_item(await anext(items))
    canceled = of_task(await door.cancel(task.id))
    rest = [of_item(item) async for item in items]
    again = of_task(await door.cancel(task.id))
    reason, _ = await refusal(anext(door.subscribe(task.id)))
    return first, canceled, rest, again, reason


async def history_lengths(door: Door, world: World) -> Any:
    async with asyncio.TaskGroup() as group:
        asked = group.create_task(door.send(message("one", skill="filing")))
        await world.report(await world.claim(), "ask", parts=[{"text": "two?"}])
    task = asked.result()
    async with asyncio.TaskGroup() as group:
        answered = group.create_task(door.send(message("three", skill="", task_id=task.id), history_length=1))
        await world.report(await world.claim(), "complete", parts=[{"text": "four"}])
    return (
        of_task(answered.result()),
        [of_task(await door.get(task.id, length)) for length in (None, 1, 2, 50)],
    )


async def what_is_refused(door: Door, _: World) -> Any:
    done = await door.send(message("finished"))
    other = await door.send(message("other"))
    blank = message("x")
    del blank.parts[:]
    agent_side = message("x")
    agent_side.role = pb.ROLE_AGENT
    return [
        await refusal(attempt)
        for attempt in (
            door.get(MISSING),
            door.get("no id at all"),
            door.cancel(MISSING),
            anext(door.subscribe(MISSING)),
            door.send(message("x", skill="", task_id=MISSING)),
            anext(door.stream(message("x", skill="nobody offers this"))),
            door.send(blank),
            door.send(agent_side),
            door.get(done.id, -1),
        )
    ] + [
        (await refusal(door.cancel(done.id)))[0],
        (await refusal(door.send(message("more", skill="", task_id=done.id))))[0],
        (await refusal(door.send(message("mixed", skill="", task_id=done.id, context_id=other.context_id))))[0],
    ]


async def authorization_within_a_task(door: Door, world: World) -> Any:
    held = await world.hold()
    seen = await door.get(held["id"])
    approval = MessageToDict(seen.status.message.metadata)["memroos"]["approval"]
    insisting = await door.send(message("please", skill="", task_id=seen.id), return_immediately=True)
    items = door.subscribe(seen.id)
    first = of_item(await anext(items))
    await world.approve(approval)
    await world.report(await world.claim(), "complete", parts=[{"text": "done"}])
    rest = [of_item(item) async for item in items]
    return approval == held["approval_id"], of_task(seen), of_task(insisting), first, rest


async def the_same_message_twice(door: Door, _: World) -> Any:
    said = message("once")
    first, second = await door.send(said), await door.send(said)
    said.parts[0].text = "another body under the same id"
    third = await door.send(said)
    return first.id == second.id, first.id == third.id, of_task(third)


async def push_configurations(door: Door, world: World) -> Any:
    task = await door.send(message("notify", skill="filing"), return_immediately=True)
    wish = pb.TaskPushNotificationConfig(task_id=task.id, id="mine", url=HOOK, token="t" * 16)

    def of(config: pb.TaskPushNotificationConfig) -> Any:
        return config.id, config.url, config.task_id == task.id, config.token

    said = [of(await door.set_push(wish)), of(await door.get_push(task.id, "mine"))]
    said += [of(config) for config in await door.list_push(task.id)]
    await door.delete_push(task.id, "mine")
    await door.delete_push(task.id, "mine")
    said += [of(config) for config in await door.list_push(task.id)]
    wish.url = "http://169.254.169.254/latest"
    said.append((await refusal(door.set_push(wish)))[0])
    said.append((await refusal(door.get_push(MISSING, "mine")))[0])
    await door.cancel(task.id)
    return said


HOOK = "http://127.0.0.1:9/a2a"
STORIES = [
    blocking_send,
    content_of_every_kind,
    send_without_waiting,
    stream_of_an_echo,
    stream_with_chunks,
    several_turns,
    stream_until_asked,
    subscribe_and_cancel,
    history_lengths,
    what_is_refused,
    authorization_within_a_task,
    the_same_message_twice,
    push_configurations,
]


def tell(kernel: Kernel, key: str, story: Callable[[list[Door]], Awaitable[None]]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(90), doors(kernel, key) as all_doors:
            await story(all_doors)

    asyncio.run(bounded())


@pytest.mark.parametrize("story", STORIES, ids=lambda story: str(story.__name__))
def test_every_door_tells_the_same_story(
    kernel: Kernel, caller: Agent, clerk: Agent, story: Callable[[Door, World], Awaitable[Any]]
) -> None:
    world = World(kernel, caller, clerk)

    async def everywhere(all_doors: list[Door]) -> None:
        told = {door.name: await story(door, world) for door in all_doors}
        reference = told["JSON-RPC 1.0"]
        assert reference
        assert told == dict.fromkeys(told, reference)

    tell(kernel, caller.key, everywhere)


def test_a_hold_is_shown_and_only_its_operator_lifts_it(kernel: Kernel, caller: Agent, clerk: Agent) -> None:
    world = World(kernel, caller, clerk)

    async def at_one(all_doors: list[Door]) -> None:
        same, seen, insisting, first, rest = await authorization_within_a_task(all_doors[0], world)
        assert same
        assert seen["status"][0] == insisting["status"][0] == first[1]["status"][0] == "TASK_STATE_AUTH_REQUIRED"
        assert [said[0] for _, said in rest] == ["TASK_STATE_SUBMITTED", "TASK_STATE_WORKING", "TASK_STATE_COMPLETED"]

    tell(kernel, caller.key, at_one)


def test_lists_are_the_same_at_every_door_that_has_them(kernel: Kernel) -> None:
    key = kernel.create_agent("doors-lister").key

    async def everywhere(all_doors: list[Door]) -> None:
        listing = [door for door in all_doors if door.lists]
        context = (await all_doors[0].send(message("1"))).context_id
        for number in range(2, 6):
            await all_doors[0].send(message(str(number), context_id=context))
        await all_doors[0].send(message("elsewhere"))
        told = {}
        for door in listing:
            page = await door.list_tasks(contextId=context, pageSize=2, includeArtifacts=True, historyLength=1)
            rest = await door.list_tasks(contextId=context, pageSize=50, pageToken=page.next_page_token)
            none = await door.list_tasks(contextId=context, status="TASK_STATE_FAILED")
            told[door.name] = (
                [(task.id, of_task(task)) for page in (page, rest) for task in page.tasks],
                [(page.total_size, page.page_size, bool(page.next_page_token)) for page in (page, rest, none)],
                [
                    await refusal(door.list_tasks(**query))
                    for query in ({"pageSize": 0}, {"pageSize": 101}, {"historyLength": -1}, {"status": 99})
                ],
            )
        reference = told[listing[0].name]
        assert len(reference[0]) == 5
        assert [reason for reason, _ in reference[2]] == ["INVALID_PARAMS"] * 4
        assert told == dict.fromkeys(told, reference)

    tell(kernel, key, everywhere)


async def all_refusals(door: Door, task_id: str) -> list[tuple[str, str]]:
    """Return what is said to somebody who tries everything with a task, without the task's id."""
    said = [
        await refusal(attempt)
        for attempt in (
            door.get(task_id),
            door.cancel(task_id),
            anext(door.subscribe(task_id)),
            door.send(message("x", skill="", task_id=task_id)),
            door.list_push(task_id),
            door.get_push(task_id, "x"),
        )
    ]
    return [(reason, words.replace(task_id, "?")) for reason, words in said]


def test_what_belongs_to_others_is_unknown_at_every_door(kernel: Kernel, caller: Agent) -> None:
    stranger = kernel.create_agent("doors-stranger").key
    theirs: list[str] = []

    async def make(all_doors: list[Door]) -> None:
        theirs.append((await all_doors[0].send(message("mine"))).id)

    async def try_all(all_doors: list[Door]) -> None:
        for door in all_doors:
            foreign, unknown = [await all_refusals(door, task_id) for task_id in (theirs[0], MISSING)]
            assert {reason for reason, _ in foreign} == {"TASK_NOT_FOUND"}, door.name
            assert foreign == unknown, door.name

    tell(kernel, caller.key, make)
    tell(kernel, stranger, try_all)


def test_a_condition_on_the_generation_holds_at_every_door_of_1_0(kernel: Kernel, caller: Agent, clerk: Agent) -> None:
    task = kernel.done("POST", "/api/tasks", {"agent": clerk.name, "parts": [{"text": "x"}]}, key=caller.key)
    said, at = {"id": task["id"]}, {"A2A-Version": "1.0", "If-Match": '"7"'}
    body = {"jsonrpc": "2.0", "id": 1, "method": "CancelTask", "params": said}

    over_rpc = kernel.call("POST", "/a2a", body, key=caller.key, headers=at).json()["error"]
    over_rest = kernel.call("POST", f"/a2a/tasks/{task['id']}:cancel", key=caller.key, headers=at)
    with grpc.insecure_channel(kernel.grpc_address) as channel:
        cancel: Any = channel.unary_unary("/lf.a2a.v1.A2AService/CancelTask")
        metadata = (("authorization", f"Bearer {caller.key}"), ("a2a-version", "1.0"), ("if-match", '"7"'))
        with pytest.raises(grpc.RpcError) as refused:
            cancel(pb.CancelTaskRequest(id=task["id"]).SerializeToString(), metadata=metadata)

    assert (over_rpc["code"], over_rpc["data"][0]["reason"]) == (-32010, "TASK_GENERATION_MISMATCH")
    assert (over_rest.status_code, over_rest.json()["error"]["status"]) == (409, "ABORTED")
    over_grpc: Any = refused.value
    assert (over_grpc.code(), details_of(over_grpc)[0].reason) == (grpc.StatusCode.ABORTED, "TASK_GENERATION_MISMATCH")
    rest = {"A2A-Version": "1.0", "If-Match": f'"{task["generation"]}"'}
    assert kernel.call("POST", f"/a2a/tasks/{task['id']}:cancel", key=caller.key, headers=rest).status_code == 200
