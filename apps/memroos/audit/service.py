"""Recording: what verbs announce, what failed, and the journal that seals it all before the COMMIT."""

import os
import secrets
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import structlog
from sqlalchemy import bindparam, func, select

from memroos.audit.errors import LedgerDamaged, LedgerKeyInvalid
from memroos.audit.models import audit_event, audit_head
from memroos.audit.rules import tree
from memroos.audit.rules.body import (
    LONGEST_TEXT,
    VERSION,
    Body,
    actor_part,
    asset_part,
    check_facts,
    decision_event_id,
    encode,
)
from memroos.audit.rules.note import Checkpoint, NoteInvalid, Signer, Verifier, checkpoint_text
from memroos_contracts.audit import AuditKind, Fact, Outcome
from memroos_contracts.errors import Denied, MemroosError
from memroos_contracts.governance import Asset, Decision
from memroos_contracts.identity import AuditEventId, DecisionId
from memroos_kit.clock import to_micros
from memroos_kit.db import Cursor, Hot, Read, Tx, insert_by_position

KEY_FILE = "ledger.key"
PUBLIC_KEY_FILE = "ledger.pub"

_NOTHING = Asset(kind="", id="")

_log = structlog.get_logger(__name__)

Row = tuple[str, int, str, str, str, str, str, str | None, str, str]
"""An event's columns between its sequence number and its hashes."""

Entry = tuple[Row, bytes]
"""An event that waits for the end of its batch: the row and the hash of its leaf."""


class _Seal:
    """The journal entry that asks for a signed head after this batch."""


_SEAL = _Seal()


# -- what verbs announce -------------------------------------------------------------------------------------------


def record(
    tx: Tx,
    event: str,
    asset: Asset,
    *,
    outcome: Outcome = Outcome.OK,
    decision_id: DecisionId | None = None,
    **facts: Fact,
) -> AuditEventId:
    """Record what came of an action, in the same transaction as the change.

    Args:
        tx: the unit of work; its last decision is paired with this outcome.
        event: what happened, `noun.past`.
        asset: what it happened to.
        outcome: how it ended.
        decision_id: pairs it with a decision of an earlier unit of work instead.
        facts: details; secrets and bodies only as their `digest`.

    Raises:
        ValueError: a fact has no single text form: a float, a nested object, a text that is too long.
    """
    check_facts(facts)
    if decision_id is None and tx.decisions:
        decision_id = tx.decisions[-1].id
    event_id = tx.new_id("aud")
    _append(tx, event_id, AuditKind.OUTCOME, event, asset, decision_id, outcome, facts)
    return AuditEventId(event_id)


def record_decision(tx: Read, decision: Decision) -> AuditEventId:
    """Record what policy said, once per decision; called by the authorizer that made it.

    The authorizer also appends it to `tx.decisions`: outcomes are paired with the last one, and an operation that is
    rolled back has its decisions recorded again from there. In a `Read` nothing is written.
    """
    event_id = decision_event_id(decision.id)
    if isinstance(tx, Tx):
        facts: dict[str, Fact] = {
            "approval": decision.approval_id,
            "cached": decision.cached,
            "effect": decision.effect.value,
            "policies": list(decision.policies),
            "policy_hash": decision.policy_hash,
            "purpose": decision.purpose[:LONGEST_TEXT],
            "reason": decision.reason[:LONGEST_TEXT],
        }
        _append(tx, event_id, AuditKind.DECISION, decision.action, decision.asset, decision.id, "", facts)
    return AuditEventId(event_id)


def _append(  # noqa: PLR0913, PLR0917 - the parts of a row
    tx: Tx,
    event_id: str,
    kind: AuditKind,
    action: str,
    asset: Asset,
    decision_id: str | None,
    outcome: str,
    facts: dict[str, Fact],
) -> None:
    actor, at = tx.actor, to_micros(tx.now)
    body = encode(
        Body(
            action,
            actor_part(actor),
            asset_part(asset),
            at,
            decision_id,
            facts,
            event_id,
            kind,
            outcome,
            VERSION,
            actor.workspace,
        )
    )
    row: Row = (
        event_id,
        at,
        actor.workspace,
        kind.value,
        action,
        actor.principal,
        f"{asset.kind}:{asset.id}",
        decision_id,
        str(outcome),
        body.decode(),
    )
    tx.journal(Ledger.name).append((row, tree.hash_leaf(body)))


def seal(tx: Tx) -> None:
    """Ask for a signed head over everything up to the end of this batch."""
    tx.journal(Ledger.name).append(_SEAL)


class FailureRecorder:
    """Records operations that were denied or failed; their changes are already rolled back."""

    def record_failure(self, tx: Tx, verb: str, error: BaseException) -> None:
        """Record the decisions that were made and how the operation ended.

        An operation that failed before anything was decided (a malformed value, an unknown id) leaves no trace here.
        """
        denied = isinstance(error, Denied)
        if not tx.decisions and not denied:
            return
        for decision in tx.decisions:
            record_decision(tx, decision)
        slug = error.slug() if isinstance(error, MemroosError) else "internal-error"
        last = tx.decisions[-1] if tx.decisions else None
        record(
            tx,
            last.action if last else _denied_action(error) or verb,
            last.asset if last else _NOTHING,
            outcome=Outcome.DENIED if denied else Outcome.FAILED,
            error=slug,
            verb=verb,
        )


def _denied_action(error: BaseException) -> str:
    action = error.facts.get("action") if isinstance(error, MemroosError) else None
    return action if isinstance(action, str) else ""


# -- the journal ---------------------------------------------------------------------------------------------------

_INSERT_EVENT = insert_by_position(audit_event)
_INSERT_HEAD = insert_by_position(audit_head)
_LAST_SEQ = Hot(select(func.coalesce(func.max(audit_event.c.seq), 0)))
_HASHES = Hot(select(audit_event.c.hashes).where(audit_event.c.seq == bindparam("seq")))
_LAST_HEAD = Hot(select(audit_head.c.size, audit_head.c.root).order_by(audit_head.c.size.desc()).limit(1))


class _State(msgspec.Struct):
    """Where the ledger stands: replaced as a whole, after a COMMIT."""

    size: int
    sealed: int
    frontier: list[bytes]
    notes: list[str] = []
    """Heads of the batch that was committed, for the witness."""


class Ledger:
    """The journal that numbers events in the order of their commits and keeps the tree over them.

    Everything it knows about the tree is local to a batch and published after its COMMIT, so a batch that fails leaves
    no trace. The state is read from the database at the first batch.

    Args:
        signer: signs the heads.
        seal_every: most events between two signed heads.
        witness: a file to which each signed head is appended, best on another disk; an error there is logged and the
            heads are appended later.
        wall_clock: microseconds since 1970, for the time at which a head was signed.
    """

    name = "audit"

    def __init__(
        self,
        signer: Signer,
        *,
        seal_every: int = 1000,
        witness: Path | None = None,
        wall_clock: Callable[[], int] = lambda: time.time_ns() // 1000,
    ) -> None:
        self.verifier: Verifier = signer.verifier
        self._signer = signer
        self._seal_every = seal_every
        self._witness = witness
        self._unwitnessed: list[str] = []
        self._wall_clock = wall_clock
        self._state: _State | None = None

    @property
    def unsealed(self) -> bool:
        """Whether there are, or may be, events that no signed head covers."""
        state = self._state
        return state is None or state.size > state.sealed or bool(self._unwitnessed)

    @property
    def size(self) -> int | None:
        """How many events there are; None before the first batch of this process."""
        state = self._state
        return None if state is None else state.size

    def write(self, cursor: Cursor, entries: list[Any]) -> _State:
        """Number, store and hash a batch's events, and sign a head where one is due.

        Raises:
            LedgerDamaged: the stored tree does not fit its last head; the whole batch fails.
        """
        state = self._state or _load(cursor)
        events = [entry for entry in entries if entry is not _SEAL]
        size, sealed, frontier, notes = state.size, state.sealed, state.frontier.copy(), list[str]()
        hashes: list[bytes] = []
        start = 0
        while start < len(events):
            end = min(len(events), start + max(1, sealed + self._seal_every - size))
            hashes += tree.append(frontier, size, [leaf for _, leaf in events[start:end]])
            size += end - start
            start = end
            if size - sealed >= self._seal_every:
                notes.append(self._sign(cursor, size, frontier))
                sealed = size
        if events:
            first = state.size + 1
            cursor.executemany(
                _INSERT_EVENT,
                [(seq, *row, of) for seq, ((row, _), of) in enumerate(zip(events, hashes, strict=True), first)],
            )
        if len(events) < len(entries) and size > sealed:
            notes.append(self._sign(cursor, size, frontier))
            sealed = size
        return _State(size, sealed, frontier, notes)

    def publish(self, pending: _State) -> None:
        """Take over the state of a committed batch and pass its heads to the witness."""
        self._state = pending
        if self._witness is not None:
            self._unwitnessed += pending.notes
            self._tell_witness(self._witness)

    def _sign(self, cursor: Cursor, size: int, frontier: Sequence[bytes]) -> str:
        root = tree.root_of(frontier, size)
        note = self._signer.sign(checkpoint_text(Checkpoint(self.verifier.name, size, root)))
        cursor.execute(_INSERT_HEAD, (size, root, self._wall_clock(), note))
        return note

    def _tell_witness(self, path: Path) -> None:
        # After the COMMIT: a head of a batch that failed must never be seen outside. An empty line before each note
        # ends what a torn write may have left.
        if not self._unwitnessed:
            return
        try:
            with path.open("ab") as file:
                file.write("".join(f"\n{note}" for note in self._unwitnessed).encode())
                file.flush()
                os.fsync(file.fileno())
        except OSError:
            _log.exception("the witness file cannot be written; its heads are kept", heads=len(self._unwitnessed))
        else:
            self._unwitnessed = []


def _load(cursor: Cursor) -> _State:
    """Read where the ledger stands, and refuse to go on from a state that its last head contradicts."""
    (size,) = cursor.execute(_LAST_SEQ.sql, _LAST_SEQ.bind({})).fetchone()
    head = cursor.execute(_LAST_HEAD.sql, _LAST_HEAD.bind({})).fetchone()
    sealed, root = head or (0, tree.EMPTY_ROOT)
    if sealed > size:
        raise LedgerDamaged(f"The last signed head covers {sealed} events, but there are only {size}.")

    def look_up(level: int, index: int) -> bytes:
        home = tree.home_of(level, index)
        row = cursor.execute(_HASHES.sql, _HASHES.bind({"seq": home})).fetchone()
        found = b"" if row is None else tree.pick(row[0], level)
        if len(found) != tree.HASH_BYTES:
            raise LedgerDamaged(
                f"The tree over {size} events is not whole: event {home} lacks the hash of level {level}."
            )
        return found

    if tree.root_of(tree.load_frontier(sealed, look_up), sealed) != root:
        raise LedgerDamaged(f"The tree over the first {sealed} events is not the one that was signed.")
    return _State(size, sealed, tree.load_frontier(size, look_up))


# -- the key -------------------------------------------------------------------------------------------------------


def ensure_signer(data_dir: Path, *, origin: str = "") -> Signer:
    """Return the ledger's signer; the first call makes its key file, readable by its owner only, and the public one.

    Args:
        data_dir: where `ledger.key` and `ledger.pub` live.
        origin: the ledger's public name, for a new key; a random one when empty.

    Raises:
        LedgerKeyInvalid: the key file holds something else.
    """
    path = data_dir / KEY_FILE
    try:
        signer = Signer.parse(path.read_text("ascii"))
    except FileNotFoundError:
        signer = Signer.generate(origin or f"memroos/{secrets.token_hex(4)}")
        _write_new(path, f"{signer.secret()}\n", mode=0o600)
    except (ValueError, OSError) as error:
        raise LedgerKeyInvalid(f"{path} cannot be read: {_reason(error)}") from error
    public = data_dir / PUBLIC_KEY_FILE
    if not public.exists():
        _write_new(public, f"{signer.verifier}\n", mode=0o644)
    return signer


def _reason(error: Exception) -> str:
    return error.strerror or "I/O error" if isinstance(error, OSError) else str(error)


def read_verifier(text_or_path: str | Path) -> Verifier:
    """Return a public key from its text or its file.

    Raises:
        LedgerKeyInvalid: it is something else.
    """
    try:
        return Verifier.parse(text_or_path.read_text("ascii") if isinstance(text_or_path, Path) else text_or_path)
    except (NoteInvalid, OSError, UnicodeError) as error:
        raise LedgerKeyInvalid(f"Not a public key: {error}") from error


def _write_new(path: Path, content: str, *, mode: int) -> None:
    """Create a file that appears whole, with its permissions, or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    temporary.rename(path)
