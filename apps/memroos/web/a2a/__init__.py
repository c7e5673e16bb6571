"""The A2A 1.0 doors: JSON-RPC and HTTP+JSON, from the SDK's routes over our own request handler.

The SDK encodes, the broker decides: task state, order of events and ownership live in the kernel's tables.
"""

from memroos_kit import environment  # isort: skip  # before the SDK is imported
from memroos.web.a2a.cards import Cards
from memroos.web.a2a.routes import OPERATIONS, create_a2a_app

assert environment.PRESETS

__all__ = ["OPERATIONS", "Cards", "create_a2a_app"]
