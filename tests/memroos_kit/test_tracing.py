"""Trace contexts are read strictly and handed on; spans reach a collector, and a dead one holds nobody up."""

import sys
import time
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.flows.collector import Collector

from memroos_kit import tracing

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
GOOD = f"00-{TRACE}-{PARENT}-01"


@pytest.fixture
def collector() -> Iterator[Collector]:
    with Collector() as there:
        tracing.configure(there.endpoint, "memroos-test", "1.2")
        yield there
        tracing.shutdown()


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        (GOOD, GOOD),
        (f"00-{TRACE}-{PARENT}-00", f"00-{TRACE}-{PARENT}-00"),
        (f"00-{TRACE}-{PARENT}-ff", f"00-{TRACE}-{PARENT}-03"),
        (f"cc-{TRACE}-{PARENT}-01", GOOD),
        (f"cc-{TRACE}-{PARENT}-01-what-comes-later", GOOD),
        (f" {GOOD} ", GOOD),
    ],
)
def test_a_context_is_kept_as_far_as_this_version_knows_it(sent: str, kept: str) -> None:
    assert tracing.parse(sent) == kept


@pytest.mark.parametrize(
    "sent",
    [
        "",
        "00",
        GOOD.upper(),
        f"{GOOD}-more",
        f"ff-{TRACE}-{PARENT}-01",
        f"cc-{TRACE}-{PARENT}-01more",
        f"00-{'0' * 32}-{PARENT}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE}-{PARENT}-1",
        f"00-{TRACE[:-1]}-{PARENT}-01",
        f"00-{TRACE[:-1]}g-{PARENT}-01",
        f"00-{TRACE}-{PARENT}-01\n00-{TRACE}-{PARENT}-01",
    ],
)
def test_what_is_no_context_begins_a_new_trace(sent: str) -> None:
    made = tracing.parse(sent)

    assert TRACE not in made
    assert tracing.parse(made) == made


@given(st.text())
def test_no_text_breaks_the_reader(sent: str) -> None:
    assert tracing.parse(tracing.parse(sent)) != ""


def test_the_next_hop_gets_the_same_trace_and_another_parent() -> None:
    one, other = tracing.child(GOOD), tracing.child(GOOD)

    assert one.startswith(f"00-{TRACE}-")
    assert one.endswith("-01")
    assert len({GOOD, one, other}) == 3


def test_without_a_collector_only_the_context_moves_on() -> None:
    with tracing.span("work", parent=GOOD) as inside:
        pass

    assert not tracing.is_on()
    assert tracing.parse(inside) == inside
    assert inside.startswith(f"00-{TRACE}-")
    assert inside != GOOD


def test_spans_arrive_with_their_parents_and_the_pinned_conventions(collector: Collector) -> None:
    with (
        tracing.span("outer", parent=GOOD, kind=tracing.SERVER) as outer,
        tracing.span("inner", parent=outer, kind=tracing.CLIENT, attributes={"server.port": 80}) as inner,
    ):
        pass
    tracing.shutdown()

    spans = {span.name: span for span in collector.spans}
    assert spans["outer"].parent_id == PARENT
    assert spans["inner"].parent_id == spans["outer"].span_id
    assert outer.split("-")[2] == spans["outer"].span_id
    assert inner.split("-")[2] == spans["inner"].span_id
    assert {span.trace_id for span in spans.values()} == {TRACE}
    assert (spans["outer"].kind, spans["inner"].kind) == (2, 3)
    assert spans["inner"].attributes == {"server.port": 80}
    assert {span.schema for span in spans.values()} == {"https://opentelemetry.io/schemas/1.41.1"}
    assert {span.service for span in spans.values()} == {"memroos-test"}


def test_a_span_takes_its_name_from_the_agent_that_was_chosen_meanwhile(collector: Collector) -> None:
    known = tracing.invocation(context_id="ctx_1")
    with tracing.span("invoke_agent", attributes=known):
        known |= {tracing.AGENT_NAME: "planner", tracing.AGENT_ID: "agt_1"}
    tracing.shutdown()

    (span,) = collector.spans
    assert span.name == "invoke_agent planner"
    assert span.attributes == {
        "gen_ai.operation.name": "invoke_agent",
        "gen_ai.provider.name": "memroos",
        "gen_ai.conversation.id": "ctx_1",
        "gen_ai.agent.name": "planner",
        "gen_ai.agent.id": "agt_1",
    }


def test_an_error_is_named_and_its_words_stay_here(collector: Collector) -> None:
    with pytest.raises(LookupError), tracing.span("work"):
        raise LookupError("what was said in the task")
    tracing.shutdown()

    (span,) = collector.spans
    assert span.failed
    assert span.attributes == {"error.type": "LookupError"}
    assert b"what was said" not in b"".join(collector.bodies)


def test_a_caller_that_does_not_sample_gets_no_spans_but_its_context(collector: Collector) -> None:
    with tracing.span("work", parent=f"00-{TRACE}-{PARENT}-00") as inside:
        pass
    tracing.shutdown()

    assert collector.spans == []
    assert inside.startswith(f"00-{TRACE}-")
    assert inside.endswith("-00")


def test_a_dead_collector_holds_up_neither_the_work_nor_the_stop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracing, "FLUSH_S", 0.2)
    tracing.configure("http://127.0.0.1:9", "memroos-test")

    begun = time.monotonic()
    for _ in range(tracing.QUEUE + 100):
        with tracing.span("work"):
            pass
    worked = time.monotonic() - begun
    tracing.shutdown()

    assert worked < 10  # no span waited for the network
    assert time.monotonic() - begun - worked < 5
    assert not tracing.is_on()


@pytest.mark.parametrize("endpoint", ["127.0.0.1:4318", "ftp://127.0.0.1", "http://"])
def test_an_address_that_is_none_is_refused(endpoint: str) -> None:
    with pytest.raises(tracing.TracingRefused, match="MEMROOS_OTEL_ENDPOINT"):
        tracing.configure(endpoint, "memroos-test")


def test_a_missing_extra_is_named_with_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)

    with pytest.raises(tracing.TracingRefused, match=r"pip install 'memroos\[otel\]'"):
        tracing.configure("http://127.0.0.1:4318", "memroos-test")


@pytest.mark.parametrize(
    "endpoint", ["http://127.0.0.1:4318", "http://127.0.0.1:4318/", "http://127.0.0.1:4318/v1/traces"]
)
def test_the_base_and_the_whole_address_mean_the_same(endpoint: str) -> None:
    assert tracing._traces_address(endpoint) == "http://127.0.0.1:4318/v1/traces"
