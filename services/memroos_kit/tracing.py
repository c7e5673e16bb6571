"""Traces: W3C Trace Context on every hop, and OpenTelemetry spans where a collector is configured.

A trace context is a text that callers send and that we hand on. Handing on needs nothing; spans need the extra
`memroos[otel]` and an address to send them to. The provider is our own and not the global one, so that libraries that
trace themselves add nothing, and parents are always named, never taken from the surroundings: a stream outlives the
call that opened it. Spans carry names, ids and kinds; what is said in a task never goes into one.
"""

import logging
import re
import secrets
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

from opentelemetry import trace
from opentelemetry.trace import NonRecordingSpan, SpanContext, SpanKind, Status, StatusCode, TraceFlags, Tracer

from memroos_kit import log

SCHEMA_VERSION = "1.41.1"
"""Version of the semantic conventions that the names below follow: the last with the GenAI ones in it."""
SCHEMA_URL = f"https://opentelemetry.io/schemas/{SCHEMA_VERSION}"

OPERATION = "gen_ai.operation.name"
AGENT_ID = "gen_ai.agent.id"
AGENT_NAME = "gen_ai.agent.name"
CONVERSATION = "gen_ai.conversation.id"
PROVIDER = "gen_ai.provider.name"
ERROR_TYPE = "error.type"
SERVER_ADDRESS = "server.address"
SERVER_PORT = "server.port"
TASK = "memroos.task.id"
STATE = "memroos.task.state"

INVOKE_AGENT = "invoke_agent"
US = "memroos"

INTERNAL, SERVER, CLIENT = SpanKind.INTERNAL, SpanKind.SERVER, SpanKind.CLIENT

FLUSH_S = 3.0
"""How long a stop waits for the last spans to leave."""
EXPORT_S = 5.0
"""How long one delivery of spans may take, repeats included."""
QUEUE = 8_192
"""Most spans that wait for the collector; more are dropped, the oldest first. The kernel waits for none."""
EVERY_MS = 1_000.0

Attributes = Mapping[str, str | int | bool]

_CONTEXT = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
_KNOWN_FLAGS = 0b11  # sampled, and that the trace id is random (Trace Context Level 2)
_SAMPLED_AND_RANDOM = "03"

_log = log.get(__name__)


class TracingRefused(Exception):
    """Spans are wanted and cannot be made; the sentence says what to do."""


class _Export:
    """Where this process's spans go; nothing until `configure`."""

    tracer: Tracer | None = None
    end: Callable[[], None] | None = None


def parse(traceparent: str) -> str:
    """Return a caller's trace context, or a new one where it is none (Trace Context, 3.2.2 and 4.3).

    A context of a later version is taken for what this one knows of it.
    """
    return _read(traceparent) or f"00-{secrets.token_hex(16)}-{secrets.token_hex(8)}-{_SAMPLED_AND_RANDOM}"


def child(traceparent: str) -> str:
    """Return a context for the next hop: the same trace, a new parent."""
    version, trace_id, _, flags = parse(traceparent).split("-")
    return f"{version}-{trace_id}-{secrets.token_hex(8)}-{flags}"


def invocation(
    *, agent_id: str = "", agent_name: str = "", context_id: str = "", task_id: str = ""
) -> dict[str, str | int | bool]:
    """Return the attributes of a span in which an agent is called; what is not known yet may be added later."""
    known = {AGENT_ID: agent_id, AGENT_NAME: agent_name, CONVERSATION: context_id, TASK: task_id}
    return {OPERATION: INVOKE_AGENT, PROVIDER: US, **{name: value for name, value in known.items() if value}}


@contextmanager
def span(
    name: str, *, parent: str = "", kind: SpanKind = INTERNAL, attributes: Attributes | None = None
) -> Iterator[str]:
    """Measure what happens inside, as one span of a trace; without a collector only the context moves on.

    Args:
        name: of the span; a call of an agent whose name is among the attributes is `invoke_agent <name>`.
        parent: the context we were called with; without a valid one a new trace begins.
        kind: a call that came in, one that goes out, or neither.
        attributes: what is known; read again at the end, so that the caller may add to it meanwhile.

    Yields:
        The context for whoever is called from inside.
    """
    tracer = _Export.tracer
    if tracer is None:
        yield child(parent)
        return
    facts = {} if attributes is None else attributes
    made = tracer.start_span(name, context=_surroundings(parent), kind=kind, attributes=dict(facts))
    try:
        yield _text(made.get_span_context())
    except Exception as error:
        # The class only: an error's sentence may repeat what was said in a task.
        made.set_attribute(ERROR_TYPE, type(error).__qualname__)
        made.set_status(Status(StatusCode.ERROR))
        raise
    finally:
        made.set_attributes(dict(facts))
        if facts.get(AGENT_NAME):
            made.update_name(f"{facts.get(OPERATION, INVOKE_AGENT)} {facts[AGENT_NAME]}")
        if ERROR_TYPE in facts:
            made.set_status(Status(StatusCode.ERROR))
        made.end()


def is_on() -> bool:
    """Whether spans leave this process."""
    return _Export.tracer is not None


def check(endpoint: str) -> None:
    """See whether spans could be sent there, without sending any.

    Raises:
        TracingRefused: the address is none, or the extra is not installed.
    """
    _traces_address(endpoint)
    try:
        import opentelemetry.exporter.otlp.proto.http.trace_exporter  # noqa: PLC0415
        import opentelemetry.sdk.trace  # noqa: PLC0415
        import opentelemetry.sdk.trace.export  # noqa: F401, PLC0415
    except ImportError as error:
        raise TracingRefused(
            "MEMROOS_OTEL_ENDPOINT is set, but OpenTelemetry is not installed: pip install 'memroos[otel]', "
            "or unset it."
        ) from error


def configure(endpoint: str, service_name: str, version: str = "") -> None:
    """Send this process's spans to a collector, from a thread of their own; without an endpoint, nowhere.

    Args:
        endpoint: base address of an OTLP/HTTP receiver, or the whole address of its traces.
        service_name: who we are in traces.
        version: our version.

    Raises:
        TracingRefused: the address is none, or the extra is not installed.
    """
    shutdown()
    if not endpoint:
        return
    check(endpoint)
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415 - an extra
    from opentelemetry.sdk.resources import Resource  # noqa: PLC0415
    from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
    from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415

    address = _traces_address(endpoint)
    logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)  # it says every try; `_Watched` says it once
    exporter = OTLPSpanExporter(endpoint=address, timeout=EXPORT_S)
    about = {"service.name": service_name, "service.version": version or "unknown"}
    provider = TracerProvider(resource=Resource(about, SCHEMA_URL), shutdown_on_exit=False)
    watched: Any = _Watched(exporter, address)  # its base class comes with the extra
    provider.add_span_processor(BatchSpanProcessor(watched, max_queue_size=QUEUE, schedule_delay_millis=EVERY_MS))
    _Export.tracer = provider.get_tracer(US, version or None, schema_url=SCHEMA_URL)
    _Export.end = lambda: _end(provider.shutdown, exporter.shutdown)


def shutdown() -> None:
    """Let the last spans leave, for `FLUSH_S` at the most, and make no more."""
    end, _Export.end, _Export.tracer = _Export.end, None, None
    if end is not None:
        end()


@contextmanager
def exporting(endpoint: str, service_name: str, version: str = "") -> Iterator[None]:
    """Make spans while inside, as `configure` and `shutdown` do.

    Raises:
        TracingRefused: the address is none, or the extra is not installed.
    """
    configure(endpoint, service_name, version)
    try:
        yield
    finally:
        shutdown()


def _end(flush: Callable[[], None], give_up: Callable[[], None]) -> None:
    """Flush in a thread, because a dead collector would hold a stop for half a minute."""
    last = threading.Thread(target=flush, name="last spans", daemon=True)
    last.start()
    last.join(FLUSH_S)
    if last.is_alive():
        give_up()
        _log.warning("spans lost", reason="the collector did not take them before the stop")


class _Watched:
    """An exporter that says once that it cannot deliver, and once that it can again.

    Args:
        exporter: does the work.
        address: of the collector, for the log.
    """

    def __init__(self, exporter: Any, address: str) -> None:
        self._exporter = exporter
        self._address = address
        self._failing = False

    def export(self, spans: Sequence[Any]) -> Any:
        """Deliver a batch; it is dropped where that fails."""
        result = self._exporter.export(spans)
        failed = result.name != "SUCCESS"
        if failed and not self._failing:
            _log.warning("spans are dropped", collector=self._address, reason="the collector does not take them")
        if self._failing and not failed:
            _log.info("spans are taken again", collector=self._address)
        self._failing = failed
        return result

    def shutdown(self) -> None:
        """Stop."""
        self._exporter.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Nothing waits here."""
        return bool(self._exporter.force_flush(timeout_millis))


def _read(traceparent: str) -> str:
    """Return a valid context in the form of version 00, empty for anything else."""
    found = _CONTEXT.fullmatch(traceparent.strip())
    if found is None:
        return ""
    version, trace_id, parent_id, flags, more = found.groups()
    if version == "ff" or (version == "00" and more) or set(trace_id) == {"0"} or set(parent_id) == {"0"}:
        return ""
    return f"00-{trace_id}-{parent_id}-{int(flags, 16) & _KNOWN_FLAGS:02x}"


def _surroundings(parent: str) -> Any:
    """Return the SDK's form of a parent; an empty one, so that nothing is inherited unseen, where there is none."""
    known = _read(parent)
    if not known:
        return trace.set_span_in_context(trace.INVALID_SPAN)
    _, trace_id, span_id, flags = known.split("-")
    there = SpanContext(int(trace_id, 16), int(span_id, 16), is_remote=True, trace_flags=TraceFlags(int(flags, 16)))
    return trace.set_span_in_context(NonRecordingSpan(there))


def _text(context: SpanContext) -> str:
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags & _KNOWN_FLAGS:02x}"


def _traces_address(endpoint: str) -> str:
    parts = urlsplit(endpoint)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise TracingRefused(
            f"MEMROOS_OTEL_ENDPOINT: {endpoint!r} is no address; one looks like http://127.0.0.1:4318."
        )
    return endpoint if parts.path.endswith("/v1/traces") else f"{endpoint.rstrip('/')}/v1/traces"
