"""A kernel and a memory service of the demo's own, for where those that run may not call agents on this machine."""

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from memroos.demo.crew import end, libraries
from memroos.demo.errors import Stopped
from memroos.demo.kernel import PAUSE_S
from memroos_kit import lock

START_S = 30.0


class OwnKernel(msgspec.Struct, frozen=True):
    """Where it is, its operator's key, and its data."""

    url: str
    key: str
    data_dir: Path


@contextmanager
def own_kernel(folder: Path) -> Iterator[OwnKernel]:
    """Run a kernel that may call this machine and nothing else, and its memory service; their data stay in the folder.

    Raises:
        Stopped: one does not start; its log says why.
    """
    data_dir = folder / "data"
    folder.mkdir(parents=True)
    memory_port = _free_port()
    settings = {
        "DATA_DIR": str(data_dir),
        "PORT": "0",
        "GRPC": "false",
        "MEMORY_PORT": str(memory_port),
        "MEMORY_URL": f"http://127.0.0.1:{memory_port}",
        "OUTBOUND_ALLOW": "127.0.0.1",
        "LOG_FORMAT": "json",
    }
    with _running("memory", folder, settings) as memory, _running("kernel", folder, settings) as kernel:
        url = _await_address(kernel, data_dir / "kernel.lock", folder / "kernel.log")
        _await_address(memory, data_dir / "memory.lock", folder / "memory.log")
        yield OwnKernel(url, (data_dir / "operator.key").read_text("ascii").strip(), data_dir)


@contextmanager
def _running(name: str, folder: Path, settings: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    with (folder / f"{name}.log").open("wb") as said:
        process = subprocess.Popen(  # noqa: S603 - our own program
            [sys.executable, "-m", "memroos.cli", name, "--supervised"],
            cwd=folder,  # no `memroos.toml` from elsewhere is read
            env={"PYTHONPATH": libraries(), **{f"MEMROOS_{setting}": value for setting, value in settings.items()}},
            stdin=subprocess.PIPE,  # it stops when we are gone
            stdout=said,
            stderr=said,
            start_new_session=True,  # Ctrl-C is for the story, which still has to tidy up
        )
    try:
        yield process
    finally:
        end(process)
        assert process.stdin is not None
        process.stdin.close()


def _free_port() -> int:
    """Return a port that nobody listens on: the kernel has to know where the memory service will be."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port: int = listening.getsockname()[1]
        return port


def _await_address(process: subprocess.Popen[bytes], held: Path, log: Path) -> str:
    until = time.monotonic() + START_S
    while process.poll() is None and time.monotonic() < until:
        try:
            holder = lock.find_holder(held)
        except lock.AlreadyRunning:  # it has not yet said where it is
            holder = None
        if holder is not None and holder.address:
            return holder.address
        time.sleep(PAUSE_S)
    raise Stopped(f"what the demo starts of its own does not come up; {log} says why")
