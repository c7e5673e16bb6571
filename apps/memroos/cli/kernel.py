"""`memroos kernel`: the kernel's own process. This module loads the whole server, and no other command's does."""

import click

from memroos import wiring
from memroos.cli.process import Refused, said_as_refusals, stop_when_alone, supervised_option
from memroos.cli.settings import kernel_settings
from memroos_kit.server import AddressTaken


@click.command()
@supervised_option
def kernel(supervised: bool) -> None:
    """Run the kernel alone, in the foreground; `memroos up` does this for you.

    Exit code 78 says that it will not start as things are, for instance because its address is taken.
    """
    settings = kernel_settings()
    if supervised:
        stop_when_alone()
    with said_as_refusals("kernel"):
        try:
            wiring.run_kernel(settings)
        except AddressTaken as error:
            hint = "Name another port with MEMROOS_GRPC_PORT, or do without gRPC: MEMROOS_GRPC=false."
            raise Refused(f"The kernel's gRPC door {error}.", hint) from error
