import json
from typing import Any

import msgspec
import pytest
from tests.actors import AGENT, OPERATOR, STRANGER
from tests.card_server import WELL_KNOWN, CardServer, card_of, old_card_of
from tests.conftest import Policy
from tests.memroos.registry.worker.conftest import OWNER, SEALER, SECRET, Operator, Rows, run

from memroos import registry
from memroos.registry import CardRefused, CardUnavailable, RemoteAgents
from memroos_contracts.errors import Denied, IdempotencyConflict, InvalidRequest, NotFound
from memroos_contracts.governance import Action
from memroos_contracts.registry import (
    AgentState,
    Breaker,
    Credential,
    Health,
    Liveness,
    NewRemoteAgent,
    RemoteAgentChange,
    RemoteAgentView,
    SignatureState,
)
from memroos_kit.clock import ManualClock
from memroos_kit.db import Database
from memroos_kit.db.once import Idempotency
from memroos_kit.outbound import AddressRefused, Guard

# -- registering -----------------------------------------------------------------------------------------------------


def test_an_agent_is_registered_from_its_card(operator: Operator, server: CardServer, clock: ManualClock) -> None:
    made = operator.add()

    assert (made.agent.name, made.agent.title, made.agent.kind) == ("albatross-watcher", "Albatross Watcher", "a2a")
    assert (made.agent.state, made.agent.liveness, made.agent.last_seen_at) == ("active", Liveness.LIVE, clock.now())
    assert [skill.id for skill in made.agent.skills] == ["watch"]
    assert (made.interface_url, made.protocol_binding) == (f"{server.url}/rpc", "JSONRPC")
    assert (made.health, made.breaker, made.failures) == (Health.HEALTHY, Breaker.CLOSED, 0)
    assert (made.card_url, made.card_version) == (server.url + WELL_KNOWN, 1)
    assert made.signature is SignatureState.UNSIGNED
    assert operator.look(made.agent.name) == made


def test_the_card_in_force_is_kept_byte_for_byte(operator: Operator, server: CardServer, db: Database) -> None:
    body = json.dumps(card_of(server.url), indent=7).encode() + b"\n\n"
    server.serve(body)

    made = operator.add()

    assert operator.remote(made.agent.id).card == body
    assert db.read_now(OPERATOR, registry.read_card, made.agent.id, 1) == (body, made.card_digest)


def test_an_agent_of_0_3_is_registered_as_one(operator: Operator, server: CardServer) -> None:
    server.serve(old_card_of(server.url))

    assert operator.add().protocol_version == "0.3"


def test_an_address_that_is_itself_the_card_is_found(operator: Operator, server: CardServer) -> None:
    server.files = {"/agents/7": card_of(server.url)}

    assert operator.add(card_url=f"{server.url}/agents/7").card_url == f"{server.url}/agents/7"


def test_names_made_from_cards_do_not_collide(operator: Operator, server: CardServer) -> None:
    assert [operator.add().agent.name for _ in range(3)] == [
        "albatross-watcher", "albatross-watcher-2", "albatross-watcher-3",
    ]  # fmt: skip
    server.serve(card_of(server.url, name="信天翁"))
    with pytest.raises(InvalidRequest):
        operator.add()
    assert operator.add(name="albatross").agent.title == "信天翁"
    server.serve(card_of(server.url, name="Default"))
    assert operator.add().agent.name == "default-2"


def test_it_may_be_registered_as_a_draft_with_limits_of_our_own(operator: Operator) -> None:
    made = operator.add(state=AgentState.DRAFT, max_concurrency=3, labels={"team": "blue"}, interval_s=5)

    assert (made.agent.state, made.agent.max_concurrency, made.agent.labels) == ("draft", 3, {"team": "blue"})
    assert made.interval_s == 5


def test_registering_is_announced_without_the_credential(operator: Operator, published: Rows, outcomes: Rows) -> None:
    made = operator.add(credential=Credential(value=SECRET))

    assert [(type_, subject) for type_, subject, _ in published()] == [
        ("agent.created", made.agent.id), ("agent.activated", made.agent.id), ("agent.live", made.agent.id),
    ]  # fmt: skip
    assert ("agent.created", "ok", True) in outcomes()


def test_a_repeat_with_the_same_key_gets_the_first_answer_even_when_the_agent_is_gone(
    remotes: RemoteAgents, server: CardServer
) -> None:
    new = NewRemoteAgent(card_url=server.url)
    key = Idempotency(key="k", operation="addRemoteAgent", digest="d")
    made = run(lambda: remotes.add(OPERATOR, new, key))
    server.status = 500

    assert run(lambda: remotes.add(OPERATOR, new, key)) == made
    with pytest.raises(IdempotencyConflict):
        run(lambda: remotes.add(OPERATOR, new, msgspec.structs.replace(key, digest="other")))


def test_nothing_is_fetched_for_somebody_who_may_not(
    remotes: RemoteAgents, server: CardServer, policy: Policy, outcomes: Rows
) -> None:
    policy.deny(Action.AGENT_CREATE)

    with pytest.raises(Denied):
        run(lambda: remotes.add(AGENT, NewRemoteAgent(card_url=server.url)))

    assert server.asked == []
    assert ("agent.create", "denied", True) in outcomes()


def test_an_address_that_is_not_listed_is_refused_before_anything_is_fetched(operator: Operator) -> None:
    with pytest.raises(AddressRefused, match="not in the allow-list"):
        operator.add(card_url="http://agent.example/")
    with pytest.raises(AddressRefused, match="credentials"):
        operator.add(card_url="http://169.254.169.254/latest.json")


@pytest.mark.parametrize("status", [301, 302, 307, 404, 500])
def test_no_card_there_is_said_so(operator: Operator, server: CardServer, status: int) -> None:
    server.status, server.headers = status, {"Location": f"{server.url}{WELL_KNOWN}"}

    with pytest.raises(CardUnavailable, match=str(status)):
        operator.add()

    assert {path for path, _ in server.asked} <= {WELL_KNOWN, "/"}


def test_nobody_there_is_said_so(operator: Operator) -> None:
    with CardServer() as gone:
        pass
    with pytest.raises(CardUnavailable, match="Nobody answers"):
        operator.add(card_url=gone.url)


def test_a_hostile_card_registers_nothing(operator: Operator, server: CardServer, db: Database) -> None:
    server.serve(card_of(server.url, skills=[{"id": f"s{n}", "name": "x"} for n in range(2000)]))

    with pytest.raises(CardRefused, match="2000 skills"):
        operator.add()

    assert db.read_now(OPERATOR, registry.list_remote_agents).items == []


def test_a_card_may_not_send_us_inside(operator: Operator, server: CardServer) -> None:
    server.serve(card_of("http://10.0.0.1"))

    with pytest.raises(CardRefused, match="private or special"):
        operator.add()


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"pinned_keys": ("{}",)}, "pinned_keys"),
        ({"credential": Credential(value="a\r\nHost: evil")}, "credential.value"),
        ({"credential": Credential(value="schlüssel")}, "credential.value"),
        ({"credential": Credential(value="x", scheme="Bearer evil")}, "credential.scheme"),
        ({"credential": Credential(value="x", header="X Y")}, "credential.header"),
        ({"credential": Credential(value="x", header="Host")}, "credential.header"),
        ({"credential": Credential(value="x", header="A2A-Version")}, "credential.header"),
    ],
)
def test_what_cannot_be_used_is_refused_by_field(operator: Operator, fields: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        operator.add(**fields)

    assert field in str(refused.value.facts["fields"])


def test_a_remote_agent_of_another_workspace_does_not_exist(
    operator: Operator, db: Database, remotes: RemoteAgents
) -> None:
    made = operator.add().agent.id

    assert db.read_now(STRANGER, registry.list_remote_agents).items == []
    for ask in (registry.read_remote_agent, registry.list_card_versions, registry.get_remote):
        with pytest.raises(NotFound):
            db.read_now(STRANGER, ask, made)
    with pytest.raises(NotFound):
        db.read_now(STRANGER, registry.read_card, made, 1)
    with pytest.raises(NotFound):
        run(lambda: remotes.refresh(STRANGER, made))
    with pytest.raises(NotFound):
        run(lambda: remotes.change(STRANGER, made, RemoteAgentChange(interval_s=5)))
    with pytest.raises(NotFound):
        db.write_now(STRANGER, registry.retire_remote_agent, made)


def test_the_listing_goes_on_where_it_stopped(operator: Operator, db: Database) -> None:
    made = [operator.add().agent.id for _ in range(3)]

    first = db.read_now(OPERATOR, registry.list_remote_agents, limit=2)
    rest = db.read_now(OPERATOR, registry.list_remote_agents, limit=2, cursor=first.next_cursor)

    assert [one.agent.id for one in [*first.items, *rest.items]] == made[::-1]
    assert rest.next_cursor is None
    assert db.read_now(OPERATOR, registry.list_remote_agents, health=Health.FAILING).items == []


# -- credentials -------------------------------------------------------------------------------------------------------


def test_a_credential_is_shown_to_the_agent_and_to_nobody_else(
    operator: Operator, db: Database, published: Rows
) -> None:
    made = operator.add(credential=Credential(value=SECRET))

    assert made.has_credential
    assert registry.headers_of(operator.remote(made.agent.id), SEALER) == {"Authorization": f"Bearer {SECRET}"}
    for stored in (db.path, db.path.with_name(db.path.name + "-wal")):
        assert SECRET.encode() not in stored.read_bytes()
    assert SECRET not in f"{made}{operator.look(made.agent.id)}{published()}"


@pytest.mark.parametrize(
    ("credential", "headers"),
    [
        (Credential(value="v", header="X-API-Key"), {"X-API-Key": "v"}),
        (Credential(value="dTpw", scheme="Basic"), {"Authorization": "Basic dTpw"}),
        (Credential(value="v", scheme=""), {"Authorization": "v"}),
        (None, {}),
    ],
)
def test_credentials_travel_as_they_were_stated(
    operator: Operator, credential: Credential | None, headers: dict[str, str]
) -> None:
    made = operator.add(credential=credential)

    assert registry.headers_of(operator.remote(made.agent.id), SEALER) == headers


def test_a_card_that_asks_for_the_credential_gets_it_and_others_do_not(operator: Operator, server: CardServer) -> None:
    operator.add(credential=Credential(value=SECRET))
    assert all("authorization" not in headers for _, headers in server.asked)

    server.demands = ("authorization", f"Bearer {SECRET}")
    made = operator.add(credential=Credential(value=SECRET))

    assert operator.refresh(made.agent.id).health is Health.HEALTHY
    assert operator.change(made.agent.id, credential=None).last_error.startswith(
        "The card's address answers with status 401"
    )


def test_a_card_that_moves_the_interface_does_not_take_the_credential_along(
    operator: Operator, server: CardServer, published: Rows
) -> None:
    made = operator.add(credential=Credential(value=SECRET)).agent.id
    with CardServer() as thief:
        server.serve(card_of(thief.url))
        refused = operator.refresh(made)

        assert (refused.health, refused.interface_url) == (Health.FAILING, f"{server.url}/rpc")
        assert "moves the agent's interface" in refused.last_error
        assert published()[-2][0] == "agent.card_refused"

        allowed = operator.change(made, credential=Credential(value="for-the-new-place"))
        assert (allowed.health, allowed.interface_url) == (Health.HEALTHY, f"{thief.url}/rpc")
        assert registry.headers_of(operator.remote(made), SEALER) == {"Authorization": "Bearer for-the-new-place"}


def test_a_new_credential_for_a_new_place_is_never_shown_at_the_old_one(
    operator: Operator, server: CardServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not even where the look that follows the change does not succeed."""
    made = operator.add(credential=Credential(value=SECRET)).agent.id
    shown: list[dict[str, str]] = []

    async def fails(remotes: RemoteAgents, *_: object) -> RemoteAgentView:
        remote = operator.remote(made)
        shown.append({remote.interface_url: str(registry.headers_of(remote, SEALER))})
        return operator.look(made)

    monkeypatch.setattr(RemoteAgents, "refresh", fails)
    with CardServer() as other:
        operator.change(made, card_url=other.url, credential=Credential(value="for-the-new-place"))

        assert shown == [{f"{other.url}/rpc": "{'Authorization': 'Bearer for-the-new-place'}"}]


def test_a_new_address_whose_card_is_refused_changes_nothing(operator: Operator) -> None:
    made = operator.add(credential=Credential(value=SECRET))
    with CardServer() as other, pytest.raises(CardRefused, match="not signed"):
        operator.change(made.agent.id, card_url=other.url, pinned_keys=(OWNER.pin,))

    kept = operator.remote(made.agent.id)
    assert operator.look(made.agent.id).card_url == made.card_url
    assert registry.headers_of(kept, SEALER) == {"Authorization": f"Bearer {SECRET}"}


def test_another_allow_list_neither_moves_an_agent_nor_calls_its_card_a_moved_one(
    operator: Operator, server: CardServer, db: Database
) -> None:
    port = server.url.rpartition(":")[2]
    first = {"url": f"http://localhost:{port}/rpc", "protocolBinding": "JSONRPC", "protocolVersion": "1.0"}
    card = card_of(server.url)
    card["supportedInterfaces"].insert(0, first)
    server.serve(card)
    made = operator.add(credential=Credential(value=SECRET))

    operator.remotes = RemoteAgents(db, Guard(allow=["127.0.0.1", "localhost"]), SEALER)
    operator.change(made.agent.id, interval_s=5)  # the card is read again
    again = operator.refresh(made.agent.id)

    assert (again.health, again.interface_url, again.card_version) == (Health.HEALTHY, f"{server.url}/rpc", 1)
    assert registry.headers_of(operator.remote(made.agent.id), SEALER) == {"Authorization": f"Bearer {SECRET}"}


def test_retiring_forgets_the_credential_and_ends_the_looks(
    operator: Operator, db: Database, clock: ManualClock
) -> None:
    made = operator.add(credential=Credential(value=SECRET)).agent.id

    assert db.write_now(OPERATOR, registry.retire_remote_agent, made).state is AgentState.RETIRED
    clock.advance(seconds=1000)

    assert operator.poll() == []
    assert not operator.look(made).has_credential
    with pytest.raises(registry.AgentRetired):
        operator.refresh(made)
    with pytest.raises(registry.AgentRetired):
        operator.change(made, interval_s=5)
