"""What can go wrong when an operator looks after the process."""

from memroos_contracts.errors import ErrorKind, MemroosError


class CardKeysNotKept(MemroosError):
    """The new signing keys could not be written to the disk.

    The old keys go on signing. Look at the data directory, then repeat.

    Facts:
        reason: what the system says.
    """

    kind = ErrorKind.UNAVAILABLE
