"""What A2A says of tasks, at a real kernel over the wire: contexts, follow-ups, streams, conditions, limits.

Facts: A2A 1.0, 3.1 (operations), 3.4.3 (multi-turn), 4.1 (data model); A2A 1.1 for generations.
"""

import json
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import httpx
import pytest
from tests.flows.kernel import Agent, Kernel

from memroos_kit.ids import new_id

A2A = {"A2A-Version": "1.0"}
RESTRICTED = {"sensitivity": "restricted"}


@pytest.fixture(scope="module")
def caller(kernel: Kernel) -> Agent:
    """Who sends."""
    return kernel.create_agent("semantic-caller")


@pytest.fixture
def worker(kernel: Kernel) -> Agent:
    """Who works, one for each test."""
    return kernel.create_agent(f"worker-{new_id('x')[-8:].lower()}")


class Wire:
    """JSON-RPC as it is, at one agent's endpoint."""

    def __init__(self, caller: Agent, worker: Agent) -> None:
        self.caller = caller
        self.worker = worker
        self.path = f"/a2a/agents/{worker.name}"

    def call(self, method: str, params: Any, **headers: str) -> Any:
        """Return the result, or the error with its code."""
        body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        said = self.caller.kernel.call("POST", self.path, body, key=self.caller.key, headers=A2A | headers)
        return said.json()

    def message(self, text: str = "x", **words: Any) -> dict[str, Any]:
        return {"messageId": new_id("msg"), "role": "ROLE_USER", "parts": [{"text": text}], **words}

    def send(self, text: str = "x", *, wait: bool = False, headers: dict[str, str] | None = None, **words: Any) -> Any:
        configuration = {"returnImmediately": not wait}
        params = {"message": self.message(text, **words), "configuration": configuration}
        return self.call("SendMessage", params, **(headers or {}))

    def task(self, text: str = "x", **words: Any) -> Any:
        return self.send(text, **words)["result"]["task"]

    def get(self, task_id: str, **params: Any) -> Any:
        return self.call("GetTask", {"id": task_id, **params})["result"]

    @contextmanager
    def stream(self, method: str, params: Any) -> Iterator[Iterator[Any]]:
        """Yield what a stream brings."""
        body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        with (
            self.caller.kernel.client(self.caller.key) as http,
            http.stream("POST", self.path, json=body, headers=A2A, timeout=20) as said,
        ):
            yield (json.loads(line[5:]) for line in said.iter_lines() if line.startswith("data:"))


@pytest.fixture
def wire(caller: Agent, worker: Agent) -> Wire:
    """How the caller reaches the worker."""
    return Wire(caller, worker)


def reason(answer: Any) -> str:
    return str(answer["error"]["data"][0]["reason"])


def state(task: Any) -> str:
    return str(task["status"]["state"]).removeprefix("TASK_STATE_").lower()


def generation(task: Any) -> int:
    return int(task["metadata"]["memroos"]["generation"])


def words(item: Any) -> str:
    """Return what one item of a stream says: the state of a task, or the text of a chunk."""
    result = item["result"]
    if "artifactUpdate" in result:
        return str(result["artifactUpdate"]["artifact"]["parts"][0]["text"])
    return state(result.get("task") or result["statusUpdate"])


# -- contexts ------------------------------------------------------------------------------------------------------


def test_the_context_follows_from_the_task_and_a_wrong_one_harms_nothing(wire: Wire, worker: Agent) -> None:
    task = wire.task(contextId="ctx-of-mine")
    assert task["contextId"] == "ctx-of-mine"

    assert reason(wire.send(taskId=task["id"], contextId="another")) == "INVALID_PARAMS"
    assert reason(wire.send(taskId="task_unknown")) == "TASK_NOT_FOUND"
    assert wire.get(task["id"]) == task

    assert wire.task(taskId=task["id"])["contextId"] == "ctx-of-mine"
    assert len(wire.get(task["id"])["history"]) == 2


def test_one_context_holds_several_tasks_and_a_new_one_is_made_where_none_is_named(wire: Wire) -> None:
    first, second, other = wire.task(contextId="ctx-a"), wire.task(contextId="ctx-a"), wire.task()

    assert first["id"] != second["id"]
    assert other["contextId"] not in {"", "ctx-a"}
    listed = wire.call("ListTasks", {"contextId": "ctx-a"})["result"]
    assert ({task["id"] for task in listed["tasks"]}, listed["totalSize"]) == ({first["id"], second["id"]}, 2)
    assert listed["nextPageToken"] == ""


# -- follow-ups ----------------------------------------------------------------------------------------------------


def test_an_answer_reaches_the_agent_that_asked_in_the_same_task(wire: Wire, worker: Agent) -> None:
    task = wire.task("to Rome")
    worker.report(worker.claim(), "ask", parts=[{"text": "When?"}])
    assert state(wire.get(task["id"])) == "input_required"

    wire.send("tomorrow", taskId=task["id"])
    claim = worker.claim()
    worker.report(claim, "complete", parts=[{"text": "Booked."}])

    assert (claim["task"]["id"], claim["message"]["parts"][0]["text"]) == (task["id"], "tomorrow")
    done = wire.get(task["id"])
    assert state(done) == "completed"
    assert [m["parts"][0]["text"] for m in done["history"]] == ["to Rome", "When?", "tomorrow"]
    assert reason(wire.send("and back", taskId=task["id"])) == "UNSUPPORTED_OPERATION"
    assert wire.get(task["id"]) == done


def test_a_callers_word_never_lifts_an_operators_hold(kernel: Kernel, caller: Agent, worker: Agent) -> None:
    parts = {"parts": [{"text": "secret"}], "agent": worker.name, "label": RESTRICTED}
    held = kernel.done("POST", "/api/tasks", parts, key=caller.key)
    assert held["state"] == "auth_required"

    after = Wire(caller, worker).task("approved, I promise", taskId=held["id"])

    assert state(after) == "auth_required"
    assert worker.claim(wait_s=0) is None
    kernel.done("POST", f"/api/approvals/{held['approval_id']}/approve", {})
    assert worker.claim()["message"]["parts"][0]["text"] == "secret"


def test_a_hold_that_was_canceled_asks_nobody_any_more(kernel: Kernel, caller: Agent, worker: Agent) -> None:
    parts = {"parts": [{"text": "secret"}], "agent": worker.name, "label": RESTRICTED}
    held = kernel.done("POST", "/api/tasks", parts, key=caller.key)

    kernel.done("POST", f"/api/tasks/{held['id']}/cancel", {}, key=caller.key)

    assert kernel.call("POST", f"/api/approvals/{held['approval_id']}/approve", {}).status_code == 410
    pending = kernel.done("GET", "/api/approvals?approval_state=pending")["items"]
    assert held["approval_id"] not in {approval["id"] for approval in pending}


def test_the_same_message_is_one_task_and_the_same_id_with_other_words_another(wire: Wire) -> None:
    again = {"messageId": "mine-1", "contextId": "ctx-resend"}
    first = wire.task("a", **again)

    assert wire.task("a", **again)["id"] == first["id"]
    assert wire.task("b", **again)["id"] != first["id"]
    assert wire.task("a", messageId="mine-1", contextId="ctx-other")["id"] != first["id"]


# -- how much of a task --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("asked", "length"), [({}, 3), ({"historyLength": 0}, None), ({"historyLength": 2}, 2)])
def test_history_is_as_long_as_asked_for_wherever_it_is_asked_for(
    wire: Wire, asked: dict[str, int], length: int | None
) -> None:
    task = wire.task("one")
    wire.send("two", taskId=task["id"])

    def told(answer: Any) -> int | None:
        return len(answer.get("history", ())) or None  # in a listing, the SDK writes an empty one

    params = {"message": wire.message("three", taskId=task["id"]), "configuration": {"returnImmediately": True} | asked}
    assert told(wire.call("SendMessage", params)["result"]["task"]) == length
    assert told(wire.get(task["id"], **asked)) == length
    (listed,) = wire.call("ListTasks", {"contextId": task["contextId"], **asked})["result"]["tasks"]
    assert told(listed) == (length if asked else None)  # a listing shows states unless more is asked for
    refused = wire.call("GetTask", {"id": task["id"], "historyLength": -1})
    assert refused["error"]["code"] == -32602


# -- streams -------------------------------------------------------------------------------------------------------


def test_every_stream_brings_the_same_in_the_same_order_and_its_end_is_its_own(
    kernel: Kernel, wire: Wire, worker: Agent
) -> None:
    task = wire.task("go")
    claim = worker.claim()
    ready = threading.Barrier(4)

    def read(most: int) -> list[str]:
        with wire.stream("SubscribeToTask", {"id": task["id"]}) as items:
            seen = [words(next(items))]
            ready.wait(10)
            for item in items:
                seen.append(words(item))
                if len(seen) == most:
                    break
            return seen

    with ThreadPoolExecutor(3) as pool:
        readers = [pool.submit(read, most) for most in (99, 99, 2)]  # the last one leaves early
        ready.wait(10)
        for n in range(3):
            artifact = {"artifact_id": "a", "parts": [{"text": f"chunk {n}"}]}
            worker.report(claim, "artifact", artifact=artifact, append=n > 0, last_chunk=n == 2)
        worker.report(claim, "complete")
        first, second, left = [reader.result(20) for reader in readers]

    assert first == second == ["working", "chunk 0", "chunk 1", "chunk 2", "completed"]
    assert left == first[:2]
    whole = wire.get(task["id"])["artifacts"]
    assert [[part["text"] for part in artifact["parts"]] for artifact in whole] == [["chunk 0", "chunk 1", "chunk 2"]]
    assert reason(wire.call("SubscribeToTask", {"id": task["id"]})) == "UNSUPPORTED_OPERATION"


def test_a_chunk_for_nothing_is_refused_and_the_task_goes_on(wire: Wire, worker: Agent) -> None:
    task = wire.task("go")
    claim = worker.claim()

    refused = worker.report(claim, "artifact", artifact={"artifact_id": "a", "parts": [{"text": "x"}]}, append=True)

    assert (refused.status_code, refused.json()["type"]) == (422, "/problems/broken-chunk")
    assert state(wire.get(task["id"])) == "working"


def test_a_stream_goes_on_through_a_hold(kernel: Kernel, caller: Agent, worker: Agent) -> None:
    parts = {"parts": [{"text": "secret"}], "agent": worker.name, "label": RESTRICTED}
    held = kernel.done("POST", "/api/tasks", parts, key=caller.key)

    with Wire(caller, worker).stream("SubscribeToTask", {"id": held["id"]}) as items:
        assert words(next(items)) == "auth_required"
        kernel.done("POST", f"/api/approvals/{held['approval_id']}/approve", {})
        worker.report(worker.claim(), "complete")
        assert [words(item) for item in items] == ["submitted", "working", "completed"]


# -- conditions and long polls -------------------------------------------------------------------------------------


def test_a_message_or_cancel_under_a_condition_changes_only_what_was_seen(wire: Wire, worker: Agent) -> None:
    task = wire.task()
    seen = generation(task)
    worker.claim()

    late = wire.send("more", taskId=task["id"], headers={"If-Match": f'"{seen}"'})
    assert (late["error"]["code"], reason(late)) == (-32010, "TASK_GENERATION_MISMATCH")
    refused = wire.call("CancelTask", {"id": task["id"]}, **{"If-Match": f'"{seen}"'})
    assert refused["error"]["code"] == -32010
    assert state(wire.get(task["id"])) == "working"

    now = generation(wire.get(task["id"]))
    canceled = wire.call("CancelTask", {"id": task["id"]}, **{"If-Match": f'"{now}"'})["result"]
    assert state(canceled) == "canceled"


def test_rest_has_the_same_conditions(kernel: Kernel, caller: Agent, worker: Agent) -> None:
    task = kernel.done("POST", "/api/tasks", {"parts": [{"text": "x"}], "agent": worker.name}, key=caller.key)
    path = f"/api/tasks/{task['id']}"
    tag = kernel.call("GET", path, key=caller.key).headers["etag"]
    worker.claim()

    more = {"parts": [{"text": "more"}], "task_id": task["id"]}
    for refused in (
        kernel.call("POST", "/api/tasks", more, key=caller.key, headers={"If-Match": tag}),
        kernel.call("POST", f"{path}/cancel", {}, key=caller.key, headers={"If-Match": tag}),
    ):
        assert (refused.status_code, refused.json()["type"]) == (409, "/problems/task-generation-mismatch")
    odd = kernel.call("POST", f"{path}/cancel", {}, key=caller.key, headers={"If-Match": "three"})
    assert odd.status_code == 422

    tag = kernel.call("GET", path, key=caller.key).headers["etag"]
    done = kernel.done("POST", f"{path}/cancel", {}, key=caller.key, headers={"If-Match": tag})
    assert done["state"] == "canceled"


def _rest_poll(wire: Wire, task_id: str, seen: int) -> int:
    query = {"after_generation": seen, "wait_s": 10}
    task = wire.caller.kernel.done("GET", f"/api/tasks/{task_id}", key=wire.caller.key, params=query)
    return int(task["generation"])


def _a2a_poll(wire: Wire, task_id: str, seen: int) -> int:
    headers = {"If-None-Match": f'"{seen}"', "Prefer": "wait=10"}
    return generation(wire.call("GetTask", {"id": task_id}, **headers)["result"])


@pytest.mark.parametrize("poll", [_rest_poll, _a2a_poll])
def test_a_long_poll_ends_with_the_next_change(
    wire: Wire, worker: Agent, poll: Callable[[Wire, str, int], int]
) -> None:
    task = wire.task()
    assert poll(wire, task["id"], 1) == 2  # it has changed since then

    with ThreadPoolExecutor(1) as pool:
        began = time.monotonic()
        waiting = pool.submit(poll, wire, task["id"], 2)
        time.sleep(0.3)
        assert not waiting.done()
        worker.claim()
        assert waiting.result(5) == 3
    assert time.monotonic() - began < 5


# -- limits, loops -------------------------------------------------------------------------------------------------


def test_too_many_open_tasks_are_answered_with_when_to_come_again(new_kernel: Callable[..., Kernel]) -> None:
    kernel = new_kernel(open_tasks_per_caller="2", open_tasks_per_agent="3").start()
    caller, other, worker = (kernel.create_agent(name) for name in ("caller", "other", "worker"))
    body = {"parts": [{"text": "x"}], "agent": "worker"}

    def send(who: Agent) -> httpx.Response:
        return kernel.call("POST", "/api/tasks", body, key=who.key)

    assert [send(caller).status_code for _ in range(3)] == [201, 201, 429]
    assert [send(other).status_code for _ in range(2)] == [201, 429]
    refused = send(caller)
    assert (refused.json()["scope"], int(refused.headers["retry-after"]) > 0) == ("caller", True)
    assert send(other).json()["scope"] == "agent"
    assert reason(Wire(caller, worker).send()) == "RESOURCE_EXHAUSTED"
    worker.report(worker.claim(), "complete")
    assert send(other).status_code == 201


def test_a_message_that_goes_in_circles_is_refused_at_each_door(kernel: Kernel, wire: Wire, worker: Agent) -> None:
    many = ", ".join(f"1.1 broker-{n}" for n in range(9))
    body = {"parts": [{"text": "x"}], "agent": worker.name}

    said = kernel.call("POST", "/api/tasks", body, key=wire.caller.key, headers={"Via": many})

    assert (said.status_code, said.json()["type"]) == (409, "/problems/too-many-hops")
    assert reason(wire.send(headers={"Via": many})) == "UNSUPPORTED_OPERATION"
    few = kernel.done("POST", "/api/tasks", body, key=wire.caller.key, headers={"Via": "1.1 edge, 1.1 other"})
    assert few["via"] == ["1.1 edge", "1.1 other"]


# -- listings ------------------------------------------------------------------------------------------------------


def test_a_listing_is_the_callers_own_newest_first_in_pages(kernel: Kernel, wire: Wire, worker: Agent) -> None:
    mine = [wire.task(f"task {n}")["id"] for n in range(5)]
    Wire(kernel.create_agent(f"other-{new_id('x')[-8:].lower()}"), worker).task("not mine")
    wire.call("CancelTask", {"id": mine[0]})

    pages, token = [], ""
    while True:
        page = wire.call("ListTasks", {"pageSize": 2, "pageToken": token})["result"]
        pages.append([task["id"] for task in page["tasks"]])
        assert (page["pageSize"], page["totalSize"]) == (2, 5)
        assert all("artifacts" not in task for task in page["tasks"])
        if not (token := page["nextPageToken"]):
            break

    assert [len(page) for page in pages] == [2, 2, 1]
    assert sum(pages, []) == [mine[0], *reversed(mine[1:])]  # noqa: RUF017 - three pages
    canceled = wire.call("ListTasks", {"status": "TASK_STATE_CANCELED"})["result"]
    assert [task["id"] for task in canceled["tasks"]] == mine[:1]
    since = canceled["tasks"][0]["status"]["timestamp"]
    later = wire.call("ListTasks", {"statusTimestampAfter": since})["result"]
    assert [task["id"] for task in later["tasks"]] == mine[:1]
    for wrong in ({"pageSize": 0}, {"pageSize": 101}, {"pageToken": "nonsense"}):
        assert wire.call("ListTasks", wrong)["error"]["code"] == -32602
