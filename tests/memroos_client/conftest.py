from collections.abc import Iterator

import pytest
from tests.memroos_client.scripted import ScriptedKernel


@pytest.fixture
def kernel() -> Iterator[ScriptedKernel]:
    """A server on loopback that answers as the test says."""
    with ScriptedKernel().serving() as scripted:
        yield scripted
