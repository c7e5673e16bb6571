"""Verbs for those who send tasks, and for the operator who answers for them."""

from datetime import timedelta

import msgspec
from sqlalchemy import insert

from memroos import audit, governance, registry
from memroos.broker import queries, rules
from memroos.broker.errors import (
    AgentNotAvailable,
    ContextMismatch,
    NoRoute,
    RoutingLoop,
    TaskClosed,
    TaskGenerationMismatch,
    TaskNotCancelable,
    TooManyHops,
    TooManyOpenTasks,
)
from memroos.broker.models import SentMessage
from memroos.broker.service import delivery, log
from memroos_contracts.broker import Message, TaskDetail, TaskState, TaskView
from memroos_contracts.errors import InvalidRequest, NotFound
from memroos_contracts.governance import (
    INTERNAL,
    Action,
    ApprovalState,
    ApprovalView,
    Asset,
    Decision,
    Label,
)
from memroos_contracts.identity import AgentId, ContextId, TaskId
from memroos_contracts.registry import AgentKind, AgentState, AgentView, Breaker, Liveness
from memroos_kit import tracing
from memroos_kit.clock import to_micros
from memroos_kit.db import Hot, Tx

DEFAULT_DEADLINE = timedelta(days=7)
"""A task that nobody has finished by then fails; nothing stays open for ever."""

RETRY_S = 5
"""When it makes sense to try again after too many open tasks, in seconds."""

_DELIVERABLE = (AgentKind.REST, AgentKind.LOCAL, AgentKind.A2A)

_INSERT_SENT = Hot(insert(SentMessage))


class Limits(msgspec.Struct, frozen=True):
    """What a kernel takes at most."""

    broker_id: str = ""
    """Our own name in `via`; a message that carries it has been here."""
    hops_max: int = 2**31
    open_tasks_per_caller: int = 2**31
    open_tasks_per_agent: int = 2**31


class Send(msgspec.Struct, frozen=True):
    """A message to be sent, as every door understands it."""

    message: Message
    agent: str = ""
    """An agent's id or name; empty to route by skill and tags."""
    skill: str = ""
    tags: tuple[str, ...] = ()
    purpose: str = ""
    label: Label = INTERNAL
    via: tuple[str, ...] = ()
    """The brokers it came through, oldest first, each as the `Via` field has it (RFC 9110, 7.6.3)."""
    traceparent: str = ""
    if_generation: int | None = None
    """Only if the task that it goes on with has this generation."""
    extensions: tuple[str, ...] = ()
    """Extensions of the protocol that take effect with it."""
    limits: Limits = Limits()


def send_message(tx: Tx, send: Send, *, task_id: TaskId | None = None) -> TaskView:
    """Start a task with a message, or go on with one.

    Sending the same message again (same principal, context or task, message id and body) answers with the same task
    and does nothing else; the same id with another body is a new message.

    Args:
        task_id: the id that a new task gets, for a door that listens to it beforehand.

    Raises:
        Denied: policy does not let this actor use the agent.
        NoRoute: no agent that may be used offers the skill.
        AgentNotAvailable: the agent takes no work.
        NotFound: the agent or the task is unknown.
        ContextMismatch: task and context do not belong together.
        TaskClosed: the task has ended.
        TaskGenerationMismatch: the task has changed since the caller looked at it.
        InvalidRequest: the message is not complete, or could not leave through every door.
        RoutingLoop: it has been at this broker before.
        TooManyHops: it has come through too many brokers.
        TooManyOpenTasks: the caller or the agent has as many open tasks as it may.
    """
    faults = rules.find_message_faults(send.message)
    if faults:
        raise InvalidRequest("The message cannot be taken as it is.", fields=faults)
    if send.via:
        _demand_short_way(send)
    if send.message.task_id:
        return _continue(tx, send)
    if send.if_generation is not None:
        raise InvalidRequest("A generation belongs to a task.", fields={"task_id": "is needed with a generation"})

    message = send.message
    digest = rules.digest_message(message, send.agent, send.skill, *send.tags)
    known = queries.find_sent(tx, message.message_id, message.context_id, digest)
    if known is not None:
        return read_task(tx, known)  # its content leaves once more, and that is on record

    with tracing.span("route", parent=send.traceparent):
        agent, reason = _route(tx, send)
    _demand_room(tx, agent, send.limits)
    task_id = task_id or TaskId(tx.new_id("task"))
    context_id = ContextId(message.context_id or tx.new_id("ctx"))
    decision = tx.authorize(
        Action.TASK_SEND,
        _agent_asset(agent, send.label),
        purpose=send.purpose,
        arguments={
            "task": task_id,
            "agent": agent.name,
            "message_sha256": digest.hex(),
            "text": rules.text_of(message.parts),
        },
        holdable=True,
    )
    task = _create(tx, send, agent, reason, task_id, context_id, decision)
    _mark_sent(tx, message.message_id, message.context_id, digest, task.id)
    audit.record(
        tx,
        "task.held" if decision.held else "task.submitted",
        queries.asset(task),
        agent=agent.name,
        message_sha256=digest.hex(),
    )
    log.announce(tx, f"task.{task.state}", task, route=reason)
    return task


def _demand_short_way(send: Send) -> None:
    if rules.came_through(send.via, send.limits.broker_id):
        raise RoutingLoop("This message came through this broker before.", via=list(send.via))
    if len(send.via) > send.limits.hops_max:
        raise TooManyHops(
            f"This message came through {len(send.via)} brokers; {send.limits.hops_max} are the most.",
            via=list(send.via),
            limit=send.limits.hops_max,
        )


def _demand_room(tx: Tx, agent: AgentView, limits: Limits) -> None:
    if queries.count_open(tx, tx.actor.principal) >= limits.open_tasks_per_caller:
        raise TooManyOpenTasks(
            f"You have {limits.open_tasks_per_caller} open tasks; more are taken when some have ended.",
            retry_after_s=RETRY_S,
            limit=limits.open_tasks_per_caller,
            scope="caller",
        )
    if queries.load_of(tx, agent.id).open >= limits.open_tasks_per_agent:
        raise TooManyOpenTasks(
            f"{agent.name} has {limits.open_tasks_per_agent} open tasks; more are taken when some have ended.",
            retry_after_s=RETRY_S,
            limit=limits.open_tasks_per_agent,
            scope="agent",
        )


def _create(  # noqa: PLR0913, PLR0917 - what send_message has found out
    tx: Tx, send: Send, agent: AgentView, reason: str, task_id: TaskId, context_id: ContextId, decision: Decision
) -> TaskView:
    message = msgspec.structs.replace(send.message, task_id=task_id, context_id=context_id)
    state, why = TaskState.SUBMITTED, None
    if decision.held:
        assert decision.approval_id is not None
        state = TaskState.AUTH_REQUIRED
        why = log.kernel_says(
            tx, task_id, context_id, "This waits for an operator's answer.", approval=decision.approval_id
        )
    task = TaskView(
        id=task_id,
        workspace_id=tx.actor.workspace,
        context_id=context_id,
        owner=tx.actor.principal,
        agent_id=agent.id,
        agent=agent.name,
        state=state,
        generation=0,
        skill=send.skill,
        purpose=send.purpose,
        route_reason=reason,
        label=send.label,
        approval_id=decision.approval_id,
        created_at=tx.now,
        status_at=tx.now,
        deadline_at=tx.now + DEFAULT_DEADLINE,
        status_message=why,
        accepted_generation=0 if agent.kind is AgentKind.A2A else 2,
        traceparent=send.traceparent,
        via=send.via,
    )
    task = log.create(tx, task, [log.said(message, extensions=send.extensions), log.moved(state, why)])
    delivery.deliver(tx, task, 1, agent.kind, held=decision.held)
    return task


def _continue(tx: Tx, send: Send) -> TaskView:
    """Add a message to an open task and bring it to the same agent."""
    message = send.message
    task = queries.get_task(tx, TaskId(message.task_id))
    if queries.sees_only_its_own(tx.actor) and task.owner != tx.actor.principal:
        raise NotFound(f"There is no task {task.id}.", kind_of_object="task", id=task.id)
    if message.context_id and message.context_id != task.context_id:
        raise ContextMismatch(
            f"Task {task.id} belongs to context {task.context_id}, not {message.context_id}.", task=task.id
        )
    if send.agent and send.agent not in {task.agent_id, task.agent}:
        raise NotFound(f"There is no task {task.id}.", kind_of_object="task", id=task.id)
    digest = rules.digest_message(message)
    if queries.find_sent(tx, message.message_id, task.id, digest) is not None:
        return read_task(tx, task.id)
    tx.authorize(Action.TASK_SEND, queries.asset(task), purpose=send.purpose or task.purpose)
    if not rules.is_open(task.state):
        raise TaskClosed(f"Task {task.id} is {task.state}.", task=task.id, state=task.state)
    _demand_generation(task, send.if_generation)
    agent = registry.get_agent(tx, task.agent_id)
    _demand_available(agent)

    held = task.approval_id is not None  # only an operator's answer ends a hold, never the caller's next message
    message = msgspec.structs.replace(message, context_id=task.context_id)
    entries = [log.said(message, extensions=send.extensions)]
    if not held and task.state in {TaskState.INPUT_REQUIRED, TaskState.AUTH_REQUIRED}:
        entries.append(log.moved(TaskState.SUBMITTED))
    generation = task.generation + 1
    task = log.advance(tx, task, entries)
    delivery.deliver(tx, task, generation, agent.kind, held=held)
    _mark_sent(tx, message.message_id, task.id, digest, task.id)
    audit.record(tx, "task.message_added", queries.asset(task), message_sha256=digest.hex())
    log.announce(tx, "task.message_added", task)
    return task


def _demand_generation(task: TaskView, expected: int | None) -> None:
    if expected is not None and expected != task.generation:
        raise TaskGenerationMismatch(
            f"Task {task.id} is at generation {task.generation}, not {expected}.",
            task=task.id,
            generation=task.generation,
            expected=expected,
        )


def _route(tx: Tx, send: Send) -> tuple[AgentView, str]:
    """Return the agent that gets the message, and why."""
    if send.agent:
        agent = registry.get_agent(tx, send.agent)
        _demand_available(agent)
        return agent, f"named by the caller: {agent.name}"
    if not send.skill and not send.tags:
        raise NoRoute("Name an agent, or a skill or tag that an active agent offers.", skill="")

    agents = {
        agent.id: agent
        for agent in registry.find_agents(tx, skill=send.skill or None, tags=send.tags)
        if agent.kind in _DELIVERABLE
    }
    candidates = [
        rules.Candidate(
            agent_id=agent.id,
            name=agent.name,
            permitted=tx.permits(Action.TASK_SEND, _agent_asset(agent, send.label), purpose=send.purpose),
            live=_is_live(tx, agent),
            in_flight=queries.load_of(tx, agent.id).in_flight,
        )
        for agent in agents.values()
    ]
    chosen = rules.choose(candidates)
    if chosen is None:
        raise NoRoute(
            "No active agent that you may use offers this.",
            skill=send.skill,
            considered=rules.objections(candidates),
        )
    return agents[AgentId(chosen.agent_id)], rules.route_reason(chosen, candidates, send.skill, send.tags)


def _is_live(tx: Tx, agent: AgentView) -> bool:
    """Whether work reaches the agent now; a remote one that is not tried any more counts as silent."""
    if agent.liveness is not Liveness.LIVE or agent.kind is not AgentKind.A2A:
        return agent.liveness is Liveness.LIVE
    return registry.get_remote(tx, agent.id).breaker is not Breaker.OPEN


def _demand_available(agent: AgentView) -> None:
    if agent.state is not AgentState.ACTIVE:
        raise AgentNotAvailable(f"Agent {agent.name} is {agent.state}.", agent=agent.name, state=agent.state)
    if agent.kind not in _DELIVERABLE:
        raise AgentNotAvailable(
            f"Agent {agent.name} is of kind {agent.kind}; this kernel delivers to kinds rest, local and a2a.",
            agent=agent.name,
            state=agent.state,
        )


def _agent_asset(agent: AgentView, label: Label) -> Asset:
    return Asset(kind="agent", id=agent.id, agent=agent.id, state=agent.state.value, label=label)


def _mark_sent(tx: Tx, message_id: str, scope: str, digest: bytes, task_id: TaskId) -> None:
    tx.execute(
        _INSERT_SENT,
        workspace_id=tx.actor.workspace,
        owner=tx.actor.principal,
        message_id=message_id,
        scope=scope,
        digest=digest,
        task_id=task_id,
        at=to_micros(tx.now),
    )


def read_detail(
    tx: Tx,
    task_id: TaskId,
    *,
    agent_id: AgentId | None = None,
    history_length: int | None = None,
    artifacts: bool = True,
) -> TaskDetail:
    """Return a task with its content; who read it is on record before it leaves.

    Raises:
        NotFound: no task has this id, or the actor may not see it.
        Denied: policy keeps the content from this actor.
    """
    task = read_task(tx, task_id, agent_id=agent_id)
    return queries.detail(tx, task, history_length=history_length, artifacts=artifacts)


def read_task(tx: Tx, task_id: TaskId, *, agent_id: AgentId | None = None) -> TaskView:
    """Let the actor read a task's content as it is and as it becomes (a stream), and put that on record.

    Raises:
        NotFound: no task has this id, or the actor may not see it.
        Denied: policy keeps the content from this actor.
    """
    task = queries.get_task(tx, task_id, agent_id=agent_id)
    decision = tx.authorize(Action.TASK_READ, queries.asset(task), purpose=task.purpose)
    audit.record(tx, "task.read", queries.asset(task), generation=task.generation, effect=decision.effect)
    return task


def read_details(
    tx: Tx,
    wanted: queries.TaskFilter,
    *,
    limit: int,
    cursor: str | None,
    history_length: int,
    artifacts: bool,
) -> queries.DetailPage:
    """Return tasks with their content; which ones were read is on record before they leave.

    A task whose content policy keeps from this actor is listed without it.

    Raises:
        InvalidCursor: the cursor is of another listing.
    """
    decision = tx.authorize(Action.TASK_LIST, Asset(kind="task", id="*", owner=wanted.owner))
    page = queries.load_page(tx, wanted, limit=limit, cursor=cursor)
    details, read = [], []
    for task in page.items:
        if tx.permits(Action.TASK_READ, queries.asset(task), purpose=task.purpose):
            details.append(queries.detail(tx, task, history_length=history_length, artifacts=artifacts))
            read.append(str(task.id))
        else:
            silent = msgspec.structs.replace(task, status_message=None)
            details.append(TaskDetail(task=silent, history=None, artifacts=None))
    audit.record(tx, "task.listed", decision.asset, read=read)
    return queries.DetailPage(details, page.next_cursor, queries.count_tasks(tx, wanted))


def cancel_task(
    tx: Tx,
    task_id: TaskId,
    *,
    reason: str = "",
    agent_id: AgentId | None = None,
    if_generation: int | None = None,
) -> TaskView:
    """End a task before its time; cancelling a cancelled one again changes nothing.

    A remote agent is told to stop, until it takes that or is done. Between its caller and such an agent the kernel
    says nothing of its own, unless there is a reason to hand on.

    Args:
        if_generation: only if the task has this generation.

    Raises:
        NotFound: no task has this id, or the actor may not see it.
        Denied: policy does not let this actor cancel it.
        TaskNotCancelable: it has ended otherwise.
        TaskGenerationMismatch: it has changed since the caller looked at it.
    """
    task = queries.get_task(tx, task_id, agent_id=agent_id)
    tx.authorize(Action.TASK_CANCEL, queries.asset(task), purpose=reason)
    if task.state is TaskState.CANCELED:
        audit.record(tx, "task.canceled", queries.asset(task), again=True)
        return task
    if not rules.is_open(task.state):
        raise TaskNotCancelable(f"Task {task.id} is {task.state}.", task=task.id, state=task.state)
    _demand_generation(task, if_generation)
    remote = registry.get_agent(tx, task.agent_id).kind is AgentKind.A2A
    return _end(tx, task, TaskState.CANCELED, reason or ("" if remote else "Canceled."))


def answer_hold(tx: Tx, approval: ApprovalView) -> None:
    """Let a held task run, or reject it; governance calls this in the transaction of the answer.

    Safe to repeat: a task that no longer waits for this approval stays as it is.

    Raises:
        AgentNotAvailable: it is released, but its agent takes no work now.
    """
    task = queries.find_task(tx, TaskId(str(approval.arguments["task"])))
    if task is None or task.approval_id != approval.id or not rules.is_open(task.state):
        return
    if approval.state is not ApprovalState.APPROVED:
        words = "An operator rejected this." if approval.state is ApprovalState.REJECTED else "Nobody answered in time."
        _end(tx, task, TaskState.REJECTED, f"{words} {approval.note}".strip())
        return
    agent = registry.get_agent(tx, task.agent_id)
    _demand_available(agent)
    task = log.advance(tx, task, [log.moved(TaskState.SUBMITTED)])
    delivery.release(tx, task, agent.kind)
    audit.record(tx, "task.released", queries.asset(task), approval=approval.id)
    log.announce(tx, "task.submitted", task)


def fail_overdue(tx: Tx, task_id: TaskId) -> None:
    """Fail a task whose deadline has passed. Safe to repeat."""
    task = queries.find_task(tx, task_id)
    if task is None or not rules.is_open(task.state) or task.deadline_at is None or task.deadline_at > tx.now:
        return
    _end(tx, task, TaskState.FAILED, "The task's deadline passed.")


def fail_left_behind(tx: Tx, task_id: TaskId) -> None:
    """Fail an open task whose agent is retired. Safe to repeat."""
    task = queries.find_task(tx, task_id)
    if task is None or not rules.is_open(task.state):
        return
    if registry.get_agent(tx, task.agent_id).state is AgentState.RETIRED:
        _end(tx, task, TaskState.FAILED, f"{task.agent} was retired before it had finished this.")


def _end(tx: Tx, task: TaskView, state: TaskState, words: str) -> TaskView:
    """Bring a task to a final state from outside its agent, and take back what was on its way."""
    message = log.kernel_says(tx, task.id, task.context_id, words) if words else None
    if task.approval_id is not None:
        governance.withdraw(tx, task.approval_id)  # an answer would change nothing any more
    task = log.advance(tx, task, [log.moved(state, message)])
    delivery.withdraw(tx, task)
    audit.record(tx, f"task.{state}", queries.asset(task))
    log.announce(tx, f"task.{state}", task)
    return task
