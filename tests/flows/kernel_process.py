"""The kernel alone, with its settings from the environment, for as long as no command line is needed."""

from memroos.settings import Settings
from memroos.wiring import run_kernel
from memroos_kit.settings import load

if __name__ == "__main__":
    run_kernel(load(Settings))
