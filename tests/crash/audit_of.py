"""What the database holds after a drill, held against what clients were told."""

from pathlib import Path
from typing import Any
from urllib.parse import quote

from tests.crash.told import Ledger

from memroos import audit
from memroos_kit.sqlite import sqlite3

HALF_DONE = """
    WITH paired AS (
        SELECT outcome.asset, outcome.action FROM audit_event AS outcome
        JOIN audit_event AS decision ON decision.id = 'aud_' || substr(outcome.decision_id, 5)
        WHERE outcome.kind = 'outcome' AND outcome.outcome = 'ok' AND decision.kind = 'decision'
    )
    SELECT 'task ' || task.id FROM task LEFT JOIN paired
        ON paired.asset = 'task:' || task.id AND paired.action IN ('task.submitted', 'task.held')
        WHERE paired.asset IS NULL
    UNION ALL
    SELECT 'message ' || message.id FROM inbox_message AS message LEFT JOIN paired
        ON paired.asset = 'message:' || message.id AND paired.action = 'inbox.sent'
        WHERE paired.asset IS NULL AND message.task_id IS NULL
    UNION ALL
    SELECT 'message ' || message.id FROM inbox_message AS message LEFT JOIN audit_event AS outcome
        ON outcome.asset = 'message:' || message.id AND outcome.action = 'inbox.sent' AND outcome.outcome = 'ok'
        WHERE outcome.asset IS NULL
    UNION ALL
    SELECT 'decision ' || decision.id FROM decision LEFT JOIN audit_event AS event
        ON event.id = 'aud_' || substr(decision.id, 5) AND event.kind = 'decision'
        WHERE event.id IS NULL
"""
"""Changes whose decision or outcome is missing, in one anti-join."""

DOUBLED = """
    SELECT 'message id ' || message_id FROM sent_message GROUP BY owner, message_id HAVING count(*) > 1
    UNION ALL
    SELECT 'task without its message ' || task.id FROM task
        WHERE (SELECT count(*) FROM sent_message WHERE sent_message.task_id = task.id) <> 1
    UNION ALL
    SELECT 'said twice ' || task_id FROM task_event WHERE kind = 'message' GROUP BY task_id HAVING count(*) > 1
    UNION ALL
    SELECT 'note ' || json_extract(body, '$.deed') FROM inbox_message WHERE kind = 'note'
        GROUP BY json_extract(body, '$.deed') HAVING count(*) > 1
    UNION ALL
    SELECT 'decision about ' || asset_id FROM decision GROUP BY asset_id HAVING count(*) > 1
    UNION ALL
    SELECT 'ended twice ' || task_id FROM task_event
        WHERE kind = 'status' AND json_extract(body, '$.state') IN ('completed', 'failed', 'canceled', 'rejected')
        GROUP BY task_id HAVING count(*) > 1
"""
"""What was done more often than it was wanted."""

GAPS = """
    SELECT 'ledger: ' || count(*) || ' events up to ' || max(seq) FROM audit_event HAVING max(seq) <> count(*)
    UNION ALL
    SELECT 'event log: ' || count(*) || ' up to ' || max("offset") FROM event HAVING max("offset") <> count(*)
    UNION ALL
    SELECT 'task log: ' || task.id FROM task LEFT JOIN task_event ON task_event.task_id = task.id
        GROUP BY task.id HAVING count(task_event.generation) <> task.generation
            OR max(task_event.generation) <> task.generation
"""
"""Numbers that are missing where none may be."""

STUCK = """
    SELECT 'task ' || id || ' ' || state FROM task WHERE open
    UNION ALL
    SELECT 'delivery ' || id FROM delivery WHERE state <> 'done'
    UNION ALL
    SELECT 'inbox ' || id || ' ' || state FROM inbox_message WHERE state IN ('queued', 'leased')
"""
"""What has not come to an end."""

MISCOUNTED = """
    SELECT 'tasks of ' || owner || ' ' || agent_id || ' ' || state FROM (
        SELECT workspace_id, owner, agent_id, state, tasks FROM task_count WHERE tasks > 0
        UNION ALL
        SELECT workspace_id, owner, agent_id, state, -count(*) FROM task GROUP BY 1, 2, 3, 4
    ) GROUP BY workspace_id, owner, agent_id, state HAVING sum(tasks) <> 0
    UNION ALL
    SELECT 'inbox of ' || agent_id FROM inbox_depth AS depth
        WHERE (queued, leased, dead) <> (
            SELECT coalesce(sum(state = 'queued'), 0), coalesce(sum(state = 'leased'), 0),
                coalesce(sum(state = 'dead'), 0)
            FROM inbox_message WHERE agent_id = depth.agent_id
        )
"""
"""Kept totals that are not those of the rows."""


def open_database(path: Path) -> Any:
    """Open a database for reading only."""
    return sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True)


def faults(path: Path, ledger: Ledger, *, settled: bool = True) -> list[str]:
    """Return everything that is wrong with a database, given what clients were told.

    Args:
        settled: whether everything should have come to its end by now.
    """
    connection = open_database(path)
    try:
        questions = {"half done": HALF_DONE, "doubled": DOUBLED, "gap": GAPS, "miscounted": MISCOUNTED}
        if settled:
            questions["stuck"] = STUCK
        found = [
            f"{name}: {row[0]}"
            for name, question in questions.items()
            for row in connection.execute(question).fetchmany(5)
        ]
        found += [f"lost: {what}" for what in _lost(connection, ledger)]
        found += [f"integrity: {row[0]}" for row in connection.execute("PRAGMA integrity_check") if row[0] != "ok"]
    finally:
        connection.close()
    report = audit.verify(path)
    if not report.ok:
        found.append(f"ledger: {report.misfit}")
    return found + [f"told: {violation}" for violation in ledger.violations[:10]]


def _lost(connection: Any, ledger: Ledger) -> list[str]:
    """Return what was acknowledged and is not there."""
    states = dict(connection.execute("SELECT id, state FROM task").fetchall())
    sent = dict(connection.execute("SELECT message_id, task_id FROM sent_message").fetchall())
    inbox = dict(connection.execute("SELECT id, state FROM inbox_message").fetchall())
    decided = dict(connection.execute("SELECT id, outcome FROM decision").fetchall())
    beats = dict(connection.execute("SELECT agent_id, status FROM heartbeat").fetchall())
    lost = [
        f"task {told.id} ({name}), told in cycle {told.cycle}"
        for name, told in ledger.of("task").items()
        if sent.get(name) != told.id or told.id not in states
    ]
    lost += [
        f"the end of task {task}, told in cycle {cycle}: it is {states.get(task)}"
        for task, cycle in ledger.ends["completed"].items()
        if states.get(task) != "completed"
    ]
    lost += [
        f"message {told.id} ({name}), told in cycle {told.cycle}"
        for name, told in ledger.of("message").items()
        if told.id not in inbox
    ]
    lost += [
        f"the ack of {message}, told in cycle {cycle}: it is {inbox.get(message)}"
        for message, cycle in ledger.ends["acked"].items()
        if inbox.get(message) != "acked"
    ]
    lost += [
        f"decision {told.id}, told in cycle {told.cycle}"
        for told in ledger.of("decision").values()
        if decided.get(told.id) != "done"
    ]
    lost += [
        f"beat {count} of {agent}: {beats.get(agent)!r} is the last"
        for agent, count in ledger.heartbeats.items()
        if int((beats.get(agent) or "beat 0").removeprefix("beat ")) < count
    ]
    return lost
