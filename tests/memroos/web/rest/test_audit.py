"""The ledger over REST."""

from typing import Any

import pytest
from tests.actors import AGENT, AUDITOR, KERNEL, OPERATOR, STRANGER, VIEWER
from tests.conftest import Policy
from tests.memroos.audit.conftest import create
from tests.memroos.web.rest.serving import Client, calling, serving

from memroos import audit
from memroos.audit.rules import tree
from memroos.audit.rules.note import read_checkpoint
from memroos.web.rest.audit import AuditController
from memroos_contracts.governance import Action
from memroos_contracts.identity import Actor
from memroos_kit.db import Database

EVIDENCE = ["/api/audit", "/api/audit/proofs/inclusion?event=aud_1", "/api/audit/proofs/consistency?first=0"]


@pytest.fixture
def client(db: Database, ledger: audit.Ledger) -> Any:
    with serving(db, AuditController, ledger=ledger) as client:
        yield client


@pytest.fixture
def sealed(db: Database) -> list[str]:
    """Six actions, sealed: the ids of their outcomes."""
    ids = [str(db.write_now(OPERATOR, create, number)) for number in range(6)]
    db.write_now(KERNEL, audit.seal)
    return ids


def get(client: Client, path: str, actor: Actor = AUDITOR, **query: Any) -> Any:
    return client.get(path, headers=calling(actor), params=query or None)


def test_events_are_listed_newest_first_page_by_page(client: Client, sealed: list[str]) -> None:
    first = get(client, "/api/audit", limit=5).json()
    second = get(client, "/api/audit", limit=5, cursor=first["next_cursor"]).json()

    assert [event["seq"] for event in first["items"]] == [12, 11, 10, 9, 8]
    assert [event["seq"] for event in second["items"]] == [7, 6, 5, 4, 3]
    assert first["items"][0]["id"] == sealed[-1]


def test_a_follower_asks_for_what_came_after(client: Client, sealed: list[str]) -> None:
    page = get(client, "/api/audit", after=10).json()

    assert [event["seq"] for event in page["items"]] == [11, 12]


@pytest.mark.parametrize(
    ("query", "count"),
    [
        ({"event_kind": "decision"}, 6),
        ({"action": "task.created"}, 6),
        ({"principal": OPERATOR.principal}, 12),
        ({"principal": AGENT.principal}, 0),
        ({"asset": "task:task_1"}, 12),
        ({"outcome": "ok"}, 6),
        ({"outcome": "denied"}, 0),
        ({"since": "2026-01-01T12:00:00Z"}, 12),
        ({"until": "2026-01-01T12:00:00Z"}, 0),
        ({"since": "2026-01-01T13:00:00+01:00"}, 12),
    ],
)
def test_filters_narrow_the_list(query: dict[str, Any], count: int, client: Client, sealed: list[str]) -> None:
    assert len(get(client, "/api/audit", **query).json()["items"]) == count


@pytest.mark.parametrize(
    "query",
    [
        {"limit": 0},
        {"limit": 101},
        {"limit": "many"},
        {"event_kind": "rumour"},
        {"outcome": "maybe"},
        {"since": "yesterday"},
        {"since": "2026-01-01T12:00:00"},
        {"cursor": "nonsense"},
    ],
)
def test_a_wrong_query_is_said_to_be_wrong(query: dict[str, Any], client: Client) -> None:
    answer = get(client, "/api/audit", **query)

    assert answer.status_code in (400, 422)
    assert answer.headers["content-type"].startswith("application/problem+json")


def test_one_event_is_shown(client: Client, sealed: list[str]) -> None:
    event = get(client, f"/api/audit/{sealed[0]}").json()

    assert (event["seq"], event["action"], event["outcome"]) == (2, "task.created", "ok")
    assert event["facts"] == {"number": 0}
    decision = get(client, f"/api/audit/decisions/{event['decision_id']}").json()
    assert [item["seq"] for item in decision["items"]] == [1, 2]


def test_an_unknown_and_a_foreign_event_answer_the_same(client: Client, sealed: list[str]) -> None:
    for path in ("/api/audit/{}", "/api/audit/proofs/inclusion?event={}"):
        unknown = get(client, path.format("aud_unknown"))
        foreign = get(client, path.format(sealed[0]), STRANGER)

        assert (unknown.status_code, foreign.status_code) == (404, 404)
        assert unknown.json().keys() == foreign.json().keys()


def test_an_event_is_proved_from_the_answers_alone(client: Client, sealed: list[str]) -> None:
    verifier = audit.read_verifier(get(client, "/api/audit/key", VIEWER).json()["verifier"])
    head = read_checkpoint(verifier.open(get(client, "/api/audit/head", VIEWER).json()["note"]))

    proof = get(client, "/api/audit/proofs/inclusion", event=sealed[3]).json()

    path = [bytes.fromhex(node) for node in proof["hashes"]]
    assert tree.includes(tree.hash_leaf(proof["body"].encode()), proof["leaf_index"], head.size, path, head.root)
    assert proof["leaf_index"] == 7


def test_growth_is_proved_from_the_answers_alone(client: Client, sealed: list[str], db: Database) -> None:
    older = get(client, "/api/audit/head").json()
    db.write_now(OPERATOR, create)
    db.write_now(KERNEL, audit.seal)
    newer = get(client, "/api/audit/head").json()

    proof = get(client, "/api/audit/proofs/consistency", first=older["size"], second=newer["size"]).json()

    path = [bytes.fromhex(node) for node in proof["hashes"]]
    roots = {"first_root": bytes.fromhex(older["root"]), "second_root": bytes.fromhex(newer["root"])}
    assert tree.extends(older["size"], newer["size"], path, **roots)


def test_a_size_the_ledger_never_had_is_refused(client: Client, sealed: list[str]) -> None:
    answer = get(client, "/api/audit/proofs/consistency", first=1, second=13)

    assert (answer.status_code, answer.json()["size"]) == (422, 12)


def test_before_the_first_head_the_answer_says_when_to_come_again(client: Client, db: Database) -> None:
    answer = get(client, "/api/audit/head")

    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")


@pytest.mark.parametrize("actor", [AGENT, VIEWER])
@pytest.mark.parametrize("path", EVIDENCE)
def test_evidence_is_for_operators_and_auditors(actor: Actor, path: str, client: Client) -> None:
    assert get(client, path, actor).status_code == 403


@pytest.mark.parametrize("path", ["/api/audit/head", "/api/audit/key"])
def test_an_agent_sees_no_head(path: str, client: Client, sealed: list[str]) -> None:
    assert get(client, path, AGENT).status_code == 403
    assert get(client, path, VIEWER).status_code == 200


def test_policy_may_refuse_too(client: Client, policy: Policy) -> None:
    policy.deny(Action.AUDIT_READ)

    assert get(client, "/api/audit", OPERATOR).status_code == 403
