"""Thirty-two clients that do what agents do, and go on where they were when the kernel comes back."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Any

from tests.crash.caller import Answer, Caller, Unanswered
from tests.crash.told import Deed, Ledger
from tests.flows.kernel import Agent, Kernel

CLIENTS = 32
WORKERS = 4
PAUSE_S = 0.02
LEASE_S = 5
AGAIN = 0.05
"""Share of the turns in which an acknowledged deed is sent once more."""
TRY_LATER = {429, 503}

Turn = Callable[[], Awaitable[None]]


class Clients:
    """All of them, on one event loop.

    Args:
        kernel: whom they call; its agents are made here, so it has to run.
        seed: decides who does what when.
    """

    def __init__(self, kernel: Kernel, ledger: Ledger, seed: int) -> None:
        self.ledger = ledger
        self.sending = True
        self.over = False
        self._port = kernel.port
        self._random = random.Random(seed)
        self._number = 0
        self._callers: list[Caller] = []
        self._turns = self._make(kernel)
        assert len(self._turns) == CLIENTS

    async def run(self) -> None:
        """Take turns until it is over."""
        async with asyncio.TaskGroup() as group:
            for turn in self._turns:
                group.create_task(self._repeat(turn))
        for caller in self._callers:
            caller.close()

    async def _repeat(self, turn: Turn) -> None:
        while not self.over:
            try:
                await turn()
            except Unanswered:
                await asyncio.sleep(PAUSE_S)

    def _make(self, kernel: Kernel) -> list[Turn]:
        workers = [kernel.create_agent(f"worker-{number}", skills=("work",)) for number in range(WORKERS)]
        readers = [kernel.create_agent(f"reader-{number}") for number in range(2)]
        senders = [kernel.create_agent(f"sender-{number}") for number in range(4)]

        def sender(number: int) -> str:
            return senders[number % len(senders)].key

        return [
            *(self._sends("task", sender(n), self._a2a_echo) for n in range(8)),
            *(self._sends("task", sender(n), self._rest_task("echo")) for n in range(4)),
            *(self._sends("task", sender(n), self._rest_task(workers[n % WORKERS].name)) for n in range(8)),
            *(self._works(worker) for worker in workers),
            *(self._sends("message", sender(n), self._message(readers[n % 2].id)) for n in range(4)),
            *(self._reads(reader) for reader in readers),
            self._decides(sender(0)),
            self._beats(senders[1]),
        ]

    # -- deeds that may be sent again -----------------------------------------------------------------------------

    def _sends(self, kind: str, key: str, send: "Send") -> Turn:
        """Return a client that sends deed after deed, and each again until it is answered."""
        caller = self._caller(key)
        mine: list[Deed] = []
        open_: list[Deed] = []

        async def turn() -> None:
            if open_:
                deed = open_[0]
            elif not self.sending:
                await asyncio.sleep(PAUSE_S)
                return
            elif mine and self._random.random() < AGAIN:
                deed = self._random.choice(mine)
            else:
                self._number += 1
                deed = Deed(kind, f"{kind}-{self._number}")
                open_.append(deed)
            try:
                id_ = await send(caller, deed)
            except Unanswered:
                self.ledger.unanswered[kind] += 1
                raise
            if id_ is None:
                await asyncio.sleep(PAUSE_S)
                return
            self.ledger.acknowledge(deed, id_)
            if open_:
                mine.append(open_.pop())

        return turn

    async def _a2a_echo(self, caller: Caller, deed: Deed) -> str | None:
        message = {"messageId": deed.name, "role": "ROLE_USER", "parts": [{"text": f"say {deed.name}"}]}
        call = {"jsonrpc": "2.0", "id": 1, "method": "SendMessage", "params": {"message": message}}
        answer = await caller.call("POST", "/a2a/agents/echo", call, a2a_version="1.0")
        if not self._good(answer, 200):
            return None
        said = answer.json()
        if "result" not in said:
            self._note_refusal(deed, answer)
            return None
        task = said["result"]["task"]
        if task["status"]["state"] == "TASK_STATE_COMPLETED":
            self.ledger.end("completed", task["id"])
        return str(task["id"])

    def _rest_task(self, agent: str) -> "Send":
        async def send(caller: Caller, deed: Deed) -> str | None:
            body = {"agent": agent, "message_id": deed.name, "parts": [{"text": f"do {deed.name}"}]}
            answer = await caller.call("POST", "/api/tasks", body)
            return str(answer.json()["id"]) if self._good(answer, 201) else None

        return send

    def _message(self, to: str) -> "Send":
        async def send(caller: Caller, deed: Deed) -> str | None:
            body = {"to": to, "kind": "note", "body": {"deed": deed.name}}
            answer = await caller.call("POST", "/api/agent-context", body, idempotency_key=deed.name)
            return str(answer.json()["id"]) if self._good(answer, 201) else None

        return send

    def _decides(self, key: str) -> Turn:
        """Return a client that asks before it reads something, and reports that it has."""

        async def send(caller: Caller, deed: Deed) -> str | None:
            asked = {"action": "notes.read", "tool": "reader", "asset": f"note:{deed.name}"}
            answer = await caller.call("POST", "/api/decisions", asked, idempotency_key=deed.name)
            if not self._good(answer, 200):
                return None
            decision = str(answer.json()["id"])
            told = await caller.call("POST", f"/api/decisions/{decision}/outcome", {"outcome": "done"})
            if not self._good(told, 200):
                return None
            self.ledger.end("reported", decision)
            return decision

        return self._sends("decision", key, send)

    # -- work under a lease ---------------------------------------------------------------------------------------

    def _works(self, agent: Agent) -> Turn:
        """Return a client that claims tasks and completes them, and repeats a report that was not answered."""
        caller = self._caller(agent.key)
        held: list[dict[str, Any]] = []

        async def turn() -> None:
            if not held:
                held.extend(await self._claim(caller))
            elif await self._complete(caller, held[0]):
                held.clear()

        return turn

    async def _claim(self, caller: Caller) -> list[dict[str, Any]]:
        answer = await caller.call("POST", "/api/tasks/claim", {"lease_s": LEASE_S, "wait_s": 1})
        if answer.status == 204 or not self._good(answer, 200):
            return []
        claim = answer.json()
        if claim["task"]["id"] in self.ledger.ends["completed"]:
            self.ledger.violate(f"{claim['task']['id']} was completed and is handed out again")
        return [claim]

    async def _complete(self, caller: Caller, claim: dict[str, Any]) -> bool:
        """Report a claimed task as done; say whether that is settled, one way or the other."""
        task, token = claim["task"]["id"], claim["fencing_token"]
        if self._random.random() < 0.3:
            await caller.call("POST", f"/api/tasks/{task}/heartbeat", {"fencing_token": token, "lease_s": LEASE_S})
        report = {"fencing_token": token, "parts": [{"text": f"done under {claim['lease_id']} {token}"}]}
        answer = await caller.call("POST", f"/api/tasks/{task}/complete", report)
        if answer.status in TRY_LATER:
            await asyncio.sleep(PAUSE_S)
            return False
        if answer.status != 409 and self._good(answer, 200):  # 409: the lease ended meanwhile; it comes again
            self.ledger.end("completed", task)
        return True

    def _reads(self, agent: Agent) -> Turn:
        """Return a client that receives messages and acknowledges them."""
        caller = self._caller(agent.key)
        held: list[dict[str, Any]] = []

        async def turn() -> None:
            if not held:
                wish = {"max_messages": 5, "lease_s": LEASE_S}
                answer = await caller.call("POST", "/api/agent-context/receive?wait_s=1", wish)
                if self._good(answer, 200):
                    held.extend(answer.json()["items"])
                for item in held:
                    if item["message"]["id"] in self.ledger.ends["acked"]:
                        self.ledger.violate(f"{item['message']['id']} was acknowledged and is handed out again")
                return
            item = held[0]
            message = item["message"]["id"]
            answer = await caller.call(
                "POST", f"/api/agent-context/{message}/ack", {"fencing_token": item["fencing_token"]}
            )
            if answer.status in TRY_LATER:
                await asyncio.sleep(PAUSE_S)
                return
            held.pop(0)
            if answer.status != 409 and self._good(answer, 200):
                self.ledger.end("acked", message)

        return turn

    def _beats(self, agent: Agent) -> Turn:
        """Return a client that says that it is there, counting."""
        caller = self._caller(agent.key)
        count = 0

        async def turn() -> None:
            nonlocal count
            count += 1
            answer = await caller.call("POST", "/api/heartbeat", {"status": f"beat {count}"})
            if self._good(answer, 200):
                self.ledger.heartbeats[agent.id] = count
            await asyncio.sleep(PAUSE_S)

        return turn

    # -- what all of them do --------------------------------------------------------------------------------------

    def _caller(self, key: str) -> Caller:
        caller = Caller(self._port, key)
        self._callers.append(caller)
        return caller

    def _good(self, answer: Answer, status: int) -> bool:
        """Whether an answer is what it should be; anything but that and a plea for patience must not be."""
        if answer.status == status:
            return True
        if answer.status not in TRY_LATER:
            self.ledger.violate(f"expected {status}, not {answer}")
        return False

    def _note_refusal(self, deed: Deed, answer: Answer) -> None:
        text = str(answer)
        if "overloaded" not in text and "stopping" not in text:
            self.ledger.violate(f"{deed.name}: {text}")


Send = Callable[[Caller, Deed], Awaitable[str | None]]
