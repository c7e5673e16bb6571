"""The front door: nobody passes without a valid key, and every bad key hears the same."""

import asyncio
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.actors import KERNEL, OPERATOR

from memroos import registry
from memroos.web import access
from memroos.web.front import Front, is_a2a, is_public
from memroos_contracts.errors import MemroosError, NotFound
from memroos_contracts.identity import Role
from memroos_contracts.registry import NewKey
from memroos_kit.clock import ManualClock
from memroos_kit.db import Database
from memroos_kit.edge import Message, Receive, Scope, Send
from memroos_kit.limits import RateLimiter

WELL_KNOWN = ("agent-card", "agent", "jwks", "ai-catalog")


class App:
    """An application that notes who came."""

    def __init__(self, error: MemroosError | None = None) -> None:
        self.came: list[tuple[str, Any]] = []
        self.error = error

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.came.append((scope["path"], scope.get("actor")))
        if self.error is not None:
            raise self.error
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"here"})


class Doors:
    """A front with two applications behind it and one valid key."""

    def __init__(self, db: Database, clock: ManualClock, *, burst: int = 100) -> None:
        self.rest, self.a2a, self.clock = App(), App(), clock
        made = db.write_now(OPERATOR, registry.create_key, NewKey(role=Role.VIEWER, name="v", expires_in_s=60))
        self.key, self.key_id = made.secret, made.key.id
        keyring = registry.Keyring()
        db.read_now(KERNEL, keyring.load)
        limiter = RateLimiter(per_minute=60, burst=burst)
        self.front = Front(self.rest, self.a2a, keyring, limiter, clock)

    def ask(self, path: str, *headers: tuple[str, str], kind: str = "http") -> tuple[int, dict[str, str], Any]:
        """Make a request and return status, headers and body."""
        sent: list[Message] = []
        raw = [(name.encode(), value.encode("latin-1")) for name, value in headers]

        async def send(message: Message) -> None:
            sent.append(message)

        async def receive() -> Message:
            return {"type": "http.request", "body": b"", "more_body": False}

        asyncio.run(self.front({"type": kind, "path": path, "headers": raw}, receive, send))
        if not sent:
            return 0, {}, None
        start, body = sent
        return start["status"], {n.decode(): v.decode() for n, v in start["headers"]}, body["body"]

    def with_key(self, path: str) -> tuple[int, dict[str, str], Any]:
        """Ask with the valid key."""
        return self.ask(path, ("authorization", f"Bearer {self.key}"))


@pytest.fixture
def doors(db: Database, clock: ManualClock) -> Doors:
    return Doors(db, clock)


def test_a_valid_key_brings_its_actor_to_the_right_application(doors: Doors) -> None:
    assert doors.with_key("/api/tasks")[0] == 200
    assert doors.with_key("/a2a")[0] == 200

    assert [(path, actor.key) for path, actor in doors.rest.came] == [("/api/tasks", doors.key_id)]
    assert [(path, actor.role) for path, actor in doors.a2a.came] == [("/a2a", Role.VIEWER)]


@pytest.mark.parametrize(
    "path", ["/", "/api/tasks", "/a2a", "/nowhere", "/metrics", "/healthz/x", "/problems", "/tasks"]
)
def test_every_bad_key_hears_the_same_at_every_address(doors: Doors, path: str) -> None:
    wrong: list[list[tuple[str, str]]] = [
        [],
        [("authorization", "")],
        [("authorization", "Bearer")],
        [("authorization", f"Basic {doors.key}")],
        [("authorization", doors.key)],
        [("authorization", f"Bearer {doors.key[:-1]}")],
        [("authorization", f"Bearer {doors.key}x")],
        [("authorization", "Bearer nonsense")],
        [("authorization", "Bearer \xff\xfe")],
        [("authorization", f"Bearer {doors.key}"), ("authorization", "Bearer x")],
        [("x-api-key", doors.key)],
    ]

    heard = [doors.ask(path, *headers) for headers in wrong]
    doors.clock.advance(seconds=61)
    heard.append(doors.with_key(path))  # expired
    answers = {json.dumps([status, headers, body.decode()]) for status, headers, body in heard}

    assert len(answers) == 1
    status, headers, body = json.loads(answers.pop())
    assert (status, headers["www-authenticate"].split()[0]) == (401, "Bearer")
    assert json.loads(body)["type"] == "/problems/unauthenticated"
    assert doors.rest.came == doors.a2a.came == []


def test_the_scheme_is_taken_in_any_case(doors: Doors) -> None:
    assert doors.ask("/api/tasks", ("authorization", f"bEARER  {doors.key} "))[0] == 200


@pytest.mark.parametrize(
    "path",
    [
        "/healthz",
        "/readyz",
        "/problems/denied",
        "/.well-known/agent-card.json",
        "/.well-known/agent.json",
        "/.well-known/jwks.json",
        "/.well-known/ai-catalog.json",
    ],
)
def test_public_addresses_need_no_key_and_name_nobody(doors: Doors, path: str) -> None:
    assert doors.ask(path)[0] == 200

    assert (doors.rest.came + doors.a2a.came) == [(path, None)]


def test_the_catalogue_knows_who_shows_a_key(doors: Doors) -> None:
    assert doors.with_key("/.well-known/ai-catalog.json")[0] == 200

    assert [actor.key for _, actor in doors.a2a.came] == [doors.key_id]


@pytest.mark.parametrize("header", ["Bearer wrong", "Basic x", ""])
def test_the_catalogue_refuses_a_key_that_is_none(doors: Doors, header: str) -> None:
    assert doors.ask("/.well-known/ai-catalog.json", ("authorization", header))[0] == 401

    assert doors.a2a.came == []


def test_the_public_addresses_are_those_of_the_access_table() -> None:
    for row in access.ROWS:
        assert is_public(row.path.replace("{slug}", "x")) is row.public, row.operation


@given(st.text(max_size=30))
def test_no_other_address_is_public(path: str) -> None:
    public = {"/healthz", "/readyz"} | {f"/.well-known/{name}.json" for name in WELL_KNOWN}

    assert is_public(path) is (path in public or path.startswith("/problems/"))


@pytest.mark.parametrize(
    ("path", "answers"),
    [
        ("/a2a", True),
        ("/a2a/agents/x", True),
        ("/tasks", True),
        ("/tasks/x:cancel", True),
        ("/message:send", True),
        ("/api/a2a", True),
        ("/a2abc", False),
        ("/api/tasks", False),
        ("/tasksy", False),
        ("/default/tasks", False),
        ("/", False),
    ],
)
def test_the_protocol_has_its_addresses_and_no_others(path: str, answers: bool) -> None:
    assert is_a2a(path) is answers


def test_a_key_that_comes_too_fast_is_told_when_to_come_again(db: Database, clock: ManualClock) -> None:
    doors = Doors(db, clock, burst=2)

    statuses = [doors.with_key("/api/tasks")[0] for _ in range(3)]
    headers = doors.with_key("/a2a")[1]

    assert statuses == [200, 200, 429]
    assert headers["retry-after"] == "1"


def test_an_error_that_leaves_the_protocols_application_is_a_problem(doors: Doors) -> None:
    doors.a2a.error = NotFound("There is nothing.")

    status, headers, body = doors.with_key("/a2a/agents/x")

    assert (status, headers["content-type"]) == (404, "application/problem+json")
    assert json.loads(body)["detail"] == "There is nothing."


def test_what_is_no_request_goes_to_the_application(doors: Doors) -> None:
    doors.ask("/", kind="lifespan")

    assert doors.rest.came == [("/", None)]


def test_time_is_that_of_the_clock(doors: Doors) -> None:
    doors.clock.advance(seconds=59)
    assert doors.with_key("/api/tasks")[0] == 200
    doors.clock.advance(seconds=2)
    assert doors.with_key("/api/tasks")[0] == 401
