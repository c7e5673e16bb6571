"""`memroos memory serve`: the memory service's own process. This module loads the whole of it."""

import click

from memroos.cli.process import Refused, said_as_refusals, stop_when_alone, supervised_option
from memroos.cli.settings import memory_settings
from memroos_kit.service_key import WeakServiceKey
from memroos_memory import wiring


@click.command("serve")
@supervised_option
def serve_command(supervised: bool) -> None:
    """Run the memory service alone, in the foreground. `memroos up` does this for you.

    Exit code 78 says that it will not start as things are, for instance because its address is taken.
    """
    settings = memory_settings()
    if supervised:
        stop_when_alone()
    with said_as_refusals("memory service"):
        try:
            wiring.run_memory(settings)
        except WeakServiceKey as error:
            raise Refused(str(error), "Remove the file; the next start makes a good one.") from error
