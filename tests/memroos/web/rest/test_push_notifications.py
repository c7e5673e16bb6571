"""Push notifications over REST."""

from collections.abc import Iterator

import pytest
from tests.actors import AGENT, AUDITOR, OPERATOR, VIEWER
from tests.memroos.web.rest.serving import Client, calling, serving

from memroos import broker, push, registry
from memroos.web.rest.push_notifications import PushNotificationController
from memroos_contracts.broker import Message, MessageRole, Part
from memroos_contracts.registry import AgentKind, AgentState, NewAgent
from memroos_kit.db import Database
from memroos_kit.outbound import Guard
from memroos_kit.sealing import Sealer

HOOK = {"url": "https://hook.example/in", "id": "mine", "token": "the-token"}


@pytest.fixture
def client(db: Database) -> Iterator[Client]:
    """The door."""
    with serving(db, PushNotificationController, push_terms=push.Terms(Guard(allow=["*"]), Sealer(bytes(32)))) as it:
        yield it


@pytest.fixture
def task(db: Database) -> str:
    """A task that the agent sent."""
    db.write_now(OPERATOR, registry.create_agent, NewAgent(name="worker", kind=AgentKind.REST, state=AgentState.ACTIVE))
    message = Message("m", MessageRole.USER, [Part(text="x")])
    return db.write_now(AGENT, broker.send_message, broker.Send(message, agent="worker")).id


def test_a_configuration_from_its_making_to_its_end(client: Client, task: str) -> None:
    path = f"/api/tasks/{task}/push-notifications"
    made = client.post(path, json=HOOK, headers=calling(AGENT, idempotency_key="once"))
    again = client.post(path, json=HOOK, headers=calling(AGENT, idempotency_key="once"))
    one = f"/api/push-notifications/{made.json()['id']}"

    assert made.status_code == 201
    assert made.json() == again.json()
    assert "the-token" not in made.text
    for actor in (AGENT, OPERATOR, AUDITOR):
        listed = client.get(
            "/api/push-notifications", params={"task": task, "push_state": "active"}, headers=calling(actor)
        )
        assert [config["id"] for config in listed.json()["items"]] == [made.json()["id"]]
        assert client.get(one, headers=calling(actor)).json()["config_id"] == "mine"
        assert client.get(f"{one}/tries", headers=calling(actor)).json() == {"items": [], "next_cursor": None}
    replayed = client.post(f"{one}/replay", json={"after_generation": 0}, headers=calling(AGENT))
    assert (replayed.status_code, replayed.json()["delivered_generation"]) == (200, 0)
    assert client.delete(one, headers=calling(AGENT)).status_code == 204
    assert client.get(one, headers=calling(AGENT)).status_code == 404


@pytest.mark.parametrize(
    ("body", "status", "slug"),
    [
        ({"url": "http://10.0.0.1/"}, 422, "address-refused"),
        ({"url": ""}, 422, "invalid-request"),
        ({"url": "https://hook.example", "credentials": "c"}, 422, "invalid-request"),
        ({"url": "https://hook.example", "secret": "s"}, 422, "invalid-request"),
        ({}, 422, "invalid-request"),
    ],
)
def test_what_cannot_be_used_is_refused_with_its_reason(
    client: Client, task: str, body: dict[str, str], status: int, slug: str
) -> None:
    refused = client.post(f"/api/tasks/{task}/push-notifications", json=body, headers=calling(AGENT))

    assert (refused.status_code, refused.json()["type"]) == (status, f"/problems/{slug}")


def test_a_replay_beyond_the_task_is_refused(client: Client, task: str) -> None:
    made = client.post(f"/api/tasks/{task}/push-notifications", json=HOOK, headers=calling(AGENT)).json()

    refused = client.post(
        f"/api/push-notifications/{made['id']}/replay", json={"after_generation": 99}, headers=calling(AGENT)
    )

    assert (refused.status_code, refused.json()["type"]) == (422, "/problems/nothing-to-replay")


@pytest.mark.parametrize("actor", [AUDITOR, VIEWER])
def test_who_only_looks_makes_none(client: Client, task: str, actor: object) -> None:
    assert (
        client.post(
            f"/api/tasks/{task}/push-notifications",
            json=HOOK,
            headers=calling(actor),  # type: ignore[arg-type]
        ).status_code
        == 403
    )
