import asyncio
import datetime as dt
import gzip
import ipaddress
import math
import ssl
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st
from tests.disguises import DISGUISES

from memroos_kit.outbound import AddressRefused, Guard, NameUnresolved, ReplyRefused, Resolver

OPEN = Guard(allow=["*"])


def run(story: Callable[[], Coroutine[None, None, None]]) -> None:
    asyncio.run(asyncio.wait_for(story(), 20))


def resolving(**names: Sequence[str]) -> Resolver:
    """Return a resolver that knows these names, dots written as underscores."""

    async def resolver(host: str, port: int) -> Sequence[str]:
        return names[host.replace(".", "_")]

    return resolver


class Server:
    """A loopback server that keeps what it was sent and answers the same to everybody."""

    def __init__(
        self, answer: bytes = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok", *, pause_s: float = 0
    ) -> None:
        self.answer = answer
        self.pause_s = pause_s
        self.requests: list[bytes] = []
        self.connections = 0
        self.names: list[str | None] = []
        self.port = 0

    @asynccontextmanager
    async def running(self, host: str = "127.0.0.1", tls: ssl.SSLContext | None = None) -> AsyncIterator["Server"]:
        server = await asyncio.start_server(self._serve, host, self.port, ssl=tls)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                self.requests.append(head)
                for piece in self.answer.split(b"|pause|"):
                    writer.write(piece)
                    await writer.drain()
                    await asyncio.sleep(self.pause_s)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


@pytest.mark.parametrize("url", DISGUISES)
def test_a_disguised_or_special_address_is_refused_even_where_everything_public_is_allowed(url: str) -> None:
    with pytest.raises(AddressRefused) as refused:
        OPEN.check(url)

    assert refused.value.facts["reason"]


@pytest.mark.parametrize(
    ("url", "host", "port"),
    [
        ("http://evil.example", "evil.example", 80),
        ("https://evil.example/a/b?c=d#e", "evil.example", 443),
        ("HTTPS://Evil.Example:8443/A", "evil.example", 8443),
        ("http://8.8.8.8/", "8.8.8.8", 80),
        ("http://[2606:4700:4700::1111]:8080/", "2606:4700:4700::1111", 8080),
        ("http://xn--bcher-kva.example/", "xn--bcher-kva.example", 80),
        ("http://my_service/", "my_service", 80),
        ("http://a.example/x@y", "a.example", 80),
        ("http://a.example?next=http://127.0.0.1/", "a.example", 80),
        ("http://0x7f.example/", "0x7f.example", 80),
    ],
)
def test_a_plain_public_address_passes(url: str, host: str, port: int) -> None:
    target = OPEN.check(url)

    assert (target.host, target.port) == (host, port)


@pytest.mark.parametrize("url", ["http://a.example/", "http://8.8.8.8/", "http://127.0.0.1/"])
def test_without_an_allow_list_nothing_is_reached(url: str) -> None:
    with pytest.raises(AddressRefused):
        Guard().check(url)


@pytest.mark.parametrize(
    ("entry", "passes", "refused"),
    [
        ("agent.example", ["http://agent.example/", "https://AGENT.example:1/"], ["http://x.agent.example/"]),
        ("agent.example:443", ["https://agent.example/"], ["http://agent.example/", "http://agent.example:444/"]),
        ("*.ts.net", ["http://a.ts.net/", "http://a.b.ts.net/"], ["http://ts.net/", "http://ats.net/"]),
        ("*.ts.net:8080", ["http://a.ts.net:8080/"], ["http://a.ts.net/"]),
        ("127.0.0.1", ["http://127.0.0.1:9/"], ["http://127.0.0.2/", "http://localhost/"]),
        ("127.0.0.1:9000", ["http://127.0.0.1:9000/"], ["http://127.0.0.1:7700/"]),
        ("10.0.0.0/8", ["http://10.1.2.3/"], ["http://11.0.0.1/", "http://[::ffff:10.1.2.3]/"]),
        (
            "100.64.0.0/10",  # a tailnet
            ["http://100.64.0.1/", "http://100.127.255.255/"],
            ["http://100.128.0.1/", "http://[::ffff:100.64.0.1]/", "http://100.100.100.200/", "http://100.63.0.1/"],
        ),
        ("::1", ["http://[::1]/"], ["http://127.0.0.1/"]),
        ("[::1]:80", ["http://[::1]/"], ["http://[::1]:81/"]),
        ("fd7a:115c:a1e0::/48", ["http://[fd7a:115c:a1e0::5]/"], ["http://[fd7a:115c:a1e1::5]/"]),
        ("8.8.8.0/24", ["http://8.8.8.8/"], ["http://8.8.4.4/"]),
    ],
)
def test_an_entry_opens_what_it_says_and_no_more(entry: str, passes: list[str], refused: list[str]) -> None:
    guard = Guard(allow=[entry])

    for url in passes:
        guard.check(url)
    for url in refused:
        with pytest.raises(AddressRefused):
            guard.check(url)


@pytest.mark.parametrize(
    ("wide", "url"),
    [
        ("169.254.0.0/16", "http://169.254.169.254/"),
        ("100.64.0.0/10", "http://100.100.100.200/"),
        ("0.0.0.0/0", "http://192.0.0.192/"),
        ("fd00::/8", "http://[fd00:ec2::254]/"),
        ("::/0", "http://[64:ff9b::a9fe:a9fe]/"),
        ("::/0", "http://[2002:a9fe:a9fe::]/"),
        ("::/0", "http://[::ffff:169.254.169.254]/"),
        ("*", "http://168.63.129.16/"),
    ],
)
def test_a_clouds_credentials_are_not_opened_by_a_wide_entry(wide: str, url: str) -> None:
    with pytest.raises(AddressRefused, match="credentials"):
        Guard(allow=[wide]).check(url)


def test_a_clouds_credentials_can_be_opened_on_purpose() -> None:
    Guard(allow=["169.254.169.254"]).check("http://169.254.169.254/")


@pytest.mark.parametrize(
    "entry", ["", "http://a.example", "a b", "10.0.0.1/8", "*.", "**", "*.*", "a.example:x", "127.1"]
)
def test_an_entry_that_says_nothing_clear_stops_the_start(entry: str) -> None:
    with pytest.raises(ValueError, match="allow-list"):
        Guard(allow=[entry])


@given(st.ip_addresses(v=4) | st.ip_addresses(v=6))
def test_no_address_that_python_calls_private_is_public_here(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address,
) -> None:
    host = f"[{address}]" if address.version == 6 else str(address)
    try:
        OPEN.check(f"http://{host}/")
    except AddressRefused:
        return
    assert address.is_global
    assert not address.is_multicast
    assert not address.is_private
    assert not address.is_loopback


@given(st.text(max_size=60) | st.text(alphabet="0123456789abcdefx.:[]@%/\\#?", max_size=40))
def test_whatever_passes_is_read_the_same_by_the_http_client(rest: str) -> None:
    url = f"http://{rest}"
    try:
        target = OPEN.check(url)
    except AddressRefused:
        return
    seen = httpx.URL(url)
    assert (seen.raw_host.decode(), seen.port or 80) == (target.host, target.port)


@given(st.integers(0, 2**32 - 1))
def test_no_number_names_a_loopback_address(number: int) -> None:
    for host in (str(number), hex(number), f"0{number:o}"):
        with pytest.raises(AddressRefused):
            OPEN.check(f"http://{host}/")


@pytest.mark.parametrize(
    "answers",
    [
        ["127.0.0.1"],
        ["::1"],
        ["8.8.8.8", "10.0.0.1"],
        ["10.0.0.1", "8.8.8.8"],
        ["::ffff:8.8.8.8"],
        ["64:ff9b::808:808"],
        ["fe80::1%eth0"],
        ["169.254.169.254"],
    ],
)
def test_a_listed_name_that_leads_inside_is_refused_without_telling_where(answers: list[str]) -> None:
    async def story() -> None:
        guard = Guard(allow=["evil.example"], resolver=resolving(evil_example=answers))
        with pytest.raises(AddressRefused) as refused:
            await guard.pin(guard.check("http://evil.example/"))
        assert not any(answer in str(refused.value) for answer in answers)

    run(story)


@pytest.mark.parametrize("answers", [[], ["not an address"]])
def test_a_name_that_leads_nowhere_may_be_tried_again_later(answers: list[str]) -> None:
    async def story() -> None:
        guard = Guard(allow=["gone.example"], resolver=resolving(gone_example=answers))
        with pytest.raises(NameUnresolved):
            await guard.pin(guard.check("http://gone.example/"))

    run(story)


def test_a_failing_look_up_may_be_tried_again_later() -> None:
    async def broken(host: str, port: int) -> Sequence[str]:
        raise OSError("no name server")

    async def story() -> None:
        guard = Guard(allow=["gone.example"], resolver=broken)
        async with guard.client() as http:
            with pytest.raises(NameUnresolved):
                await http.get("http://gone.example/")

    run(story)


def test_the_systems_resolver_knows_loopback() -> None:
    async def story() -> None:
        guard = Guard(allow=["localhost", "127.0.0.0/8", "::1"])
        assert all(address.is_loopback for address in await guard.pin(guard.check("http://localhost/")))

    run(story)


def test_a_request_reaches_the_pinned_machine_under_its_own_name() -> None:
    async def story() -> None:
        async with Server().running() as server:
            guard = Guard(allow=["agent.test", "127.0.0.1"], resolver=resolving(agent_test=["127.0.0.1"]))
            async with guard.client() as http:
                answer = await http.post(
                    f"http://agent.test:{server.port}/x?y=1", headers={"host": "forged"}, content=b""
                )
        assert (answer.status_code, answer.text) == (200, "ok")
        assert str(answer.url) == f"http://agent.test:{server.port}/x?y=1"
        assert server.requests[0].startswith(b"POST /x?y=1 HTTP/1.1\r\n")
        assert f"host: agent.test:{server.port}\r\n".encode() in server.requests[0].lower()
        assert b"forged" not in server.requests[0]
        assert b"accept-encoding: identity" in server.requests[0].lower()

    run(story)


def test_a_connection_is_used_again() -> None:
    async def story() -> None:
        async with Server().running() as server:
            async with Guard(allow=["127.0.0.1"]).client() as http:
                for _ in range(5):
                    await http.get(f"http://127.0.0.1:{server.port}/")
            assert (len(server.requests), server.connections) == (5, 1)

    run(story)


def test_a_name_that_changes_its_mind_never_reaches_the_forbidden_machine() -> None:
    async def story() -> None:
        canary = Server()
        asked = 0

        async def rebinding(host: str, port: int) -> Sequence[str]:
            nonlocal asked
            asked += 1
            return ["127.0.0.2"] if asked % 2 else ["127.0.0.1"]

        async with Server().running("127.0.0.2") as allowed:
            canary.port = allowed.port
            async with (
                canary.running("127.0.0.1"),
                Guard(allow=["evil.test", "127.0.0.2"], resolver=rebinding).client() as http,
            ):
                refusals = 0
                for _ in range(200):
                    try:
                        await http.get(f"http://evil.test:{allowed.port}/")
                    except AddressRefused:
                        refusals += 1
        assert (len(allowed.requests), refusals, asked) == (100, 100, 200)
        assert canary.connections == 0

    run(story)


def test_the_next_judged_address_is_tried_when_one_does_not_answer() -> None:
    async def story() -> None:
        async with Server().running("127.0.0.2") as server:
            guard = Guard(
                allow=["agent.test", "127.0.0.0/8"], resolver=resolving(agent_test=["127.0.0.3", "127.0.0.2"])
            )
            async with guard.client() as http:
                assert (await http.get(f"http://agent.test:{server.port}/")).status_code == 200

    run(story)


def test_a_machine_that_does_not_answer_is_a_connect_error() -> None:
    async def story() -> None:
        async with Server().running() as server:
            pass
        async with Guard(allow=["127.0.0.1"]).client() as http:
            with pytest.raises(httpx.ConnectError):
                await http.get(f"http://127.0.0.1:{server.port}/")

    run(story)


def test_a_redirect_is_not_a_way_around() -> None:
    async def story() -> None:
        canary = Server()
        async with canary.running("127.0.0.1"):
            redirect = (
                f"HTTP/1.1 307 X\r\nlocation: http://127.0.0.1:{canary.port}/\r\ncontent-length: 0\r\n\r\n".encode()
            )
            async with Server(redirect).running("127.0.0.2") as server, Guard(allow=["127.0.0.2"]).client() as http:
                url = f"http://127.0.0.2:{server.port}/"
                assert (await http.get(url)).status_code == 307
                with pytest.raises(AddressRefused):
                    await http.get(url, follow_redirects=True)
        assert canary.connections == 0

    run(story)


def test_a_proxy_of_the_environment_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    async def story() -> None:
        async with Server().running("127.0.0.1") as proxy, Server().running("127.0.0.2") as server:
            for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "HTTPS_PROXY"):
                monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
            async with Guard(allow=["127.0.0.2"]).client() as http:
                await http.get(f"http://127.0.0.2:{server.port}/")
        assert (proxy.connections, server.connections) == (0, 1)

    run(story)


def test_cookies_are_not_kept() -> None:
    async def story() -> None:
        answer = b"HTTP/1.1 200 OK\r\nset-cookie: a=b; path=/\r\ncontent-length: 0\r\n\r\n"
        async with Server(answer).running() as server, Guard(allow=["127.0.0.1"]).client() as http:
            await http.get(f"http://127.0.0.1:{server.port}/")
            await http.get(f"http://127.0.0.1:{server.port}/")
        assert b"cookie" not in server.requests[1].lower()

    run(story)


CHUNK = b"8000\r\n" + b"x" * 0x8000 + b"\r\n"


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (b"HTTP/1.1 200 OK\r\ncontent-length: 100001\r\n\r\n", "too-large"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: " + b"9" * 18 + b"\r\n\r\n", "too-large"),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n" + CHUNK * 4, "too-large"),
        (b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 200_000, "too-large"),
        (
            b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 33\r\n\r\n" + gzip.compress(b"", mtime=0),
            "encoded",
        ),
        (b"HTTP/1.1 200 OK\r\ncontent-encoding: br, identity\r\ncontent-length: 0\r\n\r\n", "encoded"),
    ],
)
def test_an_answer_beyond_the_size_limit_is_cut_off(answer: bytes, reason: str) -> None:
    async def story() -> None:
        async with Server(answer).running() as server, Guard(allow=["127.0.0.1"], max_bytes=100_000).client() as http:
            with pytest.raises(ReplyRefused) as refused:
                await http.get(f"http://127.0.0.1:{server.port}/")
        assert refused.value.facts["reason"] == reason

    run(story)


@pytest.mark.parametrize(
    "answer",
    [
        b"|pause|HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n" + b"|pause|".join([b"x"] * 9),
        b"HTTP/1.1 200 OK\r\nx: " + b"|pause|".join([b"y"] * 9) + b"\r\n\r\n",
    ],
)
def test_an_answer_that_drips_is_cut_off_at_the_total_time(answer: bytes) -> None:
    async def story() -> None:
        server = Server(answer, pause_s=0.2)
        async with server.running(), Guard(allow=["127.0.0.1"], timeout_s=0.15).client() as http:
            started = asyncio.get_running_loop().time()
            with pytest.raises((ReplyRefused, httpx.ReadTimeout)):
                await http.get(f"http://127.0.0.1:{server.port}/")
            assert asyncio.get_running_loop().time() - started < 1

    run(story)


def test_a_stream_without_end_can_be_followed_where_that_is_wanted() -> None:
    async def story() -> None:
        answer = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n" + b"|pause|".join([b"x" * 50_000] * 6)
        server = Server(answer, pause_s=0.1)
        guard = Guard(allow=["127.0.0.1"], max_bytes=1_000, timeout_s=0.3)
        async with server.running(), guard.client(max_bytes=math.inf, timeout_s=math.inf) as http:
            total = 0
            async with http.stream("GET", f"http://127.0.0.1:{server.port}/") as response:
                async for chunk in response.aiter_bytes():
                    total += len(chunk)
                    if total == 300_000:
                        break
        assert total == 300_000

    run(story)


def certificate(folder: Path, *names: str) -> Path:
    """Write a self-signed certificate and its key into one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, names[0])])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name) for name in names]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = folder / "certificate.pem"
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(secret + made.public_bytes(serialization.Encoding.PEM))
    return path


def test_over_tls_name_and_certificate_are_those_of_the_host(tmp_path: Path) -> None:
    async def story() -> None:
        pem = certificate(tmp_path, "agent.test")
        serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        serving.load_cert_chain(pem)
        asked_for: list[str | None] = []
        serving.sni_callback = lambda _, name, __: asked_for.append(name)
        trusting = ssl.create_default_context(cafile=str(pem))
        guard = Guard(
            allow=["*.test", "127.0.0.1"],
            resolver=resolving(agent_test=["127.0.0.1"], other_test=["127.0.0.1"]),
            tls=trusting,
        )
        async with Server().running(tls=serving) as server, guard.client() as http:
            assert (await http.get(f"https://agent.test:{server.port}/")).text == "ok"
            assert (await http.get(f"https://agent.test:{server.port}/")).text == "ok"
            assert server.connections == 1
            with pytest.raises(httpx.ConnectError, match="certificate"):
                await http.get(f"https://other.test:{server.port}/")
        assert asked_for == ["agent.test", "other.test"]
        assert len(server.requests) == 2

    run(story)
