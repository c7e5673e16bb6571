"""What can go wrong with push notifications."""

from memroos_contracts.errors import ErrorKind, MemroosError


class TooManyPushConfigs(MemroosError):
    """There are as many push notification configurations as there may be.

    Delete one that is not needed any more, or wait until tasks have ended.

    Facts:
        limit: how many there may be.
        of: what they are counted for, the task or the caller.
    """

    kind = ErrorKind.LIMITED


class NothingToReplay(MemroosError):
    """The task has not got that far yet.

    Facts:
        task: the task's id.
        generation: how far its log reaches.
    """

    kind = ErrorKind.INVALID
