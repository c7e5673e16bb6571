"""The vectors that count: one of each item and embedder, in the database with what they are made from.

A vector is kept as 16-bit floats. Whatever an index finds is scored by these, so that two indexes give one answer.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray
from sqlalchemy import insert, text

from memroos_contracts.errors import NotFound
from memroos_contracts.memory_errors import EmbedderFailed, WrongDimension
from memroos_contracts.memory_work import EmbedderView
from memroos_kit.clock import to_micros
from memroos_kit.db import Hot, Read, Tx
from memroos_memory.embedders.ports import Vectors
from memroos_memory.models import Embedder

ACTIVE = "active"
BUILDING = "building"
RETIRED = "retired"

Halves = NDArray[np.float16]

_HALF = np.dtype("<f2")
_WITHOUT_REPEATED_SIGN = np.int32(~0x7000_0000)
_EXPONENTS_APART = np.float32(2.0**112)  # a half's exponent counts from -15, a single's from -127


class EmbedderRow(NamedTuple):
    """An embedder whose vectors are kept."""

    seq: int
    identity: str
    dimension: int
    state: str


class Kept(NamedTuple):
    """Vectors of some items, as they are kept.

    Attributes:
        item_seqs: whose they are.
        digests: of which texts they are.
        values: one row an item.
    """

    item_seqs: NDArray[np.int64]
    digests: list[str]
    values: Halves


class StoredVector(NamedTuple):
    """An item's vector, and the scope it belongs to."""

    item_seq: int
    scope_seq: int
    vector: Vectors


_EMBEDDERS = Hot(text("SELECT seq, identity, dimension, state FROM embedder ORDER BY seq"))
_ADD_EMBEDDER = Hot(insert(Embedder), columns=["identity", "dimension", "state", "created_at"])
_SET_STATE = Hot(text("UPDATE embedder SET state = :state WHERE seq = :seq"))
_STATE_OF = Hot(text("SELECT state, dimension FROM embedder WHERE seq = :seq"))
_PUT = Hot(
    text(
        "INSERT INTO item_vector (embedder_seq, item_seq, digest, value) "
        "VALUES (:embedder_seq, :item_seq, :digest, :value) "
        "ON CONFLICT (embedder_seq, item_seq) DO UPDATE SET digest = excluded.digest, value = excluded.value"
    )
)
_GET = Hot(
    text(
        "SELECT item_vector.item_seq, item_vector.digest, item_vector.value "
        "FROM json_each(:seqs) AS wanted CROSS JOIN item_vector "
        "WHERE item_vector.embedder_seq = :embedder_seq AND item_vector.item_seq = wanted.value"
    )
)
_DIGESTS = Hot(
    text(
        "SELECT item_vector.item_seq, item_vector.digest FROM json_each(:seqs) AS wanted CROSS JOIN item_vector "
        "CROSS JOIN item WHERE item_vector.embedder_seq = :embedder_seq AND item_vector.item_seq = wanted.value "
        "AND item.seq = wanted.value AND item.status <> 'deleted'"
    )
)
_AFTER = Hot(
    text(
        "SELECT item.seq, item.scope_seq, item_vector.digest, item_vector.value FROM item_vector "
        "CROSS JOIN item ON item.seq = item_vector.item_seq "
        "WHERE item_vector.embedder_seq = :embedder_seq AND item_vector.item_seq > :after "
        "AND item.status <> 'deleted' ORDER BY item_vector.item_seq LIMIT :number"
    )
)
_FORGET_SOME = Hot(
    text(
        "DELETE FROM item_vector WHERE embedder_seq = :embedder_seq AND item_seq IN "
        "(SELECT item_seq FROM item_vector WHERE embedder_seq = :embedder_seq LIMIT :number)"
    )
)
_COUNT = Hot(
    text(
        "SELECT count(*) FROM item_vector CROSS JOIN item ON item.seq = item_vector.item_seq "
        "WHERE item_vector.embedder_seq = :embedder_seq AND item.status <> 'deleted'"
    )
)
_ANY = Hot(text("SELECT 1 FROM item_vector WHERE embedder_seq = :embedder_seq LIMIT 1"))


# -- embedders ---------------------------------------------------------------------------------------------------------


def embedders(tx: Read) -> list[EmbedderRow]:
    """Return all embedders that ever made vectors here, oldest first."""
    return [EmbedderRow(*row) for row in tx.execute(_EMBEDDERS).fetchall()]


def find_active(tx: Read) -> EmbedderRow | None:
    """Return the embedder whose vectors answer, None before the first start."""
    return _in_state(embedders(tx), ACTIVE)


def active(tx: Read) -> EmbedderRow:
    """Return the embedder whose vectors answer.

    Raises:
        NotFound: there is none yet.
    """
    row = find_active(tx)
    if row is None:
        raise NotFound(kind_of_object="embedder", id=ACTIVE)
    return row


def find_building(tx: Read) -> EmbedderRow | None:
    """Return the embedder whose vectors are being made, if there is one."""
    return _in_state(embedders(tx), BUILDING)


def find_embedder(tx: Read, identity: str) -> EmbedderRow | None:
    """Return the embedder of an identity, None where it never made vectors here."""
    return next((row for row in embedders(tx) if row.identity == identity), None)


def ensure_embedder(tx: Tx, identity: str, dimension: int) -> EmbedderRow:
    """Make this the embedder, and return how it stands; safe to repeat.

    The first one is active at once, and so is one that follows another without any vector. Any other is `building`
    until its vectors are made; the one before answers as long. Coming back to the active one ends what was being built.
    """
    known = embedders(tx)
    now_active = _in_state(known, ACTIVE)
    wanted = next((row for row in known if row.identity == identity), None)
    if wanted is None:
        tx.execute(_ADD_EMBEDDER, identity=identity, dimension=dimension, state=RETIRED, created_at=to_micros(tx.now))
        wanted = next(row for row in embedders(tx) if row.identity == identity)
    for row in known:
        if row.state == BUILDING and row.seq != wanted.seq:
            tx.execute(_SET_STATE, state=RETIRED, seq=row.seq)
    if now_active is not None and now_active.seq == wanted.seq:
        return wanted
    if now_active is None or tx.execute(_ANY, embedder_seq=now_active.seq).fetchone() is None:
        return activate(tx, wanted.seq)
    tx.execute(_SET_STATE, state=BUILDING, seq=wanted.seq)
    return wanted._replace(state=BUILDING)


def activate(tx: Tx, embedder_seq: int) -> EmbedderRow:
    """Let an embedder's vectors answer from now on, and the one before retire."""
    for row in embedders(tx):
        if row.seq == embedder_seq:
            tx.execute(_SET_STATE, state=ACTIVE, seq=row.seq)
        elif row.state == ACTIVE:
            tx.execute(_SET_STATE, state=RETIRED, seq=row.seq)
    return active(tx)


def views(tx: Read) -> list[EmbedderView]:
    """Return the embedders that are in use, with how many vectors each has made."""
    return [
        EmbedderView(identity=row.identity, dimension=row.dimension, state=row.state, vectors=count(tx, row.seq))
        for row in embedders(tx)
        if row.state != RETIRED
    ]


def _in_state(rows: Iterable[EmbedderRow], state: str) -> EmbedderRow | None:
    return next((row for row in rows if row.state == state), None)


# -- vectors -----------------------------------------------------------------------------------------------------------


def put(tx: Tx, embedder_seq: int, entries: Sequence[tuple[int, str, Vectors]]) -> None:
    """Keep vectors of items, each with the digest of the text it was made from; a later one replaces it.

    Raises:
        EmbedderFailed: the embedder was replaced meanwhile; embed again.
        WrongDimension: a vector has another length than the embedder's.
    """
    row = tx.execute(_STATE_OF, seq=embedder_seq).fetchone()
    if row is None or row[0] == RETIRED:
        raise EmbedderFailed("The embedder was replaced while it worked; embed again.", reason="replaced")
    for _, _, vector in entries:
        if vector.shape != (row[1],):
            raise WrongDimension(got=int(vector.size), wanted=row[1])
    tx.execute_many(
        _PUT,
        rows=[
            {"embedder_seq": embedder_seq, "item_seq": item_seq, "digest": digest, "value": to_bytes(vector)}
            for item_seq, digest, vector in entries
        ],
    )


def get(tx: Read, embedder_seq: int, seqs: Iterable[int]) -> dict[int, Vectors]:
    """Return the vectors of those items that have one."""
    found = kept(tx, embedder_seq, seqs)
    return dict(zip(found.item_seqs.tolist(), widen(found.values), strict=True))


def kept(tx: Read, embedder_seq: int, seqs: Iterable[int]) -> Kept:
    """Return the vectors of those items that have one, in the order in which they were asked for."""
    wanted = msgspec.json.encode(list(seqs)).decode()
    found = tx.execute(_GET, embedder_seq=embedder_seq, seqs=wanted).fetchall()
    numbers = np.fromiter((row[0] for row in found), np.int64, len(found))
    return Kept(numbers, [row[1] for row in found], _halves([row[2] for row in found]))


def digests(tx: Read, embedder_seq: int, seqs: Iterable[int]) -> dict[int, str]:
    """Return of which text each item's vector is, for items that are there and have one."""
    wanted = msgspec.json.encode(list(seqs)).decode()
    return dict(tx.execute(_DIGESTS, embedder_seq=embedder_seq, seqs=wanted).fetchall())


def after(tx: Read, embedder_seq: int, item_seq: int, *, limit: int) -> tuple[list[StoredVector], dict[int, str]]:
    """Return the next vectors in the order of items, of items that are there, and of which texts they are."""
    found = tx.execute(_AFTER, embedder_seq=embedder_seq, after=item_seq, number=limit).fetchall()
    matrix = widen(_halves([row[3] for row in found]))
    vectors = [StoredVector(row[0], row[1], vector) for row, vector in zip(found, matrix, strict=True)]
    return vectors, {row[0]: row[2] for row in found}


def forget_some(tx: Tx, embedder_seq: int, *, limit: int) -> int:
    """Forget some of a retired embedder's vectors; return how many that were."""
    if tx.execute(_STATE_OF, seq=embedder_seq).fetchone()[0] != RETIRED:
        return 0
    return tx.execute(_FORGET_SOME, embedder_seq=embedder_seq, number=limit).rowcount


def count(tx: Read, embedder_seq: int) -> int:
    """Return how many items that are there have a vector of this embedder."""
    return int(tx.execute(_COUNT, embedder_seq=embedder_seq).fetchone()[0])


def to_bytes(vector: Vectors) -> bytes:
    """Return the form in which a vector is kept."""
    return vector.astype(_HALF).tobytes()


def _halves(values: Sequence[bytes]) -> Halves:
    if not values:
        return np.empty((0, 0), np.float16)
    return np.frombuffer(b"".join(values), _HALF).reshape(len(values), -1)


def widen(halves: Halves) -> Vectors:
    """Return 16-bit floats as 32-bit ones, exactly, for numbers that are finite.

    It does what `astype` does, ten times as fast: sign, exponent and fraction are moved to their places (IEEE 754),
    where a half's exponent means a number smaller by a power of two, subnormal or not.
    """
    bits = halves.view(np.int16).astype(np.int32)
    bits <<= 13
    bits &= _WITHOUT_REPEATED_SIGN
    wide = bits.view(np.float32)
    wide *= _EXPONENTS_APART
    return wide
