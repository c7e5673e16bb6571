"""The demo against a real kernel: from the command line, through a crash, and with a person who says no."""

import io
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.docs.test_examples import publisher
from tests.flows.kernel import Kernel

from memroos import demo
from memroos_client import Call, Client
from memroos_client.calls import agents, approvals, tasks
from memroos_contracts.governance import ApprovalState
from memroos_contracts.registry import AgentState

KEY_LINES = (
    "demo-researcher",
    "The reason: skill research and tag demo: demo-researcher of 1 candidate (live",
    "completed: Found 5 passages.",
    "Source: explanation/",
    "file.write on file:report.md",
    "It changes something outside of the system. (policy outside-effects-wait-for-a-person)",
    "The digest is that of the report above.",
    "approved by operator:key_",
    "receipt",
    "How could an intruder tamper with the ledger?",
    "From memory; no page was read.",
    "Of this it remembers nothing.",
    "hashes lead from it to the root that was signed.",
    "as `memroos audit verify` does:",
    "All of it was seen.",
)


WITH_A_MEMORY_SERVICE = (
    "vector\n   |\n   | > The ledger > What is not proved",
    "Where does Ines live? (today)\n      Ines lives in Porto now.\n",
    "Where does Ines live? (as of 2025-01-01)\n      Ines lives in Lisbon.\n",
    "Both are deleted; the question finds nothing.",
)

OUTBOUND = {"outbound_allow": "127.0.0.1"}


@pytest.fixture(scope="module")
def kernel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kernel]:
    """A kernel that may call agents on this machine, which the demo's researcher is."""
    with Kernel(tmp_path_factory.mktemp("kernel"), settings=OUTBOUND) as running:
        yield running


@pytest.fixture(autouse=True)
def desks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let what the demo leaves behind stay in the test's own folder."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))


@pytest.fixture
def command(tmp_path: Path) -> Iterator[Callable[[Kernel], "subprocess.Popen[str]"]]:
    """Start `memroos demo --yes` against a kernel; what still runs at the end is ended."""
    started: list[subprocess.Popen[str]] = []

    def start(kernel: Kernel) -> subprocess.Popen[str]:
        ours = {"URL": kernel.url, "API_KEY": kernel.operator_key, "DATA_DIR": str(kernel.data_dir)}
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("MEMROOS_")}
        process = subprocess.Popen(
            [sys.executable, "-m", "memroos.cli", "demo", "--yes"],
            cwd=kernel.folder,
            env={**inherited, "TMPDIR": str(tmp_path), **{f"MEMROOS_{name}": value for name, value in ours.items()}},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.terminate()
        process.communicate()


def read_until(process: "subprocess.Popen[str]", words: str) -> str:
    """Return the lines of a process up to the first that holds the words."""
    assert process.stdout is not None
    lines = ""
    for line in process.stdout:
        lines += line
        if words in line:
            return lines
    raise AssertionError(f"{words!r} was not said:\n{lines}")


def rest_of(process: "subprocess.Popen[str]") -> str:
    """Return what a process still says, and wait for its end."""
    assert process.stdout is not None
    lines = process.stdout.read()  # not `communicate`, which loses what was read ahead
    process.wait(10)
    return lines


def test_all_is_seen_and_a_second_time_too(
    kernel: Kernel, command: Callable[[Kernel], "subprocess.Popen[str]"]
) -> None:
    for _ in range(2):
        process = command(kernel)
        said = rest_of(process)

        assert process.returncode == 0, said
        assert [line for line in KEY_LINES if line not in said] == []
        assert "Not seen" not in said
        assert "So memory is searched by words here, not by meaning" in said  # this kernel runs without the service


def test_the_agents_are_out_of_service_afterwards_and_their_keys_end(kernel: Kernel, tmp_path: Path) -> None:
    out = io.StringIO()
    assert demo.run(url=kernel.url, key=kernel.operator_key, folder=None, yes=True, out=out, ask=never), out.getvalue()

    with Client(kernel.url, kernel.operator_key) as client:
        for name in ("demo-researcher", "demo-publisher"):
            assert client.run(agents.get(name)).state is AgentState.QUARANTINED
        mine = [key for key in kernel.done("GET", "/api/keys")["items"] if key["name"] == "demo"]
    assert {key["state"] for key in mine} == {"revoked"}


def test_a_kernel_that_may_not_call_this_machine_is_left_as_it_is(
    new_kernel: Callable[..., Kernel], command: Callable[[Kernel], "subprocess.Popen[str]"]
) -> None:
    kernel = new_kernel().start()
    process = command(kernel)

    said = rest_of(process)

    assert process.returncode == 0, said
    assert "start that with MEMROOS_OUTBOUND_ALLOW=127.0.0.1" in said
    assert [line for line in (*KEY_LINES, *WITH_A_MEMORY_SERVICE) if line not in said] == []
    assert {agent["name"] for agent in kernel.done("GET", "/api/agents")["items"]} == {"echo"}


@pytest.mark.parametrize(
    "moment",
    [
        "2. A question goes",
        pytest.param("1. Two agents register", marks=pytest.mark.long),
        pytest.param("3. The report goes", marks=pytest.mark.long),
        pytest.param("4. Policy holds", marks=pytest.mark.long),
        pytest.param("5. Memory recalls", marks=pytest.mark.long),
        pytest.param("6. The researcher ends", marks=pytest.mark.long),
    ],
)
def test_it_ends_well_when_the_kernel_is_killed_in_the_middle(
    new_kernel: Callable[..., Kernel], command: Callable[[Kernel], "subprocess.Popen[str]"], moment: str
) -> None:
    kernel = new_kernel(**OUTBOUND).start()
    process = command(kernel)

    said = read_until(process, moment)
    kernel.kill()
    kernel.restart()
    said += rest_of(process)

    assert process.returncode == 0, said + kernel.log()[-2000:]
    assert [line for line in KEY_LINES if line not in said] == []


def test_a_kernel_that_dies_while_the_person_thinks_still_has_the_question(
    new_kernel: Callable[..., Kernel],
) -> None:
    kernel = new_kernel(**OUTBOUND).start()
    asked: list[str] = []

    def crash_and_agree(question: str) -> bool:
        asked.append(question)
        kernel.kill()
        kernel.restart()
        return True

    out = io.StringIO()
    seen = demo.run(url=kernel.url, key=kernel.operator_key, folder=None, yes=False, out=out, ask=crash_and_agree)

    assert seen, out.getvalue()
    assert [question.startswith("Let /") for question in asked] == [True]
    with Client(kernel.url, kernel.operator_key) as client:
        answered = client.run(approvals.listing()).items
    assert [approval.state for approval in answered] == [ApprovalState.APPROVED]


def test_what_memory_says_in_the_second_run_was_found_in_the_first(kernel: Kernel) -> None:
    out = io.StringIO()

    seen = demo.run(url=kernel.url, key=kernel.operator_key, folder=None, yes=True, out=out, ask=never)

    said = out.getvalue()
    assert seen, said
    first, second = said.split("From memory; no page was read.")
    ended, started = re.findall(r"Process (\d+)", first)
    runs = set(re.findall(r"found on \S+ at \S+ UTC in run (\d+)", second))
    assert runs == {ended} != {started}
    sources = set(re.findall(r"Source: ([^,\n]+), found on", second))
    assert sources <= set(re.findall(r"Source: (\S+)", first))


def test_nothing_is_written_when_the_person_says_no(kernel: Kernel) -> None:
    out = io.StringIO()

    seen = demo.run(url=kernel.url, key=kernel.operator_key, folder=None, yes=False, out=out, ask=lambda _: False)

    said = out.getvalue()
    assert not seen
    assert "The story ends here: the answer was no, so nothing was written" in said
    assert "   - the report in its file" in said
    desk = Path(said.split("the publisher writes to ")[1].split(".\n")[0])
    assert {file.name for file in desk.iterdir()} == {"researcher.log", "publisher.log"}


def test_a_folder_of_ones_own_is_searched_for_its_own_subject(kernel: Kernel, tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("# Orchards\n\nOrchards are planted in rows.\n", "utf-8")
    out = io.StringIO()

    seen = demo.run(url=kernel.url, key=kernel.operator_key, folder=tmp_path, yes=True, out=out, ask=never)

    assert seen, out.getvalue()
    assert "   | > Orchards are planted in rows." in out.getvalue()
    assert "   | Source: README.md:3" in out.getvalue()


def test_a_key_that_is_none_ends_the_story_at_once(kernel: Kernel) -> None:
    out = io.StringIO()

    assert not demo.run(url=kernel.url, key="mr_operator_wrong", folder=None, yes=True, out=out, ask=never)
    assert "The story ends here:" in out.getvalue()
    assert "   - two agents at work" in out.getvalue()


def test_a_publisher_that_died_while_it_waited_asks_nothing_twice(kernel: Kernel, tmp_path: Path) -> None:
    agent = kernel.create_agent("careful-publisher", skills=("publish-carefully",))
    part = {"text": "the text", "filename": "../../outside.md"}
    task = kernel.done("POST", "/api/tasks", {"agent": agent.name, "parts": [part]})

    with Client(kernel.url, agent.key) as first:
        claimed = first.run(tasks.claim(wait_s=5, lease_s=1))
        assert claimed is not None
        with pytest.raises(KeyboardInterrupt):
            publisher.work(Dying(first), claimed, tmp_path)
    with Client(kernel.url, kernel.operator_key) as person:
        mine = [a for a in person.run(approvals.listing()).items if a.requester == f"agent:{agent.id}"]
        person.run(approvals.approve(mine[0].id))
    with Client(kernel.url, agent.key) as second:
        again = second.run(tasks.claim(wait_s=20, lease_s=30))
        assert again is not None
        publisher.work(second, again, tmp_path)

    assert (tmp_path / "outside.md").read_bytes() == b"the text"
    assert kernel.done("GET", f"/api/tasks/{task['id']}")["state"] == "completed"
    with Client(kernel.url, kernel.operator_key) as person:
        after = [a for a in person.run(approvals.listing()).items if a.requester == f"agent:{agent.id}"]
    assert [a.id for a in after] == [mine[0].id]


class Dying:
    """A connection whose program dies once it waits for a person."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def run(self, call: Call[Any]) -> Any:
        """Send a call, but for the first sign that it still waits."""
        if call.path.endswith("/heartbeat"):
            raise KeyboardInterrupt
        return self._client.run(call)


def never(question: str) -> bool:
    """Nobody is asked."""
    raise AssertionError(question)
