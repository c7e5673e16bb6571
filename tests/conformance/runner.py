"""Runs one test of the declarative suite at one door: steps in order, captures for later steps, repeats until."""

import json
import re
import time
from typing import Any

from tests.conformance.acts import Test
from tests.conformance.doors import Door, Outcome, final_send
from tests.conformance.matchers import mismatches, values_at

LONGEST_REST_S = 0.25
"""The suite rests up to two seconds between two questions; a broker on the same machine is asked more often."""

ORDER = {
    "TASK_STATE_SUBMITTED": 0,
    "TASK_STATE_WORKING": 1,
    "TASK_STATE_INPUT_REQUIRED": 1,
    "TASK_STATE_AUTH_REQUIRED": 1,
    "TASK_STATE_COMPLETED": 2,
    "TASK_STATE_FAILED": 2,
    "TASK_STATE_CANCELED": 2,
    "TASK_STATE_REJECTED": 2,
}
_NOT_MATCHERS = {"description", "match", "index", "one_of"}


class Run:
    """One run of one test.

    Args:
        door: where it is run.
        variables: what `{{name}}` stands for before any step.
        keys: by step id, the key to show instead of the usual one; empty shows none.
        patched: by step id, what takes the place of the step's words (see `deviations`).
    """

    def __init__(
        self,
        test: Test,
        door: Door,
        *,
        variables: dict[str, str] | None = None,
        keys: dict[str, str] | None = None,
        patched: dict[str, dict[str, Any]] | None = None,
    ) -> None:
        self.test = test
        self.door = door
        self.outcomes: dict[str, Outcome] = {}
        self._known: dict[str, Any] = {**test.variables, **(variables or {})}
        self._keys = keys or {}
        self._patched = patched or {}

    def run(self) -> None:
        """Run every step.

        Raises:
            AssertionError: something is not as the suite expects; the message says what, and what came.
        """
        for written in self.test.steps:
            step = self._filled({**written, **self._patched.get(written["id"], {})})
            outcome = self._made(step)
            self.outcomes[step["id"]] = outcome
            for name, path in step.get("capture", {}).items():
                values = values_at(path, outcome.body)
                self._known[f"{step['id']}.{name}"] = values[0] if values else ""
            if found := verdict(step, outcome):
                came = {"status": outcome.status, "body": outcome.body, "error": outcome.error}
                came |= {"events": outcome.events} if outcome.events else {}
                said = "\n  ".join(found)
                raise AssertionError(f"{self.test.id}, step {step['id']}:\n  {said}\ncame: {json.dumps(came)[:3000]}")

    def _made(self, step: dict[str, Any]) -> Outcome:
        outcome = self._once(step)
        if (repeat := step.get("repeat")) is None:
            return outcome
        end = time.monotonic() + repeat["max_attempts"] * repeat["delay_ms"] / 1000
        while not until(repeat["until"], outcome.body):
            assert time.monotonic() < end, f"{self.test.id}: never {repeat['until']}: {outcome.body}"
            time.sleep(min(repeat["delay_ms"] / 1000, LONGEST_REST_S))
            outcome = self._once(step)
        return outcome

    def _once(self, step: dict[str, Any]) -> Outcome:
        key = self._keys.get(step["id"])
        if "raw" not in step:
            return self.door.call(step["operation"], step.get("params", {}), key=key)
        raw = step["raw"]
        content = raw.get("body_raw")
        if content is None and "body" in raw:
            content = json.dumps(completed(raw["body"]))
        made = self.door.raw(
            raw["method"],
            raw["path"],
            headers=raw.get("headers", {}),
            content=None if content is None else content.encode(),
            key=key,
        )
        made.events = [event.get("result", event) for event in made.raw_events]
        return made

    def _filled(self, value: Any) -> Any:
        """Put known values in the place of `{{name}}`, except in the source of an assertion: the step's answer."""
        if isinstance(value, dict):
            return {name: one if name == "source" else self._filled(one) for name, one in value.items()}
        if isinstance(value, list):
            return [self._filled(one) for one in value]
        if not isinstance(value, str):
            return value
        return re.sub(r"\{\{([^}]+)\}\}", lambda found: str(self._known[found[1].strip()]), value)


def completed(body: Any) -> Any:
    """Return a raw JSON-RPC body whose message has what 4.1.4 requires, where it is a message that is sent."""
    params = body.get("params") if isinstance(body, dict) else None
    if not isinstance(params, dict) or "message" not in params:
        return body
    return {**body, "params": final_send(params)}


def until(condition: str, body: Any) -> bool:
    """Return whether `path == VALUE` or `path in [VALUE, VALUE]` holds."""
    path, operator, value = condition.split(maxsplit=2)
    wanted = [one.strip() for one in value.strip("[]").split(",")]
    assert operator in ("==", "in"), f"unknown condition {condition!r}"
    return bool(values_at(path, body)) and values_at(path, body)[0] in wanted


def verdict(step: dict[str, Any], outcome: Outcome) -> list[str]:
    """Return what is not as a step expects."""
    found: list[str] = []
    if "expect_error" in step:
        found += _refusal(step["expect_error"], outcome)
    elif "expect_stream" in step:
        found += [f"the stream ended with an error: {outcome.error}"] if outcome.error else []
        found += _stream(step["expect_stream"], outcome)
    if "expect" in step:
        found += _answer(step["expect"], outcome, raw="raw" in step)
    for assertion in step.get("assertions", []):
        wanted = assertion["any"]
        candidates = values_at(wanted["path"], outcome.body)
        if not any(not mismatches(wanted["match"], one) for one in candidates):
            found.append(f"nothing at {wanted['path']} is {wanted['match']}")
    return found


def _answer(expected: dict[str, Any], outcome: Outcome, *, raw: bool) -> list[str]:
    """Some steps put matchers beside `body`; `error` is about the refusal, where no body is named."""
    status, body = expected.get("status"), expected.get("body")
    beside = {name: value for name, value in expected.items() if name not in ("status", "body")}
    found: list[str] = []
    if "error" in beside and not raw:
        return mismatches(beside, {"error": outcome.error} if outcome.error else {}, "answer")
    if raw:
        found += mismatches(status, outcome.status, "status") if status is not None else []
    elif outcome.error:
        found.append(f"refused: {outcome.error}")
    elif not 200 <= outcome.status < 300:
        found.append(f"status is {outcome.status}")
    if body is not None:
        found += mismatches(body, outcome.body)
    return found + mismatches(beside, outcome.body)


def _refusal(expected: dict[str, Any], outcome: Outcome) -> list[str]:
    if outcome.error is None:
        return ["it was not refused"]
    wanted = {("name" if key in ("code", "error_type") else key): value for key, value in expected.items()}
    return mismatches(wanted, outcome.error, "error")


def _stream(expected: dict[str, Any], outcome: Outcome) -> list[str]:
    known = {"min_count", "ordering", "final_event", "events", "each_event"}
    assert set(expected) <= known, f"unknown words about a stream: {set(expected) - known}"
    events = [as_suite_sees(event) for event in outcome.events]
    found: list[str] = []
    if len(events) < expected.get("min_count", 1):
        found.append(f"{len(events)} events, at least {expected.get('min_count', 1)} expected")
    if expected.get("ordering") == "monotonic_state":
        ranks = [ORDER[event["status"]["state"]] for event in events if "status" in event]
        found += [] if ranks == sorted(ranks) else [f"states go back: {ranks}"]
    if "final_event" in expected:
        found += mismatches(expected["final_event"], events[-1] if events else {}, "the last event")
    for event in outcome.raw_events:
        found += mismatches(expected.get("each_event", {}), event, "an event")
    for wanted in expected.get("events", []):
        found += _event(wanted, events)
    return found


def _event(wanted: dict[str, Any], events: list[dict[str, Any]]) -> list[str]:
    matcher: dict[str, Any] = {name: value for name, value in wanted.items() if name not in _NOT_MATCHERS}
    if "one_of" in wanted:
        matcher["any_of"] = wanted["one_of"]
    place = wanted.get("index")
    candidates = events if place is None else events[place : place + 1]
    if any(not mismatches(matcher, event) for event in candidates):
        return []
    return [f"no event is {wanted}"]


def as_suite_sees(event: dict[str, Any]) -> dict[str, Any]:
    """Return an event with its payload under its name, under the name with underscores, and flat."""
    ((name, payload),) = event.items()
    return {**payload, name: payload, re.sub(r"[A-Z]", lambda found: f"_{found[0].lower()}", name): payload}
