"""What an answer is made of: without what was removed, without content where policy says so, and in one order."""

from collections.abc import Callable, Collection, Iterable

import msgspec

from memroos_contracts.governance import Label
from memroos_contracts.memory import Arm, ArmPart, RecallItem
from memroos_contracts.memory_items import ItemView


def is_hidden(item: ItemView, hidden: Collection[str]) -> bool:
    """Answer whether an item was removed, or rests on nothing that was not."""
    return item.id in hidden or (bool(item.sources) and all(source in hidden for source in item.sources))


def visible_item(item: ItemView, hidden: Collection[str]) -> ItemView:
    """Return an item that does not speak of what was removed."""
    return msgspec.structs.replace(
        item,
        sources=_rest(item.sources, hidden),
        contradicts=_rest(item.contradicts, hidden),
        supersedes="" if item.supersedes in hidden else item.supersedes,
        superseded_by="" if item.superseded_by in hidden else item.superseded_by,
    )


def visible_items(items: Iterable[ItemView], hidden: Collection[str]) -> list[ItemView]:
    """Return the items that were not removed."""
    return [visible_item(item, hidden) for item in items if not is_hidden(item, hidden)]


def visible_hits(hits: Iterable[RecallItem], hidden: Collection[str]) -> list[RecallItem]:
    """Return the hits that were not removed, each without what was."""
    return [
        msgspec.structs.replace(
            hit,
            item=visible_item(hit.item, hidden),
            sources=_rest(hit.sources, hidden),
            facts=visible_items(hit.facts, hidden),
            neighbours=visible_items(hit.neighbours, hidden),
            superseded_by="" if hit.superseded_by in hidden else hit.superseded_by,
        )
        for hit in hits
        if not is_hidden(hit.item, hidden)
    ]


def ids_of(hits: Iterable[RecallItem]) -> set[str]:
    """Return every id that an answer speaks of."""
    found: set[str] = set()
    for hit in hits:
        found |= {*hit.sources, hit.superseded_by}
        for item in (hit.item, *hit.facts, *hit.neighbours):
            found |= ids_of_item(item)
    return found - {""}


def ids_of_item(item: ItemView) -> set[str]:
    """Return every id that an item speaks of."""
    return {item.id, *item.sources, *item.contradicts, item.supersedes, item.superseded_by} - {""}


def labels_of(hits: Iterable[RecallItem]) -> Iterable[Label]:
    """Return the labels of everything whose content is in an answer."""
    for hit in hits:
        for item in (hit.item, *hit.facts, *hit.neighbours):
            yield item.label


def without_content(hit: RecallItem) -> RecallItem:
    """Return that there is a hit, and nothing of what it says."""
    return RecallItem(item=bare(hit.item), score=hit.score, snippet="", sources=hit.sources)


def bare(item: ItemView) -> ItemView:
    """Return an item without its content, and without what would confirm a guess of it."""
    return msgspec.structs.replace(item, text=None, triple=None, data=None, source=None, digest="")


def merge(
    hits: list[RecallItem], pending: list[RecallItem], score_of: Callable[[str], float], *, limit: int, explain: bool
) -> list[RecallItem]:
    """Put hits that only the kernel knows yet among those of the memory service.

    The two measure differently, so each newcomer stands before the first hit whose text answers the question worse by
    the kernel's own measure, and takes a score that keeps the order.

    Args:
        hits: the service's, best first.
        pending: the kernel's own, best first; those the service has found too are left out.
        score_of: how well a text answers by the kernel's measure.
    """
    known = {hit.item.id for hit in hits}
    newcomers = [hit for hit in pending if hit.item.id not in known]
    if not newcomers:
        return hits[:limit]
    measured = [score_of(hit.item.text or "") for hit in hits]
    merged: list[RecallItem] = []
    at = 0
    for rank, newcomer in enumerate(newcomers, start=1):
        while at < len(hits) and measured[at] >= newcomer.score:
            merged.append(hits[at])
            at += 1
        score = hits[at].score if at < len(hits) else (hits[-1].score if hits else newcomer.score)
        arms = {Arm.EPISODIC: ArmPart(rank, newcomer.score, score)} if explain else {}
        merged.append(msgspec.structs.replace(newcomer, score=score, arms=arms))
    return [*merged, *hits[at:]][:limit]


def _rest(ids: tuple[str, ...], hidden: Collection[str]) -> tuple[str, ...]:
    return tuple(name for name in ids if name not in hidden)
