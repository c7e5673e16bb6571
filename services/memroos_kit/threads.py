"""Threads for calls that nobody can break off: they do not keep the process from ending."""

import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


class DaemonThreads(Executor):
    """An executor whose threads end with the process, whatever they wait for.

    The standard library's joins its threads at the interpreter's exit, and a call to a server that is silent would hold
    that up until its timeout.

    Args:
        threads: how many calls run at once; each thread is started when it is first needed.
        name: what its threads are called.
    """

    def __init__(self, threads: int, *, name: str) -> None:
        self._most = threads
        self._name = name
        self._threads = 0
        self._idle = 0
        self._closed = False
        self._wake = threading.Condition()
        self._calls: deque[tuple[Future[Any], Callable[[], Any]]] = deque()

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Run a call in one of the threads.

        Raises:
            RuntimeError: it was shut down.
        """
        answer: Future[T] = Future()
        with self._wake:
            if self._closed:
                raise RuntimeError(f"{self._name} was shut down")
            self._calls.append((answer, lambda: fn(*args, **kwargs)))
            if self._idle < len(self._calls) and self._threads < self._most:
                self._threads += 1
                threading.Thread(target=self._work, name=f"{self._name}-{self._threads}", daemon=True).start()
            self._wake.notify()
        return answer

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:  # noqa: ARG002 - the interface's words
        """Take no further call; those that wait are given up, those that run are not waited for."""
        with self._wake:
            self._closed = True
            waiting = list(self._calls)
            self._calls.clear()
            self._wake.notify_all()
        for answer, _ in waiting:
            answer.cancel()

    def _work(self) -> None:
        while True:
            with self._wake:
                self._idle += 1
                while not self._calls:
                    if self._closed:
                        return
                    self._wake.wait()
                self._idle -= 1
                answer, call = self._calls.popleft()
            if not answer.set_running_or_notify_cancel():
                continue
            try:
                answer.set_result(call())
            except BaseException as error:  # noqa: BLE001 - whoever asked hears of it
                answer.set_exception(error)
