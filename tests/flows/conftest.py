"""Real kernels for the flows: one that a module's tests share, or one of their own that they may kill."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.flows.kernel import Kernel


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
