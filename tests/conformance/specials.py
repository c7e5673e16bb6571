"""What the suite leaves to its runner: requests without a key or with a poor one, headers, webhooks, many streams."""

import threading
import time
from collections.abc import Callable
from typing import Any

from a2a.types import a2a_pb2 as pb
from google.protobuf.json_format import ParseDict
from tests.conformance.doors import Door, Outcome
from tests.conformance.receiver import Notice, Receiver
from tests.conformance.runner import Run

NO_KEY = ""
KEYS: dict[str, dict[str, str]] = {
    "SEC-AUTH-001": {"send-without-auth": NO_KEY},
    "SEC-AUTH-002": {"send-insufficient-auth": NO_KEY},  # the step brings its own
    "SEC-AUTH-004": {"get-task-without-auth": NO_KEY},
    "SEC-AUTH-006": {"get-agent-card-without-auth": NO_KEY},
    "SEC-EXTCARD-001": {"get-extended-card-without-auth": NO_KEY},
    "SEC-EXTCARD-002": {"get-extended-card-insufficient-auth": NO_KEY},
    "SEC-EXTCARD-004": {"get-extended-card-without-auth": NO_KEY},
}
"""Which key a step shows instead of the usual one, by test and step."""

_FINAL = {f"TASK_STATE_{name}" for name in ("COMPLETED", "FAILED", "CANCELED", "REJECTED")}


def after(run: Run, receiver: Receiver, hook: str) -> None:
    """Look at what the suite describes in words only, once a test's steps have run.

    Raises:
        AssertionError: it is not so.
    """
    check = _AFTER.get(run.test.id)
    if check is not None:
        check(run)
    if run.test.id in _PUSH:
        notices = receiver.wait(hook, lambda came: bool(came) and state_in(came[-1]) in _FINAL)
        _PUSH[run.test.id](notices)


def state_in(notice: Notice) -> str:
    """Return the state that a notification tells; empty when it is about something else."""
    (payload,) = notice.body.values()
    return str(payload.get("status", {}).get("state", ""))


def _same_answer(run: Run) -> None:
    foreign, missing = (run.outcomes[step] for step in ("get-other-user-task", "get-missing-task"))
    assert foreign.error is not None
    assert missing.error is not None
    assert foreign.error["name"] == missing.error["name"] == "TaskNotFoundError"
    assert foreign.status == missing.status


def _can_be_kept(run: Run) -> None:
    headers = run.outcomes["step-1"].headers
    assert "etag" in headers
    assert "max-age" in headers["cache-control"]


def _is_a_card(run: Run) -> None:
    ParseDict(run.outcomes["step-1"].body, pb.AgentCard(), ignore_unknown_fields=True)  # it also says what 0.3 asks for


def _is_an_answer(run: Run) -> None:
    ParseDict(run.outcomes["send"].body, pb.SendMessageResponse())


def _is_json(run: Run) -> None:
    assert run.outcomes["send-raw"].headers["content-type"].startswith("application/json")


def _is_a2a_json(run: Run) -> None:
    assert run.outcomes["send"].headers["content-type"].split(";")[0] == "application/a2a+json"


def _refused_by_status(run: Run) -> None:
    (outcome,) = run.outcomes.values()
    assert outcome.status in (401, 403) or outcome.body["error"]


_AFTER: dict[str, Callable[[Run], None]] = {
    "SEC-AUTH-003": _same_answer,
    "CARD-CACHE-001": _can_be_kept,
    "CARD-SCHEMA-001": _is_a_card,
    "DM-SERIAL-002": _is_an_answer,
    "JSONRPC-CT-001": _is_json,
    "REST-CT-001": _is_a2a_json,
    "SEC-AUTH-001": _refused_by_status,
    "SEC-AUTH-004": _refused_by_status,
    "STREAM-MULTI-001": lambda run: two_streams_bring_the_same(run.door),
    "STREAM-MULTI-002": lambda run: a_stream_that_is_closed_leaves_the_others(run.door),
    "STREAM-RESUB-001": lambda run: a_caller_who_comes_back_sees_the_end(run.door),
}


def _authenticated(notices: list[Notice]) -> None:
    assert {notice.headers.get("authorization") for notice in notices} == {"Bearer test-token"}


def _came(notices: list[Notice]) -> None:
    assert state_in(notices[-1]) == "TASK_STATE_COMPLETED"


def _well_formed(notices: list[Notice]) -> None:
    for notice in notices:
        ParseDict(notice.body, pb.StreamResponse())
        assert notice.headers["content-type"] == "application/a2a+json"


_PUSH: dict[str, Callable[[list[Notice]], None]] = {
    "SEC-PUSH-001": _authenticated,
    "PUSH-DELIV-001": _authenticated,
    "PUSH-DELIV-002": _came,
    "PUSH-DELIV-003": _well_formed,
}


# -- several streams of one task ---------------------------------------------------------------------------------------


def two_streams_bring_the_same(door: Door) -> None:
    """Two subscribers of one task see the same events in the same order."""
    task = _start(door)
    seen = _subscribed(door, task, streams=2)
    first, second = ([_told(event) for event in one.events[1:]] for one in seen)
    shorter = min(len(first), len(second))
    assert shorter > 1
    assert first[-shorter:] == second[-shorter:]


def a_stream_that_is_closed_leaves_the_others(door: Door) -> None:
    """A subscriber who goes away takes nothing from one who stays."""
    task = _start(door)
    leaver = threading.Thread(target=_leave_early, args=(door, task))
    leaver.start()
    (stayed,) = _subscribed(door, task, streams=1)
    leaver.join()
    assert stayed.events[-1]["statusUpdate"]["status"]["state"] == "TASK_STATE_COMPLETED"


def a_caller_who_comes_back_sees_the_end(door: Door) -> None:
    """After a stream was cut the next one begins with the task and goes on to its end."""
    task = _start(door)
    _leave_early(door, task)
    again = door.call("subscribe_to_task", {"id": task})
    assert again.error is None
    assert again.events[0]["task"]["id"] == task
    assert again.events[-1]["statusUpdate"]["status"]["state"] == "TASK_STATE_COMPLETED"


def _start(door: Door) -> str:
    message = {"role": "ROLE_USER", "parts": [{"text": "tck-long-running for several streams"}]}
    started = door.call("send_message", {"message": message, "configuration": {"returnImmediately": True}})
    return str(started.body["task"]["id"])


def _subscribed(door: Door, task: str, *, streams: int) -> list[Outcome]:
    outcomes: list[Outcome] = []
    doors = [type(door)(door.address) for _ in range(streams)]

    def follow(own: Door) -> None:
        outcomes.append(own.call("subscribe_to_task", {"id": task}))
        own.close()

    threads = [threading.Thread(target=follow, args=(own,)) for own in doors]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [outcome.error for outcome in outcomes] == [None] * streams
    return outcomes


def _leave_early(door: Door, task: str) -> None:
    own = type(door)(door.address)
    where = f"{door.address.url}/tasks/{task}:subscribe"
    with own.http.stream("POST", where, headers=door.address.headers(), json={}) as response:
        next(response.iter_lines())
        time.sleep(0.1)
    own.close()


def _told(event: dict[str, Any]) -> Any:
    ((kind, payload),) = event.items()
    return kind, payload.get("status", {}).get("state"), payload.get("artifact")
