"""The typed client of the kernel's REST interface, for programs that wait and for programs that await.

A request is a value: a function of `memroos_client.calls` builds a `Call`, and `Client` or `AsyncClient` runs it::

    from memroos_client import Client
    from memroos_client.calls import agents, tasks

    with Client("http://127.0.0.1:7700", key) as client:
        scout = client.run(agents.get("scout"))
        for task in client.pages(tasks.listing(agent=scout.id)):
            for event in client.stream(tasks.follow(task.id)):
                ...

Safe requests are repeated by themselves: reads, and creations, which carry an idempotency key. Streams resume where
they broke. What the kernel refuses is a `ProblemError`.
"""

from memroos_client.async_client import AsyncClient
from memroos_client.call import Call, Listing, Stream
from memroos_client.client import Client
from memroos_client.errors import ClientError, ProblemError, UnexpectedAnswer, Unreachable
from memroos_client.retry import Retries

__all__ = [
    "Client",
    "AsyncClient",
    "Call",
    "Stream",
    "Listing",
    "Retries",
    "ClientError",
    "ProblemError",
    "Unreachable",
    "UnexpectedAnswer",
]
