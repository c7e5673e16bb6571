"""Random walks through everything that can happen to tasks: the kept totals stay true, and no listing loses a task."""

import contextlib
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test
from tests.actors import KERNEL, OPERATOR
from tests.conftest import START
from tests.memroos.broker.conftest import RESTRICTED, House, report

from memroos import broker, events, governance
from memroos.governance import Gate, Policy
from memroos_contracts.broker import ClaimView, TaskState, TaskView
from memroos_contracts.errors import MemroosError
from memroos_contracts.governance import INTERNAL, Action
from memroos_contracts.identity import ApprovalId
from memroos_contracts.registry import AgentKind
from memroos_kit.clock import ManualClock
from memroos_kit.db import Database

PICK = st.integers(0, 1_000)


class Walk(RuleBasedStateMachine):
    """Everything that can happen, in any order, on a copy of an empty database."""

    def __init__(self, template: Path, policy: Policy) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.clock = ManualClock(START)
        self.tails = broker.Tails(tasks=5, events=6)  # so small that most is dropped again
        self.gate = Gate(policy, resumers={Action.TASK_SEND: broker.answer_hold})
        path = Path(shutil.copyfile(template, self.folder / "conversations.db"))
        self.db = Database(
            path, authorizer=self.gate, journals=[self.tails, events.Log(events.Notifier())], clock=self.clock
        )
        self.house = House(self.db)
        self.callers = [self.house.register(name) for name in ("caller", "other-caller")] + [OPERATOR]
        self.workers = [self.house.register(name, skills=("count",)) for name in ("worker", "helper")]
        self.house.register("local", AgentKind.LOCAL)
        self.tasks: list[TaskView] = []
        self.claims: list[ClaimView] = []

    def teardown(self) -> None:
        self.db.close()
        shutil.rmtree(self.folder)

    @rule(
        who=st.integers(0, 2),
        to=st.sampled_from(["worker", "helper", "local", ""]),
        held=st.booleans(),
        same=st.booleans(),
    )
    def send(self, who: int, to: str, held: bool, same: bool) -> None:
        words = {"agent": to} if to else {"skill": "count"}
        if same:
            words |= {"message_id": "same"}
        self.clock.advance(seconds=1)
        self.tasks.append(self.house.send(self.callers[who], **words, label=RESTRICTED if held else INTERNAL))

    @precondition(lambda self: self.tasks)
    @rule(pick=PICK)
    def go_on(self, pick: int) -> None:
        task = self.tasks[pick % len(self.tasks)]
        owner = next(caller for caller in self.callers if caller.principal == task.owner)
        self.attempt(lambda: self.house.send(owner, "more", task_id=task.id))

    @precondition(lambda self: self.tasks)
    @rule(pick=PICK)
    def cancel(self, pick: int) -> None:
        task = self.tasks[pick % len(self.tasks)]
        self.attempt(lambda: self.db.write_now(OPERATOR, broker.cancel_task, task.id))

    @rule(which=st.integers(0, 1))
    def claim(self, which: int) -> None:
        claim = self.house.claim_or_none(self.workers[which])
        if claim is not None:
            self.claims.append(claim)

    @precondition(lambda self: self.claims)
    @rule(pick=PICK, deed=st.sampled_from(["complete_task", "fail_task", "ask_caller", "report_progress"]))
    def work(self, pick: int, deed: str) -> None:
        claim = self.claims[pick % len(self.claims)]
        worker = next(w for w in self.workers if w.agent == claim.task.agent_id)
        verb = getattr(broker, deed)
        self.attempt(lambda: self.db.write_now(worker, verb, claim.task.id, report(claim, "words")))

    @precondition(lambda self: self.tasks)
    @rule(pick=PICK, yes=st.booleans())
    def answer(self, pick: int, yes: bool) -> None:
        approval = self.house.see(self.tasks[pick % len(self.tasks)]).approval_id
        if approval is not None:
            verb = governance.approve if yes else governance.reject
            self.attempt(lambda: self.db.write_now(OPERATOR, verb, ApprovalId(approval), gate=self.gate))

    @rule(seconds=st.sampled_from([10, 70, 3_600]))
    def wait(self, seconds: int) -> None:
        self.clock.advance(seconds=seconds)

    @rule()
    def a_week_passes(self) -> None:
        self.clock.advance(days=7)
        for _, task_id in self.db.read_now(KERNEL, broker.queries.list_overdue, most=1_000):
            self.db.write_now(KERNEL, broker.fail_overdue, task_id)

    def attempt(self, verb: Callable[[], object]) -> None:
        with contextlib.suppress(MemroosError):  # refused, which must change no total either
            verb()

    @invariant()
    def totals_are_true(self) -> None:
        real = self.house.query(
            "SELECT workspace_id, owner, agent_id, state, count(*) FROM task GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4"
        )
        kept = self.house.query(
            "SELECT workspace_id, owner, agent_id, state, tasks FROM task_count WHERE tasks > 0 ORDER BY 1, 2, 3, 4"
        )
        assert kept == real

    @invariant()
    def the_load_of_each_agent_is_true(self) -> None:
        real = self.house.query(
            "SELECT workspace_id, agent_id, sum(open), sum(state IN ('submitted', 'working')) FROM task "
            "GROUP BY 1, 2 ORDER BY 1, 2"
        )
        kept = self.house.query("SELECT workspace_id, agent_id, open, in_flight FROM agent_load ORDER BY 1, 2")
        assert kept == real

    @invariant()
    def memory_and_tables_say_the_same(self) -> None:
        for task in {task.id for task in self.tasks}:
            tail = self.tails.find(task)
            if tail is not None:
                assert tail.task == self.house.see(task)
                assert list(tail.events) == self.db.read_now(KERNEL, broker.list_events, task)

    @invariant()
    def generations_have_no_gaps(self) -> None:
        assert (
            self.house.query(
                "SELECT task.id FROM task JOIN (SELECT task_id, count(*) AS entries, max(generation) AS last "
                "FROM task_event GROUP BY task_id) ON task_id = id WHERE entries <> last OR last <> generation"
            )
            == []
        )

    @invariant()
    def a_task_is_open_as_long_as_it_is_not_final(self) -> None:
        final = ", ".join(f"'{state.value}'" for state in TaskState if broker.is_final(state))
        assert self.house.query(f"SELECT id FROM task WHERE open <> (state NOT IN ({final}))") == []

    @invariant()
    def only_held_tasks_have_an_approval_and_ended_ones_no_delivery(self) -> None:
        assert self.house.query("SELECT id FROM task WHERE approval_id IS NOT NULL AND state <> 'auth_required'") == []
        assert (
            self.house.query(
                "SELECT task.id FROM task JOIN delivery ON task_id = task.id "
                "WHERE NOT open AND delivery.state <> 'done'"
            )
            == []
        )

    @invariant()
    def the_count_of_each_listing_is_its_length(self) -> None:
        for actor in self.callers:
            for wanted in (broker.TaskFilter(), broker.TaskFilter(owner=actor.principal)):
                page = self.db.read_now(actor, broker.list_tasks, wanted, limit=100)
                assert self.db.read_now(actor, broker.count_tasks, wanted) == len(page.items)


def test_totals_equal_the_real_counts_whatever_happens(database_template: Path, shipped: Policy) -> None:
    run_state_machine_as_test(
        lambda: Walk(database_template, shipped),  # type: ignore[arg-type]  # any factory will do
        settings=settings(
            max_examples=12, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )


@pytest.mark.long
@pytest.mark.timeout(900)
def test_totals_equal_the_real_counts_for_a_long_time(database_template: Path, shipped: Policy) -> None:
    run_state_machine_as_test(
        lambda: Walk(database_template, shipped),  # type: ignore[arg-type]  # any factory will do
        settings=settings(
            max_examples=150, stateful_step_count=60, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )
