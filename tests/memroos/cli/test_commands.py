"""What each command asks of the kernel, and what it prints of the answer."""

from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.memroos.cli.conftest import Run
from tests.memroos_client.scripted import ScriptedKernel, json, problem, stream

NOW = "2026-01-01T12:00:00Z"
AGENT = {
    "id": "agt_1", "workspace_id": "default", "name": "scout", "title": "Scout", "description": "", "kind": "rest",
    "state": "draft", "state_reason": "", "version": 3, "endpoint_url": "", "max_concurrency": 1, "labels": {"a": "b"},
    "skills": [{"id": "find", "name": "find", "tags": ["docs", "md"]}], "liveness": "unknown", "last_seen_at": None,
    "status": "", "load": 0, "created_at": NOW, "updated_at": NOW, "created_by": "operator:key_1",
}  # fmt: skip
KEY: dict[str, Any] = {
    "id": "key_1", "workspace_id": "default", "name": "", "role": "agent", "agent_id": "agt_1", "scopes": [],
    "last4": "abcd", "state": "active", "created_at": NOW, "created_by": "operator:key_0", "expires_at": None,
    "revoked_at": None, "revoke_reason": "", "replaced_by": None, "last_used_at": None,
}  # fmt: skip
NEW_KEY = {"key": KEY, "secret": "mr_agent_secret"}
CARD_KEYS = {
    "items": [
        {
            "id": "kid_1", "use": "card", "state": "replaced", "created_at": NOW, "replaced_at": NOW,
            "published_until": NOW, "public_key": {"kty": "EC", "alg": "ES256"},
        }
    ]
}  # fmt: skip
LABEL = {"sensitivity": "internal", "tags": []}
TASK = {
    "id": "task_1", "workspace_id": "default", "context_id": "ctx_1", "owner": "operator:key_0", "agent_id": "agt_1",
    "agent": "scout", "state": "working", "generation": 3, "skill": "find", "purpose": "because", "label": LABEL,
    "route_reason": "it has the skill", "approval_id": None, "created_at": NOW, "status_at": NOW, "deadline_at": None,
}  # fmt: skip
MESSAGE = {
    "id": "msg_1", "workspace_id": "default", "agent_id": "agt_1", "sender": "agent:agt_2", "kind": "note",
    "context_id": "", "state": "dead", "label": LABEL, "priority": 0, "size_bytes": 7, "digest": "sha256:0",
    "attempts": 5, "max_attempts": 5, "created_at": NOW, "not_before": None, "expires_at": None, "lease_until": None,
    "received_at": None, "settled_at": NOW, "replied_at": None, "reply_to": None, "correlation_id": "",
    "task_id": None, "reason": "it hurts",
}  # fmt: skip
APPROVAL = {
    "id": "apr_1", "workspace_id": "default", "state": "pending", "action": "file.write", "resumes": "tool.use",
    "asset": "file:report.md", "purpose": "the report", "requester": "agent:agt_1", "digest": "0" * 64,
    "arguments": {"path": "report.md"}, "reason": "outside effects wait", "policies": ["p1"], "decision_id": "dec_1",
    "created_at": NOW, "expires_at": NOW,
}  # fmt: skip
PUSH = {
    "id": "push_1", "config_id": "mine", "task_id": "task_1", "workspace_id": "default", "owner": "agent:agt_2",
    "url": "https://hook.example/in", "has_token": True, "scheme": "Bearer", "has_credentials": True, "version": "1.0",
    "state": "stopped", "delivered_generation": 4, "failures": 12, "last_status": 503, "last_error": "busy",
    "last_try_at": NOW, "next_try_at": None, "created_at": NOW,
}  # fmt: skip
TRY = {"id": "try_1", "generation": 5, "at": NOW, "status": None, "error": "nobody there"}
EVENT = {
    "offset": 7, "id": "evt_7", "workspace_id": "default", "type": "task.created", "subject": "task_1",
    "data": {"state": "submitted"}, "owner": "", "agent": "", "at": NOW,
}  # fmt: skip
AUDIT = {
    "seq": 9, "id": "aud_1", "at": NOW, "workspace_id": "default", "kind": "decision", "action": "task.send",
    "actor": {"role": "operator", "id": "key_0"}, "asset": {"kind": "task", "id": "task_1"}, "decision_id": "dec_1",
    "outcome": "", "facts": {"effect": "allow"}, "leaf_hash": "00",
}  # fmt: skip

INBOX = "/api/agent-context"


def page(*items: dict[str, Any]) -> Any:
    return json({"items": items, "next_cursor": None})


def asked(kernel: ScriptedKernel, index: int = -1) -> str:
    request = kernel.requests[index]
    return f"{request.method} {request.target}"


def sent(kernel: ScriptedKernel) -> Any:
    return msgspec.json.decode(kernel.requests[-1].body)


def task_event(generation: int, state: str) -> bytes:
    body = {"generation": generation, "kind": "status", "at": NOW, "state": state}
    return b"id: %d\nevent: status\ndata: %b\n\n" % (generation, msgspec.json.encode(body))


@pytest.mark.parametrize(
    ("command", "request_", "answer"),
    [
        ("agents list --state active --tag md", "GET /api/agents?agent_state=active&tag=md&limit=51", page(AGENT)),
        ("agents show scout", "GET /api/agents/scout", json(AGENT)),
        ("agents activate scout", "POST /api/agents/scout/activate", json(AGENT)),
        ("agents quarantine scout --reason x", "POST /api/agents/scout/quarantine", json(AGENT)),
        ("agents retire scout --yes", "POST /api/agents/scout/retire", json(AGENT)),
        ("keys list", "GET /api/keys?limit=51", page(KEY)),
        ("keys list --agent scout", "GET /api/agents/scout/keys?limit=51", page(KEY)),
        ("keys rotate key_1 --overlap-s 5", "POST /api/keys/key_1/rotate", json(NEW_KEY)),
        ("keys revoke key_1 --reason lost", "DELETE /api/keys/key_1?reason=lost", json(KEY)),
        ("card-keys list", "GET /api/card-keys", json(CARD_KEYS)),
        ("card-keys rotate --overlap-s 5", "POST /api/card-keys/rotate", json(CARD_KEYS)),
        ("tasks list --owner a:b --state failed", "GET /api/tasks?owner=a%3Ab&task_state=failed&limit=51", page(TASK)),
        ("tasks show task_1", "GET /api/tasks/task_1", json(TASK)),
        ("tasks cancel task_1", "POST /api/tasks/task_1/cancel", json(TASK)),
        ("push list --task t --state done", "GET /api/push-notifications?task=t&push_state=done&limit=51", page(PUSH)),
        ("push show push_1", "GET /api/push-notifications/push_1", json(PUSH)),
        ("push replay push_1 --after 3", "POST /api/push-notifications/push_1/replay", json(PUSH)),
        ("inbox list agt_1 --state dead", f"GET {INBOX}?agent=agt_1&message_state=dead&limit=51", page(MESSAGE)),
        ("inbox dead", "GET /api/agent-context/dead?limit=51", page(MESSAGE)),
        ("inbox requeue msg_1", "POST /api/agent-context/msg_1/requeue", json(MESSAGE)),
        ("approvals list", "GET /api/approvals?approval_state=pending&limit=51", page(APPROVAL)),
        ("approvals list --all", "GET /api/approvals?limit=51", page(APPROVAL)),
        ("approvals show apr_1", "GET /api/approvals/apr_1", json(APPROVAL)),
        ("approvals approve apr_1 --note yes", "POST /api/approvals/apr_1/approve", json(APPROVAL)),
        ("approvals reject apr_1", "POST /api/approvals/apr_1/reject", json(APPROVAL)),
        ("audit tail --action task.send -n 3", "GET /api/audit?action=task.send&limit=3", page(AUDIT)),
    ],
)  # fmt: skip
def test_a_command_is_one_request_for_people_and_programs(
    run: Run, kernel: ScriptedKernel, command: str, request_: str, answer: Any
) -> None:
    kernel.answers(answer, answer)

    for_people = run(*command.split())
    for_programs = run(*command.split(), "--json")

    assert for_people.exit_code == 0, for_people.output
    assert asked(kernel, 0) == request_
    known = msgspec.json.decode(answer.body)
    item = known["items"][0] if "items" in known else known.get("key", known)
    assert str(item.get("name") or item["id"]) in for_people.stdout or str(item.get("seq")) in for_people.stdout
    printed = msgspec.json.decode(for_programs.stdout)
    printed = printed[0] if isinstance(printed, list) else printed.get("key", printed)
    assert printed["id"] == item["id"]


def test_an_agent_is_made_from_the_options(run: Run, kernel: ScriptedKernel, tmp_path: Path) -> None:
    kernel.answers(json(AGENT, 201))
    (tmp_path / "skills.json").write_text('[{"id": "sum", "name": "Sum up"}]')

    run(
        *("agents", "create", "scout", "--kind", "rest", "--skill", "find:docs, md", "--label", "a=b", "--active"),
        *("--skills-from", str(tmp_path / "skills.json"), "--max-concurrency", "2"),
    )

    made = sent(kernel)
    assert (made["name"], made["state"], made["max_concurrency"]) == ("scout", "active", 2)
    assert [(skill["id"], skill["tags"]) for skill in made["skills"]] == [("find", ["docs", "md"]), ("sum", [])]
    assert made["labels"] == {"a": "b"}


def test_a_file_that_holds_no_skills_is_wrong_usage(run: Run, tmp_path: Path) -> None:
    (tmp_path / "skills.json").write_text('{"id": 1}')

    assert run("agents", "create", "scout", "--skills-from", str(tmp_path / "skills.json")).exit_code == 2


def test_retiring_asks_first(run: Run, kernel: ScriptedKernel) -> None:
    result = run("agents", "retire", "scout", input="n\n")

    assert result.exit_code == 1
    assert kernel.requests == []


def test_a_key_is_shown_once_with_what_to_do(run: Run, kernel: ScriptedKernel) -> None:
    kernel.answers(json(NEW_KEY, 201))

    result = run("keys", "create", "--agent", "scout", "--scope", "task.", "--expires-in-s", "60")

    assert "mr_agent_secret" in result.stdout
    assert "shown this once" in result.stdout
    assert sent(kernel) == {"role": "agent", "name": "", "agent": "scout", "scopes": ["task."], "expires_in_s": 60}


def test_a_key_can_go_into_a_file_instead(run: Run, kernel: ScriptedKernel, tmp_path: Path) -> None:
    kernel.answers(json(NEW_KEY, 201))

    result = run("keys", "create", "--role", "viewer", "--out", str(tmp_path / "key"))

    assert "mr_agent_secret" not in result.output
    assert (tmp_path / "key").read_text() == "mr_agent_secret\n"
    assert (tmp_path / "key").stat().st_mode & 0o777 == 0o600


def test_a_key_never_replaces_a_file(run: Run, kernel: ScriptedKernel, tmp_path: Path) -> None:
    kernel.answers(json(NEW_KEY, 201))
    (tmp_path / "key").write_text("another")

    result = run("keys", "create", "--role", "viewer", "--out", str(tmp_path / "key"))

    assert result.exit_code == 1
    assert "keys revoke key_1" in result.stderr
    assert (tmp_path / "key").read_text() == "another"


def test_a_key_whose_secret_was_lost_is_said_to_be(run: Run, kernel: ScriptedKernel) -> None:
    kernel.answers(json(NEW_KEY | {"secret": ""}, 201))

    result = run("keys", "create", "--role", "viewer")

    assert result.exit_code == 1
    assert "keys revoke key_1" in result.stderr


@pytest.mark.parametrize("options", [(), ("--agent", "scout", "--role", "viewer")])
def test_a_key_is_for_one_kind_of_caller(run: Run, options: tuple[str, ...]) -> None:
    assert run("keys", "create", *options).exit_code == 2


def test_a_task_needs_somebody_to_do_it(run: Run) -> None:
    result = run("tasks", "send", "hello")

    assert result.exit_code == 2
    assert "--agent" in result.stderr


def test_a_task_is_sent_from_standard_input(run: Run, kernel: ScriptedKernel) -> None:
    kernel.answers(json(TASK, 201))

    run(
        "tasks",
        "send",
        "-",
        "--skill",
        "find",
        "--tag",
        "docs",
        "--purpose",
        "why",
        "--wait-s",
        "5",
        input="long",
    )

    assert asked(kernel) == "POST /api/tasks?wait_s=5"
    assert sent(kernel)["parts"] == [{"text": "long"}]
    assert (sent(kernel)["skill"], sent(kernel)["tags"], sent(kernel)["purpose"]) == ("find", ["docs"], "why")


def test_a_task_is_followed_to_its_end(run: Run, kernel: ScriptedKernel) -> None:
    kernel.answers(json(TASK), stream(task_event(4, "working"), task_event(5, "completed")))

    result = run("tasks", "watch", "task_1", "--after", "3")

    assert result.exit_code == 0
    assert [line.split()[-1] for line in result.stdout.splitlines()] == ["working", "completed"]
    assert kernel.requests[-1].headers["last-event-id"] == "3"


def test_a_task_that_fails_is_a_failure_of_the_command(run: Run, kernel: ScriptedKernel) -> None:
    kernel.answers(json(TASK, 201), json(TASK), stream(task_event(4, "failed")))

    result = run("tasks", "send", "hello", "--agent", "scout", "--follow", "--json")

    assert result.exit_code == 1
    assert msgspec.json.decode(result.stdout.splitlines()[0])["state"] == "failed"
    assert "without success: failed" in result.stderr


def test_a_task_that_has_ended_is_not_waited_for(run: Run, kernel: ScriptedKernel) -> None:
    kernel.answers(json(TASK | {"state": "completed"}))

    assert run("tasks", "watch", "task_1", "--after", "3").exit_code == 1


def test_the_content_of_a_task_is_asked_for(run: Run, kernel: ScriptedKernel) -> None:
    said = {"message_id": "m", "role": "user", "parts": [{"text": "two\nlines"}, {"raw": "AA==", "filename": "a.png"}]}
    made = {
        "artifact_id": "art",
        "name": "report",
        "parts": [{"data": 1}, {"url": "http://x", "media_type": "text/x"}],
    }
    kernel.answers(json({"task": TASK, "history": [said], "artifacts": [made]}))

    printed = run("tasks", "show", "task_1", "--content").stdout

    assert asked(kernel) == "GET /api/tasks/task_1/content"
    assert all(text in printed for text in ("two\n", "lines", "[a.png]", "[data]", "[text/x at http://x]"))


def test_an_agent_may_be_named_where_an_id_is_needed(run: Run, kernel: ScriptedKernel) -> None:
    kernel.answers(json(AGENT), page())

    run("tasks", "list", "--agent", "scout")

    assert [asked(kernel, 0), asked(kernel)] == ["GET /api/agents/scout", "GET /api/tasks?agent=agt_1&limit=51"]


@pytest.mark.parametrize("body", ['{"n": 1}', "@body.json", "-"])
def test_a_message_is_sent_from_an_argument_a_file_or_standard_input(
    run: Run, kernel: ScriptedKernel, tmp_path: Path, body: str
) -> None:
    (tmp_path / "body.json").write_text('{"n": 1}')
    kernel.answers(json(MESSAGE, 201))

    run("inbox", "send", "agt_1", body, "--kind", "note", "--priority", "2", input='{"n": 1}')

    assert (sent(kernel)["to"], sent(kernel)["body"], sent(kernel)["priority"]) == ("agt_1", {"n": 1}, 2)


@pytest.mark.parametrize("body", ["hello", "[1]", "@nowhere"])
def test_a_body_has_to_be_an_object(run: Run, kernel: ScriptedKernel, body: str) -> None:
    assert run("inbox", "send", "agt_1", body).exit_code == 2
    assert kernel.requests == []


@pytest.mark.parametrize(("body", "shown"), [({"n": 1}, '"n": 1'), (None, "left out by policy")])
def test_a_message_is_shown_as_far_as_policy_lets(run: Run, kernel: ScriptedKernel, body: Any, shown: str) -> None:
    kernel.answers(json({"message": MESSAGE, "body": body}))

    assert shown in run("inbox", "show", "msg_1").stdout


def test_arguments_that_are_not_shown_are_said_not_to_be(run: Run, kernel: ScriptedKernel) -> None:
    kernel.answers(json(APPROVAL), json(APPROVAL | {"redacted": True, "arguments": {}}))

    assert '"path": "report.md"' in run("approvals", "show", "apr_1").stdout
    assert "not shown to you" in run("approvals", "show", "apr_1").stdout


def test_the_newest_events_are_found_from_the_end(run: Run, kernel: ScriptedKernel) -> None:
    log: dict[str, Any] = {"items": [], "next_cursor": None, "oldest": 1, "newest": 9}
    kernel.answers(json(log), json(log | {"items": [EVENT, EVENT | {"offset": 9}]}))

    result = run("events", "tail", "-n", "3", "--type", "task", "--type", "key", "--json")

    assert asked(kernel) == "GET /api/events/log?type=task&type=key&after=6&limit=100"
    assert [msgspec.json.decode(line)["offset"] for line in result.stdout.splitlines()] == [7, 9]


def test_following_goes_on_behind_what_was_shown(run: Run, kernel: ScriptedKernel) -> None:
    log: dict[str, Any] = {"items": [], "next_cursor": None, "oldest": 1, "newest": 9}
    reset = b'id: 19\nevent: reset\ndata: {"oldest":20}\n\n'
    frame = b"id: 20\nevent: task.created\ndata: %b\n\n" % msgspec.json.encode(EVENT | {"offset": 20})
    kernel.answers(json(log), json(log), stream(reset, frame), problem(401, "unauthenticated"))

    result = run("events", "tail", "--follow")

    assert kernel.requests[2].headers["last-event-id"] == "9"
    assert "task.created" in result.stdout
    assert "Events before 20 are no longer kept." in result.stderr
    assert result.exit_code == 1


def test_events_are_listed_behind_an_offset(run: Run, kernel: ScriptedKernel) -> None:
    kernel.answers(json({"items": [EVENT], "next_cursor": None, "oldest": 1, "newest": 9}))

    assert "task.created" in run("events", "list", "--after", "3", "--subject", "task_1").stdout
    assert asked(kernel) == "GET /api/events/log?subject=task_1&after=3&limit=51"


def test_the_newest_head_is_printed_as_it_is_signed(run: Run, kernel: ScriptedKernel) -> None:
    head = {"size": 9, "root": "00", "at": NOW, "note": "memroos/x\n9\nAA==\n\n- memroos/x sig\n"}
    kernel.answers(json(head), json(head))

    assert run("audit", "head").stdout == head["note"]
    assert msgspec.json.decode(run("audit", "head", "--json").stdout)["size"] == 9


# -- demo ------------------------------------------------------------------------------------------------------------


def test_the_demo_asks_for_a_kernel_before_it_begins(run: Run) -> None:
    result = run("demo", "--yes", MEMROOS_URL="http://127.0.0.1:9")

    assert result.exit_code == 3
    assert result.stdout == ""
    assert "Start it with `memroos up`" in result.stderr


def test_tries_are_listed_with_what_became_of_them(run: Run, kernel: ScriptedKernel) -> None:
    kernel.answers(page(TRY))

    result = run("push", "tries", "push_1")

    assert asked(kernel) == "GET /api/push-notifications/push_1/tries?limit=51"
    assert "nobody there" in result.stdout
    assert "none" in result.stdout


def test_a_replay_says_from_where(run: Run, kernel: ScriptedKernel) -> None:
    kernel.answers(json(PUSH), json(PUSH))

    run("push", "replay", "push_1", "--after", "0")
    assert sent(kernel) == {"after_generation": 0}
    run("push", "replay", "push_1")
    assert sent(kernel) == {"after_generation": None}


def test_who_is_not_to_be_notified_any_more_is_deleted(run: Run, kernel: ScriptedKernel) -> None:
    kernel.answers(json(None, 204))

    result = run("push", "delete", "push_1")

    assert asked(kernel) == "DELETE /api/push-notifications/push_1"
    assert "push_1 is deleted" in result.stdout
