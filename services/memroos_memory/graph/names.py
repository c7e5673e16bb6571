"""The name under which an entity is known in the graph: the same for all ways of writing it."""

import unicodedata

NAME_MAX = 200
"""Characters. What is longer is a sentence, not the name of something."""

_AROUND = " .,;:!?'\"()"
"""What stands around a name in a sentence and is not part of it."""


def entity_name(text: str) -> str:
    """Return the name of an entity, or nothing where the text names none."""
    name = " ".join(unicodedata.normalize("NFKC", text).casefold().split()).strip(_AROUND)
    return name if len(name) <= NAME_MAX else ""
