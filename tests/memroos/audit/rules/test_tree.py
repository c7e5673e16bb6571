"""The tree is that of RFC 6962: against the published vectors, and against the definition written out naively."""

from collections.abc import Sequence
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memroos.audit.rules import tree

# Certificate Transparency's own test tree: eight leaves, and the root of each of its beginnings.
CT_LEAVES = [bytes.fromhex(h) for h in (
    "", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f",
)]  # fmt: skip
CT_ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
CT_PATHS = {  # leaf index, tree size: audit path
    (0, 1): [],
    (0, 8): [
        "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
    ],
    (5, 8): [
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ],
    (2, 3): ["fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"],
    (1, 5): [
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
    ],
}
CT_CONSISTENCY = {  # first, second: proof
    (1, 1): [],
    (1, 8): [
        "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
    ],
    (6, 8): [
        "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ],
    (2, 5): [
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
    ],
}


class Stored:
    """A tree as the ledger stores it: for each leaf the hashes that it completes."""

    def __init__(self, bodies: Sequence[bytes]) -> None:
        self.frontier = [b""] * tree.LEVELS
        self.leaves = [tree.hash_leaf(body) for body in bodies]
        self.rows = tree.append(self.frontier, 0, self.leaves)

    def look_up(self, level: int, index: int) -> bytes:
        return tree.pick(self.rows[tree.home_of(level, index) - 1], level)

    def root(self, size: int) -> bytes:
        return tree.root_of(tree.load_frontier(size, self.look_up), size)


def naive_root(bodies: Sequence[bytes]) -> bytes:
    """Return the root as RFC 6962, 2.1, defines it."""
    if not bodies:
        return sha256(b"").digest()
    if len(bodies) == 1:
        return sha256(b"\x00" + bodies[0]).digest()
    split = 1
    while split * 2 < len(bodies):
        split *= 2
    return sha256(b"\x01" + naive_root(bodies[:split]) + naive_root(bodies[split:])).digest()


def hexes(hashes: Sequence[bytes]) -> list[str]:
    return [h.hex() for h in hashes]


bodies = st.lists(st.binary(max_size=4), max_size=70)
sizes = st.integers(1, 300)


@pytest.mark.parametrize("size", range(1, 9))
def test_the_roots_are_those_of_certificate_transparency(size: int) -> None:
    stored = Stored(CT_LEAVES[:size])

    assert tree.root_of(stored.frontier, size).hex() == CT_ROOTS[size - 1]


def test_an_empty_tree_has_the_hash_of_nothing() -> None:
    assert tree.root_of([b""] * tree.LEVELS, 0).hex() == sha256(b"").hexdigest()


@pytest.mark.parametrize(("place", "expected"), CT_PATHS.items())
def test_audit_paths_are_those_of_certificate_transparency(place: tuple[int, int], expected: list[str]) -> None:
    index, size = place
    stored = Stored(CT_LEAVES)

    path = tree.inclusion_proof(index, size, stored.look_up)

    assert hexes(path) == expected
    assert tree.includes(stored.leaves[index], index, size, path, bytes.fromhex(CT_ROOTS[size - 1]))


@pytest.mark.parametrize(("both", "expected"), CT_CONSISTENCY.items())
def test_consistency_proofs_are_those_of_certificate_transparency(both: tuple[int, int], expected: list[str]) -> None:
    first, second = both

    proof = tree.consistency_proof(first, second, Stored(CT_LEAVES).look_up)

    assert hexes(proof) == expected
    roots = {"first_root": bytes.fromhex(CT_ROOTS[first - 1]), "second_root": bytes.fromhex(CT_ROOTS[second - 1])}
    assert tree.extends(first, second, proof, **roots)


@given(bodies)
def test_every_root_is_the_naive_one(leaves: list[bytes]) -> None:
    assert tree.root_of(Stored(leaves).frontier, len(leaves)) == naive_root(leaves)


@given(bodies, st.data())
def test_appending_in_pieces_gives_the_same_tree(leaves: list[bytes], data: st.DataObject) -> None:
    cut = data.draw(st.integers(0, len(leaves)))
    whole, hashes = Stored(leaves), [tree.hash_leaf(body) for body in leaves]
    frontier = [b""] * tree.LEVELS

    rows = tree.append(frontier, 0, hashes[:cut]) + tree.append(frontier, cut, hashes[cut:])

    assert rows == whole.rows
    assert tree.root_of(frontier, len(leaves)) == whole.root(len(leaves))


@given(st.integers(0, 2**40))
def test_peaks_cover_a_tree_without_gap_or_overlap(size: int) -> None:
    end = size
    for level, index in tree.peaks(size):
        assert (index + 1) << level == end
        end = index << level
    assert end == 0


@given(sizes, st.data())
def test_every_leaf_is_proved_in_every_tree_and_no_other_place(size: int, data: st.DataObject) -> None:
    index = data.draw(st.integers(0, size - 1))
    stored = Stored([bytes([n % 251, n // 251]) for n in range(size)])
    root, leaf = stored.root(size), stored.leaves[index]

    path = tree.inclusion_proof(index, size, stored.look_up)

    assert tree.includes(leaf, index, size, path, root)
    assert not tree.includes(tree.hash_leaf(b"forged"), index, size, path, root)
    assert not tree.includes(leaf, index, size, [*path, root], root)
    assert not tree.includes(leaf, size, size, path, root)
    assert not tree.includes(leaf, -1, size, path, root)
    if size > 1:
        assert not tree.includes(leaf, (index + 1) % size, size, path, root)
        assert not tree.includes(leaf, index, size, path[:-1], root)


@given(sizes, st.data())
def test_growth_is_proved_and_a_rewrite_is_not(second: int, data: st.DataObject) -> None:
    first = data.draw(st.integers(1, second))
    stored = Stored([bytes([n % 251, n // 251]) for n in range(second)])
    before, after = stored.root(first), stored.root(second)

    proof = tree.consistency_proof(first, second, stored.look_up)

    assert tree.extends(first, second, proof, first_root=before, second_root=after)
    other = tree.hash_leaf(b"another history")
    assert not tree.extends(first, second, proof, first_root=other, second_root=after)
    assert not tree.extends(first, second, [*proof, other], first_root=before, second_root=after)
    if first < second:
        assert not tree.extends(first, second, proof, first_root=before, second_root=other)
        assert not tree.extends(second, first, proof, first_root=after, second_root=before)
        assert not tree.extends(first, second, proof[:-1], first_root=before, second_root=after)


def test_everything_grew_out_of_the_empty_tree() -> None:
    root = tree.hash_leaf(b"")

    assert tree.consistency_proof(0, 1, Stored([b""]).look_up) == []
    assert tree.extends(0, 1, [], first_root=tree.EMPTY_ROOT, second_root=root)
    assert not tree.extends(0, 1, [], first_root=root, second_root=root)
    assert not tree.extends(-1, 1, [root], first_root=root, second_root=root)
