"""Durable means on the disk: a trace of the kernel's system calls shows a sync before each acknowledgement.

A killed process proves nothing here, because what it wrote stays in the machine's memory; only a power cut would lose
it. So the order of the system calls is looked at.
"""

import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from tests.crash import syscalls
from tests.flows.kernel import RUNNER, Agent, Kernel

WRITES = 40
FULL = RUNNER
NORMAL = Path(__file__).parent / "kernel_normal.py"


@pytest.fixture(scope="module")
def tracer(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The tracer, installed where that is possible; without one the test says so, and in CI it fails."""
    program = shutil.which("strace") or _install()
    if program is None:
        _cannot("there is no strace, and it cannot be installed here")
    assert program is not None
    tried = subprocess.run([program, "-f", "-o", os.devnull, "true"], capture_output=True, text=True, check=False)
    if tried.returncode:
        _cannot(f"processes cannot be traced here: {tried.stderr.strip()[-200:]}")
    return program


@pytest.mark.parametrize("connections", [1, 8])
def test_every_acknowledged_write_was_synced_before_its_answer_left(
    tmp_path: Path, tracer: str, connections: int
) -> None:
    answers = traced(tmp_path, tracer, FULL, connections=connections)

    assert len(answers) == WRITES
    assert all(answer.written and answer.synced for answer in answers), answers


def test_the_trace_finds_a_kernel_that_does_not_sync(tmp_path: Path, tracer: str) -> None:
    answers = traced(tmp_path, tracer, NORMAL, connections=1)

    assert len(answers) == WRITES
    assert all(answer.written for answer in answers)
    assert not any(answer.synced for answer in answers), "a weaker setting would go unnoticed"


def traced(folder: Path, tracer: str, runner: Path, *, connections: int) -> list[syscalls.Acknowledgement]:
    """Let clients write while a kernel is traced; return what the trace says about each acknowledged write."""
    output = folder / "trace"
    # -D leaves the kernel the direct child, so that signals reach it and not the tracer.
    prefix = (
        tracer,
        "-D",
        "-f",
        "-y",
        "-s",
        str(syscalls.LONGEST_TEXT),
        "-e",
        f"trace={syscalls.CALLS}",
        "-o",
        str(output),
    )
    settings = {"log_level": "error", "seal_interval_s": "86400"}
    with Kernel(folder / "kernel", settings=settings, prefix=(*prefix, sys.executable, str(runner))) as kernel:
        sender, receiver = kernel.create_agent("sender"), kernel.create_agent("receiver")
        with ThreadPoolExecutor(connections) as pool:
            told = list(pool.map(lambda share: _send(sender, receiver, share), [WRITES // connections] * connections))
    assert sum(told) == WRITES
    lines = output.read_text("utf-8", errors="replace").splitlines()
    return syscalls.acknowledgements(lines, path="/api/agent-context", status=201)


def _send(sender: Agent, receiver: Agent, writes: int) -> int:
    """Send one message after the other; return how many were acknowledged."""
    body = {"to": receiver.id, "kind": "note", "body": {"text": "keep this"}}
    with sender.kernel.client(sender.key) as client:
        return sum(client.post("/api/agent-context", json=body).status_code == 201 for _ in range(writes))


def _install() -> str | None:
    """Install the tracer where that needs no question."""
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        return None
    for command in (["apt-get", "update", "-qq"], ["apt-get", "install", "-qq", "-y", "strace"]):
        if subprocess.run(command, capture_output=True, check=False, timeout=100).returncode:
            break
    return shutil.which("strace")


def _cannot(why: str) -> None:
    if os.environ.get("CI"):
        pytest.fail(f"not proved: {why}")
    pytest.skip(why)
