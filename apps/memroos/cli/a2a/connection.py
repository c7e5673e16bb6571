"""The way from the command line to an A2A server: its card, one of its interfaces, and how failures are said."""

from memroos_kit import environment  # isort: skip  # before the SDK is imported

import ipaddress
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import grpc
import httpx
import msgspec
from a2a.client import Client, ClientConfig, ClientFactory
from a2a.client.card_resolver import parse_agent_card
from a2a.client.client import ClientCallContext
from a2a.client.errors import A2AClientError, A2AClientTimeoutError
from a2a.types import a2a_pb2
from a2a.utils.errors import A2AError, VersionNotSupportedError

from memroos.cli.failures import Failure, NotReachable, WrongUsage
from memroos.cli.options import find_key, find_url
from memroos.cli.output import printable

assert environment.PRESETS

WELL_KNOWN = "/.well-known/agent-card.json"
BINDINGS = {"jsonrpc": "JSONRPC", "http": "HTTP+JSON", "grpc": "GRPC"}
CONNECT_S = 10.0
LARGEST_CARD = 4 * 1024 * 1024
_KEY_HINT = "Name a key with --key-file, or a header with --header 'Name: value'."


class Where(msgspec.Struct, frozen=True):
    """Which server, which of its interfaces, and what it is shown."""

    url: str = ""
    """Of the server or its card; empty for the kernel."""
    agent: str = ""
    """Which agent behind a kernel."""
    binding: str = ""
    version: str = ""
    key_file: Path | None = None
    headers: dict[str, str] = {}

    @property
    def options(self) -> str:
        """The options that lead there again, for a command that is suggested."""
        said = (("--url", self.url), ("--agent", self.agent), ("--binding", self.binding), ("--version", self.version))
        key = [("--key-file", str(self.key_file))] if self.key_file else []
        return "".join(f" {name} {value}" for name, value in (*said, *key) if value)


class Card(msgspec.Struct, frozen=True):
    """An agent's card as it was served, and as it is read."""

    url: str
    body: bytes
    read: a2a_pb2.AgentCard


class Agent(msgspec.Struct, frozen=True):
    """An open connection to an agent."""

    client: Client
    context: ClientCallContext
    card: Card


@contextmanager
def failures(where: Where) -> Iterator[None]:
    """Say what goes wrong on the way as a failure."""
    try:
        yield
    except A2AClientError as error:
        raise _client_failure(error, where) from error
    except A2AError as error:
        name = type(error).__name__.removesuffix("Error")
        raise Failure(f"The agent refuses, {name}: {printable(str(error))}", _hint(error)) from error
    except httpx.RequestError as error:
        raise NotReachable(f"Nobody answers at {error.request.url.copy_with(query=None)}.", _REACH) from error
    except httpx.HTTPStatusError as error:
        raise _status_failure(error.response) from error
    except (httpx.InvalidURL, httpx.UnsupportedProtocol) as error:
        raise WrongUsage(f"{error}.", "An address looks like http://127.0.0.1:7700.") from error


_REACH = "Is it running, and is this its address? `memroos a2a card --url ...` shows what an address offers."


def is_passing(error: Exception) -> bool:
    """Whether a connection broke, in contrast to a refusal."""
    cause = error.__cause__
    if isinstance(cause, grpc.aio.AioRpcError):
        return cause.code() is grpc.StatusCode.UNAVAILABLE
    return isinstance(error, httpx.TransportError) or isinstance(cause, httpx.TransportError)


def _client_failure(error: A2AClientError, where: Where) -> Failure:
    cause = error.__cause__
    if isinstance(cause, httpx.HTTPStatusError):
        return _status_failure(cause.response)
    if isinstance(cause, grpc.aio.AioRpcError):
        return _grpc_failure(cause)
    if isinstance(cause, httpx.RequestError) or isinstance(error, A2AClientTimeoutError):
        return NotReachable(f"Nobody answers at {where.url or 'the kernel'} any more.", _REACH)
    return Failure(f"The agent's answer is not understood: {printable(str(error))[:500]}")


def _status_failure(response: httpx.Response) -> Failure:
    place = response.request.url.copy_with(query=None)
    match response.status_code:
        case 401:
            return Failure(f"{place} does not let us in (401).", _KEY_HINT)
        case 403:
            return Failure(f"{place} does not allow this (403).", _KEY_HINT)
        case 404:
            return Failure(f"There is nothing at {place} (404).", "--url names an agent's base address or its card.")
        case status:
            return Failure(f"{place} answers with status {status}.")


def _grpc_failure(error: grpc.aio.AioRpcError) -> Failure:
    said = printable(error.details() or "")[:500]
    match error.code():
        case grpc.StatusCode.UNAVAILABLE:
            return NotReachable(f"Nobody answers over gRPC: {said}.", _REACH)
        case grpc.StatusCode.UNAUTHENTICATED:
            return Failure(f"The agent does not let us in: {said}", _KEY_HINT)
        case code:
            return Failure(f"The agent refuses, {code.name}: {said}")


def _hint(error: A2AError) -> str:
    return "`--version 0.3` speaks to older agents." if isinstance(error, VersionNotSupportedError) else ""


# -- the card --------------------------------------------------------------------------------------------------------


async def fetch_card(http: httpx.AsyncClient, where: Where) -> Card:
    """Fetch an agent's card: at the address itself if that is a card's, else at the well-known place below it.

    Raises:
        Failure: there is none.
    """
    base = (where.url or find_url()).rstrip("/")
    if where.agent:
        base += f"/a2a/agents/{where.agent}"
    url = base if urlsplit(base).path.endswith(".json") else base + WELL_KNOWN
    answer = await http.get(url, headers={"Accept": "application/json"})
    if answer.status_code in (401, 403):
        answer = await http.get(url, headers={"Accept": "application/json", **credentials(where)})
    if answer.status_code == 404 and where.agent:
        raise Failure(f"There is no agent {where.agent} here that you may use.", "`memroos agents list` shows who is.")
    answer.raise_for_status()
    try:
        read = parse_agent_card(json.loads(answer.content))
    except Exception as error:  # the SDK lets through whatever a strange card makes it stumble over
        raise Failure(f"What {url} serves is no agent card: {printable(str(error))[:300]}.") from error
    return Card(url, answer.content, read)


def open_http(where: Where) -> httpx.AsyncClient:
    """Return a client that waits for answers as long as they take, and uses a proxy only for other machines."""
    local = is_loopback(urlsplit(where.url or find_url()).hostname or "")
    return httpx.AsyncClient(timeout=httpx.Timeout(CONNECT_S, read=None), trust_env=not local)


def credentials(where: Where) -> dict[str, str]:
    """Return the headers that let us in; the kernel's key goes to the kernel only."""
    given = {name.lower() for name in where.headers}
    if "authorization" in given:
        return dict(where.headers)
    if where.key_file is not None or not where.url or _origin(where.url) == _known_kernel():
        return {"Authorization": f"Bearer {find_key(where.key_file)}", **where.headers}
    return dict(where.headers)


def _known_kernel() -> str:
    try:
        return _origin(find_url())
    except NotReachable:
        return ""


# -- the interface ---------------------------------------------------------------------------------------------------


def choose_interface(card: a2a_pb2.AgentCard, where: Where) -> a2a_pb2.AgentInterface:
    """Return the first interface of a card that fits what was asked for and can be spoken.

    Raises:
        Failure: there is none.
    """
    offered = [one for one in card.supported_interfaces if one.protocol_binding in BINDINGS.values()]
    fitting = [
        one
        for one in offered
        if (not where.binding or one.protocol_binding == BINDINGS[where.binding])
        and _minor(one.protocol_version) in ([where.version] if where.version else ["1.0", "0.3"])
    ]
    fitting.sort(key=lambda one: _minor(one.protocol_version) != "1.0")
    if not fitting:
        shown = ", ".join(f"{one.protocol_binding} {one.protocol_version}" for one in card.supported_interfaces)
        raise Failure(f"The agent does not offer that. Its card lists: {printable(shown) or 'nothing'}.")
    return fitting[0]


def _minor(version: str) -> str:
    return ".".join((version or "1.0").split(".")[:2])


@asynccontextmanager
async def connected(where: Where, *, streaming: bool = True) -> AsyncIterator[Agent]:
    """Open a connection to an agent, over the interface that was asked for or that it prefers.

    Raises:
        Failure: there is no way to it.
    """
    shown = credentials(where)
    async with open_http(where) as http:
        card = await fetch_card(http, where)
        interface = choose_interface(card.read, where)
        _lead_back(interface, card.url, where)
        if shown and urlsplit(card.url).hostname != _host(interface.url):
            raise Failure(
                f"The card leads to another host, {printable(_host(interface.url))}; it would get your key.",
                "Name that host with --url if it is meant to.",
            )
        one = a2a_pb2.AgentCard()
        one.CopyFrom(card.read)
        del one.supported_interfaces[:]
        one.supported_interfaces.append(interface)
        config = ClientConfig(
            streaming=streaming,
            httpx_client=http,
            grpc_channel_factory=_channel,
            supported_protocol_bindings=[interface.protocol_binding],
        )
        http.headers["A2A-Version"] = _minor(interface.protocol_version)
        async with ClientFactory(config).create(one) as client:
            yield Agent(client, ClientCallContext(service_parameters=shown), card)


def _lead_back(interface: a2a_pb2.AgentInterface, card_url: str, where: Where) -> None:
    """Let the way to our own kernel be the one we came by: its card shows its public address."""
    if not where.url and interface.protocol_binding != "GRPC":
        interface.url = _origin(card_url) + urlsplit(interface.url).path


def _channel(url: str) -> grpc.aio.Channel:
    """Connect over gRPC: in the clear to this machine or where the card says so, else with TLS."""
    scheme, _, address = url.rpartition("://")
    if scheme == "http" or (not scheme and is_loopback(_host(url))):
        return grpc.aio.insecure_channel(address, options=[("grpc.enable_http_proxy", 0)])
    return grpc.aio.secure_channel(address, grpc.ssl_channel_credentials())


def _host(url: str) -> str:
    return urlsplit(url if "://" in url else f"//{url}").hostname or ""


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def is_loopback(host: str) -> bool:
    """Whether a host is this machine."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
