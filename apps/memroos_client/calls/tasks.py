"""Tasks: sending and following them, and working on them."""

from datetime import datetime

import msgspec

from memroos_client.call import Call, Stream, new_key, path, query
from memroos_client.sse import ServerSentEvent
from memroos_contracts.broker import (
    FINAL,
    Artifact,
    ArtifactReport,
    CancelRequest,
    ClaimRequest,
    ClaimView,
    HeartbeatReport,
    Part,
    SendRequest,
    TaskDetail,
    TaskEvent,
    TaskState,
    TaskView,
    WorkReport,
)
from memroos_contracts.pages import Page

# -- sending and following -------------------------------------------------------------------------------------------


def send(request: SendRequest, *, wait_s: int = 0, idempotency_key: str | None = None) -> Call[TaskView]:
    """Send a message to an agent.

    Args:
        wait_s: answer once the task has ended or needs somebody, or after this time, in seconds; the task goes on.
    """
    return Call(
        method="POST",
        path=path("tasks"),
        query=query(wait_s=wait_s or None),
        body=request,
        idempotency_key=idempotency_key or new_key(),
        wait_s=wait_s,
        returns=TaskView,
    )


def listing(  # noqa: PLR0913 - the filters of a listing
    *,
    agent: str | None = None,
    owner: str | None = None,
    context_id: str | None = None,
    state: TaskState | None = None,
    changed_since: datetime | None = None,
    limit: int | None = None,
    cursor: str | None = None,
) -> Call[Page[TaskView]]:
    """List tasks without their content, the last changed first.

    Args:
        agent: the id of the agent that does them.
        owner: the principal that sent them.
    """
    wanted = query(
        agent=agent,
        owner=owner,
        context_id=context_id,
        task_state=state,
        changed_since=changed_since,
        limit=limit,
        cursor=cursor,
    )
    return Call(method="GET", path=path("tasks"), query=wanted, returns=Page[TaskView])


def get(task: str) -> Call[TaskView]:
    """Say where a task stands."""
    return Call(method="GET", path=path("tasks", task), returns=TaskView)


def content(task: str, *, history_length: int | None = None) -> Call[TaskDetail]:
    """Get a task's messages and artifacts; the ledger keeps who read them."""
    return Call(
        method="GET",
        path=path("tasks", task, "content"),
        query=query(history_length=history_length),
        returns=TaskDetail,
    )


def follow(task: str, *, after: int = 0) -> Stream[TaskEvent]:
    """Follow a task's log until the task ends, from the beginning or after a generation."""
    return Stream(
        path=path("tasks", task, "events"), last_event_id=str(after) if after else "", read=_read_event, ends=_is_last
    )


def _read_event(event: ServerSentEvent) -> TaskEvent:
    return msgspec.json.decode(event.data, type=TaskEvent)


def _is_last(event: TaskEvent) -> bool:
    return event.state in FINAL


def cancel(task: str, *, reason: str = "") -> Call[TaskView]:
    """Stop a task."""
    return Call(method="POST", path=path("tasks", task, "cancel"), body=CancelRequest(reason), returns=TaskView)


# -- working -----------------------------------------------------------------------------------------------------------


def claim(*, wait_s: int = 0, lease_s: int = 60) -> Call[ClaimView | None]:
    """Ask for the next task of the calling agent; None when none came in time."""
    return Call(
        method="POST",
        path=path("tasks", "claim"),
        body=ClaimRequest(wait_s=wait_s, lease_s=lease_s),
        wait_s=wait_s,
        returns=ClaimView | None,
    )


def heartbeat(claimed: ClaimView, *, lease_s: int = 60) -> Call[TaskView]:
    """Say that the work goes on; the lease is extended."""
    return _report(claimed, "heartbeat", HeartbeatReport(fencing_token=claimed.fencing_token, lease_s=lease_s))


def progress(claimed: ClaimView, *parts: Part) -> Call[TaskView]:
    """Say how it goes."""
    return _report(claimed, "progress", _work(claimed, parts))


def artifact(claimed: ClaimView, piece: Artifact, *, append: bool = False, last_chunk: bool = True) -> Call[TaskView]:
    """Hand in a piece of the result."""
    report = ArtifactReport(fencing_token=claimed.fencing_token, artifact=piece, append=append, last_chunk=last_chunk)
    return _report(claimed, "artifact", report)


def complete(claimed: ClaimView, *parts: Part) -> Call[TaskView]:
    """End the task well."""
    return _report(claimed, "complete", _work(claimed, parts))


def fail(claimed: ClaimView, *parts: Part) -> Call[TaskView]:
    """End the task without success; the parts say why."""
    return _report(claimed, "fail", _work(claimed, parts))


def ask(claimed: ClaimView, *parts: Part) -> Call[TaskView]:
    """Ask the sender for something; the answer comes as a claim of its own."""
    return _report(claimed, "ask", _work(claimed, parts))


def _work(claimed: ClaimView, parts: tuple[Part, ...]) -> WorkReport:
    return WorkReport(fencing_token=claimed.fencing_token, parts=list(parts))


def _report(claimed: ClaimView, verb: str, report: WorkReport | HeartbeatReport | ArtifactReport) -> Call[TaskView]:
    return Call(method="POST", path=path("tasks", claimed.task.id, verb), body=report, returns=TaskView)
