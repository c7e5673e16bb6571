"""Who may have notifications sent where, and what each try leaves behind."""

from typing import Any

import pytest
from tests.actors import AUDITOR, KERNEL, OPERATOR, STRANGER, VIEWER
from tests.memroos.broker.conftest import RESTRICTED, House, report, sending
from tests.memroos.push.conftest import HOOK

from memroos import broker, push
from memroos.push import queries, service
from memroos.push.rules import Answer
from memroos.push.service import Plan
from memroos_contracts.broker import TaskView
from memroos_contracts.errors import Denied, InvalidCursor, InvalidRequest, NotFound
from memroos_contracts.identity import Actor, AgentId, TaskId
from memroos_contracts.push import NewPushConfig, PushConfigView, PushReplay, PushState
from memroos_kit.clock import ManualClock
from memroos_kit.outbound import AddressRefused
from memroos_kit.sealing import Sealer

PLAN = Plan(attempts=3, backoff_s=10)
SECRETS = NewPushConfig(HOOK, token="the-token", scheme="Bearer", credentials="the-credentials")


@pytest.fixture
def task(house: House, caller: Actor, worker: Actor) -> TaskView:
    """A task that the caller sent to the worker."""
    return house.send(caller)


class Desk:
    """What is done about notifications in one house."""

    def __init__(self, house: House, terms: push.Terms) -> None:
        self.house = house
        self.terms = terms

    def create(self, actor: Actor, task: TaskView, new: NewPushConfig | None = None, **options: Any) -> PushConfigView:
        new = new or NewPushConfig(HOOK)
        return self.house.db.write_now(actor, push.create_config, self.terms, task.id, new, **options)

    def see(self, config: PushConfigView, actor: Actor = OPERATOR) -> PushConfigView:
        return self.house.db.read_now(actor, push.get_config, config.id)

    def seen_by(self, actor: Actor, **wanted: Any) -> list[str]:
        page = self.house.db.read_now(actor, push.list_configs, push.PushFilter(**wanted), limit=100)
        return [config.id for config in page.items]

    def row(self, config: PushConfigView) -> queries.Row:
        row = self.house.db.read_now(KERNEL, queries.find_anywhere, config.id)
        assert row is not None
        return row

    def tried(self, config: PushConfigView, answer: Answer, *, generation: int = 3, epoch: int | None = None) -> Any:
        began = self.row(config).epoch if epoch is None else epoch
        return self.house.db.write_now(KERNEL, service.report_try, config.id, began, generation, answer, PLAN, dice=0.5)

    def replay(self, actor: Actor, config: PushConfigView, after: int | None = None) -> PushConfigView:
        return self.house.db.write_now(actor, push.replay_config, config.id, PushReplay(after))


@pytest.fixture
def desk(house: House, terms: push.Terms) -> Desk:
    """What is done about notifications."""
    return Desk(house, terms)


def test_a_new_configuration_knows_what_has_happened_and_waits_for_the_rest(
    desk: Desk, caller: Actor, task: TaskView
) -> None:
    made = desk.create(caller, task)

    assert (made.state, made.delivered_generation, made.url) == (PushState.ACTIVE, task.generation, HOOK)
    assert (made.owner, made.task_id, made.config_id) == (caller.principal, task.id, made.id)
    assert desk.see(made, caller) == made
    assert desk.house.audited("push.") == ["push.created"]


def test_secrets_are_kept_encrypted_and_shown_to_nobody(
    desk: Desk, caller: Actor, task: TaskView, sealer: Sealer
) -> None:
    made = desk.create(caller, task, SECRETS)

    stored = str(desk.house.query("SELECT * FROM push_config")) + str(desk.house.query("SELECT * FROM event"))
    stored += str(desk.house.query("SELECT * FROM audit_event"))
    assert "the-token" not in stored
    assert "the-credentials" not in stored
    assert "the-" not in f"{made} {SECRETS}"
    assert (made.has_token, made.has_credentials, made.scheme) == (True, True, "Bearer")
    assert service.open_secrets(sealer, desk.row(made)) == {
        "X-A2A-Notification-Token": "the-token",
        "Authorization": "Bearer the-credentials",
    }


def test_an_id_that_was_used_for_the_task_replaces_and_misses_nothing(
    desk: Desk, caller: Actor, worker: Actor, task: TaskView
) -> None:
    made = desk.create(caller, task, NewPushConfig(HOOK, id="mine", token="old"))
    claim = desk.house.claim(worker)
    desk.house.db.write_now(worker, broker.complete_task, task.id, report(claim, "done"))

    again = desk.create(caller, task, NewPushConfig(f"{HOOK}/2", id="mine"))

    assert (again.id, again.config_id, again.url, again.has_token) == (made.id, "mine", f"{HOOK}/2", False)
    assert (again.state, again.delivered_generation) == (PushState.ACTIVE, made.delivered_generation)
    assert desk.seen_by(caller, task_id=task.id) == [made.id]
    assert desk.house.audited("push.") == ["push.created", "push.replaced"]


def test_the_same_address_without_an_id_is_the_same_configuration(desk: Desk, caller: Actor, task: TaskView) -> None:
    made = desk.create(caller, task)

    assert desk.create(caller, task).id == made.id
    assert desk.create(caller, task, NewPushConfig(f"{HOOK}/2")).id != made.id


def test_a_task_that_has_ended_has_nothing_more_to_tell(desk: Desk, caller: Actor, task: TaskView) -> None:
    desk.house.db.write_now(caller, broker.cancel_task, task.id)

    assert desk.create(caller, task).state is PushState.DONE


def test_with_the_message_that_starts_a_task_notifications_begin_with_the_task(
    desk: Desk, caller: Actor, worker: Actor
) -> None:
    send = sending()
    task = desk.house.db.write_now(caller, push.send_with_config, send, NewPushConfig(HOOK), desk.terms)
    again = desk.house.db.write_now(caller, push.send_with_config, send, NewPushConfig(HOOK), desk.terms)

    assert again.id == task.id
    [config] = desk.house.db.read_now(caller, push.list_configs, push.PushFilter(task_id=task.id), limit=10).items
    assert config.delivered_generation == 0


def test_with_a_message_to_a_task_notifications_begin_after_it(desk: Desk, caller: Actor, task: TaskView) -> None:
    send = sending("More.", task_id=task.id)
    task = desk.house.db.write_now(caller, push.send_with_config, send, NewPushConfig(HOOK), desk.terms)

    [config] = desk.house.db.read_now(caller, push.list_configs, push.PushFilter(), limit=10).items
    assert config.delivered_generation == task.generation == 3


@pytest.mark.parametrize(
    ("new", "error"),
    [
        (NewPushConfig("http://10.0.0.1/"), AddressRefused),
        (NewPushConfig(HOOK, token="a\nb"), InvalidRequest),
    ],
)
def test_no_task_is_started_whose_caller_cannot_be_notified(
    desk: Desk, caller: Actor, worker: Actor, new: NewPushConfig, error: type[Exception]
) -> None:
    with pytest.raises(error):
        desk.house.db.write_now(caller, push.send_with_config, sending(), new, desk.terms)

    assert desk.house.query("SELECT id FROM task") == []
    assert desk.house.query("SELECT id FROM push_config") == []


def test_a_foreign_task_is_unknown(desk: Desk, task: TaskView) -> None:
    stranger = desk.house.register("stranger")
    for actor in (stranger, STRANGER):
        with pytest.raises(NotFound, match="There is no task"):
            desk.create(actor, task)
        with pytest.raises(NotFound):
            desk.seen_by(actor, task_id=task.id)
    with pytest.raises(NotFound):
        desk.create(OPERATOR, task, agent_id=AgentId("agt_other"))


def test_who_works_on_a_task_is_not_notified_of_it(desk: Desk, worker: Actor, task: TaskView) -> None:
    with pytest.raises(Denied):
        desk.create(worker, task)


def test_restricted_content_leaves_by_no_webhook_unless_a_person_says_so(
    desk: Desk, caller: Actor, worker: Actor
) -> None:
    task = desk.house.send(caller, label=RESTRICTED)

    with pytest.raises(Denied):
        desk.create(caller, task)
    assert desk.create(OPERATOR, task).state is PushState.ACTIVE


def test_a_configuration_is_its_owner_s_and_its_workspace_s(desk: Desk, caller: Actor, task: TaskView) -> None:
    mine, theirs = desk.create(caller, task), desk.create(OPERATOR, task, NewPushConfig(HOOK, id="x"))

    assert desk.seen_by(caller) == [mine.id]
    assert desk.seen_by(OPERATOR) == desk.seen_by(AUDITOR) == [theirs.id, mine.id]
    assert desk.seen_by(STRANGER) == []
    assert desk.see(mine, AUDITOR).id == mine.id
    with pytest.raises(Denied):
        desk.seen_by(VIEWER)
    for actor, config in ((caller, theirs), (STRANGER, mine)):
        verbs: list[Any] = [
            lambda a, c: desk.see(c, a),
            desk.replay,
            lambda a, c: desk.house.db.write_now(a, push.delete_config, c.id),
            lambda a, c: desk.house.db.read_now(a, push.list_tries, c.id, limit=5),
        ]
        for verb in verbs:
            with pytest.raises(NotFound, match="no push notification configuration"):
                verb(actor, config)


def test_two_callers_may_use_one_name(desk: Desk, caller: Actor, task: TaskView) -> None:
    mine = desk.create(caller, task, NewPushConfig(HOOK, id="x"))
    theirs = desk.create(OPERATOR, task, NewPushConfig(HOOK, id="x"))

    def named(actor: Actor) -> str:
        return desk.house.db.read_now(actor, push.get_named_config, task.id, "x").id

    assert (named(caller), named(OPERATOR), named(AUDITOR)) == (mine.id, theirs.id, mine.id)
    for _ in range(2):
        desk.house.db.write_now(OPERATOR, push.delete_named_config, task.id, "x")
    assert named(OPERATOR) == mine.id, "a repeat ends nothing of others"
    unnamed = desk.create(caller, task, NewPushConfig(f"{HOOK}/2"))
    desk.house.db.write_now(OPERATOR, push.delete_named_config, task.id, unnamed.config_id)
    assert desk.seen_by(caller) == [mine.id]


def test_a_configuration_is_found_by_its_name_and_deleted_as_often_as_one_likes(
    desk: Desk, caller: Actor, task: TaskView
) -> None:
    made = desk.create(caller, task, NewPushConfig(HOOK, id="mine"))
    desk.tried(made, Answer(204))
    db = desk.house.db

    assert db.read_now(caller, push.get_named_config, task.id, "mine").id == made.id
    for _ in range(2):
        db.write_now(caller, push.delete_named_config, task.id, "mine")
    with pytest.raises(NotFound, match="mine"):
        db.read_now(caller, push.get_named_config, task.id, "mine")
    with pytest.raises(NotFound, match="There is no task"):
        db.write_now(STRANGER, push.delete_named_config, task.id, "mine")
    assert desk.house.query("SELECT id FROM push_try") == []
    assert desk.house.audited("push.") == ["push.created", "push.deleted"]


def test_there_may_be_so_many_for_a_task_and_for_a_caller(
    desk: Desk, caller: Actor, task: TaskView, sealer: Sealer
) -> None:
    for number in range(3):
        desk.create(caller, task, NewPushConfig(HOOK, id=f"c{number}"))
    with pytest.raises(push.TooManyPushConfigs) as of_task:
        desk.create(caller, task, NewPushConfig(HOOK, id="c3"))
    assert of_task.value.facts == {"limit": 3, "of": "task"}
    assert desk.create(caller, task, NewPushConfig(HOOK, id="c2")).config_id == "c2"  # replacing takes no more room

    desk.terms = push.Terms(desk.terms.guard, sealer, most_per_caller=3)
    with pytest.raises(push.TooManyPushConfigs) as of_caller:
        desk.create(caller, desk.house.send(caller, "Another."))
    assert of_caller.value.facts == {"limit": 3, "of": "caller"}


def test_what_is_taken_is_noted_and_the_next_counts_from_there(
    desk: Desk, caller: Actor, task: TaskView, clock: ManualClock
) -> None:
    made = desk.create(caller, task)
    desk.tried(made, Answer(500, "no"))
    clock.advance(seconds=1)

    desk.tried(made, Answer(204), generation=4)

    now = desk.see(made)
    assert (now.delivered_generation, now.failures, now.last_status, now.last_error) == (4, 0, 204, "")
    assert (now.last_try_at, now.next_try_at) == (clock.now(), None)


def test_what_is_not_taken_is_tried_again_later_and_at_last_given_up(
    desk: Desk, caller: Actor, task: TaskView, clock: ManualClock
) -> None:
    made = desk.create(caller, task)
    for failures, wait_s in ((1, 10), (2, 20)):
        desk.tried(made, Answer(503, "busy"))
        now = desk.see(made)
        assert now.next_try_at is not None
        assert (now.state, now.failures, (now.next_try_at - clock.now()).total_seconds()) == (
            PushState.ACTIVE,
            failures,
            wait_s,
        )
    desk.tried(made, Answer(None, "nobody there"))

    now = desk.see(made)
    assert (now.state, now.failures, now.next_try_at, now.delivered_generation) == (PushState.STOPPED, 3, None, 2)
    assert desk.seen_by(OPERATOR, state=PushState.STOPPED) == [made.id]
    assert desk.house.audited("push.") == ["push.created", "push.stopped"]
    assert desk.house.query("SELECT type FROM event WHERE type LIKE 'push.%'") == [("push.created",), ("push.stopped",)]


def test_an_answer_to_what_was_sent_before_a_replay_changes_nothing(desk: Desk, caller: Actor, task: TaskView) -> None:
    made = desk.create(caller, task)
    began = desk.row(made).epoch
    desk.replay(caller, made, 0)

    desk.tried(made, Answer(204), generation=9, epoch=began)
    desk.tried(made, Answer(410, "gone"), generation=9, epoch=began)

    now = desk.see(made)
    assert (now.delivered_generation, now.state, now.last_status) == (0, PushState.ACTIVE, None)
    assert len(desk.house.query("SELECT id FROM push_try")) == 2


def test_an_answer_to_what_was_sent_before_it_was_deleted_is_nobody_s(
    desk: Desk, caller: Actor, task: TaskView
) -> None:
    made = desk.create(caller, task)
    desk.house.db.write_now(caller, push.delete_config, made.id)

    assert desk.house.db.write_now(KERNEL, service.report_try, made.id, 1, 3, Answer(204), PLAN, dice=0) is None
    desk.house.db.write_now(KERNEL, service.finish_config, made.id, 1)


def test_a_replay_goes_back_or_goes_on(desk: Desk, caller: Actor, task: TaskView) -> None:
    made = desk.create(caller, task)
    for _ in range(3):
        desk.tried(made, Answer(None, "nobody there"))

    on = desk.replay(caller, made)
    back = desk.replay(OPERATOR, made, 0)

    assert (on.state, on.delivered_generation, on.failures) == (PushState.ACTIVE, 2, 0)
    assert (back.state, back.delivered_generation) == (PushState.ACTIVE, 0)
    with pytest.raises(push.NothingToReplay) as too_far:
        desk.replay(caller, made, 3)
    assert too_far.value.facts == {"task": task.id, "generation": 2}
    with pytest.raises(Denied):
        desk.replay(AUDITOR, made)


def test_it_is_done_once_and_only_as_it_was_looked_at(desk: Desk, caller: Actor, task: TaskView) -> None:
    made = desk.create(caller, task)
    epoch = desk.row(made).epoch
    desk.replay(caller, made)
    desk.house.db.write_now(KERNEL, service.finish_config, made.id, epoch)
    assert desk.see(made).state is PushState.ACTIVE

    for _ in range(2):
        desk.house.db.write_now(KERNEL, service.finish_config, made.id, epoch + 1)

    assert desk.see(made).state is PushState.DONE
    assert desk.house.audited("push.").count("push.done") == 1


def test_the_last_tries_are_kept_and_listed_in_pages(
    desk: Desk, caller: Actor, task: TaskView, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, other = desk.create(caller, task), desk.create(caller, task, NewPushConfig(HOOK, id="other"))
    desk.tried(other, Answer(204))
    for number in range(service.TRIES_KEPT + 5):
        desk.tried(made, Answer(200 + number % 50), generation=number)

    def page(cursor: str | None) -> Any:
        return desk.house.db.read_now(caller, push.list_tries, made.id, limit=60, cursor=cursor)

    first = page(None)
    second = page(first.next_cursor)
    tries = [*first.items, *second.items]
    assert [one.generation for one in tries] == list(range(104, 4, -1))
    assert second.next_cursor is None
    assert len(desk.house.query("SELECT id FROM push_try")) == service.TRIES_KEPT + 1
    with pytest.raises(InvalidCursor):
        desk.house.db.read_now(caller, push.list_tries, other.id, limit=60, cursor=first.next_cursor)


def test_configurations_are_listed_in_pages(desk: Desk, caller: Actor, task: TaskView) -> None:
    made = [desk.create(caller, task, NewPushConfig(HOOK, id=f"c{number}")).id for number in range(3)]
    db = desk.house.db

    first = db.read_now(caller, push.list_configs, push.PushFilter(), limit=2)
    second = db.read_now(caller, push.list_configs, push.PushFilter(), limit=2, cursor=first.next_cursor)

    assert [config.id for config in (*first.items, *second.items)] == made[::-1]
    assert second.next_cursor is None
    with pytest.raises(InvalidCursor):
        db.read_now(caller, push.list_configs, push.PushFilter(TaskId(task.id)), limit=2, cursor=first.next_cursor)


def test_a_key_that_is_not_the_one_it_was_sealed_with_opens_nothing(desk: Desk, caller: Actor, task: TaskView) -> None:
    made = desk.create(caller, task, SECRETS)

    with pytest.raises(Exception, match="cannot be read"):
        service.open_secrets(Sealer(bytes(32)), desk.row(made))
    other = desk.row(made)._replace(id="push_other")  # nor does it open in another row
    with pytest.raises(Exception, match="cannot be read"):
        service.open_secrets(desk.terms.sealer, other)
