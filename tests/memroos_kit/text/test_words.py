"""Words: what is put into the index is found again, whatever it is."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from memroos_kit.sqlite import sqlite3
from memroos_kit.text import words
from memroos_kit.text.porter import stem

ENDINGS = ["", "s", "es", "ed", "ing", "ational", "iveness", "ly", "ies", "ment", "ion", "y", "ably", "ology", "biliti"]


@given(st.text(max_size=300))
@example("\N{MATHEMATICAL SANS-SERIF ITALIC CAPITAL A}")
def test_the_index_keeps_exactly_the_words_it_is_given(text: str) -> None:
    found = words.words_of(text)
    connection = sqlite3.connect(":memory:")
    connection.execute("CREATE VIRTUAL TABLE i USING fts5(words, content='', detail=column, tokenize='ascii')")
    connection.execute("CREATE VIRTUAL TABLE v USING fts5vocab(i, 'row')")
    connection.execute("INSERT INTO i (rowid, words) VALUES (1, ?)", (" ".join(found),))
    assert {row[0] for row in connection.execute("SELECT term FROM v")} == set(found)
    for word in found:
        assert connection.execute("SELECT 1 FROM i WHERE i MATCH ?", (f'words : "{word}"',)).fetchone()
    connection.close()


def test_stems_are_those_of_the_databases_own_stemmer() -> None:
    roots = "connect relat hope fall happi agree cease control rate activ electr sens goodn triplic form adopt inflam y"
    samples = sorted({root + ending for root in roots.split() for ending in ENDINGS if len(root + ending) > 3})
    connection = sqlite3.connect(":memory:")
    connection.execute("CREATE VIRTUAL TABLE i USING fts5(words, tokenize='porter ascii')")
    connection.execute("CREATE VIRTUAL TABLE v USING fts5vocab(i, 'instance')")
    connection.executemany("INSERT INTO i (rowid, words) VALUES (?, ?)", list(enumerate(samples)))
    theirs = {samples[row]: term for term, row in connection.execute("SELECT term, doc FROM v")}
    connection.close()
    assert {word: stem(word) for word in samples} == theirs


@pytest.mark.parametrize(
    ("one", "other"),
    [("Relational", "relate"), ("Café", "cafe"), ("STRASSE", "straße"), ("running", "runs"), ("ﬁle", "files")],
)
def test_two_forms_of_a_word_are_one(one: str, other: str) -> None:
    assert words.words_of(one) == words.words_of(other)


def test_scripts_without_spaces_are_cut_into_pairs() -> None:
    assert words.words_of("東京都") == ["東京", "京都"]
    assert words.words_of("字") == ["字"]


def test_small_words_are_looked_up_only_when_there_are_no_others() -> None:
    assert words.words_to_find("Where is the harbour?") == ["harbour"]
    assert words.words_to_find("who is it") == ["who", "is", "it"]
    assert words.words_to_find("?!") == []


@given(st.text(max_size=2_000))
def test_a_question_has_few_words_each_once(text: str) -> None:
    found = words.words_to_find(text)
    assert len(found) == len(set(found)) <= words.QUERY_WORDS_MAX


def test_a_snippet_is_the_passage_with_most_hits() -> None:
    text = "filler " * 100 + "the harbour crane was repaired " + "filler " * 100
    passage = words.snippet(text, frozenset(words.words_of("harbour crane")))
    assert "harbour crane was repaired" in passage
    assert passage.startswith("… ")
    assert passage.endswith(" …")
    assert len(passage.split()) <= words.SNIPPET_WORDS + 2


@given(st.text(max_size=3_000), st.text(max_size=20))
def test_a_snippet_is_short_and_from_the_text(text: str, query: str) -> None:
    passage = words.snippet(text, frozenset(words.words_of(query)))
    assert passage.removeprefix("… ").removesuffix(" …").strip() in text
    assert len(passage) <= 2_100
