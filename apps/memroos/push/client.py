"""The way to a webhook: one signed POST through the outbound guard.

Signed as Standard Webhooks says (v1a, Ed25519): the key is in the kernel's published key set.
"""

import asyncio
import base64
import contextlib
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager

import httpx

from memroos.push import rules
from memroos.push.rules import Answer
from memroos_contracts.errors import MemroosError
from memroos_kit.clock import Clock
from memroos_kit.outbound import Guard

CONTENT_TYPE = "application/a2a+json"
SMALL_BODY = 4_096
"""An answer's body says nothing to us; a small one is read so that the connection can be used again."""
SMALL_BODY_S = 1.0

Sign = Callable[[bytes], tuple[str, bytes]]
"""Returns a key's id and its signature."""


class Webhooks:
    """Brings notifications to their receivers; made by `opened`."""

    def __init__(self, guard: Guard, http: httpx.AsyncClient, sign: Sign, clock: Clock) -> None:
        self._guard = guard
        self._http = http
        self._sign = sign
        self._clock = clock

    @classmethod
    @asynccontextmanager
    async def opened(cls, guard: Guard, sign: Sign, clock: Clock, *, most: int) -> "AsyncIterator[Webhooks]":
        """Open connections as needed while the block runs, so many at a time."""
        async with guard.client(connections=most) as http:
            yield cls(guard, http, sign, clock)

    async def post(self, url: str, notification: str, body: bytes, headers: Mapping[str, str]) -> Answer:
        """Send one notification and say what came of it; where the name leads is looked up and judged anew.

        Args:
            notification: the id under which it is sent; the receiver recognises a repeat by it.
            headers: those by which the receiver recognises us, and the trace it belongs to.
        """
        timestamp = int(self._clock.now().timestamp())
        kid, signature = self._sign(rules.signed_content(notification, timestamp, body))
        sent = {
            **headers,
            "Content-Type": CONTENT_TYPE,
            "Accept-Encoding": "identity",
            "User-Agent": "MemRoOS",
            "webhook-id": notification,
            "webhook-timestamp": str(timestamp),
            "webhook-signature": f"v1a,{base64.b64encode(signature).decode()}",
            "webhook-key-id": kid,
        }
        try:
            self._guard.check(url)  # as it is written; the HTTP client would read it its own way first
            async with self._http.stream("POST", url, content=body, headers=sent) as response:
                answer = rules.read_answer(
                    response.status_code, response.headers.get("retry-after", ""), self._clock.now()
                )
                await _read_small(response)
                return answer
        except MemroosError as error:  # the guard's: refused, unresolved, too large, too slow
            return Answer(error=error.detail)
        except httpx.TimeoutException:
            return Answer(error="the receiver did not answer in time")
        except httpx.ConnectError:
            return Answer(error="the receiver cannot be connected to")
        except (httpx.HTTPError, httpx.InvalidURL) as error:  # its text could hold a header
            return Answer(error=f"the connection broke ({type(error).__name__})")


async def _read_small(response: httpx.Response) -> None:
    length = response.headers.get("content-length", "")
    if length.isdecimal() and int(length) <= SMALL_BODY:
        with contextlib.suppress(httpx.HTTPError, MemroosError, TimeoutError):
            async with asyncio.timeout(SMALL_BODY_S):
                await response.aread()
