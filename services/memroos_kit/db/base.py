"""The declarative base, column types and constraint names that every table uses."""

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any

import msgspec
from sqlalchemy import BigInteger, Dialect, Enum, MetaData
from sqlalchemy.orm import DeclarativeBase
from sqlalchemy.types import Text, TypeDecorator

from memroos_kit.clock import from_micros, to_micros

NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}


class UtcDateTime(TypeDecorator[datetime]):
    """An aware instant, stored as microseconds since 1970-01-01 UTC: small, exact, and sortable."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> int | None:  # noqa: ARG002
        """Store."""
        return None if value is None else to_micros(value)

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        """Load."""
        return None if value is None else from_micros(value)


class JsonText(TypeDecorator[Any]):
    """JSON as text, encoded by msgspec."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> str | None:  # noqa: ARG002
        """Store."""
        return None if value is None else msgspec.json.encode(value).decode()

    def process_result_value(self, value: Any, dialect: Dialect) -> Any:  # noqa: ARG002
        """Load."""
        return None if value is None else msgspec.json.decode(value)


class Base(DeclarativeBase):
    """The base of every table."""

    metadata = MetaData(naming_convention=NAMING)
    type_annotation_map = {  # noqa: RUF012 - SQLAlchemy reads it from the class
        datetime: UtcDateTime,
        dict[str, Any]: JsonText,
        list[str]: JsonText,
        list[Any]: JsonText,
    }


def by_value(enum: type[StrEnum]) -> Enum:
    """Return the column type that stores an enum by its value."""
    return Enum(enum, values_callable=lambda members: [m.value for m in members], native_enum=False, length=64)


def append_only(table: str, *, columns: Sequence[str] = ()) -> tuple[str, str]:
    """Return the triggers that make a table refuse UPDATE and DELETE.

    Args:
        table: whose rows may only be added.
        columns: restrict the refusal of UPDATE to these columns; empty means all.
    """
    of = f" OF {', '.join(columns)}" if columns else ""
    return (
        f"CREATE TRIGGER {table}_refuses_update BEFORE UPDATE{of} ON {table} "
        f"BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END",
        f"CREATE TRIGGER {table}_refuses_delete BEFORE DELETE ON {table} "
        f"BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END",
    )
