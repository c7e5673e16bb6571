"""What an agent says: for people states as they come and artifacts as they grow, for programs a line of JSON each."""

import sys
from collections.abc import Iterable

import click
import msgspec
from a2a.types import a2a_pb2
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message as Proto

from memroos.cli.output import paint, printable

COMPLETED, FAILED, NEEDS_YOU, GOES_ON = 0, 1, 4, 5
"""How a task stands, as the exit code of a command that waited for it."""

_PREFIX = "TASK_STATE_"
_BAD = {a2a_pb2.TASK_STATE_FAILED, a2a_pb2.TASK_STATE_CANCELED, a2a_pb2.TASK_STATE_REJECTED}
_WAITING = {a2a_pb2.TASK_STATE_INPUT_REQUIRED, a2a_pb2.TASK_STATE_AUTH_REQUIRED}
FINAL = _BAD | {a2a_pb2.TASK_STATE_COMPLETED}


def word(state: a2a_pb2.TaskState) -> str:
    """Return a state as people say it."""
    return a2a_pb2.TaskState.Name(state).removeprefix(_PREFIX).lower()


def exit_code(state: a2a_pb2.TaskState) -> int:
    """Return how a task stands as an exit code."""
    if state == a2a_pb2.TASK_STATE_COMPLETED:
        return COMPLETED
    if state in _WAITING:
        return NEEDS_YOU
    return FAILED if state in _BAD else GOES_ON


def line_of(message: Proto) -> bytes:
    """Return one line of JSON, in the protocol's own names."""
    return msgspec.json.encode(MessageToDict(message))


def write_json(message: Proto) -> None:
    """Print one answer as JSON."""
    click.echo(msgspec.json.format(line_of(message), indent=2))


class Show:
    """Shows a task as it moves; what was shown once, after a reconnect for instance, is not shown again.

    Args:
        as_json: print each event as a line of JSON instead.
    """

    def __init__(self, *, as_json: bool = False) -> None:
        self.task_id = ""
        self.context_id = ""
        self.state = a2a_pb2.TASK_STATE_UNSPECIFIED
        self.answered = False
        """Whether the agent answered with a message instead of a task."""
        self._as_json = as_json
        self._said = ""
        self._printed: dict[str, str] = {}

    @property
    def over(self) -> bool:
        """Whether nothing more will come without us."""
        return self.answered or self.state in FINAL

    @property
    def code(self) -> int:
        """How it stands, as an exit code."""
        return COMPLETED if self.answered else exit_code(self.state)

    def take(self, item: a2a_pb2.StreamResponse) -> None:
        """Show one event."""
        if self._as_json:
            click.echo(line_of(item))
        match item.WhichOneof("payload"):
            case "task":
                self._name(item.task.id, item.task.context_id)
                for artifact in item.task.artifacts:
                    self._artifact(artifact, append=False)
                self._status(item.task.status)
            case "status_update":
                self._name(item.status_update.task_id, item.status_update.context_id)
                self._status(item.status_update.status)
            case "artifact_update":
                self._artifact(item.artifact_update.artifact, append=item.artifact_update.append)
            case "message":
                self.answered, self.context_id = True, item.message.context_id
                self._line(text_of(item.message.parts))
        sys.stdout.flush()

    def _name(self, task_id: str, context_id: str) -> None:
        if task_id != self.task_id:
            self.task_id, self.context_id = task_id, context_id
            self._line(f"task {printable(task_id)} in context {printable(context_id)}")

    def _status(self, status: a2a_pb2.TaskStatus) -> None:
        said = text_of(status.message.parts)
        if status.state != self.state or said != self._said:
            state = paint(word(status.state))
            self._line(f"{state}: {said}" if said else state)
        self.state, self._said = status.state, said

    def _artifact(self, artifact: a2a_pb2.Artifact, *, append: bool) -> None:
        """Show what is new of an artifact, whether it comes in chunks or as a whole."""
        text, before = text_of(artifact.parts), self._printed.get(artifact.artifact_id)
        whole = (before or "") + text if append else text
        if before == whole:
            return
        grown = before is not None and whole.startswith(before)
        if not grown:
            self._line(click.style(f"artifact {printable(artifact.name or artifact.artifact_id)}", bold=True))
        self._line(whole[len(before or "") :] if grown else whole)
        self._printed[artifact.artifact_id] = whole

    def _line(self, text: str) -> None:
        if not self._as_json:
            click.echo(text)


def text_of(parts: Iterable[a2a_pb2.Part]) -> str:
    """Return what people can read of a content: text, but for what would move the cursor; the rest in short."""
    return "\n".join(_part(part) for part in parts)


def _part(part: a2a_pb2.Part) -> str:
    match part.WhichOneof("content"):
        case "text":
            return "\n".join(printable(line) for line in part.text.split("\n"))
        case "data":
            return printable(msgspec.json.encode(MessageToDict(part.data)).decode())
        case "url":
            return f"[{printable(part.filename or part.media_type or 'file')} at {printable(part.url)}]"
        case _:
            kind = printable(part.filename or part.media_type or "bytes")
            return f"[{kind}, {len(part.raw):,} bytes]"
