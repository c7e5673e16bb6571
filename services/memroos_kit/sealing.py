"""Secrets that the process itself has to be able to read again: credentials it shows to others.

AES-256-GCM with a key in a file of its own, so that a copy of the database alone gives nothing away. What is sealed is
bound to what it belongs to: put into another row it does not open.
"""

import base64
import binascii
import contextlib
import os
import secrets
import tempfile
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from memroos_contracts.errors import ErrorKind, MemroosError

KEY_BYTES = 32
_FORM = b"\x01"  # AES-256-GCM, 96 random bits of nonce before the text; another form gets another number
_NONCE_BYTES = 12


class SealBroken(MemroosError):
    """A stored secret cannot be read.

    The key file is not the one it was encrypted with, or the entry was changed. Put the file back, or set the secret
    again.
    """

    kind = ErrorKind.UNAVAILABLE


class SealingKeyInvalid(RuntimeError):
    """The key file does not hold a key; the start ends here, before anything is encrypted with something else."""


class Sealer:
    """Encrypts and decrypts secrets at rest.

    Args:
        key: 32 random bytes.
    """

    def __init__(self, key: bytes) -> None:
        if len(key) != KEY_BYTES:
            raise ValueError(f"a sealing key has {KEY_BYTES} bytes")
        self._cipher = AESGCM(key)

    @classmethod
    def ensure(cls, path: Path) -> "Sealer":
        """Return the sealer of a key file; the first call makes the file, readable by its owner only.

        Raises:
            SealingKeyInvalid: the file is there and holds something else, or cannot be read.
        """
        try:
            text = _read_or_create(path)
            return cls(base64.b64decode(text.strip(), validate=True))
        except (ValueError, binascii.Error, OSError) as error:
            reason = (error.strerror or "I/O error") if isinstance(error, OSError) else "it holds no key of 32 bytes"
            raise SealingKeyInvalid(f"{path}: {reason}") from error

    def seal(self, plain: str, *, bound_to: str) -> bytes:
        """Encrypt a secret.

        Args:
            plain: the secret.
            bound_to: what it belongs to, such as an id; opening it asks for the same.
        """
        nonce = secrets.token_bytes(_NONCE_BYTES)
        return _FORM + nonce + self._cipher.encrypt(nonce, plain.encode(), bound_to.encode())

    def open(self, sealed: bytes, *, bound_to: str) -> str:
        """Decrypt a secret.

        Raises:
            SealBroken: it was sealed with another key or for something else, or was changed.
        """
        nonce, text = sealed[1 : 1 + _NONCE_BYTES], sealed[1 + _NONCE_BYTES :]
        if sealed[:1] != _FORM or len(nonce) != _NONCE_BYTES:
            raise SealBroken
        try:
            return self._cipher.decrypt(nonce, text, bound_to.encode()).decode()
        except (InvalidTag, ValueError) as error:
            raise SealBroken from error


def _read_or_create(path: Path) -> str:
    try:
        return path.read_text("ascii")
    except FileNotFoundError:
        _create(path, base64.b64encode(secrets.token_bytes(KEY_BYTES)).decode())
    return path.read_text("ascii")  # that of another process, if that was faster


def _create(path: Path, text: str) -> None:
    """Write the file whole or not at all: half a key, left by a crash, would stop every start after it."""
    # `mkstemp` creates exclusively with mode 0600; the link fails where the name is taken.
    number, unfinished = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(number, "w", encoding="ascii") as file:
            file.write(f"{text}\n")
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(FileExistsError):
            path.hardlink_to(unfinished)
    finally:
        Path(unfinished).unlink()
