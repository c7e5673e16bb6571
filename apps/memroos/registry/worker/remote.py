"""Looking at remote agents' cards: when somebody asks, and from time to time.

First the network, then one verb: no transaction waits for another host. What is known of when to look stands in the
database, so a restart forgets nothing.
"""

import asyncio

import structlog
from msgspec import UNSET

from memroos.registry import client, queries, rules, service
from memroos.registry.errors import CardUnavailable
from memroos_contracts.errors import InvalidRequest, MemroosError, NotFound
from memroos_contracts.identity import Actor, AgentId, service_actor
from memroos_contracts.registry import NewRemoteAgent, RemoteAgentChange, RemoteAgentView
from memroos_kit.db import Database
from memroos_kit.db.once import Idempotency, kept, once
from memroos_kit.outbound import Guard
from memroos_kit.sealing import Sealer
from memroos_kit.stopping import Stopping

TICK_S = 1.0
MOST_AT_ONCE = 64
LONGEST_S = 15.0
"""A whole look: the card, a second try with a credential, and key sets."""

_KERNEL = "kernel"
_log = structlog.get_logger(__name__)


class RemoteAgents:
    """Registers remote agents and looks at their cards.

    Args:
        db: where they are.
        guard: where we may connect to.
        sealer: encrypts their credentials.
    """

    def __init__(self, db: Database, guard: Guard, sealer: Sealer) -> None:
        self._db = db
        self._guard = guard
        self._sealer = sealer

    async def add(self, actor: Actor, new: NewRemoteAgent, idempotency: Idempotency | None = None) -> RemoteAgentView:
        """Fetch an agent's card and register the agent.

        Raises:
            Denied: policy does not let this actor register agents, or activate one.
            InvalidRequest: the parts do not fit together.
            AddressRefused, NameUnresolved, ReplyRefused, CardUnavailable, CardRefused: no card is to be had there.
            AgentNameTaken: the workspace has, or had, an agent of this name.
        """
        db = self._db
        answered = await db.read(actor, kept, idempotency, RemoteAgentView)
        if answered is not None:
            return answered
        await db.read(actor, service.permit_registration, new.state)
        _demand(rules.problems_of_remote(new.credential, new.pinned_keys, client.find_key_problem))
        shown = client.headers(new.credential) if new.credential else {}
        look = await self._find(new.card_url, new.pinned_keys, shown)
        return await db.write(
            actor, once, idempotency, RemoteAgentView, service.add_remote_agent, new, look, self._sealer
        )

    async def change(
        self, actor: Actor, agent: str, change: RemoteAgentChange, *, version: int | None = None
    ) -> RemoteAgentView:
        """Change how a remote agent is reached or has to sign, and look at its card by that.

        Raises:
            NotFound, Denied, AgentRetired, AgentChanged: as `service.change_remote_agent` says.
            InvalidRequest: the parts do not fit together.
            AddressRefused, NameUnresolved, ReplyRefused, CardUnavailable, CardRefused: there is no card to be had at
                the new address; nothing is changed.
        """
        due = await self._db.read(actor, service.permit_change, agent)
        credential = change.credential or None
        pins = change.pinned_keys if isinstance(change.pinned_keys, tuple) else due.pinned_keys
        _demand(rules.problems_of_remote(credential, pins, client.find_key_problem))
        look = None
        if isinstance(change.card_url, str):
            shown = client.headers(credential) if credential else {}
            look = await self._find(change.card_url, pins, shown)
        changed = await self._db.write(
            actor, service.change_remote_agent, agent, change, self._sealer, look=look, version=version
        )
        touched = (change.card_url, change.credential, change.pinned_keys)
        if all(value is UNSET for value in touched):
            return changed
        return await self.refresh(actor, changed.agent.id)

    async def refresh(self, actor: Actor, agent: str) -> RemoteAgentView:
        """Look at an agent's card now; how that went is in the view.

        Raises:
            NotFound: there is no such remote agent.
            Denied: policy does not let this actor change it.
            AgentRetired: there is no contact with it any more.
        """
        due = await self._db.read(actor, service.permit_change, agent)
        return await self._db.write(actor, service.take_look, due.agent_id, await self._look(due))

    async def run(self, stopping: Stopping) -> None:
        """Look at each card when it is due, until told to stop; many at a time, so a slow agent delays no other."""
        busy: set[AgentId] = set()
        async with asyncio.TaskGroup() as group:
            while not stopping.is_set():
                for due in await self._due(MOST_AT_ONCE + len(busy)):
                    if due.agent_id not in busy and len(busy) < MOST_AT_ONCE:
                        busy.add(due.agent_id)
                        group.create_task(self._step_once(due, busy, stopping))
                await stopping.first(stopping.wait(), timeout_s=TICK_S)

    async def step(self, due: queries.Due) -> None:
        """Look at one agent's card and take down what it gave. May be repeated."""
        actor = service_actor(_KERNEL, due.workspace)
        try:
            await self._db.write(actor, service.take_look, due.agent_id, await self._look(due))
        except NotFound:
            pass  # it is gone
        except Exception:  # noqa: BLE001 - one agent, or a full disk, must not end the looks at all others
            _log.exception("look at a card not taken", agent=due.agent_id)

    async def _step_once(self, due: queries.Due, busy: set[AgentId], stopping: Stopping) -> None:
        try:
            await stopping.first(self.step(due))
        finally:
            busy.discard(due.agent_id)

    async def _due(self, most: int) -> list[queries.Due]:
        try:
            return await self._db.read(service_actor(_KERNEL), queries.find_due, most=most)
        except Exception:  # noqa: BLE001 - the loop outlives a database that cannot be read for a moment
            _log.exception("due looks not found")
            return []

    async def _look(self, due: queries.Due) -> rules.Look:
        """Look at a card; what goes wrong is part of the answer."""
        try:
            async with asyncio.timeout(LONGEST_S):
                shown = client.card_headers(due, self._sealer)
                return await client.look(
                    self._guard, due.card_url, etag=due.etag, pinned_keys=due.pinned_keys, headers=shown
                )
        except MemroosError as error:
            return rules.Look(due.card_url, due.pinned_keys, error=error.detail)
        except TimeoutError:
            return rules.Look(due.card_url, due.pinned_keys, error="The card takes too long to come.")
        except Exception:  # noqa: BLE001 - a card that our reading trips over must not be fetched again every second
            _log.exception("card not read", agent=due.agent_id)
            return rules.Look(due.card_url, due.pinned_keys, error="The card cannot be read.")

    async def _find(self, card_url: str, pinned_keys: tuple[str, ...], shown: dict[str, str]) -> rules.Look:
        try:
            async with asyncio.timeout(LONGEST_S * 2):
                return await client.find_card(self._guard, card_url, pinned_keys=pinned_keys, headers=shown)
        except TimeoutError as error:
            raise CardUnavailable("The card takes too long to come.", url=card_url) from error


def _demand(problems: dict[str, str]) -> None:
    if problems:
        raise InvalidRequest(fields=problems)
