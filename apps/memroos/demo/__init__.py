"""The story a newcomer sees first: two agents, a step that waits for a person, and a ledger that is verified.

Everything happens against the running kernel, over the doors that everybody uses: REST through the client, A2A through
the SDK. The agents are the example programs of the documentation, in processes of their own. The kernel may be killed
and started again at any point: what was acknowledged is there, and the story goes on where it was. One demo at a time.
"""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TextIO

from a2a.utils.errors import A2AError

from memroos.demo.crew import Crew
from memroos.demo.errors import Stopped
from memroos.demo.kernel import Kernel
from memroos.demo.stage import Stage
from memroos.demo.story import Story
from memroos_client import Client, ClientError, Retries
from memroos_contracts.errors import MemroosError

__all__ = ["run"]


def run(  # noqa: PLR0913 - what the command line knows
    *,
    url: str,
    key: str,
    folder: Path | None,
    yes: bool,
    out: TextIO,
    ask: Callable[[str], bool],
    question: str = "",
    data_dir: Path | None = None,
) -> bool:
    """Tell the story, and return whether all of it was seen.

    Args:
        url: the kernel's address.
        key: an operator's key.
        folder: whose Markdown files are searched; this project's documentation when left out.
        yes: answer what waits for a person with yes, without asking.
        out: where the story is told.
        ask: puts a question to the person at the terminal.
        question: what to research; one that the folder can answer when left out.
        data_dir: the kernel's data directory where it is on this machine; its ledger is verified from the file too.
    """
    stage = Stage(out)
    with Client(url, key, retries=Retries(most=0)) as client:
        kernel = Kernel(client, stage)
        crew = Crew(kernel, Path(tempfile.mkdtemp(prefix="memroos-demo-")))
        story = Story(kernel, crew, stage, key)
        try:
            story.tell(folder, question, lambda approval: yes or ask(f"Let {approval.arguments['path']} be written?"))
            story.verify_file(data_dir)
        except (ClientError, A2AError, MemroosError, OSError, Stopped) as error:
            stage.say(f"\nThe story ends here: {error}")
        finally:
            story.tidy_up()
    return stage.conclude()
