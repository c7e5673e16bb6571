"""Who may do what is decided in the kernel, before it asks this service."""

from collections.abc import Mapping
from typing import Any

from memroos_contracts.governance import Action, Asset, Decision, Effect
from memroos_contracts.identity import DecisionId


class DecidedByKernel:
    """The authorizer of a database whose only caller has asked policy already: allows, and records nothing."""

    def authorize(
        self,
        tx: Any,  # noqa: ARG002 - the authorizer's form
        action: Action,
        asset: Asset,
        *,
        purpose: str,
        arguments: Mapping[str, Any] | None,  # noqa: ARG002
        holdable: bool,  # noqa: ARG002
    ) -> Decision:
        """Allow."""
        return Decision(
            id=DecisionId("dec_kernel"), effect=Effect.ALLOW, action=action.value, asset=asset, purpose=purpose
        )

    def permits(self, tx: Any, action: Action, asset: Asset, *, purpose: str) -> bool:  # noqa: ARG002
        """Allow."""
        return True
