"""Scopes: what the same readers may see, about the same user. Each has a log and statistics of its own."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import bindparam, insert, select, text

from memroos_contracts.errors import NotFound
from memroos_contracts.memory_items import ScopeView, Viewer
from memroos_kit.clock import from_micros, to_micros
from memroos_kit.db import Hot, Read, Tx
from memroos_memory.items.states import encode, names
from memroos_memory.models import Scope, ScopeReader

EVERYBODY = ""
"""The reader who sees all of the workspace but what is private: whoever runs it."""

_FIND = Hot(
    select(Scope.seq).where(
        Scope.workspace_id == bindparam("workspace"),
        Scope.readers == bindparam("readers"),
        Scope.private == bindparam("private"),
        Scope.user_id == bindparam("user_id"),
    )
)
_ADD = Hot(insert(Scope), columns=[column.name for column in Scope.__table__.columns if column.name != "seq"])
_ADD_READER = Hot(insert(ScopeReader))

_own = (ScopeReader.workspace_id == bindparam("workspace"), ScopeReader.reader == bindparam("reader"))
_VISIBLE = Hot(
    select(Scope.seq, Scope.id, Scope.user_id)
    .join_from(ScopeReader, Scope, Scope.seq == ScopeReader.scope_seq)
    .where(*_own)
    .order_by(Scope.seq)
)
_columns = (
    Scope.id,
    Scope.readers,
    Scope.private,
    Scope.user_id,
    Scope.items,
    Scope.last_seq,
    Scope.created_at,
)
_VIEWS = Hot(
    select(*_columns).join_from(ScopeReader, Scope, Scope.seq == ScopeReader.scope_seq).where(*_own).order_by(Scope.seq)
)
_VIEW = Hot(select(*_columns).where(Scope.seq == bindparam("seq")))
_ITEMS = Hot(text("SELECT coalesce(sum(items), 0) FROM scope WHERE seq IN (SELECT value FROM json_each(:scopes))"))
_SEQ_OF = Hot(
    select(Scope.seq)
    .join_from(Scope, ScopeReader, Scope.seq == ScopeReader.scope_seq)
    .where(*_own, Scope.id == bindparam("id"))
)


def scope_for(tx: Tx, *, workspace: str, readers: tuple[str, ...], private: bool, user_id: str) -> int:
    """Return the number of the scope with these readers, making it if there is none."""
    own = {"workspace": workspace, "readers": encode(sorted(set(readers))), "private": int(private), "user_id": user_id}
    found = tx.execute(_FIND, **own).fetchone()
    if found is not None:
        return int(found[0])
    seq = tx.execute(
        _ADD,
        id=tx.new_id("scp"),
        workspace_id=workspace,
        readers=own["readers"],
        private=own["private"],
        user_id=user_id,
        last_seq=0,
        items=0,
        created_at=to_micros(tx.now),
    ).lastrowid
    assert seq is not None
    for reader in {*readers, *(() if private else (EVERYBODY,))}:
        tx.execute(_ADD_READER, workspace_id=workspace, reader=reader, scope_seq=seq)
    return seq


def visible_scopes(
    tx: Read, workspace: str, reader: str, *, user_id: str | None = None, scope_id: str | None = None
) -> list[int]:
    """Return the numbers of the scopes a reader may see, narrowed to a user or to one scope; none is an answer."""
    found = tx.execute(_VISIBLE, workspace=workspace, reader=reader).fetchall()
    return [
        seq
        for seq, id_, user in found
        if (user_id is None or user == user_id) and (scope_id is None or id_ == scope_id)
    ]


def list_scopes(tx: Read, viewer: Viewer) -> list[ScopeView]:
    """Return the scopes a viewer may see, oldest first."""
    found = tx.execute(_VIEWS, workspace=viewer.workspace_id, reader=viewer.reader).fetchall()
    return [_view(row) for row in found]


def scope_view(tx: Read, scope_seq: int) -> ScopeView:
    """Return a scope; its number comes from inside."""
    return _view(tx.execute(_VIEW, seq=scope_seq).fetchone())


def count_in(tx: Read, scopes: Sequence[int]) -> int:
    """Return how many items scopes have together; their numbers come from inside."""
    return int(tx.execute(_ITEMS, scopes=encode(scopes)).fetchone()[0])


def scope_seq_of(tx: Read, viewer: Viewer, scope_id: str) -> int:
    """Return the number of a scope.

    Raises:
        NotFound: there is none, or the viewer may not see it.
    """
    found = tx.execute(_SEQ_OF, workspace=viewer.workspace_id, reader=viewer.reader, id=scope_id).fetchone()
    if found is None:
        raise NotFound(kind_of_object="scope", id=scope_id)
    return int(found[0])


def _view(row: Any) -> ScopeView:
    id_, readers, private, user_id, items, last_seq, created_at = row
    return ScopeView(
        id=id_,
        readers=names(readers),
        private=bool(private),
        user_id=user_id,
        items=items,
        last_seq=last_seq,
        created_at=from_micros(created_at),
    )
