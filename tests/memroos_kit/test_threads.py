"""Threads that do not keep a process from ending."""

import subprocess
import sys
import threading
import time

import pytest

from memroos_kit.threads import DaemonThreads

HANGING = """
import threading
from memroos_kit.threads import DaemonThreads
begun = threading.Event()
def hang():
    begun.set()
    threading.Event().wait()
calls = DaemonThreads(1, name="test")
calls.submit(hang)
begun.wait()
calls.shutdown()
"""


def test_a_call_is_answered_from_another_thread() -> None:
    calls = DaemonThreads(1, name="test")
    assert calls.submit(lambda: threading.current_thread().name).result(5) == "test-1"
    calls.shutdown()


def test_an_error_reaches_whoever_asked_and_the_thread_goes_on() -> None:
    calls = DaemonThreads(1, name="test")
    with pytest.raises(ZeroDivisionError):
        calls.submit(lambda: 1 // 0).result(5)
    assert calls.submit(lambda: 1).result(5) == 1
    calls.shutdown()


def test_no_more_than_the_threads_work_at_once() -> None:
    calls, lock = DaemonThreads(2, name="test"), threading.Lock()
    running: list[int] = []
    most = 0

    def work(number: int) -> None:
        nonlocal most
        with lock:
            running.append(number)
            most = max(most, len(running))
        time.sleep(0.01)
        with lock:
            running.remove(number)

    for answer in [calls.submit(work, number) for number in range(8)]:
        answer.result(5)
    assert most == 2
    calls.shutdown()


def test_what_waits_is_given_up_at_the_end_and_nothing_is_taken_any_more() -> None:
    calls, begun, go = DaemonThreads(1, name="test"), threading.Event(), threading.Event()

    def wait() -> bool:
        begun.set()
        return go.wait(5)

    running = calls.submit(wait)
    assert begun.wait(5)
    waiting = calls.submit(lambda: None)
    calls.shutdown()
    assert waiting.cancelled()
    go.set()
    assert running.result(5)
    with pytest.raises(RuntimeError, match="shut down"):
        calls.submit(lambda: None)


def test_a_call_that_hangs_does_not_keep_the_process() -> None:
    assert subprocess.run([sys.executable, "-c", HANGING], timeout=20, check=False).returncode == 0
