"""The kernel without the command line, with its settings from the environment.

Run as a prefix to the kernel's own command, whose words it ignores.
"""

from memroos.settings import Settings
from memroos.wiring import run_kernel
from memroos_kit.settings import load

if __name__ == "__main__":
    run_kernel(load(Settings))
