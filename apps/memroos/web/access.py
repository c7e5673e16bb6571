"""The access table: roles x routes x objects.

One row for each route that is served, mounted A2A routes included. The guards, the docs page and the matrix test are
made from it; a route without a row stops the start. What a role may do with an object it reaches is policy's to say
(`governance`); this table says which roles come through the door at all, and how far they see.
"""

from collections.abc import Iterable, Mapping
from enum import StrEnum

import msgspec

from memroos_contracts.identity import Role


class Reach(StrEnum):
    """Which objects a role can find through a route. All others do not exist for it."""

    OWN = "own"
    """Only what it owns or is addressed to."""
    WORKSPACE = "workspace"
    """Everything in its workspace."""


class Row(msgspec.Struct, frozen=True):
    """Who may use one route."""

    operation: str
    """The route's operation id."""
    method: str
    path: str
    roles: Mapping[Role, Reach] = {}
    """A role that is not named gets 403."""
    object: str = ""
    """The kind of object that the path names; empty where it names none."""
    public: bool = False
    """Whether it answers without a key."""


class AccessTableIncomplete(RuntimeError):
    """A route is served that the access table does not know, or the other way round."""


OPERATOR, AUDITOR, VIEWER, AGENT, SERVICE = Role.OPERATOR, Role.AUDITOR, Role.VIEWER, Role.AGENT, Role.SERVICE
OWN, WORKSPACE = Reach.OWN, Reach.WORKSPACE

_OPERATORS = {OPERATOR: WORKSPACE}
_READERS = {OPERATOR: WORKSPACE, AUDITOR: WORKSPACE, VIEWER: WORKSPACE}
_CALLERS = {OPERATOR: WORKSPACE, AGENT: OWN, SERVICE: OWN}
_WORKERS = {AGENT: OWN}
_EVERYBODY = {OPERATOR: WORKSPACE, AUDITOR: WORKSPACE, VIEWER: WORKSPACE, AGENT: OWN, SERVICE: OWN}


ROWS: tuple[Row, ...] = (
    # process
    Row("getHealth", "GET", "/healthz", public=True),
    Row("getReadiness", "GET", "/readyz", public=True),
    Row("getMetrics", "GET", "/metrics", _READERS | {SERVICE: WORKSPACE}),
    Row("getOpenApi", "GET", "/api/openapi.json", _EVERYBODY),
    Row("getProblem", "GET", "/problems/{slug}", public=True),
    # registry
    # governance
    # bus
    # memory
    # tasks
    # audit and events
)


def by_operation(rows: Iterable[Row] = ROWS) -> dict[str, Row]:
    """Return the table keyed by operation id.

    Raises:
        AccessTableIncomplete: two rows have one operation id.
    """
    table: dict[str, Row] = {}
    for row in rows:
        if row.operation in table:
            raise AccessTableIncomplete(f"two rows in the access table for {row.operation}")
        table[row.operation] = row
    return table
