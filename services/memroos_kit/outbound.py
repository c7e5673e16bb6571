"""The guard for every address that a caller can influence: agent cards, webhooks, media.

Two questions are asked. *Where does this lead?* `check` answers without touching the network, so a verb may call it.
*Which machine is that?* is answered once per request, and the connection goes to exactly the address that was judged:
nobody resolves a second time. Redirects are not followed, proxies of the environment are not used, answers are bounded
in size and time.
"""

import asyncio
import functools
import http.cookiejar
import ipaddress
import math
import re
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from typing import NamedTuple

import httpx

from memroos_contracts.errors import ErrorKind, MemroosError
from memroos_kit import log

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Resolver = Callable[[str, int], Awaitable[Sequence[str]]]

LONGEST_URL = 2_048
MOST_ADDRESSES = 4
MOST_TLS_HOSTS = 64
PORTS = {"http": 80, "https": 443}

_log = log.get(__name__)


class AddressRefused(MemroosError):
    """This server does not connect to that address.

    The operator lists where it may connect in `MEMROOS_OUTBOUND_ALLOW`.

    Facts:
        host: the host that was asked for, if the address could be read.
        reason: why it is refused.
    """

    kind = ErrorKind.INVALID


class NameUnresolved(MemroosError):
    """The host name leads nowhere at the moment.

    Facts:
        host: the name that was looked up.
    """

    kind = ErrorKind.UNAVAILABLE


class ReplyRefused(MemroosError):
    """The other side's answer could not be taken.

    Facts:
        host: the host that answered.
        reason: `too-large`, `too-slow` or `encoded`.
    """

    kind = ErrorKind.UNAVAILABLE


class Target(NamedTuple):
    """Where an address leads, as far as it can be told without a look-up."""

    url: str
    scheme: str
    host: str
    port: int
    address: Address | None


class _Entry(NamedTuple):
    """One line of the allow-list; exactly one of the first four says what it covers."""

    everything: bool = False
    name: str = ""
    suffix: str = ""
    network: Network | None = None
    port: int | None = None


# IANA special-purpose registries for IPv4 and IPv6 (RFC 6890 and successors), plus multicast and the deprecated forms.
# Written out because `is_global` differs between Python versions and calls NAT64, 6to4 and 192.0.0.192 global.
_SPECIAL_V4 = tuple(
    map(
        ipaddress.IPv4Network,
        (
            "0.0.0.0/8",
            "10.0.0.0/8",
            "100.64.0.0/10",
            "127.0.0.0/8",
            "169.254.0.0/16",
            "172.16.0.0/12",
            "192.0.0.0/24",
            "192.0.2.0/24",
            "192.52.193.0/24",
            "192.88.99.0/24",
            "192.168.0.0/16",
            "198.18.0.0/15",
            "198.51.100.0/24",
            "203.0.113.0/24",
            "224.0.0.0/4",
            "240.0.0.0/4",
        ),
    )
)
_GLOBAL_V6 = ipaddress.IPv6Network("2000::/3")  # all that is assigned as global unicast; mapped, NAT64, ... lie outside
_SPECIAL_V6 = tuple(
    map(
        ipaddress.IPv6Network,
        ("2001::/23", "2001:db8::/32", "2002::/16", "3ffe::/16", "3fff::/20"),  # 2001::/23 holds Teredo and ORCHID
    )
)
# Where clouds hand out credentials. A wider entry (a tailnet's 100.64.0.0/10, say) does not cover these.
_METADATA = frozenset(
    map(
        ipaddress.ip_address,
        ("169.254.169.254", "169.254.170.2", "100.100.100.200", "192.0.0.192", "168.63.129.16", "fd00:ec2::254"),
    )
)

_LABEL = r"[a-z0-9_](?:[a-z0-9_\-]{0,61}[a-z0-9_])?"
_NAME = re.compile(rf"(?=.{{1,253}}\Z){_LABEL}(?:\.{_LABEL})*", re.ASCII)
_NUMERIC = re.compile(r"(?:0x[0-9a-f]*|[0-9]+)", re.ASCII)
_URL = re.compile(r"([a-z][a-z0-9+.\-]*)://([^/?#]*)([/?#].*)?", re.IGNORECASE | re.ASCII)
_AUTHORITY = re.compile(r"(\[[0-9a-f:.]+\]|[^:\[\]]+)(?::([0-9]{1,5}))?", re.IGNORECASE | re.ASCII)
_PLAIN = re.compile(r"[\x21-\x7e]+", re.ASCII)


async def resolve(host: str, port: int) -> Sequence[str]:
    """Ask the system for the addresses of a name."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(sockaddr[0]) for *_, sockaddr in found))


class Guard:
    """Decides where this process may connect to at somebody else's wish, and connects there.

    A host passes if its name or address is listed (`*` lists every public one), and if no address behind it is
    private or special, unless that address is listed as well.

    Args:
        allow: names, `*.suffixes`, addresses, networks, each name or address optionally with `:port`; `*`.
        schemes: what may stand before `://`.
        resolver: how names become addresses.
        max_bytes: largest answer taken.
        timeout_s: longest time from connect to the last byte.
        tls: certificates to trust; the usual public ones when left out.

    Raises:
        ValueError: an entry of the allow-list is none of these forms.
    """

    def __init__(
        self,
        *,
        allow: Iterable[str] = (),
        schemes: Iterable[str] = ("http", "https"),
        resolver: Resolver = resolve,
        max_bytes: int = 1_048_576,
        timeout_s: float = 20.0,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._entries = tuple(_parse_entry(text) for text in allow)
        self._schemes = frozenset(schemes)
        self._resolver = resolver
        self._max_bytes = max_bytes
        self._timeout_s = timeout_s
        self._given_tls = tls

    def check(self, url: str) -> Target:
        """Say where an address leads, or refuse it; looks nothing up, so a listed name may still be refused later.

        Raises:
            AddressRefused: the address is malformed, disguised or not allowed.
        """
        target = _parse(url)
        if target.scheme not in self._schemes:
            raise _refused(target.host, f"only {' and '.join(sorted(self._schemes))} are allowed")
        if target.address is not None:
            self._judge(target, target.address)
        elif not any(_covers_name(entry, target) for entry in self._entries):
            raise _refused(target.host, "the host is not in the allow-list")
        return target

    async def pin(self, target: Target) -> tuple[Address, ...]:
        """Look up a checked target, once, and judge what is behind it.

        Raises:
            AddressRefused: an address behind the name is private or special and not listed.
            NameUnresolved: the name has no address now.
        """
        if target.address is not None:
            return (target.address,)
        try:
            found = await self._resolver(target.host, target.port)
            addresses = tuple(ipaddress.ip_address(one) for one in found)
        except (OSError, UnicodeError, ValueError) as error:
            raise NameUnresolved(f"The name {target.host} cannot be looked up.", host=target.host) from error
        if not addresses:
            raise NameUnresolved(f"The name {target.host} has no address.", host=target.host)
        for address in addresses:
            self._judge(target, address)
        return addresses[:MOST_ADDRESSES]

    def client(
        self, *, max_bytes: float | None = None, timeout_s: float | None = None, connections: int = 100
    ) -> httpx.AsyncClient:
        """Return a client whose every request passes this guard; use it in `async with`.

        Its requests raise `AddressRefused`, `NameUnresolved` and `ReplyRefused` beside httpx's own errors.

        Args:
            max_bytes: largest answer; the guard's when left out, `math.inf` for an endless stream.
            timeout_s: time for a whole request; the guard's when left out, `math.inf` for an endless stream. Connecting
                and silence stay bounded by the guard's time either way.
            connections: how many may be open at a time; a request beyond them waits for one.
        """
        limits = _Limits(
            max_bytes=self._max_bytes if max_bytes is None else max_bytes,
            timeout_s=self._timeout_s if timeout_s is None else timeout_s,
        )
        no_cookies = http.cookiejar.CookieJar(http.cookiejar.DefaultCookiePolicy(allowed_domains=()))
        return httpx.AsyncClient(
            transport=_PinningTransport(self, self._tls, limits, connections),
            timeout=httpx.Timeout(self._timeout_s, connect=min(5.0, self._timeout_s)),
            trust_env=False,
            follow_redirects=False,
            cookies=no_cookies,
        )

    @functools.cached_property
    def _tls(self) -> ssl.SSLContext:
        return self._given_tls or httpx.create_ssl_context(trust_env=False)

    def _judge(self, target: Target, address: Address) -> None:
        """Refuse an address that is not listed where it would have to be."""
        literal = target.address is not None
        listing = [e for e in self._entries if e.network and address in e.network and e.port in (None, target.port)]
        exact = any(entry.network and entry.network.num_addresses == 1 for entry in listing)
        if ({address, *_embedded(address)} & _METADATA) and not exact:
            reason = "it hands out a cloud's credentials"
        elif listing or (not _is_special(address) and not literal):
            return
        elif _is_special(address):
            reason = "it is a private or special address" if literal else "it leads to a private or special address"
        elif any(entry.everything for entry in self._entries):
            return
        else:
            reason = "the address is not in the allow-list"
        _log.info("outbound.refused", host=target.host, address=str(address), reason=reason)
        raise _refused(target.host, reason)


class _Limits(NamedTuple):
    max_bytes: float
    timeout_s: float


class _PinningTransport(httpx.AsyncBaseTransport):
    """Connects to the address that was judged, while Host, SNI and the certificate stay those of the name.

    Connections are kept per address. Over TLS they are also kept apart per name, because a connection whose
    certificate was checked for one name must not serve another one at the same address.
    """

    def __init__(self, guard: Guard, tls: ssl.SSLContext, limits: _Limits, connections: int) -> None:
        self._guard = guard
        self._tls = tls
        self._limits = limits
        self._pool = httpx.Limits(max_connections=connections, max_keepalive_connections=20)
        self._plain = httpx.AsyncHTTPTransport(verify=tls, trust_env=False, limits=self._pool)
        self._once = httpx.AsyncHTTPTransport(
            verify=tls, trust_env=False, limits=httpx.Limits(max_keepalive_connections=0)
        )
        self._by_host: dict[str, httpx.AsyncHTTPTransport] = {}

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        target = self._guard.check(str(request.url))
        deadline = _deadline(self._limits.timeout_s)
        try:
            async with asyncio.timeout_at(deadline):
                response = await self._send(request, target)
        except TimeoutError as error:
            raise _reply_refused(target, "too-slow") from error
        try:
            self._inspect(target, response)
        except ReplyRefused:
            await response.aclose()
            raise
        assert isinstance(response.stream, httpx.AsyncByteStream)
        return httpx.Response(
            response.status_code,
            headers=response.headers,
            stream=_BoundedStream(response.stream, target, self._limits.max_bytes, deadline),
            extensions=response.extensions,
        )

    async def aclose(self) -> None:
        for transport in (self._plain, self._once, *self._by_host.values()):
            await transport.aclose()

    async def _send(self, request: httpx.Request, target: Target) -> httpx.Response:
        addresses = await self._guard.pin(target)
        transport = self._transport(target)
        for address in addresses[:-1]:
            try:
                return await transport.handle_async_request(_readdressed(request, target, address))
            except (httpx.ConnectError, httpx.ConnectTimeout):  # nothing was sent yet; the next one was judged too
                continue
        return await transport.handle_async_request(_readdressed(request, target, addresses[-1]))

    def _transport(self, target: Target) -> httpx.AsyncHTTPTransport:
        if target.scheme == "http":
            return self._plain
        if target.host not in self._by_host and len(self._by_host) < MOST_TLS_HOSTS:
            self._by_host[target.host] = httpx.AsyncHTTPTransport(verify=self._tls, trust_env=False, limits=self._pool)
        return self._by_host.get(target.host, self._once)

    def _inspect(self, target: Target, response: httpx.Response) -> None:
        """Refuse an answer whose headers already say that it cannot be taken."""
        if response.headers.get("content-encoding", "identity").strip().lower() != "identity":
            raise _reply_refused(target, "encoded")  # not asked for; a small body could unpack to any size
        length = response.headers.get("content-length", "")
        if length.isdecimal() and int(length) > self._limits.max_bytes:
            raise _reply_refused(target, "too-large")


class _BoundedStream(httpx.AsyncByteStream):
    """An answer's body up to its limits in size and time."""

    def __init__(self, inner: httpx.AsyncByteStream, target: Target, max_bytes: float, deadline: float | None) -> None:
        self._inner = inner
        self._target = target
        self._left = max_bytes
        self._deadline = deadline

    async def __aiter__(self) -> AsyncIterator[bytes]:
        chunks = aiter(self._inner)
        while True:
            try:
                async with asyncio.timeout_at(self._deadline):
                    chunk = await anext(chunks)
            except StopAsyncIteration:
                return
            except TimeoutError as error:
                raise _reply_refused(self._target, "too-slow") from error
            self._left -= len(chunk)
            if self._left < 0:
                raise _reply_refused(self._target, "too-large")
            yield chunk

    async def aclose(self) -> None:
        await self._inner.aclose()


def _parse(url: str) -> Target:
    """Read an address in the one plain form; whatever two programs could read differently is refused."""
    if len(url) > LONGEST_URL or not _PLAIN.fullmatch(url) or "\\" in url:
        raise _refused("", "it must be plain ASCII without spaces or backslashes; write other names in their xn-- form")
    parts = _URL.fullmatch(url)
    if parts is None:
        raise _refused("", "it must be of the form https://host/path")
    scheme, authority = parts[1].lower(), parts[2]
    if "@" in authority or "%" in authority:
        raise _refused("", "names, passwords and escapes do not belong before the host")
    found = _AUTHORITY.fullmatch(authority)
    if found is None:
        raise _refused("", "the host cannot be read")
    host, address = _parse_host(found[1].lower())
    port = int(found[2]) if found[2] else PORTS.get(scheme, 0)
    if scheme in PORTS and not 0 < port < 65_536:
        raise _refused(host, "the port is out of range")
    if scheme in PORTS:
        _assert_read_alike(url, host, port)
    return Target(url=url, scheme=scheme, host=host, port=port, address=address)


def _parse_host(host: str) -> tuple[str, Address | None]:
    try:
        if host.startswith("["):
            return host[1:-1], ipaddress.IPv6Address(host[1:-1])
        if _NUMERIC.fullmatch(host.rpartition(".")[2]):  # the rule by which browsers tell an IPv4 address (WHATWG URL)
            return host, ipaddress.IPv4Address(host)
    except ValueError:
        raise _refused(host, "it is not an address in its usual form") from None
    if not _NAME.fullmatch(host):
        raise _refused(host, "it is not a host name")
    return host, None


def _assert_read_alike(url: str, host: str, port: int) -> None:
    """Refuse what the HTTP client would read as another place than this guard."""
    try:
        seen = httpx.URL(url)
    except httpx.InvalidURL as error:
        raise _refused(host, "the host cannot be read") from error
    if seen.raw_host.decode("ascii") != host or (seen.port or PORTS[seen.scheme]) != port or seen.userinfo:
        raise _refused(host, "the host can be read in two ways")


def _parse_entry(text: str) -> _Entry:
    entry = text.strip().lower()
    if entry == "*":
        return _Entry(everything=True)
    try:
        return _Entry(network=ipaddress.ip_network(entry))
    except ValueError:
        pass
    found = _AUTHORITY.fullmatch(entry)
    suffixed = found is not None and found[1].startswith("*.")
    host = found[1].removeprefix("*.") if found else ""
    port = int(found[2]) if found and found[2] else None
    try:
        name, address = _parse_host(host)
    except AddressRefused as error:
        raise ValueError(f"{text!r} in the allow-list is no name, *.suffix, address, network or *") from error
    if address is not None:
        return _Entry(network=ipaddress.ip_network(address), port=port)
    return _Entry(suffix=f".{name}", port=port) if suffixed else _Entry(name=name, port=port)


def _covers_name(entry: _Entry, target: Target) -> bool:
    if entry.port not in (None, target.port):
        return False
    named = bool(entry.name) and target.host == entry.name
    return entry.everything or named or (bool(entry.suffix) and target.host.endswith(entry.suffix))


def _is_special(address: Address) -> bool:
    if isinstance(address, ipaddress.IPv4Address):
        return any(address in network for network in _SPECIAL_V4) or not address.is_global
    outside = address not in _GLOBAL_V6 or address.scope_id is not None
    return outside or any(address in network for network in _SPECIAL_V6) or not address.is_global


def _embedded(address: Address) -> set[Address]:
    """Return the IPv4 addresses that an IPv6 address may stand for: mapped, compatible, NAT64, 6to4, Teredo, ISATAP."""
    if isinstance(address, ipaddress.IPv4Address):
        return set()
    number = int(address)
    low = number & 0xFFFF_FFFF
    candidates = {low, number >> 80 & 0xFFFF_FFFF, low ^ 0xFFFF_FFFF, number >> 64 & 0xFFFF_FFFF}
    return {ipaddress.IPv4Address(candidate) for candidate in candidates}


def _readdressed(request: httpx.Request, target: Target, address: Address) -> httpx.Request:
    """Return the same request, addressed to one machine."""
    headers = request.headers.copy()
    headers["host"] = request.url.netloc.decode("ascii")
    headers["accept-encoding"] = "identity"
    return httpx.Request(
        request.method,
        request.url.copy_with(host=str(address)),
        headers=headers,
        stream=request.stream,
        extensions={**request.extensions, "sni_hostname": target.host},
    )


def _deadline(timeout_s: float) -> float | None:
    return None if math.isinf(timeout_s) else asyncio.get_running_loop().time() + timeout_s


def _refused(host: str, reason: str) -> AddressRefused:
    shown = host or "This address"
    return AddressRefused(f"{shown} is refused: {reason}.", host=host, reason=reason)


def _reply_refused(target: Target, reason: str) -> ReplyRefused:
    return ReplyRefused(f"The answer of {target.host} was not taken: {reason}.", host=target.host, reason=reason)
