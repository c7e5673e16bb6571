"""A kernel database with tasks, and the terms on which notifications about them leave it."""

import pytest
from tests.memroos.broker.conftest import caller, db, gate, house, recent, shipped, worker

from memroos import push
from memroos_kit.outbound import Guard
from memroos_kit.sealing import Sealer

__all__ = ["caller", "db", "gate", "house", "recent", "shipped", "worker"]

HOOK = "https://hook.example/in"


@pytest.fixture
def sealer() -> Sealer:
    """What keeps tokens and credentials."""
    return Sealer(bytes(range(32)))


@pytest.fixture
def terms(sealer: Sealer) -> push.Terms:
    """Notifications may go to loopback and to `hook.example`."""
    return push.Terms(Guard(allow=("127.0.0.1", "hook.example"), timeout_s=0.5), sealer, most_per_task=3)
