"""May this happen? Policies, decisions, and the questions that a human answers.

Every verb asks through its unit of work; `Gate` is who answers. It looks at attributes of actor and asset, never at
ids, so answers can be kept; it records each decision in the transaction of the change it is about. A hold opens an
approval, bound to the digest of the exact action and arguments; the answer lets what was held go on through a resumer,
in the same transaction. Agents ask here about what they do by themselves, too.
"""

from memroos.governance.approvals import Resumer, Resumers
from memroos.governance.errors import (
    AlreadyAnswered,
    ApprovalExpired,
    ApprovalWithdrawn,
    DecisionNotPermitted,
    OutcomeAlreadyReported,
    PolicyRefused,
    SelfApproval,
)
from memroos.governance.gate import Gate
from memroos.governance.models import DDL
from memroos.governance.policy import Policy
from memroos.governance.queries import get_approval, get_decision, list_approvals
from memroos.governance.rules import GovernanceEvent
from memroos.governance.service import (
    approve,
    ask,
    expire,
    get_policy_set,
    read_approval,
    read_approvals,
    reject,
    report,
    withdraw,
)

__all__ = [
    "DDL",
    "AlreadyAnswered",
    "ApprovalExpired",
    "ApprovalWithdrawn",
    "DecisionNotPermitted",
    "Gate",
    "GovernanceEvent",
    "OutcomeAlreadyReported",
    "Policy",
    "PolicyRefused",
    "Resumer",
    "Resumers",
    "SelfApproval",
    "approve",
    "ask",
    "expire",
    "get_approval",
    "get_decision",
    "get_policy_set",
    "list_approvals",
    "read_approval",
    "read_approvals",
    "reject",
    "report",
    "withdraw",
]
