"""A real Neo4j in a Java process of its own, for tests: fetched once by Maven, started on loopback, stopped by its pid.

The libraries go to a cache folder outside the repository (`MEMROOS_TEST_CACHE`, else `~/.cache/memroos`).
"""

import os
import re
import selectors
import shutil
import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import Self

HERE = Path(__file__).parent
POM = HERE / "pom.xml"
PROGRAM = HERE / "OnLoopback.java"
FETCH_S = 600.0
START_S = 120.0
STOP_S = 30.0
OPENED = ("java.base/java.nio", "java.base/java.io", "java.base/sun.nio.ch")
"""What Neo4j needs of Java's own, and Java does not give by itself."""


def can_run() -> bool:
    """Whether Java and Maven are there."""
    return shutil.which("java") is not None and shutil.which("mvn") is not None


def fetch() -> Path:
    """Return the folder with Neo4j's libraries; the first time Maven copies them there, 130 MB."""
    version = re.search(r"<neo4j\.version>(.+)</neo4j\.version>", POM.read_text(encoding="utf-8"))
    assert version is not None
    cache = Path(os.environ.get("MEMROOS_TEST_CACHE") or Path.home() / ".cache" / "memroos")
    folder = cache / f"neo4j-{version[1]}"
    if folder.is_dir():
        return folder

    part = cache / f"{folder.name}.{os.getpid()}"
    part.mkdir(parents=True)
    try:
        goal = ["dependency:copy-dependencies", f"-DoutputDirectory={part}", "-DincludeScope=runtime"]
        subprocess.run(["mvn", "-q", "-B", "-f", str(POM), *goal], check=True, timeout=FETCH_S, cwd=part)
        if not folder.is_dir():
            part.rename(folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return folder


class Neo4jServer:
    """One server and its data; a context manager. After `kill`, `start` goes on with the same data and port."""

    def __init__(self, folder: Path, port: int) -> None:
        self.folder = folder
        self.port = port
        self.uri = f"bolt://127.0.0.1:{port}"
        self.start_s = 0.0
        self._process: subprocess.Popen[bytes] | None = None
        folder.mkdir(parents=True, exist_ok=True)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> Self:
        """Start it and wait until it answers."""
        assert self._process is None
        libraries = fetch()
        began = time.monotonic()
        command = ["java", "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]
        command += [f"--add-opens={package}=ALL-UNNAMED" for package in OPENED]
        command += ["-cp", f"{libraries}/*", str(PROGRAM), str(self.folder / "data"), str(self.port)]
        with (self.folder / "server.log").open("ab") as log:
            self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log)
        try:
            self._wait_until_listening()
        except BaseException:
            self.kill()
            raise
        self.start_s = time.monotonic() - began
        return self

    def kill(self) -> None:
        """End it without a chance to write anything any more."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait(STOP_S)
            _close(process)

    def stop(self) -> None:
        """End it in good order: with its standard input."""
        process, self._process = self._process, None
        if process is None:
            return
        _close(process)
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(STOP_S)

    def _wait_until_listening(self) -> None:
        assert self._process is not None
        assert self._process.stdout is not None
        with selectors.DefaultSelector() as ready:
            ready.register(self._process.stdout, selectors.EVENT_READ)
            deadline = time.monotonic() + START_S
            while time.monotonic() < deadline:
                if not ready.select(timeout=1.0):
                    continue
                line = self._process.stdout.readline()
                if line.strip() == b"listening":
                    return
                if not line:
                    break
        log = (self.folder / "server.log").read_text(encoding="utf-8", errors="replace")
        raise AssertionError(f"Neo4j did not start:\n{log[-4_000:]}")


def _close(process: subprocess.Popen[bytes]) -> None:
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            pipe.close()
