"""The A2A 1.0 doors: JSON-RPC and HTTP+JSON, from the SDK's routes over our own request handler.

The SDK encodes, the broker decides: task state, order of events and ownership live in the kernel's tables.
"""

from memroos.web.a2a.cards import Cards
from memroos.web.a2a.routes import create_a2a_app

__all__ = ["Cards", "create_a2a_app"]
