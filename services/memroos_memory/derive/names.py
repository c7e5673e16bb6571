"""Entities by rules: names, titles, identifiers, addresses."""


def entities(text: str) -> list[str]:
    """Return the entities a text names, normalised, each once, in its order."""
    return []
