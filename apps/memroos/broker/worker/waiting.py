"""Waiting for the first of several signals."""

import asyncio

from memroos_kit.stopping import Stopping


async def wait_any(*signals: asyncio.Event | Stopping, timeout_s: float) -> None:
    """Wait until one of the signals is set, or the time is over."""
    waiters = [asyncio.ensure_future(signal.wait()) for signal in signals]
    try:
        await asyncio.wait(waiters, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for waiter in waiters:
            waiter.cancel()
