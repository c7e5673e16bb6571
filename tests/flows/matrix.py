"""A world of two workspaces in which every role has a caller, and fresh objects for every cell of the access table."""

import itertools
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import msgspec
from tests.card_server import CardServer
from tests.flows.kernel import Kernel

from memroos_contracts.identity import Role
from memroos_kit.ids import new_id

UNKNOWN = {
    "agent": "agt_00000000000000000000000000",
    "remote_agent": "agt_00000000000000000000000000",
    "key": "key_00000000000000000000000000",
    "decision": "dec_00000000000000000000000000",
    "approval": "apr_00000000000000000000000000",
    "message": "msg_00000000000000000000000000",
    "memory": "mem_00000000000000000000000000",
    "memory_item": "itm_00000000000000000000000000",
    "memory_scope": "scp_00000000000000000000000000",
    "memory_job": "job_00000000000000000000000000",
    "recollection_policy": "rcp_00000000000000000000000000",
    "task": "task_00000000000000000000000000",
    "push": "push_00000000000000000000000000",
    "audit_event": "aud_00000000000000000000000000",
}
WORKS_ON_IT = re.compile(r"/(heartbeat|progress|artifact|complete|fail|ask)$")


class Caller(msgspec.Struct, frozen=True):
    """Somebody with a key."""

    role: Role
    workspace: str
    key: str
    key_id: str
    agent: str = ""
    """The agent's id, for agents."""


class World:
    """Two workspaces; in each a caller of every role, a second agent, and an agent that others send work to."""

    def __init__(self, kernel: Kernel) -> None:
        self.kernel = kernel
        self._http = kernel.client("")
        self.cards = CardServer().__enter__()
        self._numbers = itertools.count()
        operator = self._whoami(kernel.operator_key)
        self.home = self._people("home", operator)
        made = self.done(operator, "POST", "/api/workspaces", {"name": "elsewhere"})
        self.away = self._people("away", self._whoami(made["operator_key"]["secret"]))
        self.second = {"home": self._agent(self.home[Role.OPERATOR]), "away": self._agent(self.away[Role.OPERATOR])}
        self.target = {"home": self._agent(self.home[Role.OPERATOR]), "away": self._agent(self.away[Role.OPERATOR])}

    def close(self) -> None:
        """Close the connections."""
        self._http.close()
        self.cards.__exit__(None, None, None)

    # -- requests ----------------------------------------------------------------------------------------------------

    def ask(self, caller: Caller | None, method: str, path: str, body: Any = None, **headers: str) -> httpx.Response:
        """Make a request; of a stream only the head is read."""
        sent = self.kernel.headers(caller.key if caller else "") | headers
        with self._http.stream(method, path, headers=sent, json=body) as response:
            if response.headers.get("content-type", "").startswith("text/event-stream"):
                return response
            response.read()
            return response

    def done(self, caller: Caller, method: str, path: str, body: Any = None) -> Any:
        """Make a request that has to succeed."""
        response = self.ask(caller, method, path, body)
        assert response.is_success, f"{method} {path}: {response.status_code} {response.text}"
        return response.json()

    # -- callers -----------------------------------------------------------------------------------------------------

    def _whoami(self, secret: str) -> Caller:
        who = self.kernel.done("GET", "/api/whoami", key=secret)
        agent = who["agent"] or {}
        return Caller(Role(who["role"]), who["workspace"], secret, who["key"], agent.get("id", ""))

    def _people(self, where: str, operator: Caller) -> dict[Role, Caller]:
        people = {Role.OPERATOR: operator}
        for role in (Role.AUDITOR, Role.VIEWER, Role.SERVICE):
            made = self.done(operator, "POST", "/api/keys", {"role": role, "name": f"{where}-{role}"})
            people[role] = self._whoami(made["secret"])
        return people | {Role.AGENT: self._agent(operator)}

    def _agent(self, operator: Caller) -> Caller:
        name = f"agent-{next(self._numbers)}"
        skills = [{"id": name, "name": name}]
        agent = self.done(
            operator, "POST", "/api/agents", {"name": name, "kind": "rest", "state": "active", "skills": skills}
        )
        made = self.done(operator, "POST", f"/api/agents/{agent['id']}/keys", {})
        return self._whoami(made["secret"])

    # -- objects -----------------------------------------------------------------------------------------------------

    def make(self, kind: str, owner: Caller, path: str) -> str:
        """Make a fresh object that is this caller's own: asked, sent or written by it, or addressed to it."""
        making: dict[str, Callable[[Caller, str], str]] = {
            "agent": self._make_agent,
            "remote_agent": self._make_remote_agent,
            "key": self._make_key,
            "decision": lambda who, _: str(self._decision(who)["id"]),
            "approval": lambda who, _: str(self._decision(who)["approval_id"]),
            "message": self._make_message,
            "memory": self._make_memory,
            "memory_item": self._make_memory,
            "memory_scope": self._make_memory_scope,
            "memory_job": self._make_memory_job,
            "recollection_policy": self._make_recollection_policy,
            "task": self._make_task,
            "push": self._make_push,
            "audit_event": self._find_audit_event,
        }
        return making[kind](owner, path)

    def people_of(self, caller: Caller) -> dict[Role, Caller]:
        """Return the callers of a caller's workspace."""
        return self.home if caller.workspace == self.home[Role.OPERATOR].workspace else self.away

    def _where(self, caller: Caller) -> str:
        return "home" if self.people_of(caller) is self.home else "away"

    def _make_agent(self, owner: Caller, _: str) -> str:
        return owner.agent or self._agent(self.people_of(owner)[Role.OPERATOR]).agent

    def _make_remote_agent(self, owner: Caller, _: str) -> str:
        operator = self.people_of(owner)[Role.OPERATOR]
        return str(self.done(operator, "POST", "/api/remote-agents", {"card_url": self.cards.url})["agent"]["id"])

    def _make_key(self, owner: Caller, _: str) -> str:
        if owner.agent:
            return owner.key_id
        operator = self.people_of(owner)[Role.OPERATOR]
        return str(self.done(operator, "POST", "/api/keys", {"role": "viewer", "name": "a key"})["key"]["id"])

    def _decision(self, owner: Caller) -> Any:
        asker = owner if owner.role in (Role.AGENT, Role.SERVICE) else self.second[self._where(owner)]
        request = {"action": "file.write", "tool": "files", "arguments": {"n": next(self._numbers)}}
        return self.done(asker, "POST", "/api/decisions", request)

    def _make_message(self, owner: Caller, _: str) -> str:
        to = owner if owner.agent else self.second[self._where(owner)]
        operator = self.people_of(owner)[Role.OPERATOR]
        sent = self.done(operator, "POST", "/api/agent-context", {"to": to.agent, "kind": "note", "body": {"a": 1}})
        return str(sent["id"])

    def _make_memory(self, owner: Caller, _: str) -> str:
        return str(self.done(owner, "POST", "/api/agent-memory", {"text": "A thing to remember."})["id"])

    def _make_memory_scope(self, owner: Caller, _: str) -> str:
        about = f"user-{next(self._numbers)}"
        self.done(owner, "POST", "/api/agent-memory", {"text": "A thing to remember.", "user_id": about})
        self.done(owner, "POST", "/api/memory/jobs/wait", {"wait_s": 10})
        scopes = self.done(owner, "GET", "/api/memory/scopes")["items"]
        return next(str(scope["id"]) for scope in scopes if scope["user_id"] == about)

    def _make_memory_job(self, owner: Caller, _: str) -> str:
        operator = self.people_of(owner)[Role.OPERATOR]
        scope = self._make_memory_scope(operator, "")
        jobs = self.done(operator, "GET", "/api/memory/jobs?limit=100")["items"]
        return next(str(job["id"]) for job in jobs if job["scope_id"] == scope)

    def _make_recollection_policy(self, owner: Caller, _: str) -> str:
        operator = self.people_of(owner)[Role.OPERATOR]
        policy = {"purpose": f"purpose-{next(self._numbers)}", "rule": {"enabled": False}}
        return str(self.done(operator, "PUT", "/api/memory/recollection-policies", policy)["id"])

    def _make_task(self, owner: Caller, path: str) -> str:
        people = self.people_of(owner)
        if owner.agent and WORKS_ON_IT.search(path):
            sender, agent = people[Role.OPERATOR], owner.agent
        else:
            sends = owner.role in (Role.OPERATOR, Role.AGENT, Role.SERVICE)
            sender, agent = owner if sends else people[Role.OPERATOR], self.target[self._where(owner)].agent
        return str(self.done(sender, "POST", "/api/tasks", {"agent": agent, "parts": [{"text": "x"}]})["id"])

    def _make_push(self, owner: Caller, path: str) -> str:
        sends = owner.role in (Role.OPERATOR, Role.AGENT, Role.SERVICE)
        maker = owner if sends else self.people_of(owner)[Role.AGENT]
        task = self._make_task(maker, path)
        made = self.done(maker, "POST", f"/api/tasks/{task}/push-notifications", {"url": "https://hook.example"})
        return str(made["id"])

    def _find_audit_event(self, owner: Caller, _: str) -> str:
        operator = self.people_of(owner)[Role.OPERATOR]
        return str(self.done(operator, "GET", "/api/audit?limit=1")["items"][0]["id"])


@contextmanager
def world(kernel: Kernel) -> Iterator[World]:
    """Make the world in a running kernel."""
    made = World(kernel)
    try:
        yield made
    finally:
        made.close()


def message() -> dict[str, Any]:
    """Return an A2A message with a new id."""
    return {"messageId": new_id("msg"), "role": "ROLE_USER", "parts": [{"text": "hello"}]}


def blanked(response: httpx.Response, *ids: str) -> tuple[int, str]:
    """Return an answer without the ids that were asked for, so that two may be compared."""
    text = response.text
    for asked in ids:
        text = text.replace(asked, "ID")
    text = re.sub(r'"request_id":\s*"[^"]*"', "", text)
    return response.status_code, text
