import asyncio
import ssl
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager

import httpx
import pytest

from memroos_kit import http11
from memroos_kit.http11 import Http11Transport

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"


def run(story: Callable[[], Coroutine[None, None, None]]) -> None:
    asyncio.run(asyncio.wait_for(story(), 20))


class Server:
    """Answers each request with the next of its answers, in pieces; `None` closes the connection."""

    def __init__(self, *answers: bytes | None) -> None:
        self.answers = list(answers)
        self.heads: list[bytes] = []
        self.bodies: list[bytes] = []
        self.connections = 0
        self.port = 0
        self.writer: asyncio.StreamWriter | None = None

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Server"]:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.writer = writer
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                self.heads.append(head)
                length = head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
                self.bodies.append(await reader.readexactly(int(length or b"0")))
                answer = self.answers.pop(0) if self.answers else OK
                for piece in (answer or b"").split(b"|pause|"):
                    writer.write(piece)
                    await writer.drain()
                    await asyncio.sleep(0.01 if b"|pause|" in (answer or b"") else 0)
                if answer is None or b"connection: close" in answer:
                    return
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/"


def client(*, connections: int = 10, idle: int = 10, timeout: float | httpx.Timeout = 5.0) -> httpx.AsyncClient:
    transport = Http11Transport(ssl.create_default_context(), connections=connections, idle=idle)
    return httpx.AsyncClient(transport=transport, timeout=timeout, trust_env=False)


@pytest.mark.parametrize(
    ("answer", "status", "body"),
    [
        (OK, 200, b"ok"),
        (
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nab\r\n1;x=y\r\nc\r\n0\r\nlater: no\r\n\r\n",
            200,
            b"abc",
        ),
        (b"HTTP/1.1 204 No Content\r\n\r\n", 204, b""),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n" + OK, 200, b"ok"),
        (b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nuntil the end", 200, b"until the end"),
        (b"HTTP/1.0 200 OK\r\ncontent-type: x\r\nconnection: close\r\n\r\nold", 200, b"old"),
        (b"HTTP/1.1 404 Not|pause| Found\r\ncontent-le|pause|ngth: 3\r\n|pause|\r\na|pause|bc", 404, b"abc"),
    ],
)
def test_an_answer_is_read_however_its_body_is_marked(answer: bytes, status: int, body: bytes) -> None:
    async def story() -> None:
        async with Server(answer).running() as server, client() as http:
            response = await http.post(server.url, content=b"question")
            assert (response.status_code, response.content) == (status, body)
            assert "link" not in response.headers
            assert "later" not in response.headers
            assert server.bodies == [b"question"]
            assert (await http.get(server.url)).content == b"ok"
            assert server.connections == 1 + (b"connection: close" in answer)

    run(story)


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (None, httpx.RemoteProtocolError),
        (b"SSH-2.0-OpenSSH_9.6\r\n\r\n", httpx.RemoteProtocolError),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\nconnection: close\r\n\r\nok", httpx.RemoteProtocolError),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\nok", httpx.RemoteProtocolError),
        (
            b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
            httpx.RemoteProtocolError,
        ),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n", httpx.RemoteProtocolError),
        (b"HTTP/1.1 101 Switching\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n", httpx.RemoteProtocolError),
        (b"HTTP/1.1 200 OK\r\nx: " + b"y" * 2 * http11.LONGEST_HEAD, httpx.RemoteProtocolError),
        (b"HTTP/1.1 100 Continue\r\n\r\n" * 10_000, httpx.RemoteProtocolError),
        (
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\n|pause|0\r\nx: "
            + b"|pause|".join([b"y" * http11.LONGEST_HEAD] * 8),
            httpx.RemoteProtocolError,
        ),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nok", httpx.ReadTimeout),
        (b"HTTP/1.1 200 OK\r\n", httpx.ReadTimeout),
    ],
)
def test_what_is_no_answer_is_an_error_and_its_connection_is_not_used_again(
    answer: bytes | None, kind: type[Exception]
) -> None:
    async def story() -> None:
        async with Server(answer).running() as server, client(timeout=0.3) as http:
            with pytest.raises(kind):
                await http.get(server.url)
            assert (await http.get(server.url)).content == b"ok"
            assert server.connections == 2

    run(story)


@pytest.mark.parametrize("more", [b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nforged", b"rubbish"])
@pytest.mark.parametrize("pause", [b"", b"|pause|"])
def test_an_answer_that_nobody_asked_for_is_never_taken_for_the_next_one(more: bytes, pause: bytes) -> None:
    async def story() -> None:
        async with Server(OK + pause + more).running() as server, client() as http:
            assert (await http.get(server.url)).content == b"ok"
            await asyncio.sleep(0.05)
            assert (await http.get(server.url)).content == b"ok"
            assert server.connections == 2

    run(story)


def test_a_connection_that_was_closed_while_it_was_idle_is_replaced() -> None:
    async def story() -> None:
        async with Server().running() as server, client() as http:
            await http.get(server.url)
            assert server.writer is not None
            server.writer.close()
            await asyncio.sleep(0.05)
            assert (await http.get(server.url)).content == b"ok"

    run(story)


def test_a_connection_that_was_idle_for_long_is_not_used_again(monkeypatch: pytest.MonkeyPatch) -> None:
    async def story() -> None:
        async with Server().running() as server, client() as http:
            await http.get(server.url)
            monkeypatch.setattr(http11, "IDLE_S", -1.0)
            await http.get(server.url)
            assert server.connections == 2

    run(story)


def test_a_stream_that_is_left_early_takes_its_connection_with_it() -> None:
    async def story() -> None:
        endless = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\n|pause|1\r\nb\r\n"
        async with Server(endless).running() as server, client() as http:
            async with http.stream("GET", server.url) as response:
                assert await anext(response.aiter_raw()) == b"a"
            assert (await http.get(server.url)).content == b"ok"
            assert server.connections == 2

    run(story)


def test_no_more_connections_are_in_use_than_allowed_and_all_get_their_turn() -> None:
    async def story() -> None:
        answers = [b"HTTP/1.1 200 OK\r\n|pause|content-length: 2\r\n\r\nok"] * 20
        async with Server(*answers).running() as server, client(connections=3) as http:
            found = await asyncio.gather(*(http.get(server.url) for _ in range(20)))
            assert [response.content for response in found] == [b"ok"] * 20
            assert server.connections == 3

    run(story)


def test_who_gets_no_connection_in_time_hears_so_and_the_place_is_free_again() -> None:
    async def story() -> None:
        timeout = httpx.Timeout(5.0, pool=0.05)
        silent = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n"
        async with Server(silent).running() as server, client(connections=1, timeout=timeout) as http:
            async with http.stream("GET", server.url):
                with pytest.raises(httpx.PoolTimeout):
                    await http.get(server.url)
            assert (await http.get(server.url)).content == b"ok"

    run(story)


def test_a_canceled_request_leaves_room_for_the_next() -> None:
    async def story() -> None:
        async with Server(b"HTTP/1.1 200 OK\r\n").running() as server, client(connections=1) as http:
            asking = asyncio.create_task(http.get(server.url))
            await asyncio.sleep(0.05)
            asking.cancel()
            with pytest.raises(asyncio.CancelledError):
                await asking
            assert (await http.get(server.url)).content == b"ok"

    run(story)


def test_no_more_idle_connections_are_kept_than_wanted() -> None:
    async def story() -> None:
        async with Server().running() as server, client(idle=1) as http:
            await asyncio.gather(*(http.get(server.url) for _ in range(3)))
            opened = server.connections
            await asyncio.gather(*(http.get(server.url) for _ in range(2)))
            assert server.connections == opened + 1

    run(story)


def test_a_slow_reader_stops_a_fast_server() -> None:
    async def story() -> None:
        size = 32 * 1024 * 1024
        answer = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % size + b"x" * size
        async with Server(answer).running() as server, client() as http:
            async with http.stream("GET", server.url) as response:
                await asyncio.sleep(0.2)
                chunks = [chunk async for chunk in response.aiter_raw()]
            assert sum(map(len, chunks)) == size
            assert max(map(len, chunks)) <= 4 * http11.READ_AHEAD

    run(story)


@pytest.mark.parametrize(
    "headers",
    [
        [(b"x", b"a\r\nhost: other")],
        [(b"x", b"a\nb")],
        [(b"x", b"a\x00")],
        [(b"x y", b"a")],
        [(b"x:", b"a")],
        [(b"", b"a")],
    ],
)
def test_a_header_that_would_be_read_as_something_else_is_not_sent(headers: list[tuple[bytes, bytes]]) -> None:
    async def story() -> None:
        async with Server().running() as server, client() as http:
            with pytest.raises(httpx.LocalProtocolError):
                await http.get(server.url, headers=headers)
            assert server.heads == []

    run(story)


def test_a_body_of_another_length_than_it_says_is_not_sent() -> None:
    async def story() -> None:
        async with Server().running() as server, client() as http:
            with pytest.raises(httpx.LocalProtocolError):
                await http.post(server.url, content=b"abc", headers={"content-length": "2"})
            with pytest.raises(httpx.LocalProtocolError):
                await http.head(server.url)
            assert server.heads == []

    run(story)
