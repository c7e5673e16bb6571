"""Verbs for those who do the work: agents at their inbox, and agents inside the process."""

from memroos import audit, bus
from memroos.broker import queries, rules
from memroos.broker.errors import BrokenChunk, TaskClosed, TaskNotLeased
from memroos.broker.service import delivery, log
from memroos_contracts.broker import (
    ArtifactReport,
    ClaimView,
    HeartbeatReport,
    Message,
    MessageRole,
    Part,
    Report,
    TaskState,
    TaskView,
    WorkReport,
)
from memroos_contracts.bus import InboxState
from memroos_contracts.errors import Denied, InvalidRequest, NotFound
from memroos_contracts.governance import Action
from memroos_contracts.identity import AgentId, DeliveryId, InboxMessageId, TaskId
from memroos_kit.db import Tx


def claim_task(tx: Tx, *, lease_s: int) -> ClaimView | None:
    """Give the calling agent its next task under a lease, or None when nothing waits.

    The agent must report before the lease ends; after that the task is offered again, so it may run more than once.

    Raises:
        InvalidRequest: the caller is no agent, or the lease is out of range.
        Denied: policy does not let it work.
    """
    agent_id = _calling_agent(tx)
    while True:
        leased = bus.receive(tx, agent_id, max_messages=1, lease_s=lease_s, tasks=True)
        if not leased:
            return None
        item = leased[0]
        assert item.message.task_id is not None
        if item.body is None:
            raise Denied("You may not see what it says, so you cannot work on it.", action=Action.INBOX_RECEIVE.value)
        task = queries.get_task(tx, item.message.task_id)
        if rules.is_open(task.state):
            break
        bus.ack(tx, item.message.id, item.fencing_token, task_settled=True)  # it ended while it waited

    tx.authorize(Action.TASK_WORK, queries.asset(task), purpose=task.purpose)
    if task.state is not TaskState.WORKING:
        task = log.advance(tx, task, [log.moved(TaskState.WORKING)])
        log.announce(tx, "task.working", task)
    audit.record(tx, "task.claimed", queries.asset(task), lease=item.message.id, attempt=item.message.attempts)
    return ClaimView(
        task=task,
        message=delivery.message_at(tx, task.id, item.body["generation"]),
        history=rules.fold_history(queries.list_events(tx, task.id)),
        lease_id=item.message.id,
        fencing_token=item.fencing_token,
        lease_until=item.lease_until,
        attempt=item.message.attempts,
    )


def extend_lease(tx: Tx, task_id: TaskId, report: HeartbeatReport) -> TaskView:
    """Say that the work goes on; the lease ends later.

    Raises:
        NotFound: no such task of this agent.
        TaskClosed: it has ended, perhaps canceled: stop working.
        TaskNotLeased: the lease is over.
    """
    task, lease = _held(tx, task_id, report.fencing_token)
    bus.extend(tx, lease, report.fencing_token, lease_s=report.lease_s)
    audit.record(tx, "task.lease_extended", queries.asset(task), lease_s=report.lease_s)
    return task


def report_progress(tx: Tx, task_id: TaskId, report: WorkReport) -> TaskView:
    """Tell the caller how it goes. Raises as `extend_lease`."""
    task, _ = _held(tx, task_id, report.fencing_token)
    return _move(tx, task, TaskState.WORKING, report)


def add_artifact(tx: Tx, task_id: TaskId, report: ArtifactReport) -> TaskView:
    """Hand over a piece of the result.

    Raises:
        BrokenChunk: a piece is to be added to an artifact that does not exist.
        InvalidRequest: it is empty, or could not leave through every door.
    """
    task, _ = _held(tx, task_id, report.fencing_token)
    artifact = report.artifact
    _demand_faultless(rules.find_artifact_faults(artifact))
    if report.append and not queries.has_artifact(tx, task.id, artifact.artifact_id):
        raise BrokenChunk(f"Task {task.id} has no artifact {artifact.artifact_id}.", artifact=artifact.artifact_id)
    task = log.advance(tx, task, [log.produced(artifact, append=report.append, last_chunk=report.last_chunk)])
    audit.record(
        tx,
        "task.artifact_added",
        queries.asset(task),
        artifact=artifact.artifact_id,
        artifact_sha256=rules.digest_artifact(artifact),
    )
    log.announce(tx, "task.artifact_added", task)
    return task


def complete_task(tx: Tx, task_id: TaskId, report: WorkReport) -> TaskView:
    """The work is done. Repeating it under the same lease changes nothing. Raises as `extend_lease`."""
    return _settle(tx, task_id, TaskState.COMPLETED, report)


def fail_task(tx: Tx, task_id: TaskId, report: WorkReport) -> TaskView:
    """The work cannot be done; say why in `parts`. Raises as `extend_lease`."""
    return _settle(tx, task_id, TaskState.FAILED, report)


def ask_caller(tx: Tx, task_id: TaskId, report: WorkReport) -> TaskView:
    """Ask the caller for something; the answer comes as a new claim. Raises as `extend_lease`."""
    if not report.parts:
        raise InvalidRequest("A question needs at least one part.", fields={"parts": "empty"})
    return _settle(tx, task_id, TaskState.INPUT_REQUIRED, report)


def fail_dead_letter(tx: Tx, task_id: TaskId, reason: str) -> None:
    """Fail a task whose inbox message died. Safe to repeat."""
    task = queries.find_task(tx, task_id)
    if task is None or not rules.is_open(task.state):
        return
    words = log.kernel_says(tx, task.id, task.context_id, f"{task.agent} did not finish it: {reason}")
    task = log.advance(tx, task, [log.moved(TaskState.FAILED, words)])
    delivery.withdraw(tx, task)
    audit.record(tx, "task.failed", queries.asset(task), reason=reason)
    log.announce(tx, "task.failed", task)


def count_restart(tx: Tx) -> None:
    """Count, for every local delivery that waits, that the kernel has been started again; called once at the start."""
    delivery.count_restart(tx)


def drop_local(tx: Tx, delivery_id: DeliveryId) -> None:
    """A local delivery is no longer needed: its task has ended."""
    delivery.finish(tx, delivery_id)


def report_local(tx: Tx, delivery_id: DeliveryId, task_id: TaskId, reports: list[Report]) -> TaskView:
    """Write down what a local agent said, all of it or nothing.

    Reports that come after the task ended are dropped: the end counts.

    Raises:
        InvalidRequest: something in it could not leave through every door.
    """
    task = queries.get_task(tx, task_id)
    tx.authorize(Action.TASK_WORK, queries.asset(task), purpose=task.purpose)
    if not rules.is_open(task.state):
        delivery.finish(tx, delivery_id)
        audit.record(tx, "task.report_dropped", queries.asset(task), state=task.state)
        return task
    task = log.advance(tx, task, [_entry(tx, task, report) for report in reports])
    if rules.waits_for_caller(task.state):
        delivery.finish(tx, delivery_id)
    event = "task.artifact_added" if reports[-1].artifact is not None else f"task.{task.state}"
    audit.record(tx, event, queries.asset(task), reports=len(reports))
    log.announce(tx, event, task)
    return task


def _entry(tx: Tx, task: TaskView, report: Report) -> log.Entry:
    if report.artifact is not None:
        _demand_faultless(rules.find_artifact_faults(report.artifact))
        return log.produced(report.artifact, append=report.append, last_chunk=report.last_chunk)
    if report.state is None:
        raise InvalidRequest("A report is about a state or an artifact.")
    _demand_faultless(rules.find_content_faults(report.parts, None))
    return log.moved(report.state, _words(tx, task, report.parts, None))


def _settle(tx: Tx, task_id: TaskId, state: TaskState, report: WorkReport) -> TaskView:
    """Bring a held task to a state in which the agent is free, and settle its inbox message."""
    task = _own(tx, task_id)
    settled = bus.find_lease(tx, task.id, report.fencing_token, state=InboxState.ACKED)
    if settled is not None and task.state is state:
        return task  # the same report again
    task, held = _held(tx, task_id, report.fencing_token)
    task = _move(tx, task, state, report)
    bus.ack(tx, held, report.fencing_token, task_settled=True)
    if not rules.is_open(state):
        delivery.withdraw(tx, task)
    return task


def _move(tx: Tx, task: TaskView, state: TaskState, report: WorkReport) -> TaskView:
    _demand_faultless(rules.find_content_faults(report.parts, report.metadata))
    task = log.advance(tx, task, [log.moved(state, _words(tx, task, report.parts, report.metadata))])
    audit.record(tx, f"task.{state}", queries.asset(task))
    log.announce(tx, f"task.{state}", task)
    return task


def _held(tx: Tx, task_id: TaskId, fencing_token: int) -> tuple[TaskView, InboxMessageId]:
    """Return a task that the calling agent holds under this token, and the inbox message it came with."""
    task = _own(tx, task_id)
    tx.authorize(Action.TASK_WORK, queries.asset(task), purpose=task.purpose)
    if not rules.is_open(task.state):
        raise TaskClosed(f"Task {task.id} is {task.state}; stop working on it.", task=task.id, state=task.state)
    lease = bus.find_lease(tx, task.id, fencing_token)
    if lease is None:
        raise TaskNotLeased(f"You do not hold task {task.id} now; claim again.", task=task.id)
    return task, lease


def _own(tx: Tx, task_id: TaskId) -> TaskView:
    agent_id = _calling_agent(tx)
    task = queries.get_task(tx, task_id)
    if task.agent_id != agent_id:
        raise NotFound(f"There is no task {task_id}.", kind_of_object="task", id=task_id)
    return task


def _calling_agent(tx: Tx) -> AgentId:
    if tx.actor.agent is None:
        raise InvalidRequest("Only an agent, with its own key, works on tasks.")
    return tx.actor.agent


def _words(tx: Tx, task: TaskView, parts: list[Part], metadata: dict[str, object] | None) -> Message | None:
    if not parts:
        return None
    return Message(
        message_id=tx.new_id("msg"),
        role=MessageRole.AGENT,
        parts=parts,
        task_id=task.id,
        context_id=task.context_id,
        metadata=metadata,
    )


def _demand_faultless(faults: dict[str, str]) -> None:
    if faults:
        raise InvalidRequest("This cannot be taken as it is.", fields=faults)
