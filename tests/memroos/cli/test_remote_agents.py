"""What `memroos remote-agents` asks of the kernel, and what it prints of the answer."""

from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.memroos.cli.conftest import Run
from tests.memroos.cli.test_commands import AGENT, NOW, asked, page, sent
from tests.memroos_client.scripted import Answer, ScriptedKernel, json, problem

REMOTE: dict[str, Any] = {
    "agent": AGENT | {"kind": "a2a", "state": "active"}, "card_url": "https://a.example/card.json",
    "interface_url": "https://a.example/rpc", "protocol_binding": "JSONRPC", "protocol_version": "1.0",
    "interval_s": 60, "health": "failing", "last_error": "Nobody answers", "last_poll_at": NOW, "next_poll_at": NOW,
    "failures": 3, "breaker": "open", "breaker_until": NOW, "has_credential": True, "card_version": 2,
    "card_digest": "ab" * 32, "signature": "verified", "signature_key": "key-1",
}  # fmt: skip
CARD = {"version": 2, "digest": "ab" * 32, "signature": "invalid", "signature_key": "key-2", "fetched_at": NOW}
PATH = "/api/remote-agents"


@pytest.mark.parametrize(
    ("command", "answer", "request_line", "shown"),
    [
        (("list", "--health", "failing"), page(REMOTE), f"GET {PATH}?health=failing&limit=51", "Nobody answers"),
        (("list",), page(), f"GET {PATH}?limit=51", "No remote agents."),
        (("show", "scout"), json(REMOTE), f"GET {PATH}/scout", "A2A 1.0 over JSONRPC"),
        (("refresh", "scout"), json(REMOTE), f"POST {PATH}/scout/refresh", "verified key-1"),
        (("cards", "scout"), page(CARD), f"GET {PATH}/scout/cards?limit=51", "invalid"),
        (("cards", "scout", "--version", "2"), Answer(200, b'{"a":  1}'), f"GET {PATH}/scout/cards/2", '{"a":  1}'),
        (("remove", "scout", "--yes"), json(AGENT | {"state": "retired"}), f"DELETE {PATH}/scout", "retired"),
    ],
)
def test_a_command_is_one_request(
    run: Run, kernel: ScriptedKernel, command: tuple[str, ...], answer: Answer, request_line: str, shown: str
) -> None:
    kernel.answers(answer)
    result = run("remote-agents", *command)

    assert result.exit_code == 0, result.output
    assert asked(kernel) == request_line
    assert shown in result.output


@pytest.mark.parametrize(("state", "shown"), [("active", True), ("draft", True), ("quarantined", False)])
def test_no_next_look_is_announced_where_there_is_no_contact(
    run: Run, kernel: ScriptedKernel, state: str, shown: bool
) -> None:
    kernel.answers(json(REMOTE | {"agent": REMOTE["agent"] | {"state": state}}))

    assert ("next look" in run("remote-agents", "show", "scout").output) is shown


def test_an_agent_is_registered_with_a_credential_that_is_not_on_the_command_line(
    run: Run, kernel: ScriptedKernel, tmp_path: Path
) -> None:
    pin = tmp_path / "key.jwk"
    pin.write_text('{"kty": "EC"}\n')
    kernel.answers(json(REMOTE))

    result = run(
        "remote-agents", "add", "https://a.example", "--name", "scout", "--credential-file", "-", "--header", "X-Key",
        "--pin", str(pin), "--interval", "30", "--label", "team=blue", "--draft", input="hunter2\n",
    )  # fmt: skip

    assert result.exit_code == 0, result.output
    assert sent(kernel) == {
        "card_url": "https://a.example", "name": "scout", "state": "draft", "interval_s": 30, "max_concurrency": 16,
        "credential": {"value": "hunter2", "scheme": "Bearer", "header": "X-Key"}, "labels": {"team": "blue"},
        "pinned_keys": ['{"kty": "EC"}'],
        "capabilities": {"streaming": True, "push_notifications": True, "extended_agent_card": True},
    }  # fmt: skip
    assert "hunter2" not in result.output


@pytest.mark.parametrize(
    ("options", "body"),
    [
        (("--interval", "30"), {"interval_s": 30}),
        (("--card-url", "https://b.example"), {"card_url": "https://b.example"}),
        (("--no-credential",), {"credential": None}),
        (("--no-pins",), {"pinned_keys": []}),
    ],
)
def test_only_what_is_said_is_changed(run: Run, kernel: ScriptedKernel, options: Any, body: Any) -> None:
    kernel.answers(json(REMOTE))

    assert run("remote-agents", "update", "scout", *options).exit_code == 0
    assert sent(kernel) == body
    assert kernel.requests[-1].headers["if-match"] == "*"


def test_what_contradicts_itself_is_wrong_usage(run: Run, kernel: ScriptedKernel, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("")

    assert run("remote-agents", "update", "x", "--credential-file", str(secret), "--no-credential").exit_code == 2
    assert run("remote-agents", "add", "https://x", "--credential-file", str(secret)).exit_code == 2
    assert kernel.requests == []


def test_a_refused_address_is_said_with_what_to_do(run: Run, kernel: ScriptedKernel) -> None:
    kernel.answers(problem(422, "address-refused", "evil.example is refused: the host is not in the allow-list."))
    result = run("remote-agents", "add", "https://evil.example")

    assert result.exit_code == 1
    assert "not in the allow-list" in result.output


def test_removing_asks_first(run: Run, kernel: ScriptedKernel) -> None:
    assert run("remote-agents", "remove", "scout", input="n\n").exit_code == 1
    assert kernel.requests == []


def test_json_is_the_whole_view(run: Run, kernel: ScriptedKernel) -> None:
    kernel.answers(json(REMOTE))
    shown = msgspec.json.decode(run("remote-agents", "show", "scout", "--json").output)

    assert shown["breaker"] == "open"
