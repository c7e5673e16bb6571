"""All valid keys in memory, so that a request is authenticated in about a microsecond and without the database.

It follows the data: verbs announce what they changed about keys in the journal `keyring`, and after the COMMIT the
writer hands that over here, before the caller of the verb is answered. So a revoked key is refused from the moment
its revocation is acknowledged.
"""

import os
import secrets
import tempfile
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

from memroos.registry import queries, rules
from memroos.registry.errors import WeakKey
from memroos.registry.models import ApiKey
from memroos_contracts.errors import Unauthenticated
from memroos_contracts.identity import Actor, AgentId, KeyId, Role, WorkspaceId
from memroos_contracts.registry import AgentState
from memroos_kit.db import Cursor, Read, Tx
from memroos_kit.ids import IdSource

JOURNAL = "keyring"

_REFUSED = "Send a valid key as `Authorization: Bearer <key>`."


class KeyRecord(NamedTuple):
    """What a key is good for."""

    actor: Actor
    expires_at: datetime | None


class Admitted(NamedTuple):
    """A key opens the door from now on, or until another instant than before."""

    digest: bytes
    record: KeyRecord


class Removed(NamedTuple):
    """A key opens nothing any more."""

    digest: bytes


class AgentMoved(NamedTuple):
    """An agent got to another state, and all its keys with it."""

    agent: AgentId
    state: AgentState


Change = Admitted | Removed | AgentMoved


def announce(tx: Tx, change: Change) -> None:
    """Let the keyring follow once this unit of work is committed."""
    tx.journal(JOURNAL).append(change)


def admit(tx: Tx, key: ApiKey) -> None:
    """Announce a key's present record."""
    announce(tx, Admitted(key.digest, _record(key)))


class Keyring:
    """The keys of all workspaces; one of the database's journals.

    Changes come from the writer thread while the event loop reads: each is a single operation on a dict or a set, so a
    reader sees it before or after, never half.
    """

    name = JOURNAL

    def __init__(self) -> None:
        self._records: dict[bytes, KeyRecord] = {}
        self._by_id: dict[KeyId, KeyRecord] = {}
        self._shut_out: set[AgentId | None] = set()
        self._used: dict[KeyId, datetime] = {}

    def load(self, tx: Read) -> None:
        """Read all valid keys, once, before the first request and the first write."""
        for key in queries.list_usable_keys(tx):
            self._apply(Admitted(key.digest, _record(key)))
        self._shut_out.update(AgentId(agent) for agent in queries.list_shut_out_agents(tx))

    def authenticate(self, bearer: str | None, now: datetime) -> Actor:
        """Return who comes with this key.

        Keys are found by their digest, so that no comparison depends on the secret.

        Raises:
            Unauthenticated: no key, one that is malformed, unknown, expired or revoked, or one of an agent that is
                quarantined or retired; all in the same words.
        """
        if bearer is None or not rules.is_plausible(bearer):
            raise Unauthenticated(_REFUSED)
        record = self._records.get(rules.digest(bearer))
        if record is None or not self._opens(record, now):
            raise Unauthenticated(_REFUSED)
        assert record.actor.key is not None
        self._used[record.actor.key] = now
        return record.actor

    def admits(self, key: KeyId, now: datetime) -> bool:
        """Say whether a key that was good when a stream was opened still is."""
        record = self._by_id.get(key)
        return record is not None and self._opens(record, now)

    def take_uses(self) -> dict[KeyId, datetime]:
        """Return when keys were last used since this was last asked, and start anew."""
        used, self._used = self._used, {}
        return used

    def __len__(self) -> int:
        return len(self._records)

    def _opens(self, record: KeyRecord, now: datetime) -> bool:
        return (record.expires_at is None or now < record.expires_at) and record.actor.agent not in self._shut_out

    # -- journal -------------------------------------------------------------------------------------------------

    def write(self, cursor: Cursor, entries: list[Any]) -> list[Change]:  # noqa: ARG002 - nothing to write: the tables hold it
        """Hand the batch's changes on to `publish`."""
        return entries

    def publish(self, pending: list[Change]) -> None:
        """Follow a committed batch."""
        for change in pending:
            self._apply(change)

    def _apply(self, change: Change) -> None:
        match change:
            case Admitted(digest, record):
                assert record.actor.key is not None
                self._by_id[record.actor.key] = record
                self._records[digest] = record
            case Removed(digest):
                record_or_none = self._records.pop(digest, None)
                if record_or_none is not None and record_or_none.actor.key is not None:
                    self._by_id.pop(record_or_none.actor.key, None)
            case AgentMoved(agent, state):
                (self._shut_out.discard if rules.is_admitted(state) else self._shut_out.add)(agent)


def read_or_create_operator_key(path: Path, now: datetime) -> tuple[str, bool]:
    """Return the operator's key from its file, making both at the first start.

    The file is created exclusively and readable by its owner only; one that is there is never overwritten. Nobody but
    the caller sees the key; it is not logged.

    Returns:
        The key, and whether it was made just now.

    Raises:
        WeakKey: the file holds something that is too easy to guess.
        OSError: the file can be neither read nor created.
    """
    try:
        key = path.read_text("ascii").strip()
    except FileNotFoundError:
        key = new_key(Role.OPERATOR, KeyId(IdSource().new("key", now)))
        if _create(path, key):
            return key, True
        key = path.read_text("ascii").strip()  # another process was faster
    except UnicodeDecodeError:
        key = ""
    weakness = rules.find_weakness(key)
    if weakness is not None:
        raise WeakKey(f"The operator key in {path} is not good enough: {weakness}.")
    return key, False


def new_key(role: Role, key_id: KeyId) -> str:
    """Return a new random key in the form in which it is sent."""
    return rules.compose_key(role, key_id, secrets.randbits(256))


def _create(path: Path, key: str) -> bool:
    """Write a file whole or not at all; say whether it was not there before."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    # `mkstemp` creates exclusively with mode 0600; the link fails where the name is taken.
    number, unfinished = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(number, "w") as file:
            file.write(f"{key}\n")
            file.flush()
            os.fsync(file.fileno())
        path.hardlink_to(unfinished)
    except FileExistsError:
        return False
    finally:
        Path(unfinished).unlink()
    return True


def _record(key: ApiKey) -> KeyRecord:
    actor = Actor(
        role=key.role,
        id=rules.actor_id(key.role, KeyId(key.id), key.name, None if key.agent_id is None else AgentId(key.agent_id)),
        workspace=WorkspaceId(key.workspace_id),
        agent=None if key.agent_id is None else AgentId(key.agent_id),
        key=KeyId(key.id),
        scopes=frozenset(key.scopes),
    )
    return KeyRecord(actor, key.expires_at)
