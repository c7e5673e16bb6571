"""What is researched: this project's documentation, or the pages of a folder."""

import re
from pathlib import Path

from memroos.demo.errors import Stopped

QUESTION = "How does the ledger prove that its past was not changed?"
"""One that this project's documentation answers."""

RELATED = "How could an intruder tamper with the ledger?"
"""One that the same passages answer, in other words: it shares one with them, for where memory is searched by words."""

UNRELATED = "Which football club won the cup in 1974?"


def documentation() -> Path:
    """Return the folder of the documentation: in a checkout beside `apps`, else installed with the package.

    Raises:
        Stopped: it is neither here nor there.
    """
    package = Path(__file__).resolve().parents[1]
    for place in (package.parents[1] / "docs", package / "docs"):
        if (place / "examples" / "researcher.py").is_file():
            return place
    raise Stopped("the example agents are not installed here; run the demo from a checkout")


def question_about(folder: Path) -> str:
    """Return a question that the Markdown files of a folder can answer: about the first title there is.

    Raises:
        Stopped: there is no file with a title.
    """
    for path in [folder / "README.md", *sorted(folder.rglob("*.md"))]:
        text = path.read_text("utf-8", errors="replace") if path.is_file() else ""
        if title := re.search(r"^#\s+(\S.*)$", text, flags=re.MULTILINE):
            return f"What do these pages say about {title[1].strip()}?"
    raise Stopped(f"there is no Markdown file with a title in {folder}")


def related_to(question: str) -> str:
    """Return a second question that is answered by what the first one found."""
    return RELATED if question == QUESTION else f"Once more, and from memory: {question}"
