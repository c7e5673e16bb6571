"""The way out to remote A2A agents: the SDK's transports behind the outbound guard, in the broker's own words.

The only place of the broker that knows the SDK. What goes wrong out there leaves here as one of four errors.
"""

from memroos.broker.client.agent import Call, Interface, RemoteClient
from memroos.broker.client.errors import InvalidAnswer, RemoteError, RemoteRefused, RemoteUnreachable

__all__ = [
    "Call",
    "Interface",
    "InvalidAnswer",
    "RemoteClient",
    "RemoteError",
    "RemoteRefused",
    "RemoteUnreachable",
]
