"""Reading server-sent events (WHATWG HTML, 9.2.6), from bytes in pieces of any size."""

import re
from collections.abc import Iterator

import msgspec

_LINE_END = re.compile(rb"\r\n|\n|\r")


class ServerSentEvent(msgspec.Struct, frozen=True):
    """One message of a stream."""

    event: str
    """Its type; `message` where none was given."""
    data: bytes
    """UTF-8; empty in a message that only moves the reader's position, and in a keep-alive."""
    id: str
    """The stream's last event id, with which reading can go on."""


class Decoder:
    """Cuts a stream into messages.

    Only carriage returns and line feeds end a line: JSON may hold other characters that Python takes for line ends.
    Unlike in a browser, a message without data is returned too, because it proves that the connection lives and may
    move the last event id.
    """

    def __init__(self, last_event_id: str = "") -> None:
        self._id = last_event_id
        self._rest = b""
        self._event = ""
        self._data: list[bytes] = []
        self._touched = False

    def feed(self, piece: bytes) -> Iterator[ServerSentEvent]:
        """Yield the messages that this piece completes."""
        *lines, self._rest = self._lines(self._rest + piece)
        for line in lines:
            if line:
                self._take(line)
            elif self._touched:
                yield ServerSentEvent(self._event or "message", b"\n".join(self._data), self._id)
                self._event, self._data, self._touched = "", [], False

    @staticmethod
    def _lines(text: bytes) -> list[bytes]:
        # A carriage return at the very end may be half of a line end: it stays with what follows.
        held = text[-1:] if text.endswith(b"\r") else b""
        lines = _LINE_END.split(text[: len(text) - len(held)])
        lines[-1] += held
        return lines

    def _take(self, line: bytes) -> None:
        self._touched = True
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        match name:
            case b"data":
                self._data.append(value)
            case b"event":
                self._event = value.decode("utf-8", "replace")
            case b"id" if b"\0" not in value:
                self._id = value.decode("utf-8", "replace")
            case _:
                pass  # a comment, `retry`, or what a later version adds
