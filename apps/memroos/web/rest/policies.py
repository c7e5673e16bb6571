"""Policies over REST: the rules that are in effect."""

from litestar import Controller, get
from litestar.di import NamedDependency

from memroos import governance
from memroos_contracts.governance import PolicySetView
from memroos_contracts.identity import Actor
from memroos_kit.db import Database


class PolicyController(Controller):
    """The policy set."""

    path = "/api/policies"
    tags = ("policies",)

    @get("/", operation_id="listPolicies")
    async def list_policies(
        self,
        db: NamedDependency[Database],
        actor: NamedDependency[Actor],
        gate: NamedDependency[governance.Gate],
    ) -> PolicySetView:
        """Return the policies in effect, and the hash that decisions name them by."""
        return db.read_inline(actor, governance.get_policy_set, gate=gate)
