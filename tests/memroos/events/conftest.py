"""Events to read."""

from collections.abc import Callable
from typing import Any

import pytest
from tests.actors import OPERATOR

from memroos import events
from memroos_contracts.identity import Actor
from memroos_kit.db import Database

Publish = Callable[..., None]


@pytest.fixture
def publish(db: Database) -> Publish:
    """Publish one event, by default a `task.created` of the operator."""

    def publish(
        type_: str = "task.created",
        *,
        subject: str = "task_1",
        data: dict[str, Any] | None = None,
        actor: Actor = OPERATOR,
        **whose: str,
    ) -> None:
        db.write_now(actor, events.publish, type_, subject=subject, data=data or {}, **whose)

    return publish
