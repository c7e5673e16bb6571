"""Governance left out, to see what it costs."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from memroos import audit
from memroos.audit import service
from memroos_contracts.governance import Action, Asset, Decision, Effect
from memroos_contracts.identity import DecisionId
from memroos_kit.db import Tx


class AllowAll:
    """Says yes without looking, and records that like the real one."""

    def authorize(
        self,
        tx: Any,
        action: Action,
        asset: Asset,
        *,
        purpose: str,
        arguments: Mapping[str, Any] | None,
        holdable: bool,
    ) -> Decision:
        """Return a yes."""
        decision = Decision(
            id=DecisionId(tx.new_id("dec") if isinstance(tx, Tx) else ""),
            effect=Effect.ALLOW,
            action=action.value,
            asset=asset,
            purpose=purpose,
        )
        tx.decisions.append(decision)
        if isinstance(tx, Tx):
            audit.record_decision(tx, decision)
        return decision

    def permits(self, tx: Any, action: Action, asset: Asset, *, purpose: str) -> bool:
        """Say yes."""
        return True


@contextmanager
def leave_ledger_out() -> Iterator[None]:
    """Let nothing be recorded while the block runs."""
    real = service._append
    service._append = lambda *_: None
    try:
        yield
    finally:
        service._append = real
