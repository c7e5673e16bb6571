"""What an agent answered where it made no task: its one message, or its refusal in its own words."""

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from a2a.utils import errors as sdk
from tests.actors import AGENT

from memroos import broker
from memroos.web.a2a import upstream
from memroos_contracts.broker import EventKind, Message, MessageRole, Part, TaskEvent, TaskState, TaskView
from memroos_contracts.governance import INTERNAL
from memroos_contracts.identity import AgentId, ContextId, TaskId, WorkspaceId

NOW = datetime(2026, 11, 21, tzinfo=UTC)
TASK = TaskView(
    id=TaskId("task_1"),
    workspace_id=WorkspaceId("default"),
    context_id=ContextId("ctx_1"),
    owner=AGENT.principal,
    agent_id=AgentId("agt_1"),
    agent="far-away",
    state=TaskState.REJECTED,
    generation=3,
    skill="",
    purpose="",
    route_reason="",
    label=INTERNAL,
    approval_id=None,
    created_at=NOW,
    status_at=NOW,
    deadline_at=None,
)
SAID = Message("msg_1", MessageRole.AGENT, [Part(text="Said.")], context_id="ctx_1", task_id="task_1")


class Log(broker.Tasks):
    """A log that ends as a test says."""

    def __init__(self, state: TaskState, metadata: Any) -> None:
        self.last = TaskEvent(generation=3, kind=EventKind.STATUS, at=NOW, state=state, metadata=metadata)

    def last_status(self, *_: Any) -> TaskEvent:
        return self.last


def demand(state: TaskState, metadata: Any) -> None:
    upstream.demand_taken(Log(state, metadata), AGENT, msgspec.structs.replace(TASK, state=state))


def test_a_message_that_is_all_there_is_names_no_task() -> None:
    done = msgspec.structs.replace(TASK, state=TaskState.COMPLETED, status_message=SAID, message_only=True)

    found = upstream.only_message(done)

    assert found is not None
    assert (found.message_id, found.context_id, found.task_id) == ("msg_1", "ctx_1", "")
    assert found.parts[0].text == "Said."


def test_a_task_is_no_message_whatever_its_status_says() -> None:
    assert upstream.only_message(msgspec.structs.replace(TASK, status_message=SAID)) is None


REFUSALS = (
    sdk.ContentTypeNotSupportedError,
    sdk.UnsupportedOperationError,
    sdk.ExtensionSupportRequiredError,
    sdk.VersionNotSupportedError,
    sdk.InvalidParamsError,
    sdk.TaskNotFoundError,
)


@pytest.mark.parametrize("error", REFUSALS)
@pytest.mark.parametrize("state", [TaskState.REJECTED, TaskState.INPUT_REQUIRED, TaskState.AUTH_REQUIRED])
def test_a_refusal_of_the_agent_is_the_callers(state: TaskState, error: type[sdk.A2AError]) -> None:
    with pytest.raises(error) as refused:
        demand(state, {"memroos": {"error": sdk.A2A_ERROR_REASONS[error], "message": "Not in this form."}})

    assert type(refused.value) is error
    assert refused.value.message == "Not in this form."


@pytest.mark.parametrize(
    ("state", "metadata"),
    [
        (TaskState.REJECTED, None),
        (TaskState.REJECTED, {"memroos": {"error": "HTTP_418", "message": "I am a teapot."}}),
        (TaskState.REJECTED, {"memroos": "odd"}),
        (TaskState.FAILED, {"memroos": {"error": "TASK_NOT_FOUND", "message": "It forgot."}}),
        (TaskState.WORKING, {"memroos": {"error": "INVALID_PARAMS", "message": "It goes on."}}),
    ],
    ids=["the agent's own state", "none of the protocol's", "another's metadata", "failed later", "still working"],
)
def test_what_is_no_refusal_is_shown_as_the_task_it_is(state: TaskState, metadata: Any) -> None:
    demand(state, metadata)
