"""The story a newcomer sees first: two agents, a step that waits for a person, a memory, and a ledger that is verified.

Everything happens against the running kernel, over the doors that everybody uses: REST through the client, A2A through
the SDK. The agents are the example programs of the documentation, in processes of their own. The kernel may be killed
and started again at any point: what was acknowledged is there, and the story goes on where it was. One demo at a time.

One of the agents is called by the kernel. A kernel that may not call this machine, and by default none may, is left as
it is: the story is told on one of the demo's own. Without a memory service, memory is shown as far as it goes.
"""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TextIO

from a2a.utils.errors import A2AError

from memroos.demo.crew import Crew
from memroos.demo.errors import ResearcherOutOfReach, Stopped
from memroos.demo.kernel import Kernel
from memroos.demo.own_kernel import own_kernel
from memroos.demo.stage import Stage
from memroos.demo.story import Story
from memroos_client import Client, ClientError, Retries
from memroos_contracts.errors import MemroosError
from memroos_contracts.governance import ApprovalView

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
    desk = Path(tempfile.mkdtemp(prefix="memroos-demo-"))

    def agrees(approval: ApprovalView) -> bool:
        return yes or ask(f"Let {approval.arguments['path']} be written?")

    def tell(url: str, key: str, data_dir: Path | None) -> None:
        with Client(url, key, retries=Retries(most=0)) as client:
            kernel = Kernel(client, stage)
            story = Story(kernel, Crew(kernel, desk), stage, key)
            try:
                story.tell(folder, question, agrees)
                story.verify_file(data_dir)
            finally:
                story.tidy_up()

    try:
        try:
            tell(url, key, data_dir)
        except ResearcherOutOfReach:
            stage.say(f"   The kernel at {url} may not call agents on this machine; none may before it is told to.")
            stage.say(
                "   It is left as it is. The story begins again on a kernel of the demo's own, which ends with it. To"
            )
            stage.say("   see it all on yours, start that with MEMROOS_OUTBOUND_ALLOW=127.0.0.1.\n")
            stage.begin_again()
            with own_kernel(desk / "kernel") as own:
                tell(own.url, own.key, own.data_dir)
    except (ClientError, A2AError, MemroosError, OSError, Stopped) as error:
        stage.say(f"\nThe story ends here: {error}")
    return stage.conclude()
