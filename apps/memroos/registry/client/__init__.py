"""The way out to remote agents' cards, and what is shown to the agents themselves."""

from memroos.registry.client.credentials import headers_of

__all__ = ["headers_of"]
