"""A task is shown once, however many connections it takes to see it."""

import io
from collections.abc import Callable

import pytest
from a2a.types import a2a_pb2

from memroos.demo.conversation import Conversation
from memroos.demo.errors import Stopped
from memroos.demo.kernel import Kernel
from memroos.demo.stage import Stage
from memroos_client import Client

WORKING = a2a_pb2.TaskState.Value("TASK_STATE_WORKING")
COMPLETED = a2a_pb2.TaskState.Value("TASK_STATE_COMPLETED")


@pytest.fixture
def shown() -> list[str]:
    return []


@pytest.fixture
def talk(shown: list[str]) -> Conversation:
    kernel = Kernel(Client("http://kernel.test"), Stage(io.StringIO()))
    return Conversation(kernel, "k", a2a_pb2.Message(), show=shown.append, check=lambda: None)


def status(state: int, *parts: a2a_pb2.Part) -> a2a_pb2.TaskStatus:
    message = a2a_pb2.Message(message_id="m", parts=parts) if parts else None
    return a2a_pb2.TaskStatus(state=state, message=message)  # type: ignore[arg-type]


def snapshot(state: int, *artifacts: a2a_pb2.Artifact) -> a2a_pb2.StreamResponse:
    return a2a_pb2.StreamResponse(task=a2a_pb2.Task(id="task_1", status=status(state), artifacts=artifacts))


def report(text: str) -> a2a_pb2.Artifact:
    return a2a_pb2.Artifact(artifact_id="report", name="report.md", parts=[a2a_pb2.Part(text=text)])


def produced(artifact: a2a_pb2.Artifact) -> a2a_pb2.StreamResponse:
    return a2a_pb2.StreamResponse(artifact_update=a2a_pb2.TaskArtifactUpdateEvent(task_id="task_1", artifact=artifact))


def moved(new: a2a_pb2.TaskStatus) -> a2a_pb2.StreamResponse:
    return a2a_pb2.StreamResponse(status_update=a2a_pb2.TaskStatusUpdateEvent(task_id="task_1", status=new))


def see(talk: Conversation) -> Callable[..., None]:
    def take(*events: a2a_pb2.StreamResponse) -> None:
        for event in events:
            talk._take(event)

    return take


def test_what_a_second_connection_tells_again_is_not_shown_again(talk: Conversation, shown: list[str]) -> None:
    see(talk)(snapshot(WORKING), produced(report("first")), snapshot(WORKING, report("first")), snapshot(COMPLETED))

    assert shown == ["   working", "   artifact report.md, 5 bytes", "   completed"]
    assert talk.over


def test_a_result_that_is_handed_in_again_replaces_the_first(talk: Conversation) -> None:
    see(talk)(snapshot(WORKING), produced(report("first")), produced(report("second")))

    assert talk.artifact("report").text == "second"
    assert talk.streamed == 2


def test_a_missing_result_says_how_the_task_stands(talk: Conversation) -> None:
    see(talk)(snapshot(WORKING))

    with pytest.raises(Stopped, match="brought no report; it is working"):
        talk.artifact("report")


def test_an_agent_that_waits_for_a_person_names_the_approval(talk: Conversation) -> None:
    held = a2a_pb2.Part()
    held.data.struct_value.update({"approval": "apr_1"})

    see(talk)(snapshot(WORKING), moved(status(WORKING, a2a_pb2.Part(text="A person has to agree."), held)))

    assert talk.approval_id == "apr_1"


def test_an_agents_words_are_shown_without_control_characters(talk: Conversation, shown: list[str]) -> None:
    see(talk)(moved(status(WORKING, a2a_pb2.Part(text="hi\x1b[2J"))))

    assert shown == ["   working: hi [2J"]
