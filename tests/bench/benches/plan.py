"""How long a bench measures and where its files are, and the kernel it measures."""

import sys
from pathlib import Path

import msgspec
from tests.bench.load import Outcome
from tests.bench.report import Result
from tests.flows.kernel import RUNNER, Kernel

PLAIN = (sys.executable, str(RUNNER))
"""Runs the kernel and nothing else; the harness's own command comes behind it as words that it ignores."""
UNLIMITED = "100000000"
UNBOUNDED = {
    "requests_per_minute": UNLIMITED,
    "request_burst": UNLIMITED,
    "log_level": "warning",
    "default_agent": "echo",
}
"""Settings without which a load generator is one runaway caller."""


class Plan(msgspec.Struct, frozen=True):
    """What the caller chose."""

    folder: Path
    """For whatever the bench writes; on the disk that is measured, and gone afterwards."""
    seconds: float
    rounds: int


def kernel(folder: Path, *, prefix: tuple[str, ...] = PLAIN, **settings: str) -> Kernel:
    """Return a kernel that takes any number of requests."""
    return Kernel(folder, settings={**UNBOUNDED, **settings}, prefix=prefix)


def bearer(key: str) -> dict[str, str]:
    """Return the header that carries a key."""
    return {"authorization": f"Bearer {key}"}


def note_errors(result: Result, name: str, outcome: Outcome) -> None:
    """Keep what went wrong in a measurement."""
    if outcome.errors or not outcome.requests:
        result.errors.append(f"{name}: {outcome.errors} errors, {outcome.requests} good answers; {outcome.samples}")
