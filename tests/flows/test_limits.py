"""Bad input at every door of a real kernel: refused in the same words, nothing half done, nothing leaked."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.flows.kernel import Agent, Kernel

from memroos_kit.db import sqlite3

A2A = {"A2A-Version": "1.0"}
BIG = "x" * 1_100_000


@pytest.fixture(scope="module")
def worker(kernel: Kernel) -> Agent:
    """An agent to send to."""
    return kernel.create_agent("worker")


def tasks(kernel: Kernel) -> int:
    return sum(kernel.done("GET", "/api/operations")["tasks"].values())


# -- size --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/api/tasks", "/a2a", "/a2a/message:send", "/api/a2a", "/api/agents", "/nowhere"])
@pytest.mark.parametrize("chunked", [False, True], ids=["announced", "chunked"])
def test_a_body_that_is_too_large_is_refused_before_it_is_parsed(kernel: Kernel, path: str, chunked: bool) -> None:
    body = json.dumps({"text": BIG}).encode()
    before = tasks(kernel)

    with kernel.client() as client:
        content: Any = iter([body[:500_000], body[500_000:]]) if chunked else body
        headers = {"content-type": "application/json", **A2A}
        try:
            response = client.post(path, content=content, headers=headers)
        except httpx.TransportError:
            pytest.fail("the answer did not arrive")

    expected = {413} if path != "/nowhere" or not chunked else {413, 404}
    assert response.status_code in expected
    if response.status_code == 413:
        assert response.json()["type"] == "/problems/too-large"
    assert tasks(kernel) == before


def test_a_body_just_within_the_limit_is_taken(kernel: Kernel, worker: Agent) -> None:
    text = "x" * 1_000_000

    task = kernel.done("POST", "/api/tasks", {"agent": "echo", "parts": [{"text": text}]}, params={"wait_s": 5})
    content = kernel.done("GET", f"/api/tasks/{task['id']}/content")

    assert content["artifacts"][0]["parts"][0]["text"] == text


# -- fields and types --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"agent": "worker", "parts": [{"text": "x"}], "urgent": True}, "urgent"),
        ({"agent": "worker"}, "parts"),
        ({"agent": "worker", "parts": []}, "parts"),
        ({"agent": "worker", "parts": "x"}, "parts"),
        ({"agent": 1, "parts": [{"text": "x"}]}, "agent"),
        ({"agent": "worker", "parts": [{"text": "x", "url": "y"}]}, "parts[0]"),
        ({"agent": "worker", "parts": [{"raw": "%%%"}]}, "parts[0]"),
        ({"agent": "worker", "parts": [{}]}, "parts[0]"),
        ({"agent": "worker", "parts": [{"text": "x"}], "context_id": "c" * 201}, "context_id"),
        ({"agent": "worker", "parts": [{"text": "x"}], "label": {"sensitivity": "cosmic"}}, "label"),
    ],
)
def test_a_wrong_field_is_named(kernel: Kernel, worker: Agent, body: Any, field: str) -> None:
    before = tasks(kernel)

    response = kernel.call("POST", "/api/tasks", body)

    assert (response.status_code, response.headers["content-type"]) == (422, "application/problem+json")
    assert any(field in name or field in str(fault) for name, fault in response.json()["fields"].items())
    assert tasks(kernel) == before


@pytest.mark.parametrize(
    ("body", "status"),
    [(b"", 422), (b"{", 400), (b"null", 422), (b"[]", 422), (b"\xff\xfe", 400), (b"[" * 100_000, 400), (b"{}x", 400)],
    ids=["nothing", "half", "null", "list", "not UTF-8", "deep", "more"],
)
def test_what_is_not_a_json_object_is_refused(kernel: Kernel, body: bytes, status: int) -> None:
    with kernel.client() as client:
        response = client.post("/api/tasks", content=body, headers={"content-type": "application/json"})

    assert (response.status_code, response.headers["content-type"]) == (status, "application/problem+json")


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b"\xff\xfe", b"[" * 50_000])
@pytest.mark.parametrize("path", ["/a2a", "/a2a/message:send", "/a2a/message:stream"])
def test_the_protocols_doors_refuse_it_in_their_own_words(kernel: Kernel, path: str, body: bytes) -> None:
    with kernel.client() as client:
        response = client.post(path, content=body, headers={"content-type": "application/json", **A2A})

    error = response.json()["error"]
    assert response.status_code == (200 if path == "/a2a" else 400)
    assert error["code"] in (-32700, -32600, -32602, 400), error
    assert "Traceback" not in response.text


@pytest.mark.parametrize(
    ("path", "query"),
    [
        ("/api/tasks", {"limit": 0}),
        ("/api/tasks", {"limit": 101}),
        ("/api/tasks", {"limit": "many"}),
        ("/api/tasks", {"cursor": "x"}),
        ("/api/tasks", {"cursor": "A" * 5_000}),
        ("/api/tasks", {"task_state": "sleeping"}),
        ("/api/tasks", {"changed_since": "yesterday"}),
        ("/api/tasks/{task}/events", {"after": -1}),
        ("/api/tasks/{task}/events", {"after": 10**30}),
        ("/api/tasks/{task}/content", {"history_length": "all"}),
    ],
)
def test_a_wrong_query_is_refused(kernel: Kernel, worker: Agent, path: str, query: dict[str, Any]) -> None:
    task = kernel.done("POST", "/api/tasks", {"agent": "echo", "parts": [{"text": "x"}]})

    response = kernel.call("GET", path.format(task=task["id"]), params=query)

    assert response.status_code in (400, 422), response.text
    assert response.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("last", ["-1", "1.5", "x", "9" * 40, "²"])
def test_a_last_event_id_of_no_stream_is_refused(kernel: Kernel, worker: Agent, last: str) -> None:
    task = kernel.done("POST", "/api/tasks", {"agent": "echo", "parts": [{"text": "x"}]})

    with kernel.client() as client:
        headers = [(b"Last-Event-ID", last.encode("latin-1"))]
        response = client.get(f"/api/tasks/{task['id']}/events", headers=headers)

    assert response.status_code == 422


@pytest.mark.parametrize(
    "report",
    [
        {},
        {"fencing_token": "1"},
        {"fencing_token": -1},
        {"fencing_token": 10**30},
        {"fencing_token": 1.5},
        {"fencing_token": 1, "lease_s": 0},
        {"fencing_token": 1, "lease_s": 10**12},
    ],
)
def test_a_wrong_report_is_refused(kernel: Kernel, worker: Agent, report: Any) -> None:
    task = kernel.done("POST", "/api/tasks", {"agent": "worker", "parts": [{"text": "x"}]})

    response = kernel.call("POST", f"/api/tasks/{task['id']}/heartbeat", report, key=worker.key)

    assert response.status_code == 422


@pytest.mark.parametrize("claim", [{"lease_s": 0}, {"lease_s": 3601}, {"wait_s": -1}, {"wait_s": 61}, {"tasks": 1}])
def test_a_wrong_claim_is_refused(kernel: Kernel, worker: Agent, claim: Any) -> None:
    assert kernel.call("POST", "/api/tasks/claim", claim, key=worker.key).status_code == 422


@pytest.mark.parametrize(
    "params",
    [
        {"message": {}},
        {"message": {"messageId": "m", "role": "ROLE_AGENT", "parts": [{"text": "x"}]}},
        {"message": {"messageId": "m", "role": "ROLE_USER", "parts": []}},
        {"message": {"messageId": "m", "role": "ROLE_USER", "parts": [{}]}},
        {"message": {"messageId": "m" * 300, "role": "ROLE_USER", "parts": [{"text": "x"}]}},
        {"message": {"messageId": 1, "role": 7, "parts": "x"}},
        {
            "configuration": {"historyLength": -1},
            "message": {"messageId": "m", "role": "ROLE_USER", "parts": [{"text": "x"}]},
        },
        {},
    ],
)
def test_a_message_that_does_not_fit_names_its_faults_in_the_protocols_words(
    kernel: Kernel, worker: Agent, params: Any
) -> None:
    before = tasks(kernel)
    body = {"jsonrpc": "2.0", "id": 1, "method": "SendMessage", "params": params}

    rpc = kernel.call("POST", "/a2a/agents/worker", body, headers=A2A).json()["error"]
    rest = kernel.call("POST", "/a2a/agents/worker/message:send", params, headers=A2A)

    assert rpc["code"] == -32602
    assert rest.status_code == 400
    assert rest.json()["error"]["details"][0]["@type"] == "type.googleapis.com/google.rpc.ErrorInfo"
    assert tasks(kernel) == before


def test_a_client_without_a_version_is_told_which_one_is_spoken(kernel: Kernel) -> None:
    response = kernel.call("GET", "/a2a/tasks")

    assert response.status_code == 400
    assert response.json()["error"]["details"][0]["reason"] == "VERSION_NOT_SUPPORTED"


def test_what_came_in_by_rest_goes_out_by_the_protocol(kernel: Kernel) -> None:
    parts = [
        {"data": {"n": 2**60, "deep": [[[[[[[[1]]]]]]]], "none": None}},
        {"raw": "AAEC", "filename": "three.bin"},
        {"text": "\u0000 and \u2028", "metadata": {"k": [1.5, True]}},
    ]
    task = kernel.done("POST", "/api/tasks", {"agent": "echo", "parts": parts}, params={"wait_s": 5})

    found = kernel.done("GET", f"/a2a/tasks/{task['id']}", headers=A2A)

    assert [next(iter(part)) for part in found["artifacts"][0]["parts"]] == ["data", "raw", "text"]


# -- addresses ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path",
    [
        "/nowhere",
        "/api/nowhere",
        "/a2a/",
        "/a2a/nowhere",
        "/a2a/agents/nobody",
        "/a2a/agents/nobody/.well-known/agent-card.json",
        "/tasks/x/y/z",
        "/default/tasks",
        "/extendedAgentCard",
    ],
)
def test_an_unknown_address_is_a_problem_and_never_a_redirect(kernel: Kernel, path: str) -> None:
    response = kernel.call("GET", path, headers={"Host": "evil.example", **A2A})

    assert response.status_code in (404, 405)
    assert response.headers["content-type"] == "application/problem+json"
    assert "location" not in response.headers
    assert kernel.call("GET", path, key="").status_code == 401


def test_what_is_inside_never_comes_out(kernel: Kernel) -> None:
    assert "Traceback" not in kernel.log()
    assert kernel.operator_key not in kernel.log()


# -- keys --------------------------------------------------------------------------------------------------------------


def flipped(secret: str) -> str:
    return secret[:-1] + ("0" if secret[-1] != "0" else "1")


@pytest.mark.parametrize("path", ["/api/whoami", "/a2a/tasks", "/tasks", "/metrics", "/nowhere", "/api/openapi.json"])
def test_every_bad_key_is_answered_alike(kernel: Kernel, worker: Agent, path: str) -> None:
    short = kernel.done("POST", "/api/keys", {"role": "viewer", "name": "short", "expires_in_s": 1})["secret"]
    gone = kernel.done("POST", "/api/keys", {"role": "viewer", "name": "gone"})
    kernel.done("DELETE", f"/api/keys/{gone['key']['id']}")
    quarantined = kernel.create_agent(f"q{time.monotonic_ns()}")
    kernel.done("POST", f"/api/agents/{quarantined.id}/quarantine", {"reason": "odd"})
    time.sleep(1.05)
    headers: list[dict[str, str]] = [
        {},
        {"Authorization": "Bearer"},
        {"Authorization": f"Basic {worker.key}"},
        {"Authorization": worker.key},
        {"Authorization": "Bearer nonsense"},
        {"Authorization": f"Bearer {flipped(worker.key)}"},
        {"Authorization": f"Bearer {worker.key}x"},
        {"Authorization": f"Bearer {'x' * 10_000}"},
        {"Authorization": f"Bearer {short}"},
        {"Authorization": f"Bearer {gone['secret']}"},
        {"Authorization": f"Bearer {quarantined.key}"},
        {"Authorization": "Bearer \xe9\xe9"},
        {"X-Api-Key": worker.key},
    ]

    with httpx.Client(base_url=kernel.url, trust_env=False) as client:
        answers = set()
        for sent in headers:
            raw = [(name.encode(), value.encode("latin-1")) for name, value in sent.items()]
            response = client.get(path, headers=raw)
            answers.add((response.status_code, response.text, response.headers["www-authenticate"]))

    assert {status for status, _, __ in answers} == {401}
    assert len(answers) == 1


def test_a_refused_request_with_a_body_leaves_the_connection_usable(kernel: Kernel) -> None:
    with httpx.Client(base_url=kernel.url, trust_env=False) as client:
        for _ in range(3):
            assert client.post("/api/tasks", json={"text": "x" * 100_000}).status_code == 401
            assert client.get("/healthz").status_code == 200


def test_a_key_that_comes_too_often_is_told_when_to_come_again(new_kernel: Callable[..., Kernel]) -> None:
    kernel = new_kernel(requests_per_minute="60", request_burst="5").start()

    with kernel.client() as client:
        statuses = [client.get("/api/whoami").status_code for _ in range(8)]
        refused = client.get("/a2a/tasks", headers=A2A)

    assert statuses[0] == 200
    assert statuses[-1] == 429
    assert (refused.status_code, int(refused.headers["retry-after"]) >= 1) == (429, True)


# -- starts ------------------------------------------------------------------------------------------------------------


def test_a_kernel_for_other_machines_needs_an_operators_key(new_kernel: Callable[..., Kernel]) -> None:
    kernel = new_kernel(host="0.0.0.0", operator_api_key="").start(wait=False)

    assert kernel.wait(20) != 0
    assert "MEMROOS_HOST" in kernel.log()


def test_a_database_of_a_newer_version_is_refused(new_kernel: Callable[..., Kernel]) -> None:
    kernel = new_kernel().start()
    kernel.terminate()
    with sqlite3.connect(kernel.database) as connection:
        connection.execute("UPDATE alembic_version SET version_num = 'from_the_future'")
    before = Path(kernel.database).stat().st_size

    kernel.start(wait=False)

    assert kernel.wait(20) != 0
    assert "from_the_future" in kernel.log()
    assert Path(kernel.database).stat().st_size == before
