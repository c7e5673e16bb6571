"""The registry's endless loop: what time does to agents and keys."""

import time

import structlog

from memroos.registry import queries, service
from memroos.registry.keyring import Keyring
from memroos_contracts.identity import service_actor
from memroos_kit.db import Database
from memroos_kit.stopping import Stopping

TICK_S = 1.0
"""Streams of an expired key end, and silence is noticed, within this time."""

USES_EVERY_S = 60.0
"""How often it is written when keys were last used."""

_KERNEL = "kernel"
_log = structlog.get_logger(__name__)


async def step(db: Database) -> int:
    """Announce agents that fell silent and end expired keys, in every workspace; return how many.

    One indexed look tells whether there is anything to do; a quiet second writes nothing. May be repeated.
    """
    done = 0
    for workspace in await db.read(service_actor(_KERNEL), queries.list_due):
        actor = service_actor(_KERNEL, workspace)
        done += await db.write(actor, service.announce_silent_agents)
        done += await db.write(actor, service.end_expired_keys)
    return done


async def write_uses(db: Database, keyring: Keyring) -> None:
    """Write when keys were last used. What a crash loses is at most a minute of it."""
    used = keyring.take_uses()
    if used:
        await db.write(service_actor(_KERNEL), service.mark_keys_used, used)


async def run(db: Database, keyring: Keyring, stopping: Stopping) -> None:
    """Step until told to stop, then once more, so that what is known of keys is written."""
    written = time.monotonic()
    while True:
        last = stopping.is_set()
        try:
            await step(db)
            if last or time.monotonic() - written >= USES_EVERY_S:
                written = time.monotonic()
                await write_uses(db, keyring)
        except Exception:  # noqa: BLE001 - the loop outlives a full disk or an overload; the next step tries again
            _log.exception("registry step failed")
        if last:
            return
        await stopping.first(stopping.wait(), timeout_s=TICK_S)
