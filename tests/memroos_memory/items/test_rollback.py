"""Rollback: stories, and the property that a scope stands after it as it stood then."""

from collections.abc import Callable
from itertools import count
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text
from tests.memroos_memory.items.conftest import BOB, Memory, day
from tests.memroos_memory.items.test_learning import lives, span

from memroos_contracts.errors import MemroosError, NotFound
from memroos_contracts.governance import Label, Sensitivity
from memroos_contracts.identity import WorkspaceId
from memroos_contracts.memory import Removal
from memroos_contracts.memory_errors import ItemGone, SequenceUnknown
from memroos_contracts.memory_items import (
    Change,
    ItemChange,
    ItemStatus,
    RollbackReport,
    RollbackRequest,
    Successor,
    Triple,
)
from memroos_kit.clock import ManualClock
from memroos_kit.db import Database, Hot, Read
from memroos_kit.text.words import words_of
from memroos_memory import items
from memroos_memory.actor import SERVICE
from memroos_memory.items.states import Row, State, decode, rows, state_of
from memroos_memory.models import Item


def back(memory: Memory, to_seq: int, **words: Any) -> RollbackReport:
    report = memory.write(items.rollback, memory.scope_id, RollbackRequest(to_seq=to_seq, **words))
    assert isinstance(report, RollbackReport)
    return report


# -- stories -----------------------------------------------------------------------------------------------------------


def test_what_came_later_is_gone_and_what_changed_is_as_it_was(memory: Memory) -> None:
    memory.say("1", "first")
    then = memory.whole()
    memory.write(items.update, "mem_1", ItemChange(text="changed"))
    memory.say("2", "the walrus sings")

    report = back(memory, 1, reason="a mistake")

    assert memory.whole() == then
    assert (report.before_seq, report.after_seq, report.changed) == (3, 5, ["mem_1", "mem_2"])
    with pytest.raises(ItemGone):
        memory.get("mem_2")
    assert memory.indexed("walrus") == memory.indexed("changed") == []
    entry = memory.read(items.history, "mem_1")[-1]
    assert (entry.change, entry.operation, entry.reason) == (Change.ROLLBACK, report.operation, "a mistake")
    assert entry.actor == memory.viewer.principal


def test_a_rollback_is_undone_by_going_back_to_the_entry_before_it(memory: Memory) -> None:
    memory.say("1", "first")
    memory.write(items.update, "mem_1", ItemChange(text="changed"))
    memory.say("2", "the walrus sings")
    before = memory.whole()

    report = back(memory, 1)
    back(memory, report.before_seq)

    assert memory.whole() == before
    assert memory.indexed("walrus") != []


def test_what_was_superseded_or_deleted_since_stands_again(memory: Memory) -> None:
    memory.say("1", at=day(1))
    memory.say("5", at=day(5))
    berlin = lives(memory, "mem_1", "Berlin")
    then = memory.last_seq
    lives(memory, "mem_5", "Rome")
    memory.write(items.delete, "mem_1")

    back(memory, then)

    assert span(memory, berlin) == (day(1), None, ItemStatus.ACTIVE)
    assert memory.get("mem_1").status is ItemStatus.ACTIVE


def test_a_dry_run_tells_what_would_change_and_changes_nothing(memory: Memory) -> None:
    memory.say("1")
    memory.say("2")
    before = memory.whole()

    report = back(memory, 1, dry_run=True)

    assert (report.changed, report.dry_run, report.operation) == (["mem_2"], True, "")
    assert (report.before_seq, report.after_seq) == (2, 2)
    assert (memory.whole(), memory.last_seq) == (before, 2)


@pytest.mark.parametrize(("to_seq", "stands"), [(1, ["mem_1"]), (2, ["instead"]), (3, ["instead"])])
def test_what_one_operation_did_is_not_torn_apart(memory: Memory, to_seq: int, stands: list[str]) -> None:
    memory.say("1", "mem_1")
    memory.write(items.supersede, "mem_1", Successor(text="instead"))  # entries 2 and 3
    memory.say("2")

    report = back(memory, to_seq)

    assert report.to_seq == (1 if to_seq == 1 else 3)
    assert memory.texts() == stands


def test_going_back_twice_changes_nothing_more(memory: Memory) -> None:
    memory.say("1")
    memory.say("2")
    back(memory, 1)

    again = back(memory, 1)

    assert (again.changed, again.before_seq, again.after_seq) == ([], 3, 3)


def test_going_back_to_the_beginning_leaves_nothing(memory: Memory) -> None:
    memory.say("1")
    memory.learn("mem_1", "a fact")

    back(memory, 0)

    assert memory.whole() == []


def test_other_scopes_are_left_alone(memory: Memory) -> None:
    memory.say("1", user_id="u1")
    memory.say("2", user_id="u2")
    scope_id = memory.get("mem_1").scope_id

    memory.write(items.rollback, scope_id, RollbackRequest(to_seq=0))

    assert memory.ids() == ["mem_2"]


def test_a_log_that_is_not_that_long_is_refused(memory: Memory) -> None:
    memory.say("1")

    with pytest.raises(SequenceUnknown) as refused:
        back(memory, 2)

    assert refused.value.facts == {"to_seq": 2, "last_seq": 1}


def test_a_scope_of_others_cannot_be_rolled_back(memory: Memory) -> None:
    memory.say("1")

    with pytest.raises(NotFound):
        memory.as_seen_by(BOB).write(items.rollback, memory.scope_id, RollbackRequest(to_seq=0))


# -- the property ------------------------------------------------------------------------------------------------------

_CITIES = ("Berlin", "Rome", "Oslo")
_which = st.integers(0, 7)
_steps = st.one_of(
    st.tuples(st.just("say"), _which, st.integers(0, 4)),
    st.tuples(st.just("live"), _which, st.sampled_from(_CITIES)),
    st.tuples(st.just("like"), _which, st.sampled_from(_CITIES)),
    st.tuples(st.just("update"), _which, st.sampled_from(("text", "label", "end", "data"))),
    st.tuples(st.just("supersede"), _which, st.one_of(st.none(), _which)),
    st.tuples(st.just("delete"), _which, st.none()),
    st.tuples(st.just("remove"), _which, st.none()),
    st.tuples(st.just("back"), st.floats(0, 1), st.none()),
)
_stories = st.tuples(st.lists(_steps, min_size=1, max_size=14), st.floats(0, 1))
_numbers = count()
_OF_WORKSPACE = Hot(rows.where(text("scope.workspace_id = :workspace")).order_by(Item.seq))
_LOG = Hot(
    text(
        "SELECT v.item_seq, v.log_seq, v.state, v.version FROM item_version AS v JOIN scope ON scope.seq = v.scope_seq "
        "WHERE scope.workspace_id = :workspace ORDER BY v.log_seq"
    )
)
_COUNT = Hot(text("SELECT items, last_seq FROM scope WHERE workspace_id = :workspace"))
_INDEX = Hot(text("SELECT DISTINCT doc, term FROM lexical_terms WHERE col = 'words' AND term GLOB :scope"))


class Story(Memory):
    """A workspace in which things happen, and a plain account of its log to compare it with."""

    def __init__(self, db: Database, clock: ManualClock) -> None:
        self.number = next(_numbers)
        super().__init__(db, clock, workspace=f"story_{self.number}")
        self.said = 0
        self.known: list[str] = []

    def happen(self, step: tuple[str, Any, Any]) -> None:
        """Do one thing; what is refused changes nothing."""
        name, which, how = step
        doing: dict[str, Callable[[Any, Any], object]] = {
            "say": self._say, "live": self._live, "like": self._like, "update": self._update,
            "supersede": self._supersede, "delete": self._delete, "remove": self._remove, "back": self._back,
        }  # fmt: skip
        if name != "say" and not self.known:
            return
        try:
            doing[name](which, how)
        except MemroosError:
            return

    def go_back(self, to_seq: int) -> RollbackReport:
        """Roll the only scope back."""
        report = self.write(items.rollback, self.scope_id, RollbackRequest(to_seq=to_seq))
        assert isinstance(report, RollbackReport)
        return report

    def _id(self, which: int) -> str:
        return self.known[which % len(self.known)]

    def _say(self, which: int, at: int) -> None:
        self.said += 1
        name = f"{self.number}_{self.said}"
        self.known.append(
            self.say(name, f"turn {which} walrus{self.said}", at=day(at), workspace=self.viewer.workspace_id)
        )

    def _live(self, which: int, city: str) -> None:
        found = self.try_to_learn(
            self._id(which), f"Ann lives in {city}", Triple("ann", "lives_in", city), functional=True
        )
        self._note(found.id if found else "")

    def _like(self, which: int, city: str) -> None:
        sources = (self._id(which), self._id(which + 1))
        found = self.try_to_learn(self._id(which), f"Ann likes {city}", sources=sources)
        self._note(found.id if found else "")

    def _note(self, item_id: str) -> None:
        if item_id and item_id not in self.known:
            self.known.append(item_id)

    def _update(self, which: int, what: str) -> None:
        change = {
            "text": ItemChange(text=f"changed {which}"),
            "label": ItemChange(label=Label(Sensitivity.CONFIDENTIAL, frozenset({"b", "a"})), confidence=0.5),
            "end": ItemChange(valid_to=day(which)),
            "data": ItemChange(data={"z": which, "a": [None, 1.5]}),
        }[what]
        self.write(items.update, self._id(which), change)

    def _supersede(self, which: int, by: int | None) -> None:
        successor = Successor(text=f"instead {which}") if by is None else Successor(item_id=self._id(by))
        self._note(self.write(items.supersede, self._id(which), successor).id)

    def _delete(self, which: int, _: None) -> None:
        self.write(items.delete, self._id(which))

    def _remove(self, which: int, _: None) -> None:
        removal = Removal(self._id(which), WorkspaceId(self.viewer.workspace_id), "operator:key_1", self.last_seq)
        self.db.write_now(SERVICE, items.remove_event, removal)

    def _back(self, part: float, _: None) -> None:
        self.go_back(int(part * self.last_seq))

    # -- what there is, and what the log says there is -----------------------------------------------------------------

    def states(self) -> dict[int, State]:
        """What stands now."""
        found = self._rows()
        return {row.seq: state_of(row) for row in found if not row.is_deleted}

    def states_in_log(self, to_seq: int) -> dict[int, State]:
        """What stood after an entry, told from the log alone."""
        found = self.db.read_now(SERVICE, lambda tx: self._ask(tx, _LOG))
        then = {item: decode(state) for item, log_seq, state, _ in found if log_seq <= to_seq}
        return {item: state for item, state in then.items() if not state.is_deleted}

    def check(self) -> None:
        """The item is what its last version says, the log has no gap, counts and the word index follow."""
        log = self.db.read_now(SERVICE, lambda tx: self._ask(tx, _LOG))
        assert [log_seq for _, log_seq, _, _ in log] == list(range(1, len(log) + 1))
        assert self.states() == self.states_in_log(len(log))
        newest = {item: (version, log_seq) for item, log_seq, _, version in log}
        assert {row.seq: (row.version, row.log_seq) for row in self._rows()} == newest
        (counted,) = self.db.read_now(SERVICE, lambda tx: self._ask(tx, _COUNT))
        assert tuple(counted) == (len(self.states()), len(log))
        scope = self._rows()[0].scope_seq
        indexed: dict[int, set[str]] = {}
        for item, term in self.db.read_now(SERVICE, lambda tx: tx.execute(_INDEX, scope=f"{scope}x*").fetchall()):
            indexed.setdefault(item, set()).add(term.partition("x")[2])
        assert indexed == {item: set(words_of(state.text)) for item, state in self.states().items()}
        self._check_links()

    def _check_links(self) -> None:
        states = {row.id: state_of(row) for row in self._rows()}
        for state in states.values():
            if state.is_deleted:
                continue
            others = [*filter(None, (state.superseded_by, state.supersedes)), *state.contradicts, *state.sources]
            assert not [other for other in others if states[other].is_deleted]
            assert state.contested == bool(state.contradicts)
            assert (state.status is ItemStatus.SUPERSEDED) == bool(state.superseded_by)

    def _ask(self, tx: Read, statement: Hot) -> list[Any]:
        return tx.execute(statement, workspace=self.viewer.workspace_id).fetchall()

    def _rows(self) -> list[Row]:
        return [Row(*one) for one in self.db.read_now(SERVICE, lambda tx: self._ask(tx, _OF_WORKSPACE))]


def tell(db: Database, clock: ManualClock, told: tuple[list[tuple[str, Any, Any]], float]) -> None:
    """Let a story happen, go back to any entry, and undo that."""
    steps, part = told
    story = Story(db, clock)
    story.happen(("say", 0, 1))
    stood = {0: dict[int, State](), story.last_seq: story.states()}
    for step in steps:
        story.happen(step)
        stood[story.last_seq] = story.states()
    story.check()
    last = story.last_seq
    before, n = story.states(), int(part * last)

    report = story.go_back(n)

    assert report.to_seq == n or n not in stood
    assert story.states() == story.states_in_log(report.to_seq) == stood[report.to_seq]
    assert report.before_seq == last
    assert len(report.changed) == report.after_seq - last == story.last_seq - last
    story.check()
    story.go_back(report.before_seq)
    assert story.states() == before
    story.check()


@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(_stories)
def test_after_a_rollback_everything_stands_as_it_stood_and_the_rollback_can_be_undone(
    db: Database, clock: ManualClock, told: tuple[list[tuple[str, Any, Any]], float]
) -> None:
    tell(db, clock, told)


@pytest.mark.long
@pytest.mark.timeout(900)
@settings(max_examples=2_000, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(_stories)
def test_after_any_rollback_everything_stands_as_it_stood_and_the_rollback_can_be_undone(
    db: Database, clock: ManualClock, told: tuple[list[tuple[str, Any, Any]], float]
) -> None:
    tell(db, clock, told)
