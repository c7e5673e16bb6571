"""What commands print: tables and facts for people, JSON for programs.

Text from agents is shown, never obeyed: a control character in a title cannot move the cursor or start a line.
"""

import shutil
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from typing import Any, Generic, TypeVar

import click
import msgspec

T = TypeVar("T")

_GAP = "  "
_NARROWEST = 12
_GREEN = frozenset({"active", "live", "ready", "completed", "approved", "allow", "ok", "acked"})
_YELLOW = frozenset(
    {"draft", "silent", "starting", "waiting", "pending", "input_required", "auth_required", "hold", "working", "warn"}
)
_RED = frozenset(
    {"quarantined", "retired", "failed", "rejected", "dead", "deny", "denied", "revoked", "expired", "fail", "stopped"}
)


class Column(msgspec.Struct, Generic[T], frozen=True):
    """A column of a table."""

    title: str
    text: Callable[[T], str]
    shrinks: bool = False
    """Whether it may be cut where the terminal is narrow."""


class Output:
    """Standard output, in the form that was asked for.

    Args:
        as_json: JSON instead of text.
    """

    def __init__(self, *, as_json: bool) -> None:
        self.as_json = as_json

    def table(self, items: Iterable[T], columns: Sequence[Column[T]], *, empty: str) -> None:
        """Print entries as a table, or as a JSON array.

        Args:
            empty: what to say when there are none.
        """
        entries = list(items)
        if self.as_json:
            self._json(entries)
        elif not entries:
            click.echo(empty)
        else:
            rows = [[printable(column.text(entry)) for column in columns] for entry in entries]
            for line in render(columns, rows, width()):
                click.echo(line)

    def facts(self, item: object, facts: Sequence[tuple[str, str]]) -> None:
        """Print one thing as names and values, those without a value left out; or the whole of it as JSON."""
        if self.as_json:
            self._json(item)
            return
        shown = [(name, value) for name, value in facts if value]
        longest = max((len(name) for name, _ in shown), default=0)
        for name, value in shown:
            first, *more = value.splitlines() or [""]
            click.echo(f"{name:<{longest}}{_GAP}{paint(printable(first))}")
            for line in more:
                click.echo(f"{'':<{longest}}{_GAP}{printable(line)}")

    def line(self, item: object, text: str) -> None:
        """Print one entry of a stream at once: a line of text, or a line of JSON."""
        click.echo(msgspec.json.encode(item) if self.as_json else text)
        sys.stdout.flush()

    def say(self, text: str) -> None:
        """Tell a person something that is not part of the answer."""
        if not self.as_json:
            click.echo(text)

    @staticmethod
    def _json(value: object) -> None:
        click.echo(msgspec.json.format(msgspec.json.encode(value, enc_hook=str), indent=2))  # paths as text


def render(columns: Sequence[Column[Any]], rows: Sequence[Sequence[str]], most: int | None) -> list[str]:
    """Lay a table out; cut columns that may shrink until it fits, the widest first.

    Args:
        most: how wide it may be; None for any width.
    """
    widths = [max(len(column.title), *(len(row[i]) for row in rows)) for i, column in enumerate(columns)]
    shrinking = [i for i, column in enumerate(columns) if column.shrinks]
    while most is not None and shrinking and sum(widths) + len(_GAP) * (len(widths) - 1) > most:
        widest = max(shrinking, key=lambda i: widths[i])
        if widths[widest] <= _NARROWEST:
            break
        widths[widest] -= 1
    title = _GAP.join(column.title.upper().ljust(wide) for column, wide in zip(columns, widths, strict=True)).rstrip()
    return [click.style(title, bold=True)] + [
        _GAP.join(
            paint(_cut(cell, wide)) + " " * (wide - min(len(cell), wide))
            for cell, wide in zip(row, widths, strict=True)
        ).rstrip()
        for row in rows
    ]


def _cut(text: str, wide: int) -> str:
    return text if len(text) <= wide else text[: wide - 1] + "…"


def paint(text: str) -> str:
    """Colour a word that says how something stands."""
    for words, colour in ((_GREEN, "green"), (_YELLOW, "yellow"), (_RED, "red")):
        if text in words:
            return click.style(text, fg=colour)
    return text


def printable(text: str) -> str:
    """Return text on one line with everything that is not a visible character shown as an escape."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def width() -> int | None:
    """Return how wide the terminal is; None where standard output is no terminal."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def when(instant: datetime | None) -> str:
    """Show an instant."""
    return "" if instant is None else f"{instant.astimezone(UTC):%Y-%m-%d %H:%M:%S}Z"


def size(bytes_: float) -> str:
    """Show a number of bytes."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if bytes_ < 1024:
            return f"{bytes_:.0f} {unit}" if unit == "B" else f"{bytes_:.1f} {unit}"
        bytes_ /= 1024
    return f"{bytes_:.1f} TiB"


def span(seconds: float) -> str:
    """Show a length of time in its two largest units."""
    parts = []
    left = int(seconds)
    for unit, length in (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1)):
        count, left = divmod(left, length)
        if count:
            parts.append(f"{count} {unit}")
    return " ".join(parts[:2]) or "0 s"


class Progress:
    """How far long work is, on standard error: one line that moves on a terminal, one line for each step elsewhere."""

    _EVERY_S = 0.1

    def __init__(self) -> None:
        self._moving = sys.stderr.isatty()
        self._phase = ""
        self._shown_at = 0.0

    def __call__(self, phase: str, done: int, total: int) -> None:
        """Show how much of a phase is done; a total of 0 is not known."""
        new = phase != self._phase
        if not self._moving:
            if new:
                click.echo(f"{phase} ...", err=True)
        elif new or done == total or time.monotonic() - self._shown_at >= self._EVERY_S:
            self._shown_at = time.monotonic()
            share = f" {done * 100 // total:3d} %" if total else ""
            click.echo(f"\r\x1b[2K{phase} ...{share}", err=True, nl=False)
        self._phase = phase

    def end(self) -> None:
        """Leave a clean line."""
        if self._moving and self._phase:
            click.echo("\r\x1b[2K", err=True, nl=False)
