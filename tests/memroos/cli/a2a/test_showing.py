"""What people see of a task, and that nothing is shown twice."""

import pytest
from a2a.types import a2a_pb2 as pb

from memroos.cli.a2a.showing import Show, text_of


def task(state: pb.TaskState, *artifacts: pb.Artifact) -> pb.StreamResponse:
    return pb.StreamResponse(
        task=pb.Task(id="t", context_id="c", status=pb.TaskStatus(state=state), artifacts=artifacts)
    )


def chunk(text: str, *, append: bool) -> pb.StreamResponse:
    artifact = pb.Artifact(artifact_id="a", name="poem", parts=[pb.Part(text=text)])
    return pb.StreamResponse(artifact_update=pb.TaskArtifactUpdateEvent(task_id="t", artifact=artifact, append=append))


def test_chunks_are_shown_as_they_come_and_not_again_with_the_whole(capsys: pytest.CaptureFixture[str]) -> None:
    show = Show()
    show.take(task(pb.TASK_STATE_WORKING))
    show.take(chunk("one", append=False))
    show.take(chunk(" two", append=True))
    whole = pb.Artifact(artifact_id="a", name="poem", parts=[pb.Part(text="one two")])
    show.take(task(pb.TASK_STATE_COMPLETED, whole))

    lines = capsys.readouterr().out.splitlines()
    assert lines == ["task t in context c", "working", "artifact poem", "one", " two", "completed"]
    assert (show.over, show.code) == (True, 0)


def test_a_snapshot_after_a_reconnect_shows_only_what_is_new(capsys: pytest.CaptureFixture[str]) -> None:
    show = Show()
    show.take(task(pb.TASK_STATE_WORKING))
    capsys.readouterr()

    show.take(task(pb.TASK_STATE_WORKING))

    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("state", "code"),
    [
        (pb.TASK_STATE_COMPLETED, 0),
        (pb.TASK_STATE_FAILED, 1),
        (pb.TASK_STATE_CANCELED, 1),
        (pb.TASK_STATE_REJECTED, 1),
        (pb.TASK_STATE_INPUT_REQUIRED, 4),
        (pb.TASK_STATE_AUTH_REQUIRED, 4),
        (pb.TASK_STATE_WORKING, 5),
        (pb.TASK_STATE_SUBMITTED, 5),
    ],
)
def test_a_state_is_an_exit_code(state: pb.TaskState, code: int) -> None:
    show = Show(as_json=True)
    show.take(task(state))

    assert show.code == code


def test_what_an_agent_says_cannot_move_the_cursor() -> None:
    assert text_of([pb.Part(text="a\x1b[2Jb\nc")]) == "a\\x1b[2Jb\nc"
    assert text_of([pb.Part(raw=b"1234", filename="x\x07.bin")]) == "[x\\x07.bin, 4 bytes]"
