"""What is sent, when, and what an answer means; pure decisions."""

import re
from collections.abc import Sequence
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime

import msgspec

from memroos_contracts.broker import FINAL, INTERRUPTED, EventKind, TaskEvent, TaskView
from memroos_contracts.push import NewPushConfig, PushState

V0_3 = "0.3"
V1_0 = "1.0"

LONGEST_BACKOFF_S = 3_600.0
LONGEST_RETRY_AFTER_S = 86_400.0
"""What a receiver may ask for; beyond it nobody would notice any more that it is still alive."""
GONE = 410

_SCHEME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+", re.ASCII)  # RFC 9110, 5.6.2
_FIELD = re.compile(r"[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?", re.ASCII)  # what a header can carry
_FIT = "it has to fit into a header: printable ASCII, no spaces at the ends"
_CONFIG_ID = re.compile(r"[\x21-\x7e]+", re.ASCII)


class Notice(msgspec.Struct, frozen=True):
    """Something that has to be sent: one event, or the task as it was."""

    generation: int
    """Up to where the other side knows everything once it has taken this."""
    task: TaskView
    """As it was at that generation, where the whole task is sent."""
    event: TaskEvent | None = None
    """None for the whole task, or for the message that a task without states amounts to."""


class Answer(msgspec.Struct, frozen=True):
    """What came of a try."""

    status: int | None = None
    """The HTTP status, None where no answer came."""
    error: str = ""
    """Why it does not count; empty where it does."""
    retry_after_s: float | None = None
    """When the other side wants to be asked again."""


class Verdict(msgspec.Struct, frozen=True):
    """What follows from an answer."""

    taken: bool
    state: PushState
    failures: int
    wait_s: float = 0.0
    """How long to wait before the next try."""


def find_faults(new: NewPushConfig) -> dict[str, str]:
    """Return what is wrong with a configuration, by field; where it leads is for the outbound guard to say."""
    faults = {}
    if new.id and not _CONFIG_ID.fullmatch(new.id):
        faults["id"] = "printable ASCII without spaces"
    if new.token and not _FIELD.fullmatch(new.token):
        faults["token"] = _FIT
    if new.scheme and not _SCHEME.fullmatch(new.scheme):
        faults["scheme"] = "one word, such as Bearer"
    if new.credentials and not _FIELD.fullmatch(new.credentials):
        faults["credentials"] = _FIT
    if new.credentials and not new.scheme:
        faults["scheme"] = "credentials need one, such as Bearer"
    return faults


def find_notices(delivered: int, task: TaskView, log: Sequence[TaskEvent], *, whole: bool) -> list[Notice]:
    """Return what has to be sent of a task, in order.

    Args:
        delivered: what the other side has; 0 where it has not heard of the task yet.
        task: as it stands.
        log: its events, all of them where `needs_whole_log`, else those after `delivered`.
        whole: whether each notification is the whole task instead of one event.
    """
    log = [event for event in log if event.generation <= task.generation]
    if task.message_only:  # the doors show one message and no task (A2A 1.0, 3.1.1)
        return [Notice(task.generation, task)] if delivered < task.generation else []
    notices = []
    if delivered == 0:
        first = _first_generation(task)
        if first is None:
            return []
        notices.append(Notice(first, as_of(task, log, first)))
        delivered = first
    said: list[TaskEvent] = []
    for event in log:
        if _tells_state(event):
            said = [event]  # the last one so far is all that `as_of` looks at
        if event.generation <= delivered or event.kind is EventKind.MESSAGE:
            continue
        at = event.generation
        notices.append(Notice(at, as_of(task, said, at)) if whole else Notice(at, task, event))
    return notices


def needs_whole_log(delivered: int, *, whole: bool) -> bool:
    """Whether what has to be sent cannot be told from the new events alone."""
    return whole or delivered == 0


def as_of(task: TaskView, log: Sequence[TaskEvent], generation: int) -> TaskView:
    """Return a task as it was at a generation; the log reaches back to its beginning."""
    if generation == task.generation:
        return task
    said = [event for event in log if _tells_state(event) and event.generation <= generation]
    if not said:
        return msgspec.structs.replace(task, generation=generation)
    last = said[-1]
    assert last.state is not None
    return msgspec.structs.replace(
        task, generation=generation, state=last.state, status_at=last.at, status_message=last.message
    )


def judge(answer: Answer, failures: int, *, attempts: int, backoff_s: float, dice: float) -> Verdict:
    """Say what follows from an answer.

    Args:
        failures: in a row, before this one.
        attempts: after how many in a row it is given up.
        backoff_s: pause after the first; it doubles each time.
        dice: a number from 0 to 1, for the jitter.
    """
    if not answer.error:
        return Verdict(taken=True, state=PushState.ACTIVE, failures=0)
    failures += 1
    if answer.status == GONE or failures >= attempts:
        return Verdict(taken=False, state=PushState.STOPPED, failures=failures)
    wait_s = min(backoff_s * 2.0 ** min(failures - 1, 32), LONGEST_BACKOFF_S) * (0.75 + dice / 2)
    asked_s = min(answer.retry_after_s or 0.0, LONGEST_RETRY_AFTER_S)
    return Verdict(taken=False, state=PushState.ACTIVE, failures=failures, wait_s=max(wait_s, asked_s))


def read_answer(status: int, retry_after: str, now: datetime) -> Answer:
    """Return what an HTTP status means: 2xx is taken, all else is not, a redirect neither."""
    if 200 <= status < 300:
        return Answer(status)
    error = "the receiver answered with a redirect, which is not followed" if 300 <= status < 400 else ""
    error = error or ("the receiver says that it is gone" if status == GONE else f"the receiver answered {status}")
    return Answer(status, error, read_retry_after(retry_after, now))


def read_retry_after(text: str, now: datetime) -> float | None:
    """Return seconds from a `Retry-After` (RFC 9110, 10.2.3), None where it says nothing."""
    text = text.strip()
    if text.isascii() and text.isdecimal():
        return min(float(text[:12]), LONGEST_RETRY_AFTER_S)
    try:
        then = parsedate_to_datetime(text)
        wait = then - now if then.tzinfo else timedelta()
    except (ValueError, TypeError, OverflowError):
        return None
    return min(max(wait.total_seconds(), 0.0), LONGEST_RETRY_AFTER_S)


def notification_id(push_id: str, generation: int) -> str:
    """Return the id under which an event is sent, the same for each try and each replay."""
    return f"{push_id}_{generation}"


def signed_content(notification: str, timestamp: int, body: bytes) -> bytes:
    """Return what is signed (Standard Webhooks, "Signature scheme")."""
    return f"{notification}.{timestamp}.".encode() + body


def _tells_state(event: TaskEvent) -> bool:
    return event.kind is EventKind.STATUS and event.state is not None


def _first_generation(task: TaskView) -> int | None:
    """Return as of when a task is first shown, None while its agent has not taken it yet."""
    if task.accepted_generation:
        return min(task.accepted_generation, task.generation)
    if task.state in FINAL or task.state in INTERRUPTED:
        return task.generation
    return None
