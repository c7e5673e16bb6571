"""What can go wrong with the ledger."""

from memroos_contracts.errors import ErrorKind, MemroosError


class LedgerDamaged(MemroosError):
    """The ledger does not fit its last signed head.

    Nothing is written until it is repaired, because nothing can be recorded. `memroos audit verify` names the first
    event that does not fit; restore a backup.
    """

    kind = ErrorKind.UNAVAILABLE


class LedgerKeyInvalid(MemroosError):
    """The ledger's key cannot be read.

    Put back the `ledger.key` that belongs to this ledger, from the same backup as the database.
    """

    kind = ErrorKind.UNAVAILABLE


class LedgerUnreadable(MemroosError):
    """There is no ledger to verify in this file.

    Name the database file of a kernel.
    """

    kind = ErrorKind.INVALID


class NotSealedYet(MemroosError):
    """No signed head covers this event yet.

    A head follows within about a second; repeat then.
    """

    kind = ErrorKind.UNAVAILABLE


class NoSuchTreeSize(MemroosError):
    """The ledger has never had this size.

    Ask for sizes from 0 up to that of the present head, the older one first.

    Facts:
        size: the size of the present head.
    """

    kind = ErrorKind.INVALID
