from datetime import UTC, datetime, timedelta, timezone

from tests.memroos_memory.lexical import corpus

from memroos_kit.db import Database
from memroos_memory import lexical
from memroos_memory.actor import SERVICE
from memroos_memory.lexical.writing import date_words


def test_a_day_is_written_in_the_words_of_a_question_about_it() -> None:
    assert date_words(datetime(2023, 5, 8, 13, 56, tzinfo=UTC)) == "8 may 2023 monday"


def test_a_day_is_the_same_wherever_the_clock_that_told_it_hangs() -> None:
    late_in_new_york = datetime(2023, 5, 8, 22, tzinfo=timezone(timedelta(hours=-4)))

    assert date_words(late_in_new_york) == "9 may 2023 tuesday"


def test_a_speaker_counts_twice_and_an_item_without_one_has_its_day() -> None:
    at = datetime(2023, 5, 8, tzinfo=UTC)

    assert lexical.meta_of("Ann", at) == "Ann Ann 8 may 2023 monday"
    assert lexical.meta_of("", at) == "8 may 2023 monday"


def test_an_item_is_as_long_as_its_words_and_those_beside_it(db: Database) -> None:
    assert db.write_now(SERVICE, lexical.add, 1, 1, "The dogs, they barked!", "Ann Ann") == (4, 2)


def test_an_item_that_is_indexed_again_stands_there_once(db: Database) -> None:
    db.write_now(SERVICE, corpus.open_scope, 1)
    db.write_now(SERVICE, corpus.say, 1, 1, corpus.Turn("", "dogs"))
    once = db.read_now(SERVICE, corpus.scores, lexical.Postings(), 1, ["dog"])

    db.write_now(SERVICE, lexical.add, 1, 1, "dogs", lexical.meta_of("", corpus.START))

    assert db.read_now(SERVICE, corpus.scores, lexical.Postings(), 1, ["dog"]) == once


def test_removing_may_be_repeated(db: Database) -> None:
    db.write_now(SERVICE, lexical.add, 1, 1, "dogs", "")

    for _ in range(2):
        db.write_now(SERVICE, lexical.remove, 1)

    db.write_now(SERVICE, lexical.add, 1, 1, "dogs", "")
