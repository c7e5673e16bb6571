"""What a bench hands over: rows, ratios with their marks, and the machine they were measured on."""

import os
import platform
import statistics
import tempfile
import time
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
from tests.bench.load import ROOT

from memroos_kit.sqlite import sqlite3

RESULTS = ROOT / "bench-results"
QUIET = 0.15
"""Share of the processors that others may use when a bench begins."""

Cell = str | int | float | None


class Ratio(msgspec.Struct, frozen=True, kw_only=True):
    """A measure against its reference, and what it should be."""

    name: str
    value: float
    at_least: float | None = None
    at_most: float | None = None
    aim: float | None = None

    @property
    def verdict(self) -> str:
        """What the value means: `aim`, `good`, `MISSED`, or nothing where no mark is set."""
        if self.at_least is not None:
            if self.aim is not None and self.value >= self.aim:
                return "aim"
            return "good" if self.value >= self.at_least else "MISSED"
        if self.at_most is not None:
            if self.aim is not None and self.value <= self.aim:
                return "aim"
            return "good" if self.value <= self.at_most else "MISSED"
        return ""


class Result(msgspec.Struct, kw_only=True):
    """What a bench measured."""

    name: str
    title: str
    columns: list[str]
    rows: list[list[Cell]] = []
    ratios: list[Ratio] = []
    notes: list[str] = []
    errors: list[str] = []
    """Whatever went wrong; a bench with errors fails."""
    machine: dict[str, Any] = {}
    details: dict[str, Any] = {}


def median(values: Iterable[float]) -> float:
    """Return the median of some values."""
    return float(statistics.median(values))


def table(columns: Sequence[str], rows: Sequence[Sequence[Cell]]) -> str:
    """Return rows as aligned text."""
    texts = [list(columns), *([_text(cell) for cell in row] for row in rows)]
    widths = [max(len(row[column]) for row in texts) for column in range(len(columns))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in texts]
    return "\n".join([lines[0], "  ".join("-" * width for width in widths), *lines[1:]])


def show(result: Result) -> str:
    """Return a result as a person reads it."""
    parts = [f"== {result.name}: {result.title}", table(result.columns, result.rows)]
    if result.ratios:
        parts.append(
            table(
                ["ratio", "value", "at least", "at most", "aim", ""],
                [[r.name, round(r.value, 3), r.at_least, r.at_most, r.aim, r.verdict] for r in result.ratios],
            )
        )
    parts += [f"note: {note}" for note in result.notes]
    parts += [f"ERROR: {error}" for error in result.errors]
    return "\n\n".join(parts)


def write(result: Result, folder: Path = RESULTS) -> Path:
    """Write a result as JSON and return its file."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{result.name}.json"
    verdicts = [{**msgspec.to_builtins(ratio), "verdict": ratio.verdict} for ratio in result.ratios]
    whole = {**msgspec.to_builtins(result), "ratios": verdicts}
    path.write_bytes(msgspec.json.format(msgspec.json.encode(whole), indent=2) + b"\n")
    return path


def machine() -> dict[str, Any]:
    """Return what the figures depend on: processors, versions, the disk's speed, and how busy others keep it."""
    return {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "processors": os.cpu_count(),
        "processor": _processor(),
        "system": platform.platform(),
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        "fdatasync_per_s": fdatasync_per_s(),
        "load_average": os.getloadavg()[0],
    }


def fdatasync_per_s(seconds: float = 0.5) -> int:
    """Return how many times a second this disk can be made to keep 4 KiB more."""
    with tempfile.NamedTemporaryFile(dir=RESULTS.parent) as file:
        count, until = 0, time.perf_counter() + seconds
        while time.perf_counter() < until:
            os.write(file.fileno(), bytes(4096))
            os.fdatasync(file.fileno())
            count += 1
    return round(count / seconds)


def wait_until_quiet(patience_s: float = 20.0) -> float:
    """Wait until others leave the processors alone, for some time at most; return the share they use."""
    until = time.monotonic() + patience_s
    while True:
        share = _busy(0.5)
        if share <= QUIET or time.monotonic() > until:
            return share


def _busy(seconds: float) -> float:
    stat = Path("/proc/stat")
    if not stat.exists():
        return 0.0

    def read() -> tuple[int, int]:
        fields = [int(field) for field in stat.read_text().split("\n", 1)[0].split()[1:9]]
        return sum(fields), fields[3] + fields[4]

    total, idle = read()
    time.sleep(seconds)
    later, later_idle = read()
    return 1 - (later_idle - idle) / max(1, later - total)


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")


def _text(cell: Cell) -> str:
    if cell is None:
        return ""
    if isinstance(cell, float):
        return f"{cell:,.0f}" if abs(cell) >= 1000 else f"{cell:.3g}" if abs(cell) < 1 else f"{cell:.1f}"
    return f"{cell:,}" if isinstance(cell, int) else cell
