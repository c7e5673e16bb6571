"""The benches by name."""

from collections.abc import Callable

from tests.bench.benches import governed_action, inbox, list_tasks, send_message, shares, streams
from tests.bench.benches.plan import Plan
from tests.bench.report import Result

BENCHES: dict[str, Callable[[Plan], Result]] = {
    "governed_action": governed_action.bench,
    "send_message": send_message.bench,
    "list_tasks": list_tasks.bench,
    "shares": shares.bench,
    "inbox": inbox.bench,
    "streams": streams.bench,
}
