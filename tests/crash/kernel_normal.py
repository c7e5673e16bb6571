"""The kernel with `synchronous=NORMAL`, which the trace of system calls has to find out.

Run as a prefix to the kernel's own command, whose words it ignores.
"""

from memroos.settings import Settings
from memroos.wiring import run_kernel
from memroos_kit.db import engine
from memroos_kit.settings import load

if __name__ == "__main__":
    weak = tuple(pragma.replace("synchronous=FULL", "synchronous=NORMAL") for pragma in engine.WRITER_PRAGMAS)
    assert weak != engine.WRITER_PRAGMAS
    engine.WRITER_PRAGMAS = weak  # type: ignore[assignment]  # of the same length
    run_kernel(load(Settings))
