"""What can go wrong with remembered items, in the memory service and so in the kernel that asks it."""

from memroos_contracts.errors import ErrorKind, MemroosError


class ItemChanged(MemroosError):
    """The item is at another version than you expected.

    Read it again, and decide whether your change still fits.

    Facts:
        id: the item.
        version: the version it is at.
    """

    kind = ErrorKind.CONFLICT


class ItemGone(MemroosError):
    """The item was deleted; a rollback of its scope brings it back.

    Facts:
        id: the item.
    """

    kind = ErrorKind.GONE


class FilterRefused(MemroosError):
    """The filter cannot be honoured, so nothing was searched.

    Facts:
        field: the field or operator that does not fit.
        reason: why.
    """

    kind = ErrorKind.INVALID


class SequenceUnknown(MemroosError):
    """The scope's log has no such entry.

    Facts:
        to_seq: what was asked for.
        last_seq: its newest entry.
    """

    kind = ErrorKind.INVALID


class WrongDimension(MemroosError):
    """The embedding has another length than the embedder's vectors.

    Facts:
        got: its length.
        wanted: theirs.
    """

    kind = ErrorKind.INVALID


class IndexUnavailable(MemroosError):
    """An index is not there at the moment; it is being rebuilt, or its server does not answer.

    Facts:
        index: which.
    """

    kind = ErrorKind.UNAVAILABLE


class EmbedderFailed(MemroosError):
    """The embedder gave no usable answer; the text is kept, and embedded later.

    Facts:
        reason: what it said.
        away: whether it cannot be asked anything at the moment, which is no fault of the text.
    """

    kind = ErrorKind.UNAVAILABLE


class ModelFailed(MemroosError):
    """The language model gave no usable answer; nothing is lost, and it is asked again.

    Facts:
        reason: what it said.
    """

    kind = ErrorKind.UNAVAILABLE


class MemoryServiceUnavailable(MemroosError):
    """The memory service does not answer; what needs it has to wait.

    Remembering and recalling go on without it: what is written is kept and handed over later, and recall searches by
    words.

    Facts:
        answered: the status it answered with, where it did.
    """

    kind = ErrorKind.UNAVAILABLE
