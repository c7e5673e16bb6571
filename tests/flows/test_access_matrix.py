"""The access table, proved: every route, every role; own, same workspace, other workspace, unknown, and no key.

Generated from the table itself. A2A is mounted at several places; each mounted route and each JSON-RPC method is held
to the row of its operation.
"""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from a2a.server.routes.jsonrpc_dispatcher import JsonRpcDispatcher
from starlette.routing import BaseRoute, Mount, Route
from tests.flows import matrix
from tests.flows.matrix import UNKNOWN, Caller, World
from tests.flows.memory import System

from memroos.web import access
from memroos.web.a2a import Cards, compat, create_a2a_app
from memroos.web.access import ROWS, Reach, Row
from memroos_contracts.identity import Role
from memroos_kit.clock import SystemClock

TOKEN = {"fencing_token": 1}
SCORE = {"questions": 1, "recall_at_5": 1.0, "recall_at_10": 1.0}
EVAL = {
    "file": "questions.json",
    "file_digest": "sha256:0",
    "configuration": "recall",
    "turns": 1,
    "overall": SCORE,
    "categories": {},
    "query_p50_ms": 1.0,
    "query_p95_ms": 1.0,
}
A2A = {"A2A-Version": "1.0"}
HEADERS = {"updateAgent": {"If-Match": '"1"'}, "updateRemoteAgent": {"If-Match": "*"}}
BODIES: dict[str, Any] = {
    "createWorkspace": lambda world: {"name": f"w-{next(world._numbers)}"},
    "createAgent": lambda world: {"name": f"n-{next(world._numbers)}", "kind": "rest"},
    "updateAgent": lambda _: {"title": "Another title"},
    "activateAgent": lambda _: {},
    "quarantineAgent": lambda _: {"reason": "odd"},
    "retireAgent": lambda _: {},
    "createAgentKey": lambda _: {},
    "addRemoteAgent": lambda world: {"card_url": world.cards.url},
    "updateRemoteAgent": lambda _: {"interval_s": 30},
    "createKey": lambda world: {"role": "viewer", "name": f"k-{next(world._numbers)}"},
    "rotateKey": lambda _: {},
    "sendHeartbeat": lambda _: {},
    "askDecision": lambda _: {"action": "note.read", "tool": "notes"},
    "reportOutcome": lambda _: {"outcome": "done"},
    "approveRequest": lambda _: {},
    "rejectRequest": lambda _: {},
    "sendInboxMessage": lambda world: {"to": world.target["home"].agent, "kind": "note", "body": {}},
    "receiveInboxMessages": lambda _: {},
    "ackInboxMessage": lambda _: TOKEN,
    "nackInboxMessage": lambda _: TOKEN,
    "extendInboxLease": lambda _: TOKEN,
    "releaseInboxMessage": lambda _: TOKEN,
    "replyToInboxMessage": lambda _: {"body": {}},
    "requeueInboxMessage": lambda _: {},
    "recallMemory": lambda _: {"query": "albatross"},
    "recallContext": lambda _: {"recall": {"query": "albatross"}},
    "writeAgentMemory": lambda _: {"text": "remember"},
    "writeAgentMemories": lambda _: {"memories": [{"text": "remember"}]},
    "queryMemoryItems": lambda _: {},
    "updateMemoryItem": lambda _: {"confidence": 0.5},
    "supersedeMemoryItem": lambda _: {"text": "Another thing to remember."},
    "rollbackMemoryScope": lambda _: {"to_seq": 0},
    "waitForMemoryJobs": lambda _: {"wait_s": 0},
    "replayMemoryDeadLetters": lambda _: {},
    "reindexMemory": lambda _: {"indexes": ["graph"]},
    "keepRecallEval": lambda _: EVAL,
    "putRecollectionPolicy": lambda _: {"purpose": "nobody's", "rule": {"enabled": False}},
    "dryRunRecollectionPolicy": lambda _: {"rule": {}, "tasks": 1},
    "a2aSendMessage": lambda _: {"message": matrix.message(), "configuration": {"returnImmediately": True}},
    "a2aSendStreamingMessage": lambda _: {"message": matrix.message()},
    "searchCatalog": lambda _: {"query": {"text": "anybody"}},
    "rotateCardKeys": lambda _: {},
    "sendTask": lambda world: {"agent": world.target["home"].agent, "parts": [{"text": "x"}]},
    "cancelTask": lambda _: {},
    "createPushNotification": lambda _: {"url": "https://hook.example"},
    "replayPushNotification": lambda _: {},
    "claimTask": lambda _: {},
    "extendTaskLease": lambda _: TOKEN,
    "reportTaskProgress": lambda _: TOKEN,
    "addTaskArtifact": lambda _: {**TOKEN, "artifact": {"artifact_id": "a", "parts": [{"text": "x"}]}},
    "completeTask": lambda _: TOKEN,
    "failTask": lambda _: TOKEN,
    "askTaskCaller": lambda _: {**TOKEN, "parts": [{"text": "?"}]},
}
"""A valid minimal body for each operation that takes one."""

RPC = {
    "SendMessage": "a2aSendMessage",
    "SendStreamingMessage": "a2aSendStreamingMessage",
    "GetTask": "a2aGetTask",
    "ListTasks": "a2aListTasks",
    "CancelTask": "a2aCancelTask",
    "SubscribeToTask": "a2aSubscribeToTask",
    "CreateTaskPushNotificationConfig": "a2aPushNotificationConfigs",
    "GetTaskPushNotificationConfig": "a2aPushNotificationConfigs",
    "ListTaskPushNotificationConfigs": "a2aPushNotificationConfigs",
    "DeleteTaskPushNotificationConfig": "a2aPushNotificationConfigs",
    "GetExtendedAgentCard": "a2aGetExtendedAgentCard",
}
RPC_0_3 = {
    "message/send": "a2aSendMessage",
    "message/stream": "a2aSendStreamingMessage",
    "tasks/get": "a2aGetTask",
    "tasks/cancel": "a2aCancelTask",
    "tasks/resubscribe": "a2aSubscribeToTask",
    "tasks/pushNotificationConfig/set": "a2aPushNotificationConfigs",
    "tasks/pushNotificationConfig/get": "a2aPushNotificationConfigs",
    "tasks/pushNotificationConfig/list": "a2aPushNotificationConfigs",
    "tasks/pushNotificationConfig/delete": "a2aPushNotificationConfigs",
    "agent/getAuthenticatedExtendedCard": "a2aGetExtendedAgentCard",
}
ENDINGS = {
    "/.well-known/agent-card.json": "a2aKernelCard",
    "/.well-known/agent.json": "a2aKernelCard",
    "/.well-known/jwks.json": "a2aKeySet",
    "/.well-known/ai-catalog.json": "a2aCatalog",
    "/upstream-card.json": "a2aUpstreamCard",
    "/message:send": "a2aSendMessage",
    "/message:stream": "a2aSendStreamingMessage",
    "/tasks": "a2aListTasks",
    "/tasks/{id}": "a2aGetTask",
    "/tasks/{id}:cancel": "a2aCancelTask",
    "/tasks/{id}:subscribe": "a2aSubscribeToTask",
    "/tasks/{id}/pushNotificationConfigs": "a2aPushNotificationConfigs",
    "/tasks/{id}/pushNotificationConfigs/{push_id}": "a2aPushNotificationConfigs",
    "/extendedAgentCard": "a2aGetExtendedAgentCard",
    "/v1/card": "a2aGetExtendedAgentCard",
}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Two workspaces in a kernel of their own, with a memory service."""
    settings = {
        "request_burst": "1000000",
        "requests_per_minute": "10000000",
        "default_agent": "",
        "outbound_allow": "*,127.0.0.1",
    }
    with (
        System(tmp_path_factory.mktemp("matrix"), settings=settings) as system,
        matrix.world(system.kernel) as made,
    ):
        yield made


class Door:
    """One way to an operation: a method, a path with places for ids, and how a body is wrapped."""

    def __init__(self, row: Row, method: str, path: str, *, rpc: str = "") -> None:
        self.row = row
        self.method = method
        self.path = path
        self.rpc = rpc
        self.old = "/" in rpc

    def __str__(self) -> str:
        return f"{self.method} {self.path}{' ' if self.rpc else ''}{self.rpc}"

    def ask(self, world: World, caller: Caller | None, object_id: str = "") -> tuple[httpx.Response, str]:
        """Go through it; return the answer and what it amounts to: let in, denied, missing, or no key."""
        make_body = BODIES.get(self.row.operation)
        body: Any = None if make_body is None else make_body(world)
        if self.row.operation == "a2aPushNotificationConfigs" and self.method == "POST":
            body = {"url": "https://hook.example"}
            if "/v1/" in self.path:
                parent = f"tasks/{object_id}"
                config = {"name": f"{parent}/pushNotificationConfigs/p", "pushNotificationConfig": body}
                body = {"parent": parent, "configId": "p", "config": config}
        if self.row.operation.startswith("a2aSend"):
            body["message"]["metadata"] = {"memroos.skill": self._skill(world, caller)}
        if self.rpc:
            params = (
                self._params_0_3(object_id, body)
                if self.old
                else {"id": object_id, "taskId": object_id, **(body or {})}
            )
            body = {"jsonrpc": "2.0", "id": 1, "method": self.rpc, "params": params}
        of_1_0 = self.row.operation.startswith("a2a") and "/v1/" not in self.path and not self.old
        headers = HEADERS.get(self.row.operation, A2A if of_1_0 else {})
        response = world.ask(caller, self.method, self._filled(world, caller, object_id), body, **headers)
        return response, self._meaning(response)

    def _params_0_3(self, object_id: str, body: Any) -> dict[str, Any]:
        if self.row.operation.startswith("a2aSend"):
            parts = [{"kind": "text", "text": part["text"]} for part in body["message"]["parts"]]
            said = {**body["message"], "kind": "message", "role": "user", "parts": parts}
            return {"message": said, "configuration": {"blocking": False}}
        config = {"id": "p", "url": "https://hook.example"}
        return {
            "id": object_id,
            "taskId": object_id,
            "pushNotificationConfig": config,
            **({"pushNotificationConfigId": "p"} if self.rpc.endswith(("/get", "/delete")) else {}),
        }

    def _skill(self, world: World, caller: Caller | None) -> str:
        where = "away" if caller is not None and world.people_of(caller) is world.away else "home"
        agent = world.target[where].agent
        operator = (world.home if where == "home" else world.away)[Role.OPERATOR]
        return str(world.done(operator, "GET", f"/api/agents/{agent}")["name"])

    def _filled(self, world: World, caller: Caller | None, object_id: str) -> str:
        path = self.path
        if self.row.object == "agent" or "/a2a/agents/" not in path:
            path = path.replace("{agent}", object_id)
        where = "away" if caller is not None and world.people_of(caller) is world.away else "home"
        tenant = world.home[Role.OPERATOR].workspace if where == "home" else "elsewhere"
        for name, value in {
            "agent": world.target[where].agent,
            "tenant": tenant,
            "push_id": "p",
            "slug": "denied",
            "version": "1",
        }.items():
            path = path.replace(f"{{{name}}}", value)
        kinds = ("key", "decision", "approval", "message", "memory_id", "memory", "task", "id", "event", "notification")
        for name in (*kinds, "scope_id", "job", "policy"):
            path = path.replace(f"{{{name}}}", object_id)
        if self.row.operation == "proveAuditInclusion":
            path += f"?event={UNKNOWN['audit_event']}"
        if self.row.operation == "proveAuditConsistency":
            path += "?first=1"
        if self.row.operation == "listInboxMessages" and caller is not None and caller.role is Role.OPERATOR:
            path += f"?agent={world.target['home'].agent}"
        return path

    def _meaning(self, response: httpx.Response) -> str:
        if response.status_code == 401:
            return "no key"
        code = 0
        if self.rpc and response.headers.get("content-type", "").startswith("application/json"):
            code = response.json().get("error", {}).get("code", 0)
        if response.status_code == 403 or code == -32050:
            return "denied"
        if self.row.operation == "a2aPushNotificationConfigs" and "no push notification configuration" in response.text:
            return "let in"  # the task was found, and has none of this name
        if self.row.operation == "a2aUpstreamCard" and response.json().get("kind_of_object") == "agent_card":
            return "let in"  # the agent was found, and has no card of its own
        if response.status_code == 404 or code == -32001:
            return "missing"
        assert response.status_code < 500, response.text
        assert code != -32603, response.text
        return "let in"


def mounted(routes: list[BaseRoute], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Yield the method and path of every route of the A2A application."""
    for route in routes:
        if isinstance(route, Mount):
            yield from mounted(list(route.routes), prefix + route.path)
        else:
            assert isinstance(route, Route)
            for method in (route.methods or set()) - {"HEAD"}:
                yield method, prefix + route.path


def a2a_doors() -> Iterator[Door]:
    """Yield a door for every mounted route, and for every method of every JSON-RPC endpoint."""
    cards = Cards("http://x", "0", None, SystemClock())  # type: ignore[arg-type]  # nobody is let in here
    app = create_a2a_app(None, cards, None)  # type: ignore[arg-type]
    for method, path in mounted(app.routes):
        ending = max((end for end in ENDINGS if path.endswith(end)), key=len, default="")
        if ending:
            own_card = "/agents/" in path and ENDINGS[ending] == "a2aKernelCard"
            operation = "a2aAgentCard" if own_card else ENDINGS[ending]
            yield Door(access.row(operation), method, path)
        else:
            assert (method, path.rstrip("/")) in {("POST", p) for p in ("/a2a", "/api/a2a", "/a2a/agents/{agent}")}
            for rpc, operation in (RPC | RPC_0_3).items():
                yield Door(access.row(operation), method, path, rpc=rpc)


DOORS = [
    *(Door(row, row.method, row.path) for row in ROWS if not row.operation.startswith("a2a")),
    *sorted(a2a_doors(), key=str),
]


def test_every_json_rpc_method_of_the_sdk_has_a_row() -> None:
    assert set(JsonRpcDispatcher.METHOD_TO_MODEL) == set(RPC)
    assert set(RPC_0_3) == compat.METHODS


def test_every_row_has_a_door() -> None:
    assert {door.row.operation for door in DOORS} == {row.operation for row in ROWS}


@pytest.mark.parametrize("door", [door for door in DOORS if not door.row.public], ids=str)
def test_without_a_key_nothing_answers(world: World, door: Door) -> None:
    response, meaning = door.ask(world, None, UNKNOWN.get(door.row.object, "x"))
    reference = world.ask(None, "GET", "/api/whoami")

    assert (meaning, response.status_code, response.text) == ("no key", 401, reference.text)


@pytest.mark.parametrize("door", [door for door in DOORS if door.row.public], ids=str)
def test_what_is_public_answers_without_a_key(world: World, door: Door) -> None:
    assert door.ask(world, None)[1] == "let in"


@pytest.mark.parametrize("door", [door for door in DOORS if not door.row.public], ids=str)
def test_roles_come_through_the_door_as_the_table_says(world: World, door: Door) -> None:
    for role, caller in world.home.items():
        expected = "let in" if role in door.row.roles else "denied"
        if not door.row.object:
            object_id = world.make("decision", world.home[Role.AGENT], "") if "{decision}" in door.path else ""
            response, meaning = door.ask(world, caller, object_id)
            missing = meaning == "missing" and door.row.operation == "proveAuditInclusion"
            assert missing or meaning == expected, f"{role}: {response.status_code} {response.text}"
        elif expected == "denied":
            for object_id in (
                world.make(door.row.object, caller_of(world, door, role), door.path),
                UNKNOWN[door.row.object],
            ):
                response, meaning = door.ask(world, caller, object_id)
                assert meaning == "denied", f"{role}: {response.status_code} {response.text}"


def caller_of(world: World, door: Door, role: Role) -> Caller:
    """Return somebody who can own such an object, the caller itself where it can."""
    return world.home[role] if role in door.row.roles else world.home[Role.AGENT]


@pytest.mark.parametrize("door", [door for door in DOORS if door.row.object], ids=str)
def test_objects_are_reached_as_far_as_the_table_says_and_foreign_ones_are_unknown(world: World, door: Door) -> None:
    kind = door.row.object
    for role, reach in door.row.roles.items():
        caller = world.home[role]
        unknown, _ = door.ask(world, caller, UNKNOWN[kind])
        cells = {
            "own": world.make(kind, caller, door.path) if can_own(kind, role) else None,
            "same workspace": world.make(kind, neighbour(world.second["home"], world.home, kind), door.path),
            "other workspace": world.make(kind, neighbour(world.second["away"], world.away, kind), door.path),
        }
        for cell, object_id in cells.items():
            if object_id is None:
                continue
            response, meaning = door.ask(world, caller, object_id)
            told = f"{role}, {cell}: {response.status_code}"
            if cell == "own" or (cell == "same workspace" and reach is Reach.WORKSPACE):
                assert meaning == "let in", f"{told} {response.text}"
            else:
                assert matrix.blanked(response, object_id) == matrix.blanked(unknown, UNKNOWN[kind]), told
                assert meaning == "missing", told


def neighbour(agent: Caller, people: dict[Role, Caller], kind: str) -> Caller:
    """Return whose object somebody else's is; of agents and keys a fresh one, since what is done to it may end it."""
    return people[Role.OPERATOR] if kind in {"agent", "key"} else agent


def can_own(kind: str, role: Role) -> bool:
    """Whether a role has objects of this kind of its own."""
    if kind in {"decision", "approval"}:
        return role in {Role.AGENT, Role.SERVICE}
    if kind in {"task", "memory", "memory_item", "memory_scope", "push"}:
        return role in {Role.AGENT, Role.SERVICE, Role.OPERATOR}
    if kind in {"message", "key", "agent"}:
        return role is Role.AGENT
    return False
