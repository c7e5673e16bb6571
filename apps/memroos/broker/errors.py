"""What can go wrong with a task."""

from memroos_contracts.errors import ErrorKind, MemroosError


class TaskClosed(MemroosError):
    """The task has ended and takes nothing more.

    Start a new task, and name this one in `reference_task_ids` if it builds on it.

    Facts:
        task: the task's id.
        state: how it ended.
    """

    kind = ErrorKind.CONFLICT


class TaskNotCancelable(MemroosError):
    """The task has already ended.

    Facts:
        task: the task's id.
        state: how it ended.
    """

    kind = ErrorKind.CONFLICT


class TaskNotLeased(MemroosError):
    """You do not hold this task now.

    Its lease ended, or another claim has taken it over. Claim again.

    Facts:
        task: the task's id.
    """

    kind = ErrorKind.CONFLICT


class ContextMismatch(MemroosError):
    """The task belongs to another context than the message says.

    Leave `context_id` out, or send the task's own.

    Facts:
        task: the task's id.
    """

    kind = ErrorKind.INVALID


class NoRoute(MemroosError):
    """No agent can take this message.

    Name an agent, or a skill that an active agent offers.

    Facts:
        skill: the skill that was asked for.
        considered: the agents that were looked at, each with the reason against it.
    """

    kind = ErrorKind.INVALID


class AgentNotAvailable(MemroosError):
    """This agent does not take work now.

    It is a draft, quarantined or retired.

    Facts:
        agent: the agent's name.
        state: the state it is in.
    """

    kind = ErrorKind.CONFLICT


class BrokenChunk(MemroosError):
    """An artifact chunk is to be added to an artifact that does not exist.

    Send the first chunk with `append` false.

    Facts:
        artifact: the artifact's id.
    """

    kind = ErrorKind.INVALID


class TaskGenerationMismatch(MemroosError):
    """The task has changed since you looked at it.

    Read it again, then decide whether your change still fits.

    Facts:
        task: the task's id.
        generation: the one it has now.
        expected: the one you named.
    """

    kind = ErrorKind.CONFLICT


class TooManyOpenTasks(MemroosError):
    """There are as many open tasks as there may be.

    Wait until some have ended, or cancel those that nobody needs.

    Facts:
        limit: how many there may be.
        scope: whose they are, `caller` or `agent`.
    """

    kind = ErrorKind.LIMITED


class RoutingLoop(MemroosError):
    """This message has been here before.

    Each broker on the way names itself in `via`, and this one is named there. One of them brings messages back.

    Facts:
        via: the brokers it came through.
    """

    kind = ErrorKind.CONFLICT


class TooManyHops(MemroosError):
    """This message has come through too many brokers.

    Send it to the agent on a shorter way.

    Facts:
        via: the brokers it came through.
        limit: how many there may be.
    """

    kind = ErrorKind.CONFLICT
