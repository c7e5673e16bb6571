"""Signed notes and checkpoints as C2SP writes them (c2sp.org/signed-note, c2sp.org/tlog-checkpoint), Ed25519 only."""

import base64
import re
from hashlib import sha256

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

_ED25519 = b"\x01"
_SECRET_PREFIX = "PRIVATE+KEY+"  # noqa: S105 - the marker before the secret, as sumdb's note package writes it
_NOTE = re.compile(r"([^\n]+\n(?:0|[1-9][0-9]*)\n[A-Za-z0-9+/=]+\n)\n((?:\u2014 [^\n]+\n)+)(?=\n|\Z)")


class NoteInvalid(ValueError):
    """A key or a note that cannot be read, or whose signature is wrong."""


class Checkpoint(msgspec.Struct, frozen=True):
    """What a signed head says."""

    origin: str
    size: int
    root: bytes


class Verifier:
    """A public key with its name.

    Args:
        name: neither spaces nor plus signs.
        public: 32 bytes.
    """

    def __init__(self, name: str, public: bytes) -> None:
        if not name or "+" in name or any(c.isspace() for c in name):
            raise NoteInvalid(f"{name!r} is not a key name: it must have neither spaces nor plus signs")
        self.name = name
        self._public = public
        self._key = Ed25519PublicKey.from_public_bytes(public)
        self.key_id = sha256(name.encode() + b"\n" + _ED25519 + public).digest()[:4]

    @classmethod
    def parse(cls, text: str) -> "Verifier":
        """Read `<name>+<key id, hex>+<base64>`."""
        try:
            name, key_id, encoded = text.strip().rsplit("+", 2) if text.count("+") == 2 else text.strip().split("+", 2)
            material = base64.b64decode(encoded, validate=True)
            if material[:1] != _ED25519 or len(material) != 33:
                raise NoteInvalid("the key is not an Ed25519 key")
            verifier = cls(name, material[1:])
        except ValueError as error:
            raise NoteInvalid(f"not a verifier key: {error}") from error
        if verifier.key_id.hex() != key_id:
            raise NoteInvalid("not a verifier key: its id does not belong to it")
        return verifier

    def __str__(self) -> str:
        return f"{self.name}+{self.key_id.hex()}+{base64.b64encode(_ED25519 + self._public).decode()}"

    def open(self, note: str) -> str:
        """Return the text of a note that this key has signed.

        Raises:
            NoteInvalid: it has no signature of this key, or a wrong one.
        """
        text, separator, signatures = note.rpartition("\n\n")
        if not separator or not signatures.endswith("\n"):
            raise NoteInvalid("not a signed note")
        text += "\n"
        for line in signatures.splitlines():
            dash, _, rest = line.partition(" ")
            name, _, encoded = rest.partition(" ")
            if dash != "\u2014":
                raise NoteInvalid("not a signature line")
            if name != self.name:
                continue
            try:
                blob = base64.b64decode(encoded, validate=True)
            except ValueError as error:
                raise NoteInvalid("a signature is not base64") from error
            if blob[:4] != self.key_id:
                continue
            try:
                self._key.verify(blob[4:], text.encode())
            except InvalidSignature as error:
                raise NoteInvalid("the signature is wrong") from error
            return text
        raise NoteInvalid(f"no signature of {self.name}+{self.key_id.hex()}")


class Signer:
    """A private key with its name.

    Args:
        name: neither spaces nor plus signs.
        seed: 32 bytes.
    """

    def __init__(self, name: str, seed: bytes) -> None:
        self._key = Ed25519PrivateKey.from_private_bytes(seed)
        self._seed = seed
        self.verifier = Verifier(name, self._key.public_key().public_bytes_raw())

    @classmethod
    def generate(cls, name: str) -> "Signer":
        """Return a signer with a new random key."""
        return cls(name, Ed25519PrivateKey.generate().private_bytes_raw())

    @classmethod
    def parse(cls, text: str) -> "Signer":
        """Read what `secret` returned.

        Raises:
            NoteInvalid: it is something else.
        """
        marker, _, rest = text.strip().partition(_SECRET_PREFIX)
        name, _, tail = rest.partition("+")
        key_id, _, encoded = tail.partition("+")
        try:
            material = base64.b64decode(encoded, validate=True)
            if marker or material[:1] != _ED25519 or len(material) != 33:
                raise NoteInvalid("not a signing key")
            signer = cls(name, material[1:])
        except ValueError as error:
            raise NoteInvalid("not a signing key") from error
        if signer.verifier.key_id.hex() != key_id:
            raise NoteInvalid("not a signing key: its id does not belong to it")
        return signer

    def secret(self) -> str:
        """Return the text form of the key: for its file, never for a log."""
        key_id, encoded = self.verifier.key_id.hex(), base64.b64encode(_ED25519 + self._seed).decode()
        return f"{_SECRET_PREFIX}{self.verifier.name}+{key_id}+{encoded}"

    def __repr__(self) -> str:
        return f"Signer({self.verifier})"

    def sign(self, text: str) -> str:
        """Return a note: the text, which ends in a newline, and this key's signature."""
        blob = self.verifier.key_id + self._key.sign(text.encode())
        return f"{text}\n\u2014 {self.verifier.name} {base64.b64encode(blob).decode()}\n"


def checkpoint_text(checkpoint: Checkpoint) -> str:
    """Return the three lines of a checkpoint."""
    return f"{checkpoint.origin}\n{checkpoint.size}\n{base64.b64encode(checkpoint.root).decode()}\n"


def read_checkpoint(text: str) -> Checkpoint:
    """Read the text of a checkpoint.

    Raises:
        NoteInvalid: it is something else.
    """
    lines = text.split("\n")
    if len(lines) != 4 or lines[3] or not lines[0] or not re.fullmatch(r"0|[1-9][0-9]*", lines[1], re.ASCII):
        raise NoteInvalid("not a checkpoint")
    try:
        root = base64.b64decode(lines[2], validate=True)
    except ValueError as error:
        raise NoteInvalid("not a checkpoint: its root is not base64") from error
    if len(root) != 32:
        raise NoteInvalid("not a checkpoint: its root is not a hash")
    return Checkpoint(lines[0], int(lines[1]), root)


def find_notes(content: str) -> list[str]:
    """Return the checkpoints of a file, each with an empty line before it; what a torn write left is passed over."""
    return ["\n".join(match.groups()) for match in _NOTE.finditer(content)]
