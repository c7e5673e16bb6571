"""What is known of one agent, and what is reported of it."""

import asyncio
import hashlib
import json
from collections.abc import Awaitable, Callable

import pytest
from tests.actors import KERNEL, OPERATOR
from tests.card_server import card_of

from memroos import broker, registry
from memroos.broker.worker.line import Line, Office, Terms
from memroos.registry import rules, service
from memroos_contracts.identity import AgentId
from memroos_contracts.registry import Credential, NewRemoteAgent, SignatureState
from memroos_kit.db import Database
from memroos_kit.outbound import Guard
from memroos_kit.sealing import Sealer
from memroos_kit.stopping import Stopping

URL = "http://far.example"
SEALER = Sealer(bytes(32))


@pytest.fixture
def agent(db: Database) -> AgentId:
    """A remote agent, registered with a credential."""
    body = json.dumps(card_of(URL)).encode()
    reading = rules.Reading("Far", "", "1", (), rules.Interface(f"{URL}/rpc", "JSONRPC", "1.0"))
    card = rules.Card(body, hashlib.sha256(body).hexdigest(), reading, rules.Verdict(SignatureState.UNSIGNED))
    look = rules.Look(URL, card=card)
    new = NewRemoteAgent(card_url=URL, credential=Credential("hunter2-hunter2"))
    return db.write_now(OPERATOR, service.add_remote_agent, new, look, SEALER).agent.id


def line_to(db: Database, agent: AgentId, recent: broker.Tails) -> Line:
    """Return a line as a kernel has it that was just started."""
    tasks = broker.Tasks(db, recent)
    return Line(Office(db, tasks, Guard(), SEALER, Stopping(), Terms("memroos-x")), agent, KERNEL)


def failures(db: Database, agent: AgentId) -> int:
    return db.read_now(KERNEL, registry.get_remote, agent).call_failures


def run(db: Database, story: Callable[[], Awaitable[None]]) -> None:
    async def attached() -> None:
        db.attach(asyncio.get_running_loop())
        try:
            await story()
        finally:
            db.attach(None)

    asyncio.run(attached())


def test_an_agent_that_answers_after_a_restart_has_its_failures_before_it_forgotten(
    db: Database, agent: AgentId, recent: broker.Tails
) -> None:
    for _ in range(rules.BREAKER_AFTER):
        db.write_now(KERNEL, registry.report_remote, agent, ok=False, error="nobody there")

    async def story() -> None:
        line = line_to(db, agent, recent)
        assert line.blocked_s() > 0
        await line.went_well()

    run(db, story)

    assert failures(db, agent) == 0


def test_an_agent_that_always_answers_costs_no_write(
    db: Database, agent: AgentId, recent: broker.Tails, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story() -> None:
        line = line_to(db, agent, recent)
        line.connect()
        monkeypatch.setattr(registry, "report_remote", pytest.fail)
        await line.went_well()

    run(db, story)


def test_what_an_agent_is_shown_stands_in_no_text_about_it(db: Database, agent: AgentId, recent: broker.Tails) -> None:
    async def story() -> None:
        interface = line_to(db, agent, recent).connect().interface

        assert interface.headers == {"Authorization": "Bearer hunter2-hunter2"}
        assert "hunter2" not in f"{interface!r} {interface} {Credential('hunter2-hunter2')!r}"

    run(db, story)
