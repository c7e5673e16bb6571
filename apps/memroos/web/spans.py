"""The span of a message that comes in, at whichever door."""

from collections.abc import Iterator
from contextlib import contextmanager

from memroos_contracts.broker import TaskState, TaskView
from memroos_kit import tracing

_WENT_WRONG = frozenset({TaskState.FAILED, TaskState.REJECTED})


class Sending:
    """A message on its way to an agent.

    Args:
        traceparent: the context that its task carries on.
        facts: what the span says at its end.
    """

    def __init__(self, traceparent: str, facts: dict[str, str | int | bool]) -> None:
        self.traceparent = traceparent
        self._facts = facts

    def became(self, task: TaskView) -> None:
        """Say which task it became, and how that stands."""
        if not tracing.is_on():
            return
        self._facts |= tracing.invocation(
            agent_id=task.agent_id, agent_name=task.agent, context_id=task.context_id, task_id=task.id
        )
        self._facts[tracing.STATE] = task.state
        if task.state in _WENT_WRONG:
            self._facts[tracing.ERROR_TYPE] = f"task_{task.state}"


@contextmanager
def sending(traceparent: str) -> Iterator[Sending]:
    """Measure the sending of a message, from its coming in until its sender has an answer.

    Args:
        traceparent: what the caller said; a new trace begins where that is no trace context.
    """
    facts = tracing.invocation() if tracing.is_on() else {}
    with tracing.span(tracing.INVOKE_AGENT, parent=traceparent, kind=tracing.SERVER, attributes=facts) as inside:
        yield Sending(inside, facts)
