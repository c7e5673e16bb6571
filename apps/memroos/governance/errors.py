"""What can go wrong between a question and its answer."""

from memroos_contracts.errors import Denied, ErrorKind, MemroosError


class AlreadyAnswered(MemroosError):
    """Somebody answered this approval before you.

    Your answer changed nothing. Look at the approval: it says who answered, and how.

    Facts:
        approval: the approval's id.
        state: how it was answered.
        answered_by: who answered it.
        answered_at: when, RFC 3339.
    """

    kind = ErrorKind.CONFLICT


class ApprovalExpired(MemroosError):
    """Nobody answered this approval in time.

    Your answer changed nothing. The requester may ask again.

    Facts:
        approval: the approval's id.
        expired_at: when its time was over, RFC 3339.
    """

    kind = ErrorKind.GONE


class ApprovalWithdrawn(MemroosError):
    """What this approval was about has ended meanwhile.

    Your answer changed nothing, and none is needed.

    Facts:
        approval: the approval's id.
    """

    kind = ErrorKind.GONE


class SelfApproval(Denied):
    """Nobody answers their own question.

    Ask another operator.

    Facts:
        approval: the approval's id.
        requester: who asked: you, or whom you act for.
    """


class DecisionNotPermitted(MemroosError):
    """This decision did not permit anything, so nothing can have come of it.

    Wait for the answer where it is held; ask again where it was denied.

    Facts:
        decision: the decision's id.
        effect: how the decision stands.
    """

    kind = ErrorKind.CONFLICT


class OutcomeAlreadyReported(MemroosError):
    """Another outcome was reported for this decision before.

    The first report stands. One permission is for one action: ask again for the next.

    Facts:
        decision: the decision's id.
        outcome: what was reported.
        reported_at: when, RFC 3339.
    """

    kind = ErrorKind.CONFLICT


class PolicyRefused(MemroosError):
    """The policy set cannot take effect.

    The set that was in effect stays so. Repair what the messages name.

    Facts:
        problems: what is wrong, one line for each.
    """

    kind = ErrorKind.INVALID
