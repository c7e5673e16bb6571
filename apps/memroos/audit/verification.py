"""Verifying a ledger from its file alone: everything is computed again, and the first event that does not fit is named.

The file is opened read-only; no server is needed and a running one is not disturbed.
"""

import heapq
from collections.abc import Callable, Iterator, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import quote

import msgspec

from memroos.audit.errors import LedgerUnreadable
from memroos.audit.rules import tree
from memroos.audit.rules.body import VERSION, Body, decision_event_id, decode
from memroos.audit.rules.note import NoteInvalid, Verifier, find_notes, read_checkpoint
from memroos.audit.service import PUBLIC_KEY_FILE, read_verifier
from memroos_contracts.audit import AuditKind, Misfit, VerifyReport
from memroos_contracts.identity import AuditEventId
from memroos_kit.db import sqlite3

Progress = Callable[[int, int], object]
"""Called with the number of events checked and of all events."""

_CHUNK = 4_096
_REMEMBERED_DECISIONS = 50_000

_EVENTS = """
    SELECT seq, id, at, workspace_id, kind, action, actor, asset, decision_id, outcome, CAST(body AS BLOB), hashes
    FROM audit_event ORDER BY seq"""
_HEADS = "SELECT size, root, note FROM audit_head ORDER BY size"
_DECISION = "SELECT seq FROM audit_event WHERE id = ? AND kind = 'decision'"

_COLUMN_NAMES = ("id", "time", "workspace", "kind", "action", "actor", "asset", "decision", "outcome")
_DECISION_KIND = AuditKind.DECISION.value


def verify(
    path: Path,
    *,
    public_key: Verifier | Path | str | None = None,
    witness: Path | None = None,
    progress: Progress | None = None,
) -> VerifyReport:
    """Recompute a whole ledger and compare it with itself, its signed heads and a witness.

    Args:
        path: the kernel's database.
        public_key: what the heads were signed with: a key, its text or its file; without one, `ledger.pub` beside the
            database where there is one. Take it from elsewhere when the whole directory is in doubt.
        witness: a file of signed heads that was kept elsewhere; it shows what was cut off at the end.
        progress: called now and then.

    Raises:
        LedgerUnreadable: the file holds no ledger, or the witness cannot be read.
        LedgerKeyInvalid: the public key is none.
    """
    verifier = _verifier(path, public_key)
    witnessed = [] if witness is None else _read_witness(witness, verifier)
    connection = _open(path)
    try:
        return _Verification(connection, verifier, witnessed, progress).run()
    finally:
        connection.close()


def _verifier(path: Path, public_key: Verifier | Path | str | None) -> Verifier | None:
    if isinstance(public_key, Verifier):
        return public_key
    if public_key is not None:
        return read_verifier(public_key)
    beside = path.parent / PUBLIC_KEY_FILE
    return read_verifier(beside) if beside.exists() else None


def _open(path: Path) -> Any:
    if not path.is_file():
        raise LedgerUnreadable(f"There is no file {path}.")
    connection = sqlite3.connect(f"file:{quote(str(path.absolute()))}?mode=ro", uri=True, isolation_level=None)
    try:
        connection.execute("PRAGMA mmap_size=1073741824")
        connection.execute("BEGIN")  # one snapshot, also while the kernel writes
        connection.execute("SELECT seq FROM audit_event LIMIT 1").fetchone()
    except sqlite3.Error as error:
        connection.close()
        raise LedgerUnreadable(f"{path} holds no ledger: {error}.") from error
    return connection


class _Head(msgspec.Struct, order=True):
    """A head that the tree must pass through."""

    size: int
    root: bytes
    witnessed: bool
    fault: str = ""
    """What is wrong with the head itself."""

    @property
    def name(self) -> str:
        return f"the {'witnessed' if self.witnessed else 'signed'} head of size {self.size}"


def _read_witness(path: Path, verifier: Verifier | None) -> list[_Head]:
    try:
        notes = find_notes(path.read_text("utf-8", errors="replace"))
    except OSError as error:
        raise LedgerUnreadable(f"The witness file {path} cannot be read: {error.strerror}.") from error
    return sorted(_read_head(note, verifier, witnessed=True) for note in notes)


def _read_head(note: str, verifier: Verifier | None, *, witnessed: bool) -> _Head:
    size, root = 0, b""
    try:
        checkpoint = read_checkpoint(f"{note.rpartition(chr(10) * 2)[0]}\n")
        size, root = checkpoint.size, checkpoint.root
        if verifier is not None:
            verifier.open(note)
    except NoteInvalid as error:
        return _Head(size, root, witnessed, str(error))
    foreign = verifier is not None and checkpoint.origin != verifier.name
    return _Head(size, root, witnessed, f"it is of another ledger, {checkpoint.origin}" if foreign else "")


class _Verification:
    """One pass over a ledger, in the order of the events."""

    def __init__(
        self, connection: Any, verifier: Verifier | None, witnessed: list[_Head], progress: Progress | None
    ) -> None:
        self.connection = connection
        self.verifier = verifier
        self.progress = progress
        self.frontier: list[bytes] = [b""] * tree.LEVELS
        self.size = self.sealed = self.sealed_before = self.heads = self.witnessed = 0
        self.recent: set[str] = set()
        self.older: set[str] = set()
        self.due = heapq.merge(self._stored_heads(), witnessed)
        self.total = connection.execute("SELECT coalesce(max(seq), 0) FROM audit_event").fetchone()[0]

    def run(self) -> VerifyReport:
        try:
            misfit = self._walk()
        except sqlite3.DatabaseError as error:
            misfit = Misfit(self.size + 1, f"the file is damaged here: {error}")
        return VerifyReport(
            ok=misfit is None,
            events=self.size,
            heads=self.heads,
            witnessed=self.witnessed,
            sealed=self.sealed,
            root="" if misfit else tree.root_of(self.frontier, self.size).hex(),
            signatures_checked=self.verifier is not None,
            misfit=misfit,
        )

    def _walk(self) -> Misfit | None:
        rows = self.connection.execute(_EVENTS)
        head = next(self.due, None)
        while chunk := rows.fetchmany(_CHUNK):
            while chunk:
                # Stop where a head wants to see the root.
                until = len(chunk) if head is None else max(0, head.size - self.size)
                misfit = self._check(chunk[:until])
                chunk = chunk[until:]
                while misfit is None and head is not None and head.size <= self.size:
                    misfit = self._meet(head)
                    head = next(self.due, None)
                if misfit is not None:
                    return misfit
            if self.progress is not None:
                self.progress(self.size, self.total)
        if head is not None:
            reason = f"{head.name} covers more, but the ledger ends after {self.size} events"
            return Misfit(self.size + 1, head.fault or reason, until_seq=head.size or None)
        return None

    # -- events ------------------------------------------------------------------------------------------------

    def _check(self, rows: Sequence[Any]) -> Misfit | None:
        """Check events one by one, then the tree over those that fit: so the first misfit is the one that is named."""
        leaves: list[bytes] = []
        found: Misfit | None = None
        for expected, row in enumerate(rows, self.size + 1):
            leaf = sha256(b"\x00" + row[10]).digest()
            fault = self._fault_of(expected, row, leaf)
            if fault:
                seq = min(expected, row[0])
                found = Misfit(seq, fault, AuditEventId(str(row[1])) if row[0] == seq else None)
                if row[0] == expected and leaf == row[11][: tree.HASH_BYTES]:
                    leaves.append(leaf)  # the body is as it was sealed: then the tree may tell of an earlier one
                break
            leaves.append(leaf)
        computed = tree.append(self.frontier, self.size, leaves)
        for seq, (row, hashes) in enumerate(zip(rows, computed, strict=False), self.size + 1):
            if row[11] != hashes:
                unfit = _unfit_tree(seq, row[11], hashes)
                return found if found is not None and found.seq <= unfit.seq else unfit
            if found is None or seq < found.seq:
                self.size = seq
        return found

    def _fault_of(self, expected: int, row: Any, leaf: bytes) -> str:
        seq, event_id, at, workspace, kind, action, actor, asset, decision, outcome, text, stored = row
        if seq != expected:
            return f"event {expected} is missing" if seq > expected else f"event {seq} has no place here"
        if leaf != stored[: tree.HASH_BYTES]:
            return "its body does not belong to its hash"
        try:
            body = decode(text)
        except msgspec.MsgspecError as error:
            return f"its body cannot be read: {error}"
        if (
            body.id != event_id
            or body.at != at
            or body.workspace != workspace
            or body.kind != kind
            or body.action != action
            or body.decision != decision
            or body.outcome != outcome
            or f"{body.asset.kind}:{body.asset.id}" != asset
            or f"{body.actor.role}:{body.actor.id}" != actor
            or body.v != VERSION
        ):
            return _difference(body, row)
        return "" if decision is None else self._fault_of_pair(seq, event_id, kind, decision)

    def _fault_of_pair(self, seq: int, event_id: str, kind: str, decision: str) -> str:
        if kind == _DECISION_KIND:
            if event_id != decision_event_id(decision):
                return "its id does not belong to its decision"
            if len(self.recent) >= _REMEMBERED_DECISIONS:
                self.older, self.recent = self.recent, set()
            self.recent.add(decision)
            return ""
        if decision in self.recent or decision in self.older:
            return ""
        row = self.connection.execute(_DECISION, (decision_event_id(decision),)).fetchone()
        return "" if row is not None and row[0] < seq else f"its decision {decision} is not recorded before it"

    # -- the heads ---------------------------------------------------------------------------------------------

    def _stored_heads(self) -> Iterator[_Head]:
        for size, root, note in self.connection.execute(_HEADS):
            head = _read_head(note, self.verifier, witnessed=False)
            if not head.fault and (head.size, head.root) != (size, root):
                head.fault = "its row says something else than its note"
            head.size = size
            yield head

    def _meet(self, head: _Head) -> Misfit | None:
        if head.fault:
            return Misfit(head.size, f"{head.name}: {head.fault}")
        if tree.root_of(self.frontier, self.size) != head.root:
            reason = f"the events up to here are not those of {head.name}"
            # Two heads may speak of one size; then the events before it are those that were not sealed until there.
            before = self.sealed_before if head.size == self.sealed else self.sealed
            return Misfit(before + 1, reason, until_seq=head.size)
        if head.size > self.sealed:
            self.sealed_before, self.sealed = self.sealed, head.size
        self.witnessed += head.witnessed
        self.heads += not head.witnessed
        return None


def _unfit_tree(seq: int, stored: bytes, computed: bytes) -> Misfit:
    """Name the events below the lowest stored hash that does not fit; the leaves themselves do."""
    level = next(
        (n for n in range(1, len(computed) // tree.HASH_BYTES) if tree.pick(stored, n) != tree.pick(computed, n)), 0
    )
    return Misfit(seq - (1 << level) + 1, f"the tree stored with event {seq} does not fit", until_seq=seq)


def _difference(body: Body, row: Any) -> str:
    told = (body.id, body.at, body.workspace, body.kind, body.action, f"{body.actor.role}:{body.actor.id}")
    told += (f"{body.asset.kind}:{body.asset.id}", body.decision, body.outcome)  # type: ignore[assignment]
    for name, column, inside in zip(_COLUMN_NAMES, row[1:10], told, strict=True):
        if column != inside:
            return f"its {name} is {column!r} in the table and {inside!r} in the body"
    return f"its body has version {body.v}, which is unknown"
