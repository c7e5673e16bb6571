"""What the demo shows of memory across two runs of an agent, and over time."""

import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from a2a.types import a2a_pb2

from memroos.demo.conversation import Conversation
from memroos.demo.crew import Crew
from memroos.demo.kernel import PAUSE_S, Kernel
from memroos.demo.pages import UNRELATED as UNRELATED_QUESTION
from memroos.demo.pages import related_to
from memroos.demo.stage import CHANGED, REMEMBERED, UNRELATED, Stage, printable
from memroos_client.calls import memory
from memroos_contracts.memory import MemoryKind, NewMemory, RecallRequest, RecallResult
from memroos_contracts.memory_work import MemoryStats, WaitRequest
from memroos_kit.ids import new_id

WORKING_OFF_S = 10.0
"""How long the memory service may take for what was written just now; more than that is not waited for."""

ONCE = datetime(2024, 3, 4, 9, tzinfo=UTC)
BETWEEN = datetime(2025, 1, 1, tzinfo=UTC)
LATER = datetime(2026, 2, 2, 9, tzinfo=UTC)


class Recollection:
    """The researcher begins anew and still knows what it found; what changes takes nothing away.

    Args:
        kernel: against which.
        crew: who works.
        stage: where it is told.
    """

    def __init__(self, kernel: Kernel, crew: Crew, stage: Stage) -> None:
        self._kernel = kernel
        self._crew = crew
        self._stage = stage
        self._by_meaning = False

    def tell(self, folder: Path, question: str, ask: Callable[[a2a_pb2.Part], Conversation]) -> None:
        """Tell both.

        Args:
            folder: what the researcher reads.
            question: what it was asked in its first run.
            ask: sends it another one.

        Raises:
            ClientError, A2AError, Stopped: it cannot go on.
        """
        self._stage.chapter("The researcher ends, is started again, and remembers")
        standing = self._standing()
        self._by_meaning = standing.ready
        if not standing.ready:
            self._stage.say(f"   {standing.detail}")
            self._stage.say("   So memory is searched by words here, not by meaning; `memroos up` starts the service.")
        before, now = self._crew.restart_remote("researcher", folder)
        self._stage.say(f"   Process {before} has ended. Process {now} has the same key, and nothing else of it.")
        self._ask_again(related_to(question), before, ask)
        self._ask_about_something_else()
        if standing.ready:
            self._change()

    def _standing(self) -> MemoryStats:
        """Return how memory stands once what was written is worked off."""
        standing = self._kernel.run(memory.stats())
        if standing.ready:
            self._work_off()
        return standing

    def _work_off(self) -> None:
        until = time.monotonic() + WORKING_OFF_S
        while not self._kernel.run(memory.wait(WaitRequest(wait_s=1.0))).idle and time.monotonic() < until:
            time.sleep(PAUSE_S)

    def _ask_again(self, question: str, before: int, ask: Callable[[a2a_pb2.Part], Conversation]) -> None:
        self._stage.say(f"   {question}")
        talk = ask(a2a_pb2.Part(text=question))
        talk.follow()
        report = talk.artifact("report").text
        self._stage.quote(report)
        recalled = "From memory; no page was read." in report and f"in run {before}" in report
        self._stage.saw(REMEMBERED, recalled)

    def _ask_about_something_else(self) -> None:
        researcher = self._crew["researcher"].agent
        assert researcher is not None
        found = self._recall(UNRELATED_QUESTION, author=f"agent:{researcher.id}")
        self._stage.say(f"   {UNRELATED_QUESTION}")
        self._stage.say(f"   Of this it remembers {'nothing' if not found.items else len(found.items)}.")
        self._stage.saw(UNRELATED, not found.items)

    def _change(self) -> None:
        """Keep something, and later that it is otherwise now."""
        self._stage.chapter("What holds now comes first, and what held before is still there")
        self._stage.saw(CHANGED, False)
        user = new_id("demo")  # a person of its own, so that nothing of an earlier demo answers
        kept = [
            self._kernel.run(memory.write(NewMemory(text=text, stream="demo", user_id=user, occurred_at=at)))
            for text, at in (("Ines lives in Lisbon.", ONCE), ("Ines lives in Porto now.", LATER))
        ]
        self._work_off()
        for event in kept:
            self._stage.say(f"   said on {event.occurred_at:%Y-%m-%d}: {event.text}")
        question = "Where does Ines live?"
        today = self._recall(question, user_id=user)
        then = self._recall(question, user_id=user, as_of=BETWEEN)
        self._show(f"{question} (today)", today)
        self._show(f"{question} (as of {BETWEEN:%Y-%m-%d})", then)
        for event in kept:
            self._kernel.run(memory.delete(event.id, reason="the demo has shown it"))
        gone = self._recall(question, user_id=user)
        self._stage.say(f"   Both are deleted; the question finds {'nothing' if not gone.items else 'them still'}.")
        first, second = (event.id for event in kept)
        right = _first(today) == second and _first(then) == first and not gone.items
        self._stage.saw(CHANGED, right)

    def _recall(
        self, question: str, *, author: str | None = None, user_id: str | None = None, as_of: datetime | None = None
    ) -> RecallResult:
        """Ask memory; where the kernel and the memory service have lost touch for a moment, ask again."""
        request = RecallRequest(
            query=question, kinds=(MemoryKind.MEMORY,), limit=2, author=author, user_id=user_id, as_of=as_of
        )
        until = time.monotonic() + WORKING_OFF_S
        found = self._kernel.run(memory.recall(request))
        while self._by_meaning and found.missing and time.monotonic() < until:
            time.sleep(PAUSE_S)
            found = self._kernel.run(memory.recall(request))
        return found

    def _show(self, question: str, found: RecallResult) -> None:
        self._stage.say(f"   {question}")
        for hit in found.items:
            once = " (holds no more)" if hit.superseded_by else ""
            self._stage.say(f"      {printable(hit.item.text or '')}{once}")


def _first(found: RecallResult) -> str:
    return found.items[0].item.id if found.items else ""
