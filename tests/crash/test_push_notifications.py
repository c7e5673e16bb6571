"""kill -9 again and again while notifications are on their way: each arrives, in order, and none is left out."""

import contextlib
import random
import secrets
import threading
import time
from pathlib import Path
from typing import Any

import httpx
from tests.flows.kernel import Kernel
from tests.memroos.push.receiver import Got, Reply, receiving

from memroos_kit.ids import new_id

KILLS = 4
SETTLE_S = 30.0
SETTINGS = {
    "outbound_allow": "127.0.0.1",
    "push_backoff_s": "0.02",
    "push_attempts": "1000",
    "log_level": "warning",
    "requests_per_minute": "100000000",
    "request_burst": "1000000",
    "grpc": "false",
}


def test_kills_lose_no_notification_and_change_no_order(tmp_path: Path) -> None:
    seed = secrets.randbits(32)
    chance = random.Random(seed)

    def moody(_: Got) -> Reply:
        return Reply(random.choice([204, 204, 204, 503]), after_s=random.uniform(0, 0.01))

    acknowledged: dict[str, str] = {}
    sending = threading.Event()
    with Kernel(tmp_path, settings=SETTINGS) as kernel, receiving(moody) as receiver:
        caller = kernel.create_agent("caller")
        sender = threading.Thread(target=_send, args=(kernel, caller.key, receiver.url, acknowledged, sending))
        sender.start()
        for _ in range(KILLS):
            time.sleep(chance.uniform(0.1, 0.6))
            kernel.kill()
            kernel.start()
        sending.set()
        sender.join()
        _settle(kernel)
        logs = {task: kernel.done("GET", f"/api/tasks/{task}")["generation"] for task in acknowledged}

    told = f"seed {seed}, {len(acknowledged)} tasks"
    came: dict[str, list[int]] = {}
    for got in receiver.got:
        came.setdefault(_task_of(got), []).append(got.generation)
    assert len(acknowledged) > KILLS, told
    for task, generation in logs.items():
        first_times = list(dict.fromkeys(came.get(task, [])))
        assert first_times == list(range(2, generation + 1)), f"{told}: {task} {came.get(task)}"


def _send(kernel: Kernel, key: str, url: str, acknowledged: dict[str, str], ended: threading.Event) -> None:
    """Have the echo agent do one thing after another, and be notified of each."""
    with kernel.client(key, timeout=5) as client:
        while not ended.is_set():
            message: dict[str, Any] = {"messageId": new_id("msg"), "role": "ROLE_USER", "parts": [{"text": "x"}]}
            configuration = {"returnImmediately": True, "taskPushNotificationConfig": {"url": url}}
            with contextlib.suppress(httpx.TransportError):
                answer = client.post(
                    "/a2a/agents/echo/message:send",
                    json={"message": message, "configuration": configuration},
                    headers={"A2A-Version": "1.0"},
                )
                assert answer.status_code in {200, 503}, answer.text
                if answer.status_code == 200:
                    acknowledged[answer.json()["task"]["id"]] = message["messageId"]
            time.sleep(0.005)


def _settle(kernel: Kernel) -> None:
    """Wait until everything is delivered."""
    until = time.monotonic() + SETTLE_S
    while time.monotonic() < until:
        left: list[Any] = kernel.done("GET", "/api/push-notifications?push_state=active")["items"]
        if not left:
            return
        time.sleep(0.1)
    raise AssertionError(f"still on its way: {left}")


def _task_of(got: Got) -> str:
    [(_, what)] = got.json.items()
    return str(what.get("taskId") or what["id"])
