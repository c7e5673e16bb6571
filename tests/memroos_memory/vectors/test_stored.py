"""Vectors are kept with the text they were made from, for as long as their embedder counts."""

import numpy as np
import pytest
from tests.memroos_memory.items.conftest import event
from tests.memroos_memory.vectors.conftest import rows

from memroos_contracts.errors import NotFound
from memroos_contracts.memory import Removal
from memroos_contracts.memory_errors import EmbedderFailed, WrongDimension
from memroos_kit.db import Database
from memroos_memory import items
from memroos_memory.actor import SERVICE
from memroos_memory.vectors import ensure_embedder, stored


@pytest.fixture
def seqs(db: Database) -> list[int]:
    """Three items."""
    added = [db.write_now(SERVICE, items.add_event, event(f"{n}", f"words {n}", stream_seq=n)) for n in range(3)]
    return [seq for seq in added if seq is not None]


def put(db: Database, embedder_seq: int, seqs: list[int], digest: str = "sha256:1") -> None:
    entries = [(seq, digest, row) for seq, row in zip(seqs, rows(len(seqs)), strict=True)]
    db.write_now(SERVICE, stored.put, embedder_seq, entries)


def test_a_vector_comes_back_as_it_was_kept(db: Database, seqs: list[int]) -> None:
    embedder = db.write_now(SERVICE, ensure_embedder, "hash/words/16", 16)
    put(db, embedder.seq, seqs)

    found = db.read_now(SERVICE, stored.get, embedder.seq, [*seqs, 999])
    kept = db.read_now(SERVICE, stored.kept, embedder.seq, [*reversed(seqs), 999])

    assert sorted(found) == seqs
    assert np.array_equal(np.stack([found[seq] for seq in seqs]), rows(3))
    assert kept.item_seqs.tolist() == seqs[::-1]
    assert kept.digests == ["sha256:1"] * 3
    assert np.array_equal(kept.values, rows(3)[::-1])
    assert db.read_now(SERVICE, stored.digests, embedder.seq, seqs) == dict.fromkeys(seqs, "sha256:1")


def test_a_vector_that_is_read_is_the_one_that_was_kept_to_the_last_bit() -> None:
    every = np.arange(2**16, dtype=np.uint16).view(np.float16)
    finite = every[np.isfinite(every)]

    wide = stored.widen(finite)

    assert wide.dtype == np.float32
    assert np.array_equal(wide.view(np.uint32), finite.astype(np.float32).view(np.uint32))


def test_a_later_vector_replaces_the_earlier_one(db: Database, seqs: list[int]) -> None:
    embedder = db.write_now(SERVICE, ensure_embedder, "hash/words/16", 16)
    put(db, embedder.seq, seqs)

    put(db, embedder.seq, [seqs[2]], "sha256:2")

    assert np.array_equal(db.read_now(SERVICE, stored.get, embedder.seq, [seqs[2]])[seqs[2]], rows(1)[0])
    assert db.read_now(SERVICE, stored.digests, embedder.seq, [seqs[2]]) == {seqs[2]: "sha256:2"}
    assert db.read_now(SERVICE, stored.count, embedder.seq) == 3


def test_vectors_are_read_in_the_order_of_items_without_what_was_deleted(db: Database, seqs: list[int]) -> None:
    embedder = db.write_now(SERVICE, ensure_embedder, "hash/words/16", 16)
    put(db, embedder.seq, seqs)
    removal = Removal("mem_1", event("1", "").event.workspace_id, "operator:key_1", 9)
    db.write_now(SERVICE, items.remove_event, removal)

    first, _ = db.read_now(SERVICE, stored.after, embedder.seq, 0, limit=1)
    rest, digests = db.read_now(SERVICE, stored.after, embedder.seq, seqs[0], limit=10)

    assert [one.item_seq for one in first] == [seqs[0]]
    assert [one.item_seq for one in rest] == [seqs[2]]
    assert digests == {seqs[2]: "sha256:1"}
    assert db.read_now(SERVICE, stored.count, embedder.seq) == 2


def test_a_vector_of_another_length_is_refused(db: Database, seqs: list[int]) -> None:
    embedder = db.write_now(SERVICE, ensure_embedder, "hash/words/8", 8)

    with pytest.raises(WrongDimension):
        put(db, embedder.seq, seqs)

    assert db.read_now(SERVICE, stored.count, embedder.seq) == 0


def test_the_first_embedder_is_active_at_once(db: Database) -> None:
    with pytest.raises(NotFound):
        db.read_now(SERVICE, stored.active)

    row = db.write_now(SERVICE, ensure_embedder, "hash/words/16", 16)

    assert row.state == "active"
    assert db.write_now(SERVICE, ensure_embedder, "hash/words/16", 16) == row
    assert db.read_now(SERVICE, stored.active) == row


def test_an_embedder_without_any_vector_is_replaced_at_once(db: Database) -> None:
    db.write_now(SERVICE, ensure_embedder, "hash/words/16", 16)

    db.write_now(SERVICE, ensure_embedder, "hash/words/8", 8)

    assert db.read_now(SERVICE, stored.active).identity == "hash/words/8"


def test_another_embedder_is_built_while_the_one_before_answers(db: Database, seqs: list[int]) -> None:
    first = db.write_now(SERVICE, ensure_embedder, "hash/words/16", 16)
    put(db, first.seq, seqs)

    second = db.write_now(SERVICE, ensure_embedder, "hash/words/8", 8)
    third = db.write_now(SERVICE, ensure_embedder, "hash/words/32", 32)

    assert (second.state, third.state) == ("building", "building")
    assert db.read_now(SERVICE, stored.active) == first
    assert db.read_now(SERVICE, stored.find_building) == third
    assert [(view.identity, view.state, view.vectors) for view in db.read_now(SERVICE, stored.views)] == [
        ("hash/words/16", "active", 3),
        ("hash/words/32", "building", 0),
    ]


def test_coming_back_to_the_active_embedder_ends_the_building(db: Database, seqs: list[int]) -> None:
    first = db.write_now(SERVICE, ensure_embedder, "hash/words/16", 16)
    put(db, first.seq, seqs)
    db.write_now(SERVICE, ensure_embedder, "hash/words/8", 8)

    db.write_now(SERVICE, ensure_embedder, "hash/words/16", 16)

    assert db.read_now(SERVICE, stored.find_building) is None


def test_vectors_of_an_embedder_that_was_replaced_meanwhile_are_refused(db: Database, seqs: list[int]) -> None:
    first = db.write_now(SERVICE, ensure_embedder, "hash/words/16", 16)
    put(db, first.seq, seqs)
    second = db.write_now(SERVICE, ensure_embedder, "hash/words/8", 8)
    db.write_now(SERVICE, stored.activate, second.seq)

    with pytest.raises(EmbedderFailed, match="embed again"):
        put(db, first.seq, seqs)


def test_only_vectors_that_count_no_more_are_forgotten(db: Database, seqs: list[int]) -> None:
    first = db.write_now(SERVICE, ensure_embedder, "hash/words/16", 16)
    put(db, first.seq, seqs)

    assert db.write_now(SERVICE, stored.forget_some, first.seq, limit=2) == 0

    second = db.write_now(SERVICE, ensure_embedder, "hash/words/8", 8)
    db.write_now(SERVICE, stored.activate, second.seq)

    assert [db.write_now(SERVICE, stored.forget_some, first.seq, limit=2) for _ in range(3)] == [2, 1, 0]
