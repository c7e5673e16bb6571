import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from typing import Annotated, Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from litestar import asgi, get, post
from litestar._kwargs import kwargs_model
from litestar.di import NamedDependency, Provide
from litestar.exceptions import ClientException, PermissionDeniedException
from litestar.params import FromPath, FromQuery, JSONBody
from litestar.response import ServerSentEvent
from litestar.testing import TestClient
from litestar.types import Receive, Scope, Send
from prometheus_client import CollectorRegistry

from memroos_contracts.errors import ErrorKind, MemroosError, NotFound, StorageFull, TooManyRequests
from memroos_kit import edge
from memroos_kit.service import Health, ServiceApp, Stopping, create_app

LIMIT = 10_000


class Inner(msgspec.Struct, forbid_unknown_fields=True):
    count: Annotated[int, msgspec.Meta(ge=1)]


class Order(msgspec.Struct, forbid_unknown_fields=True):
    name: str
    items: list[Inner] = []


class ShelfIsFull(MemroosError):
    """There is no room on the shelf.

    Facts:
        shelf: which one.
    """

    kind = ErrorKind.CONFLICT


@post("/orders", operation_id="placeOrder")
async def place_order(data: JSONBody[Order]) -> Order:
    return data


@get("/orders/{number:int}", operation_id="getOrder", sync_to_thread=False)
def get_order(number: FromPath[int], limit: FromQuery[int] = 10) -> dict[str, int]:
    return {"number": number, "limit": limit}


@get("/fails/{how:str}", operation_id="fail", sync_to_thread=False)
def fail(how: FromPath[str]) -> None:
    errors: dict[str, Exception] = {
        "shelf": ShelfIsFull("Shelf 3 is full.", shelf="3"),
        "limited": TooManyRequests(retry_after_s=7),
        "full": StorageFull(),
        "missing": NotFound(),
        "bug": RuntimeError("secret inside: mr_agent_0123456789_abcdefghijk"),
        "http": ClientException("Odd header"),
        "forbidden": PermissionDeniedException(),
        "unicode": UnicodeDecodeError("utf-8", b"\xff", 0, 1, "our own mistake"),
    }
    if how == "decode":
        msgspec.json.decode(b'{"name": 1}', type=Order)
    if how == "truncated":
        msgspec.json.decode(b'{"name"', type=Order)
    raise errors[how]


@get("/own-headers", operation_id="ownHeaders", sync_to_thread=False, response_headers={"cache-control": "max-age=60"})
def own_headers() -> None:
    return None


@get("/stream", operation_id="stream", sync_to_thread=False)
def stream() -> ServerSentEvent:
    async def source() -> AsyncIterator[str]:
        yield "one"
        yield "two"

    return ServerSentEvent(source())


@asgi("/mounted", is_mount=True, copy_scope=True)
async def mounted(scope: Scope, receive: Receive, send: Send) -> None:
    """An app of its own: reads the whole body, and knows nothing of our errors."""
    body, more = b"", True
    while more:
        message = await receive()
        body += message.get("body", b"")  # type: ignore[operator]
        more = bool(message.get("more_body", False))
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": str(len(body)).encode(), "more_body": False})


def built(**options: Any) -> ServiceApp:
    return create_app(
        Health(service="sample", version="1"),
        route_handlers=[place_order, get_order, fail, own_headers, stream, mounted],
        body_limit_bytes=LIMIT,
        **{"stopping": Stopping(), **options},
    )


@pytest.fixture(scope="module")
def client() -> Iterator[TestClient[ServiceApp]]:
    with TestClient(built(), raise_server_exceptions=True) as client:
        yield client


def test_a_process_says_that_it_is_alive(client: TestClient[ServiceApp]) -> None:
    assert client.get("/healthz").json() == {"service": "sample", "version": "1", "status": "alive"}


def test_a_process_is_ready_when_every_check_passes() -> None:
    async def fine() -> None:
        return None

    with TestClient(built(checks={"database": fine})) as client:
        answer = client.get("/readyz")

    assert (answer.status_code, answer.json()) == (200, {"ready": True, "checks": {"database": "ok"}})


def test_a_process_is_ready_without_what_it_can_do_without_and_says_so() -> None:
    async def away() -> None:
        raise StorageFull

    with TestClient(built(dispensable={"index": away})) as client:
        answer = client.get("/readyz")

    assert (answer.status_code, answer.json()) == (
        200,
        {"ready": True, "checks": {}, "degraded": {"index": "There is no room left on the disk"}},
    )


def test_a_process_that_is_not_ready_says_what_stands_in_the_way(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("memroos_kit.service.CHECK_TIMEOUT_S", 0.01)

    async def full() -> None:
        raise StorageFull

    async def broken() -> None:
        raise RuntimeError("password=hunter2")

    async def stuck() -> None:
        await asyncio.Event().wait()

    stopping = Stopping()
    stopping.set()
    with TestClient(built(checks={"disk": full, "other": broken, "peer": stuck}, stopping=stopping)) as client:
        answer = client.get("/readyz")

    assert answer.status_code == 503
    assert answer.json() == {
        "ready": False,
        "checks": {
            "disk": "There is no room left on the disk",
            "other": "failed; the log says why",
            "peer": "no answer in time",
            "process": "stopping",
        },
    }


def test_metrics_count_requests_by_route_template(client: TestClient[ServiceApp]) -> None:
    client.get("/orders/1")
    client.get("/orders/2")
    client.get("/nowhere/1")
    client.get("/nowhere/2")

    text = client.get("/metrics").text

    assert 'memroos_http_requests_total{method="GET",route="/orders/{number}",status="200"}' in text
    assert 'memroos_http_requests_total{method="GET",route="unmatched",status="404"}' in text
    assert "nowhere" not in text
    assert "process_resident_memory_bytes" in text


def test_a_domain_error_becomes_its_problem(client: TestClient[ServiceApp]) -> None:
    answer = client.get("/fails/shelf")

    assert answer.status_code == 409
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json() == {
        "type": "/problems/shelf-is-full",
        "title": "There is no room on the shelf",
        "status": 409,
        "detail": "Shelf 3 is full.",
        "shelf": "3",
    }


@pytest.mark.parametrize(
    ("how", "status", "slug"),
    [
        ("limited", 429, "too-many-requests"),
        ("full", 507, "storage-full"),
        ("missing", 404, "not-found"),
        ("http", 400, "malformed-request"),
        ("forbidden", 403, "denied"),
        ("decode", 422, "invalid-request"),
        ("truncated", 400, "malformed-request"),
    ],
)
def test_every_error_is_said_the_same_way(client: TestClient[ServiceApp], how: str, status: int, slug: str) -> None:
    answer = client.get(f"/fails/{how}")

    assert (answer.status_code, answer.json()["status"]) == (status, status)
    assert answer.json()["type"] == f"/problems/{slug}"
    assert answer.headers["content-type"] == "application/problem+json"


def test_retry_after_is_sent(client: TestClient[ServiceApp]) -> None:
    assert client.get("/fails/limited").headers["retry-after"] == "7"


@pytest.mark.parametrize("how", ["bug", "unicode"])
def test_an_unexpected_error_shows_an_id_and_nothing_else(
    client: TestClient[ServiceApp], how: str, capture: "Capture"
) -> None:
    answer = client.get(f"/fails/{how}")

    assert (answer.status_code, answer.json()["type"]) == (500, "/problems/internal-failure")
    assert set(answer.json()) == {"type", "title", "status", "detail", "id"}
    assert "Error" not in answer.text
    assert "mr_agent" not in answer.text
    (written,) = capture.entries("request.failed")
    assert written["id"] == answer.json()["id"]
    assert written["exc_info"].__class__.__name__ in {"RuntimeError", "UnicodeDecodeError"}


class Capture:
    """The entries that the edge logs."""

    def __init__(self) -> None:
        self.found: list[dict[str, Any]] = []

    def __getattr__(self, level: str) -> Any:
        return lambda event, **facts: self.found.append({"event": event, "level": level, **facts})

    def entries(self, event: str) -> list[dict[str, Any]]:
        return [entry for entry in self.found if entry["event"] == event]


@pytest.fixture
def capture(monkeypatch: pytest.MonkeyPatch) -> Capture:
    capture = Capture()
    monkeypatch.setattr(edge, "_log", capture)
    return capture


def test_a_request_is_one_entry_in_the_log_without_its_query(client: TestClient[ServiceApp], capture: Capture) -> None:
    client.get("/orders/1?limit=3&token=s3cret")

    (written,) = capture.entries("request")
    assert written["milliseconds"] >= 0
    assert {**written, "milliseconds": 0} == {
        "event": "request",
        "level": "debug",
        "method": "GET",
        "path": "/orders/1",
        "status": 200,
        "milliseconds": 0,
    }


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        (b'{"name": 1}', {"name": "Expected `str`, got `int`"}),
        (b'{"name": "a", "items": [{"count": 0}]}', {"items[0].count": "Expected `int` >= 1"}),
        (b'{"name": "a", "colour": 1}', {"body": "Object contains unknown field `colour`"}),
        (b'{"name": "a", "items": [{"count": 1, "x": 1}]}', {"items[0]": "Object contains unknown field `x`"}),
        (b"[]", {"body": "Expected `object`, got `array`"}),
        (b"", {"body": "nothing was sent"}),
    ],
)
def test_a_body_that_does_not_fit_is_told_by_field(
    client: TestClient[ServiceApp], body: bytes, fields: dict[str, str]
) -> None:
    answer = client.post("/orders", content=body, headers={"content-type": "application/json"})

    assert (answer.status_code, answer.json()["type"]) == (422, "/problems/invalid-request")
    assert answer.json()["fields"] == fields
    assert next(iter(fields)) in answer.json()["detail"]


def test_a_query_that_does_not_fit_is_told_by_field(client: TestClient[ServiceApp]) -> None:
    answer = client.get("/orders/1?limit=many")

    assert (answer.status_code, answer.json()["fields"]) == (422, {"limit": "Expected `int`, got `str`"})


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"\xff",
        b"name=1",
        b'{"name": "\xed\xa0\x80"}',
        b'{"name": "\xff"}',
        b"[" * 9_000,
        b'{"a":' * 1_900,
        b"nul",
    ],
)
def test_a_body_that_cannot_be_read_is_malformed(client: TestClient[ServiceApp], body: bytes) -> None:
    answer = client.post("/orders", content=body, headers={"content-type": "application/json"})

    assert (answer.status_code, answer.json()["type"]) == (400, "/problems/malformed-request")


def test_an_unknown_address_and_a_wrong_method_are_told_apart(client: TestClient[ServiceApp]) -> None:
    unknown, wrong = client.get("/nowhere"), client.delete("/orders")

    assert (unknown.status_code, unknown.json()["type"]) == (404, "/problems/unknown-address")
    assert (wrong.status_code, wrong.json()["type"]) == (405, "/problems/method-not-allowed")
    assert "POST" in wrong.headers["allow"]


@pytest.mark.parametrize("path", ["/healthz", "/nowhere", "/fails/bug", "/fails/shelf", "/mounted", "/stream"])
def test_every_answer_carries_the_security_headers(client: TestClient[ServiceApp], path: str, capture: Capture) -> None:
    headers = client.get(path).headers

    assert headers["x-content-type-options"] == "nosniff"
    assert headers["content-security-policy"] == "default-src 'none'; frame-ancestors 'none'"
    assert headers["x-frame-options"] == "DENY"
    assert headers["referrer-policy"] == "no-referrer"
    assert "access-control-allow-origin" not in headers
    assert "server" not in headers


def test_a_route_may_set_such_a_header_itself(client: TestClient[ServiceApp]) -> None:
    assert client.get("/own-headers").headers.get_list("cache-control") == ["max-age=60"]


@pytest.mark.parametrize("path", ["/orders", "/mounted", "/nowhere"])
def test_a_body_that_announces_too_much_is_refused_before_the_app_sees_it(
    client: TestClient[ServiceApp], path: str
) -> None:
    answer = client.post(path, content=b"x" * (LIMIT + 1))

    assert (answer.status_code, answer.json()["type"]) == (413, "/problems/too-large")
    assert answer.json()["limit_bytes"] == LIMIT


def test_a_body_of_exactly_the_limit_passes(client: TestClient[ServiceApp]) -> None:
    assert client.post("/mounted", content=b"x" * LIMIT).text == str(LIMIT)


def sent(app: Any, *messages: dict[str, Any], headers: tuple[tuple[bytes, bytes], ...] = (), path: str) -> list[Any]:
    """Send one POST in the given pieces and return what comes back."""
    waiting, answers = list(messages), []

    async def receive() -> dict[str, Any]:
        if not waiting:
            await asyncio.Event().wait()
        return waiting.pop(0)

    async def send(message: dict[str, Any]) -> None:
        answers.append(message)

    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": list(headers),
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 2),
        "state": {},
    }
    asyncio.run(asyncio.wait_for(app(scope, receive, send), 5))
    return answers


def piece(size: int, *, more: bool = True) -> dict[str, Any]:
    return {"type": "http.request", "body": b"x" * size, "more_body": more}


@pytest.mark.parametrize("path", ["/orders", "/mounted"])
def test_a_body_in_pieces_is_refused_when_their_sum_is_too_large(path: str) -> None:
    start, body = sent(built(), piece(LIMIT), piece(1), piece(500, more=False), path=path)

    assert start["status"] == 413
    assert (b"content-type", b"application/problem+json") in start["headers"]
    assert json.loads(body["body"])["type"] == "/problems/too-large"


def test_a_client_that_never_stops_sending_is_cut_off() -> None:
    start, _ = sent(built(), *(piece(LIMIT) for _ in range(100)), path="/mounted")

    assert start["status"] == 413
    assert (b"connection", b"close") in start["headers"]


def test_a_body_that_drips_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(edge, "BODY_TIMEOUT_S", 0.05)
    monkeypatch.setattr(edge, "DRAIN_TIMEOUT_S", 0.05)

    start, body = sent(built(), piece(1), path="/orders")

    assert start["status"] == 400
    assert "did not arrive" in json.loads(body["body"])["detail"]


def test_a_client_that_goes_away_is_no_failure(capture: Capture) -> None:
    sent(built(), piece(1), {"type": "http.disconnect"}, path="/orders")

    assert capture.entries("request.failed") == []


def test_an_app_that_breaks_before_it_answers_gets_a_problem_from_the_edge(capture: Capture) -> None:
    async def broken(*_: Any) -> None:
        raise RuntimeError("outside of Litestar")

    wrapped = edge.Edge(broken, body_limit_bytes=10, metrics=edge.HttpMetrics(CollectorRegistry()))

    start, body = sent(wrapped, piece(0, more=False), path="/")

    assert start["status"] == 500
    assert json.loads(body["body"])["id"] == capture.entries("request.failed")[0]["id"]


def test_an_answer_that_breaks_in_the_middle_is_not_completed(capture: Capture) -> None:
    async def broken(_: Any, __: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        raise RuntimeError("in the middle")

    wrapped = edge.Edge(broken, body_limit_bytes=10, metrics=edge.HttpMetrics(CollectorRegistry()))

    with pytest.raises(RuntimeError, match="in the middle"):
        sent(wrapped, piece(0, more=False), path="/")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200, deadline=None)
@given(path=st.binary(max_size=20), query=st.binary(max_size=20), body=st.binary(max_size=40))
def test_no_bytes_make_a_server_error(client: TestClient[ServiceApp], path: bytes, query: bytes, body: bytes) -> None:
    def escaped(raw: bytes) -> str:
        return "".join(f"%{byte:02x}" for byte in raw)

    answers = [
        client.get(f"/orders/{escaped(path)}?{escaped(query)}={escaped(query)}&limit={escaped(body)}"),
        client.post("/orders", content=body, headers={"content-type": "application/json"}),
        client.post("/orders", content=body, headers={"content-type": escaped(path)}),
    ]

    assert all(answer.status_code < 500 for answer in answers)


def test_dependencies_are_resolved_without_a_task_group(monkeypatch: pytest.MonkeyPatch) -> None:
    @get("/", operation_id="sum", sync_to_thread=False)
    def add(one: NamedDependency[int], two: NamedDependency[int]) -> int:
        return one + two

    parts = {"one": Provide(lambda: 1, sync_to_thread=False), "two": Provide(lambda: 2, sync_to_thread=False)}
    app = create_app(Health("sums", "1"), route_handlers=[add], stopping=Stopping(), dependencies=parts)
    monkeypatch.setattr(kwargs_model, "create_task_group", None)

    with TestClient(app) as client:
        assert client.get("/").json() == 3


@pytest.mark.parametrize("count", ["1", 1.0, True, None, [1]])
def test_a_value_of_another_type_is_not_converted(client: TestClient[ServiceApp], count: object) -> None:
    response = client.post("/orders", json={"name": "n", "items": [{"count": count}]})

    assert (response.status_code, list(response.json()["fields"])) == (422, ["items[0].count"])
