"""The statements of the line of work."""

# ruff: noqa: S608 - put together from the constants in this file; every value is a parameter

from sqlalchemy import text

from memroos_kit.db import Hot
from memroos_memory.models import Job

COLUMNS = "seq, id, label, scope_seq, items, payload, done, attempts, token"
INSERT_COLUMNS = [column.name for column in Job.__table__.columns if column.name != "seq"]
INSERT = Hot(Job.__table__.insert(), columns=INSERT_COLUMNS)  # type: ignore[attr-defined]  # a Table
# The state is written out: only then is the partial index used.
LEVEL = Hot(text(
    "SELECT priority FROM job WHERE state = 'waiting' AND label = :label AND priority > :after"
    " ORDER BY priority LIMIT 1"
))  # fmt: skip
SCOPES = Hot(text(
    "WITH RECURSIVE turn(scope) AS ("
    " SELECT min(scope_seq) FROM job"
    "  WHERE state = 'waiting' AND label = :label AND priority = :priority AND scope_seq > :after"
    " UNION ALL"
    " SELECT (SELECT min(scope_seq) FROM job"
    "  WHERE state = 'waiting' AND label = :label AND priority = :priority AND scope_seq > turn.scope)"
    " FROM turn WHERE turn.scope IS NOT NULL LIMIT :most)"
    " SELECT scope FROM turn WHERE scope IS NOT NULL"
))  # fmt: skip
DUE = Hot(text(
    "SELECT seq FROM job WHERE state = 'waiting' AND label = :label AND priority = :priority AND scope_seq = :scope"
    " AND not_before <= :now ORDER BY not_before, seq LIMIT :most"
))  # fmt: skip
# One that failed, was held before or is cut off again and again is left alone: what is new shall not share its fate.
NEWEST = Hot(text(
    "SELECT seq, items FROM job"
    " WHERE state = 'waiting' AND label = :label AND priority = :priority AND scope_seq = :scope"
    " AND attempts = 0 AND token = 0 AND payload IS NULL"
    " ORDER BY not_before DESC, seq DESC LIMIT 1"
))  # fmt: skip
GATHER = Hot(text("UPDATE job SET items = :items, updated_at = :now WHERE seq = :seq"))
LEASE = Hot(text(
    "UPDATE job SET state = 'running', lease_until = :until, token = token + 1, updated_at = :now WHERE seq = :seq"
    f" RETURNING {COLUMNS}"
))  # fmt: skip
HELD = "seq = :seq AND token = :token AND state = 'running'"
FINISH = Hot(text(
    f"UPDATE job SET state = 'done', lease_until = NULL, error = '', updated_at = :now WHERE {HELD}"
))  # fmt: skip
PROGRESS = Hot(text(
    "UPDATE job SET done = :done, lease_until = max(lease_until, :until), updated_at = :now,"
    " payload = CASE WHEN :total IS NULL THEN payload ELSE json_set(coalesce(payload, '{}'), '$.total', :total) END"
    f" WHERE {HELD}"
))  # fmt: skip
EXTEND = Hot(text(f"UPDATE job SET lease_until = :until WHERE {HELD}"))
FAIL = Hot(text(
    "UPDATE job SET state = :state, attempts = attempts + 1, error = :error, not_before = :not_before,"
    f" lease_until = NULL, updated_at = :now WHERE {HELD}"
))  # fmt: skip
DONE = Hot(text("SELECT done FROM job WHERE seq = :seq"))
CUT = Hot(text("UPDATE job SET items = :items WHERE seq = :seq"))
_OTHERS = {"id": ":id", "items": ":items", "done": "0", "token": "0"}
OTHER_HALF = Hot(text(
    f"INSERT INTO job ({', '.join(INSERT_COLUMNS)})"
    f" SELECT {', '.join(_OTHERS.get(name, name) for name in INSERT_COLUMNS)} FROM job WHERE seq = :seq"
))  # fmt: skip
RELEASE = Hot(text(
    f"UPDATE job SET state = 'waiting', lease_until = NULL, not_before = :now, updated_at = :now WHERE {HELD}"
))  # fmt: skip
PUT_OFF = Hot(text(
    "UPDATE job SET state = 'waiting', error = :error, not_before = :not_before, lease_until = NULL, updated_at = :now"
    f" WHERE {HELD}"
))  # fmt: skip
INTERRUPTED = Hot(text(
    "UPDATE job SET state = :state, error = :error, lease_until = NULL, not_before = :now, updated_at = :now,"
    f" payload = json_set(coalesce(payload, '{{}}'), '$.interrupted', :times) WHERE {HELD}"
))  # fmt: skip
EXPIRED = Hot(text(
    f"SELECT {COLUMNS} FROM job WHERE state = 'running' AND lease_until <= :now ORDER BY seq LIMIT :most"
))  # fmt: skip
RUNNING = Hot(text(f"SELECT {COLUMNS} FROM job WHERE state = 'running' ORDER BY seq LIMIT :most"))
NEXT_DUE = Hot(text("SELECT min(not_before) FROM job WHERE state = 'waiting' AND label = :label"))
FORGET = Hot(text(
    "DELETE FROM job WHERE seq IN ("
    " SELECT seq FROM (SELECT seq, scope_seq, updated_at FROM job WHERE state = 'done' ORDER BY seq LIMIT :most)"
    " WHERE updated_at < CASE scope_seq WHEN 0 THEN :before_of_index ELSE :before END)"
))  # fmt: skip

VISIBLE = (
    "(job.scope_seq IN (SELECT scope_seq FROM scope_reader WHERE workspace_id = :workspace AND reader = :reader)"
    " OR (job.scope_seq = 0 AND :reader = '' AND json_extract(job.payload, '$.workspace') = :workspace))"
)
SELECT = (
    "SELECT job.seq, job.id, job.label, job.state, job.scope_seq, coalesce(scope.id, ''), json_array_length(job.items),"
    " job.payload, job.done, job.attempts, job.error, job.not_before, job.created_at, job.updated_at"
    " FROM job LEFT JOIN scope ON scope.seq = job.scope_seq"
)
LIST = Hot(text(f"{SELECT} WHERE job.seq < :before AND {VISIBLE} ORDER BY job.seq DESC LIMIT :most"))
LIST_IN_STATE = Hot(text(
    f"{SELECT} WHERE job.state = :state AND job.seq < :before AND {VISIBLE} ORDER BY job.seq DESC LIMIT :most"
))  # fmt: skip
# Ids sort by time: of a job that is forgotten by now, the next one tells the place.
PLACE = Hot(text("SELECT seq FROM job WHERE id >= :id ORDER BY id LIMIT 1"))
BY_ID = Hot(text(f"{SELECT} WHERE job.id = :id AND {VISIBLE}"))
COUNT = "SELECT state, count(*) FROM job WHERE state IN ('waiting', 'running', 'dead')"
COUNTS = Hot(text(f"{COUNT} GROUP BY state"))
COUNTS_OF_SCOPES = Hot(text(f"{COUNT} AND scope_seq IN (SELECT value FROM json_each(:scopes)) GROUP BY state"))
COUNTS_OF_VIEWER = Hot(text(f"{COUNT} AND {VISIBLE} GROUP BY state"))
REPLAY = (
    "UPDATE job SET state = 'waiting', attempts = 0, not_before = :now, updated_at = :now,"
    " payload = CASE WHEN payload IS NULL THEN NULL ELSE json_remove(payload, '$.interrupted') END"
    f" WHERE state = 'dead' AND {VISIBLE}"
)
REPLAY_ALL = Hot(text(REPLAY))
REPLAY_ONE = Hot(text(f"{REPLAY} AND id = :id"))
