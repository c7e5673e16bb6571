"""`memroos demo`: the story a newcomer sees first."""

import sys
from pathlib import Path

import click

from memroos import demo as story
from memroos.cli.failures import Failure
from memroos.cli.options import find_key, find_url, key_file_option, reaching, url_option
from memroos.cli.settings import kernel_settings
from memroos_client.calls import workspaces


@click.command()
@click.option(
    "--folder",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Search the Markdown files of this folder; this project's documentation when left out.",
)
@click.option("--question", default="", help="What to find out; one that the folder can answer when left out.")
@click.option("--yes", is_flag=True, help="Approve what waits for you without asking.")
@url_option
@key_file_option
def demo(folder: Path | None, question: str, yes: bool, url: str, key_file: Path | None) -> None:
    """Let two agents do a piece of work on the running kernel, and watch.

    A researcher finds passages, a publisher writes the report; policy holds the writing until you agree; the researcher
    starts anew and remembers; at the end the ledger is verified. Exit code 0 says that all of it was seen.
    """
    with reaching(url, key_file) as client:  # a kernel that is not there at all is no story; later it may come and go
        client.run(workspaces.listing())
    seen = story.run(
        url=find_url(url),
        key=find_key(key_file),
        folder=folder,
        yes=yes,
        out=sys.stdout,
        ask=lambda text: click.confirm(text, default=True),
        question=question,
        data_dir=kernel_settings().data_dir,
    )
    if not seen:
        raise Failure("Not all of it was seen.", "`memroos status` and `memroos events tail` show what happened.")
