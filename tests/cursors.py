"""What a cursor gives away."""

from base64 import urlsafe_b64decode

CHECKSUM_BYTES = 6


def assert_says_nothing_of_others(cursor: str | None) -> None:
    """Fail where a cursor holds a number of a row: rows are numbered for all, so that it would count others'."""
    if cursor is not None:
        held = urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))[CHECKSUM_BYTES:]
        assert held.startswith(b'["'), held
