"""`python -m tests.bench [name ...]`: run all benches, or some."""

import argparse
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from tests.bench import report
from tests.bench.benches import (
    broker,
    governed_action,
    inbox,
    list_tasks,
    recall,
    send_message,
    shares,
    streams,
    subscriptions,
)
from tests.bench.benches.plan import Plan
from tests.bench.load import ROOT

BENCHES: dict[str, Callable[[Plan], report.Result]] = {
    "governed_action": governed_action.bench,
    "send_message": send_message.bench,
    "list_tasks": list_tasks.bench,
    "shares": shares.bench,
    "inbox": inbox.bench,
    "streams": streams.bench,
    "broker": broker.bench,
    "subscriptions": subscriptions.bench,
    "recall": recall.bench,
}


def main() -> int:
    """Run benches and return 1 when something went wrong in one."""
    parser = argparse.ArgumentParser(prog="scripts/bench", description=__doc__)
    parser.add_argument("name", nargs="*", choices=[[], *BENCHES], help=f"any of: {', '.join(BENCHES)}")
    parser.add_argument("--seconds", type=float, default=3.0, help="length of one measurement (default 3)")
    parser.add_argument("--rounds", type=int, default=3, help="how often each is repeated (default 3)")
    chosen = parser.parse_args()

    wrong = False
    for name in chosen.name or BENCHES:
        with tempfile.TemporaryDirectory(prefix=f"memroos-{name}-", dir=ROOT / "data") as folder:
            busy = report.wait_until_quiet()
            facts = {**report.machine(), "busy_before": round(busy, 2)}
            result = BENCHES[name](Plan(folder=Path(folder), seconds=chosen.seconds, rounds=chosen.rounds))
        result.machine = facts
        if busy > report.QUIET:
            result.notes.append(f"others used {busy:.0%} of the processors when it began")
        path = report.write(result)
        print(f"{report.show(result)}\n\nwritten to {path.relative_to(ROOT)}\n", flush=True)
        wrong = wrong or bool(result.errors)
    return int(wrong)


if __name__ == "__main__":
    sys.exit(main())
