"""Asking twice with one key changes one thing."""

import asyncio
from datetime import timedelta

import msgspec
import pytest
from tests.actors import AGENT, KERNEL, OTHER_AGENT, STRANGE_AGENT

from memroos_contracts.errors import IdempotencyConflict, InvalidRequest
from memroos_kit.clock import ManualClock
from memroos_kit.db import Database, Tx
from memroos_kit.db.once import FORGET_AT_ONCE, Idempotency, forget_old, once, once_keeping


class Thing(msgspec.Struct, frozen=True):
    name: str
    secret: str = ""


class Maker:
    """A verb that counts how often it ran."""

    def __init__(self) -> None:
        self.runs = 0

    def __call__(self, tx: Tx, name: str, *, secret: str = "") -> Thing:
        self.runs += 1
        return Thing(f"{name} {self.runs}", secret)


def key(name: str = "k-1", digest: str = "d") -> Idempotency:
    return Idempotency(key=name, operation="makeThing", digest=digest)


@pytest.fixture
def make() -> Maker:
    return Maker()


def test_without_a_key_the_verb_runs_each_time(db: Database, make: Maker) -> None:
    for expected in ("a 1", "a 2"):
        assert db.write_now(AGENT, once, None, Thing, make, "a").name == expected


def test_a_repeat_gets_the_first_answer_and_changes_nothing(db: Database, make: Maker) -> None:
    first = db.write_now(AGENT, once, key(), Thing, make, "a", secret="s")
    second = db.write_now(AGENT, once, key(), Thing, make, "a", secret="s")
    assert first == second == Thing("a 1", "s")
    assert make.runs == 1


def test_the_same_key_for_another_request_is_a_conflict(db: Database, make: Maker) -> None:
    db.write_now(AGENT, once, key(), Thing, make, "a")
    with pytest.raises(IdempotencyConflict) as conflict:
        db.write_now(AGENT, once, key(digest="other"), Thing, make, "b")
    assert conflict.value.facts == {"idempotency_key": "k-1"}
    assert make.runs == 1


def test_keys_belong_to_their_principal_workspace_and_operation(db: Database, make: Maker) -> None:
    for actor in (AGENT, OTHER_AGENT, STRANGE_AGENT):
        db.write_now(actor, once, key(), Thing, make, "a")
    other_operation = Idempotency(key="k-1", operation="makeOther", digest="d")
    db.write_now(AGENT, once, other_operation, Thing, make, "a")
    assert make.runs == 4


def test_a_failed_request_is_not_kept(db: Database, make: Maker) -> None:
    def fail(tx: Tx) -> Thing:
        raise InvalidRequest

    with pytest.raises(InvalidRequest):
        db.write_now(AGENT, once, key(), Thing, fail)
    assert db.write_now(AGENT, once, key(), Thing, make, "a").name == "a 1"


def test_a_secret_is_shown_once_and_not_kept(db: Database, make: Maker) -> None:
    def without_secret(thing: Thing) -> Thing:
        return msgspec.structs.replace(thing, secret="")

    first = db.write_now(AGENT, once_keeping, key(), Thing, without_secret, make, "a", secret="s3cret")
    second = db.write_now(AGENT, once_keeping, key(), Thing, without_secret, make, "a", secret="s3cret")
    assert (first.secret, second.secret) == ("s3cret", "")
    assert first.name == second.name
    assert all(b"s3cret" not in file.read_bytes() for file in db.path.parent.glob(f"{db.path.name}*"))


async def _at_the_same_time(db: Database, make: Maker) -> list[Thing]:
    return await asyncio.gather(*(db.write(AGENT, once, key(), Thing, make, "a") for _ in range(20)))


def test_repeats_at_the_same_time_run_once(db: Database, make: Maker) -> None:
    answers = asyncio.run(_at_the_same_time(db, make))
    assert set(answers) == {Thing("a 1")}


@pytest.mark.parametrize("bad", ["", "x" * 201, "with space", "tab\t", "ümlaut", "line\nbreak", "\x7f"])
def test_a_key_that_is_not_visible_ascii_is_refused(bad: str) -> None:
    with pytest.raises(InvalidRequest):
        key(bad)


def test_old_answers_are_forgotten_in_chunks(db: Database, make: Maker, clock: ManualClock) -> None:
    def fill(tx: Tx) -> None:
        for number in range(FORGET_AT_ONCE + 1):
            once(tx, key(f"k-{number}"), Thing, make, "a")

    db.write_now(AGENT, fill)
    clock.advance(hours=1)
    db.write_now(AGENT, once, key("young"), Thing, make, "a")

    before = clock.now() - timedelta(minutes=1)
    assert [db.write_now(KERNEL, forget_old, before) for _ in range(3)] == [FORGET_AT_ONCE, 1, 0]
    runs = make.runs
    db.write_now(AGENT, once, key("young"), Thing, make, "a")
    assert make.runs == runs
