"""What can go wrong with memories."""

from memroos_contracts.errors import ErrorKind, MemroosError


class NotYourStream(MemroosError):
    """A memory can be written to your own stream only.

    Leave the stream out, or name a part of your own.

    Facts:
        stream: the stream that was asked for.
    """

    kind = ErrorKind.DENIED


class MemoryOutcomeUnknown(MemroosError):
    """The memory service did not say whether it made the change.

    Look at what you wanted to change, and repeat if it stands as before. The ledger has the intention, and gets the
    outcome once it is known.

    Facts:
        operation: under which the change is on record.
    """

    kind = ErrorKind.UNAVAILABLE
