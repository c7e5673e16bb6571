"""The Merkle tree of RFC 6962 (section 2.1) and its proofs (RFC 9162, sections 2.1.3 and 2.1.4).

The tree of `size` leaves is kept as its frontier: for each bit that is set in `size`, the hash of the complete subtree
of that level. Level 0 is a leaf, level `k` covers `2**k` leaves; a node is named by its level and its index among the
nodes of that level. Node `index` of level `level` becomes complete with leaf number `(index + 1) << level` and is
stored with that leaf: so each leaf carries its own hash and those of the subtrees that it completes, lowest first.
"""

from collections.abc import Callable, Iterable, Sequence
from hashlib import sha256

LEVELS = 64
"""More levels than a 63-bit sequence number can fill."""

EMPTY_ROOT = sha256().digest()

HASH_BYTES = 32

NodeLookup = Callable[[int, int], bytes]
"""Returns the hash of a complete subtree by level and index; level 0 are the leaves."""


def hash_leaf(body: bytes) -> bytes:
    """Return the hash of a leaf; the zero byte keeps a leaf from passing for a node."""
    return sha256(b"\x00" + body).digest()


def hash_children(left: bytes, right: bytes) -> bytes:
    """Return the hash of a node over its two children."""
    return sha256(b"\x01" + left + right).digest()


def append(frontier: list[bytes], size: int, leaves: Iterable[bytes]) -> list[bytes]:
    """Append leaves to a frontier in place and return for each its hash followed by those of the subtrees it completes.

    Args:
        frontier: `LEVELS` entries; those of bits that are not set in `size` are ignored.
        size: how many leaves the frontier covers before.
        leaves: hashes of the new leaves.
    """
    completed: list[bytes] = []
    for leaf in leaves:
        level, rest, node, hashes = 0, size, leaf, leaf
        while rest & 1:
            node = sha256(b"\x01" + frontier[level] + node).digest()
            hashes += node
            level += 1
            rest >>= 1
        frontier[level] = node
        completed.append(hashes)
        size += 1
    return completed


def home_of(level: int, index: int) -> int:
    """Return the number, from 1, of the leaf that completes a node."""
    return index + 1 << level


def pick(hashes: bytes, level: int) -> bytes:
    """Return the hash of a level from those that a leaf completes; empty where it completes none."""
    return hashes[level * HASH_BYTES : (level + 1) * HASH_BYTES]


def peaks(size: int) -> list[tuple[int, int]]:
    """Return level and index of the complete subtrees that make up a tree, from the right (lowest) to the left."""
    return [(level, (size >> level) - 1) for level in range(size.bit_length()) if size >> level & 1]


def fold(hashes: Sequence[bytes]) -> bytes:
    """Return the root over the hashes of a tree's peaks, given from the right to the left."""
    if not hashes:
        return EMPTY_ROOT
    root = hashes[0]
    for left in hashes[1:]:
        root = hash_children(left, root)
    return root


def root_of(frontier: Sequence[bytes], size: int) -> bytes:
    """Return the root of the tree that a frontier stands for."""
    return fold([frontier[level] for level, _ in peaks(size)])


def load_frontier(size: int, look_up: NodeLookup) -> list[bytes]:
    """Return the frontier of a tree whose nodes are stored."""
    frontier = [b""] * LEVELS
    for level, index in peaks(size):
        frontier[level] = look_up(level, index)
    return frontier


def inclusion_proof(index: int, size: int, look_up: NodeLookup) -> list[bytes]:
    """Return the audit path of a leaf, lowest first (RFC 9162, 2.1.3.1).

    Args:
        index: the leaf, from 0; less than `size`.
        size: the tree's size.
        look_up: finds stored nodes.
    """
    return _path(index, 0, size, look_up)


def _path(index: int, start: int, end: int, look_up: NodeLookup) -> list[bytes]:
    if end - start <= 1:
        return []
    middle = start + _split(end - start)
    if index < middle:
        return [*_path(index, start, middle, look_up), _subtree(middle, end, look_up)]
    return [*_path(index, middle, end, look_up), _subtree(start, middle, look_up)]


def consistency_proof(first: int, second: int, look_up: NodeLookup) -> list[bytes]:
    """Return the nodes that show that a tree of `first` leaves is the beginning of one of `second` (RFC 9162, 2.1.4.1).

    Args:
        first: the older size, from 0.
        second: the newer size, at least `first`.
        look_up: finds stored nodes.
    """
    if first in (0, second):
        return []
    return _consistency(first, 0, second, look_up, known=True)


def _consistency(first: int, start: int, end: int, look_up: NodeLookup, *, known: bool) -> list[bytes]:
    if first == end:
        return [] if known else [_subtree(start, end, look_up)]
    middle = start + _split(end - start)
    if first <= middle:
        return [*_consistency(first, start, middle, look_up, known=known), _subtree(middle, end, look_up)]
    return [*_consistency(first, middle, end, look_up, known=False), _subtree(start, middle, look_up)]


def _subtree(start: int, end: int, look_up: NodeLookup) -> bytes:
    """Return the hash over the leaves `start` to `end`, where `start` is a multiple of the subtree's width."""
    width = end - start
    if width & (width - 1) == 0:
        level = width.bit_length() - 1
        return look_up(level, start >> level)
    middle = start + _split(width)
    return hash_children(_subtree(start, middle, look_up), _subtree(middle, end, look_up))


def _split(width: int) -> int:
    """Return the largest power of two below `width`."""
    return 1 << (width - 1).bit_length() - 1


def includes(leaf: bytes, index: int, size: int, path: Sequence[bytes], root: bytes) -> bool:
    """Tell whether an audit path leads from a leaf to a root (RFC 9162, 2.1.3.2)."""
    if not 0 <= index < size:
        return False
    at, last, node = index, size - 1, leaf
    for sibling in path:
        if last == 0:
            return False
        at, last, left = _climb(at, last)
        node = hash_children(sibling, node) if left else hash_children(node, sibling)
    return last == 0 and node == root


def extends(first: int, second: int, path: Sequence[bytes], *, first_root: bytes, second_root: bytes) -> bool:
    """Tell whether a consistency proof leads from an older root to a newer one (RFC 9162, 2.1.4.2)."""
    if first == second:
        return not path and first_root == second_root
    if first == 0:
        return not path and first_root == EMPTY_ROOT
    # Where the older tree is complete, its root is itself the first node of the proof.
    nodes = [first_root, *path] if first & (first - 1) == 0 else list(path)
    if not 0 < first < second or not nodes:
        return False
    at, last = first - 1, second - 1
    while at & 1:
        at, last = at >> 1, last >> 1
    older = newer = nodes[0]
    for sibling in nodes[1:]:
        if last == 0:
            return False
        at, last, left = _climb(at, last)
        if left:
            older = hash_children(sibling, older)
        newer = hash_children(sibling, newer) if left else hash_children(newer, sibling)
    return last == 0 and older == first_root and newer == second_root


def _climb(at: int, last: int) -> tuple[int, int, bool]:
    """Go one sibling up a path: return the new place, that of the tree's last node, and whether the sibling is left."""
    left = bool(at & 1) or at == last
    if left:
        while at and not at & 1:
            at, last = at >> 1, last >> 1
    return at >> 1, last >> 1, left
