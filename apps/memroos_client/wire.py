"""Between values and HTTP: what both clients share. Pure: nothing here sends or waits."""

from collections.abc import Mapping
from typing import Any, TypeVar
from urllib.parse import urlsplit

import httpx
import msgspec

from memroos_client.call import Call, Stream
from memroos_client.errors import ProblemError, UnexpectedAnswer, Unreachable

T = TypeVar("T")

CONNECT_S = 5.0
SILENCE_S = 45.0
"""A stream that is quiet for three keep-alives is dead."""

_PROBLEM_TYPE = "/problems/"
_STANDARD = frozenset({"type", "title", "status", "detail", "instance"})


def base_url(url: str) -> str:
    """Return a kernel's address without a slash at the end.

    Raises:
        ValueError: it is no http or https address.
    """
    try:
        parts = urlsplit(url)
        sound = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port that is no number, or too large
        sound = False
    if not sound:
        raise ValueError(f"{url!r} is not an http or https address")
    return url.rstrip("/")


def options(url: str, key: str, timeout_s: float) -> dict[str, Any]:
    """Return how both kinds of HTTP client are made."""
    return {
        "base_url": base_url(url),
        "headers": {"Accept": "application/json", **({"Authorization": f"Bearer {key}"} if key else {})},
        "timeout": httpx.Timeout(timeout_s, connect=CONNECT_S),
        "trust_env": False,  # a proxy from the environment would see the key
    }


def request(call: Call[object], timeout_s: float) -> dict[str, Any]:
    """Return a call as arguments of an HTTP client's `request`."""
    headers = dict(call.headers)
    content = None
    if call.body is not None:
        content = msgspec.json.encode(call.body)
        headers["Content-Type"] = "application/json"
    if call.idempotency_key is not None:
        headers["Idempotency-Key"] = call.idempotency_key
    return {
        "method": call.method,
        "url": call.path,
        "params": call.query,
        "headers": headers,
        "content": content,
        "timeout": httpx.Timeout(timeout_s + call.wait_s, connect=CONNECT_S),
    }


def stream_request(stream: Stream[object], last_event_id: str) -> dict[str, Any]:
    """Return a stream as arguments of an HTTP client's `stream`."""
    headers = {"Accept": "text/event-stream", "Cache-Control": "no-store"}
    if last_event_id:
        headers["Last-Event-ID"] = last_event_id
    return {
        "method": "GET",
        "url": stream.path,
        "params": stream.query,
        "headers": headers,
        "timeout": httpx.Timeout(CONNECT_S, read=SILENCE_S),
    }


def answer(call: Call[T], response: httpx.Response) -> T:
    """Return what a call brought.

    Raises:
        ProblemError: the kernel refuses.
        UnexpectedAnswer: it is not an answer to this call.
    """
    check(response)
    if response.status_code == 204 or not response.content:
        return _none(call)
    try:
        return msgspec.json.decode(response.content, type=call.returns)  # type: ignore[no-any-return]
    except msgspec.DecodeError as error:
        raise UnexpectedAnswer(f"{call.method} {call.path} was answered with something else: {error}") from error


def check(response: httpx.Response) -> None:
    """Let a success pass; the body of anything else has been read.

    Raises:
        ProblemError: the kernel refuses.
        UnexpectedAnswer: somebody else answers.
    """
    if response.is_success:
        return
    if response.status_code < 400:
        raise UnexpectedAnswer(f"{response.request.url} leads elsewhere (status {response.status_code}).")
    raise problem(response.status_code, response.headers, response.content)


def problem(status: int, headers: Mapping[str, str], content: bytes) -> ProblemError:
    """Read a problem; an answer that is none still tells its status."""
    try:
        members = msgspec.json.decode(content, type=dict[str, Any])
    except msgspec.DecodeError:
        members = {}
    return ProblemError(
        slug=_slug(members.get("type")),
        title=_text(members.get("title")),
        status=status,
        detail=_text(members.get("detail")),
        facts={name: value for name, value in members.items() if name not in _STANDARD},
        retry_after_s=_seconds(headers.get("retry-after")),
    )


def unreachable(url: str, error: httpx.TransportError) -> Unreachable:
    """Say a failure of the connection in our words."""
    match error:
        case httpx.ConnectError():
            reason = "nobody answers there"
        case httpx.ConnectTimeout():
            reason = f"no connection within {CONNECT_S:g} s"
        case httpx.TimeoutException():
            reason = "no answer in time"
        case _:
            reason = f"the connection broke ({type(error).__name__})"
    return Unreachable(url, reason)


def _none(call: Call[T]) -> T:
    try:
        return msgspec.convert(None, call.returns)  # type: ignore[no-any-return]
    except msgspec.ValidationError as error:
        raise UnexpectedAnswer(f"{call.method} {call.path} was answered with nothing.") from error


def _slug(problem_type: object) -> str:
    text = _text(problem_type)
    return text.rsplit("/", 1)[-1] if _PROBLEM_TYPE in text else ""


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _seconds(value: str | None) -> float | None:
    """Read `Retry-After` in its form with seconds, the only one the kernel sends."""
    return float(value) if value is not None and value.isascii() and value.isdecimal() else None
