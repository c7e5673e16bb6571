"""What the newcomer sees, line by line, and what of it was there."""

from typing import TextIO

AT_WORK = "two agents at work, each in a process of its own"
ROUTED = "why the kernel chose an agent"
STREAMED = "the work as a stream"
HELD = "a step that waited for a person"
WRITTEN = "the report in its file"
RECALLED = "what memory recalls"
REMEMBERED = "an agent that knows in its second run what it found in the first"
UNRELATED = "an unrelated question that recalls nothing"
PROVED = "the proof that the ledger holds it"
EXPECTED = (AT_WORK, ROUTED, STREAMED, HELD, WRITTEN, RECALLED, REMEMBERED, UNRELATED, PROVED)
CHANGED = "what holds now before what held once"
WHOLE_LEDGER = "the whole ledger verified from its file"


class Stage:
    """What the newcomer sees, and what of it was there."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._seen: dict[str, bool] = dict.fromkeys(EXPECTED, False)
        self._chapters = 0

    def say(self, line: str = "") -> None:
        """Say one thing."""
        self._out.write(f"{line}\n")
        self._out.flush()

    def chapter(self, title: str) -> None:
        """Begin the next part."""
        self._chapters += 1
        self.say(f"\n{self._chapters}. {title}")

    def begin_again(self) -> None:
        """Count the chapters from the first one."""
        self._chapters = 0

    def quote(self, text: str) -> None:
        """Show a text as it is, set in."""
        for line in text.rstrip().splitlines():
            self.say(f"   | {printable(line)}".rstrip())

    def saw(self, what: str, there: bool = True) -> None:
        """Note that something was seen, or that it was looked for and was not there."""
        self._seen[what] = there

    def conclude(self) -> bool:
        """Say what was missing; return whether nothing was."""
        missing = [what for what, there in self._seen.items() if not there]
        if missing:
            self.say("\nNot seen:")
            for what in missing:
                self.say(f"   - {what}")
        else:
            self.say("\nAll of it was seen. Your own agent is next: docs/tutorials/first-agent.md")
        return not missing


def printable(text: str) -> str:
    """Return a line from an agent without what a terminal would take for a command."""
    return "".join(character if character.isprintable() else " " for character in text)
