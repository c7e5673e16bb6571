"""Decisions over REST: an agent asks before it acts, waits where a human has to agree, and reports what came of it."""

import asyncio

from litestar import Controller, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody

from memroos import events, governance
from memroos.web.streams import Streams
from memroos_contracts.governance import DecisionRequest, DecisionView, Effect, OutcomeReport
from memroos_contracts.identity import Actor, DecisionId
from memroos_kit.db import Database
from memroos_kit.db.once import Idempotency, once

WAIT_MAX_S = 60

Db = NamedDependency[Database]
Caller = NamedDependency[Actor]
Gate = NamedDependency[governance.Gate]


class DecisionController(Controller):
    """What policy says about an agent's own actions."""

    path = "/api/decisions"
    tags = ("decisions",)

    @post("/", operation_id="askDecision", status_code=200)
    async def ask_decision(
        self,
        data: JSONBody[DecisionRequest],
        db: Db,
        actor: Caller,
        gate: Gate,
        idempotency: NamedDependency[Idempotency | None],
    ) -> DecisionView:
        """Ask whether you may do exactly this; `deny` is an answer, `hold` means that a human is asked."""
        return await db.write(actor, once, idempotency, DecisionView, governance.ask, data, gate=gate)

    @get("/{decision:str}", operation_id="getDecision")
    async def get_decision(
        self,
        decision: FromPath[str],
        db: Db,
        actor: Caller,
        notifier: NamedDependency[events.Notifier],
        open_streams: NamedDependency[Streams],
        wait_s: FromQuery[float] = 0.0,
    ) -> DecisionView:
        """Say how a decision stands; while it is held, wait for the answer for up to `wait_s` seconds (at most 60)."""
        view = await _answered(db, notifier, actor, DecisionId(decision), min(wait_s, WAIT_MAX_S))
        open_streams.demand_admitted(actor)
        return view

    @post("/{decision:str}/outcome", operation_id="reportOutcome", status_code=200)
    async def report_outcome(
        self, decision: FromPath[str], data: JSONBody[OutcomeReport], db: Db, actor: Caller
    ) -> DecisionView:
        """Report what came of a permitted action, once; the permission is used up then."""
        return await db.write(actor, governance.report, DecisionId(decision), data)


async def _answered(
    db: Database, notifier: events.Notifier, actor: Actor, decision_id: DecisionId, wait_s: float
) -> DecisionView:
    """Return a decision once it is not held any more, or as it is when the time is over."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + wait_s
    with notifier.listen(decision_id) as listener:
        while True:
            view = db.read_inline(actor, governance.get_decision, decision_id)
            left = deadline - loop.time()
            if view.effect is not Effect.HOLD or left <= 0 or listener.closed:
                return view
            await listener.next(left)
