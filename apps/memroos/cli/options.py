"""What commands have in common: options, the way to the kernel, and how its refusals are said."""

import functools
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from itertools import islice
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar

import click
import httpx

from memroos import supervisor
from memroos.cli.failures import Failure, NotReachable, WrongUsage
from memroos.cli.output import Column, Output, printable
from memroos.cli.settings import client_settings, kernel_settings
from memroos_client import Call, Client, Listing, ProblemError, Retries, Stream, UnexpectedAnswer, Unreachable
from memroos_client.calls import agents

P = ParamSpec("P")
T = TypeVar("T")

PAGE = 100
QUICK = Retries(most=2)
_NOT_YOUR_KEY = "Name another with --key-file or MEMROOS_API_KEY; the operator's is in the data directory."


class Kernel:
    """The kernel that a command talks to, and where its answers are printed.

    Args:
        client: for calls: a person waits for the answer.
        patient: for streams: they outlast a restart of the kernel.
    """

    def __init__(self, client: Client, patient: Client, out: Output) -> None:
        self._client = client
        self._patient = patient
        self.out = out

    def run(self, call: Call[T]) -> T:
        """Send a call."""
        return self._client.run(call)

    def stream(self, stream: Stream[T]) -> Iterator[T]:
        """Follow a stream."""
        return self._patient.stream(stream)

    def pages(self, call: Call[Listing[T]]) -> Iterator[T]:
        """Yield the entries of a listing, all of its parts."""
        return self._client.pages(call)

    def listing(self, call: Call[Listing[T]], columns: list[Column[T]], *, most: int, empty: str) -> None:
        """Print up to `most` entries of a listing, and say when there are more."""
        entries = list(islice(self._client.pages(call), most + 1))
        self.out.table(entries[:most], columns, empty=empty)
        if len(entries) > most:
            click.echo(f"There are more; --limit {most * 2} shows them.", err=True)

    def agent_id(self, agent: str) -> str:
        """Return the id of an agent that is named by id or name."""
        return agent if not agent or agent.startswith("agt_") else self.run(agents.get(agent)).id


class OneOf(click.Choice[str]):
    """One of the words of an enum, in lower case as everywhere."""

    def __init__(self, words: type[StrEnum]) -> None:
        super().__init__([word.value for word in words])
        self._words = words

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the member of the enum."""
        return value if isinstance(value, self._words) else self._words(super().convert(value, param, ctx))


def page(most: int) -> int:
    """Return how many entries to ask for at once."""
    return min(most + 1, PAGE)


url_option = click.option("--url", metavar="URL", default="", help="Address of the kernel; MEMROOS_URL when left out.")
key_file_option = click.option(
    "--key-file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="File with the key to use; MEMROOS_API_KEY, else the operator's key, when left out.",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
limit_option = click.option(
    "--limit", "most", type=click.IntRange(1), default=50, show_default=True, help="Most entries to show."
)
data_dir_option = click.option(
    "--data-dir",
    type=click.Path(path_type=Path, file_okay=False),
    help="Data directory; MEMROOS_DATA_DIR when left out.",
)


def remote(command: Callable[Concatenate[Kernel, P], None]) -> Callable[..., None]:
    """Give a command the kernel as its first argument, and the options that say which one and as whom."""

    @url_option
    @key_file_option
    @json_option
    @functools.wraps(command)
    def run(*args: Any, url: str, key_file: Path | None, as_json: bool, **kwargs: Any) -> None:
        with reaching(url, key_file) as client, reaching(url, key_file, retries=Retries()) as patient:
            command(Kernel(client, patient, Output(as_json=as_json)), *args, **kwargs)

    return run


@contextmanager
def reaching(url: str = "", key_file: Path | None = None, *, retries: Retries = QUICK) -> Iterator[Client]:
    """Open a client on the kernel that the options and settings name, and say its refusals as failures."""
    address = find_url(url)
    try:
        with Client(address, find_key(key_file), retries=retries) as client:
            yield client
    except ProblemError as error:
        raise Failure(printable(str(error)), hint_for(error)) from error
    except Unreachable as error:
        hint = "Start it with `memroos up`, or say where it is with --url or MEMROOS_URL."
        raise NotReachable(str(error), hint) from error
    except UnexpectedAnswer as error:
        raise Failure(printable(str(error)), f"Is it a kernel of this version that answers at {address}?") from error
    except (ValueError, httpx.InvalidURL) as error:
        raise WrongUsage(f"{error}.", "An address looks like http://127.0.0.1:7700.") from error


def find_url(url: str = "") -> str:
    """Return where the kernel is: as said, else by the settings."""
    found = url or client_settings().url or supervisor.kernel_url(kernel_settings())
    if not found:
        hint = "Start it with `memroos up`, or say where it is with --url or MEMROOS_URL."
        raise NotReachable("No kernel runs here.", hint)
    return found


def find_key(file: Path | None = None) -> str:
    """Return the key to come with: from the file, else `MEMROOS_API_KEY`, else the operator's of this machine."""
    if file is not None:
        return _read_key(file)
    own = client_settings().api_key
    if own is not None:
        return own.reveal()
    settings = kernel_settings()
    if settings.operator_api_key is not None:
        return settings.operator_api_key.reveal()
    if not settings.operator_key_path.exists():
        raise Failure(
            f"There is no key: {settings.operator_key_path} does not exist.",
            "The first start makes it. Elsewhere, name a key with --key-file or MEMROOS_API_KEY.",
        )
    return _read_key(settings.operator_key_path)


def _read_key(file: Path) -> str:
    try:
        return file.read_text("ascii").strip()
    except (OSError, UnicodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no key"
        raise Failure(f"The key in {file} cannot be read: {reason}.", _NOT_YOUR_KEY) from error


_REMEDIES = {
    "address-refused": "The kernel goes where MEMROOS_OUTBOUND_ALLOW says; set it and restart: "
    "docs/how-to/add-a-remote-agent.md.",
    "item-changed": "`memroos memory history` shows what changed.",
    "item-gone": "`memroos memory rollback` takes its scope back to an entry at which it was there.",
    "sequence-unknown": "`memroos memory scopes` shows how long each log is.",
    "card-unavailable": "Does it run, is this its address, and does it ask for a credential (--credential-file)?",
}
"""What to do, where that can be said in a line."""


def hint_for(error: ProblemError) -> str:
    """Return what to do about a refusal."""
    if error.status == 401:
        return _NOT_YOUR_KEY
    fields = error.facts.get("fields")
    if isinstance(fields, dict):
        told = [f"{name}: {what}" for name, what in fields.items()]
        return printable("; ".join(one for one in told if one.rstrip(".") not in str(error)))
    known = ", ".join(
        f"{name} {value}" for name, value in error.facts.items() if isinstance(value, str | int) and value != ""
    )
    explained = f"docs/reference/problems.md explains {error.slug}." if error.slug else ""
    return printable(" ".join(filter(None, (_REMEDIES.get(error.slug, explained), known and f"({known})"))))


def pairs(texts: Iterable[str], what: str) -> dict[str, str]:
    """Read `name=value` options."""
    found: dict[str, str] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise click.UsageError(f"{what} {text!r}: expected name=value.")
        found[name] = value
    return found
