"""Whatever is changed in a ledger, verifying it names the first event that does not fit."""

import shutil
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.actors import OPERATOR
from tests.memroos.audit.conftest import TASK, Fill, create, rows, tamper

from memroos import audit
from memroos.audit import verification
from memroos.audit.rules import tree
from memroos.audit.rules.note import Checkpoint, checkpoint_text
from memroos_contracts.audit import VerifyReport
from memroos_kit.db import Database, Tx, sqlite3


@pytest.fixture
def ledger_file(db: Database, db_path: Path, fill: Fill) -> Path:
    """Thirteen actions: 26 events, heads over 10 and 20 of them, and the database closed."""
    fill(13)
    db.close()
    return db_path


def verify(path: Path, signer: audit.Signer) -> VerifyReport:
    return audit.verify(path, public_key=signer.verifier)


def rewrite(path: Path, signer: audit.Signer | None = None) -> None:
    """Recompute hashes, tree and heads over the bodies as they are now, as a clever forger would."""
    bodies = [body.encode() for (body,) in rows(path, "SELECT body FROM audit_event ORDER BY seq")]
    frontier = [b""] * tree.LEVELS
    hashes = tree.append(frontier, 0, [tree.hash_leaf(body) for body in bodies])
    connection = sqlite3.connect(str(path), isolation_level=None)
    connection.executemany("UPDATE audit_event SET hashes = ? WHERE seq = ?", [(h, n) for n, h in enumerate(hashes, 1)])
    for (size,) in list(connection.execute("SELECT size FROM audit_head")) if signer else ():
        assert signer is not None
        partial = [b""] * tree.LEVELS
        tree.append(partial, 0, [tree.hash_leaf(body) for body in bodies[:size]])
        root = tree.root_of(partial, size)
        note = signer.sign(checkpoint_text(Checkpoint(signer.verifier.name, size, root)))
        connection.execute("UPDATE audit_head SET root = ?, note = ? WHERE size = ?", (root, note, size))
    connection.close()


CHANGE_BODY = "UPDATE audit_event SET body = replace(body, '\"number\":2', '\"number\":9') WHERE seq = 6"


# -- a ledger that fits --------------------------------------------------------------------------------------------


def test_a_whole_ledger_is_clean(ledger_file: Path, signer: audit.Signer) -> None:
    report = verify(ledger_file, signer)

    assert report.ok
    assert report.misfit is None
    assert (report.events, report.heads, report.sealed, report.witnessed) == (26, 2, 20, 0)
    assert report.signatures_checked


def test_an_empty_ledger_is_clean(db_path: Path) -> None:
    report = audit.verify(db_path)

    assert report.ok
    assert (report.events, report.root) == (0, sha256(b"").hexdigest())


def test_a_ledger_is_verified_while_the_kernel_writes(db: Database, db_path: Path, fill: Fill) -> None:
    fill(3)

    assert audit.verify(db_path).events == 6
    fill(1)
    assert audit.verify(db_path).events == 8


def test_the_key_beside_the_database_is_taken(ledger_file: Path, signer: audit.Signer) -> None:
    assert not audit.verify(ledger_file).signatures_checked

    (ledger_file.parent / audit.PUBLIC_KEY_FILE).write_text(f"{signer.verifier}\n")

    assert audit.verify(ledger_file).signatures_checked


def test_the_key_may_be_given_as_text_or_file(ledger_file: Path, signer: audit.Signer, tmp_path: Path) -> None:
    (tmp_path / "key").write_text(str(signer.verifier))

    assert audit.verify(ledger_file, public_key=str(signer.verifier)).ok
    assert audit.verify(ledger_file, public_key=tmp_path / "key").ok


def test_progress_is_told(ledger_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verification, "_CHUNK", 10)
    told: list[tuple[int, int]] = []

    audit.verify(ledger_file, progress=lambda done, total: told.append((done, total)))

    assert told == [(10, 26), (20, 26), (26, 26)]


def test_an_outcome_finds_its_decision_also_much_later(
    db: Database, db_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verification, "_REMEMBERED_DECISIONS", 2)
    db.write_now(OPERATOR, create)
    (decision,) = rows(db_path, "SELECT decision_id FROM audit_event WHERE seq = 1")[0]
    for _ in range(8):
        db.write_now(OPERATOR, create)
    db.write_now(OPERATOR, lambda tx: audit.record(tx, "tool.used", TASK, decision_id=decision))

    assert audit.verify(db_path).ok


# -- one that does not -------------------------------------------------------------------------------------------

COLUMNS = {
    "id": "'aud_00000000000000000000000000'",
    "at": "at + 1",
    "workspace_id": "'elsewhere'",
    "kind": "'decision'",
    "action": "'task.deleted'",
    "actor": "'operator:key_other'",
    "asset": "'task:task_2'",
    "decision_id": "NULL",
    "outcome": "'failed'",
    "body": "replace(body, 'task.created', 'task.deleted')",
    "hashes": "zeroblob(length(hashes))",
}


@pytest.mark.parametrize(("column", "value"), COLUMNS.items())
@pytest.mark.parametrize("seq", [2, 6, 26])
def test_one_changed_value_is_found_in_its_event(
    column: str, value: str, seq: int, ledger_file: Path, signer: audit.Signer
) -> None:
    event = rows(ledger_file, "SELECT id FROM audit_event WHERE seq = ?", seq)[0][0]

    tamper(ledger_file, f"UPDATE audit_event SET {column} = {value} WHERE seq = {seq}")

    report = verify(ledger_file, signer)
    assert not report.ok
    assert report.misfit is not None
    assert report.misfit.seq == seq
    assert report.misfit.event == event or column == "id"
    assert report.events == seq - 1


def test_a_changed_column_is_shown_with_what_the_body_says(ledger_file: Path, signer: audit.Signer) -> None:
    tamper(ledger_file, "UPDATE audit_event SET action = 'task.deleted' WHERE seq = 4")

    misfit = verify(ledger_file, signer).misfit

    assert misfit is not None
    assert misfit.reason == "its action is 'task.deleted' in the table and 'task.created' in the body"


@pytest.mark.parametrize("seq", [1, 13, 25])
def test_a_missing_event_is_named(seq: int, ledger_file: Path, signer: audit.Signer) -> None:
    tamper(ledger_file, f"DELETE FROM audit_event WHERE seq = {seq}")

    misfit = verify(ledger_file, signer).misfit

    assert misfit is not None
    assert (misfit.seq, misfit.reason) == (seq, f"event {seq} is missing")


def test_an_event_that_was_slipped_in_is_named(ledger_file: Path, signer: audit.Signer) -> None:
    copy = "SELECT 0, 'aud_x', at, workspace_id, kind, action, actor, asset, decision_id, outcome, body, hashes"
    tamper(ledger_file, f"INSERT INTO audit_event {copy} FROM audit_event WHERE seq = 1")

    misfit = verify(ledger_file, signer).misfit

    assert misfit is not None
    assert (misfit.seq, misfit.reason) == (0, "event 0 has no place here")


def test_two_events_that_changed_places_are_noticed(ledger_file: Path, signer: audit.Signer) -> None:
    tamper(
        ledger_file,
        "UPDATE audit_event SET seq = -1 WHERE seq = 7",
        "UPDATE audit_event SET seq = 7 WHERE seq = 11",
        "UPDATE audit_event SET seq = 11 WHERE seq = -1",
    )

    misfit = verify(ledger_file, signer).misfit

    assert misfit is not None
    assert (misfit.seq, misfit.until_seq) == (7, 8)


def test_a_body_with_its_hash_recomputed_is_found_by_the_tree(ledger_file: Path, signer: audit.Signer) -> None:
    tamper(ledger_file, CHANGE_BODY)
    ((body, hashes),) = rows(ledger_file, "SELECT body, hashes FROM audit_event WHERE seq = 6")
    forged = tree.hash_leaf(body.encode()) + hashes[32:]
    tamper(ledger_file, f"UPDATE audit_event SET hashes = x'{forged.hex()}' WHERE seq = 6")

    misfit = verify(ledger_file, signer).misfit

    assert misfit is not None
    assert (misfit.seq, misfit.until_seq) == (5, 6)
    assert "the tree stored with event 6 does not fit" in misfit.reason


def test_a_tree_that_was_recomputed_too_is_found_by_the_head(ledger_file: Path, signer: audit.Signer) -> None:
    tamper(ledger_file, CHANGE_BODY)
    rewrite(ledger_file)

    report = verify(ledger_file, signer)

    assert report.misfit is not None
    assert (report.misfit.seq, report.misfit.until_seq) == (1, 10)
    assert "not those of the signed head of size 10" in report.misfit.reason


def test_heads_that_were_signed_again_with_another_key_are_found_by_the_public_key(
    ledger_file: Path, signer: audit.Signer
) -> None:
    tamper(ledger_file, CHANGE_BODY)
    rewrite(ledger_file, audit.Signer(signer.verifier.name, bytes(31) + b"\x01"))

    report = verify(ledger_file, signer)

    assert audit.verify(ledger_file).ok  # without the key nothing can be said against it
    assert report.misfit is not None
    assert report.misfit.seq == 10
    assert "no signature of" in report.misfit.reason


def test_heads_that_were_signed_again_with_the_stolen_key_are_found_by_the_witness(
    ledger_file: Path, signer: audit.Signer, tmp_path: Path
) -> None:
    witness = tmp_path / "witness"
    notes = [note for (note,) in rows(ledger_file, "SELECT note FROM audit_head")]
    witness.write_text("".join(f"\n{note}" for note in notes))
    tamper(ledger_file, CHANGE_BODY)
    rewrite(ledger_file, signer)

    report = audit.verify(ledger_file, public_key=signer.verifier, witness=witness)

    assert verify(ledger_file, signer).ok
    assert report.misfit is not None
    assert (report.misfit.seq, report.misfit.until_seq) == (1, 10)
    assert "witnessed head of size 10" in report.misfit.reason


def test_a_tail_that_was_cut_off_is_found_by_the_head(ledger_file: Path, signer: audit.Signer) -> None:
    tamper(ledger_file, "DELETE FROM audit_event WHERE seq > 17")

    misfit = verify(ledger_file, signer).misfit

    assert misfit is not None
    assert (misfit.seq, misfit.until_seq) == (18, 20)
    assert "the ledger ends after 17 events" in misfit.reason


def test_a_tail_that_was_cut_off_with_its_heads_is_found_by_the_witness(
    ledger_file: Path, signer: audit.Signer, tmp_path: Path
) -> None:
    witness = tmp_path / "witness"
    witness.write_text("\n" + rows(ledger_file, "SELECT note FROM audit_head WHERE size = 20")[0][0])
    tamper(ledger_file, "DELETE FROM audit_event WHERE seq > 10", "DELETE FROM audit_head WHERE size > 10")

    report = audit.verify(ledger_file, public_key=signer.verifier, witness=witness)

    assert verify(ledger_file, signer).ok
    assert report.misfit is not None
    assert (report.misfit.seq, report.misfit.until_seq) == (11, 20)


def test_a_witness_of_another_ledger_is_noticed(ledger_file: Path, tmp_path: Path, signer: audit.Signer) -> None:
    other = signer.sign(checkpoint_text(Checkpoint("memroos/other", 10, bytes(32))))
    (tmp_path / "witness").write_text(f"\n{other}")

    report = audit.verify(ledger_file, public_key=signer.verifier, witness=tmp_path / "witness")

    assert report.misfit is not None
    assert "of another ledger, memroos/other" in report.misfit.reason


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ("root = zeroblob(32)", "its row says something else than its note"),
        ("size = 9", "its row says something else than its note"),
        ("note = 'nonsense'", "not a checkpoint"),
        ("note = replace(note, '— memroos/test ', '— memroos/test !')", "a signature is not base64"),
        ("note = replace(note, '— memroos/test', '— memroos/else')", "no signature of"),
    ],
)
def test_a_changed_head_is_named(change: str, reason: str, ledger_file: Path, signer: audit.Signer) -> None:
    tamper(ledger_file, f"UPDATE audit_head SET {change} WHERE size = 10")

    misfit = verify(ledger_file, signer).misfit

    assert misfit is not None
    assert reason in misfit.reason
    assert misfit.seq in (9, 10)


def test_an_outcome_without_its_decision_is_named(db: Database, db_path: Path) -> None:
    def record(tx: Tx) -> None:
        audit.record(tx, "task.created", TASK, decision_id="dec_never")  # type: ignore[arg-type]

    db.write_now(OPERATOR, create)
    db.write_now(OPERATOR, record)

    misfit = audit.verify(db_path).misfit
    assert misfit is not None
    assert (misfit.seq, misfit.reason) == (3, "its decision dec_never is not recorded before it")


@pytest.mark.parametrize(
    ("body", "reason"), [("not json", "its body cannot be read"), ("{}", "its body cannot be read")]
)
def test_a_body_that_cannot_be_read_is_named(body: str, reason: str, ledger_file: Path, signer: audit.Signer) -> None:
    tamper(ledger_file, f"UPDATE audit_event SET body = '{body}' WHERE seq = 5")
    rewrite(ledger_file)

    misfit = verify(ledger_file, signer).misfit

    assert misfit is not None
    assert misfit.seq == 5
    assert reason in misfit.reason


def test_a_body_of_an_unknown_version_is_named(ledger_file: Path, signer: audit.Signer) -> None:
    tamper(ledger_file, "UPDATE audit_event SET body = replace(body, '\"v\":1', '\"v\":7') WHERE seq = 5")
    rewrite(ledger_file)

    misfit = verify(ledger_file, signer).misfit

    assert misfit is not None
    assert (misfit.seq, misfit.reason) == (5, "its body has version 7, which is unknown")


def test_a_damaged_file_is_reported_and_not_a_crash(db: Database, db_path: Path, fill: Fill) -> None:
    fill(60)
    db.close()
    content = bytearray(db_path.read_bytes())
    page = content.index(b'"number":40')
    start = page // 4096 * 4096
    content[start : start + 64] = bytes([255]) * 64
    db_path.write_bytes(content)

    report = audit.verify(db_path)

    assert not report.ok
    assert report.misfit is not None
    assert 0 < report.misfit.seq < 121


@pytest.mark.parametrize("name", ["nowhere.db", "empty.db", "text.db"])
def test_a_file_without_a_ledger_is_refused(name: str, tmp_path: Path) -> None:
    (tmp_path / "empty.db").touch()
    (tmp_path / "text.db").write_text("no database at all, but long enough to be taken for one" * 100)

    with pytest.raises(audit.LedgerUnreadable):
        audit.verify(tmp_path / name)


def test_a_witness_that_is_not_there_is_refused(ledger_file: Path, tmp_path: Path) -> None:
    with pytest.raises(audit.LedgerUnreadable, match="witness"):
        audit.verify(ledger_file, witness=tmp_path / "nowhere")


def test_verifying_changes_nothing(ledger_file: Path, signer: audit.Signer) -> None:
    before = ledger_file.read_bytes()

    verify(ledger_file, signer)

    assert ledger_file.read_bytes() == before


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(data=st.data())
def test_any_flipped_bit_of_an_event_is_found(
    data: st.DataObject, ledger_file: Path, signer: audit.Signer, tmp_path: Path
) -> None:
    path = Path(shutil.copyfile(ledger_file, tmp_path / "flipped.db"))
    seq = data.draw(st.integers(1, 26))
    column = data.draw(st.sampled_from(["body", "hashes"]))
    ((value,),) = rows(path, f"SELECT CAST({column} AS BLOB) FROM audit_event WHERE seq = ?", seq)
    place, bit = data.draw(st.integers(0, len(value) - 1)), data.draw(st.integers(0, 6))
    changed = bytearray(value)
    changed[place] ^= 1 << bit
    cast = f"CAST(x'{changed.hex()}' AS TEXT)" if column == "body" else f"x'{changed.hex()}'"
    tamper(path, f"UPDATE audit_event SET {column} = {cast} WHERE seq = {seq}")

    misfit = verify(path, signer).misfit

    assert misfit is not None
    assert misfit.seq <= seq <= (misfit.until_seq or misfit.seq)
