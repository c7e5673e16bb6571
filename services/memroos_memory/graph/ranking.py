"""Which entities count for a question, and what the items that mention them are worth; the same for every store."""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from memroos_contracts.memory_items import Triple
from memroos_kit.clock import from_micros, to_micros
from memroos_memory.graph.names import entity_name
from memroos_memory.graph.port import ENTITIES_MAX, HUB, REACHED_MAX, ROWS_MAX, GraphEntry, GraphHit, Neighbour


class Reached(NamedTuple):
    """An entity that the question names, or that relations lead to."""

    depth: int
    mentions: int
    scope_seq: int
    name: str


class Said(NamedTuple):
    """What an item says, in the names and numbers that stores keep."""

    item_seq: int
    item_id: str
    entities: tuple[str, ...]
    triple: Triple | None
    valid_from: int | None
    valid_to: int | None


def said(entries: Sequence[GraphEntry]) -> list[Said]:
    """Return what entries say: names normalised, nameless things left out, the last entry of each item."""
    last = {entry.item_seq: entry for entry in entries}
    return [_said(entry) for entry in last.values()]


def names_of(entities: Sequence[str]) -> list[str]:
    """Return the names of a question's entities, each once."""
    return sorted({name for name in map(entity_name, entities) if name})


def choose(reached: Iterable[Reached]) -> list[Reached]:
    """Return the entities that count: no hubs, the nearest and rarest first, as many as the bounds allow."""
    chosen: list[Reached] = []
    mentions = 0
    for one in sorted(reached):
        if one.mentions > HUB:
            continue
        mentions += one.mentions
        if len(chosen) == REACHED_MAX or mentions > ROWS_MAX:
            break
        chosen.append(one)
    return chosen


def rank(chosen: Sequence[Reached], items: Mapping[tuple[int, str], Sequence[int]], limit: int) -> list[GraphHit]:
    """Return the best items.

    Args:
        chosen: the entities that count.
        items: `item_seq` of the items that mention an entity, by its scope and name.
        limit: most hits.
    """
    parts: defaultdict[int, list[float]] = defaultdict(list)
    hops: dict[int, int] = {}
    for one in chosen:
        weight = 0.5**one.depth / (1 + math.log(max(one.mentions, 1)))
        for item_seq in items.get((one.scope_seq, one.name), ()):
            parts[item_seq].append(weight)
            hops[item_seq] = min(one.depth, hops.get(item_seq, one.depth))
    # fsum: the same sum in whatever order a store returned its rows.
    hits = [GraphHit(item_seq, math.fsum(weights), hops[item_seq]) for item_seq, weights in parts.items()]
    return sorted(hits, key=lambda hit: (-hit.weight, hit.item_seq))[: max(limit, 0)]


def neighbour(what: Sequence[Any], items: Iterable[int]) -> Neighbour:
    """Return a relation.

    Args:
        what: its scope, subject, type, object, and since and until when it holds, as it is stored.
        items: `item_seq` of the items that prove it.
    """
    scope_seq, subject, relation, object_, valid_from, valid_to = what
    return Neighbour(
        scope_seq=scope_seq,
        subject=subject,
        relation=relation,
        object=object_,
        valid_from=None if valid_from is None else from_micros(valid_from),
        valid_to=None if valid_to is None else from_micros(valid_to),
        items=tuple(sorted(items)),
    )


def micros_or_none(at: datetime | None) -> int | None:
    """Return an instant as it is stored."""
    return None if at is None else to_micros(at)


def _said(entry: GraphEntry) -> Said:
    triple = _triple(entry.triple)
    named = [entity_name(entity) for entity in entry.entities]
    if entry.triple is not None:
        named = [entity_name(entry.triple.subject), entity_name(entry.triple.object), *named]
    entities = tuple(dict.fromkeys(name for name in named if name))[:ENTITIES_MAX]
    return Said(
        item_seq=entry.item_seq,
        item_id=entry.item_id,
        entities=entities,
        triple=triple,
        valid_from=micros_or_none(entry.valid_from),
        valid_to=micros_or_none(entry.valid_to),
    )


def _triple(triple: Triple | None) -> Triple | None:
    if triple is None:
        return None
    subject, object_ = entity_name(triple.subject), entity_name(triple.object)
    return Triple(subject, triple.relation, object_) if subject and object_ else None
