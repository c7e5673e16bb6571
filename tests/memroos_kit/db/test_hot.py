"""Statements are compiled once and run on the driver's cursor."""

import pytest
from sqlalchemy import Column, Integer, MetaData, String, Table, bindparam, select

from memroos_kit.db import Hot, insert_by_position, sqlite3

thing = Table(
    "thing", MetaData(), Column("id", Integer, primary_key=True), Column("name", String), Column("size", Integer)
)


def test_values_are_given_in_the_order_of_the_columns() -> None:
    connection = sqlite3.connect(":memory:")
    connection.execute("CREATE TABLE thing (size INTEGER, name TEXT, id INTEGER)")

    connection.executemany(insert_by_position(thing), [(1, "one", 10), (2, "two", 20)])

    assert connection.execute("SELECT id, name, size FROM thing").fetchall() == [(1, "one", 10), (2, "two", 20)]
    connection.close()


def test_a_limit_does_not_make_sqlite_plan_the_statement_anew() -> None:
    hot = Hot(select(thing.c.id).limit(bindparam("most")))

    assert "LIMIT :most + 0" in hot.sql


def test_a_list_of_unknown_length_is_refused() -> None:
    with pytest.raises(ValueError, match="write it as text"):
        Hot(select(thing.c.id).where(thing.c.id.in_([1, 2])))
