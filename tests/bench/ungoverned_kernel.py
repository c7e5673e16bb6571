"""A kernel that permits everything without looking and records nothing: what is left of an action without governance.

Run as a prefix to the kernel's own command, whose words it ignores.
"""

from tests.bench.left_out import AllowAll, leave_ledger_out

from memroos.governance import Gate
from memroos.settings import Settings
from memroos.wiring import run_kernel
from memroos_kit.settings import load

if __name__ == "__main__":
    Gate.authorize = AllowAll.authorize  # type: ignore[method-assign, assignment]  # it uses nothing of itself
    Gate.permits = AllowAll.permits  # type: ignore[method-assign, assignment]
    with leave_ledger_out():
        run_kernel(load(Settings))
