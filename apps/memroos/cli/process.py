"""What the processes that serve have in common: how they refuse to start, and how they notice that they are alone."""

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Iterator
from typing import ClassVar

import click

from memroos.cli.failures import Failure
from memroos.supervisor import REFUSED
from memroos_contracts.errors import MemroosError
from memroos_kit.lock import AlreadyRunning
from memroos_kit.tracing import TracingRefused


class Refused(Failure):
    """The process will not start as things are; starting it again would not help."""

    exit_code: ClassVar[int] = REFUSED


supervised_option = click.option(
    "--supervised", is_flag=True, hidden=True, help="Stop when standard input ends: `memroos up` is gone."
)


@contextlib.contextmanager
def said_as_refusals(name: str) -> Iterator[None]:
    """Say why a process cannot start.

    Args:
        name: what it is, such as `kernel`.
    """
    try:
        yield
    except AlreadyRunning as error:
        raise Refused(f"{error}.", f"One {name} serves one data directory: MEMROOS_DATA_DIR.") from error
    except TracingRefused as error:
        raise Refused(str(error), "docs/how-to/trace-a-task.md has the steps.") from error
    except MemroosError as error:
        raise Refused(str(error), f"docs/reference/problems.md explains {error.slug()}.") from error
    except OSError as error:
        raise Refused(f"The {name} cannot start: {error}.", "`memroos doctor` checks what a start needs.") from error
    except SystemExit as error:
        if error.code:  # the server could not start, and has said why
            raise Refused(f"The {name} could not start; the reason stands above.") from error


def stop_when_alone() -> None:
    """Stop this process once nobody holds the other end of standard input: the supervisor died without a word."""
    threading.Thread(target=_watch, name="supervised", daemon=True).start()


def _watch() -> None:
    while os.read(sys.stdin.fileno(), 4096):  # not through a buffer, whose lock would stand in the way of the exit
        pass
    os.kill(os.getpid(), signal.SIGTERM)
