"""Nothing happens that the ledger does not know."""

import stat
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.actors import AGENT, KERNEL, OPERATOR
from tests.conftest import Policy
from tests.memroos.audit.conftest import TASK, Fill, TaskFull, create, rows, tamper

from memroos import audit
from memroos.audit.rules import tree
from memroos.audit.rules.body import decode, encode
from memroos.audit.rules.note import read_checkpoint
from memroos_contracts.audit import Outcome
from memroos_contracts.errors import Denied, NotFound, StorageFailed
from memroos_contracts.governance import Action, Asset, Label, Sensitivity
from memroos_contracts.identity import DecisionId
from memroos_kit.clock import ManualClock, to_micros
from memroos_kit.db import Database, Tx, sqlite3

SUMMARY = "SELECT seq, kind, action, outcome FROM audit_event ORDER BY seq"


def bodies(path: Path) -> list[dict[str, Any]]:
    return [msgspec.json.decode(body) for (body,) in rows(path, "SELECT body FROM audit_event ORDER BY seq")]


# -- what is recorded ----------------------------------------------------------------------------------------------


def test_an_action_leaves_its_decision_and_its_outcome(db: Database, db_path: Path) -> None:
    event = db.write_now(OPERATOR, create)

    decision, outcome = bodies(db_path)
    assert rows(db_path, SUMMARY) == [(1, "decision", "task.send", ""), (2, "outcome", "task.created", "ok")]
    assert outcome["id"] == event
    assert outcome["decision"] == decision["decision"]
    assert decision["id"] == f"aud_{decision['decision'].removeprefix('dec_')}"


def test_a_decision_says_what_was_asked_and_why_it_came_out_so(db: Database, db_path: Path, clock: ManualClock) -> None:
    db.write_now(AGENT, create)

    decision = bodies(db_path)[0]
    assert decision["actor"] == {"id": AGENT.id, "key": AGENT.key, "on_behalf_of": [], "role": "agent"}
    assert decision["asset"] == {
        "agent": "", "id": "task_1", "kind": "task", "label": "internal", "owner": TASK.owner, "tags": []
    }  # fmt: skip
    assert decision["facts"] == {
        "approval": None, "cached": False, "effect": "allow", "policies": ["test"], "policy_hash": "0" * 64,
        "purpose": "to test", "reason": "",
    }  # fmt: skip
    assert decision["at"] == to_micros(clock.now())


def test_a_hold_names_its_approval(db: Database, db_path: Path, policy: Policy) -> None:
    policy.hold(Action.TASK_SEND)

    decision = db.write_now(OPERATOR, lambda tx: tx.authorize(Action.TASK_SEND, TASK, holdable=True))

    (event,) = bodies(db_path)
    assert event["facts"]["effect"] == "hold"
    assert event["facts"]["approval"] == decision.approval_id


def test_the_label_of_the_asset_is_kept(db: Database, db_path: Path) -> None:
    asset = Asset("memory", "m1", label=Label(Sensitivity.RESTRICTED, frozenset({"secret", "pii"})))

    db.write_now(OPERATOR, lambda tx: audit.record(tx, "memory.written", asset))

    (event,) = bodies(db_path)
    assert (event["asset"]["label"], event["asset"]["tags"]) == ("restricted", ["pii", "secret"])


def test_an_outcome_may_belong_to_an_earlier_decision(db: Database, db_path: Path) -> None:
    db.write_now(OPERATOR, create)
    decision = DecisionId(bodies(db_path)[0]["decision"])

    db.write_now(
        OPERATOR, lambda tx: audit.record(tx, "tool.used", TASK, outcome=Outcome.UNKNOWN, decision_id=decision)
    )

    assert bodies(db_path)[2]["decision"] == decision
    assert rows(db_path, SUMMARY)[2] == (3, "outcome", "tool.used", "unknown")


def test_every_operation_is_numbered_in_the_order_of_the_commits(db: Database, db_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: db.write_now(OPERATOR, create, n), range(100)))

    assert [seq for (seq,) in rows(db_path, "SELECT seq FROM audit_event ORDER BY seq")] == list(range(1, 201))


def test_a_purpose_of_any_length_is_cut_and_not_refused(db: Database, db_path: Path) -> None:
    db.write_now(OPERATOR, lambda tx: tx.authorize(Action.TASK_SEND, TASK, purpose="x" * 10_000))

    assert len(bodies(db_path)[0]["facts"]["purpose"]) == 4_000


def test_what_is_stored_is_the_canonical_form(db: Database, db_path: Path) -> None:
    db.write_now(OPERATOR, create)

    for body, hashes in rows(db_path, "SELECT body, hashes FROM audit_event"):
        assert encode(decode(body)).decode() == body
        assert tree.pick(hashes, 0) == tree.hash_leaf(body.encode())


def test_a_read_records_nothing(db: Database, db_path: Path) -> None:
    db.read_now(OPERATOR, lambda tx: tx.authorize(Action.TASK_READ, TASK))

    assert rows(db_path, SUMMARY) == []


# -- what did not work -------------------------------------------------------------------------------------------


def test_a_denied_action_leaves_its_decision_and_that_it_was_denied(
    db: Database, db_path: Path, policy: Policy
) -> None:
    policy.deny(Action.TASK_SEND)

    with pytest.raises(Denied):
        db.write_now(OPERATOR, create)

    assert rows(db_path, SUMMARY) == [(1, "decision", "task.send", ""), (2, "outcome", "task.send", "denied")]
    decision, outcome = bodies(db_path)
    assert decision["facts"]["effect"] == "deny"
    assert outcome["decision"] == decision["decision"]
    assert outcome["asset"] == decision["asset"]
    assert outcome["facts"] == {"error": "denied", "verb": "create"}


@pytest.mark.parametrize(("error", "slug"), [(TaskFull(), "task-full"), (RuntimeError("a bug"), "internal-error")])
def test_a_failed_action_leaves_that_and_nothing_of_what_it_announced(
    error: Exception, slug: str, db: Database, db_path: Path
) -> None:
    with pytest.raises(type(error)):
        db.write_now(OPERATOR, create, fail=error)

    assert rows(db_path, SUMMARY) == [(1, "decision", "task.send", ""), (2, "outcome", "task.send", "failed")]
    assert bodies(db_path)[1]["facts"]["error"] == slug


def test_what_fails_before_anything_is_decided_leaves_nothing(db: Database, db_path: Path) -> None:
    def find(tx: Tx) -> None:
        raise NotFound(kind_of_object="task", id="task_9")

    with pytest.raises(NotFound):
        db.write_now(OPERATOR, find)

    assert rows(db_path, SUMMARY) == []


def test_a_denial_without_a_decision_is_recorded_too(db: Database, db_path: Path) -> None:
    def refuse(tx: Tx) -> None:
        raise Denied(action="task.work")

    with pytest.raises(Denied):
        db.write_now(AGENT, refuse)

    assert rows(db_path, SUMMARY) == [(1, "outcome", "task.work", "denied")]


def test_a_fact_without_a_text_form_fails_its_own_operation_only(db: Database, db_path: Path) -> None:
    def wrong(tx: Tx) -> None:
        audit.record(tx, "task.created", TASK, share=0.5)  # type: ignore[arg-type]

    with pytest.raises(ValueError, match="is a float"):
        db.write_now(OPERATOR, wrong)
    db.write_now(OPERATOR, create)

    assert len(rows(db_path, SUMMARY)) == 2


def test_nothing_happens_when_the_ledger_cannot_be_written(db: Database, db_path: Path) -> None:
    db.write_now(OPERATOR, lambda tx: tx.session.connection().exec_driver_sql("CREATE TABLE thing (id INTEGER)"))
    blocked = "CREATE TRIGGER blocked BEFORE INSERT ON audit_event BEGIN SELECT RAISE(ABORT, 'no ledger'); END"
    db.write_now(OPERATOR, lambda tx: tx.session.connection().exec_driver_sql(blocked))

    def change(tx: Tx) -> None:
        tx.session.connection().exec_driver_sql("INSERT INTO thing VALUES (1)")
        create(tx)

    with pytest.raises(StorageFailed):
        db.write_now(OPERATOR, change)

    assert rows(db_path, "SELECT * FROM thing") == []
    assert rows(db_path, SUMMARY) == []
    db.write_now(OPERATOR, lambda tx: tx.session.connection().exec_driver_sql("DROP TRIGGER blocked"))
    db.write_now(OPERATOR, change)
    assert rows(db_path, "SELECT * FROM thing") == [(1,)]
    assert audit.verify(db_path).ok


@pytest.mark.parametrize("table", ["audit_event", "audit_head"])
@pytest.mark.parametrize("statement", ["UPDATE {0} SET rowid = rowid + 1", "DELETE FROM {0}"])
def test_the_tables_refuse_change(table: str, statement: str, db: Database, db_path: Path, fill: Fill) -> None:
    fill(5)
    connection = sqlite3.connect(str(db_path), isolation_level=None)

    with pytest.raises(sqlite3.IntegrityError, match="append-only"):
        connection.execute(statement.format(table))

    connection.close()


# -- signed heads --------------------------------------------------------------------------------------------------


def heads(path: Path) -> list[int]:
    return [size for (size,) in rows(path, "SELECT size FROM audit_head ORDER BY size")]


def test_a_head_covers_its_own_batch(db: Database, db_path: Path, signer: audit.Signer) -> None:
    def create_and_seal(tx: Tx) -> None:
        audit.seal(tx)
        create(tx)

    db.write_now(OPERATOR, create_and_seal)

    ((size, root, note),) = rows(db_path, "SELECT size, root, note FROM audit_head")
    checkpoint = read_checkpoint(signer.verifier.open(note))
    assert (size, checkpoint.size, checkpoint.origin) == (2, 2, "memroos/test")
    assert checkpoint.root == root


def test_sealing_again_signs_nothing_new(db: Database, db_path: Path, ledger: audit.Ledger) -> None:
    db.write_now(KERNEL, audit.seal)
    db.write_now(OPERATOR, create)
    assert ledger.unsealed

    db.write_now(KERNEL, audit.seal)
    db.write_now(KERNEL, audit.seal)

    assert heads(db_path) == [2]
    assert not ledger.unsealed


@pytest.fixture
def often(db_path: Path, clock: ManualClock, policy: Policy, signer: audit.Signer, tmp_path: Path) -> Any:
    """A way to open the database with a ledger that signs every four events, and tells a witness."""

    def open_often(**options: Any) -> Database:
        choices: dict[str, Any] = {"seal_every": 4, "witness": tmp_path / "witness"}
        ledger = audit.Ledger(signer, **choices | options)
        return Database(db_path, authorizer=policy, journals=[ledger], failures=audit.FailureRecorder(), clock=clock)

    return open_often


def test_heads_are_never_further_apart_than_that(often: Any, db_path: Path) -> None:
    db = often()

    db.write_now(OPERATOR, lambda tx: [create(tx, n) for n in range(7)])
    db.write_now(OPERATOR, create)
    db.write_now(OPERATOR, create)
    db.close()

    assert heads(db_path) == [4, 8, 12, 16]
    assert audit.verify(db_path).heads == 4


def test_a_restart_goes_on_where_it_was(often: Any, db_path: Path) -> None:
    for actions in (1, 3, 5, 2):
        db = often()
        for number in range(actions):
            db.write_now(OPERATOR, create, number)
        db.close()

    assert [seq for (seq,) in rows(db_path, "SELECT seq FROM audit_event ORDER BY seq")] == list(range(1, 23))
    report = audit.verify(db_path)
    assert report.ok
    assert (report.events, report.sealed, report.heads) == (22, 20, 5)


def test_the_witness_is_told_each_head_after_its_commit(often: Any, db_path: Path, tmp_path: Path) -> None:
    db = often()
    for number in range(6):
        db.write_now(OPERATOR, create, number)
    db.close()

    report = audit.verify(db_path, witness=tmp_path / "witness")
    assert report.ok
    assert (report.heads, report.witnessed) == (3, 3)


def test_a_witness_that_was_away_is_told_later(often: Any, tmp_path: Path, db_path: Path) -> None:
    place = tmp_path / "gone"
    db = often(witness=place / "witness")
    (ledger,) = db._journals
    for number in range(4):
        db.write_now(OPERATOR, create, number)
    assert ledger.unsealed

    place.mkdir()
    db.write_now(KERNEL, audit.seal)

    assert not ledger.unsealed
    assert audit.verify(db_path, witness=place / "witness").witnessed == 2
    db.close()


def test_a_batch_that_fails_leaves_no_trace_in_the_ledger(db: Database, db_path: Path) -> None:
    """The second of two journals breaks, after the ledger has computed its part."""
    journals = db._journals
    broken = threading.Event()

    class Broken:
        name = "broken"

        def write(self, cursor: Any, entries: list[Any]) -> None:
            if broken.is_set():
                raise sqlite3.OperationalError("no")

        def publish(self, pending: Any) -> None:
            pass

    db._journals = (*journals, Broken())

    def change(tx: Tx) -> None:
        tx.journal("broken").append(1)
        create(tx)
        audit.seal(tx)

    # An odd number of events, so that the batch that fails would overwrite what the tree still needs.
    db.write_now(OPERATOR, lambda tx: audit.record(tx, "agent.created", TASK))
    broken.set()
    with pytest.raises(StorageFailed):
        db.write_now(OPERATOR, change)
    broken.clear()
    db.write_now(OPERATOR, change)

    assert [seq for (seq,) in rows(db_path, "SELECT seq FROM audit_event")] == [1, 2, 3]
    assert audit.verify(db_path).ok


@pytest.mark.parametrize(
    "damage",
    [
        "DELETE FROM audit_event WHERE seq > 9",
        "UPDATE audit_event SET hashes = zeroblob(length(hashes)) WHERE seq = 8",
        "UPDATE audit_event SET hashes = substr(hashes, 1, 32) WHERE seq = 8",
        "DELETE FROM audit_event WHERE seq = 8",
        "UPDATE audit_head SET root = zeroblob(32)",
    ],
)
def test_a_ledger_that_does_not_fit_its_head_is_not_continued(
    damage: str, db: Database, db_path: Path, fill: Fill, often: Any
) -> None:
    fill(5)
    db.close()
    tamper(db_path, damage)
    before = rows(db_path, SUMMARY)

    again = often()
    with pytest.raises(audit.LedgerDamaged):
        again.write_now(OPERATOR, create)
    again.close()

    assert rows(db_path, SUMMARY) == before


# -- the key -----------------------------------------------------------------------------------------------------


def test_the_first_start_makes_a_key_for_its_owner_only(tmp_path: Path) -> None:
    signer = audit.ensure_signer(tmp_path / "data")

    key, public = tmp_path / "data" / "ledger.key", tmp_path / "data" / "ledger.pub"
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert sorted(p.name for p in key.parent.iterdir()) == ["ledger.key", "ledger.pub"]
    assert str(audit.read_verifier(public)) == str(signer.verifier)


def test_the_next_start_takes_the_same_key(tmp_path: Path) -> None:
    first = audit.ensure_signer(tmp_path, origin="memroos/here")
    (tmp_path / "ledger.pub").unlink()

    second = audit.ensure_signer(tmp_path, origin="memroos/other")

    assert second.verifier.name == "memroos/here"
    assert second.secret() == first.secret()
    assert (tmp_path / "ledger.pub").exists()


def test_two_installations_have_two_names(tmp_path: Path) -> None:
    assert audit.ensure_signer(tmp_path / "a").verifier.name != audit.ensure_signer(tmp_path / "b").verifier.name


@pytest.mark.parametrize("content", [b"", b"something else", b"\xff\xfe", b"PRIVATE+KEY+a+00000000+AAAA"])
def test_a_key_file_that_holds_something_else_stops_the_start(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "ledger.key").write_bytes(content)

    with pytest.raises(audit.LedgerKeyInvalid):
        audit.ensure_signer(tmp_path)

    assert (tmp_path / "ledger.key").read_bytes() == content


def test_a_public_key_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(audit.LedgerKeyInvalid):
        audit.read_verifier("nonsense")
    with pytest.raises(audit.LedgerKeyInvalid):
        audit.read_verifier(tmp_path / "nowhere")
