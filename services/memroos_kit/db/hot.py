"""Statements that are compiled once and run on the driver's cursor.

Written with SQLAlchemy Core, so that tables and columns are checked names; executed without SQLAlchemy, which costs
four times the work of the statement itself. Values go in as the driver takes them: integers for instants
(`memroos_kit.clock.to_micros`), text for enums and JSON.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any, Protocol

from sqlalchemy import Insert, Table
from sqlalchemy.dialects import sqlite
from sqlalchemy.sql import ClauseElement

_BARE_LIMIT = re.compile(r"\b(?:LIMIT|OFFSET) :\w+\b(?! \+)")
_DIALECT = sqlite.dialect(paramstyle="named")


class Cursor(Protocol):
    """What is used of a DB-API cursor."""

    rowcount: int
    lastrowid: int | None

    def execute(self, sql: str, parameters: Any = ..., /) -> Any:
        """Run a statement."""
        ...

    def executemany(self, sql: str, parameters: Iterable[Any], /) -> Any:
        """Run a statement for each set of parameters."""
        ...

    def fetchone(self) -> Any:
        """Return the next row or None."""
        ...

    def fetchall(self) -> list[Any]:
        """Return the remaining rows."""
        ...


class Hot:
    """A statement compiled once.

    Args:
        statement: any Core statement whose values are `bindparam("name")`. For an INSERT without values, each of the
            table's columns becomes a parameter of its own name; `columns` names a part of them.
        columns: for an INSERT: the columns that get a value.
    """

    __slots__ = ("defaults", "sql")

    def __init__(self, statement: ClauseElement, *, columns: Iterable[str] | None = None) -> None:
        names = list(columns) if columns is not None else None
        if names is None and isinstance(statement, Insert):
            names = [c.name for c in statement.table.columns]
        compiled = statement.compile(dialect=_DIALECT, column_keys=names)
        # SQLite plans a statement anew whenever a bare LIMIT parameter is bound: 50 microseconds instead of 5.
        self.sql = _BARE_LIMIT.sub(r"\g<0> + 0", str(compiled))
        if "POSTCOMPILE" in self.sql:
            raise ValueError("A hot statement cannot hold a list whose length is known only later; write it as text.")
        self.defaults: Mapping[str, Any] = {name: value for name, value in compiled.params.items() if value is not None}

    def bind(self, parameters: dict[str, Any]) -> dict[str, Any]:
        """Return the parameters with the constants of the statement filled in."""
        return {**self.defaults, **parameters} if self.defaults else parameters


def insert_by_position(table: Table) -> str:
    """Return an INSERT whose values are given by position, in the order of the table's columns.

    For `executemany` with tuples: named parameters cost a third more.
    """
    return str(table.insert().compile(dialect=sqlite.dialect(paramstyle="qmark")))
