"""Errors as HTTP says them: RFC 9457 bodies, one table from kind to status, and the page that explains each.

`type` is `/problems/<slug>`, `title` is fixed per type, `detail` belongs to this case, and the error's facts follow.
"""

import importlib
import inspect
import pkgutil
import re
from collections.abc import Iterable
from typing import Any

import msgspec

from memroos_contracts.errors import ErrorKind, Fact, MemroosError

CONTENT_TYPE = "application/problem+json"
TYPE_PREFIX = "/problems/"

STATUS: dict[ErrorKind, int] = {
    ErrorKind.MALFORMED: 400,
    ErrorKind.UNAUTHENTICATED: 401,
    ErrorKind.DENIED: 403,
    ErrorKind.NOT_FOUND: 404,
    ErrorKind.CONFLICT: 409,
    ErrorKind.GONE: 410,
    ErrorKind.TOO_LARGE: 413,
    ErrorKind.INVALID: 422,
    ErrorKind.LIMITED: 429,
    ErrorKind.UNAVAILABLE: 503,
    ErrorKind.STORAGE_FULL: 507,
}

_KIND_IN_WORDS: dict[ErrorKind, str] = {
    ErrorKind.MALFORMED: "repair the form of the request",
    ErrorKind.UNAUTHENTICATED: "come with a valid key",
    ErrorKind.DENIED: "ask somebody who may",
    ErrorKind.NOT_FOUND: "look elsewhere",
    ErrorKind.CONFLICT: "look at the present state, then decide again",
    ErrorKind.GONE: "do without it",
    ErrorKind.TOO_LARGE: "send less",
    ErrorKind.INVALID: "repair the value",
    ErrorKind.LIMITED: "wait, then repeat",
    ErrorKind.UNAVAILABLE: "repeat later",
    ErrorKind.STORAGE_FULL: "make room, then repeat",
}


class UnknownAddress(MemroosError):
    """There is nothing at this address.

    The path is not one of this server's; the API reference lists them.
    """

    kind = ErrorKind.NOT_FOUND


class MethodNotAllowed(MemroosError):
    """This address does not take that method.

    `Allow` says which methods it takes.
    """

    kind = ErrorKind.INVALID


class InternalFailure(MemroosError):
    """Something broke inside this server.

    It is not the caller's fault. The server's log holds the cause under the id.

    Facts:
        id: what to look for in the log.
    """

    kind = ErrorKind.UNAVAILABLE


_STATUS_OF: dict[type[MemroosError], int] = {MethodNotAllowed: 405, InternalFailure: 500}  # HTTP has words of its own


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """One error, ready for an HTTP door."""

    type: str
    title: str
    status: int
    detail: str
    facts: dict[str, Fact] = {}
    retry_after_s: int | None = None

    def members(self) -> dict[str, Any]:
        """Return the body's members; a fact cannot take the place of a standard member."""
        standard = {"type": self.type, "title": self.title, "status": self.status, "detail": self.detail}
        return standard | {name: value for name, value in self.facts.items() if name not in standard}

    def body(self) -> bytes:
        """Return the body as JSON."""
        return msgspec.json.encode(self.members())

    def headers(self) -> dict[str, str]:
        """Return the headers that belong to it, the content type included."""
        headers = {"content-type": CONTENT_TYPE}
        if self.retry_after_s is not None:
            headers["retry-after"] = str(self.retry_after_s)
        if self.status == 401:
            headers["www-authenticate"] = 'Bearer realm="memroos"'
        return headers


def status_of(error: type[MemroosError]) -> int:
    """Return the HTTP status of a kind of error."""
    return _STATUS_OF.get(error, STATUS[error.kind])


def problem(error: MemroosError) -> Problem:
    """Say an error as HTTP says it."""
    return Problem(
        type=TYPE_PREFIX + error.slug(),
        title=error.title(),
        status=status_of(type(error)),
        detail=error.detail,
        facts=error.facts,
        retry_after_s=error.retry_after_s,
    )


class Explanation(msgspec.Struct, frozen=True, kw_only=True):
    """What a reader of `/problems/<slug>` is told."""

    slug: str
    title: str
    status: int
    remedy: str
    text: str
    facts: dict[str, str]


def explain(error: type[MemroosError]) -> Explanation:
    """Return what an error's docstring says about it: title, text and facts."""
    doc = inspect.cleandoc(error.__doc__ or error.__name__)
    _, _, rest = doc.partition("\n")
    text, _, facts = rest.partition("\nFacts:\n")
    return Explanation(
        slug=error.slug(),
        title=error.title(),
        status=status_of(error),
        remedy=_KIND_IN_WORDS[error.kind],
        text=text.strip(),
        facts={
            name: " ".join(meaning.split())
            for name, meaning in re.findall(r"^    (\w+): (.*(?:\n     +.*)*)", facts, re.MULTILINE)
        },
    )


def every_error(packages: Iterable[str] = ("memroos", "memroos_kit", "memroos_contracts")) -> list[type[MemroosError]]:
    """Return every error class of the product, by slug.

    Each `errors` module below the packages is imported first, so that no slice is forgotten.

    Raises:
        ValueError: two classes have the same slug.
    """
    packages = tuple(packages)
    for package in packages:
        root = importlib.import_module(package)
        for found in pkgutil.walk_packages(root.__path__, f"{package}."):
            if found.name.endswith((".errors", ".outbound")):
                importlib.import_module(found.name)

    by_slug: dict[str, type[MemroosError]] = {}
    waiting = [MemroosError]
    while waiting:
        error = waiting.pop()
        waiting += error.__subclasses__()
        if error is MemroosError or error.__module__.partition(".")[0] not in packages:
            continue
        if by_slug.setdefault(error.slug(), error) is not error:
            raise ValueError(f"two errors are called {error.slug()}: {error} and {by_slug[error.slug()]}")
    return [by_slug[slug] for slug in sorted(by_slug)]


def render_reference(errors: Iterable[type[MemroosError]]) -> str:
    """Write the reference page of problems as Markdown, one section per error."""
    lines = [
        "# Problems",
        "",
        "An error answer is `application/problem+json` as RFC 9457 describes it: `type` names one of the sections",
        "below, `title` is the same for every case, `detail` is the sentence for this one, and the facts follow as",
        "further members. `Retry-After` says when repeating makes sense.",
    ]
    for error in errors:
        lines += ["", render_section(error).rstrip("\n")]
    return "\n".join(lines) + "\n"


def render_section(error: type[MemroosError]) -> str:
    """Write what a reader is told about one error as Markdown."""
    entry = explain(error)
    lines = [f"## {entry.slug}", "", f"{entry.title}. Status {entry.status}: {entry.remedy}."]
    lines += ["", entry.text] if entry.text else []
    lines += ["", *(f"- `{name}`: {meaning}" for name, meaning in entry.facts.items())] if entry.facts else []
    return "\n".join(lines) + "\n"
