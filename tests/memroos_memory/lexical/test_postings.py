from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.memroos_memory.lexical import corpus
from tests.memroos_memory.lexical.corpus import Turn

from memroos_kit.db import Database
from memroos_memory import lexical
from memroos_memory.actor import SERVICE

WORDS = ["dog", "bark", "tea", "ann", "bob", "mai", "8"]


@pytest.fixture
def postings() -> lexical.Postings:
    return lexical.Postings()


def _ask(db: Database, postings: lexical.Postings, scope_seq: int = 1, words: list[str] | None = None) -> Any:
    return db.read_now(SERVICE, corpus.scores, postings, scope_seq, words or WORDS)


def test_a_word_is_found_in_the_turn_that_says_it_and_less_in_those_around_it(
    db: Database, postings: lexical.Postings
) -> None:
    db.write_now(SERVICE, corpus.open_scope, 1)
    for seq, text in enumerate(["hello", "a dog", "I see", "well", "good bye"], 1):
        db.write_now(SERVICE, corpus.say, 1, seq, Turn("Ann", text))

    found = _ask(db, postings, words=["dog"])

    assert set(found) == {1, 2, 3, 4}
    assert max(found, key=lambda seq: found[seq]) == 2


def test_the_turn_after_a_question_counts_its_words_like_its_own(db: Database, postings: lexical.Postings) -> None:
    db.write_now(SERVICE, corpus.open_scope, 1)
    for seq, text in enumerate(["What do you drink, tea?", "always", "Tea is good.", "always"], 1):
        db.write_now(SERVICE, corpus.say, 1, seq, Turn("Ann", text, stream=f"s{seq // 3}"))

    found = _ask(db, postings, words=["tea"])

    assert found[2] > found[4]


def test_a_turn_an_hour_later_or_in_another_stream_is_no_neighbour(db: Database, postings: lexical.Postings) -> None:
    db.write_now(SERVICE, corpus.open_scope, 1)
    db.write_now(SERVICE, corpus.say, 1, 1, Turn("Ann", "a dog"))
    db.write_now(SERVICE, corpus.say, 1, 2, Turn("Ann", "good morning", minute=61))
    db.write_now(SERVICE, corpus.say, 1, 3, Turn("Ann", "elsewhere", stream="notes"))

    assert set(_ask(db, postings, words=["dog"])) == {1}


def test_a_scope_knows_nothing_of_the_words_of_another(db: Database, postings: lexical.Postings) -> None:
    for scope_seq in (1, 11):
        db.write_now(SERVICE, corpus.open_scope, scope_seq)
    db.write_now(SERVICE, corpus.say, 1, 1, Turn("Ann", "a dog"))
    alone = _ask(db, postings, words=["dog"])

    for seq in range(2, 9):
        db.write_now(SERVICE, corpus.say, 11, seq, Turn("Bob", "dog dog dog"))

    assert _ask(db, postings, words=["dog"]) == alone


def test_what_is_learned_neither_counts_among_turns_nor_is_their_neighbour(
    db: Database, postings: lexical.Postings
) -> None:
    db.write_now(SERVICE, corpus.open_scope, 1)
    db.write_now(SERVICE, corpus.say, 1, 1, Turn("Ann", "a dog"))
    alone = _ask(db, postings, words=["dog"])

    db.write_now(SERVICE, corpus.say, 1, 2, Turn("Ann", "Ann has a dog", kind="fact"))

    assert _ask(db, postings, words=["dog"]) == alone


def test_several_scopes_are_weighed_by_what_they_hold_together(db: Database, postings: lexical.Postings) -> None:
    turns = {seq: Turn("Ann", text, stream=f"s{seq}") for seq, text in enumerate(["a dog", "tea", "dog and tea"], 1)}
    for scope_seq in (1, 2):
        db.write_now(SERVICE, corpus.open_scope, scope_seq)
    for seq, turn in turns.items():
        db.write_now(SERVICE, corpus.say, 1 + seq % 2, seq, turn)

    def both(tx: Any) -> dict[int, float]:
        held = [postings.find(tx, scope_seq, ["dog", "tea"]) for scope_seq in (1, 2)]
        tables, places = [table for table, _ in held], [words for _, words in held]
        among = lexical.turns_of(tables)
        seqs = [int(seq) for table in tables for seq in table.seq]
        scores = lexical.score(tables, places, among, ["dog", "tea"]).scores
        return {seq: round(float(score), 3) for seq, score in zip(seqs, scores, strict=True) if score}

    assert db.read_now(SERVICE, both) == plain(turns, ["dog", "tea"])


def plain(turns: dict[int, Turn], words: list[str]) -> dict[int, float]:
    return corpus.plain_scores(turns, words)


def test_scopes_that_were_not_asked_for_long_make_room(db: Database) -> None:
    postings = lexical.Postings(limit_bytes=1)
    for scope_seq in (1, 2):
        db.write_now(SERVICE, corpus.open_scope, scope_seq)
        db.write_now(SERVICE, corpus.say, scope_seq, scope_seq, Turn("Ann", "a dog"))
    first = _ask(db, postings)
    held = postings.size_bytes

    _ask(db, postings, 2)

    assert postings.size_bytes == held
    assert _ask(db, postings) == first


def test_what_a_scope_that_is_too_large_drops_again_is_not_counted(db: Database) -> None:
    postings = lexical.Postings(limit_bytes=1)
    db.write_now(SERVICE, corpus.open_scope, 1)
    db.write_now(SERVICE, corpus.say, 1, 1, Turn("Ann", "a dog barked at Bob"))
    _ask(db, postings, words=["dog"])
    table_alone = postings.size_bytes

    _ask(db, postings, words=WORDS)

    assert postings.size_bytes == table_alone


TEXTS = ["a dog", "the dog barked", "tea?", "Ann and Bob", "dogs bark at dogs and tea is cold", "8 May"]
STEPS = st.lists(
    st.tuples(st.sampled_from(["say", "say", "take back", "say again", "ask"]), st.integers(0, 5), st.integers(0, 90)),
    min_size=1,
    max_size=14,
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS)
def test_whatever_happens_between_questions_the_answer_is_that_of_the_definition(
    db: Database, steps: list[tuple[str, int, int]]
) -> None:
    postings = lexical.Postings()
    scope_seq = db.read_now(SERVICE, lambda tx: _next(tx, "scope"))
    db.write_now(SERVICE, corpus.open_scope, scope_seq)
    said: dict[int, Turn] = {}
    gone: dict[int, Turn] = {}
    for step, which, minute in steps:
        if step == "say":
            seq = db.read_now(SERVICE, lambda tx: _next(tx, "item"))
            turn = Turn("Ann" if which % 2 else "Bob", TEXTS[which], minute=minute, stream=f"s{which % 2}")
            db.write_now(SERVICE, corpus.say, scope_seq, seq, turn)
            said[seq] = turn
        elif step == "take back" and said:
            seq = sorted(said)[which % len(said)]
            db.write_now(SERVICE, corpus.take_back, scope_seq, seq)
            gone[seq] = said.pop(seq)
        elif step == "say again" and gone:
            seq = sorted(gone)[which % len(gone)]
            db.write_now(SERVICE, corpus.say_again, scope_seq, seq, gone[seq])
            said[seq] = gone.pop(seq)
        else:
            _ask(db, postings, scope_seq)

    expected = plain(said, WORDS)

    assert _ask(db, postings, scope_seq) == pytest.approx(expected, abs=2e-3)
    assert _ask(db, lexical.Postings(), scope_seq) == pytest.approx(expected, abs=2e-3)


def _next(tx: Any, table: str) -> int:
    cursor = tx.session.connection().exec_driver_sql(f"SELECT coalesce(max(seq), 0) + 1 FROM {table}")
    return int(cursor.scalar())
