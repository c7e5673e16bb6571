"""Remote agents through a real kernel: registered, looked at, refused, and found again after a crash."""

import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from tests.card_server import WELL_KNOWN, CardServer, card_of
from tests.disguises import DISGUISES
from tests.flows.kernel import Kernel
from tests.signing import Owner

SECRET = "hunter2-hunter2-hunter2"
PATH = "/api/remote-agents"


@pytest.fixture
def server() -> Iterator[CardServer]:
    with CardServer() as serving:
        yield serving


@pytest.fixture
def kernel(new_kernel: Callable[..., Kernel]) -> Kernel:
    """A kernel that may go to 127.0.0.1 and nowhere else."""
    return new_kernel(outbound_allow="127.0.0.1").start()


def add(kernel: Kernel, server: CardServer, **fields: Any) -> Any:
    return kernel.done("POST", PATH, {"card_url": server.url, **fields})


def wait_until(look: Callable[[], Any], *, timeout_s: float = 20) -> Any:
    until = time.monotonic() + timeout_s
    while not (found := look()):
        assert time.monotonic() < until, "it did not happen in time"
        time.sleep(0.05)
    return found


def test_a_remote_agent_lives_through_its_whole_story(kernel: Kernel, server: CardServer) -> None:
    made = add(kernel, server, name="watcher", credential={"value": SECRET}, interval_s=5)
    assert (made["health"], made["agent"]["liveness"], made["has_credential"]) == ("healthy", "live", True)

    response = kernel.call("GET", f"{PATH}/watcher")
    assert response.headers["etag"] == f'"{made["agent"]["version"]}"'
    assert [one["agent"]["name"] for one in kernel.done("GET", PATH)["items"]] == ["watcher"]

    body = json.dumps(card_of(server.url, name="Renamed"), indent=3).encode()
    server.serve(body)
    assert kernel.done("POST", f"{PATH}/watcher/refresh")["card_version"] == 2
    card = kernel.call("GET", f"{PATH}/watcher/cards/2")
    assert (card.content, card.headers["content-type"]) == (body, "application/json")
    assert card.headers["x-content-type-options"] == "nosniff"
    versions = kernel.done("GET", f"{PATH}/watcher/cards")["items"]
    assert [one["version"] for one in versions] == [2, 1]
    assert kernel.call("GET", f"{PATH}/watcher/cards/3").status_code == 404
    assert kernel.call("GET", f"{PATH}/watcher/cards/99999999999999999999999").status_code == 404

    changed = kernel.call("PATCH", f"{PATH}/watcher", {"interval_s": 6}, headers={"If-Match": '"1"'})
    assert (changed.status_code, changed.json()["type"]) == (409, "/problems/agent-changed")
    assert kernel.call("PATCH", f"{PATH}/watcher", {"interval_s": 6}).status_code == 422
    changed = kernel.call("PATCH", f"{PATH}/watcher", {"interval_s": 6}, headers={"If-Match": "*"})
    assert changed.json()["interval_s"] == 6

    assert kernel.done("DELETE", f"{PATH}/watcher")["state"] == "retired"
    assert kernel.done("GET", f"{PATH}/watcher")["has_credential"] is False
    events = {event["type"] for event in kernel.done("GET", "/api/events/log?limit=100")["items"]}
    assert {"agent.created", "agent.live", "agent.card_changed", "agent.retired"} <= events
    ledger = kernel.call("GET", "/api/audit?limit=100").text
    assert "agent.card_changed" in ledger
    kernel.stop()
    for file in kernel.data_dir.iterdir():
        assert file.is_dir() or SECRET.encode() not in file.read_bytes(), file
    assert SECRET not in kernel.log() + ledger


def test_looks_go_on_after_a_crash(kernel: Kernel, server: CardServer) -> None:
    add(kernel, server, name="watcher", interval_s=5)
    kernel.kill()
    server.serve(card_of(server.url, version="2"))
    kernel.start()

    seen = wait_until(lambda: (one := kernel.done("GET", f"{PATH}/watcher"))["card_version"] == 2 and one)
    assert seen["health"] == "healthy"

    server.status = 500
    gone = wait_until(lambda: (one := kernel.done("GET", f"{PATH}/watcher"))["health"] == "failing" and one)
    assert gone["agent"]["liveness"] == "silent"
    assert "500" in gone["last_error"]


def test_a_signed_agent_cannot_be_taken_over(kernel: Kernel, server: CardServer) -> None:
    owner, thief = Owner(), Owner("EdDSA", "key-1")
    server.files["/jwks.json"] = owner.key_set
    server.serve(owner.sign(card_of(server.url), jku=f"{server.url}/jwks.json"))
    assert add(kernel, server, name="watcher")["signature"] == "verified"

    server.files["/jwks.json"] = thief.key_set
    server.serve(thief.sign(card_of(server.url, name="Thief"), jku=f"{server.url}/jwks.json"))
    seen = kernel.done("POST", f"{PATH}/watcher/refresh")
    assert (seen["agent"]["title"], seen["health"], seen["card_version"]) == ("Albatross Watcher", "failing", 1)

    body = {"pinned_keys": [json.dumps(thief.jwk)]}
    taken = kernel.call("PATCH", f"{PATH}/watcher", body, headers={"If-Match": "*"}).json()
    assert (taken["agent"]["title"], taken["health"], taken["signature"]) == ("Thief", "healthy", "verified")


def test_the_door_refuses_disguised_addresses_in_words(new_kernel: Callable[..., Kernel]) -> None:
    with new_kernel(outbound_allow="*").start().client() as client:
        for url in [url for url in DISGUISES if len(url) < 2000]:
            response = client.post(PATH, json={"card_url": url})
            told = (response.status_code, response.json()["type"])
            assert told == (422, "/problems/address-refused"), (url, response.text)


def test_refusals_say_what_to_do(kernel: Kernel, server: CardServer) -> None:
    def refusal(**body: Any) -> tuple[int, str]:
        response = kernel.call("POST", PATH, {"card_url": server.url, **body})
        return response.status_code, response.json()["type"].removeprefix("/problems/")

    assert refusal(card_url="https://agent.example") == (422, "address-refused")
    assert refusal(card_url=f"{server.url}/none.json") == (503, "card-unavailable")
    assert refusal(pinned_keys=["{}"]) == (422, "invalid-request")
    assert refusal(state="retired") == (422, "invalid-request")
    assert refusal(interval_s=1)[1] == "invalid-request"
    server.files[WELL_KNOWN] = b"\x00" * 300_000
    assert refusal() == (503, "reply-refused")
    server.serve(card_of("http://10.0.0.1"))
    assert refusal() == (422, "card-refused")
    server.serve(card_of(server.url))
    add(kernel, server, name="watcher")
    assert refusal(name="watcher") == (409, "agent-name-taken")


def test_an_agent_may_not_register_others(kernel: Kernel, server: CardServer) -> None:
    agent = kernel.create_agent("planner")

    response = kernel.call("POST", PATH, {"card_url": server.url}, key=agent.key)

    assert response.status_code == 403
    assert server.asked == []
