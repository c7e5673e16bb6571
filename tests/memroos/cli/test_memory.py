"""What `memroos memory` asks of the kernel, and what it prints of the answers."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import click
import msgspec
import pytest
from tests.memroos.cli.conftest import Run
from tests.memroos.cli.test_commands import LABEL, NOW, asked, page, sent
from tests.memroos_client.scripted import Answer, ScriptedKernel, json, problem

from memroos.cli.memory import COMMANDS, memory

EVENT = {
    "id": "mem_1", "workspace_id": "default", "stream": "operator:key_0", "stream_seq": 1, "kind": "memory",
    "author": "operator:key_0", "text": "a\x1b[2Jb", "label": LABEL, "digest": "sha256:0", "created_at": NOW,
}  # fmt: skip
ITEM: dict[str, Any] = {
    "id": "itm_1", "workspace_id": "default", "scope_id": "scp_1", "kind": "state", "text": "Ann lives in Oslo",
    "triple": {"subject": "Ann", "relation": "lives_in", "object": "Oslo"}, "sources": ["mem_1"], "speaker": "Ann",
    "label": LABEL, "recorded_at": NOW, "status": "superseded", "superseded_by": "itm_2", "seen_count": 2, "log_seq": 5,
}  # fmt: skip
HIT = {
    "item": ITEM, "score": 3.25, "snippet": "lives in \x1bOslo", "sources": ["mem_1"], "lexical": {"oslo": 1.5},
    "facts": [ITEM | {"id": "itm_9"}], "superseded_by": "itm_2",
    "arms": {"vector": {"rank": 1, "score": 0.5, "part": 2}},
}  # fmt: skip
FOUND = {"items": [HIT], "arms": ["lexical", "vector"], "missing": [], "documents": 4}
NOT_FOUND = {"items": [], "arms": ["episodic"], "missing": ["vector"], "detail": "The memory service is away."}
CONTEXT = {
    "text": "- Ann: \x1b[2J Oslo", "tokens": 9, "token_budget": 16, "items": [], "left_out": 3, "arms": [],
    "missing": [],
}  # fmt: skip
VERSION = {"item": ITEM, "change": "supersede", "actor": "service:memory", "reason": "newer"}
SCOPE = {
    "id": "scp_1", "readers": ["agent:agt_1"], "private": True, "user_id": "ann", "items": 3, "last_seq": 8,
    "created_at": NOW,
}  # fmt: skip
ROLLBACK = {
    "scope_id": "scp_1", "to_seq": 3, "before_seq": 8, "after_seq": 9, "changed": ["itm_1"], "operation": "rbk_1",
}  # fmt: skip
JOBS = {"waiting": 1, "running": 0, "dead": 2}
JOB = {
    "id": "job_1", "label": "reindex", "state": "running", "items": 100, "done": 40, "created_at": NOW,
    "updated_at": NOW, "error": "",
}  # fmt: skip
STATS: dict[str, Any] = {
    "ready": True, "items": 3, "by_kind": {"event": 3}, "scopes": 1, "jobs": JOBS, "database_bytes": 2048,
    "indexes": [{"index": "graph", "ready": False, "items": 0, "detail": "being made"}],
    "embedders": [{"identity": "hash/words/64", "dimension": 64, "state": "active", "vectors": 3}],
}  # fmt: skip
INVENTORY = {
    "scope_id": "scp_1", "readers": [], "user_id": "ann", "items": 3, "by_kind": {"event": 3}, "characters": 99,
    "oldest_at": NOW, "newest_at": NOW, "last_seq": 8,
}  # fmt: skip
TRACE = {
    "id": "trc_1", "cause": "recall", "actor": "agent:agt_1", "query_digest": "0", "query": "where", "at": NOW,
    "hits": [{"item_id": "itm_1", "score": 1, "tokens": 4, "used": True}], "tokens": 4,
}  # fmt: skip
POLICY = {
    "id": "rcp_1", "agent_id": "", "purpose": "report", "rule": {}, "version": 1, "updated_at": NOW,
    "updated_by": "operator:key_0",
}  # fmt: skip
TRIED = {
    "tasks": [{"task_id": "task_1", "agent_id": "agt_1", "items": [], "tokens": 0, "abstained": "too short"}],
    "reminded": 0, "tokens": 0,
}  # fmt: skip
IDLE = {"idle": True, "jobs": {"waiting": 0, "running": 0, "dead": 0}, "pending": 0}
BUSY = {"idle": False, "jobs": JOBS, "pending": 5}


@pytest.mark.parametrize(
    ("command", "answer", "request_line", "shown"),
    [
        (("remember", "hello"), json(EVENT), "POST /api/agent-memory", "mem_1"),
        (("recall", "where?"), json(FOUND), "POST /api/recall", "itm_2"),
        (("recall", "where?", "--explain"), json(FOUND), "POST /api/recall", "vector +2.00 (rank 1, 0.500)"),
        (("recall", "where?"), json(NOT_FOUND), "POST /api/recall", "Not everything could be asked: vector"),
        (("context", "where?"), json(CONTEXT), "POST /api/recall/context", "9 of 16 tokens, 3 hits left out"),
        (("list",), page(ITEM), "POST /api/memory/items/query", "Ann lives in Oslo"),
        (("show", "itm_1"), json(ITEM), "GET /api/memory/items/itm_1", "Ann lives_in Oslo"),
        (("history", "itm_1"), page(VERSION), "GET /api/memory/items/itm_1/history?limit=51", "newer"),
        (("update", "itm_1", "--text", "x"), json(ITEM), "PATCH /api/memory/items/itm_1", "entry 5 of scp_1"),
        (("supersede", "itm_1", "--by", "itm_2"), json(ITEM), "POST /api/memory/items/itm_1/supersede", "itm_1"),
        (("delete", "mem_1", "--reason", "old"), Answer(204), "DELETE /api/memory/mem_1?reason=old", "mem_1"),
        (("scopes",), page(SCOPE), "GET /api/memory/scopes", "scp_1"),
        (("rollback", "scp_1", "--to", "3"), json(ROLLBACK), "POST /api/memory/scopes/scp_1/rollback", "--to 8"),
        (("inventory",), page(INVENTORY), "GET /api/memory-inventory?limit=51", "3 event"),
        (("traces", "--task", "t"), page(TRACE), "GET /api/memory/traces?task_id=t&limit=51", "1, 1 used"),
        (("recollection", "list"), page(POLICY), "GET /api/memory/recollection-policies", "20% of 4000"),
        (("recollection", "set"), json(POLICY), "PUT /api/memory/recollection-policies", "rcp_1"),
        (("recollection", "try"), json(TRIED), "POST /api/memory/recollection-policies/dry-run", "too short"),
        (("recollection", "delete", "rcp_1"), Answer(204), "DELETE /api/memory/recollection-policies/rcp_1", "rcp_1"),
        (("stats",), json(STATS), "GET /api/memory/stats", "graph: not ready, 0 items (being made)"),
        (("jobs", "--state", "running"), page(JOB), "GET /api/memory/jobs?state=running&limit=51", "40 %"),
        (("dead-letters",), page(), "GET /api/memory/jobs?state=dead&limit=51", "No dead letters."),
        (("replay",), json({"replayed": 2}), "POST /api/memory/dead-letters/replay", "2"),
        (("reindex", "graph", "--detach"), json(JOB), "POST /api/memory/reindex", "running"),
        (("wait", "--timeout-s", "1"), json(IDLE), "POST /api/memory/jobs/wait", "yes"),
        (("evals",), page(), "GET /api/memory/evals?limit=51", "Recall was never measured"),
    ],
)
def test_a_command_is_one_request(
    run: Run, kernel: ScriptedKernel, command: tuple[str, ...], answer: Answer, request_line: str, shown: str
) -> None:
    kernel.answers(answer)
    result = run("memory", *command)

    assert result.exit_code == 0, result.output
    assert asked(kernel) == request_line
    assert shown in result.output
    assert "\x1b" not in result.output


def test_a_question_says_only_what_was_asked_for(run: Run, kernel: ScriptedKernel) -> None:
    kernel.answers(json(FOUND))
    where = '{"op": "eq", "field": "speaker", "value": "Ann"}'

    run("memory", "recall", "where?", "--user", "ann", "--as-of", "2026-05-08", "--filter", where, "--limit", "3")

    body = sent(kernel)
    assert (body["query"], body["user_id"], body["limit"], body["agent_id"]) == ("where?", "ann", 3, None)
    assert body["as_of"] == "2026-05-08T00:00:00Z"
    assert body["filter"] == msgspec.json.decode(where)


def test_a_rule_is_sent_as_it_is_written_for_whom_it_is_named(run: Run, kernel: ScriptedKernel) -> None:
    kernel.answers(json(POLICY), json(TRIED))
    run("memory", "recollection", "set", '{"share": 0.1}', "--agent", "agt_1", "--purpose", "report")
    body = sent(kernel)
    assert (body["agent_id"], body["purpose"], body["rule"]["share"]) == ("agt_1", "report", 0.1)
    run("memory", "recollection", "try", '{"min_words": 9}', "--tasks", "5")
    assert (sent(kernel)["rule"]["min_words"], sent(kernel)["tasks"]) == (9, 5)


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (("recollection", "set", '{"share": 2}'), "remember-and-recall.md"),
        (("recollection", "try", '{"unknown": 2}'), "remember-and-recall.md"),
        (("update", "itm_1"), "Say what is to change"),
        (("supersede", "itm_1"), "Say what holds instead"),
        (("supersede", "itm_1", "--text", "x", "--by", "itm_2"), "Say what holds instead"),
        (("recall", "x", "--as-of", "yesterday"), "is no instant"),
        (("list", "--filter", "{"), "remember-and-recall.md"),
        (("list", "--filter", '{"op": "like"}'), "remember-and-recall.md"),
        (("rollback", "scp_1"), "--to"),
    ],
)
def test_wrong_usage_is_said_before_anything_is_sent(
    run: Run, kernel: ScriptedKernel, command: tuple[str, ...], said: str
) -> None:
    result = run("memory", *command)

    assert result.exit_code == 2
    assert said in result.output
    assert not kernel.requests


def test_what_repeats_what_recall_had_handed_out_is_shown_as_an_echo(run: Run, kernel: ScriptedKernel) -> None:
    echo = ITEM | {"status": "active", "echo": True}
    kernel.answers(json(echo), page(echo))

    assert "nothing is learned from it" in run("memory", "show", "itm_1").stdout
    assert "active, echo" in run("memory", "list").stdout


def test_an_index_is_followed_until_it_is_made(run: Run, kernel: ScriptedKernel) -> None:
    kernel.answers(json(JOB), json(JOB | {"done": 80}), json(JOB | {"state": "done", "done": 100}))

    result = run("memory", "reindex")

    assert result.exit_code == 0
    assert asked(kernel) == "GET /api/memory/jobs/job_1"
    assert "100 %" in result.output


@pytest.mark.parametrize(
    ("command", "answer", "said"),
    [
        (("wait", "--timeout-s", "0"), json(BUSY), "still work to do"),
        (("stats",), json(STATS | {"ready": False, "detail": "It is away."}), "It is away."),
        (("reindex",), json(JOB | {"state": "dead", "error": "no room"}), "memroos memory replay job_1"),
        (("show", "itm_1"), problem(503, "memory-service-unavailable", "It does not answer."), "does not answer"),
    ],
)
def test_what_failed_is_exit_code_1(
    run: Run, kernel: ScriptedKernel, command: tuple[str, ...], answer: Answer, said: str
) -> None:
    kernel.answers(*[answer] * 3)
    result = run("memory", *command)

    assert result.exit_code == 1
    assert said in result.stderr


# -- evaluations -------------------------------------------------------------------------------------------------------


def evaluated(at_10: float, **more: Any) -> dict[str, Any]:
    score = {"questions": 2, "recall_at_5": 0.5, "recall_at_10": at_10}
    result = {
        "file": "f", "file_digest": "d", "configuration": "recall", "turns": 3, "overall": score,
        "categories": {"temporal": score}, "query_p50_ms": 1.0, "query_p95_ms": 2.0,
    }  # fmt: skip
    return {"id": "evl", "result": result | more, "embedder": "hash", "version": "1", "at": NOW, "by": "operator:key_0"}


def test_evaluations_say_what_changed_since_the_one_before_of_the_same(run: Run, kernel: ScriptedKernel) -> None:
    other = evaluated(0.1, configuration="plain mem0")
    kernel.answers(page(evaluated(0.75), other, evaluated(0.5, file_digest="e"), evaluated(0.8)))

    lines = run("memory", "evals").stdout.splitlines()

    assert "75.0 (-5.0)" in lines[1]
    assert "10.0" in lines[2]
    assert "(" not in lines[2] + lines[3] + lines[4]


QUESTIONS = [
    {
        "sample_id": "c",
        "conversation": {
            "session_1": [
                {"speaker": "Ann", "dia_id": "D1:1", "text": "The boat is green."},
                {"speaker": "Bo", "dia_id": "D1:2", "text": "It rained."},
            ],
            "session_1_date_time": "1:56 pm on 8 May, 2023",
        },
        "qa": [{"question": "Which colour has the boat?", "category": 4, "evidence": ["D1:1"]}],
    }
]


@pytest.fixture
def questions(tmp_path: Path) -> str:
    """A question file with one conversation and one question."""
    (tmp_path / "asked.json").write_bytes(msgspec.json.encode(QUESTIONS))
    return str(tmp_path / "asked.json")


def hit(*sources: str) -> dict[str, Any]:
    return HIT | {"sources": list(sources)}


def test_recall_is_measured_as_a_user_would_ask(run: Run, kernel: ScriptedKernel, questions: str) -> None:
    kept = {"items": [EVENT | {"id": "mem_a"}, EVENT | {"id": "mem_b"}]}
    answer = FOUND | {"items": [hit("mem_b"), hit("mem_b", "mem_x"), hit("mem_a")]}
    kernel.answers(page(), json(kept), json(BUSY), json(IDLE), json(answer), json(evaluated(1.0)))

    result = run("memory", "eval", questions, "--run", "r")

    assert result.exit_code == 0, result.output
    bodies = [msgspec.json.decode(request.body) for request in kernel.requests]
    first = bodies[1]["memories"][0]
    assert (first["speaker"], first["user_id"], first["stream"]) == ("Ann", "r/c", "evals/r/c/1")
    assert first["occurred_at"] == "2023-05-08T13:56:00Z"
    assert (bodies[4]["user_id"], bodies[4]["limit"], bodies[4]["floor"]) == ("r/c", 50, True)
    told = bodies[-1]
    assert (told["overall"]["recall_at_5"], told["turns"], told["run"]) == (1.0, 2, "r")
    assert "100.0" in result.stdout


def test_a_second_evaluation_asks_the_same_memories_again(run: Run, kernel: ScriptedKernel, questions: str) -> None:
    turns = QUESTIONS[0]["conversation"]["session_1"]  # type: ignore[index]  # a literal
    there = [
        ITEM | {"id": f"mem_{at}", "text": turn["text"], "stream": "operator:key_0/evals/r/c/1", "stream_seq": at}
        for at, turn in enumerate(turns, 1)
    ]  # fmt: skip
    kernel.answers(page(*there), json(IDLE), json(FOUND | {"items": [hit("mem_1")]}), json(evaluated(1.0)))

    result = run("memory", "eval", questions, "--run", "r", "--json")

    assert result.exit_code == 0, result.output
    assert not any("/api/agent-memory" in request.target for request in kernel.requests)
    assert msgspec.json.decode(kernel.requests[-1].body)["overall"]["recall_at_5"] == 1.0


def test_what_is_kept_under_the_runs_name_is_not_mixed_with_something_else(
    run: Run, kernel: ScriptedKernel, questions: str
) -> None:
    kernel.answers(page(ITEM | {"stream": "operator:key_0/evals/r/c/1", "stream_seq": 1, "text": "Another file."}))

    result = run("memory", "eval", questions, "--run", "r")

    assert result.exit_code == 1
    assert "--run" in result.stderr


def test_an_answer_without_vectors_is_no_measurement(run: Run, kernel: ScriptedKernel, questions: str) -> None:
    kept = {"items": [EVENT | {"id": "mem_a"}, EVENT | {"id": "mem_b"}]}
    kernel.answers(page(), json(kept), json(IDLE), json(NOT_FOUND))

    result = run("memory", "eval", questions, "--run", "r")

    assert result.exit_code == 1
    assert "does not answer in full" in result.stderr


def test_a_file_that_holds_no_questions_is_refused(run: Run, kernel: ScriptedKernel, tmp_path: Path) -> None:
    (tmp_path / "other.json").write_text("{}")

    assert run("memory", "eval", str(tmp_path / "other.json")).exit_code == 1
    assert not kernel.requests


# -- the group ---------------------------------------------------------------------------------------------------------


def test_a_client_command_loads_nothing_that_remembers() -> None:
    heavy = ("litestar", "sqlalchemy", "numpy", "mem0", "qdrant_client", "openai", "neo4j")
    modules = ", ".join(
        f"memroos.cli.memory.{name}" for name in ("asking", "items", "scopes", "recollection", "work", "evals")
    )
    look = f"import sys, {modules}; print([name for name in {heavy!r} if name in sys.modules])"

    assert subprocess.run([sys.executable, "-c", look], capture_output=True, text=True, check=True).stdout == "[]\n"


@pytest.mark.parametrize("name", COMMANDS)
def test_the_overview_says_of_a_command_what_it_is(name: str) -> None:
    command = memory.get_command(click.Context(memory), name)

    assert command is not None
    assert command.name == name
    assert command.help
