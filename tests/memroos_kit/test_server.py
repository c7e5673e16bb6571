import contextlib
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

SCRIPT = Path(__file__).with_name("serving_process.py")


class Process:
    """A served process of its own."""

    def __init__(self, grace_s: float, head_timeout_s: float) -> None:
        self.process = subprocess.Popen(
            [sys.executable, str(SCRIPT), str(grace_s), str(head_timeout_s)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        self.port = int(self.process.stdout.readline())
        self.connections: list[socket.socket] = []

    def send(self, request: str) -> socket.socket:
        """Open a connection and send a request."""
        connection = socket.create_connection(("127.0.0.1", self.port), timeout=10)
        self.connections.append(connection)
        connection.sendall(request.encode())
        return connection

    def get(self, path: str) -> socket.socket:
        return self.send(f"GET {path} HTTP/1.1\r\nhost: x\r\n\r\n")

    def end(self, number: signal.Signals = signal.SIGTERM) -> None:
        self.process.send_signal(number)

    def ended(self, within_s: float) -> tuple[int, str, str]:
        """Wait for the end; return status, output and log."""
        output, errors = self.process.communicate(timeout=within_s)
        return self.process.returncode, output, errors

    def close(self) -> None:
        for connection in self.connections:
            connection.close()
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate(timeout=10)


Serve = Callable[..., Process]


@pytest.fixture
def serve() -> Iterator[Serve]:
    started: list[Process] = []

    def start(*, grace_s: float = 5.0, head_timeout_s: float = 10.0) -> Process:
        started.append(Process(grace_s, head_timeout_s))
        return started[-1]

    yield start
    for process in started:
        process.close()


def everything(connection: socket.socket) -> str:
    """Read until the other side closes."""
    found = b""
    with connection:
        while data := connection.recv(65_536):
            found += data
    return found.decode()


def until(connection: socket.socket, text: bytes) -> bytes:
    found = b""
    while text not in found:
        data = connection.recv(65_536)
        assert data, "closed early"
        found += data
    return found


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_process_with_open_streams_ends_at_once_when_told(serve: Serve, number: signal.Signals) -> None:
    process = serve()
    streams = [process.get("/stream") for _ in range(20)]
    for one in streams:
        until(one, b"hello")

    started = time.monotonic()
    process.end(number)
    status, output, log = process.ended(within_s=10)
    took = time.monotonic() - started

    assert took < 2
    assert (status, output) == (0, "ended\n")
    assert '"connections": 20' in log
    assert "Traceback" not in log
    assert all(everything(one).endswith("0\r\n\r\n") for one in streams)


def test_a_request_in_flight_is_answered_before_the_end(serve: Serve) -> None:
    process = serve()
    waiting = process.get("/slow?seconds=0.7")
    time.sleep(0.2)

    process.end()

    assert everything(waiting).endswith("done")
    assert process.ended(within_s=5)[:2] == (0, "ended\n")


def test_no_new_connection_is_taken_while_ending(serve: Serve) -> None:
    process = serve()
    waiting = process.get("/slow?seconds=1")
    time.sleep(0.2)
    process.end()
    time.sleep(0.3)

    with pytest.raises(ConnectionRefusedError):
        process.get("/healthz")

    everything(waiting)


def test_a_stream_that_does_not_listen_is_cut_within_the_grace(serve: Serve) -> None:
    process = serve(grace_s=2.0)
    until(process.get("/deaf"), b"hello")

    started = time.monotonic()
    process.end()
    _, output, _ = process.ended(within_s=10)

    assert time.monotonic() - started < 2.5
    assert output == "ended\n"


def test_a_stuck_process_is_ended_when_the_grace_is_over(serve: Serve) -> None:
    process = serve(grace_s=1.0)
    process.get("/stuck")
    time.sleep(0.2)

    started = time.monotonic()
    process.end()
    process.ended(within_s=10)

    assert time.monotonic() - started < 2


def test_a_second_signal_waits_for_nobody(serve: Serve) -> None:
    process = serve(grace_s=30.0)
    until(process.get("/deaf"), b"hello")

    process.end()
    time.sleep(0.3)
    process.end()

    process.ended(within_s=3)


def test_the_answer_names_no_server_software(serve: Serve) -> None:
    process = serve()
    connection = process.get("/healthz")

    head = until(connection, b"\r\n\r\n").lower()

    assert b"server:" not in head
    assert b"200 ok" in head


def test_headers_of_a_proxy_are_not_believed(serve: Serve) -> None:
    process = serve()
    forged = "x-forwarded-for: 6.6.6.6\r\nx-forwarded-proto: https\r\n"
    everything(process.send(f"GET /nowhere HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{forged}\r\n"))

    process.end()

    assert "6.6.6.6" not in process.ended(within_s=5)[2]


def test_a_body_in_chunks_beyond_the_limit_is_refused(serve: Serve) -> None:
    process = serve()
    connection = process.send("POST /take HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n")
    chunk = b"10000\r\n" + b"x" * 0x10000 + b"\r\n"
    for _ in range(17):
        connection.sendall(chunk)
    connection.sendall(b"0\r\n\r\n")

    assert until(connection, b"too-large").startswith(b"HTTP/1.1 413 ")


def test_a_body_that_announces_too_much_is_refused_and_can_be_read(serve: Serve) -> None:
    process = serve()
    size = 3_000_000
    connection = process.send(f"POST /take HTTP/1.1\r\nhost: x\r\ncontent-length: {size}\r\n\r\n")
    connection.sendall(b"x" * size)

    assert until(connection, b"/problems/too-large").startswith(b"HTTP/1.1 413 ")
    connection.sendall(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n")
    until(connection, b"alive")


def test_a_client_that_asks_first_is_refused_before_it_sends(serve: Serve) -> None:
    process = serve()
    connection = process.send(
        "POST /take HTTP/1.1\r\nhost: x\r\ncontent-length: 3000000\r\nexpect: 100-continue\r\n\r\n"
    )

    assert everything(connection).startswith("HTTP/1.1 413 ")


def test_an_endless_head_is_cut_off(serve: Serve) -> None:
    process = serve()
    connection = process.send("GET / HTTP/1.1\r\nx: ")
    sent = 0
    with contextlib.suppress(ConnectionError):
        while sent < 64_000_000:
            sent += connection.send(b"y" * 65_536)
            time.sleep(0.001)

    assert sent < 16_000_000, "what the sockets hold is all that was taken"


@pytest.mark.parametrize("start", ["", "GET / HT", "GET / HTTP/1.1\r\nhost: x\r\n"])
def test_a_head_that_does_not_arrive_is_given_up(serve: Serve, start: str) -> None:
    process = serve(head_timeout_s=0.3)
    connection = process.send(start)

    started = time.monotonic()
    everything(connection)

    assert time.monotonic() - started < 2


def test_a_connection_stays_open_between_requests_longer_than_a_head_may_take(serve: Serve) -> None:
    process = serve(head_timeout_s=0.2)
    connection = process.get("/healthz")
    until(connection, b"alive")
    time.sleep(0.5)

    connection.sendall(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n")

    until(connection, b"alive")


def test_an_address_that_is_taken_stops_the_start(serve: Serve) -> None:
    taken = serve()
    code = (
        "from memroos_kit.service import *\n"
        "s = Stopping()\n"
        f"run(create_app(Health('a', '1'), stopping=s), host='127.0.0.1', port={taken.port}, stopping=s)"
    )

    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=20, check=False)

    assert found.returncode != 0
    assert "address already in use" in found.stderr
