"""Taking over events as they were said, in the order in which the kernel recorded them."""

from memroos_contracts.memory import IngestEvent
from memroos_contracts.memory_items import ItemKind
from memroos_kit.clock import to_micros
from memroos_kit.db import Tx
from memroos_memory.items.log import By, add
from memroos_memory.items.queries import seq_of
from memroos_memory.items.scopes import scope_for
from memroos_memory.items.states import State, encode


def add_event(tx: Tx, one: IngestEvent, *, echo: bool = False) -> int | None:
    """Keep an event as an item with the same id, in the scope of those who may read it, and index its words.

    Returns:
        The item's number; None where the event is known, also where it was removed meanwhile. So it may be repeated.
    """
    event = one.event
    if seq_of(tx, event.id) is not None:
        return None
    scope = scope_for(tx, workspace=event.workspace_id, readers=one.readers, private=one.private, user_id=event.user_id)
    occurred_at = to_micros(event.occurred_at or event.created_at)
    fixed = {
        "id": event.id,
        "scope_seq": scope,
        "kind": ItemKind.EVENT.value,
        "event_kind": event.kind.value,
        "stream": event.stream,
        "stream_seq": event.stream_seq,
        "speaker": event.speaker,
        "author": event.author,
        "owner": event.owner,
        "agent_id": event.agent_id,
        "user_id": event.user_id,
        "run_id": event.run_id,
        "task_id": event.task_id,
        "context_id": event.context_id,
        "source": encode(event.source) if event.source is not None else None,
        "occurred_at": occurred_at,
        "echo": int(echo),
    }
    state = State(
        text=event.text or "", digest=event.digest, data=event.data, label=event.label, valid_from=occurred_at
    )
    return add(tx, fixed, state, By(event.author))
