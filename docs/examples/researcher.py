"""An agent that answers a question with passages from the Markdown files of a folder, each with its file and lines.

    MEMROOS_URL=... MEMROOS_API_KEY=... python researcher.py FOLDER

It needs no model and no network: passages are ranked by BM25 (Robertson and Zaragoza, "The Probabilistic Relevance
Framework", 2009, section 3), and the same folder always gives the same report.
"""

import os
import re
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from math import log
from pathlib import Path

from memroos_client import Client, ClientError, ProblemError
from memroos_client.calls import agents, tasks
from memroos_contracts.broker import Artifact, ClaimView, Part
from memroos_contracts.registry import Heartbeat

LEASE_S = 6
"""If this process dies, the task is offered again after this time."""

MOST_PASSAGES = 5
MOST_PER_FILE = 2
LARGEST_FILE_BYTES = 1_000_000

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


def work(kernel: Client, claimed: ClaimView, folder: Path) -> None:
    """Answer one question. Safe to repeat: the same question gives the same artifact under the same id."""
    question = " ".join(part.text for part in claimed.message.parts if part.text)
    passages = read_passages(folder)
    kernel.run(tasks.progress(claimed, Part(text=f"Reading {len(passages)} passages.")))
    found = search(question, passages)
    text = Part(text=report(question, found, passages), media_type="text/markdown", filename="report.md")
    kernel.run(tasks.artifact(claimed, Artifact(artifact_id="report", name="report.md", parts=[text])))
    kernel.run(tasks.complete(claimed, Part(text=f"Found {len(found)} passages.")))


def main(folder: Path) -> None:
    """Take tasks for as long as the key is good."""
    with Client(os.environ["MEMROOS_URL"], os.environ["MEMROOS_API_KEY"]) as kernel:
        while True:
            try:
                kernel.run(agents.beat(Heartbeat(status="waiting for questions")))
                claimed = kernel.run(tasks.claim(wait_s=10, lease_s=LEASE_S))
                if claimed is not None:
                    work(kernel, claimed, folder)
            except ClientError as error:  # what was not finished is offered again when its lease ends
                if isinstance(error, ProblemError) and error.status == 401:
                    sys.exit(str(error))
                print(error, flush=True)
                time.sleep(1)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
