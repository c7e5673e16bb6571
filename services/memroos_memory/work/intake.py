"""Taking over what the kernel hands over: kept at once, understood later."""

from collections.abc import Iterator, Sequence

from sqlalchemy import text

from memroos_contracts.memory import IngestEvent, IngestReport, Removal
from memroos_contracts.memory_work import JobLabel
from memroos_kit.db import Database, Hot, Read, Tx
from memroos_memory import items, jobs
from memroos_memory.actor import SERVICE
from memroos_memory.echo import EchoMarks, echoes
from memroos_memory.work.following import follow
from memroos_memory.work.gate import noise

EVENTS_AT_ONCE = 32
CHARACTERS_AT_ONCE = 40_000
"""Both bound what is taken over in one transaction, so that nobody waits long for the writer."""

KERNEL = "kernel"
_POSITION = Hot(text("SELECT position FROM intake WHERE source = :source"))
_MOVE = Hot(text(
    "INSERT INTO intake (source, position) VALUES (:source, :position)"
    " ON CONFLICT (source) DO UPDATE SET position = max(position, :position)"
))  # fmt: skip
_BEFORE = Hot(text(
    "SELECT author, speaker, text FROM item WHERE scope_seq = :scope AND stream = :stream AND stream_seq < :seq"
    " AND kind = 'event' ORDER BY stream_seq DESC LIMIT 1"
))  # fmt: skip


async def ingest(
    db: Database, events: Sequence[IngestEvent], *, echo: EchoMarks | None = None, learn: JobLabel = JobLabel.DERIVE
) -> IngestReport:
    """Take over events in this order, a few at a time. What was taken over stays so if a later one fails."""
    stored = known = 0
    for some in _a_few(events):
        report = await db.write(SERVICE, take_events, some, echo=echo, learn=learn)
        stored, known = stored + report.stored, known + report.known
    return IngestReport(stored, known)


def _a_few(events: Sequence[IngestEvent]) -> Iterator[list[IngestEvent]]:
    """Return events in portions; a long text comes alone."""
    some: list[IngestEvent] = []
    characters = 0
    for one in events:
        length = len(one.event.text or "")
        if some and (len(some) == EVENTS_AT_ONCE or characters + length > CHARACTERS_AT_ONCE):
            yield some
            some, characters = [], 0
        some.append(one)
        characters += length
    if some:
        yield some


def take_events(
    tx: Tx, events: Sequence[IngestEvent], *, echo: EchoMarks | None = None, learn: JobLabel = JobLabel.DERIVE
) -> IngestReport:
    """Keep events, and put into line what is to be done with them. An event that is known is left as it is.

    Nothing is learned from an event that repeats what recall had handed out to its author, nor from noise; both are
    kept and found like any other.

    Args:
        events: in the kernel's order.
        echo: what was handed out a moment ago, and is not written yet.
        learn: how facts are found: `derive` by rules, `extract` by a model.
    """
    teaching: dict[int, list[int]] = {}
    stored = 0
    for one in events:
        known = items.seq_of(tx, one.event.id) is not None
        repeats = not known and _is_echo(tx, one, echo)
        seq = items.add_event(tx, one, echo=repeats)
        if seq is None:
            continue
        stored += 1
        scope = _scope_of(tx, seq)
        if not repeats and not _noise(tx, scope, one):
            teaching.setdefault(scope, []).append(seq)
    follow(tx)
    for scope, seqs in teaching.items():
        jobs.enqueue_items(tx, learn, scope, seqs)
    if events:
        _move(tx, events[-1].position)
    return IngestReport(stored, len(events) - stored)


def take_removals(tx: Tx, removals: Sequence[Removal]) -> None:
    """Let events be found no more, nor what rests on them alone; may be repeated."""
    for removal in removals:
        items.remove_event(tx, removal)
    follow(tx)
    if removals:
        _move(tx, removals[-1].position)


def position(tx: Read) -> int:
    """Return how far the kernel's log has been taken over; 0 where nothing has."""
    row = tx.execute(_POSITION, source=KERNEL).fetchone()
    return 0 if row is None else int(row[0])


def _move(tx: Tx, to: int) -> None:
    tx.execute(_MOVE, source=KERNEL, position=to)


def _is_echo(tx: Read, one: IngestEvent, echo: EchoMarks | None) -> bool:
    event = one.event
    said = event.text or ""
    if echo is None:
        return echoes(tx, event.workspace_id, event.author, said)
    return echo.is_echo(tx, event.workspace_id, event.author, said)


def _noise(tx: Read, scope: int, one: IngestEvent) -> str:
    event = one.event
    row = tx.execute(_BEFORE, scope=scope, stream=event.stream, seq=event.stream_seq).fetchone()
    same = row is not None and (row[0], row[1]) == (event.author, event.speaker)
    return noise(event.text or "", before=row[2] if same else "")


def _scope_of(tx: Tx, seq: int) -> int:
    """Return the scope of an event that was just added: the newest that was announced is its."""
    touched = tx.journal(items.JOURNAL)[-1]
    assert touched.item_seq == seq
    return int(touched.scope_seq)
