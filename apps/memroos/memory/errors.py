"""What can go wrong with memories."""

from memroos_contracts.errors import ErrorKind, MemroosError


class NotYourStream(MemroosError):
    """A memory can be written to your own stream only.

    Leave the stream out, or name a part of your own.

    Facts:
        stream: the stream that was asked for.
    """

    kind = ErrorKind.DENIED
