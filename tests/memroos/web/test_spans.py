"""What the span of a message says, and that it costs nothing to speak of where nobody listens."""

from collections.abc import Iterator

import pytest
from tests.flows.collector import Collector

from memroos.web import spans
from memroos_kit import tracing

PARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


@pytest.fixture
def collector() -> Iterator[Collector]:
    with Collector() as there:
        tracing.configure(there.endpoint, "memroos-test")
        yield there
        tracing.shutdown()


def test_the_task_goes_on_with_the_callers_trace() -> None:
    with spans.sending(PARENT) as sending:
        pass

    assert sending.traceparent.split("-")[1] == PARENT.split("-")[1]
    assert sending.traceparent != PARENT


def test_a_span_without_a_task_is_still_a_call_of_an_agent(collector: Collector) -> None:
    with spans.sending(PARENT):
        pass
    tracing.shutdown()

    (span,) = collector.spans
    assert (span.name, span.kind) == ("invoke_agent", 2)
    assert span.attributes == {"gen_ai.operation.name": "invoke_agent", "gen_ai.provider.name": "memroos"}
