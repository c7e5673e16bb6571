"""What a remote agent answered where it did not make a task of a message: one message, or a refusal."""

from typing import Any

import msgspec
from a2a.types import a2a_pb2
from a2a.utils import errors as sdk

from memroos import broker
from memroos.web.a2a import convert
from memroos.web.a2a.errors import Facts
from memroos_contracts.broker import TaskEvent, TaskState, TaskView
from memroos_contracts.identity import Actor

_REFUSED_IN = frozenset({TaskState.REJECTED, TaskState.INPUT_REQUIRED, TaskState.AUTH_REQUIRED})
_BY_REASON = {reason: error for error, reason in sdk.A2A_ERROR_REASONS.items()}


def only_message(task: TaskView) -> a2a_pb2.Message | None:
    """Return the message that is the whole answer (A2A 1.0, 3.1.1), None where there is a task.

    The caller has no task of it, so the message names none.
    """
    if not task.message_only or task.status_message is None:
        return None
    return convert.message_to(msgspec.structs.replace(task.status_message, task_id=""))


def demand_taken(tasks: broker.Tasks, actor: Actor, task: TaskView) -> None:
    """Refuse a message that its agent refused, in the same words; whoever looks later sees what became of the task.

    Raises:
        A2AError: the agent's own, where the protocol knows it.
    """
    if task.state in _REFUSED_IN and (refusal := _refusal(tasks.last_status(actor, task))) is not None:
        raise refusal


def _refusal(event: TaskEvent) -> sdk.A2AError | None:
    said: Any = (event.metadata or {}).get("memroos")
    kind = _BY_REASON.get(said.get("error", "")) if isinstance(said, dict) else None
    if kind is None:
        return None
    return kind(message=str(said.get("message", "")), data=Facts({"problem": "refused-by-agent"}))
