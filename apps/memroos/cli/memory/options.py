"""What the commands about memory have in common."""

from datetime import UTC, datetime
from typing import Any

import click
import msgspec

from memroos_contracts.memory_filters import Filter


class InstantType(click.ParamType[Any]):
    """An instant as ISO 8601 says it; without an offset it is in UTC."""

    name = "instant"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        """Return the instant, aware."""
        if isinstance(value, datetime):
            return value
        try:
            found = datetime.fromisoformat(value)
        except ValueError:
            self.fail(f"{value!r} is no instant, such as 2026-05-08 or 2026-05-08T13:56:00+02:00", param, ctx)
        return found if found.tzinfo is not None else found.replace(tzinfo=UTC)


class JsonType(click.ParamType[Any]):
    """Something that is written as JSON.

    Args:
        of: what is read of it.
        hint: where somebody who writes it finds out how.
    """

    def __init__(self, name: str, of: Any, hint: str) -> None:
        self.name = name
        self._of = of
        self._hint = hint

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return what was written."""
        if not isinstance(value, str):
            return value
        try:
            return msgspec.json.decode(value, type=self._of)
        except msgspec.DecodeError as error:
            self.fail(f"{error}; {self._hint}", param, ctx)


INSTANT = InstantType()
FILTER = JsonType("filter", Filter, "docs/how-to/remember-and-recall.md shows filters")

user_option = click.option("--user", default="", metavar="ID", help="Only what is about this person.")
agent_option = click.option("--agent", default="", help="Only what is an agent's; by name or id.")
filter_option = click.option(
    "--filter", "filter_", type=FILTER, metavar="JSON", help='Such as {"op": "eq", "field": "speaker", ...}.'
)
as_of_option = click.option("--as-of", type=INSTANT, metavar="TIME", help="What held at this time.")
known_at_option = click.option("--known-at", type=INSTANT, metavar="TIME", help="As memory knew it then.")
reason_option = click.option("--reason", default="", help="Why; the log keeps it.")
