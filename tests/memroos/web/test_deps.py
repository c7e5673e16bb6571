"""What handlers get: the caller, and the caller's name for a request that may be repeated."""

from typing import Any

import pytest
from litestar import post
from litestar.di import NamedDependency, Provide
from litestar.params import FromPath, JSONBody
from litestar.testing import TestClient
from tests.actors import AGENT

from memroos.web import access, deps
from memroos_contracts.errors import Denied
from memroos_contracts.identity import Actor, Role
from memroos_kit.db.once import Idempotency
from memroos_kit.edge import App, Receive, Scope, Send
from memroos_kit.service import Health, ServiceApp, Stopping, create_app

SEEN: list[Idempotency | None] = []


@post("/things/{name:str}", operation_id="sendTask")
async def make_thing(
    name: FromPath[str],
    data: JSONBody[dict[str, Any]],
    actor: NamedDependency[Actor],
    idempotency: NamedDependency[Idempotency | None],
) -> str:
    SEEN.append(idempotency)
    return actor.principal


@post("/others/{name:str}", operation_id="createAgent")
async def make_other(
    name: FromPath[str], data: JSONBody[dict[str, Any]], idempotency: NamedDependency[Idempotency | None]
) -> None:
    SEEN.append(idempotency)


def served(actor: Actor | None) -> ServiceApp:
    def inside(app: App) -> App:
        async def front(scope: Scope, receive: Receive, send: Send) -> None:
            if actor is not None:
                scope["actor"] = actor
            await app(scope, receive, send)

        return front

    return create_app(
        Health("test", "0"),
        route_handlers=[make_thing, make_other],
        stopping=Stopping(),
        inside=inside,
        guards=[deps.guard],
        dependencies={"actor": Provide(deps.provide_actor), "idempotency": Provide(deps.provide_idempotency)},
    )


def named(path: str, body: bytes, key: str | None = "k", **query: str) -> Idempotency | None:
    """Make a request and return what it is called by."""
    SEEN.clear()
    headers = {"content-type": "application/json"} | ({} if key is None else {"Idempotency-Key": key})
    operator = Actor(role=Role.OPERATOR, id="key_o")
    with TestClient(served(operator)) as client:
        assert client.post(path, content=body, headers=headers, params=query).status_code == 201
    return SEEN[0]


def test_a_request_without_a_name_has_none() -> None:
    assert named("/things/a", b"{}", key=None) is None


def test_the_same_request_has_the_same_digest_and_any_other_another() -> None:
    first = named("/things/a", b'{"n": 1}')

    assert first is not None
    assert (first.key, first.operation) == ("k", "sendTask")
    assert named("/things/a", b'{"n": 1}') == first
    assert named("/things/a", b'{"n": 1}', wait_s="5") == first  # how long a caller waits changes nothing
    others = [named("/things/a", b'{"n": 2}'), named("/things/b", b'{"n": 1}'), named("/others/a", b'{"n": 1}')]
    assert len({other.digest for other in [first, *others] if other}) == 4


def test_a_name_holds_for_one_operation() -> None:
    one, other = named("/things/a", b"{}"), named("/others/a", b"{}")

    assert one is not None
    assert other is not None
    assert one.operation != other.operation


@pytest.mark.parametrize(
    ("actor", "status", "slug"),
    [(None, 401, "unauthenticated"), (Actor(role=Role.VIEWER, id="key_v"), 403, "denied"), (AGENT, 201, "")],
)
def test_the_guard_lets_through_whom_the_table_lists(actor: Actor | None, status: int, slug: str) -> None:
    with TestClient(served(actor)) as client:
        response = client.post("/things/a", json={})

    assert response.status_code == status
    assert slug in response.text


def test_the_table_refuses_by_role() -> None:
    for row in access.ROWS:
        for role in Role:
            actor = Actor(role=role, id="x")
            if row.public or role in row.roles:
                assert access.demand(row.operation, actor) is row
            else:
                with pytest.raises(Denied):
                    access.demand(row.operation, actor)
