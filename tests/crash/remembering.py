"""Agents that remember, recall and forget, and go on where they were when what they talk to comes back."""

import asyncio
import random
from collections import Counter

from tests.crash.caller import Answer, Caller, Unanswered
from tests.crash.told import Deed, Ledger
from tests.flows.kernel import Kernel

AGENTS = 6
PAUSE_S = 0.2
AGAIN = 0.1
"""Share of the turns in which something acknowledged is sent once more."""
FORGET = 0.04
"""Share of the turns in which something is deleted."""
TRY_LATER = {429, 503}
CITIES = ("Oslo", "Rome", "Lima", "Kyoto", "Quito")
THINGS = ("tea", "chess", "sailing", "long walks", "old maps")


class Remembering:
    """All of them, on one event loop.

    Attributes:
        keys: the agents' keys.
        authors: which agent wrote what, by the deed's name.
        gone: what was asked to be deleted, by id, and whether that was acknowledged.
    """

    def __init__(self, kernel: Kernel, ledger: Ledger, seed: int) -> None:
        self.ledger = ledger
        self.over = False
        self.keys = [kernel.create_agent(f"agent-{number}").key for number in range(AGENTS)]
        self.authors: dict[str, int] = {}
        self.gone: dict[str, bool] = {}
        self.recalls: Counter[str] = Counter()
        self._port = kernel.port
        self._random = random.Random(seed)
        self._number = 0

    async def run(self) -> None:
        """Write, ask and delete until it is over, and until everything that was begun is answered."""
        async with asyncio.TaskGroup() as group:
            for number in range(AGENTS):
                group.create_task(self._writes(number))
            group.create_task(self._asks())

    async def _writes(self, number: int) -> None:
        caller = Caller(self._port, self.keys[number])
        open_: list[str] = []
        mine: list[list[str]] = []
        while open_ or not self.over:
            await asyncio.sleep(PAUSE_S * self._random.uniform(0.5, 1.5))
            if not open_ and mine and self._random.random() < FORGET:
                await self._forgets(caller, self._random.choice(mine)[0])
                continue
            again = not open_ and mine and self._random.random() < AGAIN
            open_ = open_ or (self._random.choice(mine) if again else self._names(number))
            try:
                answer = await self._write(caller, number, open_)
            except Unanswered:
                self.ledger.unanswered["memory"] += 1
                continue
            if answer.status in TRY_LATER:
                continue
            if answer.status != 201:
                self.ledger.violate(f"{open_} was refused: {answer}")
            else:
                self._take_down(open_, answer)
                if open_ not in mine:
                    mine.append(open_)
            open_ = []
        caller.close()

    def _names(self, number: int) -> list[str]:
        """Return names for one memory, or for a batch of two."""
        names = []
        for _ in range(self._random.choice((1, 2))):
            self._number += 1
            names.append(f"deed{self._number}n")
            self.authors[names[-1]] = number
        return names

    async def _write(self, caller: Caller, number: int, names: list[str]) -> Answer:
        memories = [{"text": text_of(name), "speaker": f"Person{number}", "stream": "diary"} for name in names]
        if len(memories) == 1:
            return await caller.call("POST", "/api/agent-memory", memories[0], idempotency_key=names[0])
        body = {"memories": memories}
        return await caller.call("POST", "/api/agent-memory/batch", body, idempotency_key=names[0])

    def _take_down(self, names: list[str], answer: Answer) -> None:
        said = answer.json()
        kept = [said] if "id" in said else said["items"]
        for name, one in zip(names, kept, strict=True):
            self.ledger.acknowledge(Deed("memory", name), one["id"])

    async def _forgets(self, caller: Caller, name: str) -> None:
        id_ = self.ledger.told[Deed("memory", name)].id
        if self.gone.get(id_):
            return
        self.gone[id_] = False
        try:
            answer = await caller.call("DELETE", f"/api/memory/{id_}")
        except Unanswered:
            return
        if answer.status in (204, 404, 410):
            self.gone[id_] = True
        elif answer.status not in TRY_LATER:
            self.ledger.violate(f"{name} was not deleted: {answer}")

    async def _asks(self) -> None:
        """Ask for what was acknowledged; whatever is killed, who is answered gets what it wrote."""
        while not self.over:
            await asyncio.sleep(PAUSE_S)
            told = list(self.ledger.of("memory").items())
            if not told:
                continue
            name, memory = self._random.choice(told)
            caller = Caller(self._port, self.keys[self.authors[name]])
            try:
                answer = await caller.call("POST", "/api/recall", {"query": name, "limit": 5})
            except Unanswered:
                continue
            finally:
                caller.close()
            if answer.status == 200 and memory.id not in self.gone:
                found = sum(hit["item"]["id"] == memory.id for hit in answer.json()["items"])
                self.recalls["found" if found == 1 else "missed"] += 1
                if found != 1:
                    self.ledger.violate(f"{name} ({memory.id}) was found {found} times: {str(answer)[:400]}")


def text_of(name: str) -> str:
    """Return what is remembered under a name: it teaches something, and says it again now and then."""
    number = int(name.removeprefix("deed").removesuffix("n"))
    return f"Entry {name}. I live in {CITIES[number // 7 % 5]}. I like {THINGS[number % 5]} and entry {number % 50}."
