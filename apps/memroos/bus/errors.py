"""What can go wrong on the bus."""

from memroos_contracts.errors import ErrorKind, MemroosError


class InboxFull(MemroosError):
    """The receiver's inbox holds as many waiting messages as it may.

    Nothing was sent. Wait the seconds in `Retry-After`, then repeat.

    Facts:
        agent: whose inbox is full.
        limit: how many messages may wait in it.
    """

    kind = ErrorKind.LIMITED


class StaleLease(MemroosError):
    """You do not hold this message any more.

    Its lease ended, or it was settled. If the message comes again, work on it under the new fencing token.

    Facts:
        message: the message's id.
        state: the state it is in now.
    """

    kind = ErrorKind.CONFLICT


class SenderIsReceiver(MemroosError):
    """A message cannot go to its own author.

    Facts:
        agent: the agent that is both.
    """

    kind = ErrorKind.INVALID


class ReceiverRetired(MemroosError):
    """The agent is retired and takes no more messages.

    Facts:
        agent: the agent's id.
    """

    kind = ErrorKind.GONE


class AuthorHasNoInbox(MemroosError):
    """The author of this message is not an agent, so there is no inbox to answer to.

    Facts:
        message: the message's id.
    """

    kind = ErrorKind.INVALID


class MessageNotDead(MemroosError):
    """Only a dead letter can be put back.

    Facts:
        message: the message's id.
        state: the state it is in now.
    """

    kind = ErrorKind.CONFLICT


class MessageCarriesTask(MemroosError):
    """This message carries a task, which ends with a word about how.

    Complete it, fail it, or ask its caller, under `/api/tasks/{task}`; giving the message back works as for any other.

    Facts:
        message: the message's id.
        task: the task's id.
    """

    kind = ErrorKind.CONFLICT
