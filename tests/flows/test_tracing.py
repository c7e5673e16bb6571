"""One trace from the caller through the kernel to a remote agent, at a collector that is real."""

import json
import time
from collections.abc import Callable, Iterator

import httpx
import pytest
from tests.conformance.processes import AgentProcess
from tests.flows.collector import Collector, Seen
from tests.flows.kernel import Kernel
from tests.flows.service import ServiceDied

from memroos_kit.ids import new_id

TRACE, CALLER = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
SAID = "tck-complete-task a-word-that-no-span-may-carry"
INTERNAL, SERVER, CLIENT = 1, 2, 3


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    with Collector() as there:
        yield there


@pytest.fixture(scope="module")
def agent(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AgentProcess]:
    with AgentProcess(tmp_path_factory.mktemp("agent")) as running:
        yield running


@pytest.fixture(scope="module")
def kernel(tmp_path_factory: pytest.TempPathFactory, collector: Collector, agent: AgentProcess) -> Iterator[Kernel]:
    settings = {"otel_endpoint": collector.endpoint, "outbound_allow": "127.0.0.1"}
    with Kernel(tmp_path_factory.mktemp("kernel"), settings=settings) as running:
        running.done("POST", "/api/remote-agents", {"card_url": agent.card_url, "name": "remote"})
        yield running


def send(kernel: Kernel, method: str, trace: str) -> str:
    """Send a message over JSON-RPC as part of a trace; return what came back."""
    message = {"messageId": new_id("msg"), "role": "ROLE_USER", "parts": [{"text": SAID}]}
    body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": {"message": message}}
    headers = {**kernel.headers(), "A2A-Version": "1.0", "traceparent": f"00-{trace}-{CALLER}-01"}
    answer = httpx.post(f"{kernel.url}/a2a/agents/remote", json=body, headers=headers, trust_env=False, timeout=30)
    assert answer.status_code == 200
    return answer.text


def of(trace: str) -> Callable[[list[Seen]], list[Seen]]:
    return lambda spans: [span for span in spans if span.trace_id == trace]


@pytest.mark.parametrize("method", ["SendMessage", "SendStreamingMessage"])
def test_one_trace_leads_from_the_caller_to_the_agent(
    kernel: Kernel, collector: Collector, agent: AgentProcess, method: str
) -> None:
    trace = new_trace()
    answer = send(kernel, method, trace)
    mine = of(trace)
    spans = {span.kind: span for span in mine(collector.wait_for(lambda all_: len(mine(all_)) >= 3))}

    assert "TASK_STATE_COMPLETED" in answer
    door, routing, delivery = spans[SERVER], spans[INTERNAL], spans[CLIENT]
    assert (door.parent_id, routing.parent_id, delivery.parent_id) == (CALLER, door.span_id, door.span_id)
    assert (door.name, routing.name, delivery.name) == ("invoke_agent remote", "route", "invoke_agent remote")
    reached = [seen["headers"]["traceparent"] for seen in agent.seen() if trace in json.dumps(seen)]
    assert f"00-{trace}-{delivery.span_id}-01" in reached
    for span in (door, delivery):
        assert span.attributes["gen_ai.operation.name"] == "invoke_agent"
        assert span.attributes["gen_ai.provider.name"] == "memroos"
        assert span.attributes["gen_ai.agent.name"] == "remote"
        assert span.attributes["gen_ai.agent.id"].startswith("agt_")
        assert span.attributes["gen_ai.conversation.id"].startswith("ctx_")
    assert delivery.attributes["server.address"] == "127.0.0.1"
    assert door.attributes["memroos.task.state"] == "completed"
    assert not any(span.failed for span in spans.values())


def test_a_rest_caller_is_in_the_same_trace(kernel: Kernel, collector: Collector) -> None:
    trace = new_trace()
    body = {"agent": "remote", "parts": [{"text": SAID}]}
    headers = {"traceparent": f"00-{trace}-{CALLER}-01"}
    kernel.done("POST", "/api/tasks?wait_s=5", body, headers=headers)

    mine = of(trace)
    spans = {span.kind: span for span in mine(collector.wait_for(lambda all_: len(mine(all_)) >= 3))}
    assert spans[SERVER].parent_id == CALLER
    assert spans[CLIENT].parent_id == spans[SERVER].span_id


def test_a_refusal_is_named_by_its_kind(kernel: Kernel, collector: Collector) -> None:
    trace = new_trace()
    body = {"agent": "nobody", "parts": [{"text": SAID}]}
    assert kernel.call("POST", "/api/tasks", body, headers={"traceparent": f"00-{trace}-{CALLER}-01"}).is_error

    mine = of(trace)
    found = mine(collector.wait_for(lambda all_: len(mine(all_)) >= 2))
    assert {span.attributes["error.type"] for span in found if span.kind == SERVER} == {"NotFound"}
    assert all(span.failed for span in found)


def test_nothing_that_was_said_is_in_a_span(kernel: Kernel, collector: Collector) -> None:
    send(kernel, "SendMessage", trace := new_trace())
    mine = of(trace)
    collector.wait_for(lambda all_: len(mine(all_)) >= 3)

    assert b"a-word-that-no-span-may-carry" not in b"".join(collector.bodies)


def test_the_last_spans_leave_before_the_kernel_does(new_kernel: Callable[..., Kernel], collector: Collector) -> None:
    kernel, trace = new_kernel(otel_endpoint=collector.endpoint).start(), new_trace()
    body = {"agent": "echo", "parts": [{"text": "x"}]}
    kernel.done("POST", "/api/tasks?wait_s=5", body, headers={"traceparent": f"00-{trace}-{CALLER}-01"})

    kernel.terminate()

    assert {span.kind for span in of(trace)(collector.spans)} == {SERVER, INTERNAL}


def test_a_dead_collector_changes_nothing_for_callers(new_kernel: Callable[..., Kernel]) -> None:
    kernel = new_kernel(otel_endpoint="http://127.0.0.1:9").start()
    task = kernel.done("POST", "/api/tasks?wait_s=5", {"agent": "echo", "parts": [{"text": "x"}]})

    begun = time.monotonic()
    kernel.terminate()

    assert task["state"] == "completed"
    assert time.monotonic() - begun < 8
    assert kernel.returncode == 0


def test_a_collector_without_an_address_refuses_the_start(new_kernel: Callable[..., Kernel]) -> None:
    with pytest.raises(ServiceDied, match="MEMROOS_OTEL_ENDPOINT"):
        new_kernel(otel_endpoint="collector:4318").start()


def new_trace() -> str:
    """Return an id for a trace of its own."""
    return new_id("x").removeprefix("x_").lower().encode().hex()[:32]
