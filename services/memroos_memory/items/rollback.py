"""Taking a scope back to an earlier entry of its log, by entries that undo the later ones; so it can be undone too."""

from msgspec.structs import replace
from sqlalchemy import bindparam, func, select

from memroos_contracts.memory_errors import SequenceUnknown
from memroos_contracts.memory_items import Change, ItemStatus, RollbackReport, RollbackRequest, Viewer
from memroos_kit.db import Hot, Read, Tx
from memroos_memory.items.log import by, change
from memroos_memory.items.queries import row_of
from memroos_memory.items.scopes import scope_seq_of, scope_view
from memroos_memory.items.states import Row, State, decode, state_of
from memroos_memory.models import ItemVersion

_TOUCHED = Hot(
    select(ItemVersion.item_seq)
    .where(ItemVersion.scope_seq == bindparam("scope"), ItemVersion.log_seq > bindparam("to"))
    .distinct()
    .order_by(ItemVersion.item_seq)
)
_THEN = Hot(
    select(ItemVersion.state).where(
        ItemVersion.item_seq == bindparam("item"),
        ItemVersion.version
        == select(func.max(ItemVersion.version))
        .where(ItemVersion.item_seq == bindparam("item"), ItemVersion.log_seq <= bindparam("to"))
        .scalar_subquery(),
    )
)

_OPERATION = Hot(
    select(ItemVersion.operation).where(
        ItemVersion.scope_seq == bindparam("scope"), ItemVersion.log_seq == bindparam("to")
    )
)
_NEXT_OPERATION = Hot(
    select(ItemVersion.log_seq)
    .where(
        ItemVersion.scope_seq == bindparam("scope"),
        ItemVersion.log_seq > bindparam("to"),
        ItemVersion.operation != bindparam("operation"),
    )
    .order_by(ItemVersion.log_seq)
    .limit(1)
)


def rollback(tx: Tx, viewer: Viewer, scope_id: str, request: RollbackRequest) -> RollbackReport:
    """Let every item of a scope stand as it stood after an entry of its log.

    What was not there then is deleted, what was deleted since is there again. Nothing is taken out of the log: each
    item that stands otherwise gets a new version, all with one operation id. Rolling back to the entry before undoes
    it, and doing it again changes nothing. An operation that made several entries is not torn apart: one of them means
    the last, and the report says so.

    Raises:
        NotFound: there is no such scope, or the viewer may not see it.
        SequenceUnknown: its log is not that long.
    """
    scope = scope_seq_of(tx, viewer, scope_id)
    last_seq = scope_view(tx, scope).last_seq
    if request.to_seq > last_seq:
        raise SequenceUnknown(to_seq=request.to_seq, last_seq=last_seq)
    to_seq = _whole_operation(tx, scope, request.to_seq, last_seq)
    operation = "" if request.dry_run else tx.new_id("rbk")
    who = by(viewer, request.reason, operation)
    changed = []
    for (seq,) in tx.execute(_TOUCHED, scope=scope, to=to_seq).fetchall():
        row = row_of(tx, seq)
        then = _then(tx, row, to_seq)
        if then == state_of(row):
            continue
        changed.append(row.id)
        if not request.dry_run:
            change(tx, row, then, Change.ROLLBACK, who)
    return RollbackReport(
        scope_id=scope_id,
        to_seq=to_seq,
        before_seq=last_seq,
        after_seq=scope_view(tx, scope).last_seq,
        changed=changed,
        operation=operation,
        dry_run=request.dry_run,
    )


def _whole_operation(tx: Read, scope: int, to_seq: int, last_seq: int) -> int:
    """Return the last of the entries that an operation made together with this one."""
    found = tx.execute(_OPERATION, scope=scope, to=to_seq).fetchone()
    if found is None or not found[0]:
        return to_seq
    following = tx.execute(_NEXT_OPERATION, scope=scope, to=to_seq, operation=found[0]).fetchone()
    return int(following[0]) - 1 if following is not None else last_seq


def _then(tx: Read, row: Row, to_seq: int) -> State:
    found = tx.execute(_THEN, item=row.seq, to=to_seq).fetchone()
    if found is None:
        return replace(state_of(row), status=ItemStatus.DELETED)
    return decode(found[0])
