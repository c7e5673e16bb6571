"""The key with which one process of a system comes to another, in a file that both read.

Whoever starts first makes it. It appears under its name as a whole or not at all, so that the other never reads half.
"""

import hmac
import os
import secrets
from contextlib import suppress
from pathlib import Path

SHORTEST = 32


class WeakServiceKey(ValueError):
    """The key between two processes is too easy to guess, or cannot be sent; the sentence says which."""


def ensure(path: Path, given: str | None = None) -> str:
    """Return the key: the one given, else the one in the file, which is made where it is not there.

    Raises:
        WeakServiceKey: it is shorter than 32 characters, or no text that a header could carry.
        OSError: the file can be neither read nor created.
    """
    if given is not None:
        return _checked(given, "")
    if not path.exists():
        _make(path)
    return _checked(path.read_text("utf-8", errors="replace").strip(), str(path))


def fits(header: str, key: str) -> bool:
    """Whether an `Authorization` header carries the key; how long that takes says nothing about the key."""
    scheme, _, said = header.partition(" ")
    return hmac.compare_digest(said.strip().encode(), key.encode()) and scheme.lower() == "bearer"


def _checked(key: str, file: str) -> str:
    if len(key) < SHORTEST or not key.isascii() or not key.isprintable() or " " in key:
        where = f"The key in {file}" if file else "The key of the settings"
        raise WeakServiceKey(f"{where} must have at least {SHORTEST} visible ASCII characters.")
    return key


def _make(path: Path) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    file = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        os.write(file, f"{secrets.token_urlsafe(32)}\n".encode())
        os.fsync(file)
        with suppress(FileExistsError):  # the other process was faster
            os.link(partial, path)
    finally:
        os.close(file)
        partial.unlink()
