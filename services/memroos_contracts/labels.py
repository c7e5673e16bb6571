"""How labels come together, and what they keep apart."""

from collections.abc import Iterable

from memroos_contracts.governance import INTERNAL, Label, Sensitivity

RANK = {sensitivity: rank for rank, sensitivity in enumerate(Sensitivity)}
"""How sensitive content is, for comparisons."""


def join(labels: Iterable[Label]) -> Label:
    """Return the label of contents that are seen together: the highest sensitivity and all tags.

    Nothing at all is internal, as content without a label is.
    """
    distinct = set(labels)
    if len(distinct) <= 1:
        return next(iter(distinct), INTERNAL)
    return Label(
        sensitivity=max((label.sensitivity for label in distinct), key=RANK.__getitem__),
        tags=frozenset().union(*(label.tags for label in distinct)),
    )


def is_private(label: Label) -> bool:
    """Answer whether content with this label stays with those it belongs to, and is not for who runs the workspace."""
    return label.sensitivity is Sensitivity.RESTRICTED or "secret" in label.tags
