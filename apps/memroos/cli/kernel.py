"""`memroos kernel`: the kernel's own process. This module loads the whole server, and no other command's does."""

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Iterator
from typing import ClassVar

import click

from memroos import wiring
from memroos.cli.failures import Failure
from memroos.cli.settings import kernel_settings
from memroos.supervisor import REFUSED
from memroos_contracts.errors import MemroosError
from memroos_kit.lock import AlreadyRunning
from memroos_kit.server import AddressTaken
from memroos_kit.tracing import TracingRefused


class Refused(Failure):
    """The kernel will not start as things are; starting it again would not help."""

    exit_code: ClassVar[int] = REFUSED


@click.command()
@click.option("--supervised", is_flag=True, hidden=True, help="Stop when standard input ends: `memroos up` is gone.")
def kernel(supervised: bool) -> None:
    """Run the kernel alone, in the foreground; `memroos up` does this for you.

    Exit code 78 says that it will not start as things are, for instance because its address is taken.
    """
    settings = kernel_settings()
    if supervised:
        threading.Thread(target=_stop_when_alone, name="supervised", daemon=True).start()
    with _said_as_refusals():
        wiring.run_kernel(settings)


@contextlib.contextmanager
def _said_as_refusals() -> Iterator[None]:
    try:
        yield
    except AlreadyRunning as error:
        raise Refused(f"{error}.", "One kernel serves one data directory: MEMROOS_DATA_DIR.") from error
    except TracingRefused as error:
        raise Refused(str(error), "docs/how-to/trace-a-task.md has the steps.") from error
    except AddressTaken as error:
        hint = "Name another port with MEMROOS_GRPC_PORT, or do without gRPC: MEMROOS_GRPC=false."
        raise Refused(f"The kernel's gRPC door {error}.", hint) from error
    except MemroosError as error:
        raise Refused(str(error), f"docs/reference/problems.md explains {error.slug()}.") from error
    except OSError as error:
        raise Refused(f"The kernel cannot start: {error}.", "`memroos doctor` checks what a start needs.") from error
    except SystemExit as error:
        if error.code:  # the server could not start, and has said why
            raise Refused("The kernel could not start; the reason stands above.") from error


def _stop_when_alone() -> None:
    """Stop the kernel once nobody holds the other end of standard input: the supervisor died without a word."""
    while os.read(sys.stdin.fileno(), 4096):  # not through a buffer, whose lock would stand in the way of the exit
        pass
    os.kill(os.getpid(), signal.SIGTERM)
