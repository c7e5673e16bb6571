"""A kernel of the demo's own, for where the one that runs may not call agents on this machine."""

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
    """Run a kernel that may call this machine and nothing else; its data stay in the folder.

    Raises:
        Stopped: it does not start; its log says why.
    """
    data_dir, log = folder / "data", folder / "kernel.log"
    folder.mkdir(parents=True)
    with log.open("wb") as said:
        process = subprocess.Popen(
            [sys.executable, "-m", "memroos.cli", "kernel", "--supervised"],
            cwd=folder,  # no `memroos.toml` from elsewhere is read
            env={
                "PYTHONPATH": libraries(),
                "MEMROOS_DATA_DIR": str(data_dir),
                "MEMROOS_PORT": "0",
                "MEMROOS_GRPC": "false",
                "MEMROOS_OUTBOUND_ALLOW": "127.0.0.1",
                "MEMROOS_LOG_FORMAT": "json",
            },
            stdin=subprocess.PIPE,  # it stops when we are gone
            stdout=said,
            stderr=said,
            start_new_session=True,  # Ctrl-C is for the story, which still has to tidy up
        )
    try:
        url = _await_address(process, data_dir, log)
        yield OwnKernel(url, (data_dir / "operator.key").read_text("ascii").strip(), data_dir)
    finally:
        end(process)
        assert process.stdin is not None
        process.stdin.close()


def _await_address(process: subprocess.Popen[bytes], data_dir: Path, log: Path) -> str:
    until = time.monotonic() + START_S
    while process.poll() is None and time.monotonic() < until:
        try:
            holder = lock.find_holder(data_dir / "kernel.lock")
        except lock.AlreadyRunning:  # it has not yet said where it is
            holder = None
        if holder is not None and holder.address:
            return holder.address
        time.sleep(PAUSE_S)
    raise Stopped(f"the demo's own kernel does not start; {log} says why")
