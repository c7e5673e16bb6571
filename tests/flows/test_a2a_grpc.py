"""The gRPC door itself: nobody without a key, every role as the table says, limits, tenants, and an end in time."""

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import grpc
import pytest
from a2a.types import a2a_pb2 as pb
from google.protobuf.json_format import MessageToDict
from tests.flows.a2a_grpc_door import Grpc, details_of
from tests.flows.a2a_words import Refused
from tests.flows.kernel import Agent, Kernel

from memroos.web import access
from memroos.web.a2a.grpc import OPERATIONS
from memroos_contracts.identity import Role
from memroos_kit.ids import new_id

ROLES = [Role.OPERATOR, Role.AUDITOR, Role.VIEWER, Role.SERVICE, Role.AGENT]


@pytest.fixture(scope="module")
def caller(kernel: Kernel) -> Agent:
    """Who calls."""
    return kernel.create_agent("grpc-caller")


@pytest.fixture(scope="module")
def keys(kernel: Kernel, caller: Agent) -> dict[Role, str]:
    """A key of every role."""
    others = {role: kernel.create_key(role, name=f"grpc-{role}") for role in ROLES[1:-1]}
    return {Role.OPERATOR: kernel.operator_key, Role.AGENT: caller.key, **others}


@contextmanager
def channel(kernel: Kernel, **options: Any) -> Iterator[grpc.Channel]:
    with grpc.insecure_channel(kernel.grpc_address, options=list(options.items())) as opened:
        yield opened


def metadata(key: str, version: str = "1.0") -> tuple[tuple[str, str], ...]:
    return (
        *((("authorization", f"Bearer {key}"),) if key else ()),
        *((("a2a-version", version),) if version else ()),
    )


def version_of(method: str) -> str:
    return "1.0" if method.startswith("/lf.a2a.v1.") else "0.3"


def call(kernel: Kernel, method: str, body: bytes, said: tuple[tuple[str, str], ...]) -> grpc.RpcError | None:
    """Call a method with these bytes and return what it refused with, None where it let the caller in."""
    with channel(kernel) as opened:
        ask: Any = opened.unary_stream(method)
        items = ask(body, metadata=said, timeout=5)
        try:
            next(items)
        except StopIteration:
            return None
        except grpc.RpcError as error:
            return error
        finally:
            items.cancel()
    return None


def echo(text: str = "hi", **words: Any) -> pb.SendMessageRequest:
    message = pb.Message(message_id=new_id("msg"), role=pb.ROLE_USER, parts=[pb.Part(text=text)])
    message.metadata.update({"memroos.skill": "echo"})
    return pb.SendMessageRequest(message=message, **words)


@pytest.mark.parametrize("method", sorted(OPERATIONS))
@pytest.mark.parametrize(
    "said",
    [
        (),
        (("authorization", "Bearer mr_agent_0000000000000000_nothing"),),
        (("authorization", "Basic eDp5"),),
    ],
    ids=["none", "unknown", "no bearer"],
)
def test_without_a_valid_key_no_method_answers(kernel: Kernel, method: str, said: tuple[tuple[str, str], ...]) -> None:
    # The bytes are no message of any type: what is refused is not read.
    refused = call(kernel, method, b"\xff\xff\xff", (*said, ("a2a-version", version_of(method))))

    assert refused is not None
    assert refused.code() is grpc.StatusCode.UNAUTHENTICATED
    assert refused.details() == "Send a valid key as `Authorization: Bearer <key>`."


@pytest.mark.parametrize("method", sorted(set(OPERATIONS) - {"/a2a.v1.A2AService/GetAgentCard"}))
def test_bytes_that_are_no_message_are_the_callers_fault(kernel: Kernel, method: str) -> None:
    refused = call(kernel, method, b"\xff\xff\xff", metadata(kernel.operator_key, version_of(method)))

    assert refused is not None
    assert refused.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert "cannot be read" in str(refused.details())


def test_a_key_that_is_sent_twice_is_none(kernel: Kernel, caller: Agent) -> None:
    refused = call(kernel, "/lf.a2a.v1.A2AService/ListTasks", b"", metadata(caller.key) + metadata(caller.key))

    assert refused is not None
    assert refused.code() is grpc.StatusCode.UNAUTHENTICATED


def test_a_method_that_nobody_serves_is_told_to_those_with_a_key_only(kernel: Kernel, caller: Agent) -> None:
    for key, code in (("", grpc.StatusCode.UNAUTHENTICATED), (caller.key, grpc.StatusCode.UNIMPLEMENTED)):
        refused = call(kernel, "/lf.a2a.v1.A2AService/DropEverything", b"", metadata(key))
        assert refused is not None
        assert refused.code() is code


@pytest.mark.parametrize("method", sorted(OPERATIONS))
def test_roles_come_through_every_method_as_the_table_says(kernel: Kernel, keys: dict[Role, str], method: str) -> None:
    row = access.row(OPERATIONS[method])
    for role in ROLES:
        refused = call(kernel, method, b"", metadata(keys[role], version_of(method)))
        denied = refused is not None and refused.code() is grpc.StatusCode.PERMISSION_DENIED
        assert denied == (role not in row.roles), f"{role}: {refused}"
        assert refused is None or refused.code() not in {grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN}, refused


@pytest.mark.parametrize("method", sorted(OPERATIONS))
@pytest.mark.parametrize("said", ["", "1.7", "2.0", "x", "other"])
def test_a_method_is_there_in_its_own_version_only(kernel: Kernel, caller: Agent, method: str, said: str) -> None:
    own = version_of(method)
    said = {"other": "0.3" if own == "1.0" else "1.0"}.get(said, said)

    refused = call(kernel, method, b"", metadata(caller.key, said))

    if (said or "0.3") == own:
        assert refused is None or details(refused) != "VERSION_NOT_SUPPORTED"
    else:
        assert refused is not None
        assert (refused.code(), details(refused)) == (grpc.StatusCode.FAILED_PRECONDITION, "VERSION_NOT_SUPPORTED")


def details(error: Any) -> str:
    """Return the reason in an error's ErrorInfo, if it has one."""
    if "grpc-status-details-bin" not in dict(error.trailing_metadata() or ()):
        return ""
    return str(details_of(error)[0].reason)


def test_wrong_parameters_are_named_in_a_bad_request(kernel: Kernel, caller: Agent) -> None:
    refused = call(
        kernel,
        "/lf.a2a.v1.A2AService/ListTasks",
        pb.ListTasksRequest(page_size=0).SerializeToString(),
        metadata(caller.key),
    )

    info, wrong = details_of(refused)  # type: ignore[arg-type]  # it has the same words
    assert info.reason == "INVALID_PARAMS"
    assert [(v.field, v.description) for v in wrong.field_violations] == [("pageSize", "must be between 1 and 100")]


def test_a_message_that_is_larger_than_a_body_may_be_is_refused(kernel: Kernel, caller: Agent) -> None:
    fits, exceeds = (echo("x" * size).SerializeToString() for size in (900_000, 1_100_000))
    method = "/lf.a2a.v1.A2AService/SendMessage"

    assert call(kernel, method, fits, metadata(caller.key)) is None
    refused = call(kernel, method, exceeds, metadata(caller.key))

    assert refused is not None
    assert refused.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


def test_a_tenant_is_an_agent_or_the_own_workspace(kernel: Kernel, caller: Agent) -> None:
    kernel.create_agent("grpc-idle")

    async def story() -> None:
        async with grpc.aio.insecure_channel(kernel.grpc_address) as opened:
            plain = pb.Message(message_id=new_id("msg"), role=pb.ROLE_USER, parts=[pb.Part(text="hi")])
            task = await Grpc(opened, caller.key, tenant="echo").send(plain)
            assert MessageToDict(task.metadata)["memroos"]["agent"] == "echo"
            for tenant, finds in (("", True), ("default", True), ("echo", True), ("grpc-idle", False), ("else", False)):
                door = Grpc(opened, caller.key, tenant=tenant)
                if finds:
                    assert (await door.get(task.id)).id == task.id
                else:
                    with pytest.raises(Refused, match="TASK_NOT_FOUND"):
                        await door.get(task.id)

    asyncio.run(story())


def test_an_endpoint_that_does_not_stream_says_so_over_every_method_that_does(kernel: Kernel, caller: Agent) -> None:
    kernel.create_agent("grpc-plain", capabilities={"streaming": False})

    async def story() -> None:
        async with grpc.aio.insecure_channel(kernel.grpc_address) as opened:
            door = Grpc(opened, caller.key, tenant="grpc-plain")
            said = pb.Message(message_id=new_id("msg"), role=pb.ROLE_USER, parts=[pb.Part(text="hi")])
            task = await door.send(said, return_immediately=True)
            for stream in (door.stream(said), door.subscribe(task.id)):
                with pytest.raises(Refused, match="UNSUPPORTED_OPERATION"):
                    await anext(stream)
            await door.cancel(task.id)

    asyncio.run(story())


def follow(kernel: Kernel, key: str, agent: str) -> tuple[threading.Thread, threading.Event, list[Any]]:
    """Open a stream on a task that nobody works on; return its thread, when it is open, and how it ended."""
    opened = threading.Event()
    ended: list[Any] = []
    said = pb.Message(message_id=new_id("msg"), role=pb.ROLE_USER, parts=[pb.Part(text="wait")])
    request = pb.SendMessageRequest(message=said, tenant=agent)

    def read() -> None:
        with channel(kernel) as there:
            method: Any = there.unary_stream("/lf.a2a.v1.A2AService/SendStreamingMessage")
            try:
                for _ in method(request.SerializeToString(), metadata=metadata(key), timeout=30):
                    opened.set()
                ended.append("in order")
            except grpc.RpcError as error:
                ended.append(error.code())

    thread = threading.Thread(target=read)
    thread.start()
    return thread, opened, ended


def within(seconds: float, happened: Callable[[], bool]) -> bool:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if happened():
            return True
        time.sleep(0.02)
    return happened()


def test_the_streams_of_a_key_end_when_it_is_revoked(kernel: Kernel) -> None:
    kernel.create_agent("grpc-sleeper")
    leaver = kernel.create_agent("grpc-leaver")
    thread, opened, ended = follow(kernel, leaver.key, "grpc-sleeper")
    assert opened.wait(10)

    key = next(k for k in kernel.done("GET", f"/api/agents/{leaver.id}/keys")["items"])["id"]
    kernel.done("DELETE", f"/api/keys/{key}")

    assert within(2, lambda: bool(ended))
    thread.join()
    assert call(kernel, "/lf.a2a.v1.A2AService/ListTasks", b"", metadata(leaver.key)) is not None


def test_a_key_that_comes_too_fast_is_told_when_to_come_again(new_kernel: Callable[..., Kernel]) -> None:
    with new_kernel(request_burst="5", requests_per_minute="1") as kernel:
        key = kernel.create_key("service", name="hasty")
        answers = [call(kernel, "/lf.a2a.v1.A2AService/ListTasks", b"", metadata(key)) for _ in range(6)]

    assert answers[:5] == [None] * 5
    assert answers[5] is not None
    assert answers[5].code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    told: Any = answers[5].trailing_metadata()
    assert int(dict(told)["retry-after"]) > 0


def test_open_streams_do_not_keep_the_kernel_from_ending(new_kernel: Callable[..., Kernel]) -> None:
    with new_kernel() as kernel:
        kernel.create_agent("sleeper")
        thread, opened, ended = follow(kernel, kernel.create_agent("watcher").key, "sleeper")
        assert opened.wait(10)

        seconds = kernel.terminate()

        thread.join(10)
        assert ended
        assert kernel.returncode == 0
        assert seconds < 4


def test_a_port_belongs_to_one_kernel(new_kernel: Callable[..., Kernel]) -> None:
    with new_kernel() as first:
        second = new_kernel(grpc_port=str(first.grpc_port))
        second.start(wait=False)
        assert second.wait(20) != 0
        assert "grpc" in second.log().lower()
        assert first.running


def test_there_is_no_door_where_none_is_wanted(new_kernel: Callable[..., Kernel]) -> None:
    with new_kernel(grpc="false") as kernel:
        refused = call(kernel, "/lf.a2a.v1.A2AService/ListTasks", b"", metadata(kernel.operator_key))

        assert refused is not None
        assert refused.code() is grpc.StatusCode.UNAVAILABLE
        card = kernel.call("GET", "/.well-known/agent-card.json").json()
        assert {i["protocolBinding"] for i in card["supportedInterfaces"]} == {"JSONRPC", "HTTP+JSON"}
