"""Pure decisions about tasks."""

import binascii
import hashlib
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from memroos_contracts.broker import (
    FINAL,
    INTERRUPTED,
    Artifact,
    EventKind,
    Message,
    Part,
    TaskEvent,
    TaskState,
)

LONGEST_ID = 200
DEEPEST = 32
"""How deep JSON in a part or in metadata may be nested; protocol buffers give up at about 50."""

LARGEST = sys.float_info.max
"""Largest number in JSON content: A2A carries numbers as doubles."""

_MOVES: dict[TaskState, frozenset[TaskState]] = {
    TaskState.SUBMITTED: frozenset(TaskState) - {TaskState.SUBMITTED},
    TaskState.WORKING: frozenset(TaskState) - {TaskState.SUBMITTED},
    TaskState.INPUT_REQUIRED: frozenset(TaskState) - {TaskState.INPUT_REQUIRED},
    TaskState.AUTH_REQUIRED: frozenset(TaskState) - {TaskState.AUTH_REQUIRED},
} | dict.fromkeys(FINAL, frozenset())


def can_move(here: TaskState, there: TaskState) -> bool:
    """Whether a task may go from one state to another. Nothing leaves a final state (A2A 1.0, 4.1.3)."""
    return there in _MOVES[here]


def is_open(state: TaskState) -> bool:
    """Whether the task still takes messages and reports."""
    return state not in FINAL


def is_final(state: TaskState) -> bool:
    """Whether the task has ended."""
    return state in FINAL


def is_in_flight(state: TaskState) -> bool:
    """Whether the task's agent has something to do."""
    return state not in FINAL and state not in INTERRUPTED


def waits_for_caller(state: TaskState) -> bool:
    """Whether a blocking send returns now: the task has ended or needs somebody."""
    return state in FINAL or state in INTERRUPTED


class Candidate(msgspec.Struct, frozen=True):
    """An agent that offers what a message asks for, with the facts that routing weighs."""

    agent_id: str
    name: str
    permitted: bool
    live: bool
    in_flight: int


def choose(candidates: Sequence[Candidate]) -> Candidate | None:
    """Pick who gets a message: policy first, then liveness, then the fewest tasks in flight, then the name.

    A silent agent is better than none: its inbox keeps the work until it is back.
    """
    permitted = [c for c in candidates if c.permitted]
    return min(permitted, key=lambda c: (not c.live, c.in_flight, c.name), default=None)


def route_reason(chosen: Candidate, candidates: Sequence[Candidate], skill: str, tags: Sequence[str]) -> str:
    """Return one line that says why this agent got the message."""
    asked = " and ".join([f"skill {skill}"] * bool(skill) + [f"tag {tag}" for tag in tags])
    live = "live" if chosen.live else "silent"
    return (
        f"{asked}: {chosen.name} of {len(candidates)} candidate{'s' * (len(candidates) != 1)} "
        f"({live}, {chosen.in_flight} in flight)"
    )


def objections(candidates: Sequence[Candidate]) -> dict[str, str]:
    """Return why each candidate was not chosen, for the caller's error."""
    return {c.name: "policy denies it" for c in candidates if not c.permitted}


def came_through(via: Iterable[str], broker_id: str) -> bool:
    """Whether a message has been at a broker before: its name stands in one of the hops (RFC 9110, 7.6.3)."""
    return any(broker_id in hop.split()[:2] for hop in via) if broker_id else False


def find_message_faults(message: Message) -> dict[str, str]:
    """Return what is wrong with a caller's message, by field; empty where nothing is."""
    ids = {"message_id": message.message_id, "context_id": message.context_id, "task_id": message.task_id}
    faults = {name: f"at most {LONGEST_ID} characters" for name, text in ids.items() if len(text) > LONGEST_ID}
    if not message.parts:
        faults["parts"] = "at least one is needed"
    return faults | find_content_faults(message.parts, message.metadata)


def find_artifact_faults(artifact: Artifact) -> dict[str, str]:
    """Return what is wrong with an artifact, by field; empty where nothing is."""
    faults = {}
    if not 0 < len(artifact.artifact_id) <= LONGEST_ID:
        faults["artifact.artifact_id"] = f"1 to {LONGEST_ID} characters"
    if not artifact.parts:
        faults["artifact.parts"] = "at least one is needed"
    found = find_content_faults(artifact.parts, artifact.metadata)
    return faults | {f"artifact.{field}": fault for field, fault in found.items()}


def find_content_faults(parts: Iterable[Part], metadata: Mapping[str, Any] | None) -> dict[str, str]:
    """Return what keeps content from leaving through every door, by field; empty where nothing does."""
    faults = {f"parts[{place}]": fault for place, part in enumerate(parts) if (fault := _part_fault(part))}
    if metadata is not None and (fault := _json_fault(metadata)):
        faults["metadata"] = fault
    return faults


def _part_fault(part: Part) -> str:
    contents = (part.text, part.raw, part.url, None if part.data is msgspec.UNSET else part)
    if sum(content is not None for content in contents) != 1:
        return "exactly one of text, raw, url and data"
    if part.raw is not None and not _is_base64(part.raw):
        return "raw: not base 64"
    fault = "" if part.data is msgspec.UNSET else _json_fault(part.data)
    return fault or ("" if part.metadata is None else _json_fault(part.metadata))


def _is_base64(text: str) -> bool:
    try:
        binascii.a2b_base64(text, strict_mode=True)
    except ValueError:
        return False
    return True


def _json_fault(value: Any, depth: int = 0) -> str:
    """Return why a JSON value does not fit into A2A, an empty string where it does."""
    if isinstance(value, int | float) and not -LARGEST <= value <= LARGEST:
        return "a number is too large"
    inner = value.values() if isinstance(value, Mapping) else value if isinstance(value, list) else ()
    if inner and depth >= DEEPEST:
        return f"nested deeper than {DEEPEST}"
    return next((fault for item in inner if (fault := _json_fault(item, depth + 1))), "")


def digest_message(message: Message, *addressed_to: str) -> bytes:
    """Return the SHA-256 of what the caller wrote, and to whom; the ids that the kernel fills in do not count."""
    written = msgspec.structs.replace(message, context_id="", task_id="")
    return hashlib.sha256(msgspec.json.encode((written, addressed_to), order="sorted")).digest()


def digest_artifact(artifact: Artifact) -> str:
    """Return the SHA-256 of an artifact, hex."""
    return hashlib.sha256(msgspec.json.encode(artifact, order="sorted")).hexdigest()


def text_of(parts: Iterable[Part]) -> str:
    """Return what a person could read of some parts: texts, and data as JSON."""
    texts = []
    for part in parts:
        if part.text is not None:
            texts.append(part.text)
        elif part.data is not msgspec.UNSET:
            texts.append(msgspec.json.encode(part.data).decode())
        elif part.url:
            texts.append(part.url)
    return "\n".join(texts)


def fold_history(events: Iterable[TaskEvent]) -> list[Message]:
    """Return the conversation: every message in order, and each status message once a newer status replaced it."""
    history: list[Message] = []
    current: Message | None = None
    for event in events:
        if event.kind is EventKind.MESSAGE and event.message is not None:
            if current is not None:
                history.append(current)
                current = None
            history.append(event.message)
        elif event.kind is EventKind.STATUS:
            if current is not None:
                history.append(current)
            current = event.message
    return history


def fold_artifacts(events: Iterable[TaskEvent]) -> list[Artifact]:
    """Return the artifacts as they stand: a chunk with `append` extends, one without replaces (A2A 1.0, 4.2.2)."""
    artifacts: dict[str, Artifact] = {}
    for event in events:
        if event.artifact is None:
            continue
        earlier = artifacts.get(event.artifact.artifact_id) if event.append else None
        if earlier is None:
            artifacts[event.artifact.artifact_id] = event.artifact
        else:
            artifacts[event.artifact.artifact_id] = msgspec.structs.replace(
                earlier,
                parts=[*earlier.parts, *event.artifact.parts],
                metadata={**(earlier.metadata or {}), **(event.artifact.metadata or {})} or None,
            )
    return list(artifacts.values())


def newest(history: list[Message], length: int | None) -> list[Message] | None:
    """Return at most the newest `length` messages; None (unset) means all, 0 means the field is left out."""
    if length is None:
        return history
    return history[-length:] if length > 0 else None
