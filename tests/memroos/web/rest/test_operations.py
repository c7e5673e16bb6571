import msgspec
from tests.actors import OPERATOR
from tests.conftest import START
from tests.memroos.web.rest.serving import calling, serving

from memroos import operations
from memroos.web import access
from memroos.web.rest.operations import OperationsController
from memroos_contracts.identity import Role
from memroos_contracts.operations import OperationsView
from memroos_kit.db import Database


def test_the_overview_is_served(db: Database) -> None:
    with serving(db, OperationsController, process=operations.Process(db, "0.1.0", START)) as client:
        answer = client.get("/api/operations", headers=calling(OPERATOR))

    assert answer.status_code == 200
    view = msgspec.json.decode(answer.content, type=OperationsView)
    assert view.process is not None
    assert view.process.version == "0.1.0"


def test_people_may_see_it_and_agents_may_not() -> None:
    assert set(access.row("getOperations").roles) == {Role.OPERATOR, Role.AUDITOR, Role.VIEWER}
