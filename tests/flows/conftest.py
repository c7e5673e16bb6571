"""Real kernels for the flows: one that a module's tests share, or one of their own that they may kill."""

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.flows.kernel import Agent, Kernel


@pytest.fixture(scope="module")
def kernel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kernel]:
    """A running kernel that the tests of a module share; none of them ends it."""
    with Kernel(tmp_path_factory.mktemp("kernel")) as running:
        yield running


@pytest.fixture
def new_kernel(tmp_path: Path) -> Iterator[Callable[..., Kernel]]:
    """Make a kernel that the test may kill; whatever still runs at the end is ended."""
    made: list[Kernel] = []

    def make(**settings: str) -> Kernel:
        kernel = Kernel(tmp_path / f"kernel{len(made)}", settings=settings)
        made.append(kernel)
        return kernel

    yield make
    for kernel in made:
        kernel.stop()


@pytest.fixture(scope="module")
def working(kernel: Kernel) -> Iterator[str]:
    """The skill of an agent that works by itself: asks back, leaves lying, or does what it was told."""
    agent, over = kernel.create_agent("worker", skills=("work",)), threading.Event()

    def work() -> None:
        while not over.is_set():
            claim = agent.claim(wait_s=1)
            if claim is not None:
                _answer(agent, claim)

    thread = threading.Thread(target=work)
    thread.start()
    yield "work"
    over.set()
    thread.join()


def _answer(agent: Agent, claim: Any) -> None:
    text = claim["message"]["parts"][0]["text"]
    if text.startswith("wait"):
        return
    if text.startswith("ask"):
        agent.report(claim, "ask", parts=[{"text": "what?"}])
        return
    agent.report(claim, "progress", parts=[{"text": "at it"}])
    for part, append in (("one", False), ("two", True)):
        artifact = {"artifact_id": "a", "parts": [{"text": part}]}
        agent.report(claim, "artifact", artifact=artifact, append=append, last_chunk=append)
    agent.report(claim, "complete", parts=[{"text": "done"}])
