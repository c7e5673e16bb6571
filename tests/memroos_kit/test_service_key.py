import threading
from pathlib import Path

import pytest

from memroos_kit import service_key


def test_two_processes_that_start_together_have_the_same_key(tmp_path: Path) -> None:
    found: list[str] = []
    path = tmp_path / "made" / "memory.key"
    starts = [threading.Thread(target=lambda: found.append(service_key.ensure(path))) for _ in range(8)]

    for start in starts:
        start.start()
    for start in starts:
        start.join()

    assert len(found) == 8
    assert len(set(found)) == 1
    assert path.stat().st_mode & 0o777 == 0o600
    assert [file.name for file in path.parent.iterdir()] == ["memory.key"]


def test_a_key_that_is_given_needs_no_file(tmp_path: Path) -> None:
    assert service_key.ensure(tmp_path / "memory.key", "k" * 32) == "k" * 32
    assert not (tmp_path / "memory.key").exists()


@pytest.mark.parametrize("weak", ["", "short", "k" * 31, "k" * 31 + "é", "two words that are long enough to be a key"])
def test_a_key_that_could_be_guessed_or_not_be_sent_is_refused(tmp_path: Path, weak: str) -> None:
    (tmp_path / "memory.key").write_text(weak, encoding="utf-8")

    with pytest.raises(service_key.WeakServiceKey):
        service_key.ensure(tmp_path / "memory.key")
    with pytest.raises(service_key.WeakServiceKey):
        service_key.ensure(tmp_path / "other.key", weak)


@pytest.mark.parametrize(
    ("header", "fits"),
    [
        ("Bearer secret", True),
        ("bearer  secret", True),
        ("Bearer secret2", False),
        ("Basic secret", False),
        ("secret", False),
        ("", False),
        ("Bearer sécret", False),
    ],
)
def test_only_the_key_behind_bearer_fits(header: str, fits: bool) -> None:
    assert service_key.fits(header, "secret") is fits
