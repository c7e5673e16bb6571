"""An agent that answers a question with passages from the Markdown files of a folder, each with its file and lines.

    RESEARCHER_TOKEN=... python researcher.py FOLDER [PORT]

It is a server of A2A: the official SDK speaks the protocol, `Researcher` does the work. Whoever calls shows the token;
the card, which says what the agent can do and where, is for everybody. It prints `ready <address>` once it answers; the
kernel takes it in with

    memroos remote-agents add <address> --credential-file ...

It needs no model and no network: passages are ranked by BM25 (Robertson and Zaragoza, "The Probabilistic Relevance
Framework", 2009, section 3), and the same folder always gives the same report.

With `MEMROOS_URL` and a key of its own in the file that `MEMROOS_API_KEY_FILE` names, it keeps what it finds in the
kernel's memory, and asks there first: what it found in an earlier run it does not search for again.
"""

import hmac
import os
import re
import socket
import sys
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from math import log
from pathlib import Path

import uvicorn
from a2a.helpers.proto_helpers import new_task_from_user_message
from a2a.server.agent_execution import AgentExecutor, RequestContext
from a2a.server.events import EventQueue
from a2a.server.request_handlers import DefaultRequestHandlerV2
from a2a.server.routes import create_agent_card_routes, create_jsonrpc_routes
from a2a.server.tasks import InMemoryTaskStore, TaskUpdater
from a2a.types import AgentCapabilities, AgentCard, AgentInterface, AgentSkill, Part
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from memroos_client import AsyncClient, ClientError
from memroos_client.calls import memory
from memroos_contracts.memory import MemoryKind, NewMemories, NewMemory, RecallItem, RecallRequest

MOST_PASSAGES = 5
MOST_PER_FILE = 2
LARGEST_FILE_BYTES = 1_000_000

RUN = str(os.getpid())
"""Kept with each finding, so that it can be said in which run it was found."""

K1, B = 1.2, 0.75
"""How soon a repeated word stops to count, and how much long passages are held back."""

UNSAID = frozenset(
    re.findall(
        r"\w+",
        "a an and are as at be but by can did do does for from had has have how i if in into is it its may me my no "
        "not of on or our shall so that the their them then there these they this to us was we were what when where "
        "which who whom why will with you your",
    )
)
"""Words that say nothing about what is asked."""


@dataclass(frozen=True)
class Passage:
    """A paragraph, with the headings above it."""

    file: str
    first_line: int
    last_line: int
    heading: str
    text: str

    @property
    def source(self) -> str:
        """Where it stands, as editors understand it."""
        return f"{self.file}:{self.first_line}"


def read_passages(folder: Path) -> list[Passage]:
    """Return the paragraphs of all Markdown files below a folder, in the order of their names."""
    passages: list[Passage] = []
    for path in sorted(folder.rglob("*.md")):
        name = path.relative_to(folder)
        if any(part.startswith(".") for part in name.parts) or path.stat().st_size > LARGEST_FILE_BYTES:
            continue
        passages += split(name.as_posix(), path.read_text("utf-8", errors="replace"))
    return passages


def split(file: str, text: str) -> Iterator[Passage]:
    """Yield the paragraphs of a page; code stays out, headings go with what stands below them."""
    headings: dict[int, str] = {}
    lines: list[str] = []
    start, in_code = 0, False
    for number, line in enumerate([*text.splitlines(), ""], start=1):
        fence = line.lstrip().startswith(("```", "~~~"))
        heading = None if in_code or fence else re.match(r"(#{1,6})\s+(.*)", line)
        if line.strip() and not (fence or in_code or heading):
            start = start if lines else number
            lines.append(line.strip())
        elif lines:
            yield Passage(file, start, start + len(lines) - 1, " > ".join(headings.values()), "\n".join(lines))
            lines = []
        if heading:
            level = len(heading[1])
            headings = {above: title for above, title in headings.items() if above < level} | {level: heading[2]}
        in_code ^= fence


def words(text: str) -> list[str]:
    """Return the words by which texts are compared; plurals and a few endings are cut, so that forms of a word meet."""
    found = (word for word in re.findall(r"[^\W_]+", text.lower()) if word not in UNSAID)
    return [re.sub(r"(?<=\w{3})(?:ies|es|s|ing|ed|e|y)$", "", word) for word in found]


def search(question: str, passages: list[Passage]) -> list[Passage]:
    """Return the passages that answer a question best, best first; none where no word of it occurs."""
    bags = [Counter(words(f"{passage.heading} {passage.text}")) for passage in passages]
    lengths = [bag.total() for bag in bags]
    average = sum(lengths) / max(1, len(lengths)) or 1.0
    scores = [0.0] * len(passages)
    for word in dict.fromkeys(words(question)):
        holders = sum(word in bag for bag in bags)
        rarity = log(1 + (len(bags) - holders + 0.5) / (holders + 0.5))
        for place, bag in enumerate(bags):
            if count := bag[word]:
                scores[place] += rarity * count * (K1 + 1) / (count + K1 * (1 - B + B * lengths[place] / average))
    ranked = sorted(
        (place for place in range(len(passages)) if scores[place]), key=lambda place: (-scores[place], place)
    )
    best: list[Passage] = []
    for place in ranked:
        if sum(passages[place].file == other.file for other in best) < MOST_PER_FILE:
            best.append(passages[place])
    return best[:MOST_PASSAGES]


def report(question: str, found: list[Passage], passages: list[Passage]) -> str:
    """Return a report in Markdown: each passage as it stands, and where."""
    files = len({passage.file for passage in passages})
    parts = [f"# {question}", f"{len(found)} of {len(passages)} passages, from {files} files."]
    for number, passage in enumerate(found, start=1):
        quote = "\n".join(f"> {line}" for line in passage.text.splitlines())
        parts += [f"## {number}. {passage.heading or passage.file}", quote, f"Source: {passage.source}"]
    if not found:
        parts.append("Nothing in this folder speaks about it.")
    return "\n\n".join(parts) + "\n"


def retell(question: str, recalled: list[RecallItem]) -> str:
    """Return a report from memory: each finding with its source, and when and in which run it was found."""
    parts = [f"# {question}", "From memory; no page was read."]
    for number, hit in enumerate(recalled, start=1):
        kept, arms = hit.item, [arm for arm, part in hit.arms.items() if part.rank]
        quote = "\n".join(f"> {line}" for line in (kept.text or "").splitlines())
        source = (kept.source or {}).get("document", "")
        since = f"found on {kept.recorded_at:%Y-%m-%d at %H:%M UTC} in run {kept.run_id}"
        parts += [f"## {number}. Recalled by {' and '.join(arms) or 'its words'}", quote, f"Source: {source}, {since}"]
    return "\n\n".join(parts) + "\n"


class Findings:
    """What the researcher has found, kept in a kernel's memory under its own key. Without a kernel nothing is kept.

    Args:
        url: the kernel's address; empty for none.
        key_file: holds the key; it may be written after the start, once the agent is registered.
    """

    def __init__(self, url: str, key_file: Path) -> None:
        self._url = url
        self._key_file = key_file

    async def recall(self, question: str) -> list[RecallItem]:
        """Return what was found before and answers this question, best first; nothing where nothing does."""
        wanted = RecallRequest(query=question, kinds=(MemoryKind.MEMORY,), limit=2, explain=True)
        recalled: list[RecallItem] = []
        async with self._kernel() as kernel:
            if kernel:
                recalled = (await kernel.run(memory.recall(wanted))).items
        return recalled

    async def keep(self, found: list[Passage], task_id: str) -> None:
        """Keep findings; those of one task are kept once, however often it is worked on."""
        kept = tuple(
            NewMemory(
                text=f"{passage.heading}\n{passage.text}".strip(),
                stream="findings",
                run_id=RUN,
                source={"document": passage.source},
            )
            for passage in found
        )
        async with self._kernel() as kernel:
            if kernel and kept:
                await kernel.run(memory.write_all(NewMemories(kept), idempotency_key=f"{task_id}-findings"))

    @asynccontextmanager
    async def _kernel(self) -> AsyncIterator[AsyncClient | None]:
        """Yield the way to the kernel, where there is one; research goes on without it."""
        if not self._url or not self._key_file.is_file():
            yield None
            return
        try:
            async with AsyncClient(self._url, self._key_file.read_text("ascii").strip()) as kernel:
                yield kernel
        except ClientError as error:
            print(f"memory: {error}", file=sys.stderr, flush=True)


class Researcher(AgentExecutor):
    """Answers one question per task."""

    def __init__(self, folder: Path, findings: Findings) -> None:
        self._folder = folder
        self._findings = findings

    async def execute(self, context: RequestContext, event_queue: EventQueue) -> None:
        """Say that it is working, hand over the report, and end the task."""
        assert context.message is not None
        task = new_task_from_user_message(context.message)
        task.id, task.context_id = context.task_id or task.id, context.context_id or task.context_id
        await event_queue.enqueue_event(task)
        turn = TaskUpdater(event_queue, task.id, task.context_id)
        question = context.get_user_input()
        if recalled := await self._findings.recall(question):
            await turn.start_work(turn.new_agent_message([Part(text="Looking into what was found before.")]))
            text, said = retell(question, recalled), f"Recalled {len(recalled)} findings."
        else:
            passages = read_passages(self._folder)
            await turn.start_work(turn.new_agent_message([Part(text=f"Reading {len(passages)} passages.")]))
            found = search(question, passages)
            await self._findings.keep(found, task.id)
            text, said = report(question, found, passages), f"Found {len(found)} passages."
        part = Part(text=text, media_type="text/markdown", filename="report.md")
        await turn.add_artifact([part], artifact_id="report", name="report.md", last_chunk=True)
        await turn.complete(turn.new_agent_message([Part(text=said)]))

    async def cancel(self, context: RequestContext, event_queue: EventQueue) -> None:
        """End a task before its time."""
        await TaskUpdater(event_queue, context.task_id or "", context.context_id or "").cancel()


def card(address: str) -> AgentCard:
    """Return what the agent says of itself."""
    does = "Finds passages in Markdown files."
    return AgentCard(
        name="Researcher",
        description=does,
        version="1.0.0",
        supported_interfaces=[AgentInterface(url=address, protocol_binding="JSONRPC", protocol_version="1.0")],
        capabilities=AgentCapabilities(streaming=True),
        default_input_modes=["text/plain"],
        default_output_modes=["text/markdown"],
        skills=[AgentSkill(id="research", name="Research", description=does, tags=["demo"])],
    )


def with_token(app: ASGIApp, token: str) -> ASGIApp:
    """Let only those in who show the token; anybody may read the card."""

    async def guarded(scope: Scope, receive: Receive, send: Send) -> None:
        shown = dict(scope.get("headers", [])).get(b"authorization", b"")
        allowed = hmac.compare_digest(shown, f"Bearer {token}".encode())
        if scope["type"] == "http" and not allowed and not scope["path"].startswith("/.well-known/"):
            await PlainTextResponse("Show the token.", status_code=401)(scope, receive, send)
        else:
            await app(scope, receive, send)

    return guarded


def main(folder: Path, port: int, token: str, findings: Findings) -> None:
    """Serve until the process is stopped."""
    with socket.create_server(("127.0.0.1", port)) as listening:  # from here on callers wait; 0 takes any free port
        address = f"http://127.0.0.1:{listening.getsockname()[1]}"
        handler = DefaultRequestHandlerV2(Researcher(folder, findings), InMemoryTaskStore(), card(address))
        app = Starlette(routes=[*create_agent_card_routes(card(address)), *create_jsonrpc_routes(handler, "/")])
        print(f"ready {address}", flush=True)
        uvicorn.Server(uvicorn.Config(with_token(app, token), log_level="warning")).run(sockets=[listening])


if __name__ == "__main__":
    kept = Findings(os.environ.get("MEMROOS_URL", ""), Path(os.environ.get("MEMROOS_API_KEY_FILE", "")))
    main(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 0, os.environ["RESEARCHER_TOKEN"], kept)
