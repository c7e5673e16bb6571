"""Reading a trace of system calls: was each acknowledged write on the disk before its answer left?

`strace -f -y` writes one line per call: process, call, arguments with the paths of files, result. A call that others
interrupt is two lines, `<unfinished ...>` and `resumed`.
"""

import re
from collections.abc import Iterable, Iterator

import msgspec

CALLS = "fsync,fdatasync,pwrite64,write,writev,sendto,sendmsg,read,recvfrom,recvmsg,readv"
LONGEST_TEXT = 96
"""How much of what is written and read the trace shows."""

_LINE = re.compile(r"^(?P<process>\d+)\s+(?:[\d.]+\s+)?(?P<rest>.*)$")
_CALL = re.compile(r"^(?P<name>\w+)\(\d+<(?P<file>[^>]*)>(?P<arguments>.*)$")
_RESUMED = re.compile(r"^<\.\.\. (?P<name>\w+) resumed>(?P<arguments>.*)$")


class Call(msgspec.Struct, frozen=True):
    """One finished or beginning system call, in the order in which the kernel of the machine saw them."""

    name: str
    file: str
    text: str
    begins: bool
    ends: bool


class Acknowledgement(msgspec.Struct, frozen=True):
    """One answer to a write, and what went before it."""

    written: int
    """Writes to the log of the database between the request's arrival and its answer."""
    synced: bool
    """Whether a sync of that log began after one of them, and ended before the answer left."""


def calls(lines: Iterable[str]) -> Iterator[Call]:
    """Yield the calls of a trace; one that was interrupted comes as its beginning and as its end."""
    open_: dict[str, Call] = {}
    for line in lines:
        found = _LINE.match(line)
        if found is None:
            continue
        process, rest = found["process"], found["rest"]
        resumed = _RESUMED.match(rest)
        if resumed is not None:
            began = open_.pop(process, None)
            if began is not None:
                yield Call(began.name, began.file, began.text + resumed["arguments"], begins=False, ends=True)
            continue
        call = _CALL.match(rest)
        if call is None:
            continue
        unfinished = rest.endswith("<unfinished ...>")
        made = Call(call["name"], call["file"], call["arguments"], begins=True, ends=not unfinished)
        if unfinished:
            open_[process] = made
        yield made


def acknowledgements(lines: Iterable[str], *, path: str, status: int) -> list[Acknowledgement]:
    """Return the answers with a status to requests for a path, and whether each one's write was synced before.

    A connection's requests are told apart by its socket, so answers may overlap.
    """
    requests: dict[str, _Request] = {}
    found = []
    for call in calls(lines):
        if call.file.endswith("-wal"):
            for request in requests.values():
                request.see(call)
        elif call.file.startswith(("socket:", "TCP:")):
            if call.ends and f'"POST {path}' in call.text:
                requests[call.file] = _Request()
            elif call.begins and f"HTTP/1.1 {status}" in call.text and call.file in requests:
                found.append(requests.pop(call.file).answered())
    return found


class _Request:
    """What happens to the log of the database while one request waits for its answer."""

    def __init__(self) -> None:
        self._written = 0
        self._syncing = False
        self._synced = False

    def see(self, call: Call) -> None:
        if call.name == "pwrite64":
            self._written += int(call.begins)
        elif call.name in {"fsync", "fdatasync"}:
            if call.begins:
                self._syncing = self._written > 0
            if call.ends:
                self._synced = self._synced or self._syncing

    def answered(self) -> Acknowledgement:
        return Acknowledgement(self._written, self._synced)
