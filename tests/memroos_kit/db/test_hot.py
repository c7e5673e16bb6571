"""Statements are compiled once and run on the driver's cursor."""

from sqlalchemy import Column, Integer, MetaData, String, Table

from memroos_kit.db import insert_by_position, sqlite3

thing = Table(
    "thing", MetaData(), Column("id", Integer, primary_key=True), Column("name", String), Column("size", Integer)
)


def test_values_are_given_in_the_order_of_the_columns() -> None:
    connection = sqlite3.connect(":memory:")
    connection.execute("CREATE TABLE thing (size INTEGER, name TEXT, id INTEGER)")

    connection.executemany(insert_by_position(thing), [(1, "one", 10), (2, "two", 20)])

    assert connection.execute("SELECT id, name, size FROM thing").fetchall() == [(1, "one", 10), (2, "two", 20)]
    connection.close()
