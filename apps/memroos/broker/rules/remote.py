"""Pure decisions about tasks that a remote A2A agent works on: what is missing here, and what may not be.

The task's own log says how far the agent has been followed. After a break its snapshot is held against that log; the
difference is what has to be written, nothing twice and nothing left out.
Facts: A2A 1.0, 3.1.2 (streams), 3.1.6 (subscribe: a snapshot, then the tail), 4.2.2 (artifact chunks).
"""

from collections.abc import Sequence

import msgspec

from memroos.broker.rules.tasks import LONGEST_ID, find_content_faults, fold_artifacts
from memroos_contracts.broker import FINAL, Artifact, EventKind, Message, MessageRole, TaskEvent, TaskState

NEWEST_PARTS = 64
"""How far back a chunk is looked for that may have been in a snapshot already."""


class Snapshot(msgspec.Struct, frozen=True):
    """A task as the agent shows it."""

    id: str
    context_id: str
    state: TaskState
    message: Message | None = None
    history: tuple[Message, ...] = ()
    artifacts: tuple[Artifact, ...] = ()
    metadata: dict[str, object] | None = None


class Status(msgspec.Struct, frozen=True):
    """The agent moved a task."""

    task_id: str
    context_id: str
    state: TaskState
    message: Message | None = None
    metadata: dict[str, object] | None = None


class Piece(msgspec.Struct, frozen=True):
    """The agent produced an artifact, or a piece of one."""

    task_id: str
    context_id: str
    artifact: Artifact
    append: bool = False
    last_chunk: bool = False
    metadata: dict[str, object] | None = None


class Reply(msgspec.Struct, frozen=True):
    """The agent answered with one message instead of a task."""

    message: Message


Change = Status | Piece
Item = Snapshot | Status | Piece | Reply


def reconcile(log: Sequence[TaskEvent], seen: Snapshot, *, settled: bool = False) -> list[Change]:
    """Return what the agent's snapshot has and the task's log has not, in the order in which it is to be written.

    What was said in states that passed unseen is told as work in progress; artifacts known in part get the rest.

    Args:
        log: the task's whole log.
        seen: the task as the agent shows it now.
        settled: whether the agent has taken every message there is for it, so that a state in which it waited before
            is one that it has come back to.
    """
    changes: list[Change] = []
    known = {_key(event.message) for event in log if event.message is not None}
    current = None if seen.message is None else _key(seen.message)
    for message in seen.history:
        if message.role is MessageRole.AGENT and (key := _key(message)) not in known and key != current:
            known.add(key)
            changes.append(Status(seen.id, seen.context_id, TaskState.WORKING, message))

    artifacts = {artifact.artifact_id: artifact for artifact in fold_artifacts(log)}
    for artifact in seen.artifacts:
        piece = _missing(artifacts.get(artifact.artifact_id), artifact, seen)
        if piece is not None:
            changes.append(piece)
            artifacts[artifact.artifact_id] = artifact

    if any(isinstance(change, Status) for change in changes) or not _says(log, seen, settled=settled):
        changes.append(Status(seen.id, seen.context_id, seen.state, seen.message))
    return changes


def _key(message: Message) -> tuple[str, bytes]:
    """Tell messages apart: some callers and agents use one id for several."""
    return message.message_id, msgspec.json.encode(message.parts, order="sorted")


def _missing(ours: Artifact | None, theirs: Artifact, seen: Snapshot) -> Piece | None:
    """Return what brings an artifact to how the agent has it."""
    last = seen.state in FINAL
    if ours is None:
        return Piece(seen.id, seen.context_id, theirs, last_chunk=last)
    if ours == theirs:
        return None
    have = len(ours.parts)
    if have < len(theirs.parts) and theirs.parts[:have] == ours.parts:
        rest = msgspec.structs.replace(theirs, parts=theirs.parts[have:])
        if _joined(ours, rest) == theirs:
            return Piece(seen.id, seen.context_id, rest, append=True, last_chunk=last)
    return Piece(seen.id, seen.context_id, theirs, last_chunk=last)


def _joined(artifact: Artifact, more: Artifact) -> Artifact:
    events = [
        TaskEvent(generation=0, kind=EventKind.ARTIFACT, at=None, artifact=part, append=part is more)  # type: ignore[arg-type]  # no instant is looked at
        for part in (artifact, more)
    ]
    return fold_artifacts(events)[0]


def _says(log: Sequence[TaskEvent], seen: Snapshot, *, settled: bool) -> bool:
    """Whether the log's last word about the state is the agent's."""
    states = [event for event in log if event.kind is EventKind.STATUS]
    if not states:
        return False
    if _same(states[-1], seen):
        return True
    if settled:
        return False
    theirs = _last_of_agent(log)
    return theirs is not None and theirs is not states[-1] and _same(theirs, seen)


def _last_of_agent(log: Sequence[TaskEvent]) -> TaskEvent | None:
    """Return the last state that the agent brought about: a caller's message puts a waiting task back to submitted."""
    for place in range(len(log) - 1, -1, -1):
        event = log[place]
        if event.kind is not EventKind.STATUS:
            continue
        ours = event.state is TaskState.SUBMITTED and place > 0 and log[place - 1].kind is EventKind.MESSAGE
        if not ours:
            return event
    return None


def _same(event: TaskEvent, seen: Snapshot | Status) -> bool:
    if event.state is not seen.state or (event.message is None) is not (seen.message is None):
        return False
    return event.message is None or seen.message is None or _key(event.message) == _key(seen.message)


def may_be_old(log: Sequence[TaskEvent], change: Change) -> bool:
    """Whether the first events after a snapshot may be in it already.

    Some servers begin to listen before they take the snapshot, so that its last events come once more. A message that
    is known, the state that is known, or parts that are known look like it; for artifacts the agent is asked again.
    """
    if isinstance(change, Status):
        if change.message is not None:
            key = _key(change.message)
            return any(event.message is not None and _key(event.message) == key for event in log)
        last = _last_of_agent(log)
        return last is not None and _same(last, change)
    known = _artifact(log, change.artifact.artifact_id)
    if known is None:
        return False
    if not change.append:
        return known.parts[: len(change.artifact.parts)] == change.artifact.parts
    size = len(change.artifact.parts)
    first = max(0, len(known.parts) - NEWEST_PARTS)
    return any(known.parts[at : at + size] == change.artifact.parts for at in range(first, len(known.parts) - size + 1))


def is_old(log: Sequence[TaskEvent], piece: Piece, later: Snapshot) -> bool:
    """Whether a chunk was in an earlier snapshot already, judged by one that was taken after the chunk came.

    If it was new, the later snapshot has it right behind what was known before.
    """
    known = _artifact(log, piece.artifact.artifact_id)
    after = next((a for a in later.artifacts if a.artifact_id == piece.artifact.artifact_id), None)
    if known is None or after is None:
        return False
    if not piece.append:
        return after.parts[: len(known.parts)] == known.parts
    have = len(known.parts)
    return after.parts[have : have + len(piece.artifact.parts)] != piece.artifact.parts


def _artifact(log: Sequence[TaskEvent], artifact_id: str) -> Artifact | None:
    events = (event for event in log if event.artifact is not None and event.artifact.artifact_id == artifact_id)
    return next(iter(fold_artifacts(events)), None)


def find_item_fault(item: Item, remote_id: str) -> str:
    """Return what A2A does not allow in an agent's answer, an empty string where it is as it should be.

    Args:
        remote_id: the agent's id of the task that is followed; empty while it is not known.
    """
    if isinstance(item, Reply):
        return _message_fault(item.message)
    task_id = item.id if isinstance(item, Snapshot) else item.task_id
    if not 0 < len(task_id) <= LONGEST_ID or len(item.context_id) > LONGEST_ID:
        return "an event without a task's id" if not task_id else "an id that is too long"
    if remote_id and task_id != remote_id:
        return "an event of another task"
    if isinstance(item, Piece):
        return _artifact_fault(item.artifact) or _metadata_fault(item.metadata)
    if isinstance(item, Status):
        return _message_fault(item.message) or _metadata_fault(item.metadata)
    faults = (*map(_message_fault, (*item.history, item.message)), *map(_artifact_fault, item.artifacts))
    return next(filter(None, faults), "") or _metadata_fault(item.metadata)


def _message_fault(message: Message | None) -> str:
    if message is None:
        return ""
    if len(message.message_id) > LONGEST_ID:
        return "a message's id that is too long"
    return _first(find_content_faults(message.parts, message.metadata))


def _artifact_fault(artifact: Artifact) -> str:
    if not 0 < len(artifact.artifact_id) <= LONGEST_ID:
        return "an artifact's id that is empty or too long"
    return _first(find_content_faults(artifact.parts, artifact.metadata))


def _metadata_fault(metadata: dict[str, object] | None) -> str:
    return _first(find_content_faults((), metadata))


def _first(faults: dict[str, str]) -> str:
    return next((f"{field}: {fault}" for field, fault in faults.items()), "")
